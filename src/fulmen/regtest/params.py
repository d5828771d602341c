"""What regtest is: genesis, subsidy, limits.

Source: Bitcoin Core, `CRegTestParams` (kernel/chainparams.cpp) and consensus/consensus.h.
"""

from __future__ import annotations

from fulmen.core.base.units import Sat
from fulmen.core.bitcoin.block import target_of
from fulmen.core.bitcoin.networks import REGTEST

GENESIS_BLOCK = bytes.fromhex(
    "0100000000000000000000000000000000000000000000000000000000000000000000003ba3edfd7a7b12b27ac72c3e"
    "67768f617fc81bc3888a51323a9fb8aa4b1e5e4adae5494dffff7f20020000000101000000010000000000000000000000"
    "000000000000000000000000000000000000000000ffffffff4d04ffff001d0104455468652054696d65732030332f4a616e"
    "2f32303039204368616e63656c6c6f72206f6e206272696e6b206f66207365636f6e64206261696c6f757420666f7220"
    "62616e6b73ffffffff0100f2052a01000000434104678afdb0fe5548271967f1a67130b7105cd6a828e03909a67962e0"
    "ea1f61deb649f6bc3f4cef38c4f35504e51ec112de5c384df7ba0b8d578a4c702b6bf11d5fac00000000"
)
WORK_PER_BLOCK = (1 << 256) // (target_of(REGTEST.pow_limit_bits) + 1)
"""Regtest never retargets, so every block is worth the same."""
BLOCK_VERSION = 0x20000000
MAX_BLOCK_SIGOPS_COST = 80_000
MAX_FUTURE_BLOCK_TIME = 2 * 60 * 60
MEDIAN_TIME_SPAN = 11


def subsidy(height: int) -> Sat:
    """What the coinbase at a height may create."""
    halvings = height // REGTEST.halving_interval
    return Sat(0) if halvings >= 64 else Sat(5_000_000_000 >> halvings)
