"""One peer through the life of a connection, event by event."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.builders.env import POINT, an_env
from tests.builders.switch import a_link

from fulmen.core.base.env import Env
from fulmen.core.base.faults import Fault, PeerFault, Refused
from fulmen.core.base.ids import ALL_CHANNELS, ChainHash, ChannelId, CommandId, NodeId
from fulmen.core.base.machine import Action, Address, Disconnected, Event, Faulted, Tell, evolve, to_channel
from fulmen.core.base.outer import Answer, HangUp, Notify, Send, TimeReached, WantConnection, WantTime
from fulmen.core.base.peers import (
    ChannelAttached,
    ChannelDetached,
    ChannelErrored,
    Connected,
    ConnectFailed,
    ConnectPeer,
    DisconnectPeer,
    FrameReceived,
    FrameRefused,
    GossipLink,
    GossipReceived,
    MessageReceived,
    OpeningEnded,
    OpeningStarted,
    PeerAlive,
    PeerReached,
    PeerReady,
    PeerView,
)
from fulmen.core.base.policy import OpeningPolicy, PeerPolicy, Policy
from fulmen.core.base.record import Record
from fulmen.core.base.units import CltvDelta, FeeratePerKw, Msat, Sat, Timestamp
from fulmen.core.peer.connection import MAX_CALLERS, MAX_CHANNELS
from fulmen.core.peer.delivery import MAX_OPENINGS, printable
from fulmen.core.peer.faults import CouldNotConnect
from fulmen.core.peer.features import CARRIED, offered
from fulmen.core.peer.state import Peer
from fulmen.core.peer.table import MOUNT, initial
from fulmen.core.wire import UnknownMessage, encode
from fulmen.core.wire.features import OPTION_ANCHORS, OPTION_ZEROCONF, Features, optional, required
from fulmen.core.wire.messages.gossip import GossipTimestampFilter
from fulmen.core.wire.messages.opening import OpenChannel
from fulmen.core.wire.messages.quiescence import Stfu
from fulmen.core.wire.messages.setup import (
    ErrorMessage,
    Init,
    PeerStorage,
    PeerStorageRetrieval,
    Ping,
    Pong,
    WarningMessage,
)
from fulmen.core.wire.messages.updates import UpdateFee

NODE = NodeId(b"\x03" + bytes(31) + b"\x07")
CHANNEL, OTHER, OPENING = (ChannelId(bytes([n]) * 32) for n in (1, 2, 3))
COMMAND, ANOTHER = CommandId(bytes(16)), CommandId(bytes([1]) * 16)
HERE = "10.0.0.1:9735"
CHAIN = ChainHash(bytes(31) + b"\x06")
AN_OPEN = OpenChannel(
    CHAIN, OPENING, Sat(1_000_000), Msat(0), Sat(354), Msat(10**9), Sat(10_000), Msat(1), FeeratePerKw(1000),
    CltvDelta(144), 483, POINT, POINT, POINT, POINT, POINT, POINT, 0,
)  # fmt: skip
THEIR_INIT = Init(b"", CARRIED.to_bytes(), (CHAIN,))


class Driven:
    """A peer machine driven by hand; law 2 is held after every event."""

    def __init__(self, env: Env | None = None) -> None:
        self.env = env if env is not None else an_env(chain_hash=CHAIN)
        self.state: Peer = initial(NODE)
        self.durable: Peer = initial(NODE)

    def __call__(self, *events: Event | Record) -> list[Action]:
        """Give it events (a message stands for its reception); all their actions."""
        actions: list[Action] = []
        for event in events:
            given = event if isinstance(event, Event) else MessageReceived(event)
            try:
                step = MOUNT.decide(self.state, given, self.env)
            except (PeerFault, Refused) as fault:
                step = MOUNT.decide(self.state, Faulted(given, fault), self.env)
            for fact in step.facts:
                if not fact.passing:
                    self.durable = evolve(self.durable, fact)
            self.state = step.state
            assert MOUNT.forget(self.state) == self.durable
            actions += step.actions
        return actions

    def at(self, seconds: int) -> Driven:
        """The same peer, with the clock so many seconds later."""
        wall = Timestamp(self.env.wall + seconds)
        self.env = replace(self.env, wall=wall)
        return self

    def fault(self, event: Event | Record) -> Fault:
        """The fault that an event leads to; it must not change the peer by itself."""
        with pytest.raises(Fault) as caught:
            MOUNT.decide(self.state, event if isinstance(event, Event) else MessageReceived(event), self.env)
        return caught.value

    @property
    def view(self) -> PeerView:
        shown = MOUNT.view(self.state)
        assert isinstance(shown, PeerView)
        return shown


def connected(**changes: Any) -> Driven:
    peer = Driven(an_env(chain_hash=CHAIN, **changes))
    peer(Connected(inbound=False, address="bob.example:9735"))
    return peer


def ready(*channels: ChannelId, env: Env | None = None) -> Driven:
    peer = Driven(env)
    peer(*(ChannelAttached(channel) for channel in channels))
    peer(Connected(inbound=False, address="bob.example:9735"), THEIR_INIT)
    return peer


def ended_with(actions: list[Action], name: str) -> bool:
    """Whether the peer was warned of this fault and the connection closed, in this order."""
    kinds = [type(action) for action in actions]
    warned = next(action for action in actions if isinstance(action, Send))
    assert isinstance(warned.message, WarningMessage)
    return kinds.index(Send) < kinds.index(HangUp) and warned.message.data.startswith(name.encode())


# -- init ----------------------------------------------------------------------------------------------------------


def test_init_is_the_first_message_and_the_only_one_until_the_peers_came() -> None:
    peer = Driven()
    peer(ChannelAttached(CHANNEL))
    sent = peer(Connected(inbound=True))
    assert sent == [Send(NODE, Init(b"", CARRIED.to_bytes(), (CHAIN,)))]
    assert not peer.view.ready
    assert to_channel(CHANNEL, PeerReady(NODE, CARRIED.to_bytes(), CARRIED.to_bytes())) in peer(THEIR_INIT)
    assert peer.view.ready


def test_both_feature_fields_are_one() -> None:
    peer = connected()
    low, high = required(0, 12), required(8, 14, 44) | optional(22)
    peer(Init(low.to_bytes(), high.to_bytes()))
    assert Features.from_bytes(peer.view.remote_features) == low | high


@pytest.mark.parametrize(
    ("init", "name"),
    [
        (Init(b"", (CARRIED | required(28)).to_bytes()), "UnknownRequiredFeature"),
        (Init(b"", Features.of(1000).to_bytes()), "UnknownRequiredFeature"),
        (Init(Features.of(1000).to_bytes(), b""), "UnknownRequiredFeature"),
        (Init(b"", optional(50).to_bytes()), "FeatureDependencyMissing"),
        (Init(b"", b"", (ChainHash(bytes(32)),)), "NoCommonChain"),
    ],
)
def test_an_init_that_we_cannot_live_with_ends_the_connection(init: Init, name: str) -> None:
    assert ended_with(connected()(init), name)


def test_unknown_odd_features_and_no_networks_are_fine() -> None:
    peer = connected()
    peer(Init(b"", Features.of(1001, 155).to_bytes()))
    assert peer.view.ready


def test_a_list_of_no_chains_excludes_none_and_before_our_chain_is_known_none_is_the_wrong_one() -> None:
    peer = connected()
    peer(THEIR_INIT.but(networks=()))
    assert peer.view.ready
    early = Driven(an_env())
    early(Connected(inbound=False, address=HERE), THEIR_INIT)
    assert early.view.ready


def test_a_peer_may_require_what_we_understand_and_do_not_offer_it() -> None:
    peer = connected()
    peer(Init(b"", (CARRIED | required(OPTION_ZEROCONF)).to_bytes()))
    assert peer.view.ready and not Features.from_bytes(peer.view.local_features).supports(OPTION_ZEROCONF)


def test_what_comes_before_init_or_a_second_one_ends_the_connection() -> None:
    assert ended_with(connected()(Ping(1, b"")), "InitNotFirst")
    assert ended_with(connected()(FrameReceived(b"\x01\x00")), "InitNotFirst")
    assert ended_with(ready()(THEIR_INIT), "InitTwice")


def test_a_peer_may_say_why_it_does_not_want_us() -> None:
    actions = connected()(ErrorMessage(ALL_CHANNELS, b"banned"))
    assert [type(action) for action in actions] == [Notify]


def test_zeroconf_is_offered_to_those_whom_the_operator_trusts() -> None:
    trusted = Policy(opening=OpeningPolicy(zeroconf_peers=(NODE,)))
    assert offered(trusted, NODE).supports(50)
    assert not offered(Policy(), NODE).supports(50)
    assert not CARRIED.missing_dependencies()


def test_anchors_are_not_offered_where_the_operator_wants_none() -> None:
    plain = Policy(opening=OpeningPolicy(anchors=False))
    assert not offered(plain, NODE).supports(OPTION_ANCHORS)
    assert offered(Policy(), NODE) == offered(plain, NODE) | optional(OPTION_ANCHORS)


def test_a_missing_init_ends_the_connection() -> None:
    peer = connected()
    assert ended_with(peer.at(20)(TimeReached(peer.env.wall)), "InitMissing")


# -- liveness ------------------------------------------------------------------------------------------------------


def test_a_ping_is_answered_with_as_many_zeros_as_it_asks_for() -> None:
    assert ready()(Ping(5, b"xyz")) == [Send(NODE, Pong(bytes(5)))]
    assert ready()(Ping(65531, b"")) == [Send(NODE, Pong(bytes(65531)))]


def test_a_ping_for_more_than_a_message_holds_wants_no_answer() -> None:
    assert ready()(Ping(65532, b""), Ping(65535, b"")) == []


def test_a_flood_of_pings_ends_the_connection_and_a_slow_stream_does_not() -> None:
    peer = ready()
    for _ in range(60):
        assert peer(Ping(1, b"")) == [Send(NODE, Pong(b"\x00"))]
    assert ended_with(peer(Ping(1, b"")), "TooManyPings")
    slow = ready()
    for _ in range(200):
        assert slow.at(1)(Ping(1, b"")) == [Send(NODE, Pong(b"\x00"))]


def test_we_ping_when_it_is_time_and_hang_up_without_a_pong() -> None:
    peer = ready(CHANNEL)
    (due,) = MOUNT.wants(peer.state)
    assert due == WantTime(Timestamp(peer.env.wall + 30))
    (sent,) = peer.at(30)(TimeReached(peer.env.wall))
    assert isinstance(sent, Send)
    assert isinstance(sent.message, Ping)
    assert peer(Pong(bytes(sent.message.num_pong_bytes))) == [to_channel(CHANNEL, PeerAlive())]
    assert MOUNT.wants(peer.state) == (WantTime(Timestamp(peer.env.wall + 30)),)
    peer.at(30)(TimeReached(peer.env.wall))
    assert ended_with(peer.at(30)(TimeReached(peer.env.wall)), "PongMissing")


def test_nobody_is_pinged_or_given_up_before_the_time_or_after_we_hung_up() -> None:
    peer = ready()
    assert peer.at(29)(TimeReached(peer.env.wall)) == []
    (sent,) = peer.at(1)(TimeReached(peer.env.wall))
    assert isinstance(sent, Send)
    assert peer.at(1)(TimeReached(peer.env.wall)) == []
    peer(DisconnectPeer(COMMAND))
    assert peer.at(3600)(TimeReached(peer.env.wall)) == []


def test_with_each_pong_the_channels_look_whether_they_are_answered_too() -> None:
    peer = ready(CHANNEL, OTHER)
    (sent,) = peer.at(30)(TimeReached(peer.env.wall))
    assert isinstance(sent, Send) and isinstance(sent.message, Ping)
    assert peer(Pong(bytes(sent.message.num_pong_bytes))) == [
        to_channel(CHANNEL, PeerAlive()),
        to_channel(OTHER, PeerAlive()),
    ]


def test_a_pong_that_nobody_asked_for_ends_the_connection() -> None:
    assert ended_with(ready()(Pong(b"")), "PongNotAsked")
    peer = ready()
    (sent,) = peer.at(30)(TimeReached(peer.env.wall))
    assert isinstance(sent, Send)
    assert isinstance(sent.message, Ping)
    assert ended_with(peer(Pong(bytes(sent.message.num_pong_bytes + 1))), "PongNotAsked")


def test_no_channel_fails_by_a_dead_connection() -> None:
    peer = ready(CHANNEL)
    peer.at(30)(TimeReached(peer.env.wall))
    actions = peer.at(30)(TimeReached(peer.env.wall), Disconnected())
    assert [action.event for action in actions if isinstance(action, Tell)] == [Disconnected()]


# -- whose message is it -------------------------------------------------------------------------------------------


def test_a_message_goes_to_the_channel_that_it_names() -> None:
    message = UpdateFee(CHANNEL, 300)
    assert ready(CHANNEL, OTHER)(message) == [to_channel(CHANNEL, MessageReceived(message))]


def test_a_message_for_a_channel_that_we_do_not_have_is_answered_with_an_error_about_it() -> None:
    (sent,) = ready(CHANNEL)(UpdateFee(OTHER, 300))
    assert isinstance(sent, Send)
    assert isinstance(sent.message, ErrorMessage)
    assert sent.message.channel_id == OTHER


def test_an_error_fails_the_channel_that_it_names() -> None:
    actions = ready(CHANNEL, OTHER)(ErrorMessage(OTHER, b"no"))
    assert [action for action in actions if isinstance(action, Tell)] == [to_channel(OTHER, ChannelErrored(b"no"))]


def test_an_error_ends_the_opening_that_it_names_and_no_other() -> None:
    peer = ready(CHANNEL)
    peer(OpeningStarted(OPENING), OpeningStarted(OTHER))
    actions = peer(ErrorMessage(OTHER, b"no"))
    told = [action for action in actions if isinstance(action, Tell)]
    assert told == [Tell(Address("opening", NODE + OTHER), ChannelErrored(b"no"))]


def test_no_peer_has_more_openings_channels_or_callers_than_we_count_to() -> None:
    ids = [ChannelId(at.to_bytes(32, "big")) for at in range(MAX_CHANNELS + 1)]
    peer = ready()
    peer(*map(OpeningStarted, ids))
    assert len(peer.state.openings) == MAX_OPENINGS
    peer(*map(ChannelAttached, ids))
    assert len(peer.state.channels) == MAX_CHANNELS
    away = Driven()
    commands = [CommandId(at.to_bytes(16, "big")) for at in range(MAX_CALLERS + 1)]
    answers = away(*(ConnectPeer(command, (HERE,)) for command in commands))
    assert away.state.callers == tuple(commands[:-1])
    (refusal,) = (action for action in answers if isinstance(action, Answer))
    assert refusal.command_id == commands[-1] and isinstance(refusal.refused, CouldNotConnect)


def test_an_error_about_nothing_in_particular_fails_every_channel_and_opening() -> None:
    peer = ready(CHANNEL, OTHER)
    peer(OpeningStarted(OPENING))
    told = [action.to for action in peer(ErrorMessage(ALL_CHANNELS, b"no")) if isinstance(action, Tell)]
    assert told == [
        Address("channel", CHANNEL),
        Address("channel", OTHER),
        Address("opening", NODE + OPENING),
    ]


def test_an_error_about_a_channel_that_we_do_not_have_and_every_warning_fails_nothing() -> None:
    peer = ready(CHANNEL)
    actions = peer(ErrorMessage(OTHER, b"no"), WarningMessage(ALL_CHANNELS, b"hm"), WarningMessage(CHANNEL, b"hm"))
    assert [type(action) for action in actions] == [Notify] * 3


@given(st.binary(max_size=2000))
def test_what_a_peer_writes_is_only_shown_where_it_is_printable(data: bytes) -> None:
    shown = printable(data)
    assert len(shown) <= 1100
    assert all(32 <= ord(letter) <= 126 or letter == "…" for letter in shown)


@pytest.mark.parametrize(
    ("openings", "links", "strangers", "refused"),
    [
        (0, [], 0, False),
        (1, [], 0, False),
        (2, [], 0, True),
        (1, [True], 0, True),
        (0, [True, True], 0, True),
        (1, [False, False], 0, False),
        (0, [], 3, True),
        (0, [], 2, False),
        (0, [False], 3, False),
        (1, [False, True], 3, True),
    ],
)
def test_a_peer_may_begin_a_few_channels_and_all_strangers_together_some_more(
    openings: int, links: list[bool], strangers: int, refused: bool
) -> None:
    """A funding that may never come counts like an opening: it costs the peer nothing and us a watch (law 7)."""
    policy = Policy(opening=OpeningPolicy(max_pending_per_peer=2, max_pending=3))
    shown: list[Record] = [a_link(node_id=NODE, unfunded=unfunded) for unfunded in links]
    shown += [a_link(node_id=NodeId(bytes([2, at]) + bytes(31)), unfunded=True) for at in range(strangers)]
    env = an_env(chain_hash=CHAIN, policy=policy, views=dict(enumerate(shown)))
    peer = ready(env=env)
    peer(*(OpeningStarted(ChannelId(bytes([at]) * 32)) for at in range(10, 10 + openings)))
    (action,) = peer(AN_OPEN.but(temporary_channel_id=OPENING))
    assert isinstance(action, Send) is refused


def test_gossip_is_handed_on_as_it_came() -> None:
    filtering = GossipTimestampFilter(CHAIN, 0, 0)
    peer = ready()
    assert peer(FrameReceived(b"\x01\x00raw")) == [GossipReceived(NODE, b"\x01\x00raw")]
    assert peer(filtering) == [GossipReceived(NODE, encode(filtering))]


def test_unknown_odd_messages_are_ignored_and_even_ones_end_the_connection() -> None:
    assert ready()(UnknownMessage(40001, b"x")) == []
    assert ended_with(ready()(UnknownMessage(40000, b"x")), "UnknownRequiredMessage")


def test_of_what_we_can_read_and_do_not_carry_odd_messages_are_ignored_and_even_ones_end_the_connection() -> None:
    peer = ready(CHANNEL)
    assert peer(PeerStorage(b"x"), PeerStorageRetrieval(b"x")) == []
    assert ended_with(peer(Stfu(OTHER, 1)), "UnknownRequiredMessage")


def test_a_message_that_cannot_be_read_ends_the_connection() -> None:
    assert ended_with(ready()(FrameRefused(132, "too short")), "MessageUnreadable")


def test_nothing_counts_after_we_hung_up() -> None:
    peer = ready(CHANNEL)
    peer(Pong(b""))
    assert peer(UpdateFee(CHANNEL, 300), Ping(1, b""), FrameRefused(1, ""), FrameReceived(b"")) == []
    assert not peer.view.ready


# -- coming back ---------------------------------------------------------------------------------------------------


def test_a_lost_connection_is_told_to_all_whom_it_concerns() -> None:
    peer = ready(CHANNEL)
    peer(OpeningStarted(OPENING))
    actions = peer(Disconnected())
    assert actions[:3] == [
        to_channel(CHANNEL, Disconnected()),
        Tell(Address("opening", NODE + OPENING), Disconnected()),
        GossipLink(NODE, up=False),
    ]
    assert peer(Disconnected()) == []
    assert not peer.state.openings


def test_a_new_connection_replaces_the_old_one() -> None:
    peer = ready(CHANNEL)
    actions = peer(Connected(inbound=True))
    assert to_channel(CHANNEL, Disconnected()) in actions
    assert isinstance(actions[-1], Send)
    assert not peer.view.ready


def test_a_peer_with_channels_is_dialed_again_later_and_later() -> None:
    peer = ready(CHANNEL)
    peer(Disconnected())
    waits = []
    for _ in range(20):
        (want,) = MOUNT.wants(peer.state)
        assert isinstance(want, WantTime)
        waits.append(want.at - peer.env.wall)
        peer.at(waits[-1])(TimeReached(peer.env.wall))
        assert MOUNT.wants(peer.state) == (WantConnection(NODE, ("bob.example:9735",)),)
        peer(ConnectFailed("refused"))
    assert waits[0] <= 1
    assert all(150 <= wait <= 450 for wait in waits[-5:])
    peer.at(1000)(TimeReached(peer.env.wall), Connected(inbound=False, address="bob.example:9735"), THEIR_INIT)
    peer(Disconnected())
    (want,) = MOUNT.wants(peer.state)
    assert isinstance(want, WantTime)
    assert want.at - peer.env.wall <= 1


def test_no_wait_is_so_short_that_dialing_becomes_a_loop() -> None:
    hasty = Policy(peer=PeerPolicy(reconnect_min_s=0.1, reconnect_max_s=0.2))
    peer = ready(CHANNEL, env=an_env(chain_hash=CHAIN, policy=hasty))
    peer(Disconnected())
    for _ in range(5):
        peer(TimeReached(peer.env.wall + 1))
        peer(ConnectFailed("refused"))
        assert peer.state.retry_at == peer.env.wall + 1


def test_two_nodes_do_not_come_back_in_step() -> None:
    waits = set()
    for name in (b"alice", b"bob", b"carol", b"dave"):
        peer = ready(CHANNEL, env=an_env(name, chain_hash=CHAIN))
        for _ in range(6):
            peer(Disconnected(), TimeReached(Timestamp(1 << 40)), ConnectFailed(""))
        waits.add(peer.state.retry_at)
    assert len(waits) > 1


def test_after_a_crash_the_peers_with_channels_are_dialed() -> None:
    peer = ready(CHANNEL)
    reborn = Driven()
    reborn.state = reborn.durable = MOUNT.forget(peer.state)
    reborn(*MOUNT.crash)
    reborn.at(2)(TimeReached(reborn.env.wall))
    assert MOUNT.wants(reborn.state) == (WantConnection(NODE, ("bob.example:9735",)),)


def test_a_peer_without_channels_is_forgotten_when_it_leaves() -> None:
    peer = ready()
    assert not MOUNT.ended(peer.state)
    peer(Disconnected())
    assert MOUNT.wants(peer.state) == ()
    assert MOUNT.ended(peer.state)


def test_when_the_last_channel_is_gone_nobody_is_dialed_any_more() -> None:
    peer = ready(CHANNEL)
    peer(Disconnected(), ChannelDetached(CHANNEL), ChannelDetached(CHANNEL))
    assert MOUNT.wants(peer.state) == ()
    assert MOUNT.ended(peer.state)


def test_attaching_twice_is_attaching_once() -> None:
    peer = ready(CHANNEL)
    peer(ChannelAttached(CHANNEL), OpeningStarted(OPENING), OpeningStarted(OPENING))
    assert peer.view.channels == (CHANNEL,)
    assert peer.view.openings == 1
    peer(OpeningEnded(OPENING), OpeningEnded(OPENING))
    assert peer.view.openings == 0


# -- callers -------------------------------------------------------------------------------------------------------


def test_connect_is_answered_when_init_is_exchanged() -> None:
    peer = Driven()
    assert peer(ConnectPeer(COMMAND, (HERE,))) == []
    assert MOUNT.wants(peer.state) == (WantConnection(NODE, (HERE,), (COMMAND,)),)
    peer(Connected(inbound=False, address=HERE))
    assert answers(peer(THEIR_INIT)) == [Answer(COMMAND, PeerReached(peer.view, already=False))]


def test_a_peer_that_is_connected_already_is_answered_as_such_with_the_address_in_use() -> None:
    peer = ready()
    (answer,) = answers(peer(ConnectPeer(COMMAND, ("10.0.0.1:9735",))))
    assert answer == Answer(COMMAND, PeerReached(peer.view, already=True))
    assert answer.result.peer.address == "bob.example:9735"


def test_connect_is_refused_when_nobody_is_there() -> None:
    peer = Driven()
    peer(ConnectPeer(COMMAND, (HERE,)))
    (answer,) = peer(ConnectFailed("connection refused", dialed(peer).asked_by))
    assert isinstance(answer, Answer)
    assert answer.refused.name == "CouldNotConnect"
    assert answer.refused.details["why"] == "connection refused"
    assert MOUNT.ended(peer.state)


def dialed(peer: Driven) -> WantConnection:
    """What the peer has dialed now."""
    (want,) = MOUNT.wants(peer.state)
    assert isinstance(want, WantConnection)
    return want


def answers(actions: list[Action]) -> list[Answer]:
    return [action for action in actions if isinstance(action, Answer)]


def dialing() -> Driven:
    """A peer with a channel that we dial by ourselves, at the address where it was."""
    peer = ready(CHANNEL)
    peer(Disconnected())
    peer.at(2)(TimeReached(peer.env.wall))
    assert dialed(peer).addresses == ("bob.example:9735",)
    return peer


def test_the_failure_of_a_dial_of_our_own_answers_nobody_who_gave_an_address_meanwhile() -> None:
    peer = dialing()
    ours = dialed(peer)
    assert peer(ConnectPeer(COMMAND, (HERE,))) == []
    asked = dialed(peer)
    assert asked.addresses == (HERE, "bob.example:9735")
    assert peer(ConnectFailed("refused", ours.asked_by)) == []
    assert dialed(peer) == asked, "the address that was given is tried all the same"
    (answer,) = answers(peer(ConnectFailed("nobody is here", asked.asked_by)))
    assert answer.refused.details["why"] == "nobody is here"
    (later,) = MOUNT.wants(peer.state)
    assert isinstance(later, WantTime)


def test_an_address_that_is_being_dialed_is_dialed_anew_for_who_asks_for_it() -> None:
    """What was tried before it was asked for says nothing: the peer may have come up just now."""
    peer = dialing()
    ours = dialed(peer)
    peer(ConnectPeer(COMMAND, ours.addresses))
    assert dialed(peer).addresses == ours.addresses
    assert dialed(peer) != ours


def test_of_several_callers_each_has_its_address_tried() -> None:
    peer = Driven()
    peer(ConnectPeer(COMMAND, (HERE,)))
    first = dialed(peer)
    peer(ConnectPeer(ANOTHER, ("10.0.0.2:9735",)))
    both = dialed(peer)
    assert both.addresses == ("10.0.0.2:9735", HERE)
    assert peer(ConnectFailed("refused", first.asked_by)) == []
    assert [answer.command_id for answer in answers(peer(ConnectFailed("no", both.asked_by)))] == [COMMAND, ANOTHER]


def test_who_connects_to_us_meanwhile_is_as_good_as_dialed() -> None:
    peer = dialing()
    peer(ConnectPeer(COMMAND, (HERE,)))
    asked = dialed(peer)
    peer(Connected(inbound=True, address="10.0.0.1:40000"), ConnectFailed("refused", asked.asked_by))
    (answer,) = answers(peer(THEIR_INIT))
    assert answer.result.peer.inbound and not answer.result.already


def test_who_connects_to_us_and_leaves_before_init_is_dialed_where_the_caller_said() -> None:
    peer = Driven()
    peer(ConnectPeer(COMMAND, (HERE,)))
    assert answers(peer(Connected(inbound=True), Disconnected())) == []
    assert dialed(peer).addresses == (HERE,)


@pytest.mark.parametrize("channels", [(), (CHANNEL,)])
def test_who_is_dialed_and_leaves_before_init_has_not_been_connected_to(channels: tuple[ChannelId, ...]) -> None:
    peer = Driven()
    peer(*(ChannelAttached(channel) for channel in channels))
    peer(ConnectPeer(COMMAND, (HERE,)))
    (answer,) = answers(peer(Connected(inbound=False, address=HERE), Disconnected()))
    assert answer.refused.name == "CouldNotConnect"
    assert bool(MOUNT.wants(peer.state)) is bool(channels)
    assert MOUNT.ended(peer.state) is not bool(channels)


def test_who_hangs_up_and_connects_again_waits_for_the_new_connection() -> None:
    peer = ready(CHANNEL)
    peer(DisconnectPeer(COMMAND, force=True))
    assert peer(ConnectPeer(ANOTHER, (HERE,))) == []
    peer(Disconnected())
    assert dialed(peer).addresses == (HERE, "bob.example:9735")


def test_connect_without_any_address_is_refused() -> None:
    (answer,) = Driven()(ConnectPeer(COMMAND))
    assert isinstance(answer, Answer)
    assert answer.refused.name == "NoAddress"


def test_disconnect_spares_a_peer_with_channels_unless_forced() -> None:
    peer = ready(CHANNEL)
    (answer,) = peer(DisconnectPeer(COMMAND))
    assert isinstance(answer, Answer)
    assert answer.refused.name == "PeerHasChannels"
    assert [type(action) for action in peer(DisconnectPeer(COMMAND, force=True))] == [HangUp, Answer]
    (answer,) = Driven()(DisconnectPeer(COMMAND))
    assert isinstance(answer, Answer)
    assert answer.refused.name == "NotConnected"


# -- bounds --------------------------------------------------------------------------------------------------------


def test_strangers_have_a_limited_number_of_places() -> None:
    policy = Policy(peer=PeerPolicy(max_unchannelled_peers=2))
    full = {f"peer:{n}": PeerView(NODE, ready=True, connected=True) for n in range(2)}
    stranger = Driven(an_env(policy=policy, views=full))
    assert ended_with(stranger(Connected(inbound=True)), "TooManyPeers")
    known = Driven(an_env(policy=policy, views=full))
    known(ChannelAttached(CHANNEL))
    assert isinstance(known(Connected(inbound=True))[-1], Send)
    dialed = Driven(an_env(policy=policy, views=full))
    assert len(dialed(Connected(inbound=False))) == 1


@given(st.lists(st.integers(0, 13), max_size=40), st.integers(0, 3))
def test_no_order_of_events_breaks_the_peer(choices: list[int], channels: int) -> None:
    events: list[Event | Record] = [
        Connected(inbound=True),
        Connected(inbound=False, address="a:1"),
        THEIR_INIT,
        Disconnected(),
        ConnectFailed("no"),
        ConnectFailed("no", (COMMAND,)),
        ConnectPeer(COMMAND, ("b:2",)),
        DisconnectPeer(COMMAND, force=True),
        ChannelAttached(CHANNEL),
        ChannelDetached(CHANNEL),
        TimeReached(Timestamp(1 << 40)),
        Pong(b""),
        UpdateFee(CHANNEL, 1),
        OpeningStarted(OPENING),
    ]
    peer = Driven()
    peer(*(ChannelAttached(ChannelId(bytes([50 + n]) * 32)) for n in range(channels)))
    peer(*(events[choice] for choice in choices))
    wants = MOUNT.wants(peer.state)
    assert len(wants) <= 1
    if peer.state.channels:
        assert wants, "a peer with channels is connected, being dialed, or will be"
    if peer.state.callers:
        assert wants, "nobody waits for what does not come"
