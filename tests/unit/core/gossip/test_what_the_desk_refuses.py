"""What peers say that is passed over or refused at the desk, one rule of BOLT 7 at a time; what is told no further."""

import pytest
from tests.builders.gossip import CHAIN, NODES, NOW, SECRETS, World, a_channel, a_node, an_outpoint, an_update, secret

from fulmen.core.base.ids import ChannelId, OutPoint, scid
from fulmen.core.commitments.announcing import OwnChannel
from fulmen.core.crypto.secp256k1 import point_of, sign_ecdsa
from fulmen.core.gossip.encodings import encode_scids
from fulmen.core.gossip.faults import BadRangeReply, Ignored, UnaskedReply
from fulmen.core.gossip.graph import Graph
from fulmen.core.gossip.policy import GossipPolicy
from fulmen.core.gossip.sync import Phase, Sync
from fulmen.core.signer.announcing import announcement_digest
from fulmen.core.wire import decode, encode, type_of
from fulmen.core.wire.messages.gossip import (
    AnnouncementSignatures,
    ChannelUpdate,
    GossipTimestampFilter,
    QueryShortChannelIds,
    ReplyChannelRange,
    ReplyShortChannelIdsEnd,
)

ONE = scid(101, 1, 0)
EVERYTHING = encode(GossipTimestampFilter(CHAIN, 0, 0xFFFFFFFF))
US, SOURCE, HEARER = 20, 31, 33
OTHER_CHAIN = bytes(32)


def told(*frames: bytes, block: int | None = None, asks: bytes = EVERYTHING) -> list[bytes]:
    """What somebody who asks for gossip gets, where somebody else tells us this (and a block spends the channel)."""
    world = World(flush_interval_s=10)
    desk = world.desk(US)
    for place in (SOURCE, HEARER):
        world.connect(US, place)
    desk.receive(NODES[HEARER], asks, world.now)
    world.fund(*(frame for frame in frames if frame[:2] == b"\1\0"))
    for frame in frames:
        desk.receive(NODES[SOURCE], frame, world.now)
        world.settle()
    if block is not None:
        desk.block(block, [an_outpoint(101)])
    world.run(30)
    pair = NODES[US], NODES[HEARER]
    return [frame for one, two, frame in world.sent if (one, two) == pair and frame[:2] in (b"\1\0", b"\1\1", b"\1\2")]


def test_a_filter_for_another_chain_asks_for_nothing() -> None:
    frames = [a_channel(1), an_update(1)]
    assert told(*frames) == frames
    assert told(*frames, asks=encode(GossipTimestampFilter(OTHER_CHAIN, 0, 0xFFFFFFFF))) == []


def test_who_announces_more_than_one_hostname_is_not_passed_on() -> None:
    name = b"\5\4node\x26\x07"
    for addresses, passed in ((name, True), (name * 2, False)):
        node = a_node(0, addresses=addresses)
        assert (node in told(a_channel(1), an_update(1), node)) is passed


def test_of_a_channel_that_is_spent_before_it_was_told_only_disabling_updates_go_out() -> None:
    disabling = an_update(1, 1, 1, channel_flags=3)
    assert told(a_channel(1), an_update(1), disabling, block=500) == [disabling]


def test_a_second_query_for_channels_before_the_first_is_answered_is_only_warned_about() -> None:
    world = World(answer_bytes_per_s=1, answer_burst_bytes=1)
    desk = world.desk(US)
    for place in (SOURCE, HEARER):
        world.connect(US, place)
    frames = [frame for number in (1, 2) for frame in (a_channel(number), an_update(number))]
    world.fund(*(frame for frame in frames if frame[:2] == b"\1\0"))
    for frame in frames:
        desk.receive(NODES[SOURCE], frame, world.now)
    world.settle()
    query = encode(QueryShortChannelIds(CHAIN, encode_scids([ONE, scid(102, 1, 0)])))
    for _ in range(2):
        desk.receive(NODES[HEARER], query, world.now)
    world.settle()
    assert [type_of(message) for message in world.frames(US, HEARER)][-1] == 1
    assert world.hung_up == []


