"""What wallets do that were written before anchors, and before `fee_range`."""

from __future__ import annotations

from fulmen.lab.members import Order
from fulmen.lab.waiting import until
from interop.lab import Anybody, Lab
from interop.peers.peer import Can, Options, Peer
from interop.scenario import scenario

TITLE = "Old ways"

DEAR_SAT_PER_KVB = 180_000
"""What Electrum takes for the feerate on every regtest: 45,000 sat/kw."""
DEAR = Options(sat_per_kvb=DEAR_SAT_PER_KVB)
NO_FEE_RANGE = Options(more=("test_shutdown_legacy",))
MONEY = Order(1_000_000, 400_000, announce=False)


@scenario("they open at their own feerate, 180 sat/vB", Can.LEGACY)
def they_open_dear(lab: Lab) -> None:
    them = lab.their("lena", DEAR)
    outpoint = lab.channel(them, lab.us, MONEY)
    # One more when it has raised the fee already, as it does to bring the first commitment to a channel of ours.
    dear = DEAR_SAT_PER_KVB // 4
    assert lab.us.at(outpoint)["feerate_perkw"] in (dear, dear + 1)
    _pay_and_close(lab, outpoint, them, by=them)


@scenario("we open at ours, far below theirs", Can.LEGACY)
def we_open_cheap(lab: Lab) -> None:
    them = lab.their("lena", DEAR)
    outpoint = lab.channel(lab.us, them, MONEY)
    assert lab.us.at(outpoint)["feerate_perkw"] < DEAR_SAT_PER_KVB // 40
    _pay_and_close(lab, outpoint, them, by=lab.us)


@scenario("they close without fee_range, fee by fee", Can.LEGACY)
def they_close_fee_by_fee(lab: Lab) -> None:
    them = lab.their("otto", NO_FEE_RANGE)
    outpoint = lab.channel(them, lab.us, MONEY)
    _pay_and_close(lab, outpoint, them, by=them)


@scenario("we close, and they name no fee_range", Can.LEGACY)
def we_close_fee_by_fee(lab: Lab) -> None:
    them = lab.their("otto", NO_FEE_RANGE)
    outpoint = lab.channel(lab.us, them, MONEY)
    _pay_and_close(lab, outpoint, them, by=lab.us)


def _pay_and_close(lab: Lab, outpoint: str, them: Peer, by: Anybody) -> None:
    asked = them.invoice(12_345_000)
    lab.us.pays(asked)
    until(lambda: them.paid(asked.payment_hash), "they say that they were paid")
    back = lab.us.ask(2_345_000)
    them.pay(back.bolt11)
    assert lab.us.was_paid(back)
    lab.quiet(outpoint, lab.us, them)
    if by is them:
        them.close(outpoint)
    else:
        lab.us.shut(outpoint)
    txid, _, vout = outpoint.partition(":")
    until(lambda: lab.chain.call("gettxout", txid, int(vout), True) is None, "the close is in the mempool")
    lab.mine(6)
    until(lambda: not them.has(outpoint), "they know that it is closed")
