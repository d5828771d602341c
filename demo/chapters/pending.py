"""Bob closes a channel alone while payments are in it, two each way, and the chain settles each of them (BOLT 5).

Alice and Dave sleep while Bob pays Alice through Carol, and Carol pays Dave through Bob; so four HTLCs wait in the
channel of Bob and Carol. It is closed, and only then both wake up: each takes one payment, whose preimage is worth its
amount on the chain, and refuses the one whose invoice has lapsed meanwhile. In a channel that is closed nobody can say
so, and this money comes back when its HTLC has expired.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from demo.chain import Chain, Spending
from demo.chapters.crash import agreed
from demo.ledger import ANCHOR_SAT, TO_SELF_DELAY, Channel, Pending
from demo.screen import plain_table, sat
from demo.story import Story
from fulmen.core.crypto.hashes import sha256
from fulmen.lab.asking import Asking
from fulmen.lab.nodes import Node
from fulmen.lab.waiting import expect, until

TITLE = "A close with payments in it"

CAPACITY_SAT = 400_000
PUSH_MSAT = 150_000_000
LAPSES_S = 5
"""Long enough for a payment to get on its way, and short enough to wait for."""
LONGEST_BLOCKS = 110
"""What payers may lock their money for: the payee's 23 blocks, the forwarder's 80, and a few to hide among."""


@dataclass(frozen=True)
class Plan:
    """A payment through the channel that will be closed."""

    payer: str
    forwarder: str
    payee: str
    msat: int
    is_paid: bool

    @property
    def path(self) -> tuple[str, str, str]:
        """From one end to the other."""
        return self.payer, self.forwarder, self.payee


PLANS = (
    Plan("bob", "carol", "alice", 40_000_000, is_paid=True),
    Plan("carol", "bob", "dave", 9_000_000, is_paid=True),
    Plan("bob", "carol", "alice", 30_000_000, is_paid=False),
    Plan("carol", "bob", "dave", 8_000_000, is_paid=False),
)


@dataclass
class Held:
    """A payment that waits in the channel."""

    plan: Plan
    made: dict[str, Any]
    htlc: Pending
    paying: Asking
    expiry: int = 0
    output: int = 0


def play(story: Story) -> None:
    """Four HTLCs, one close, and everybody has what is his."""
    stage, ledger, screen = story.stage, story.ledger, story.screen
    bob, carol = stage["bob"], stage["carol"]
    channel = ledger.between("bob", "carol")
    _open_way_back(story)
    held = _hold(story, channel)
    screen.say(
        "Alice and Dave fall asleep. Bob pays Alice through Carol, Carol pays Dave through Bob, twice each: four "
        "payments wait in the channel of Bob and Carol."
    )
    close = _close(story, channel, held)
    screen.say(
        f"Bob closes it alone, in block {close.height}, with an output for each of the four. Then Alice and Dave wake "
        "up: each shows one preimage, and refuses what came too late."
    )
    _wake(story, held)
    takings = _settle(story, close, held)
    for one in held:
        if one.plan.is_paid:
            ledger.paid(one.plan.msat, *one.plan.path)
    pending = [one.htlc for one in held]
    shares = ledger.closed_alone(channel, "bob", close, stage.chain.spenders, pending)
    for node in (bob, carol):
        node.await_coins(ledger.coins_sat[node.name])
    _show(story, held, takings)
    rest = " and ".join(f"{sat(amount * 1000)} for {name.capitalize()}" for name, amount in shares.items())
    screen.say(f"  Besides: {rest}; {close.fee_sat} sat to the miner, two anchors of {ANCHOR_SAT} sat.")
    screen.good("both wallets have it to the satoshi; payers have a receipt for exactly what was paid")


def _open_way_back(story: Story) -> None:
    """A channel through which Carol reaches Alice."""
    stage, ledger = story.stage, story.ledger
    answer = stage.fund("alice", "carol", CAPACITY_SAT, announce=False, push_msat=PUSH_MSAT)
    funding = stage.chain.transaction(answer["txid"])
    ledger.opened(answer["channel_id"], "alice", "carol", CAPACITY_SAT, funding, PUSH_MSAT)
    stage.lock_in([(answer["channel_id"], "alice", "carol")])


def _hold(story: Story, channel: Channel) -> list[Held]:
    """Put all payees to sleep and pay them; wait until both ends of the channel have committed to every HTLC."""
    stage, ledger = story.stage, story.ledger
    made = {
        plan: stage[plan.payee].invoice(
            plan.msat, f"in the middle {plan.msat}", **({} if plan.is_paid else {"expiry": LAPSES_S})
        )
        for plan in PLANS
    }
    for name in ("alice", "dave"):
        stage[name].program.freeze()
    held: list[Held] = []
    # Those that have little time go first.
    for plan in reversed(PLANS):
        invoice = made[plan]
        htlc = Pending(plan.payer, plan.forwarder, plan.msat + ledger.fee_msat(plan.msat, *plan.path), plan.is_paid)
        paying = stage[plan.payer].begin("pay", bolt11=invoice["bolt11"], maxdelay=LONGEST_BLOCKS)
        held.insert(0, Held(plan, invoice, htlc, paying))
    for name in ("bob", "carol"):
        _await_commitment(stage[name], channel)
    rows = {row["payment_hash"]: row for row in stage["bob"].channel(channel.channel_id)["htlcs"]}
    for one in held:
        row = rows[one.made["payment_hash"]]
        expect(row["amount_msat"] == one.htlc.amount_msat, f"an HTLC of {row['amount_msat']} msat is in the channel")
        expect(row["direction"] == ("out" if one.plan.payer == "bob" else "in"), "an HTLC goes the wrong way")
        one.expiry = int(row["expiry"])
    return held


def _await_commitment(node: Node, channel: Channel) -> None:
    passing_on = sum(plan.forwarder == node.name for plan in PLANS)
    until(lambda: len(node.under_way()) == passing_on, f"{passing_on} payments wait for their payee at {node}")
    until(
        lambda: len(node.committed(channel.channel_id)) == len(PLANS),
        f"{node} has committed to {len(PLANS)} HTLCs",
    )


def _close(story: Story, channel: Channel, held: list[Held]) -> Spending:
    """Bob's commitment, in a block. Who hears of a close publishes one too, so Carol must not hear of it yet."""
    stage = story.stage
    bob, carol = stage["bob"], stage["carol"]
    carol.program.freeze()
    answer = bob.call("close", id=channel.channel_id, force=True)
    expect(answer["type"] == "unilateral", f"the close is {answer['type']} and not unilateral")
    stage.chain.transaction(answer["txid"])
    stage.chain.mine(1)
    carol.program.thaw()
    for node in (bob, carol):
        node.caught_up(stage.chain.height)
    close = stage.chain.transaction(answer["txid"])
    for one in held:
        expect(one.htlc.sat in close.outputs_sat, f"the commitment has no output of {one.htlc.sat} sat")
        one.output = close.outputs_sat.index(one.htlc.sat)
    return close


