"""Totals that are kept as the logs grow are those that a naive walk over all updates finds (laws 4 and 7)."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.builders.channels import CAPACITY_SAT, FUNDING, KEY_INDEX, keys_of, terms_of

from fulmen.core.base.ids import NodeId, PaymentHash, Preimage, channel_id_of
from fulmen.core.base.units import BlockHeight, FeeratePerKw, Msat, Sat
from fulmen.core.commitments.commitment import (
    LOCAL,
    REMOTE,
    Commitment,
    Side,
    Totals,
    active,
    first_commitment,
    including_local,
    including_remote,
    recount,
    trim_threshold_sat,
)
from fulmen.core.commitments.params import ChannelParams
from fulmen.core.commitments.updates import Add, FeeChange, Log, Remove
from fulmen.core.transactions.formats import ANCHORS_ZERO_FEE_HTLC, STATIC_REMOTEKEY

FORMATS = (STATIC_REMOTEKEY.name, ANCHORS_ZERO_FEE_HTLC.name)
OURS_MSAT, THEIRS_MSAT = Msat(600_000_000), Msat(400_000_000)
PAID, FAILED = Preimage(bytes(32)), None

operations = st.lists(
    st.tuples(
        st.sampled_from(("ours adds", "theirs adds", "ours removes", "theirs removes", "fee")),
        st.integers(300_000, 3_000_000),
        st.booleans(),
    ),
    max_size=25,
)


def params(format: str) -> ChannelParams:
    local, remote = terms_of("alice"), terms_of("bob", dust_limit_sat=Sat(1_000))
    node_id = NodeId(keys_of("bob").node_id)
    return ChannelParams(channel_id_of(FUNDING), node_id, KEY_INDEX, True, False, b"", format, 0, local, remote)


class Both:
    """Two logs, a commitment that takes everything in, and the same reckoned from the beginning each time."""

    def __init__(self, format: str, side: Side) -> None:
        self.params, self.side = params(format), side
        self.ours, self.theirs = Log(), Log()
        self.commitment: Commitment = first_commitment(side, FeeratePerKw(1000), OURS_MSAT, THEIRS_MSAT)

    def include(self) -> None:
        args = (self.params, self.ours, self.theirs)
        self.commitment = including_local(self.commitment, *args, self.ours.next_index)
        self.commitment = including_remote(self.commitment, *args, self.theirs.next_index)

    def apply(self, what: str, number: int, paid: bool) -> None:
        ours = what.startswith("ours") or what == "fee"
        log, other = (self.ours, self.theirs) if ours else (self.theirs, self.ours)
        update: Any = None
        if what.endswith("adds"):
            expiry = BlockHeight(500)
            update = Add(log.next_index, log.next_id, Msat(number), PaymentHash(bytes(32)), expiry)
        elif what == "fee":
            update = FeeChange(log.next_index, FeeratePerKw(number // 300))
        else:
            there = active(self.commitment, self.ours, self.theirs)[0 if not ours else 1]
            free = [add for add in there if log.removal(add.id) is None]
            if free:
                update = Remove(log.next_index, free[number % len(free)].id, PAID if paid else FAILED)
        if update is None:
            return
        if ours:
            self.ours = log.with_update(update)
        else:
            self.theirs = log.with_update(update)
        assert other is (self.theirs if ours else self.ours)

    def reckoned(self) -> Totals:
        rate = next((fee.feerate_per_kw for fee in reversed(self.ours.fees)), FeeratePerKw(1000))
        assert self.commitment.feerate_per_kw == rate
        balance = {True: int(OURS_MSAT), False: int(THEIRS_MSAT)}
        count, value, outputs, trimmed = {True: 0, False: 0}, {True: 0, False: 0}, 0, 0
        for ours, log, other in ((True, self.ours, self.theirs), (False, self.theirs, self.ours)):
            threshold = trim_threshold_sat(self.params, self.side, offered=ours, feerate_per_kw=rate)
            for add in log.adds:
                balance[ours] -= add.amount_msat
                removal = other.removal(add.id)
                if removal is not None:
                    balance[ours if removal.preimage is None else not ours] += add.amount_msat
                    continue
                count[ours] += 1
                value[ours] += add.amount_msat
                if add.amount_msat // 1000 >= threshold:
                    outputs += 1
                else:
                    trimmed += add.amount_msat
        return Totals(
            Msat(balance[True]),
            Msat(balance[False]),
            count[True],
            Msat(value[True]),
            count[False],
            Msat(value[False]),
            outputs,
            Msat(trimmed),
        )


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("side", [LOCAL, REMOTE])
@given(operations=operations, together=st.integers(1, 4))
def test_totals_kept_are_totals_counted(
    format: str, side: Side, operations: list[tuple[str, int, bool]], together: int
) -> None:
    both = Both(format, side)
    for number, operation in enumerate(operations, 1):
        both.apply(*operation)
        if number % together == 0:
            both.include()
            totals = both.commitment.totals
            assert totals == both.reckoned() == recount(both.commitment, both.params, both.ours, both.theirs)
            everything = totals.local_msat + totals.remote_msat + totals.offered_msat + totals.received_msat
            assert everything == CAPACITY_SAT * 1000


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize(("side", "owner_offers"), [(LOCAL, True), (LOCAL, False), (REMOTE, True), (REMOTE, False)])
def test_an_htlc_is_trimmed_below_its_owners_dust_limit_and_its_own_fee(
    format: str, side: Side, owner_offers: bool
) -> None:
    """BOLT 3, "Trimmed Outputs": 663 and 703 weight in the format whose HTLC transactions pay for themselves."""
    dust = 354 if side is LOCAL else 1_000
    fee = (663 if owner_offers else 703) if format == STATIC_REMOTEKEY.name else 0
    offered = owner_offers == (side is LOCAL)
    threshold = trim_threshold_sat(params(format), side, offered=offered, feerate_per_kw=FeeratePerKw(1000))
    assert threshold == dust + fee
    both = Both(format, side)
    both.apply("ours adds" if offered else "theirs adds", threshold * 1000, True)
    both.apply("ours adds" if offered else "theirs adds", threshold * 1000 - 1, True)
    both.include()
    assert both.commitment.totals.output_count == 1
    assert both.commitment.totals.trimmed_msat == threshold * 1000 - 1
    assert recount(both.commitment, both.params, both.ours, both.theirs) == both.commitment.totals
    for _ in range(2):
        both.apply("theirs removes" if offered else "ours removes", 0, False)
    both.include()
    assert both.commitment.totals == Totals(OURS_MSAT, THEIRS_MSAT)


def test_a_log_finds_by_id_what_is_left_of_it() -> None:
    both = Both(FORMATS[0], LOCAL)
    for amount in (1_000_000, 2_000_000, 3_000_000):
        both.apply("ours adds", amount, True)
    log = both.ours.but(adds=both.ours.adds[::2])
    assert [add.amount_msat if (add := log.add(id)) else None for id in range(-1, 4)] == [
        None,
        1_000_000,
        None,
        3_000_000,
        None,
    ]
