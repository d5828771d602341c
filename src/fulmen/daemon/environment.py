"""The outside as the core sees it: clocks, dice, the chain's tip and its prices, and the public half of our keys."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping

from fulmen.adapters.keys.in_process import InProcessKeys
from fulmen.core.base.env import Env, Feerates
from fulmen.core.base.outer import Block
from fulmen.core.base.policy import Policy
from fulmen.core.base.units import Monotonic, Timestamp
from fulmen.core.bitcoin.networks import Network


class Environment:
    """Makes an `Env` for each run of the node. The chain's tip, the feerates and the policy are set from outside."""

    def __init__(self, keys: InProcessKeys, network: Network, policy: Policy, tip: Block, feerates: Feerates) -> None:
        self._keys = keys
        self._network = network
        self.policy = policy
        self.tip = tip
        self.feerates = feerates
        self.views: Mapping[str, object] = {}
        """Those of the node, once there is one: so that it need not copy the Env to put them in."""

    def __call__(self) -> Env:
        """The Env of this instant."""
        return Env(
            node_id=self._keys.node_id,
            wall=self.wall(),
            mono=Monotonic(time.monotonic()),
            tip=self.tip,
            feerates=self.feerates,
            policy=self.policy,
            entropy=_entropy,
            ecdh=self._keys.ecdh,
            per_commitment_point=self._keys.per_commitment_point,
            basepoints=self._keys.basepoints,
            chain_hash=self._network.chain_hash,
            views=self.views,
        )

    @staticmethod
    def wall() -> Timestamp:
        """Seconds since 1970."""
        return Timestamp(int(time.time()))


def _entropy(_purpose: str, length: int) -> bytes:
    """Fresh randomness; the purpose matters only where chance is drawn from a seed."""
    return os.urandom(length)
