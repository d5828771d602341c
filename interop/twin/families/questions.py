"""What wallets and nodes ask of a chain: LND, LDK and Electrum servers; rightly and wrongly."""

from __future__ import annotations

from random import Random
from typing import Any

from fulmen.core.bitcoin.address import address_of
from fulmen.core.bitcoin.networks import REGTEST
from fulmen.core.bitcoin.transaction import Tx
from interop.twin.blocks import base_block_hashes
from interop.twin.coins import KINDS, SAFE, Coin, coins_of, out, padding
from interop.twin.drafts import draft
from interop.twin.families.registry import family
from interop.twin.steps import Ask, Invalidate, Mine, Package, Send, Step, World

NOBODY = "00" * 31 + "77"
WRONG_HASHES = ("zz" * 32, "00", "", 7, None, NOBODY)
ADDRESSES = tuple(address_of(KINDS[kind], REGTEST) for kind in ("wpkh", "tr", "wsh", "pkh", "sh"))
NOT_ADDRESSES = ("", "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4", "bcrt1qqqq", "3J98t1WpEZ73CNmQviecrnyiWrnqRhWNLy", 5)


@family(12)
def question(rng: Random, coins: list[Coin], world: World) -> list[Step]:
    """Questions about the chain, blocks, transactions, outputs and the mempool."""
    old = draft(
        [*coins[4:6], *[coin for coin in coins[6:10] if coin.kind in SAFE]],
        ["wsh", rng.choice(SAFE), "anchor"],
        fee=5_000,
        extra=[padding(rng.choice([1, 80, 200]))],
    )
    spender = draft(coins_of(old)[:1], ["wsh", "wsh"], fee=3_000)
    parent = draft([coins[0]], ["wsh", "tr", "wpkh"], fee=rng.choice([0, 2_000]), version=3)
    child = draft(coins_of(parent)[:1], ["wsh"], fee=10_000, version=3)
    odd = draft([coins[1]], ["wsh"], fee=1_000, extra=[out(0, b"\x6a\x02hi"), out(1_000, KINDS["multi"])])
    steps: list[Step] = [Send(old), Send(spender), Mine(rng.randrange(3))]
    steps += [Package((parent, child)), Send(odd)]
    if rng.random() < 0.2:
        steps += [Mine(rng.randrange(3)), Invalidate(1)]
    about = [old, spender, parent, child, odd]
    asked = rng.sample(_chain_questions(rng, world) + _tx_questions(rng, about, coins), 14)
    return steps + [Ask(method, tuple(params)) for method, *params in asked]


def _chain_questions(rng: Random, world: World) -> list[tuple[Any, ...]]:
    known = rng.choice(base_block_hashes())
    block = rng.choice(["@tip", "@tip", known, rng.choice(WRONG_HASHES)])
    height = rng.choice([0, 1, 50, world.height, world.height + 1, world.height + 2, -1, 1 << 31, "1", 1.5, None])
    address = rng.choice([*ADDRESSES, *NOT_ADDRESSES])
    found = [f"addr({each})" for each in ADDRESSES[:2]]
    return [
        ("getblockchaininfo",),
        ("getblockcount",),
        ("getbestblockhash",),
        ("getdifficulty",),
        ("getchaintips",),
        ("getdeploymentinfo", *rng.choice([(), (block,)])),
        ("getindexinfo", *rng.choice([(), ("txindex",), ("other",)])),
        ("getblockhash", height),
        ("getblockheader", block, *rng.choice([(), (True,), (False,), (1,)])),
        ("getblock", block, *rng.choice([(), (0,), (1,), (2,), (3,), (True,), (False,), ("1",)])),
        ("getblockfilter", block, *rng.choice([(), ("basic",), ("other",)])),
        ("validateaddress", address),
        ("scantxoutset", "start", rng.choice([found, ["raw(51)"], [{"desc": found[0]}], [], ["nonsense"], "raw(51)"])),
        ("scantxoutset", rng.choice(["status", "abort", "other"])),
        ("getnetworkinfo",),
        ("getconnectioncount",),
        ("getpeerinfo",),
        ("getinfo",),
        ("uptime",),
        ("estimatesmartfee", rng.choice([0, 1, 6, 1008, 1009, "6"]), *rng.choice([(), ("CONSERVATIVE",), ("odd",)])),
        ("getmempoolinfo",),
        ("getrawmempool", *rng.choice([(), (True,), (False,), (False, True), (True, True), (1,)])),
        ("gettxoutsetinfo", *rng.choice([(), ("muhash",), ("none",), ("other",), ("none", 1)])),
    ]


def _tx_questions(rng: Random, about: list[Tx], coins: list[Coin]) -> list[tuple[Any, ...]]:
    names = [tx.txid[::-1].hex() for tx in about]
    txid = rng.choice([*names, *names, rng.choice(WRONG_HASHES)])
    coin = coins[rng.choice([0, 1, 2])]
    vout = rng.choice([0, 0, 1, 2, 7, -1, "0"])
    wanted = [{"txid": rng.choice(names), "vout": rng.choice([0, 1, 2])}, _outpoint(coin), _outpoint(coins[4])]
    options = rng.choice([(), ({"mempool_only": True},), ({"return_spending_tx": True},), ({"other": True},)])
    raw = rng.choice(about).serialize().hex()
    listed = rng.choice([wanted, wanted[:1], [], [{"txid": names[0]}], [{"txid": names[0], "vout": -1}], [7], 7])
    most = rng.choice([(), (0,), ("0.1",), (-1,)])
    where = rng.choice([(), ("@tip",), (NOBODY,), (base_block_hashes()[3],)])
    return [
        ("getrawtransaction", txid),
        ("getrawtransaction", txid, rng.choice([0, 1, 2, True, False, "1"])),
        ("getrawtransaction", txid, rng.choice([0, 1, 2]), *where),
        ("getrawtransaction", coins[0].outpoint.txid[::-1].hex(), 1),
        ("gettxout", txid, vout, *rng.choice([(), (True,), (False,), (1,)])),
        ("gettxout", coin.outpoint.txid[::-1].hex(), coin.outpoint.vout, rng.random() < 0.5),
        ("gettxspendingprevout", listed, *options),
        ("getmempoolentry", txid),
        ("getmempoolancestors", txid, *rng.choice([(), (True,), (False,)])),
        ("getmempooldescendants", txid, *rng.choice([(), (True,), (False,)])),
        ("decoderawtransaction", rng.choice([raw, raw, raw[:-2], "", 7])),
        (
            "testmempoolaccept",
            rng.choice([[raw], [raw, raw], [], [7], raw, [""]]),
            *most,
        ),
        ("sendrawtransaction", rng.choice([raw, "", 7]), *rng.choice([(), (0,), (0.1,), ("x",), (None, 1)])),
        ("submitpackage", rng.choice([[raw], [], 7, [""]]), *rng.choice([(), (0,), (0, 0)])),
        ("prioritisetransaction", txid, rng.choice([0, 1]), rng.choice([0, "1"])),
        ("getrawtransaction",),
        ("getblockhash", 1, 2),
    ]


def _outpoint(coin: Coin) -> dict[str, Any]:
    return {"txid": coin.outpoint.txid[::-1].hex(), "vout": coin.outpoint.vout}
