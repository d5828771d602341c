"""Nodes that talk gossip to each other: sync, relay, what we say of ourselves, and peers that lie."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.builders.gossip import CHAIN, FEATURES, NODES, NOW, World, a_channel, a_node, an_update, secret
from tests.builders.messages import records

from fulmen.core.base.ids import ChannelId, OutPoint, scid
from fulmen.core.base.policy import ForwardPolicy
from fulmen.core.commitments.announcing import OwnChannel
from fulmen.core.crypto.secp256k1 import point_of
from fulmen.core.gossip.desk import Gossip
from fulmen.core.gossip.own import OwnNode
from fulmen.core.wire import encode, type_of
from fulmen.core.wire.declare import KINDS
from fulmen.core.wire.features import GOSSIP_QUERIES, Features, optional
from fulmen.core.wire.messages.gossip import (
    AnnouncementSignatures,
    ChannelAnnouncement,
    ChannelUpdate,
    GossipTimestampFilter,
    NodeAnnouncement,
    QueryChannelRange,
    QueryShortChannelIds,
)

ONE, TWO = scid(101, 1, 0), scid(102, 1, 0)
FRAMES = [
    frame
    for number in range(1, 31)
    for one, two in [(number % 7, 7 + number % 9)]
    for frame in (a_channel(number, one, two), an_update(number, one, 0), an_update(number, two, 1, channel_flags=1))
] + [a_node(place) for place in range(16)]
STRANGER = 39
"""A place in NODES from which tests speak themselves."""
EVERYTHING = encode(GossipTimestampFilter(CHAIN, 0, 0xFFFFFFFF))


def feed(world: World, place: int, frames: list[bytes], stranger: int = STRANGER) -> None:
    """A stranger tells one desk some gossip."""
    world.fund(*(frame for frame in frames if frame[:2] == b"\1\0"))
    world.connect(place, stranger)
    for frame in frames:
        world.desks[NODES[place]].receive(NODES[stranger], frame, world.now)
    world.settle()


def a_world_with_a_full_desk(**policy: object) -> World:
    world = World(**policy)
    world.desk(20)
    feed(world, 20, FRAMES)
    assert len(world.desks[NODES[20]].graph) == 30
    world.disconnect(20, STRANGER)
    return world


@pytest.mark.parametrize("policy", [{}, {"scids_per_reply": 4, "scids_per_query": 3}], ids=["at once", "in pieces"])
def test_a_new_node_learns_the_whole_graph_from_a_peer(policy: dict) -> None:
    world = a_world_with_a_full_desk(**policy)
    new, old = world.desk(21), world.desks[NODES[20]]
    world.connect(20, 21)
    world.settle()
    world.run(10)
    assert list(new.graph.channels()) == list(old.graph.channels())
    assert [new.graph.node(n) for n in new.graph.node_ids()] == [old.graph.node(n) for n in old.graph.node_ids()]
    assert new.synced()
    assert world.hung_up == []


def test_a_peer_without_extended_queries_is_asked_plainly() -> None:
    world = a_world_with_a_full_desk()
    new = world.desk(21)
    world.connect(20, 21, optional(GOSSIP_QUERIES))
    world.settle()
    world.run(10)
    assert len(new.graph) == 30
    queries = [m for m in world.frames(21, 20) if isinstance(m, QueryShortChannelIds)]
    assert queries and all(query.query_flags is None for query in queries)


def test_the_first_filter_to_who_is_asked_reaches_back_to_where_our_knowledge_ends() -> None:
    """LDK sends its graph to who asks for it with the first filter of a connection, and answers nothing later."""
    world = World(flush_interval_s=10)
    desk = world.desk(20)
    world.connect(20, 31)
    assert firsts(world, 31) == [0]
    ours = [a_channel(4, 5, 20), an_update(4, 20, 1, channel_flags=1, timestamp=NOW)]
    feed(world, 20, [a_channel(3, 1, 2), an_update(3, 1, timestamp=NOW - 40_000), *ours])
    assert desk.graph.timestamp(scid(104, 1, 0), 1) == NOW
    world.connect(20, 33)
    assert firsts(world, 33) == [NOW - 40_000 - 20]


def test_what_a_peer_told_us_goes_to_others_and_not_back_to_it() -> None:
    world = World()
    desk = world.desk(20)
    for place in (31, 33):
        world.connect(20, place)
        desk.receive(NODES[place], EVERYTHING, world.now)
    world.fund(a_channel(3, 1, 2))
    for frame in (a_channel(3, 1, 2), an_update(3, 1)):
        desk.receive(NODES[31], frame, world.now)
    world.settle()
    world.run(200)
    told = {
        place: {type(m) for m in world.frames(20, place)} & {ChannelAnnouncement, ChannelUpdate} for place in (31, 33)
    }
    assert told == {31: set(), 33: {ChannelAnnouncement, ChannelUpdate}}


def test_who_is_not_asked_is_told_to_say_nothing_first() -> None:
    world = World(sync_peers=0)
    world.desk(20)
    world.connect(20, 31)
    assert firsts(world, 31) == [0xFFFFFFFF]


def test_a_peer_that_tells_all_unasked_and_answers_no_query_is_enough() -> None:
    world = World()
    new = world.desk(20)
    feed(world, 20, FRAMES)
    assert len(new.graph) == 30
    assert not any(isinstance(message, QueryShortChannelIds) for message in world.frames(20, STRANGER))


def firsts(world: World, place: int) -> list[int]:
    """What the filters that a peer got from 20 ask for."""
    world.settle()
    return [m.first_timestamp for m in world.frames(20, place) if isinstance(m, GossipTimestampFilter)]


def test_a_peer_that_does_not_offer_queries_is_asked_nothing() -> None:
    world = World()
    world.desk(20)
    world.connect(20, STRANGER, Features())
    world.settle()
    assert [type_of(message) for message in world.frames(20, STRANGER)] == [265]


def test_news_is_passed_on_at_the_peers_moment_to_those_who_asked() -> None:
    world = World(sync_peers=1)
    world.desk(20)
    world.connect(20, 30)
    world.connect(20, 31)
    world.settle()
    # 30 asks for everything, 31 never sent a filter.
    world.desks[NODES[20]].receive(NODES[30], EVERYTHING, world.now)
    world.run(2)
    feed(world, 20, FRAMES[:3])
    assert world.frames(20, 30)[-1] not in (FRAMES[:3])
    world.run(61)
    told = [m for m in world.frames(20, 30) if isinstance(m, ChannelAnnouncement | ChannelUpdate)]
    assert [encode(m) for m in told] == FRAMES[:3]
    assert not any(isinstance(m, ChannelAnnouncement | ChannelUpdate) for m in world.frames(20, 31))
    # Its source does not hear it back.
    assert not any(isinstance(m, ChannelAnnouncement) for m in world.frames(20, STRANGER))


def test_an_update_replaced_while_it_waited_is_never_sent() -> None:
    world = World()
    world.desk(20)
    world.connect(20, 30)
    world.desks[NODES[20]].receive(NODES[30], EVERYTHING, world.now)
    feed(world, 20, [a_channel(1, 0, 1), an_update(1), an_update(1, timestamp=NOW + 1)])
    world.run(61)
    stamps = [m.timestamp for m in world.frames(20, 30) if isinstance(m, ChannelUpdate)]
    assert stamps == [NOW + 1]


def test_a_channel_without_any_update_is_not_passed_on() -> None:
    world = World()
    world.desk(20)
    world.connect(20, 30)
    world.desks[NODES[20]].receive(NODES[30], EVERYTHING, world.now)
    feed(world, 20, [a_channel(1, 0, 1), a_node(0)])
    world.run(61)
    assert [type_of(m) for m in world.frames(20, 30) if type_of(m) in (256, 258)] == []


def test_a_peer_of_another_chain_hears_nothing() -> None:
    world = World()
    desk = world.desk(20)
    desk.connected(NODES[30], optional(GOSSIP_QUERIES), (bytes(32),), world.now)
    desk.receive(NODES[30], EVERYTHING, world.now)
    feed(world, 20, FRAMES[:3])
    world.run(61)
    assert [m for m in world.frames(20, 30) if type_of(m) in (256, 257, 258)] == []


def test_a_spent_channel_is_forgotten_after_72_blocks() -> None:
    world = World()
    desk = world.desk(20)
    feed(world, 20, FRAMES[:3])
    desk.block(500, [desk.graph.outpoint(ONE), OutPoint(bytes(32), 7)])
    desk.block(571, [])
    assert desk.graph.spent_height(ONE) == 500
    desk.block(572, [])
    assert ONE not in desk.graph


def test_a_spend_that_is_undone_is_forgotten() -> None:
    world = World()
    desk = world.desk(20)
    feed(world, 20, FRAMES[:3])
    desk.block(500, [desk.graph.outpoint(ONE)])
    desk.rewound(499)
    assert desk.graph.spent_height(ONE) is None
    desk.block(600, [])
    assert ONE in desk.graph
    desk.rewound(100)
    assert ONE not in desk.graph


def test_what_nobody_speaks_of_for_two_weeks_is_forgotten() -> None:
    world = World()
    desk = world.desk(20)
    feed(world, 20, [a_channel(1), an_update(1), an_update(1, 1, 1, timestamp=NOW + 100), a_channel(2)])
    world.disconnect(20, STRANGER)
    world.now += 14 * 86_400 + 50
    world.run(1)
    assert desk.graph.policy(ONE, 0) is None and desk.graph.policy(ONE, 1) is not None
    assert TWO not in desk.graph
    world.now += 100
    world.run(1)
    assert len(desk.graph) == 0


# Peers that lie


def test_a_peer_that_forges_is_warned_and_hung_up_on() -> None:
    world = World()
    world.desk(20)
    frame = bytearray(FRAMES[0])
    frame[30] ^= 1
    feed(world, 20, [bytes(frame)])
    assert world.hung_up == [(NODES[20], NODES[STRANGER])]
    assert type_of(world.frames(20, STRANGER)[-1]) == 1
    # Nothing it says afterwards counts.
    feed_after = world.desks[NODES[20]]
    feed_after.receive(NODES[STRANGER], FRAMES[0], world.now)
    assert feed_after.take_checks() == []


@pytest.mark.parametrize(
    "frame",
    [
        b"\1\2" + bytes(10),
        encode(QueryShortChannelIds(CHAIN, b"\1xx")),
        encode(QueryShortChannelIds(CHAIN, b"\0" + bytes(9))),
    ],
    ids=["malformed", "compressed", "no whole number"],
)
def test_what_cannot_be_read_ends_the_connection(frame: bytes) -> None:
    world = World()
    world.desk(20)
    feed(world, 20, [frame])
    assert world.hung_up == [(NODES[20], NODES[STRANGER])]


def test_an_answer_nobody_asked_for_is_ignored() -> None:
    world = World(sync_peers=0)
    world.desk(20)
    feed(world, 20, [bytes.fromhex("0106") + CHAIN + b"\1"])
    assert world.hung_up == []


def test_a_second_query_before_the_first_is_answered_is_only_warned_about() -> None:
    world = a_world_with_a_full_desk(answer_bytes_per_s=1, answer_burst_bytes=200, scids_per_reply=2)
    world.connect(20, STRANGER)
    query = encode(QueryChannelRange(CHAIN, 0, 1000))
    for _ in range(2):
        world.desks[NODES[20]].receive(NODES[STRANGER], query, world.now)
    world.settle()
    assert [type_of(m) for m in world.frames(20, STRANGER)][-1] == 1
    assert world.hung_up == []


def test_answers_are_throttled_and_come_in_the_end() -> None:
    world = a_world_with_a_full_desk(answer_bytes_per_s=2_000, answer_burst_bytes=2_000, answer_all_bytes_per_s=2_000)
    world.connect(20, STRANGER)
    world.settle()
    before = len(world.sent)
    world.desks[NODES[20]].receive(NODES[STRANGER], EVERYTHING, world.now)
    world.settle()
    world.run(3)
    sent = sum(len(frame) for _, to, frame in world.sent[before:] if to == NODES[STRANGER])
    assert sent < 10_000
    world.run(30)
    told = [m for m in world.frames(20, STRANGER) if isinstance(m, ChannelAnnouncement)]
    assert len(told) == 30


def test_a_full_outbox_is_not_filled_further() -> None:
    world = a_world_with_a_full_desk()
    desk = world.desks[NODES[20]]
    desk.connected(NODES[STRANGER], optional(GOSSIP_QUERIES), None, world.now)
    desk.take_actions()
    for state in desk._peers.values():
        state.budget = 0.0
    desk.receive(NODES[STRANGER], EVERYTHING, world.now)
    desk.tick(world.now + 5, full={NODES[STRANGER]})
    assert desk.take_actions() == []
    desk.tick(world.now + 6)
    assert desk.take_actions() != []


def test_a_peer_that_never_answers_gives_way_to_another() -> None:
    world = World(sync_peers=1)
    world.desk(20)
    world.connect(20, STRANGER)
    world.connect(20, 38)
    world.settle()

    def asked(place: int) -> bool:
        return any(isinstance(m, QueryChannelRange) for m in world.frames(20, place))

    assert asked(STRANGER) and not asked(38)
    for hour in range(4):
        world.desks[NODES[20]].receive(NODES[STRANGER], an_update(200 + hour, timestamp=world.now), world.now)
        world.run(125, step=5)
    assert asked(38)


def test_peers_that_came_first_and_tell_nothing_do_not_stay_our_only_source() -> None:
    """Whoever holds all places in which we listen decides what we know of the network: the places go round."""
    world = World(sync_peers=1)
    us, silent, honest = world.desk(0), world.desk(1), world.desk(2)
    world.connect(0, 1)
    world.settle()
    told = [a_channel(1, 5, 6), an_update(1, 5, 0)]
    world.fund(told[0])
    for frame in told:
        honest.receive(NODES[9], frame, world.now)
    world.connect(2, 9)
    for frame in told:
        honest.receive(NODES[9], frame, world.now)
    world.settle()
    world.connect(0, 2)
    world.settle()
    assert len(honest.graph) == 1 and len(us.graph) == len(silent.graph) == 0
    world.run(2 * world.policy.resync_s, step=60)
    assert len(us.graph) == 1
    world.run(3 * world.policy.resync_s, step=60)
    assert us.synced()


def test_the_log_of_a_flood_stays_within_its_cap() -> None:
    world = World(max_relay_log=10, messages_per_window=10_000)
    desk = world.desk(20)
    world.connect(20, 30)
    feed(world, 20, [a_channel(1)])
    feed(world, 20, [an_update(1, timestamp=NOW + n) for n in range(100)])
    assert desk.graph.timestamp(ONE, 0) == NOW + 99
    assert len(desk._relay._log) <= 10 and len(desk._relay._latest) <= 10


KINDS_OF_GOSSIP = [KINDS[number] for number in range(256, 266) if number in KINDS]


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from(KINDS_OF_GOSSIP).flatmap(lambda kind: records(kind.cls)), max_size=8))
def test_whatever_a_peer_says_is_answered_or_refused_by_name(messages: list) -> None:
    world = World(sync_peers=1, max_pending=3, max_held=3, max_wanted=3)
    desk = world.desk(20)
    feed(world, 20, FRAMES[:3], stranger=38)
    world.connect(20, STRANGER)
    for message in messages:
        desk.receive(NODES[STRANGER], encode(message), world.now)
        desk.receive(NODES[STRANGER], encode(message.but(**TRUE_NAMES.get(type(message), {}))), world.now)
    world.settle()
    world.run(5)
    assert len(desk.graph) == 1 and len(desk.intake.wanted) <= 3


TRUE_NAMES = {kind.cls: {"chain_hash": CHAIN} for kind in KINDS_OF_GOSSIP if "chain_hash" in kind.cls.__struct_fields__}
TRUE_NAMES[ChannelUpdate] = {"chain_hash": CHAIN, "short_channel_id": ONE, "timestamp": NOW + 5, "message_flags": 1}


# Ourselves


def own(number: int, here: int, there: int, **changes: object) -> OwnChannel:
    """Channel `number` between two places of NODES, as `here` sees it."""
    keys = [secret(1000 + 2 * number), secret(1001 + 2 * number)]
    mine, theirs = keys if here < there else keys[::-1]
    channel = OwnChannel(
        channel_id=ChannelId(number.to_bytes(32, "big")),
        node_id=NODES[there],
        key_index=int.from_bytes(mine, "big"),
        local_funding_pubkey=point_of(mine),
        remote_funding_pubkey=point_of(theirs),
        capacity_sat=100_000,
        announce=True,
        outpoint=OutPoint(number.to_bytes(32, "big"), 0),
        scid=scid(100 + number, 1, 0),
        htlc_minimum_msat=1,
        htlc_maximum_msat=90_000_000,
    )
    return channel.but(**changes)


def two_with_a_channel(**changes: object) -> World:
    world = World(min_update_interval_s=5)
    one, two = world.desk(1), world.desk(2)
    world.connect(1, 2)
    one.set_channel(own(1, 1, 2, **changes), world.now)
    two.set_channel(own(1, 2, 1, **changes), world.now)
    world.settle()
    return world


def test_two_nodes_announce_their_channel_together() -> None:
    world = two_with_a_channel()
    world.run(3)
    for place in (1, 2):
        graph = world.desks[NODES[place]].graph
        channel = graph.channel(ONE)
        assert (channel.node_id_1, channel.node_id_2, channel.capacity_sat) == (NODES[1], NODES[2], 100_000)
        halves = [m for m in world.frames(place, 3 - place) if isinstance(m, AnnouncementSignatures)]
        assert len(halves) == 1
    # What they say of each other is what a third node would believe.
    third = world.desk(3)
    world.fund(world.desks[NODES[1]].graph.announcement(ONE))
    world.connect(1, 3)
    world.connect(2, 3)
    world.run(130)
    assert third.graph.channel(ONE).policies[0].htlc_maximum_msat == 90_000_000
    assert third.graph.channel(ONE).policies[1].enabled
    assert world.hung_up == []


def test_our_own_gossip_goes_to_everybody_whatever_their_filter() -> None:
    world = two_with_a_channel()
    world.desks[NODES[1]].set_node(OwnNode("fulmen", b"\x10\x20\x30"))
    world.run(3)
    world.connect(1, STRANGER)
    world.run(130)
    told = world.frames(1, STRANGER)
    assert [type_of(m) for m in told if type_of(m) in (256, 257, 258)][:3] == [256, 258, 257]
    node = next(m for m in told if isinstance(m, NodeAnnouncement))
    assert node.alias.rstrip(b"\0") == b"fulmen"


def test_news_of_our_own_goes_also_to_who_asked_for_none() -> None:
    """BOLT 7: "SHOULD send gossip messages as it generates them regardless of `timestamp`"."""
    world = two_with_a_channel()
    one = world.desks[NODES[1]]
    world.run(3)
    world.connect(1, STRANGER)
    one.receive(NODES[STRANGER], encode(GossipTimestampFilter(CHAIN, 0xFFFFFFFF, 0)), world.now)
    world.run(130)
    one.set_channel(own(1, 1, 2, forward=ForwardPolicy(fee_base_msat=77)), world.now)
    world.run(130)
    told = [m.fee_base_msat for m in world.frames(1, STRANGER) if isinstance(m, ChannelUpdate)]
    assert len(told) == 2 and told[-1] == 77


def test_a_half_that_does_not_sign_the_announcement_is_refused() -> None:
    world = World()
    one = world.desk(1)
    world.connect(1, 2)
    one.set_channel(own(1, 1, 2), world.now)
    world.settle()
    bad = AnnouncementSignatures(ChannelId((1).to_bytes(32, "big")), ONE, bytes(63) + b"\1", bytes(63) + b"\1")
    one.receive(NODES[2], encode(bad), world.now)
    world.settle()
    assert world.hung_up == [(NODES[1], NODES[2])]
    assert ONE not in one.graph


def test_a_half_that_comes_before_we_are_ready_is_kept() -> None:
    world = World()
    one, two = world.desk(1), world.desk(2)
    world.connect(1, 2)
    one.set_channel(own(1, 1, 2, scid=None), world.now)
    two.set_channel(own(1, 2, 1), world.now)
    world.settle()
    assert ONE not in one.graph
    one.set_channel(own(1, 1, 2), world.now)
    world.settle()
    assert ONE in one.graph and ONE in two.graph


def test_a_peers_public_update_that_comes_before_we_have_announced_the_channel_is_not_lost() -> None:
    world = World()
    one, two = world.desk(1), world.desk(2)
    world.connect(1, 2)
    one.set_channel(own(1, 1, 2), world.now)
    one.receive(NODES[2], an_update(1, 2, 1, channel_flags=1, timestamp=NOW + 1), world.now)
    world.settle()
    assert ONE not in one.graph
    two.set_channel(own(1, 2, 1), world.now)
    world.settle()
    assert one.graph.channel(ONE).policies[1].timestamp == NOW + 1


def test_after_a_reconnection_a_node_that_lost_the_half_gets_it_again() -> None:
    world = two_with_a_channel()
    world.disconnect(1, 2)
    lost = world.desk(2)  # restarted without its cache
    lost.set_channel(own(1, 2, 1), world.now)
    world.connect(1, 2)
    world.run(3)
    assert ONE in lost.graph


def test_a_half_that_came_once_is_enough_for_a_node_that_is_started_again() -> None:
    """LDK sends its half until it believes that it came, and never again."""
    world = World()
    desk = world.desk(1)
    world.connect(1, 2)
    # It comes before the block that makes the funding deep enough, and then the node dies.
    desk.set_channel(own(1, 1, 2, scid=None), world.now)
    desk.receive(NODES[2], encode(half(1, 2, 1)), world.now)
    world.settle()
    kept = world.kept[NODES[1], (1).to_bytes(32, "big")]
    assert ONE not in desk.graph and kept.scid == ONE
    world.disconnect(1, 2)
    again = world.desk(1)
    again.set_channel(own(1, 1, 2, remote_half=kept), world.now)
    world.run(3)
    assert ONE in again.graph
    # The peer still gets ours: it may have been on its way when the node died.
    world.sent.clear()
    world.connect(1, 2)
    world.run(3)
    assert sum(isinstance(message, AnnouncementSignatures) for message in world.frames(1, 2)) == 1
    assert world.kept == {(NODES[1], (1).to_bytes(32, "big")): kept}


def test_a_channel_that_is_known_to_all_is_not_signed_again_for_a_half_that_was_kept() -> None:
    world = two_with_a_channel()
    kept = world.kept[NODES[1], (1).to_bytes(32, "big")]
    graph = world.desks[NODES[1]].graph
    again = Gossip(world.policy, CHAIN, NODES[1], FEATURES, graph)
    world.desks[NODES[1]] = again
    world.sent.clear()
    again.set_channel(own(1, 1, 2, remote_half=kept), world.now)
    again.connected(NODES[2], FEATURES, None, world.now)
    world.run(3)
    assert not any(isinstance(message, AnnouncementSignatures) for message in world.frames(1, 2))


def test_a_half_that_signs_something_else_is_refused_before_the_funding_is_deep() -> None:
    world = World()
    desk = world.desk(1)
    world.connect(1, 2)
    desk.set_channel(own(1, 1, 2, scid=None), world.now)
    desk.receive(NODES[2], encode(half(1, 2, 1).but(short_channel_id=scid(101, 2, 0))), world.now)
    world.settle()
    assert world.hung_up == [(NODES[1], NODES[2])] and not world.kept


def test_our_half_waits_until_the_peer_has_said_channel_reestablish() -> None:
    world = World()
    one, two = world.desk(1), world.desk(2)
    one.set_channel(own(1, 1, 2, online=False), world.now)
    world.connect(1, 2)
    two.set_channel(own(1, 2, 1), world.now)
    world.run(3)
    # The other half came meanwhile: ours is the answer to it, and late.
    assert not any(isinstance(message, AnnouncementSignatures) for message in world.frames(1, 2))
    one.set_channel(own(1, 1, 2), world.now)
    world.settle()
    assert sum(isinstance(message, AnnouncementSignatures) for message in world.frames(1, 2)) == 1
    assert ONE in two.graph


def test_an_unannounced_channel_is_only_spoken_of_to_its_peer() -> None:
    world = two_with_a_channel(announce=False, remote_alias=scid(16_000_000, 0, 7), local_alias=scid(16_000_000, 0, 7))
    world.connect(1, STRANGER)
    world.run(130)
    update, *again = [m for m in world.frames(1, 2) if isinstance(m, ChannelUpdate)]
    assert again in ([], [update])
    assert update.short_channel_id == scid(16_000_000, 0, 7)
    assert update.message_flags == 3
    assert [m for m in world.frames(1, STRANGER) if type_of(m) in (256, 257, 258)] == []
    # And the peer knows what we ask for: it stands in its invoices.
    terms = world.desks[NODES[2]].announcer.remote_terms(ChannelId((1).to_bytes(32, "big")))
    assert (terms.fee_base_msat, terms.htlc_maximum_msat) == (1000, 90_000_000)
    assert len(world.desks[NODES[2]].graph) == 0


def test_a_private_update_is_said_again_when_the_peer_has_the_channel_in_its_books() -> None:
    """LND drops an update under an alias that comes before its own edge stands; its own update says when that is."""
    world = World()
    desk = world.desk(1)
    desk.set_channel(own(1, 1, 2, announce=False, remote_alias=scid(16_000_000, 0, 7)), world.now)
    world.connect(1, 2)
    world.run(5)

    def said() -> list[ChannelUpdate]:
        return [m for m in world.frames(1, 2) if isinstance(m, ChannelUpdate)]

    (early,) = said()
    for stamp in (NOW + 5, NOW + 6):
        theirs = an_update(1, 2, 1, channel_flags=1, message_flags=3, timestamp=stamp)
        desk.receive(NODES[2], theirs, world.now)
        world.run(5)
        assert said() == [early, early]


def test_a_half_that_comes_before_we_know_of_the_channel_is_kept() -> None:
    """LDK sends its half once on a connection, and at once: a frame that comes before what our own node tells."""
    world = World()
    desk = world.desk(1)
    world.connect(1, 2)
    world.settle()
    desk.receive(NODES[2], encode(half(1, 2, 1)), world.now)
    desk.set_channel(own(1, 1, 2), world.now)
    world.settle()
    assert ONE in desk.graph


def test_of_halves_of_channels_that_never_come_to_be_a_few_are_kept() -> None:
    world = World()
    desk = world.desk(1)
    world.connect(1, 2)
    world.settle()
    for number in range(1, 100):
        desk.receive(NODES[2], encode(half(number, 2, 1)), world.now)
    for number in (1, 99):
        desk.set_channel(own(number, 1, 2), world.now)
    world.settle()
    assert ONE not in desk.graph
    assert scid(199, 1, 0) in desk.graph


def half(number: int, here: int, there: int) -> AnnouncementSignatures:
    """What `here` says of channel `number` to `there`."""
    world = World()
    desk = world.desk(here)
    world.connect(here, there)
    desk.set_channel(own(number, here, there), world.now)
    world.settle()
    (said,) = [m for m in world.frames(here, there) if isinstance(m, AnnouncementSignatures)]
    return said


def test_a_private_update_waits_for_an_announcement_that_is_due() -> None:
    """LND, which makes its edge anew for the announcement, would take neither it nor our public one afterwards."""
    world = World()
    desk = world.desk(1)
    desk.set_channel(own(1, 1, 2, remote_alias=scid(16_000_000, 0, 7)), world.now)
    world.connect(1, 2)

    def said() -> int:
        return sum(isinstance(message, ChannelUpdate) for message in world.frames(1, 2))

    world.run(5)
    theirs = an_update(1, 2, 1, channel_flags=1, message_flags=3, timestamp=NOW + 5)
    desk.receive(NODES[2], theirs, world.now)
    world.run(4)
    assert said() == 0
    # The peer does not announce it, so it is private for now.
    world.run(3)
    assert said() == 1


def test_new_terms_make_one_new_update_and_the_same_terms_none() -> None:
    world = two_with_a_channel()
    desk = world.desks[NODES[1]]
    world.run(10)
    before = desk.graph.update(ONE, 0)
    world.run(60)
    assert desk.graph.update(ONE, 0) == before
    desk.set_channel(own(1, 1, 2, forward=ForwardPolicy(fee_base_msat=5)), world.now)
    desk.set_channel(own(1, 1, 2, forward=ForwardPolicy(fee_base_msat=6)), world.now)
    world.run(70)
    assert desk.graph.policy(ONE, 0).fee_base_msat == 6
    assert desk.graph.timestamp(ONE, 0) > NOW
    assert world.desks[NODES[2]].announcer.remote_terms(ChannelId((1).to_bytes(32, "big"))).fee_base_msat == 6


def test_a_channel_whose_peer_stays_away_is_disabled_and_enabled_again() -> None:
    world = two_with_a_channel()
    world.run(10)
    graph = world.desks[NODES[1]].graph
    world.disconnect(1, 2)
    world.run(590, step=10)
    assert graph.policy(ONE, 0).enabled
    world.run(20, step=10)
    assert not graph.policy(ONE, 0).enabled
    world.connect(1, 2)
    world.run(10)
    assert graph.policy(ONE, 0).enabled


def test_our_updates_are_made_again_before_they_are_stale() -> None:
    world = two_with_a_channel()
    world.run(10)
    graph = world.desks[NODES[1]].graph
    first = graph.timestamp(ONE, 0)
    world.now += 12 * 86_400
    world.run(10, step=5)
    assert graph.timestamp(ONE, 0) == first
    world.now += 86_400
    world.run(10, step=5)
    assert graph.timestamp(ONE, 0) > first + 12 * 86_400


def test_a_closing_channel_is_disabled_at_once() -> None:
    world = two_with_a_channel()
    world.run(10)
    world.desks[NODES[1]].set_channel(own(1, 1, 2, closing=True), world.now)
    world.run(1)
    assert not world.desks[NODES[1]].graph.policy(ONE, 0).enabled


def test_after_a_splice_the_channel_is_announced_under_its_new_place() -> None:
    world = two_with_a_channel()
    for place, peer in ((1, 2), (2, 1)):
        world.desks[NODES[place]].set_channel(own(1, place, peer, scid=TWO), world.now)
    world.settle()
    world.run(3)
    for place in (1, 2):
        assert TWO in world.desks[NODES[place]].graph and ONE in world.desks[NODES[place]].graph


def test_what_we_say_of_our_node_changes_when_it_should() -> None:
    world = two_with_a_channel()
    desk = world.desks[NODES[1]]
    desk.set_node(OwnNode("first"))
    world.run(10)
    stamp = desk.graph.node_timestamp(NODES[1])
    assert desk.graph.node(NODES[1]).alias == "first"
    world.run(60)
    assert desk.graph.node_timestamp(NODES[1]) == stamp
    desk.set_node(OwnNode("second"))
    world.run(10)
    assert desk.graph.node(NODES[1]).alias == "second"


def test_a_restart_with_the_cached_graph_says_nothing_new() -> None:
    world = two_with_a_channel()
    world.desks[NODES[1]].set_node(OwnNode("fulmen"))
    world.run(10)
    graph = world.desks[NODES[1]].graph
    before = graph.update(ONE, 0), graph.node_announcement(NODES[1])
    world.disconnect(1, 2)
    again = world.desks[NODES[1]] = Gossip(world.policy, CHAIN, NODES[1], FEATURES, graph)
    again.set_node(OwnNode("fulmen"))
    again.set_channel(own(1, 1, 2), world.now)
    world.connect(1, 2)
    world.connect(1, STRANGER)
    world.run(130)
    assert (graph.update(ONE, 0), graph.node_announcement(NODES[1])) == before
    # And it is still told to whoever comes.
    assert [type_of(m) for m in world.frames(1, STRANGER) if type_of(m) in (256, 257, 258)] == [256, 258, 257]


def test_a_forged_private_update_is_its_peers_fault() -> None:
    world = two_with_a_channel(announce=False)
    desk = world.desks[NODES[1]]
    bad = an_update(1, 5, 1, channel_flags=1, message_flags=3, timestamp=NOW + 5)
    desk.receive(NODES[2], bad, world.now)
    world.settle()
    assert (NODES[1], NODES[2]) in world.hung_up
