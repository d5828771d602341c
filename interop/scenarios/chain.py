"""Our chain source against a chain daemon."""

from __future__ import annotations

import asyncio

from fulmen.adapters.chain import CoreSource, Endpoint, Publisher, RpcClient
from fulmen.adapters.chain.dialects import dialect_named
from fulmen.core.base.machine import Address
from fulmen.core.base.policy import FeeratePolicy
from fulmen.core.base.units import Sat
from fulmen.core.bitcoin.script import P2A, p2wsh
from fulmen.core.bitcoin.transaction import SEQUENCE_RBF, Tx, TxIn, TxOut
from fulmen.lab.chains import ANYONE, PASSWORD, USER, ChainDaemon
from fulmen.lab.waiting import until
from interop.lab import Lab
from interop.scenario import scenario
from interop.us import Us

TITLE = "The chain"


@scenario("blocks and coins are seen")
def blocks_are_seen(lab: Lab) -> None:
    us = lab.us
    before = us.coins_sat
    txid = lab.chain.give({us.call("newaddr")["bech32"]: 50_000})
    until(lambda: _pending_sat(us) == 50_000, "we see the unconfirmed coin")
    assert us.coins_sat == before
    lab.chain.mine_with(txid)
    until(lambda: us.height == lab.chain.height, "we see the block")
    assert us.coins_sat == before + 50_000 and not _pending_sat(us)


def _pending_sat(us: Us) -> int:
    return int(us.call("listfunds")["balances"]["pending_msat"]) // 1000


@scenario(
    "a version 3 parent without a fee, with pay-to-anchor, comes in with its child, and again with a better one",
    lacks={"litecoind": "it takes no packages", "btcd": "it takes no packages, and no version 3"},
)
def a_parent_without_a_fee(lab: Lab) -> None:
    parent = _parent(lab.chain)
    [first, better] = _children(lab.chain, parent, 3_000, 9_000)
    asyncio.run(_publish(lab.chain, [("commitment", parent, ()), ("child", first, (parent,))]))
    assert set(lab.chain.mempool()) == {_shown(parent), _shown(first)}
    asyncio.run(_publish(lab.chain, [("child", better, (parent,))]))
    assert set(lab.chain.mempool()) == {_shown(parent), _shown(better)}
    lab.chain.mine()
    assert not lab.chain.mempool() and lab.chain.transaction(_shown(better))["confirmations"] == 1


def _parent(chain: ChainDaemon) -> Tx:
    """As a zero-fee commitment (bolts #1228): all of its coin, and an anchor that is dust."""
    outpoint, sat = chain.take(100_000)
    return Tx(
        3,
        (TxIn(outpoint, b"", SEQUENCE_RBF, (ANYONE,)),),
        (TxOut(sat, p2wsh(ANYONE)), TxOut(Sat(0), P2A)),
        0,
    )


def _children(chain: ChainDaemon, parent: Tx, *fees_sat: int) -> list[Tx]:
    """Transactions that pay for the parent with one coin, each in the place of the other."""
    outpoint, sat = chain.take(100_000)
    inputs = (TxIn(parent.outpoint(1), b"", SEQUENCE_RBF), TxIn(outpoint, b"", SEQUENCE_RBF, (ANYONE,)))
    return [Tx(3, inputs, (TxOut(Sat(sat - fee), p2wsh(ANYONE)),), 0) for fee in fees_sat]


async def _publish(chain: ChainDaemon, wanted: list[tuple[str, Tx, tuple[Tx, ...]]]) -> None:
    endpoint = Endpoint.from_url(chain.url.replace("//", f"//{USER}:{PASSWORD}@"))
    source = CoreSource(RpcClient(endpoint), chain.network, dialect_named(chain.dialect), FeeratePolicy())
    publisher = Publisher(source)
    try:
        for name, tx, parents in wanted:
            publisher.add(Address("lab"), name, tx.serialize(), tuple([parent.serialize() for parent in parents]))
        assert await publisher.publish() == []
    finally:
        await source.close()


def _shown(tx: Tx) -> str:
    return tx.txid[::-1].hex()


@scenario("it has not come as far as we have: we wait, and go on when it is there")
def still_syncing(lab: Lab) -> None:
    late = lab.chain.twin(lab.home / "late", lab.ports)
    lab.join(late.process)
    late.start()
    us = lab.our("sven")
    us.stop()
    before = lab.chain.height
    us.set(late.settings())
    us.launch()
    us.program.line_with("SourceWarmingUp")
    for height in range(1, before + 1):
        block = lab.chain.call("getblock", lab.chain.call("getblockhash", height), 0)
        late.call("submitblock", block)
    us.ready()
    us.caught_up(before)
    late.mine(2)
    us.caught_up(before + 2)
    us.stop()
    us.set(lab.chain.settings())
    us.start()
    us.caught_up(before)
    late.process.stop()
