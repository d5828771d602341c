"""When a channel may be announced, and what is told of it. BOLT 7."""

from tests.builders.channels import CAPACITY_SAT, CHANNEL_ID, KEY_INDEX, born, keys_of

from fulmen.core.base.ids import NodeId, Signature, scid
from fulmen.core.base.outer import Block
from fulmen.core.base.policy import ForwardPolicy
from fulmen.core.base.units import BlockHeight, Msat, Sat
from fulmen.core.channel.announcing import announced, announced_at
from fulmen.core.channel.facts import RemoteHalfKept
from fulmen.core.channel.state import Channel, Link, Phase
from fulmen.core.channel.table import decide
from fulmen.core.commitments.announcing import AnnouncementHalf, HalfHeard

DEFAULT = ForwardPolicy(fee_base_msat=Msat(7))
PLACE = scid(100, 1, 0)


def a_channel(**changes: object) -> Channel:
    opened = born("alice", "bob", NodeId(keys_of("bob").node_id), is_opener=True).opened
    params = opened.params
    params = params.but(announce=True, remote=params.remote.but(max_htlc_value_in_flight_msat=Msat(900_000_000)))
    channel = Channel(
        channel_id=CHANNEL_ID,
        phase=Phase.NORMAL,
        params=params,
        fundings=(opened.funding.but(confirmed=Block(BlockHeight(100), bytes(32)), index_in_block=1),),
        scid=PLACE,
        ready_sent=True,
        ready_received=True,
        remote_alias=scid(16_000_000, 0, 1),
        local_aliases=(scid(16_000_000, 0, 2), scid(16_000_000, 0, 3)),
    )
    return channel.but(**changes)


def test_a_channel_tells_gossip_what_announcements_need() -> None:
    told = announced(a_channel(), BlockHeight(105), DEFAULT)
    assert (told.node_id, told.key_index, told.capacity_sat) == (keys_of("bob").node_id, KEY_INDEX, CAPACITY_SAT)
    assert told.local_funding_pubkey == keys_of("alice").basepoints(KEY_INDEX).funding_pubkey
    assert told.remote_funding_pubkey == keys_of("bob").basepoints(KEY_INDEX).funding_pubkey
    assert (told.remote_alias, told.local_alias) == (scid(16_000_000, 0, 1), scid(16_000_000, 0, 3))
    assert announced(a_channel(local_aliases=(PLACE,)), BlockHeight(105), DEFAULT).local_alias == PLACE
    assert told.announce and told.ready and not told.closing
    assert told.forward == DEFAULT


def test_the_largest_htlc_keeps_the_reserve_and_the_peers_limit() -> None:
    assert announced(a_channel(), BlockHeight(105), DEFAULT).htlc_maximum_msat == 900_000_000
    channel = a_channel()
    generous = channel.terms.remote.but(max_htlc_value_in_flight_msat=Msat(1 << 63), channel_reserve_sat=Sat(20_000))
    told = announced(channel.but(params=channel.terms.but(remote=generous)), BlockHeight(105), DEFAULT)
    assert told.htlc_maximum_msat == 1000 * (CAPACITY_SAT - 20_000)


def test_with_less_than_six_confirmations_there_is_no_place_to_announce() -> None:
    assert announced(a_channel(), BlockHeight(104), DEFAULT).scid is None
    assert announced(a_channel(), BlockHeight(105), DEFAULT).scid == PLACE
    (funding,) = a_channel().fundings
    assert announced(a_channel(fundings=(funding.but(confirmed=None),)), BlockHeight(105), DEFAULT).scid is None


def test_a_channel_on_its_way_out_says_so_and_one_that_is_over_says_nothing() -> None:
    for phase in (Phase.SHUTDOWN, Phase.CLOSING, Phase.FAILED, Phase.SPENT):
        assert announced(a_channel(phase=phase), BlockHeight(105), DEFAULT).closing
    for phase in (Phase.NONE, Phase.CREATED, Phase.CLOSED):
        assert announced(a_channel(phase=phase), BlockHeight(105), DEFAULT) is None