def _wake(story: Story, held: list[Held]) -> None:
    """Wait until what should lapse has lapsed, and let the payees go on."""
    last = max(one.made["expires_at"] for one in held if not one.plan.is_paid)
    until(lambda: time.time() >= last, "the invoices with little time lapse")
    for name in ("alice", "dave"):
        story.stage[name].program.thaw()


def _settle(story: Story, close: Spending, held: list[Held]) -> dict[int, Spending]:
    """Find blocks until every HTLC was taken, and what Bob took can be spent: output -> transaction."""
    stage = story.stage
    in_time = [one for one in held if one.plan.is_paid]
    for one in in_time:
        _await_spent(stage.chain, close.txid, one.output, f"{one.plan.forwarder} shows a preimage")
    stage.mine()
    for one in in_time:
        one.paying.join(60)
        expect(not one.paying.wrong, f"{one.plan.payer} says of a payment that was taken: {one.paying.wrong}")
    for one in sorted((one for one in held if not one.plan.is_paid), key=lambda one: one.expiry):
        # A transaction with this height as its locktime fits into the block after it.
        if stage.chain.height < one.expiry:
            stage.mine(one.expiry - stage.chain.height - 1)
            expect(not stage.chain.is_spent(close.txid, one.output), f"the HTLC of {one.htlc.sat} sat came back early")
            stage.mine()
        _await_spent(stage.chain, close.txid, one.output, f"{one.plan.payer} takes an HTLC back")
    stage.mine()
    takings = dict(stage.chain.spenders(close.txid))
    stage.mine(TO_SELF_DELAY - 1)
    for one in held:
        if one.htlc.winner == "bob":
            _await_spent(stage.chain, takings[one.output].txid, 0, f"Bob has waited for his {one.htlc.sat} sat")
    stage.mine()
    stage.quiet()
    for one in held:
        one.paying.join(60)
        plan, payment_hash = one.plan, one.made["payment_hash"]
        paid = agreed(stage[plan.payer], stage[plan.payee], [payment_hash])
        expect(paid == plan.is_paid != bool(one.paying.wrong), f"{plan.payer} thinks otherwise of {plan.msat} msat")
    return takings


def _await_spent(chain: Chain, txid: str, output: int, what: str) -> None:
    until(lambda: chain.is_spent(txid, output), what)


def _show(story: Story, held: list[Held], takings: dict[int, Spending]) -> None:
    """How each HTLC ended, by what is in the transaction that took it."""
    table = plain_table("HTLC", "amount", "expires", "taken in", "by", "who has it")
    for one in held:
        taken = takings[one.output]
        witness = taken.tx.inputs[0].witness
        shown = any(sha256(item).hex() == one.made["payment_hash"] for item in witness)
        expect(shown == one.plan.is_paid, f"the HTLC of {one.htlc.sat} sat ended otherwise than it must")
        if shown:
            expect(taken.height <= one.expiry, "a preimage came when the HTLC had expired")
        else:
            expect(taken.tx.locktime == one.expiry < taken.height, "an HTLC came back before it had expired")
        table.add_row(
            f"{one.htlc.offered_by.capitalize()} to {one.htlc.offered_to.capitalize()}",
            sat(one.htlc.amount_msat),
            f"{one.expiry}",
            f"{taken.height}",
            "preimage" if shown else "timeout",
            one.htlc.winner.capitalize(),
        )
    story.screen.table(table)
