"""Feerates rise while what is ours still stands on the chain: BOLT 5's outputs have deadlines, and others pay more."""

from __future__ import annotations

from contextlib import suppress

from fulmen.core.bitcoin.address import address_of
from fulmen.core.bitcoin.script import p2wsh
from fulmen.lab.chains import ChainRefused
from fulmen.lab.waiting import Deviation, until
from interop.lab import Lab
from interop.peers.peer import Can
from interop.scenario import scenario
from interop.scenarios.closing import MSAT, PUSH_SAT, SAT, Held, open_for, output_of
from interop.scenarios.cutting import TELLING

TITLE = "Feerates that rise in the middle"

CALM, SPIKE = 1_000, 15_000
FEES_SAT = 100_000
"""All that is ours goes out at the high feerate."""
BLOCKS, LOOK_S = 16, 4.0


@scenario(
    "we close alone; feerates rise while our payment comes back by timeout: our bid rises with them",
    Can.HOLD,
    lacks={"ldk": "not played: it takes a minute, and asks nothing of the other side"},
)
def while_it_comes_back(lab: Lab) -> None:
    proxy = lab.chain_proxy("sparrow")
    proxy.sat_per_kvb = 4 * CALM
    ending = open_for(lab, "sparrow", settings={"chain.url": proxy.url}, front=TELLING)
    held = Held(ending)
    ending.alone(by_us=True)
    commitment = ending.commitment()
    txid, at = str(commitment["txid"]), output_of(commitment, MSAT // 1000)
    ending.mine_to(held.expiry)
    bids = [until(lambda: _bid(lab, txid, at), "our timeout is in the mempool")]
    proxy.sat_per_kvb = 4 * SPIKE
    for _ in range(BLOCKS):
        # Others fill the blocks, for more than we have bid.
        lab.chain.call("generateblock", address_of(p2wsh(b"others"), lab.chain.network), [])
        lab.caught_up()
        with suppress(Deviation):
            until(lambda: _bid(lab, txid, at) > bids[-1], "it bids more", LOOK_S)
        bids.append(_bid(lab, txid, at))
        if bids[-1] >= SPIKE:
            break
    assert bids == sorted(bids) and bids[0] < SPIKE <= bids[-1], bids
    ending.ends(SAT - PUSH_SAT, PUSH_SAT, FEES_SAT)
    held.ended(False)


def _bid(lab: Lab, txid: str, at: int) -> int:
    """What the transaction in the mempool that spends an output pays, sat per 1000 weight; 0 when there is none."""
    [spent] = lab.chain.call("gettxspendingprevout", [{"txid": txid, "vout": at}])
    if "spendingtxid" not in spent:
        return 0
    try:
        entry = lab.chain.call("getmempoolentry", spent["spendingtxid"])
    except ChainRefused:
        # Another has taken its place between the two questions.
        return _bid(lab, txid, at)
    return int(entry["fees"]["base"] * 100_000_000 * 1000 / entry["weight"])
