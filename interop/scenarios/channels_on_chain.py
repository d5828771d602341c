"""Two nodes of ours with channels on a chain daemon, which has its troubles."""

from __future__ import annotations

import time

from fulmen.core.bitcoin.networks import LITECOIN_REGTEST, REGTEST
from fulmen.lab.members import Order
from fulmen.lab.waiting import until
from interop.lab import Lab
from interop.scenario import scenario
from interop.us import TO_SELF_DELAY, Us

TITLE = "Channels on it"
FORGETFUL = {"btcd": "after a restart on regtest it takes segwit for not active, and no transaction of a channel"}
MONEY = Order(1_000_000, 400_000)
LATE_S = 2.0
MOST_WARNINGS = 5
DEEP = 6
"""Blocks in which a channel is announced, too."""
ON_CHAIN = ("AWAITING_UNILATERAL", "ONCHAIN", "CLOSED", "CLOSINGD_COMPLETE")


def two(lab: Lab) -> tuple[Us, Us]:
    return lab.us, lab.our("bob")


def pay_both_ways(one: Us, other: Us) -> None:
    for payer, payee in ((one, other), (other, one)):
        asked = payee.ask(1_234_567)
        payer.pays(asked)
        assert payee.was_paid(asked)


def closed(lab: Lab, outpoint: str) -> str:
    """The transaction that spends a funding, once it is in the mempool."""
    return until(lambda: next(iter(_spenders(lab, outpoint)), ""), f"the close of {outpoint[:16]} is in the mempool")


def _shut(lab: Lab, us: Us, outpoint: str) -> None:
    """Close a channel of ours, and have the close in a block."""
    us.shut(outpoint)
    lab.chain.mine_with(closed(lab, outpoint))


def _spenders(lab: Lab, outpoint: str) -> list[str]:
    txid, _, vout = outpoint.partition(":")
    spends = {one: lab.chain.transaction(one)["vin"] for one in lab.chain.mempool()}
    return [one for one, inputs in spends.items() if any(i["txid"] == txid and i["vout"] == int(vout) for i in inputs)]


@scenario("a channel opens, pays both ways, and is closed by both")
def whole_life(lab: Lab) -> None:
    us, bob = two(lab)
    outpoint = lab.channel(us, bob, MONEY)
    pay_both_ways(us, bob)
    before = us.coins_sat
    _shut(lab, us, outpoint)
    lab.caught_up()
    until(lambda: us.coins_sat > before + 590_000, "our part is back on chain")
    assert us.at(outpoint)["state"] in ON_CHAIN


@scenario("a channel is closed by one")
def alone(lab: Lab) -> None:
    us, bob = two(lab)
    outpoint = lab.channel(us, bob, MONEY)
    before = us.coins_sat, bob.coins_sat
    us.shut(outpoint, force=True)
    lab.chain.mine_with(closed(lab, outpoint))
    lab.mine(TO_SELF_DELAY)
    until(lambda: _mined(lab) and us.coins_sat > before[0] + 580_000, "our part comes back after its delay")
    until(lambda: _mined(lab) and bob.coins_sat > before[1] + 390_000, "their part comes back")


def _mined(lab: Lab) -> bool:
    if lab.chain.mempool():
        lab.mine()
    return True


@scenario("the funding of a channel in use is undone by a reorg, and confirms again in another block")
def funding_reorg(lab: Lab) -> None:
    us, bob = two(lab)
    outpoint = lab.channel(us, bob, MONEY, blocks=DEEP)
    pay_both_ways(us, bob)
    before = lab.scid(outpoint)
    until(lambda: _places(outpoint, us, bob) == {before}, "both know where the funding is")
    lab.chain.reorganize(DEEP, empty=DEEP + 1)
    lab.caught_up()
    until(lambda: _places(outpoint, us, bob) == {None}, "both know that the funding is in no block")
    lab.chain.mine_with(outpoint.partition(":")[0])
    lab.mine(DEEP - 1)
    again = lab.scid(outpoint)
    assert again != before
    until(lambda: _places(outpoint, us, bob) == {again}, "both know where the funding is now")
    lab.await_usable(outpoint, us, bob)
    pay_both_ways(us, bob)
    _shut(lab, us, outpoint)


def _places(outpoint: str, *nodes: Us) -> set[str | None]:
    """Where in the chain they see a funding; None: nowhere."""
    return {node.at(outpoint).get("short_channel_id") for node in nodes}


@scenario("a close is undone by a reorg, and confirms again")
def close_reorg(lab: Lab) -> None:
    us, bob = two(lab)
    outpoint = lab.channel(us, bob, MONEY)
    before = us.coins_sat
    _shut(lab, us, outpoint)
    lab.mine(2)
    assert us.at(outpoint)["state"] == "ONCHAIN"
    lab.chain.reorganize(3, empty=4)
    lab.caught_up()
    until(lambda: us.at(outpoint)["state"] == "CLOSINGD_COMPLETE", "we know that the close is in no block")
    assert us.coins_sat <= before
    lab.chain.mine_with(closed(lab, outpoint))
    closing = until(lambda: us.at(outpoint).get("closing"), "we know that the close is in a block again")
    assert closing["blockheight"] == lab.chain.height
    until(lambda: us.coins_sat > before + 590_000, "our part is on chain")


@scenario("it restarts under our nodes", lacks=FORGETFUL)
def restart(lab: Lab) -> None:
    us, bob = two(lab)
    outpoint = lab.channel(us, bob, MONEY)
    lab.chain.process.stop()
    pay_both_ways(us, bob)
    lab.chain.start()
    lab.mine(3)
    pay_both_ways(us, bob)
    _shut(lab, us, outpoint)


@scenario("it answers nothing for a while")
def silent(lab: Lab) -> None:
    us, bob = two(lab)
    outpoint = lab.channel(us, bob, MONEY)
    lab.chain.process.freeze()
    try:
        pay_both_ways(us, bob)
    finally:
        lab.chain.process.thaw()
    lab.mine(2)
    _shut(lab, us, outpoint)


@scenario("it answers late: channels go on, and we do not complain without end", limit_s=240)
def late(lab: Lab) -> None:
    _, bob = two(lab)
    proxy = lab.chain_proxy("slow")
    slow = lab.our("slow", {"chain.url": proxy.url})
    slow.set({"chain.url": proxy.url})
    try:
        outpoint = lab.channel(slow, bob, MONEY)
        # A node that is still reading blocks lets payments wait until it has them.
        lab.caught_up()
        proxy.delay_s = LATE_S
        began = time.monotonic()
        pay_both_ways(slow, bob)
        assert time.monotonic() - began < LATE_S, "payments wait for the chain"
        before = slow.coins_sat
        slow.shut(outpoint)
        lab.chain.mine_with(closed(lab, outpoint))
        until(lambda: slow.coins_sat > before + 590_000, "our part is back on chain", 90)
        said = slow.program.log.read_text(encoding="utf-8")
        assert said.count('"level": "warning"') <= MOST_WARNINGS, said
    finally:
        # Who comes next finds it on the chain itself.
        slow.stop()
        slow.set(lab.chain.settings())
        slow.start()


@scenario("a node of another network is refused by name")
def wrong_network(lab: Lab) -> None:
    stranger = Us("stranger", lab.home / "stranger", lab.chain)
    other = REGTEST if lab.chain.network == LITECOIN_REGTEST else LITECOIN_REGTEST
    stranger.network = other.name
    stranger.launch()
    lab.join(stranger.program)
    until(lambda: not stranger.program.alive, "the stranger gives up")
    assert "another chain" in stranger.program.last_words(), stranger.program.last_words()
