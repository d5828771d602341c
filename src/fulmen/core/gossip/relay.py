"""Passing gossip on: what is new, to whom wants it, at a moment of each peer's own.

BOLT 7, "Rebroadcasting". A log of keys, not of messages: what is sent is the latest word at that time, so a message
that was replaced while it waited is never sent.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from fulmen.core.base.ids import NodeId, ShortChannelId
from fulmen.core.gossip.addresses import hostnames
from fulmen.core.gossip.answers import is_disabling, passes
from fulmen.core.gossip.graph import Graph
from fulmen.core.gossip.intake import Key
from fulmen.core.gossip.policy import GossipPolicy
from fulmen.core.wire.messages.gossip import GossipTimestampFilter, NodeAnnouncement
from fulmen.core.wire.registry import decode


class Relay:
    """The log of what became known, and how far each peer was told."""

    def __init__(self, graph: Graph, policy: GossipPolicy) -> None:
        self._graph = graph
        self._policy = policy
        self._log: deque[tuple[int, Key, NodeId]] = deque()
        self._latest: dict[Key, int] = {}
        self._next = 0
        self._own: dict[Key, None] = {}

    @property
    def end(self) -> int:
        """The place in the log where a peer begins that is to hear only what comes from now on."""
        return self._next

    def add(self, key: Key, source: NodeId) -> None:
        """Something became known from a peer (or from ourselves)."""
        self._log.append((self._next, key, source))
        self._latest[key] = self._next
        self._next += 1
        while len(self._log) > self._policy.max_relay_log:
            self._drop_oldest()

    def own(self, key: Key) -> None:
        """This is about us: every peer gets it, whatever its filter says."""
        self._own[key] = None

    def disown(self, key: Key) -> None:
        """A channel of ours has ended."""
        self._own.pop(key, None)

    def own_frames(self) -> Iterator[bytes]:
        """All our own public gossip, channels first: for a peer that has just come."""
        for key in sorted(self._own, key=_rank):
            yield from self._frames(key)

    def flush(self, peer: NodeId, place: int, wanted: GossipTimestampFilter | None) -> tuple[list[bytes], int]:
        """What a peer has not been told since `place`, at most one flush of it; and its next place."""
        frames: list[bytes] = []
        start = max(0, place - self._log[0][0]) if self._log else 0
        for index in range(start, len(self._log)):
            number, key, source = self._log[index]
            if len(frames) >= self._policy.max_flush:
                return frames, number
            if self._latest.get(key) != number or source == peer:
                continue
            # BOLT 7: "MUST NOT relay any gossip messages it did not generate itself, unless explicitly requested"
            if key not in self._own and (wanted is None or not passes(wanted, self._stamp(key))):
                continue
            frames.extend(self._frames(key))
        return frames, self._next

    def forget_before(self, place: int) -> None:
        """Every peer has been told what stands before this place."""
        while self._log and self._log[0][0] < place:
            self._drop_oldest()

    def _drop_oldest(self) -> None:
        number, key, _ = self._log.popleft()
        if self._latest.get(key) == number:
            del self._latest[key]

    def _stamp(self, key: Key) -> int:
        if len(key) == 2:
            return self._graph.node_timestamp(key[1])
        kind, scid, direction = key
        if kind == "update":
            return self._graph.timestamp(scid, direction)
        # BOLT 7: "MUST consider the `timestamp` of the `channel_announcement` to be the `timestamp` of a corresponding
        # `channel_update`"
        return max(self._graph.timestamp(scid, 0), self._graph.timestamp(scid, 1))

    def _frames(self, key: Key) -> Iterator[bytes]:
        if len(key) == 2:
            frame = self._graph.node_announcement(key[1])
            if frame and _may_be_passed_on(frame):
                yield frame
            return
        kind, scid, direction = key
        spent = self._graph.spent_height(scid) is not None
        if kind == "update":
            frame = self._graph.update(scid, direction)
            # BOLT 7: "SHOULD NOT rebroadcast `channel_update`s to its peers, unless they have the `disable` bit set to
            # 1"
            if frame and (not spent or is_disabling(frame)):
                yield frame
        # BOLT 7: "If a `channel_announcement` has no corresponding `channel_update`s: MUST NOT send"
        elif not spent and self._has_update(scid):
            yield self._graph.announcement(scid)

    def _has_update(self, scid: ShortChannelId) -> bool:
        return bool(self._graph.update(scid, 0) or self._graph.update(scid, 1))


def _may_be_passed_on(frame: bytes) -> bool:
    """BOLT 7: "if more than one `type 5` address is announced: ... MUST not forward the `node_announcement`"."""
    message = decode(frame)
    assert isinstance(message, NodeAnnouncement)
    return hostnames(message.addresses) <= 1


def _rank(key: Key) -> tuple[int, int, bytes]:
    if len(key) == 2:
        return 2, 0, key[1]
    return (0 if key[0] == "channel" else 1), key[1], bytes([key[2]])