def test_a_channel_without_both_channel_readys_is_not_ready() -> None:
    for missing in ({"ready_received": False}, {"ready_sent": False}):
        assert announced(a_channel(**missing), BlockHeight(105), DEFAULT).ready is False


def test_a_policy_of_its_own_comes_first() -> None:
    own = ForwardPolicy(fee_base_msat=Msat(1))
    assert announced(a_channel(forward=own), BlockHeight(105), DEFAULT).forward == own


def test_a_channel_is_online_once_it_is_reestablished():
    assert announced(a_channel(link=Link.READY), BlockHeight(105), DEFAULT).online
    assert not announced(a_channel(link=Link.REESTABLISHING), BlockHeight(105), DEFAULT).online


def the_half(place: int) -> AnnouncementHalf:
    return AnnouncementHalf(place, Signature(bytes(64)), Signature(bytes(64)))


VOUT = a_channel().funding.outpoint.vout
FUNDED = scid(100, 1, VOUT)


def test_a_half_of_the_peer_is_kept_once_for_the_place_of_the_funding() -> None:
    event = HalfHeard(the_half(FUNDED))
    step = decide(a_channel(scid=None), event, keys_of("alice"))
    assert step.facts == [RemoteHalfKept(event.half)] and not RemoteHalfKept.passing
    assert decide(step.state, HalfHeard(the_half(FUNDED)), keys_of("alice")).facts == []
    assert decide(a_channel(), HalfHeard(the_half(scid(100, 2, VOUT))), keys_of("alice")).facts == []


def test_gossip_is_told_of_a_kept_half_while_the_funding_lies_where_it_says() -> None:
    half, here = the_half(FUNDED), a_channel(scid=FUNDED)
    assert announced(here.but(remote_half=half), BlockHeight(105), DEFAULT).remote_half == half
    assert announced(here.but(remote_half=half), BlockHeight(104), DEFAULT).remote_half is None
    moved = here.but(remote_half=half, scid=scid(101, 4, VOUT))
    assert announced(moved, BlockHeight(105), DEFAULT).remote_half is None
    # There it is kept anew.
    (funding,) = moved.fundings
    moved = moved.but(fundings=(funding.but(confirmed=Block(BlockHeight(101), bytes(32)), index_in_block=4),))
    again = the_half(scid(101, 4, VOUT))
    assert decide(moved, HalfHeard(again), keys_of("alice")).state.remote_half == again


def test_a_channel_that_somebody_wants_closed_says_so_before_its_peer_knows() -> None:
    assert announced(a_channel(shutdown_wanted=b"script"), BlockHeight(105), DEFAULT).closing
    assert not announced(a_channel(phase=Phase.AWAITING_READY), BlockHeight(105), DEFAULT).closing


def test_a_channel_whose_reserve_is_all_there_is_carries_nothing() -> None:
    channel = a_channel()
    kept = channel.terms.remote.but(channel_reserve_sat=Sat(CAPACITY_SAT + 1))
    told = announced(channel.but(params=channel.terms.but(remote=kept)), BlockHeight(105), DEFAULT)
    assert told.htlc_maximum_msat == 0


def test_nothing_is_announced_nor_kept_of_a_funding_that_is_in_no_block() -> None:
    channel = a_channel()
    (funding,) = channel.fundings
    unconfirmed = channel.but(fundings=(funding.but(confirmed=None),), scid=None)
    assert announced_at(unconfirmed) > 0xFFFFFFFF, "no height that can be written"
    assert decide(unconfirmed, HalfHeard(the_half(FUNDED)), keys_of("alice")).facts == []
    assert announced_at(channel) == 105


def test_without_an_alias_none_is_told() -> None:
    assert announced(a_channel(local_aliases=()), BlockHeight(105), DEFAULT).local_alias is None