def test_what_was_said_again_before_it_was_told_is_told_once() -> None:
    frames = [a_channel(1), an_update(1), an_update(1, timestamp=NOW + 1), an_update(1, timestamp=NOW + 2)]
    assert told(*frames) == [frames[0], frames[-1]]


def test_all_peers_together_are_sent_no_more_than_their_common_budget() -> None:
    world = World(answer_all_bytes_per_s=1_000, answer_bytes_per_s=100_000)
    desk = world.desk(US)
    world.connect(US, SOURCE)
    frames = [frame for number in range(1, 31) for frame in (a_channel(number), an_update(number))]
    world.fund(*(frame for frame in frames if frame[:2] == b"\1\0"))
    for frame in frames:
        desk.receive(NODES[SOURCE], frame, world.now)
    world.settle()
    world.disconnect(US, SOURCE)
    # What they may be sent at once is used up by others.
    desk._serving._budget = 0.0
    for place in (HEARER, HEARER + 1):
        world.connect(US, place)
        desk.receive(NODES[place], EVERYTHING, world.now)
    before = len(world.sent)
    world.run(4)
    assert sum(len(frame) for _, _, frame in world.sent[before:] if frame[:2] in (b"\1\0", b"\1\2")) < 6_000
    world.run(60)
    assert sum(frame[:2] == b"\1\0" for _, _, frame in world.sent) == 60


def test_who_is_hung_up_on_is_told_nothing_more() -> None:
    world = World(answer_bytes_per_s=1_000_000)
    desk = world.desk(US)
    for place in (SOURCE, HEARER):
        world.connect(US, place)
    frames = [a_channel(1), an_update(1)]
    world.fund(frames[0])
    for frame in frames:
        desk.receive(NODES[SOURCE], frame, world.now)
    world.settle()
    desk._peers[NODES[HEARER]].budget = 0.0
    desk.receive(NODES[HEARER], EVERYTHING, world.now)
    desk.receive(NODES[HEARER], b"\1\2" + bytes(10), world.now)
    world.settle()
    assert world.hung_up == [(NODES[US], NODES[HEARER])]
    before = len(world.sent)
    world.run(5)
    assert [to for _, to, _ in world.sent[before:] if to == NODES[HEARER]] == []


def test_what_funded_nothing_may_do_so_after_a_block() -> None:
    world = World(check_funding=True)
    desk = world.desk(US)
    world.connect(US, SOURCE)
    frame = a_channel(1)
    for _ in range(2):
        desk.receive(NODES[SOURCE], frame, world.now)
        world.settle()
    assert desk.intake.ignored == {Ignored.NO_FUNDING: 2}
    world.fund(frame)
    desk.block(200)
    desk.receive(NODES[SOURCE], frame, world.now)
    world.settle()
    assert ONE in desk.graph


# What a peer says of a channel with us


def with_a_channel(**changes: object) -> World:
    """We, at place 1, have channel 1 with place 2; the desk of 2 is played by the test."""
    world = World(messages_per_window=3)
    desk = world.desk(1)
    world.connect(1, 2)
    world.connect(1, 3)
    mine, theirs = secret(1002), secret(1003)
    channel = OwnChannel(
        channel_id=ChannelId((1).to_bytes(32, "big")),
        node_id=NODES[2],
        key_index=int.from_bytes(mine, "big"),
        local_funding_pubkey=point_of(mine),
        remote_funding_pubkey=point_of(theirs),
        capacity_sat=100_000,
        announce=True,
        outpoint=OutPoint((1).to_bytes(32, "big"), 0),
        scid=ONE,
        htlc_minimum_msat=1,
        htlc_maximum_msat=90_000_000,
    )
    desk.set_channel(channel.but(**changes), world.now)
    world.settle()
    return world


