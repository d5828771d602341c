"""From a channel's terms to its transactions: which side's limits hold where, and under which number."""

from __future__ import annotations

import pytest
from tests.builders.channels import CAPACITY_SAT, FUNDING, KEY_INDEX, keys_of, terms_of

from fulmen.core.base.ids import RECEIVED, HtlcKey, NodeId, channel_id_of
from fulmen.core.base.units import CltvDelta, Sat
from fulmen.core.commitments.building import channel_factor, shape_of
from fulmen.core.commitments.commitment import LOCAL, REMOTE
from fulmen.core.commitments.htlcs import circuit_address
from fulmen.core.commitments.params import ChannelParams, Funding
from fulmen.core.transactions.formats import FORMATS
from fulmen.core.transactions.numbers import obscuring_factor

OPENERS = terms_of("alice", dust_limit_sat=Sat(400), to_self_delay=CltvDelta(100))
ACCEPTERS = terms_of("bob", dust_limit_sat=Sat(500), to_self_delay=CltvDelta(200))


def params(opens: bool) -> ChannelParams:
    local, remote = (OPENERS, ACCEPTERS) if opens else (ACCEPTERS, OPENERS)
    node_id = NodeId(keys_of("carol").node_id)
    return ChannelParams(
        channel_id_of(FUNDING), node_id, KEY_INDEX, opens, False, b"", FORMATS[0].name, 0, local, remote
    )


@pytest.mark.parametrize("opens", [True, False])
def test_an_owner_keeps_its_dust_limit_and_waits_as_long_as_the_other_end_says(opens: bool) -> None:
    funding = Funding(FUNDING, Sat(CAPACITY_SAT), FORMATS[0].name)
    for side in (LOCAL, REMOTE):
        shape = shape_of(params(opens), funding, side)
        is_openers = opens == (side is LOCAL)
        assert shape.owner_is_opener is is_openers
        assert (shape.dust_limit_sat, shape.to_self_delay) == ((400, 200) if is_openers else (500, 100))


def test_both_ends_hide_the_number_behind_the_openers_basepoint_and_then_the_other() -> None:
    """BOLT 3: the opener's payment_basepoint comes first, whoever reckons."""
    first, second = OPENERS.basepoints.payment_basepoint, ACCEPTERS.basepoints.payment_basepoint
    assert channel_factor(params(True)) == channel_factor(params(False)) == obscuring_factor(first, second)
    assert obscuring_factor(first, second) != obscuring_factor(second, first)


def test_every_htlc_that_the_wire_can_name_has_a_circuit_of_its_own() -> None:
    ids = [0, 1, 255, 256, (1 << 56) - 1, 1 << 56, (1 << 64) - 1]
    keys = {circuit_address(HtlcKey(channel_id_of(FUNDING), RECEIVED, number)).key for number in ids}
    assert len(keys) == len(ids) and {len(key) for key in keys} == {41}
