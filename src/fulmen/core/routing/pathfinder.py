"""The pathfinder: gossip, the graph that comes of it, and the ways through it, behind one door.

Pure, and driven from outside by `words`: the daemon runs it in a process of its own, the simulator in line. What costs
time (signatures to verify, arrays to build) is done in slices by `work`, so that a question never waits long.
"""

from __future__ import annotations

from collections.abc import Callable

from fulmen.core.base.ids import ChannelId
from fulmen.core.base.machine import Action, Tell, Topic
from fulmen.core.base.outer import HangUp, Send
from fulmen.core.base.units import Timestamp
from fulmen.core.commitments.announcing import HalfHeard
from fulmen.core.gossip.desk import Gossip, PassOn
from fulmen.core.gossip.graph import Graph, GraphChannel, NodeInfo
from fulmen.core.gossip.intake import Question as Checking
from fulmen.core.gossip.signatures import all_hold
from fulmen.core.routing.edges import Edges
from fulmen.core.routing.feed import Feed
from fulmen.core.routing.finder import Finder, SearchFunction
from fulmen.core.routing.requests import NoRoute, NoRouteReason, Route
from fulmen.core.routing.words import (
    MAX_PAGE,
    BlockConnected,
    BlocksRewound,
    Channels,
    Find,
    Found,
    FromPathfinder,
    FundingLooked,
    GossipSigned,
    Heard,
    HowMuch,
    KeepHalf,
    Known,
    LearnFrom,
    Leave,
    ListChannels,
    ListNodes,
    LookUp,
    Nodes,
    OwnChannelGone,
    OwnChannelIs,
    OwnNodeIs,
    PassFrame,
    PeerDown,
    PeerUp,
    RemoteTerms,
    Settings,
    SignGossip,
    Terms,
    Tick,
    ToPathfinder,
)
from fulmen.core.wire import encode
from fulmen.core.wire.features import Features

SMALL = 2_000
"""A graph of so many channels is built anew whenever somebody asks."""
REBUILD_S = 10
"""A larger one no more often than this, unless nothing is found without it."""

words = Topic()


