"""Nodes of others live on our embedded chain (and LND on btcd) as on Bitcoin Core: open, pay, close, and see reorgs."""

from __future__ import annotations

from fulmen.lab.members import Order
from fulmen.lab.waiting import Deviation, until
from interop.lab import Anybody, Lab
from interop.peers.peer import Can
from interop.scenario import scenario
from interop.us import Us

TITLE = "On another chain daemon"
SAT, PUSH_SAT = 1_000_000, 400_000
ROUNDS = 40
FEES_SAT = 20_000


@scenario("we open, pay, are paid, and close")
def we_open(lab: Lab) -> None:
    outpoint = _a_channel(lab, lab.us, lab.them)
    _pay_both_ways(lab, lab.us)
    _comes_back(lab, outpoint, lambda: lab.us.shut(outpoint), {lab.us: SAT - PUSH_SAT, lab.them: PUSH_SAT})


@scenario("they open, pay, are paid, and close")
def they_open(lab: Lab) -> None:
    outpoint = _a_channel(lab, lab.them, lab.us)
    _pay_both_ways(lab, lab.us)
    _comes_back(lab, outpoint, lambda: lab.them.close(outpoint), {lab.them: SAT - PUSH_SAT, lab.us: PUSH_SAT})


@scenario("we close alone")
def we_close_alone(lab: Lab) -> None:
    outpoint = _a_channel(lab, lab.us, lab.them)
    _comes_back(lab, outpoint, lambda: lab.us.shut(outpoint, force=True), {lab.us: SAT - PUSH_SAT, lab.them: PUSH_SAT})


@scenario("they close alone", Can.FORCE_CLOSE)
def they_close_alone(lab: Lab) -> None:
    # Blocks that they wait for what is theirs.
    us = lab.our("dora", {"policy.opening.to_self_delay": "6"})
    outpoint = _a_channel(lab, lab.them, us)
    # Electrum raises the fee at once, and one that closes in the middle of that revokes what it has just published.
    _pay_both_ways(lab, us)
    lab.quiet(outpoint, us, lab.them)
    close = lambda: lab.them.close(outpoint, force=True)  # noqa: E731
    _comes_back(lab, outpoint, close, {lab.them: SAT - PUSH_SAT, us: PUSH_SAT})


@scenario("a funding of theirs is undone by a reorg before it is deep, and confirms again")
def funding_reorg(lab: Lab) -> None:
    # Later ones are no question of the chain: LDK fails a channel whose funding is gone, LND takes it off its graph.
    lab.connect(lab.them, lab.us)
    outpoint = lab.them.open(lab.us.id, Order(SAT, PUSH_SAT, announce=Can.ANNOUNCED in lab.them.can))
    lab.chain.mine_with(outpoint.partition(":")[0])
    lab.caught_up()
    before = lab.scid(outpoint)
    lab.chain.reorganize(1, empty=2)
    lab.caught_up()
    lab.chain.mine_with(outpoint.partition(":")[0])
    lab.mine(5)
    assert lab.scid(outpoint) != before
    lab.await_usable(outpoint, lab.us, lab.them)
    _pay_both_ways(lab, lab.us)
    _comes_back(lab, outpoint, lambda: lab.us.shut(outpoint), {lab.them: SAT - PUSH_SAT, lab.us: PUSH_SAT})


@scenario("a close is undone by a reorg, and confirms again")
def close_reorg(lab: Lab) -> None:
    outpoint = _a_channel(lab, lab.them, lab.us)
    before = {whom: _coins(whom) for whom in (lab.us, lab.them)}
    lab.us.shut(outpoint)
    until(lab.chain.mempool, "the close is in the mempool")
    lab.mine(2)
    lab.chain.reorganize(2, empty=3)
    lab.caught_up()
    until(lambda: lab.us.at(outpoint)["state"] == "CLOSINGD_COMPLETE", "we know that the close is in no block")
    assert _coins(lab.us) <= before[lab.us]
    until(lab.chain.mempool, "the close is in the mempool again")
    lab.mine()
    until(lambda: _closed_at(lab.us, outpoint) == lab.chain.height, "we know where the close is now")
    _all_there(lab, before, {lab.them: SAT - PUSH_SAT, lab.us: PUSH_SAT})


@scenario(
    "the chain restarts under all of us",
    lacks={"lnd-btcd": "after a restart on regtest btcd takes segwit for not active, and no transaction of a channel"},
)
def restart(lab: Lab) -> None:
    outpoint = _a_channel(lab, lab.them, lab.us)
    lab.chain.process.stop()
    lab.chain.start()
    lab.mine(2)
    _pay_both_ways(lab, lab.us)
    _comes_back(lab, outpoint, lambda: lab.us.shut(outpoint), {lab.them: SAT - PUSH_SAT, lab.us: PUSH_SAT})


def _closed_at(us: Us, outpoint: str) -> int:
    """The height of the close, by our node; 0 while it is in no block."""
    return int((us.at(outpoint).get("closing") or {}).get("blockheight", 0))


def _a_channel(lab: Lab, opener: Anybody, other: Anybody) -> str:
    return lab.channel(opener, other, Order(SAT, PUSH_SAT, announce=Can.ANNOUNCED in lab.them.can))


def _pay_both_ways(lab: Lab, us: Us) -> None:
    asked = lab.them.invoice(12_345_000)
    us.pays(asked)
    until(lambda: lab.them.paid(asked.payment_hash), "they say that they were paid")
    asked = us.ask(12_345_000)
    lab.them.pay(asked.bolt11)
    until(lambda: us.was_paid(asked), "we say that we were paid")


def _comes_back(lab: Lab, outpoint: str, close: object, sat_of: dict[Anybody, int]) -> None:
    """Close, and mine until everybody has their part on chain."""
    assert callable(close)
    before = {whom: _coins(whom) for whom in sat_of}
    close()
    until(lab.chain.mempool, f"the close of {outpoint[:16]} is in the mempool")
    _all_there(lab, before, sat_of)


def _all_there(lab: Lab, before: dict[Anybody, int], sat_of: dict[Anybody, int]) -> None:
    for at in range(ROUNDS):
        # At first block by block, for whoever sweeps with a short delay; LDK asks for 144 blocks.
        lab.mine(1 if at < 20 else 10)
        if all(_coins(whom) >= before[whom] + sat - FEES_SAT for whom, sat in sat_of.items()):
            return
    missing = {str(whom): before[whom] + sat - _coins(whom) for whom, sat in sat_of.items()}
    raise Deviation(f"not all parts came back to the chain; missing sat: {missing}")


def _coins(whom: Anybody) -> int:
    return whom.coins_sat if isinstance(whom, Us) else whom.coins_sat()
