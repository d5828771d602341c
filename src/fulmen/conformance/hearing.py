"""What the node has to say, or must not say: the steps that wait for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fulmen.conformance.checking import why_not
from fulmen.conformance.defaults.compose import compose
from fulmen.conformance.defaults.values import resolve
from fulmen.conformance.links import LinkClosed
from fulmen.conformance.peer import FakePeer
from fulmen.conformance.ranges import RangeReplies
from fulmen.conformance.script import (
    PATIENCE_S,
    Connect,
    Expect,
    ExpectClosed,
    ExpectComplaint,
    ExpectEach,
    ExpectError,
    ExpectFailure,
    ExpectGossip,
    ExpectNoGossip,
    ExpectQuiet,
    ExpectRange,
    ExpectSilence,
    Scid,
    Send,
)
from fulmen.conformance.signed import check_signed
from fulmen.conformance.talking import GOSSIP, POLL_S, ScriptFailed, Talk, line_of
from fulmen.core.base.ids import ShortChannelId
from fulmen.core.base.record import Record
from fulmen.core.gossip.encodings import encode_scids
from fulmen.core.wire import encode, name_of, type_of
from fulmen.core.wire.declare import KINDS
from fulmen.core.wire.features import TABLE
from fulmen.core.wire.messages.setup import ErrorMessage, Init, Ping, Pong, WarningMessage

QUIET_PONG = 321
"""An unlikely length, so that the pong of `ExpectQuiet` is known."""
STRANGERS_WAIT_S = 2.0
"""Of silence, and a node has told a stranger all that it knows."""


class Unsuited(Exception):
    """The node does not offer what the script is about."""


class Hearing(Talk):
    """The steps that begin with `Expect`, as far as the wire goes."""

    _strangers = 0

    def expect(self, peer: FakePeer, step: Expect) -> None:
        """One message."""
        self._next_of(peer, [step], step.within_s)

    def expect_each(self, peer: FakePeer, step: ExpectEach) -> None:
        """Several messages in any order."""
        missing = list(step.of)
        while missing:
            missing.remove(self._next_of(peer, missing, step.within_s))

    def expect_failure(self, peer: FakePeer, step: ExpectFailure) -> None:
        """An error, or the end of the connection."""
        try:
            while True:
                message = self._message(peer, step.within_s)
                if isinstance(message, ErrorMessage):
                    return
                if not isinstance(message, WarningMessage) and name_of(message) not in step.passing:
                    raise ScriptFailed(f"the node goes on with {name_of(message)}")
        except LinkClosed:
            peer.parted()

    def expect_error(self, peer: FakePeer, step: ExpectError) -> None:
        """An error."""
        while not isinstance(message := self._message(peer, step.within_s), ErrorMessage):
            if not isinstance(message, WarningMessage):
                raise ScriptFailed(f"the node goes on with {name_of(message)}")

    def expect_closed(self, peer: FakePeer, step: ExpectClosed) -> None:
        """The end of the connection."""
        try:
            while isinstance(message := self._message(peer, step.within_s), (WarningMessage, ErrorMessage)):
                pass
        except LinkClosed:
            peer.parted()
            return
        raise ScriptFailed(f"the node goes on with {name_of(message)}")

    def expect_complaint(self, peer: FakePeer, step: ExpectComplaint) -> None:
        """A warning, an error, or the end of the connection."""
        try:
            message = self._message(peer, step.within_s)
        except LinkClosed:
            peer.parted()
            return
        if not isinstance(message, (WarningMessage, ErrorMessage)):
            raise ScriptFailed(f"the node goes on with {name_of(message)}")

    def expect_quiet(self, peer: FakePeer, step: ExpectQuiet) -> None:
        """A pong, and nothing else, for a while."""
        self._send(peer, encode(Ping(QUIET_PONG, b"")), "ping, to see whether the node is there and has nothing to say")
        answered = False
        deadline = self._subject.now() + step.for_s
        while not answered or self._subject.now() < deadline:
            left = max(0.0, deadline - self._subject.now())
            message = self._message_or_none(peer, left if answered else PATIENCE_S * self._subject.patience)
            if message is None:
                if answered:
                    return
                raise ScriptFailed("the node does not answer a ping")
            if isinstance(message, Pong) and len(message.ignored) == QUIET_PONG:
                answered = True
            else:
                raise ScriptFailed(f"the node says {name_of(message)}, where nothing is due")

    def expect_silence(self, peer: FakePeer, step: ExpectSilence) -> None:
        """Nothing, or the end of the connection."""
        try:
            while (message := self._message_or_none(peer, step.for_s)) is not None:
                if not isinstance(message, (WarningMessage, ErrorMessage)):
                    raise ScriptFailed(f"the node says {name_of(message)}, where nothing is due")
        except LinkClosed:
            peer.parted()

    def expect_no_gossip(self, peer: FakePeer, step: ExpectNoGossip) -> None:
        """Whatever comes, none of these."""
        deadline = self._subject.now() + step.for_s
        while (left := deadline - self._subject.now()) > 0:
            message = self._message_or_none(peer, left, gossip=True)
            if message is None or name_of(message) not in step.messages or not self._concerns_us(message):
                continue
            if _may_be(peer, message, step.fields):
                raise ScriptFailed(f"the node says {name_of(message)}")

    def _concerns_us(self, message: Record) -> bool:
        """Whether gossip is about the channels and peers of this script; a node has others to speak of."""
        names: set[object] = {self._cast.announced.scid} if self._cast.announced is not None else set()
        for peer in self._cast.peers.values():
            names.add(peer.node_id)
            if peer.channel is not None:
                names |= {peer.channel.channel_id, peer.channel.scid}
        return any(getattr(message, name, None) in names for name in ("short_channel_id", "channel_id", "node_id"))

    def expect_range(self, peer: FakePeer, step: ExpectRange) -> None:
        """All `reply_channel_range` to the last query, and nothing after the one that calls itself the last."""
        replies = RangeReplies(peer, extended=step.extended)
        while not replies.complete:
            self._next_of(peer, [Expect("reply_channel_range")], step.within_s)
            if wrong := replies.add(peer.told["reply_channel_range"]):
                raise ScriptFailed(wrong)
        if step.lists and resolve(peer, Scid()) not in replies.scids:
            raise ScriptFailed("the replies do not list the channel that was announced")
        self._send(peer, encode(Ping(QUIET_PONG, b"")), "ping, to see whether that was all")
        while not isinstance(message := self._message(peer, step.within_s, gossip=True), Pong):
            if name_of(message) == "reply_channel_range":
                raise ScriptFailed("a reply_channel_range follows the one with sync_complete")

    def expect_gossip(self, peer: FakePeer, step: ExpectGossip) -> None:
        """Ask for the announced channel until the answer is as expected, or time is up."""
        deadline = self._subject.now() + step.within_s
        if not step.known:
            # Give it the time to be wrong in.
            self.expect_quiet(peer, ExpectQuiet(1.0))
        while True:
            found = self._knows(peer, step)
            if found == step.known:
                return
            if not step.known or self._subject.now() >= deadline:
                wanted = "does not know" if step.known else "knows"
                raise ScriptFailed(f"the node {wanted} the {step.message}")
            self._message_or_none(peer, POLL_S)

    def _knows(self, peer: FakePeer, step: ExpectGossip) -> bool:
        wanted: ShortChannelId = resolve(peer, Scid() if step.scid is None else step.scid)
        if self._subject.answers_queries:
            known = self._asked_for(peer, step, wanted)
            if known is not None:
                return known
            self._subject.answers_queries = False
        return self._told_to_strangers(peer, step, wanted)

    def _asked_for(self, peer: FakePeer, step: ExpectGossip, wanted: ShortChannelId) -> bool | None:
        """What a query gives; None from a node that does not answer it."""
        message = compose(peer, "query_short_channel_ids", {"encoded_short_ids": encode_scids([wanted])})
        self._send(peer, encode(message), line_of(message))
        found = False
        while (answer := self._message_or_none(peer, step.within_s, gossip=True)) is not None:
            self._heard(peer, answer)
            if name_of(answer) == "reply_short_channel_ids_end":
                return found
            found = found or _tells(peer, answer, step, wanted)
        return None

    def _told_to_strangers(self, peer: FakePeer, step: ExpectGossip, wanted: ShortChannelId) -> bool:
        """What somebody new is told who asks for all gossip: the other way to see what a node knows."""
        self._strangers += 1
        stranger = FakePeer(f"stranger {self._strangers}", self._cast)
        self.connect(stranger, Connect())
        try:
            self._next_of(stranger, [Expect("init")], step.within_s)
            for name in ("init", "gossip_timestamp_filter"):
                self.send(stranger, Send(name))
            found = False
            while (told := self._message_or_none(stranger, STRANGERS_WAIT_S, gossip=True)) is not None:
                check_signed(stranger, told)
                found = found or _tells(peer, told, step, wanted)
            return found
        finally:
            stranger.parted()

    def _next_of(self, peer: FakePeer, expected: Sequence[Expect], within_s: float) -> Expect:
        names = {each.message: each for each in expected}
        gossip = any(type_of_name(name) in GOSSIP for name in names)
        deadline = self._subject.now() + within_s
        passed_over = ""
        while True:
            message = self._message_or_none(peer, deadline - self._subject.now(), gossip=gossip)
            if message is None:
                raise ScriptFailed(f"nothing of {' or '.join(names)} came within {within_s:g} s{passed_over}")
            found = names.get(name_of(message))
            early = [each for each in expected if name_of(message) in each.ahead_of]
            if early and self._concerns_us(message) and _may_be(peer, message, early[0].fields):
                raise ScriptFailed(f"the node says {name_of(message)} before {early[0].message}")
            if found is None and (isinstance(message, WarningMessage) or (gossip and type_of(message) in GOSSIP)):
                continue
            if found is None and any(name_of(message) in each.passing for each in expected):
                continue
            if found is None:
                raise ScriptFailed(f"the node says {name_of(message)}, not {' or '.join(names)}")
            if not found.lost:
                self._heard(peer, message)
            self._check_offers(peer, message)
            if found.suited and (unsuited := why_not(peer, message, found.suited)):
                raise Unsuited(f"here no rule can be broken alone: {unsuited}")
            why = why_not(peer, message, found.fields)
            if not why:
                return found
            if gossip:
                # There may be more of it, about other things.
                passed_over = f" that fits (of the last one {why})"
                continue
            raise ScriptFailed(why)

    def _check_offers(self, peer: FakePeer, message: Record) -> None:
        if isinstance(message, Init):
            missing = [TABLE[bit].name for bit in self._script.offers if not peer.node_features.supports(bit)]
            if missing:
                raise Unsuited(f"the node does not offer {', '.join(missing)}")


def _may_be(peer: FakePeer, message: Record, fields: Mapping[str, Any]) -> bool:
    """Whether the fields are so, as far as a message has them."""
    return not why_not(peer, message, {name: value for name, value in fields.items() if hasattr(message, name)})


def _tells(peer: FakePeer, message: Record, step: ExpectGossip, wanted: ShortChannelId) -> bool:
    """Whether a message is the gossip that a step asks for."""
    if name_of(message) != step.message or why_not(peer, message, step.fields):
        return False
    return getattr(message, "short_channel_id", wanted) == wanted


def type_of_name(name: str) -> int:
    """The number of a message."""
    return _NUMBERS[name]


_NUMBERS = {kind.name: kind.number for kind in KINDS.values()}
