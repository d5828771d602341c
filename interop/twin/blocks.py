"""Blocks made by hand: good ones, and ones with one named defect; and the chain on which all cases stand."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import cycle, islice

from fulmen.core.base.ids import BlockHash, OutPoint, Txid
from fulmen.core.base.units import BlockHeight, Sat
from fulmen.core.bitcoin.block import BlockHeader, WholeBlock, coinbase_tx, has_proof_of_work, merkle_root, parse_block
from fulmen.core.bitcoin.networks import REGTEST
from fulmen.core.bitcoin.opcodes import OP_CHECKSIG
from fulmen.core.bitcoin.transaction import Tx, TxOut
from fulmen.regtest.params import GENESIS_BLOCK, subsidy
from interop.twin.coins import KINDS, Coin, coins_of, pay

START = 1_700_000_000
"""The time at which all cases begin. It lies in the past: Core's validation in our process reads the real clock."""
BASE_HEIGHT = 120
SPLIT = 8
"""So many of the first blocks pay their reward in small coins."""
COINS_PER_BLOCK = 500
COIN_SAT = 10_000_000

DEFECTS = (
    "merkle",
    "commitment",
    "no-commitment",
    "reward",
    "height",
    "old",
    "future",
    "version",
    "work",
    "bits",
    "twice",
    "two-coinbases",
    "no-coinbase",
    "orphan",
    "sigops",
    "cut",
    "nonce-size",
)


def make_block(
    previous: bytes,
    height: int,
    median_time: int,
    time: int,
    txs: Sequence[Tx] = (),
    *,
    outputs: Sequence[TxOut] = (),
    defect: str = "",
    extra: bytes = b"twin",
) -> bytes:
    """The bytes of a block on another one.

    Args:
        outputs: what the coinbase pays; by default a little to anybody. Fees are left alone.
        defect: one of `DEFECTS`, or nothing.
    """
    reward = list(outputs) or [pay("wsh", 1000)]
    if defect == "reward":
        reward = [pay("wsh", subsidy(height) + 1)]
    if defect == "sigops":
        reward.append(TxOut(Sat(0), OP_CHECKSIG * 20_001))
    said = height + 1 if defect == "height" else height
    coinbase = coinbase_tx(BlockHeight(said), tuple(reward), tuple(txs), extra)
    if defect == "commitment":
        spoilt = coinbase.outputs[-1]
        script = spoilt.script_pubkey[:-1] + bytes([spoilt.script_pubkey[-1] ^ 1])
        coinbase = coinbase.but(outputs=(*coinbase.outputs[:-1], spoilt.but(script_pubkey=script)))
    if defect == "nonce-size":
        [mint] = coinbase.inputs
        coinbase = coinbase.but(inputs=(mint.but(witness=(bytes(31),)),))
    if defect == "no-commitment":
        [mint] = coinbase.inputs
        coinbase = coinbase.but(inputs=(mint.but(witness=()),), outputs=coinbase.outputs[:-1])
    whole = [coinbase, *txs]
    if defect == "twice":
        whole.append(whole[-1])
    if defect == "two-coinbases":
        whole.append(coinbase_tx(BlockHeight(height), (pay("wsh", 1),), (), b"again"))
    if defect == "no-coinbase":
        whole = whole[1:] or [coinbase.but(inputs=(coinbase.inputs[0].but(outpoint=OutPoint(Txid(bytes(32)), 0)),))]
    root, _ = merkle_root([tx.txid for tx in whole])
    if defect == "merkle":
        root = bytes(32)
    time = {"old": median_time, "future": time + 7201}.get(defect, max(time, median_time + 1))
    version = 3 if defect == "version" else 0x20000000
    bits = REGTEST.pow_limit_bits - 1 if defect == "bits" else REGTEST.pow_limit_bits
    before = bytes(31) + b"\x01" if defect == "orphan" else previous
    nonce = 0
    while True:
        header = BlockHeader(version, BlockHash(before), root, time, bits, nonce)
        if has_proof_of_work(header, REGTEST) != (defect == "work"):
            break
        nonce += 1
    raw = WholeBlock(header, tuple(whole)).serialize()
    return raw[:-1] if defect == "cut" else raw


@lru_cache(maxsize=1)
def base_blocks() -> tuple[bytes, ...]:
    """The blocks from height 1 to `BASE_HEIGHT`."""
    made: list[bytes] = []
    previous = parse_block(GENESIS_BLOCK).header
    for height in range(1, BASE_HEIGHT + 1):
        time = START - 600 * (BASE_HEIGHT - height)
        kinds = islice(cycle(_ORDER), COINS_PER_BLOCK)
        outputs = [pay(kind, COIN_SAT) for kind in kinds] if height <= SPLIT else [pay("wsh", subsidy(height))]
        made.append(make_block(previous.hash, height, time - 1, time, outputs=outputs, extra=b"base"))
        previous = parse_block(made[-1]).header
    return tuple(made)


@lru_cache(maxsize=1)
def base_block_hashes() -> tuple[str, ...]:
    """Their hashes, as explorers print them."""
    return tuple([parse_block(raw).header.hash[::-1].hex() for raw in base_blocks()])


@lru_cache(maxsize=1)
def base_coins() -> tuple[Coin, ...]:
    """The small coins, in the order of `_ORDER` over and over."""
    return tuple([coin for raw in base_blocks()[:SPLIT] for coin in coins_of(parse_block(raw).txs[0])])


@lru_cache(maxsize=1)
def base_rewards() -> dict[int, Coin]:
    """The whole rewards by their heights."""
    return {
        height: coins_of(parse_block(base_blocks()[height - 1]).txs[0])[0]
        for height in range(SPLIT + 1, BASE_HEIGHT + 1)
    }


GROUP = 10
"""Coins for one case: four that are cheap to spend, one each with ECDSA and Schnorr, and four of the other kinds."""
_OTHERS = [kind for kind in KINDS if kind not in ("wsh", "wpkh", "tr")]
_ORDER = [
    kind
    for at in range(0, 4 * len(_OTHERS), 4)
    for kind in ("wsh", "wsh", "wsh", "wsh", "wpkh", "tr", *islice(cycle(_OTHERS), at, at + 4))
]
CASES_PER_CHAPTER = SPLIT * COINS_PER_BLOCK // GROUP
assert COINS_PER_BLOCK % GROUP == 0
