"""The miner: takes what pays best, and works for it.

Chunks of related transactions go in by feerate, so a child pays for its parents.
"""

from __future__ import annotations

from fulmen.core.base.units import BlockHeight, Sat
from fulmen.core.bitcoin.block import (
    MAX_BLOCK_WEIGHT,
    BlockHeader,
    WholeBlock,
    coinbase_tx,
    has_proof_of_work,
    merkle_root,
)
from fulmen.core.bitcoin.networks import REGTEST
from fulmen.core.bitcoin.transaction import Tx, TxOut
from fulmen.regtest.blocktree import Entry
from fulmen.regtest.clusters import Chunk, chunks_of
from fulmen.regtest.mempool import Mempool, Pooled
from fulmen.regtest.params import BLOCK_VERSION, MAX_BLOCK_SIGOPS_COST, subsidy

RESERVED_WEIGHT = 8_000
"""Kept for the header and the coinbase."""
RESERVED_SIGOPS_COST = 400
MIN_SAT_PER_KVB = 1
"""What pays nothing is not mined."""


def select(pool: Mempool) -> list[Pooled]:
    """What goes into the next block, parents first."""
    queue: list[tuple[int, Chunk[Pooled]]] = []
    for number, cluster in enumerate(pool.clusters()):
        queue += [(number, chunk) for chunk in chunks_of(cluster)]
    queue = [(number, chunk) for number, chunk in queue if chunk.fee * 4000 >= MIN_SAT_PER_KVB * chunk.weight]
    queue.sort(key=lambda item: -item[1].feerate)
    chosen: list[Pooled] = []
    weight, sigops = RESERVED_WEIGHT, RESERVED_SIGOPS_COST
    left_out: set[int] = set()
    for number, chunk in queue:
        more = sum(pooled.tx.weight for pooled in chunk.members)
        checks = sum(pooled.sigops_cost for pooled in chunk.members)
        fits = weight + more <= MAX_BLOCK_WEIGHT and sigops + checks <= MAX_BLOCK_SIGOPS_COST
        if not fits or number in left_out:
            # Later chunks of the same cluster may build on this one.
            left_out.add(number)
            continue
        chosen += chunk.members
        weight += more
        sigops += checks
    return chosen


def assemble(
    tip: Entry, txs: tuple[Tx, ...], fees_sat: Sat, script_pubkey: bytes, now: int, extra: bytes
) -> WholeBlock:
    """A block on the tip with these transactions that pays its reward to a script, its work done.

    `extra` makes the coinbase unlike any other.
    """
    height = BlockHeight(tip.height + 1)
    reward = Sat(subsidy(height) + fees_sat)
    coinbase = coinbase_tx(height, (TxOut(reward, script_pubkey),), txs, extra)
    txs = (coinbase, *txs)
    root, _ = merkle_root([tx.txid for tx in txs])
    time = max(tip.median_time_past + 1, now)
    nonce = 0
    while True:
        header = BlockHeader(BLOCK_VERSION, tip.hash, root, time, REGTEST.pow_limit_bits, nonce)
        if has_proof_of_work(header, REGTEST):
            return WholeBlock(header, txs)
        nonce += 1
