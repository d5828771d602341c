"""Our chain source against a chain daemon."""

from __future__ import annotations

from demo.waiting import until

from interop.lab import Lab
from interop.scenario import scenario

TITLE = "The chain"


@scenario("blocks and coins are seen")
def blocks_are_seen(lab: Lab) -> None:
    us = lab.us
    before = us.coins_sat
    txid = lab.chain.give({us.call("newaddr")["bech32"]: 50_000})
    until(lambda: us.coins_sat == before + 50_000, "we see the unconfirmed coin")
    lab.chain.mine_with(txid)
    until(lambda: us.height == lab.chain.height, "we see the block")
    assert us.coins_sat == before + 50_000
