"""Bob is killed while payments are on their way through him. He comes back, and everybody agrees how they ended."""

from __future__ import annotations

import time

from demo.story import Story
from fulmen.lab.nodes import Node
from fulmen.lab.waiting import expect, until

TITLE = "kill -9"

AMOUNT_MSAT = 1_500_000
COUNT = 5


def play(story: Story) -> None:
    """Hold the payments where Bob has them, kill him, let all go on."""
    stage, ledger, screen = story.stage, story.ledger, story.screen
    alice, bob, carol = stage["alice"], stage["bob"], stage["carol"]
    invoices = [carol.invoice(AMOUNT_MSAT, f"under way {number}") for number in range(COUNT)]
    carol.program.freeze()
    payments = [alice.begin("pay", bolt11=invoice["bolt11"]) for invoice in invoices]
    until(lambda: len(bob.under_way()) == COUNT, f"{COUNT} payments are in the middle, at Bob")
    screen.say(f"Carol holds her breath. {COUNT} payments from Alice have come as far as Bob ...")
    old = bob.program.pid
    bob.kill()
    screen.say(f"... and Bob's process {old} gets a kill -9. Nothing was flushed, nobody was told.")
    carol.program.thaw()
    began = time.monotonic()
    bob.start()
    up = time.monotonic() - began
    for payment in payments:
        payment.join()
    stage.quiet()
    ended = time.monotonic() - began
    paid = agreed(alice, carol, [invoice["payment_hash"] for invoice in invoices])
    for _ in range(paid):
        ledger.paid(AMOUNT_MSAT, "alice", "bob", "carol")
    refunded = f", {COUNT - paid} refunded" if paid < COUNT else ""
    screen.good(
        f"Bob is back as process {bob.program.pid} after {up:.1f} s; {ended:.1f} s after his start all had ended"
    )
    screen.good(f"{paid} paid{refunded}; Alice has a receipt for exactly those that Carol calls paid")


def agreed(payer: Node, payee: Node, payment_hashes: list[str]) -> int:
    """How many were paid, by the word of both.

    Raises:
        Deviation: they do not agree.
    """
    count = 0
    for payment_hash in payment_hashes:
        says = payer.call("listpays", payment_hash=payment_hash)["pays"][0]["status"]
        hears = payee.call("listinvoices", payment_hash=payment_hash)["invoices"][0]["status"]
        expect(says in ("complete", "failed"), f"{payer} says that a payment is {says}")
        expect((says == "complete") == (hears == "paid"), f"{payer} says {says}, {payee} says {hears}")
        count += says == "complete"
    return count
