"""Carol asks for money, and Alice pays her through Bob."""

from __future__ import annotations

import hashlib

from demo.screen import sat
from demo.story import Story
from fulmen.lab.waiting import expect

TITLE = "An invoice"

AMOUNT_MSAT = 25_000_000
LABEL = "a coffee machine"


def play(story: Story) -> None:
    """Invoice with a route hint, QR code, payment over two hops, receipt on both sides."""
    stage, ledger, screen = story.stage, story.ledger, story.screen
    alice, bob, carol = stage["alice"], stage["bob"], stage["carol"]
    made = carol.invoice(AMOUNT_MSAT, LABEL)
    screen.say(f"Carol asks for {sat(AMOUNT_MSAT)}:\n")
    screen.code(f"lightning:{made['bolt11']}".upper())
    screen.quote(made["bolt11"])
    hints = alice.call("decode", string=made["bolt11"]).get("routes", [])
    expect(len(hints) == 1 and hints[0][0]["pubkey"] == bob.id, "the invoice does not say that Bob knows the way")
    screen.say("\nIts route hint says: ask Bob, he has a channel with me that nobody else knows of.")
    paid = alice.call("pay", bolt11=made["bolt11"])
    fee = ledger.fee_msat(AMOUNT_MSAT, "alice", "bob", "carol")
    kept = paid["amount_sent_msat"] - paid["amount_msat"]
    expect(paid["amount_msat"] == AMOUNT_MSAT, "another amount was paid than was asked for")
    expect(kept == fee, f"{kept} msat of fees were paid instead of {fee}")
    proof = hashlib.sha256(bytes.fromhex(paid["payment_preimage"])).hexdigest()
    expect(proof == made["payment_hash"], "the receipt does not fit the invoice")
    row = carol.call("waitinvoice", label=LABEL, timeout=20)
    expect(row["status"] == "paid" and row["amount_received_msat"] == AMOUNT_MSAT, "Carol does not say that it is paid")
    ledger.paid(AMOUNT_MSAT, "alice", "bob", "carol")
    stage.quiet()
    screen.good(
        f"Alice sent {sat(AMOUNT_MSAT + fee)}, Bob kept {sat(fee)} for his trouble, Carol has {sat(AMOUNT_MSAT)}"
    )
    screen.good(f"the receipt: SHA-256 of {paid['payment_preimage'][:16]}… is the invoice's payment hash")
