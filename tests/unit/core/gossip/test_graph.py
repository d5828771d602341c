"""The graph keeps what it is given, forgets what it is told to, and says what changed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.builders.gossip import (
    NODES,
    NOW,
    a_channel,
    a_node,
    an_outpoint,
    an_update,
    real_channels,
    real_messages,
)

from fulmen.core.base.ids import scid
from fulmen.core.gossip.aliases import BadAlias, alias_bytes, display_alias
from fulmen.core.gossip.crc32c import crc32c
from fulmen.core.gossip.graph import Graph
from fulmen.core.gossip.signatures import all_hold, announcement_checks, node_checks, update_checks
from fulmen.core.wire import decode
from fulmen.core.wire.messages.gossip import ChannelAnnouncement, ChannelUpdate, NodeAnnouncement

ONE = scid(101, 1, 0)


def put(graph: Graph, frame: bytes, capacity: int | None = None, outpoint: object = None) -> None:
    message = decode(frame)
    if isinstance(message, ChannelAnnouncement):
        graph.add_channel(message, frame, NOW, capacity, outpoint)
    elif isinstance(message, ChannelUpdate):
        graph.set_update(message, frame)
    else:
        graph.set_node(message, frame)


def test_a_channel_is_read_back_with_its_policies_and_capacity() -> None:
    graph = Graph()
    put(graph, a_channel(1), 5000, an_outpoint(1))
    put(graph, an_update(1, signer=1, direction=1, fee_base_msat=7, htlc_maximum_msat=5_000_000))
    channel = graph.channel(ONE)
    assert (channel.node_id_1, channel.node_id_2, channel.capacity_sat) == (NODES[0], NODES[1], 5000)
    assert channel.policies[0] is None
    assert channel.policies[1].fee_base_msat == 7
    assert channel.policies[1].enabled
    assert graph.policy(ONE, 1) == channel.policies[1]
    assert graph.funded_by(an_outpoint(1)) == ONE
    assert list(graph.channels()) == [channel]


def test_a_channel_that_goes_takes_its_lonely_nodes_along() -> None:
    graph = Graph()
    put(graph, a_channel(1, 0, 1), 1000, an_outpoint(1))
    put(graph, a_channel(2, 1, 2))
    put(graph, a_node(0))
    graph.remove_channel(ONE)
    assert not graph.knows_node(NODES[0]) and graph.knows_node(NODES[1])
    assert graph.channel(ONE) is None and graph.funded_by(an_outpoint(1)) is None
    put(graph, a_channel(1, 0, 3))
    assert graph.node_announcement(NODES[0]) == b""
    assert graph.policy(ONE, 0) is None and graph.capacity(ONE) is None
    assert graph.channels_of(NODES[1]) == [scid(102, 1, 0)]


@pytest.mark.parametrize(
    "changes",
    [
        {"htlc_minimum_msat": 2000, "htlc_maximum_msat": 1999},
        {"htlc_maximum_msat": 5_000_001},
        {"channel_flags": 2},
    ],
    ids=["a minimum above the maximum", "a maximum above the capacity", "disabled by its node"],
)
def test_no_route_goes_through(changes: dict) -> None:
    graph = Graph()
    put(graph, a_channel(1), 5000)
    put(graph, an_update(1, htlc_maximum_msat=5_000_000))
    assert graph.policy(ONE, 0).enabled
    put(graph, an_update(1, **{"htlc_maximum_msat": 5_000_000, **changes}))
    assert not graph.policy(ONE, 0).enabled


def test_nothing_is_routed_through_what_has_unknown_even_features() -> None:
    graph = Graph()
    put(graph, a_channel(1, features=b"\1" + bytes(25)))
    put(graph, an_update(1))
    assert not graph.policy(ONE, 0).enabled
    put(graph, a_channel(2))
    put(graph, an_update(2))
    put(graph, an_update(2, signer=1, direction=1))
    changes = graph.watch()
    changes.take()
    put(graph, a_node(1, features=b"\1" + bytes(25)))
    # Payments to the node may go on; those through it leave by its own direction.
    assert graph.policy(scid(102, 1, 0), 0).enabled
    assert not graph.policy(scid(102, 1, 0), 1).enabled
    assert changes.take() == (False, [(ONE, 1), (scid(102, 1, 0), 1)])


def test_changes_name_the_directions_unless_all_is_to_be_built_anew() -> None:
    graph = Graph()
    changes = graph.watch()
    assert changes.take() == (True, [])
    put(graph, a_channel(1))
    put(graph, an_update(1))
    assert changes.take() == (True, [])
    put(graph, an_update(1))
    put(graph, an_update(1))
    assert changes.take() == (False, [(ONE, 0)])
    graph.remove_channel(ONE)
    assert changes.take() == (True, [])


def test_a_node_says_who_it_is() -> None:
    graph = Graph()
    put(graph, a_channel(1))
    assert graph.node(NODES[0]) is None
    put(graph, a_node(0, addresses=bytes.fromhex("01010203042607")))
    info = graph.node(NODES[0])
    assert (info.alias, info.timestamp, info.channels) == ("node 0", NOW, 1)
    assert [str(address) for address in info.addresses] == ["1.2.3.4:9735"]


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 8), st.integers(0, 4), st.integers(0, 4)), max_size=30))
def test_rows_used_again_never_mix_two_channels(steps: list) -> None:
    graph, model = Graph(), {}
    for adds, number, one, two in steps:
        if not adds or one == two:
            graph.remove_channel(scid(100 + number, 1, 0))
            model.pop(number, None)
            continue
        put(graph, CHANNELS[number, *sorted((one, two))])
        model[number] = tuple(NODES[place] for place in sorted((one, two)))
    assert [(c.scid, (c.node_id_1, c.node_id_2)) for c in graph.channels()] == [
        (scid(100 + number, 1, 0), model[number]) for number in sorted(model)
    ]
    known = sorted({node_id for ends in model.values() for node_id in ends})
    assert graph.node_ids() == known


CHANNELS = {
    (number, one, two): a_channel(number, one, two)
    for number in range(1, 9)
    for one in range(5)
    for two in range(one + 1, 5)
}


def test_scids_are_given_by_range_and_bounded() -> None:
    graph = Graph()
    for number in (5, 1, 3):
        put(graph, a_channel(number))
    assert graph.scids_between(101 << 40, 105 << 40, 10) == [ONE, scid(103, 1, 0)]
    assert graph.scids_between(0, 1 << 64, 2) == [ONE, scid(103, 1, 0)]


def test_crc32c_is_castagnolis() -> None:
    # RFC 3720, Appendix B.4.
    assert crc32c(bytes(32)) == 0x8A9136AA
    assert crc32c(b"\xff" * 32) == 0x62A8AB43
    assert crc32c(bytes(range(32))) == 0x46DD794E
    assert crc32c(b"123456789") == 0xE3069283


def test_aliases_are_safe_to_look_at() -> None:
    assert display_alias("SATOSHI ⚡ żółw".encode().ljust(32, b"\0")) == "SATOSHI ⚡ żółw"
    assert display_alias(b"a\x1b[31mb\x07") == "a\ufffd[31mb\ufffd"
    assert display_alias("evil\u202egnp".encode()) == "evil\ufffdgnp"
    assert display_alias(b"\xff\xfe") == "\ufffd\ufffd"


@given(st.binary(min_size=32, max_size=32))
def test_no_alias_controls_a_terminal(alias: bytes) -> None:
    assert all(letter.isprintable() or (letter.isspace() and letter >= " ") for letter in display_alias(alias))


def test_our_own_alias_fits_and_is_shown_as_written() -> None:
    assert alias_bytes("fulmen") == b"fulmen" + bytes(26)
    for bad in ("x" * 33, "a\nb", "é" * 17):
        with pytest.raises(BadAlias):
            alias_bytes(bad)


def test_real_signatures_hold_and_break_with_any_bit() -> None:
    ends = {}
    for frame, valid in real_messages():
        message = decode(frame)
        if isinstance(message, ChannelAnnouncement):
            ends[message.short_channel_id] = message.node_id_1, message.node_id_2
            checks = announcement_checks(message, frame)
            broken = announcement_checks(message, frame[:-1] + bytes([frame[-1] ^ 1]))
        elif isinstance(message, NodeAnnouncement):
            checks = node_checks(message, frame)
            broken = node_checks(message, frame + b"\0")
        elif valid is not None:
            origin = ends[message.short_channel_id][message.channel_flags & 1]
            checks = update_checks(message.signature, frame, origin)
            broken = update_checks(message.signature, frame[:-1] + bytes([frame[-1] ^ 1]), origin)
        else:
            continue
        assert all_hold(checks) is valid
        assert not all_hold(broken)


def test_real_announcements_hold_and_fit_the_graph() -> None:
    graph = Graph()
    for frame, capacity in real_channels():
        message = decode(frame)
        assert all_hold(announcement_checks(message, frame))
        graph.add_channel(message, frame, NOW, capacity)
    assert len(graph) == 60
    assert all(channel.node_id_1 < channel.node_id_2 and channel.capacity_sat for channel in graph.channels())
