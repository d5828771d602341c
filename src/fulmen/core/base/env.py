"""Env: all of the outside that a decision may use, as values and plain functions.

Time (wall and monotonic apart), the tips of the chains, feerates, policy, purpose-labelled entropy, ECDH with the node
key, and public points of our channel keys. No secret key.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from fulmen.core.base.ids import ChainHash, NodeId, Point
from fulmen.core.base.outer import Block
from fulmen.core.base.policy import Policy
from fulmen.core.base.record import Record
from fulmen.core.base.units import BlockHeight, FeeratePerKw, Monotonic, Timestamp

NO_CHAIN = ChainHash(bytes(32))


class Feerates(Record):
    """What the chain source estimates, with our floor and cap applied."""

    floor_per_kw: FeeratePerKw
    """Below this the mempool takes nothing."""
    commitment_per_kw: FeeratePerKw
    """For commitment transactions of channels that need not hurry (anchors) or must confirm (static_remotekey)."""
    opening_per_kw: FeeratePerKw
    closing_per_kw: FeeratePerKw
    urgent_per_kw: FeeratePerKw
    """For what has a deadline."""
    slow_per_kw: FeeratePerKw
    """For what may take most of a day."""


class Basepoints(Record):
    """The public half of one channel's keys (BOLT 3, "Key Derivation")."""

    funding_pubkey: Point
    revocation_basepoint: Point
    payment_basepoint: Point
    delayed_payment_basepoint: Point
    htlc_basepoint: Point


@dataclass(frozen=True, slots=True)
class Env:
    """What a decision may know besides its state and its event."""

    node_id: NodeId
    wall: Timestamp
    mono: Monotonic
    tip: Block
    feerates: Feerates
    policy: Policy
    entropy: Callable[[str, int], bytes]
    """(purpose, length) -> bytes; a purpose asked twice gives fresh bytes, and a simulation's come from its seed."""
    ecdh: Callable[[Point], bytes]
    """The shared secret (SHA-256 of the compressed product) of the node key and a point."""
    per_commitment_point: Callable[[int, int], Point]
    """(channel key index, commitment number) -> our public per-commitment point."""
    basepoints: Callable[[int], Basepoints]
    """Channel key index -> our public basepoints."""
    chain_hash: ChainHash = NO_CHAIN
    """The chain our channels are on; no channel can be opened before the shell has set it."""
    views: Mapping[str, object] = field(default_factory=dict)
    """What other machines show of themselves (`Mount.view`), kept by the node."""
    behind: bool = False
    """The chain has blocks that are not read yet: `tip` is history, and no expiry can be reckoned from it."""
    read_at: BlockHeight | None = None
    """The tip when this process first came to it. None: it has not come to it yet, or nobody says."""

    @property
    def height(self) -> BlockHeight:
        """The height of the chain's tip."""
        return self.tip.height
