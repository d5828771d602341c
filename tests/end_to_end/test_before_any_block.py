"""What waits in the mempool is not left alone: a commitment is lifted, and a cheat is punished where it stands."""

from __future__ import annotations

import shutil
from typing import Any

from demo.stage import Stage
from tests.builders.line import Line

from fulmen.lab.nodes import NETWORK, Node
from fulmen.lab.waiting import until

CAPACITY_SAT = 500_000
COINS_SAT = 900_000
PRICE_MSAT = 200_000_000


def test_a_commitment_that_the_market_has_left_behind_is_lifted_and_lifted_again(line: Line) -> None:
    stage = line.stage
    fay, gus, channel_id = two_with_a_channel(stage, "fay", "gus")
    gus.kill()
    close = fay.call("close", id=channel_id, force=True)["txid"]
    until(lambda: close in mempool(stage), "the commitment waits")
    seen: list[str] = []
    for floor in (4_000, 9_000):
        assert fay.stop() == 0
        fay.set({"policy.feerates.floor_per_kw": str(floor)})
        fay.start()
        child = until(lambda: new_child(stage, close, seen), f"a child pays for {floor} sat/kw")
        assert feerate_of(stage, close, child) >= floor
        seen.append(child)
    assert seen[0] not in mempool(stage), "the second child has taken the place of the first"
    stage.chain.mine(1)
    assert all(stage.chain.transaction(txid).height == stage.chain.height for txid in (close, seen[1]))
    fay.caught_up(stage.chain.height)
    fay.stop()


def test_a_cheat_in_the_mempool_is_punished_before_it_is_in_a_block(line: Line) -> None:
    stage = line.stage
    ida, kim, channel_id = two_with_a_channel(stage, "ida", "kim")
    copy = stage.directory / "copy of ida"
    assert ida.stop() == 0
    shutil.copytree(ida.home / NETWORK, copy, ignore=NOT_DATA)
    ida.start()
    ida.await_usable(channel_id)
    ida.call("pay", bolt11=kim.invoice(PRICE_MSAT, "a boat")["bolt11"])
    for node in (ida, kim):
        node.await_quiet()
        assert node.stop() == 0
    shutil.rmtree(ida.home / NETWORK)
    shutil.copytree(copy, ida.home / NETWORK, ignore=NOT_DATA)
    ida.start()
    cheat = ida.call("close", id=channel_id, force=True)["txid"]
    until(lambda: cheat in mempool(stage), "the cheat waits")
    ida.kill()

    kim.start()
    penalty = until(lambda: new_child(stage, cheat, []), "the penalty waits behind the cheat")
    stage.chain.mine(1)
    assert all(stage.chain.transaction(txid).height == stage.chain.height for txid in (cheat, penalty))
    outputs = stage.chain.transaction(cheat).outputs_sat
    assert (cheat, outputs.index(max(outputs))) in stage.chain.transaction(penalty).inputs
    kim.caught_up(stage.chain.height)
    kim.stop()


NOT_DATA = shutil.ignore_patterns("*.sock", "*.socket", "*.pid", "*.lock")


def two_with_a_channel(stage: Stage, opener: str, other: str) -> tuple[Node, Node, str]:
    """Both with coins in blocks."""
    one, two = stage.add(opener), stage.add(other)
    for node in (one, two):
        node.start()
    stage.give({opener: COINS_SAT, other: COINS_SAT})
    stage.give({opener: COINS_SAT})
    channel_id = str(stage.fund(opener, other, CAPACITY_SAT, announce=False)["channel_id"])
    stage.lock_in([(channel_id, opener, other)])
    return one, two, channel_id


def mempool(stage: Stage) -> list[str]:
    return list(stage.chain.call("getrawmempool"))


def new_child(stage: Stage, parent: str, known: list[str]) -> str | None:
    """A waiting transaction that spends the parent, and is not known yet."""
    for txid in mempool(stage):
        if txid not in known and any(spent == parent for spent, _ in stage.chain.transaction(txid).inputs):
            return txid
    return None


def feerate_of(stage: Stage, *txids: str) -> float:
    """sat/kw of some transactions together."""
    shapes: list[dict[str, Any]] = [stage.chain.call("getrawtransaction", txid, 1) for txid in txids]
    fees = sum(stage.chain.transaction(txid).fee_sat for txid in txids)
    return fees * 1000 / sum(int(shape["weight"]) for shape in shapes)