class Pathfinder:
    """Everything the node knows of the network, and where that leads."""

    def __init__(self, settings: Settings, graph: Graph | None = None) -> None:
        self.gossip = Gossip(
            settings.policy, settings.chain_hash, settings.node_id, Features.from_bytes(settings.features), graph
        )
        self.finder = Finder()
        self._feed = Feed(self.gossip.graph, self.finder)
        self._built_at: Timestamp | None = None
        self._compile: Callable[[Edges], SearchFunction] | None = None
        self._checks: list[Checking] = []
        self._answers: list[FromPathfinder] = []

    def hear(self, word: ToPathfinder, now: Timestamp) -> None:
        """Be told or asked something. What it leads to comes out of `take`, some of it after `work`."""
        handler = words.get(type(word))
        assert handler is not None
        handler(self, word, now)
        self._collect()

    def work(self, now: Timestamp, checks: int = 16) -> bool:
        """Do a slice of what is waiting: at most so many messages' signatures. True while there is more."""
        slice_, self._checks = self._checks[:checks], self._checks[checks:]
        for question in slice_:
            self.gossip.checked(question.ticket, all_hold(question.checks), now)
        if not slice_ and self._may_rebuild(now) and self._feed.stale:
            self._refresh(now)
        self._collect()
        return bool(self._checks)

    def take(self) -> list[FromPathfinder]:
        """What it says, oldest first."""
        answers, self._answers = self._answers, []
        return answers

    def speed_up(self, compile: Callable[[Edges], SearchFunction]) -> None:
        """Search with what this makes of the arrays, from now on."""
        self._compile = compile
        self.finder.use(compile(self.finder.edges))

    # -- routes

    def _find(self, find: Find, now: Timestamp) -> Found:
        small = len(self.gossip.graph) <= SMALL
        self._refresh(now, rebuild=small or self._may_rebuild(now))
        answer = self.finder.find(find.request, now)
        if isinstance(answer, NoRoute) and answer.reason in _MAYBE_NEWS and self._feed.stale:
            self._refresh(now)
            answer = self.finder.find(find.request, now)
        if isinstance(answer, Route):
            return Found(find.number, route=answer)
        return Found(find.number, no_route=answer)

    def _may_rebuild(self, now: Timestamp) -> bool:
        return self._built_at is None or now - self._built_at >= REBUILD_S

    def _refresh(self, now: Timestamp, rebuild: bool = True) -> None:
        if self._feed.refresh(rebuild):
            self._built_at = now
            if self._compile is not None:
                self.finder.use(self._compile(self.finder.edges))

    # -- what gossip wants done

    def _collect(self) -> None:
        gossip, answers = self.gossip, self._answers
        self._checks += gossip.take_checks()
        lookups = gossip.take_lookups()
        if lookups:
            answers.append(LookUp(tuple(lookups)))
        for ticket, unsigned in gossip.take_to_sign():
            answers.append(SignGossip(ticket, unsigned.request))
        answers += map(_outward, gossip.take_actions())

    def _page_of_channels(self, asked: ListChannels) -> Channels:
        graph, limit = self.gossip.graph, max(1, min(asked.limit, MAX_PAGE))
        if asked.node_id is None:
            scids = graph.scids_between(asked.first, 1 << 64, limit)
        else:
            scids = sorted(scid for scid in graph.channels_of(asked.node_id) if scid >= asked.first)[:limit]
        found: list[GraphChannel] = []
        for scid in scids:
            channel = graph.channel(scid)
            if channel is not None:
                found.append(channel)
        return Channels(asked.number, tuple(found))

    def _page_of_nodes(self, asked: ListNodes) -> Nodes:
        graph, limit = self.gossip.graph, max(1, min(asked.limit, MAX_PAGE))
        page = [node_id for node_id in graph.node_ids() if node_id > asked.after][:limit]
        nodes = []
        for node_id in page:
            said = graph.node(node_id)
            channels = len(graph.channels_of(node_id))
            nodes.append(said or NodeInfo(node_id, "", b"", b"", (), Timestamp(0), channels))
        return Nodes(asked.number, tuple(nodes))

    # -- words

    @words.on(PeerUp)
    def _on_peer_up(self, word: PeerUp, now: Timestamp) -> None:
        self.gossip.connected(word.node_id, Features.from_bytes(word.features), word.networks, now)

    @words.on(PeerDown)
    def _on_peer_down(self, word: PeerDown, now: Timestamp) -> None:
        self.gossip.disconnected(word.node_id, now)

    @words.on(Heard)
    def _on_heard(self, word: Heard, now: Timestamp) -> None:
        for node_id, frame in word.frames:
            self.gossip.receive(node_id, frame, now)

    @words.on(BlockConnected)
    def _on_block(self, word: BlockConnected, _now: Timestamp) -> None:
        self.gossip.block(word.height, word.spent)

    @words.on(BlocksRewound)
    def _on_rewound(self, word: BlocksRewound, _now: Timestamp) -> None:
        self.gossip.rewound(word.height)

    @words.on(FundingLooked)
    def _on_funding(self, word: FundingLooked, now: Timestamp) -> None:
        if word.failed:
            self.gossip.lookup_failed(word.scid)
        else:
            self.gossip.looked_up(word.scid, word.funding, now)

    @words.on(OwnNodeIs)
    def _on_own_node(self, word: OwnNodeIs, _now: Timestamp) -> None:
        self.gossip.set_node(word.node)

    @words.on(OwnChannelIs)
    def _on_own_channel(self, word: OwnChannelIs, now: Timestamp) -> None:
        self.gossip.set_channel(word.channel, now)

    @words.on(OwnChannelGone)
    def _on_own_channel_gone(self, word: OwnChannelGone, _now: Timestamp) -> None:
        self.gossip.remove_channel(word.channel_id)

    @words.on(GossipSigned)
    def _on_signed(self, word: GossipSigned, now: Timestamp) -> None:
        if word.node_signature is None:
            self.gossip.unsigned(word.ticket)
        else:
            self.gossip.signed(word.ticket, word.node_signature, word.bitcoin_signature, now)

    @words.on(Tick)
    def _on_tick(self, word: Tick, now: Timestamp) -> None:
        self.gossip.tick(now, word.full)

    @words.on(LearnFrom)
    def _on_learn(self, word: LearnFrom, now: Timestamp) -> None:
        self.finder.learn(word.outcome, now)

    @words.on(Find)
    def _on_find(self, word: Find, now: Timestamp) -> None:
        self._answers.append(self._find(word, now))

    @words.on(ListChannels)
    def _on_list_channels(self, word: ListChannels, _now: Timestamp) -> None:
        self._answers.append(self._page_of_channels(word))

    @words.on(ListNodes)
    def _on_list_nodes(self, word: ListNodes, _now: Timestamp) -> None:
        self._answers.append(self._page_of_nodes(word))

    @words.on(RemoteTerms)
    def _on_remote_terms(self, word: RemoteTerms, _now: Timestamp) -> None:
        self._answers.append(Terms(word.number, self.gossip.announcer.remote_terms(word.channel_id)))

    @words.on(HowMuch)
    def _on_how_much(self, word: HowMuch, _now: Timestamp) -> None:
        graph = self.gossip.graph
        known = Known(word.number, len(graph), graph.node_count(), self.gossip.synced(), self._compile is not None)
        self._answers.append(known)


_MAYBE_NEWS = (NoRouteReason.NO_PATH, NoRouteReason.UNKNOWN_DESTINATION, NoRouteReason.FEE_LIMIT)
"""Reasons that channels which are not in the arrays yet could undo."""


def _outward(action: Action) -> FromPathfinder:
    if isinstance(action, PassOn):
        return PassFrame(action.to, action.frame)
    if isinstance(action, Send):
        return PassFrame(action.to, encode(action.message))
    if isinstance(action, Tell):
        assert isinstance(action.event, HalfHeard)
        return KeepHalf(ChannelId(action.to.key), action.event.half)
    assert isinstance(action, HangUp)
    return Leave(action.to, action.reason)
