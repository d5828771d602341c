"""What the node sees of the outside at this moment: the Env of its next run."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Protocol

from fulmen.core.base.env import NO_CHAIN, Basepoints, Env, Feerates
from fulmen.core.base.ids import ChainHash, NodeId, Point
from fulmen.core.base.outer import Block
from fulmen.core.base.policy import Policy
from fulmen.core.base.units import BlockHeight, Monotonic, Timestamp


class Keys(Protocol):
    """The public side of a key holder."""

    @property
    def node_id(self) -> NodeId: ...

    def ecdh(self, point: Point) -> bytes:
        """The shared secret of the node key and a point."""

    def per_commitment_point(self, key_index: int, number: int) -> Point:
        """Our public per-commitment point."""

    def basepoints(self, key_index: int) -> Basepoints:
        """Our public basepoints."""


class Time(Protocol):
    """A clock."""

    def wall(self) -> Timestamp: ...

    def mono(self) -> Monotonic: ...


class Outlook:
    """Gives an Env whenever it is called. Whoever learns something new about the outside says so here."""

    def __init__(
        self,
        keys: Keys,
        time: Time,
        tip: Block,
        feerates: Feerates,
        policy: Policy,
        chain_hash: ChainHash = NO_CHAIN,
    ) -> None:
        self.keys = keys
        self.chain_hash = chain_hash
        self.views: Mapping[str, object] = {}
        """Those of the node, once there is one: so that it need not copy every Env to put them in."""
        self.time = time
        self.tip = tip
        self.behind = False
        self.read_at: BlockHeight | None = None
        self.feerates = feerates
        self.policy = policy
        self.entropy: Callable[[str, int], bytes] = _entropy

    def __call__(self) -> Env:
        """The outside, now."""
        return Env(
            self.keys.node_id,
            self.time.wall(),
            self.time.mono(),
            self.tip,
            self.feerates,
            self.policy,
            self.entropy,
            self.keys.ecdh,
            self.keys.per_commitment_point,
            self.keys.basepoints,
            self.chain_hash,
            self.views,
            self.behind,
            self.read_at,
        )


def _entropy(_purpose: str, length: int) -> bytes:
    return os.urandom(length)