def asked(world: World, peer: int, *frames: bytes) -> int:
    """How many of these have their signatures looked at."""
    desk = world.desks[NODES[1]]
    for frame in frames:
        desk.receive(NODES[peer], frame, world.now)
    return len(desk.take_checks())


def a_half(node_secret: bytes, funding_secret: bytes) -> bytes:
    """What place 2 signs of the channel, with these keys."""
    announcement = decode(a_channel(1, 1, 2))
    digest = announcement_digest(encode(announcement))
    signatures = sign_ecdsa(node_secret, digest), sign_ecdsa(funding_secret, digest)
    return encode(AnnouncementSignatures(ChannelId((1).to_bytes(32, "big")), ONE, *signatures))


@pytest.mark.parametrize(("node", "funding"), [(True, True), (False, True), (True, False)])
def test_a_half_is_good_only_if_both_of_its_signatures_are(node: bool, funding: bool) -> None:
    world = with_a_channel()
    half = a_half(SECRETS[2 if node else 3], secret(1003 if funding else 1002))
    world.desks[NODES[1]].receive(NODES[2], half, world.now)
    world.settle()
    assert (ONE in world.desks[NODES[1]].graph) is (node and funding)
    assert bool(world.hung_up) is not (node and funding)


@pytest.mark.parametrize("closing", [True, False])
def test_a_channel_that_begins_to_close_while_the_peers_half_is_looked_at_is_not_announced(closing: bool) -> None:
    world = with_a_channel()
    desk = world.desks[NODES[1]]
    known = desk._ours.get(ChannelId((1).to_bytes(32, "big")))
    assert known is not None and known.ours is not None
    desk.receive(NODES[2], a_half(SECRETS[2], secret(1003)), world.now)
    desk.set_channel(known.channel.but(closing=closing), world.now)
    world.settle()
    assert (ONE in desk.graph) is not closing


@pytest.mark.parametrize(
    ("changes", "said"),
    [({}, True), ({"closing": True}, False), ({"announce": False}, False), ({"ready": False}, False)],
    ids=["to be announced", "closing", "not to be announced", "not ready"],
)
def test_our_half_is_said_only_of_what_may_be_announced(changes: dict, said: bool) -> None:
    world = with_a_channel(**changes)
    world.run(120)
    assert any(isinstance(message, AnnouncementSignatures) for message in world.frames(1, 2)) is said


@pytest.mark.parametrize("ready", [True, False])
def test_our_update_waits_for_the_peers_channel_ready(ready: bool) -> None:
    world = with_a_channel(announce=False, ready=ready)
    world.run(120)
    assert any(isinstance(message, ChannelUpdate) for message in world.frames(1, 2)) is ready


HALF = encode(AnnouncementSignatures(ChannelId((1).to_bytes(32, "big")), ONE, bytes(64), bytes(64)))
WORD = {"message_flags": 3, "channel_flags": 1}


@pytest.mark.parametrize(
    ("changes", "peer", "looked_at"),
    [({}, 2, 1), ({}, 3, 0), ({"announce": False}, 2, 0), ({"closing": True}, 2, 0)],
    ids=["it is to be announced", "of somebody else", "not to be announced", "closing"],
)
def test_a_half_is_looked_at_where_there_is_something_to_announce(changes: dict, peer: int, looked_at: int) -> None:
    assert asked(with_a_channel(**changes), peer, HALF) == looked_at


@pytest.mark.parametrize(
    ("peer", "changes", "looked_at"),
    [
        (2, {}, 1),
        (3, {}, 0),
        (2, {"chain_hash": OTHER_CHAIN}, 0),
        (2, {"channel_flags": 0}, 0),
        (2, {"timestamp": NOW - 1}, 0),
        (2, {"timestamp": NOW, "fee_base_msat": 7}, 0),
    ],
    ids=["newer", "of somebody else", "another chain", "our direction", "older", "as old"],
)
def test_a_private_update_is_looked_at_if_it_is_the_peers_newest_word(peer: int, changes: dict, looked_at: int) -> None:
    world = with_a_channel(announce=False)
    world.desks[NODES[1]].receive(NODES[2], an_update(1, 2, 1, **WORD, timestamp=NOW), world.now)
    world.settle()
    frame = an_update(1, 2, 1, **{**WORD, "timestamp": NOW + 1, **changes})
    assert asked(world, peer, frame) == looked_at


