"""An Env in which nothing surprising happens."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

from fulmen.core.base.env import Basepoints, Env, Feerates
from fulmen.core.base.ids import BlockHash, NodeId, Point
from fulmen.core.base.outer import Block
from fulmen.core.base.policy import Policy
from fulmen.core.base.units import BlockHeight, FeeratePerKw, Monotonic, Timestamp

FEERATES = Feerates(*(FeeratePerKw(rate) for rate in (253, 1000, 1000, 1000, 2000, 500)))
POINT = Point(b"\x02" + bytes(31) + b"\x01")


def an_env(name: bytes = b"me", wall: int = 1_700_000_000, height: int = 100, **changes: Any) -> Env:
    """An Env of the node with this name; its entropy is a counter hashed with its purpose."""
    asked = iter(range(1 << 62))

    def entropy(purpose: str, length: int) -> bytes:
        seed = sha256(b"%s %s %d" % (name, purpose.encode(), next(asked))).digest()
        return (seed * (length // 32 + 1))[:length]

    fields: dict[str, Any] = {
        "node_id": NodeId(name.rjust(33, b"\x02")),
        "wall": Timestamp(wall),
        "mono": Monotonic(float(wall)),
        "tip": Block(BlockHeight(height), BlockHash(bytes(32))),
        "feerates": FEERATES,
        "policy": Policy(),
        "entropy": entropy,
        "ecdh": lambda point: sha256(point).digest(),
        "per_commitment_point": lambda _index, _number: POINT,
        "basepoints": lambda _index: Basepoints(POINT, POINT, POINT, POINT, POINT),
    }
    return Env(**(fields | changes))
