"""What is kept of HTLCs that only revoked commitments hold."""

from __future__ import annotations

import pytest
from tests.builders.channels import CHANNEL_ID, FUNDING, KEY_INDEX, keys_of, terms_of

from fulmen.core.base.ids import OFFERED, RECEIVED, Direction, HtlcKey, NodeId, PaymentHash, channel_id_of
from fulmen.core.base.machine import Tell
from fulmen.core.base.retention import RETENTION, RowsUnwanted
from fulmen.core.base.stretch import found
from fulmen.core.base.units import BlockHeight, Msat, Sat
from fulmen.core.commitments.params import ChannelParams
from fulmen.core.commitments.revoked import KIND, forget_revoked, keep_revoked, kept_of, revoked_htlcs
from fulmen.core.commitments.updates import Add
from fulmen.core.transactions.formats import FORMATS

DUST_SAT = 600
"""Of the peer, whose commitments these are."""


def params(format: str) -> ChannelParams:
    local, remote = terms_of("alice"), terms_of("bob", dust_limit_sat=Sat(DUST_SAT))
    node_id = NodeId(keys_of("bob").node_id)
    return ChannelParams(channel_id_of(FUNDING), node_id, KEY_INDEX, True, False, b"", format, 0, local, remote)


@pytest.mark.parametrize("format", [format.name for format in FORMATS])
@pytest.mark.parametrize("direction", [OFFERED, RECEIVED])
def test_an_htlc_is_kept_from_the_least_amount_on_that_can_have_an_output(direction: Direction, format: str) -> None:
    for amount_msat, kept in ((DUST_SAT * 1000 - 1, False), (DUST_SAT * 1000, True)):
        add = Add(0, 3, Msat(amount_msat), PaymentHash(bytes(32)), BlockHeight(500))
        assert (keep_revoked(params(format), add, direction, 9) is not None) is kept


@pytest.mark.parametrize("htlc_id", [0, 1, 127, 128, 255, 256, 65_536, (1 << 64) - 1])
@pytest.mark.parametrize("direction", [OFFERED, RECEIVED])
def test_a_kept_htlc_is_found_by_its_own_name_in_each_commitment_that_held_it(
    direction: Direction, htlc_id: int
) -> None:
    add = Add(0, htlc_id, Msat(1_000_000), PaymentHash(b"h" * 32), BlockHeight(500), since=4)
    keep = keep_revoked(params(FORMATS[0].name), add, direction, 9)
    assert keep is not None
    channel_id = channel_id_of(FUNDING)
    for number in range(11):
        wanted = kept_of(channel_id, number)
        assert wanted.holds(keep.at) is (4 <= number < 9)
        [htlc] = revoked_htlcs(channel_id, found(wanted, ((keep.at, keep.row),)))
        assert htlc.key == HtlcKey(channel_id, direction, htlc_id)
        assert (htlc.amount_msat, htlc.payment_hash, htlc.cltv_expiry) == (1_000_000, b"h" * 32, 500)
    assert channel_id == CHANNEL_ID


def test_what_was_kept_for_penalties_goes_when_no_commitment_can_be_published_any_more() -> None:
    assert forget_revoked(CHANNEL_ID) == Tell(RETENTION, RowsUnwanted(KIND, CHANNEL_ID))