def test_what_a_peer_says_of_our_channels_is_looked_at_once_and_not_without_end() -> None:
    updates = [an_update(1, 2, 1, **WORD, timestamp=NOW + second) for second in range(1, 6)]
    assert asked(with_a_channel(announce=False), 2, *[updates[0]] * 5) == 1
    assert asked(with_a_channel(announce=False), 2, *updates) == 3


# Answers to our own questions


def a_reply(first: int, blocks: int, complete: int, **changes: object) -> ReplyChannelRange:
    return ReplyChannelRange(CHAIN, first, blocks, complete, encode_scids([])).but(**changes)


def a_sync(**policy: object) -> Sync:
    sync = Sync(GossipPolicy(**policy), CHAIN, True)
    sync.start(NOW, NOW)
    return sync


@pytest.mark.parametrize("reply", [a_reply(0, 10, 1), a_reply(0, 0xFFFFFFFF, 0)], ids=["too little", "not the last"])
def test_a_list_goes_on_until_a_reply_covers_it_and_says_so(reply: ReplyChannelRange) -> None:
    sync = a_sync()
    sync.on_reply_channel_range(reply, Graph(), NOW, 0)
    assert sync.phase is Phase.RANGE
    sync.on_reply_channel_range(a_reply(9, 0xFFFFFFFF, 1), Graph(), NOW, 0)
    assert sync.phase is Phase.CHANNELS


def test_replies_about_another_chain_are_not_those_we_wait_for() -> None:
    sync = a_sync()
    with pytest.raises(UnaskedReply):
        sync.on_reply_channel_range(a_reply(0, 10, 1, chain_hash=OTHER_CHAIN), Graph(), NOW, 0)
    # The end of another query, while the list is still under way.
    with pytest.raises(UnaskedReply):
        sync.on_reply_short_channel_ids_end(ReplyShortChannelIdsEnd(CHAIN, 1))
    sync.on_reply_channel_range(a_reply(0, 0xFFFFFFFF, 1), Graph(), NOW, 0)
    sync.want(ONE)
    assert sync.next_query(NOW, Graph()) is not None
    with pytest.raises(UnaskedReply):
        sync.on_reply_short_channel_ids_end(ReplyShortChannelIdsEnd(OTHER_CHAIN, 1))
    sync.on_reply_short_channel_ids_end(ReplyShortChannelIdsEnd(CHAIN, 1))
    with pytest.raises(UnaskedReply):
        sync.on_reply_short_channel_ids_end(ReplyShortChannelIdsEnd(CHAIN, 1))


def test_a_list_has_no_more_parts_and_no_more_channels_than_we_take() -> None:
    sync = a_sync(max_range_replies=3)
    for block in range(3):
        sync.on_reply_channel_range(a_reply(block, 1, 0), Graph(), NOW, 0)
    with pytest.raises(BadRangeReply):
        sync.on_reply_channel_range(a_reply(3, 1, 0), Graph(), NOW, 0)
    sync = a_sync(max_range_scids=3)
    scids = encode_scids([scid(5, tx, 0) for tx in range(4)])
    with pytest.raises(BadRangeReply):
        sync.on_reply_channel_range(a_reply(5, 1, 0, encoded_short_ids=scids), Graph(), NOW, 0)


def test_no_more_channels_are_asked_for_than_a_list_may_have() -> None:
    sync = a_sync(max_range_scids=2)
    sync.on_reply_channel_range(a_reply(0, 0xFFFFFFFF, 1), Graph(), NOW, 0)
    assert [sync.want(scid(number, 1, 0)) for number in (1, 2, 3)] == [True, True, False]
