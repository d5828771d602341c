"""What both kinds of pathfinder have in common: words in, answers out, and who does what they want done."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import partial
from typing import Protocol, TypeVar

from fulmen.core.base.faults import Refused
from fulmen.core.base.ids import NodeId, ShortChannelId, Signature
from fulmen.core.base.machine import Address, Event
from fulmen.core.base.peers import GossipLink, GossipReceived
from fulmen.core.commitments.announcing import HalfHeard
from fulmen.core.gossip.intake import FundingOutput
from fulmen.core.routing.requests import FindRoute, Learn, RouteAnswered
from fulmen.core.routing.words import (
    BlockConnected,
    BlocksRewound,
    Find,
    Found,
    FromPathfinder,
    FundingLooked,
    GossipSigned,
    Heard,
    KeepHalf,
    LearnFrom,
    Leave,
    LookUp,
    OwnChannelGone,
    OwnChannelIs,
    OwnNodeIs,
    PassFrame,
    PeerDown,
    PeerUp,
    Question,
    Reply,
    SignGossip,
    Tick,
    ToPathfinder,
)
from fulmen.core.signer.announcing import SignAnnouncement

MAX_HEARD = 128
"""Gossip frames in one word."""
MAX_WAITING = 8 << 20
"""Bytes of gossip that may wait for the pathfinder; beyond that, what comes is dropped (law 7)."""
TICK_S = 1.0

Q = TypeVar("Q", bound=Reply)
Post = Callable[[Address, Event], None]
Hear = Callable[[ToPathfinder], None]


class PathfinderStopped(Refused):
    """The pathfinder is stopping and answers nothing more."""


class Outside(Protocol):
    """What the daemon does for the pathfinder. Nothing here may block."""

    def send_frame(self, to: NodeId, frame: bytes) -> None:
        """Send a frame, type included. Losable."""

    def hang_up(self, to: NodeId, reason: str) -> None:
        """Close the connection to a peer, after what was sent before."""

    def look_up(self, scid: ShortChannelId, found: Callable[[FundingOutput | None, bool], None]) -> None:
        """Find an unspent funding output; `found(output or None, failed)` once, from the loop."""

    def sign_gossip(
        self, request: SignAnnouncement, signed: Callable[[Signature | None, Signature | None], None]
    ) -> None:
        """Sign with the node key, and with a funding key where one is named; `signed(None, None)` if it must not be."""

    def full_outboxes(self) -> tuple[NodeId, ...]:
        """Peers that cannot take more just now."""


class Pathfinding(ABC):
    """The face of both."""

    def __init__(self, outside: Outside, post: Post) -> None:
        self._outside = outside
        self._post = post
        self._loop = asyncio.get_running_loop()
        self._number = 0
        self._asked: dict[int, tuple[Question, asyncio.Future[Reply]]] = {}
        self._heard: list[tuple[NodeId, bytes]] = []
        self._heard_bytes = 0
        self._ticking: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._standing: dict[tuple[str, bytes], ToPathfinder] = {}
        """What a new worker is told first: who is connected, what is ours, where the chain stands."""
        self.dropped = 0
        """Gossip frames that came too fast."""

    @abstractmethod
    async def start(self) -> None:
        """Be ready to be told and asked."""

    @abstractmethod
    async def stop(self) -> None:
        """Save the graph and end; what was asked and not answered is refused."""

    @abstractmethod
    def _give(self, word: ToPathfinder) -> None:
        """Hand a word over."""

    def take_over(self, other: Pathfinding) -> None:
        """Stand in for another: what it was told and asked holds for this one, from its `start` on."""
        self._asked, self._standing = other._asked, other._standing
        other._stop_ticking()

    def _stop_ticking(self) -> None:
        if self._ticking is not None:
            self._ticking.cancel()
            self._ticking = None

    @abstractmethod
    def _waiting(self) -> int:
        """How many bytes were handed over and not taken yet."""

    # -- what the node's actions lead to

    def on_link(self, action: GossipLink) -> None:
        """A peer can be asked for gossip, or no longer."""
        if action.up:
            self.tell(PeerUp(action.node_id, action.remote_features, action.networks))
        else:
            self.tell(PeerDown(action.node_id))

    def on_gossip(self, action: GossipReceived) -> None:
        """A frame of gossip; frames that come together are handed over together."""
        if self._heard_bytes + self._waiting() > MAX_WAITING:
            self.dropped += 1
            return
        if not self._heard:
            self._loop.call_soon(self._hand_over)
        self._heard.append((action.node_id, action.raw))
        self._heard_bytes += len(action.raw)
        if len(self._heard) >= MAX_HEARD:
            self._hand_over()

    def on_find(self, action: FindRoute) -> None:
        """A machine wants a route; it gets `RouteAnswered`."""

        async def answer() -> None:
            try:
                found = await self.ask(Find(0, action.request), Found)
            except PathfinderStopped:
                return  # a crash is no answer either: the machine asks again
            self._post(action.reply_to, RouteAnswered(action.ref, found.answer))

        task = self._loop.create_task(answer())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def on_learn(self, action: Learn) -> None:
        """An attempt ended."""
        self.tell(LearnFrom(action.outcome))

    # -- words

    def tell(self, word: ToPathfinder) -> None:
        """Say something that needs no answer."""
        self._hand_over()
        self._stand(word)
        self._give(word)

    async def ask(self, question: Question, kind: type[Q]) -> Q:
        """Ask something; whatever number it has is replaced.

        Raises:
            PathfinderStopped: before the answer came.
        """
        self._number += 1
        numbered: Question = question.but(number=self._number)
        answered: asyncio.Future[Reply] = self._loop.create_future()
        self._asked[self._number] = numbered, answered
        try:
            self._give(numbered)
            reply = await answered
        finally:
            self._asked.pop(numbered.number, None)
        assert isinstance(reply, kind)
        return reply

    def _hand_over(self) -> None:
        if self._heard:
            heard, self._heard, self._heard_bytes = tuple(self._heard), [], 0
            self._give(Heard(heard))

    def _stand(self, word: ToPathfinder) -> None:
        standing = self._standing
        if isinstance(word, PeerUp):
            standing["peer", word.node_id] = word
        elif isinstance(word, PeerDown):
            standing.pop(("peer", word.node_id), None)
        elif isinstance(word, OwnChannelIs):
            standing["channel", word.channel.channel_id] = word
        elif isinstance(word, OwnChannelGone):
            standing.pop(("channel", word.channel_id), None)
        elif isinstance(word, OwnNodeIs):
            standing["node", b""] = word
        elif isinstance(word, BlockConnected | BlocksRewound):
            standing["block", b""] = BlockConnected(word.height)

    def _retell(self) -> None:
        """Tell a new worker what still holds, and ask it what was not answered."""
        order = ("block", "node", "channel", "peer")
        for key in sorted(self._standing, key=lambda key: order.index(key[0])):
            self._give(self._standing[key])
        for question, _ in tuple(self._asked.values()):
            self._give(question)

    def _tick(self) -> None:
        self._ticking = self._loop.call_later(TICK_S, self._tick)
        self._give(Tick(self._outside.full_outboxes()))

    def _end(self) -> None:
        self._stop_ticking()
        for _, answered in tuple(self._asked.values()):
            if not answered.done():
                answered.set_exception(PathfinderStopped())

    # -- answers

    def _act(self, answer: FromPathfinder, reply: Hear) -> None:
        """Do what it wants. `reply` reaches the pathfinder that asked, and none that came after it."""
        outside = self._outside
        if isinstance(answer, Reply):
            asked = self._asked.get(answer.number)
            if asked is not None and not asked[1].done():
                asked[1].set_result(answer)
        elif isinstance(answer, PassFrame):
            outside.send_frame(answer.to, answer.frame)
        elif isinstance(answer, Leave):
            outside.hang_up(answer.to, answer.reason)
        elif isinstance(answer, LookUp):
            for scid in answer.scids:
                outside.look_up(scid, partial(_looked, reply, scid))
        elif isinstance(answer, KeepHalf):
            self._post(Address("channel", answer.channel_id), HalfHeard(answer.half))
        elif isinstance(answer, SignGossip):
            outside.sign_gossip(answer.request, partial(_signed, reply, answer.ticket))


def _looked(reply: Hear, scid: ShortChannelId, funding: FundingOutput | None, failed: bool) -> None:
    reply(FundingLooked(scid, funding, failed))


def _signed(reply: Hear, ticket: bytes, node: Signature | None, bitcoin: Signature | None) -> None:
    reply(GossipSigned(ticket, node, bitcoin))
