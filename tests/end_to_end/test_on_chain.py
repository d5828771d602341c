"""A channel is closed with a payment in it, and the chain decides how that payment ends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from demo.ledger import ANCHOR_SAT
from demo.story import PRICES, settings_of
from tests.builders.line import Line

from fulmen.lab.nodes import Node
from fulmen.lab.waiting import until

CAPACITY_SAT = 400_000
AMOUNT_MSAT = 50_000_000
TO_SELF_DELAY = 144


def test_a_preimage_that_comes_after_the_close_is_claimed_on_chain_and_is_the_payers_receipt(line: Line) -> None:
    stage, ledger = line.stage, line.ledger
    alice, carol, dave = stage["alice"], stage["carol"], stage["dave"]
    coins = {node.name: node.coins_sat for node in (alice, carol)}
    answer = stage.fund("alice", "carol", CAPACITY_SAT, announce=False)
    funding = stage.chain.transaction(answer["txid"])
    stage.lock_in([(answer["channel_id"], "alice", "carol")])

    # The shortest way to Dave is the new channel. He stands still while Carol offers him the payment ...
    made = dave.invoice(AMOUNT_MSAT, line.label("while the channel closes"))
    sent_sat = (AMOUNT_MSAT + ledger.fee_msat(AMOUNT_MSAT, "alice", "carol", "dave")) // 1000
    dave.program.freeze()
    payment = alice.begin("pay", bolt11=made["bolt11"])
    for node in (alice, carol):
        until(lambda n=node: n.committed(answer["channel_id"]), f"{node} has committed to the payment")

    # ... Alice closes the channel with the payment in it, and only then Dave takes his money. Carol would publish her
    # commitment too if she heard of it, and either could be the first.
    carol.program.freeze()
    close = stage.chain.transaction(alice.call("close", id=answer["channel_id"], force=True)["txid"])
    assert sent_sat in close.outputs_sat
    stage.chain.mine(1)
    carol.program.thaw()
    for node in (alice, carol):
        node.caught_up(stage.chain.height)
    # What the chain decides now is an HTLC of the channel no more, but an output that somebody will take.
    shown = alice.channel(answer["channel_id"])
    assert (shown["htlcs"], shown["closing"]["kind"]) == ([], "our commitment")
    assert {(one["what"], one["state"]) for one in shown["closing"]["outputs"]} == {
        ("to_local", "waiting"),
        ("HTLC-timeout", "waiting"),
    }
    [theirs] = [one for one in carol.channel(answer["channel_id"])["closing"]["outputs"] if "HTLC" in one["what"]]
    assert (theirs["what"], theirs["state"]) == ("received HTLC", "needs preimage")
    dave.program.thaw()
    htlc = close.outputs_sat.index(sent_sat)
    until(lambda: stage.chain.is_spent(close.txid, htlc), "Carol shows the preimage to the chain")
    stage.mine()
    payment.join(60)
    assert status_of(alice, made) == "complete"
    states = {
        node.name: {one["what"]: one["state"] for one in node.channel(answer["channel_id"])["closing"]["outputs"]}
        for node in (alice, carol)
    }
    assert states["alice"] == {"to_local": "waiting", "HTLC-timeout": "the peer's"}
    assert states["carol"]["received HTLC"] == "ours"
    assert dave.call("listinvoices", payment_hash=made["payment_hash"])["invoices"][0]["status"] == "paid"

    stage.mine(TO_SELF_DELAY - 2)
    ours_sat = CAPACITY_SAT - close.fee_sat - sent_sat - 2 * ANCHOR_SAT
    to_local = close.outputs_sat.index(ours_sat)
    until(lambda: stage.chain.is_spent(close.txid, to_local), "Alice takes her balance after the delay")
    stage.mine()
    fees = {output: spend.fee_sat for output, spend in stage.chain.spenders(close.txid)}
    alice.await_coins(coins["alice"] - funding.fee_sat - CAPACITY_SAT + ours_sat - fees[to_local])
    carol.await_coins(coins["carol"] + sent_sat - fees[htlc])
    for node in (alice, carol):
        ledger.coins_sat[node.name] = node.coins_sat
    ledger.paid(AMOUNT_MSAT, "carol", "dave")
    line.all_agree()


def test_a_payee_that_never_comes_back_costs_the_payer_nothing(line: Line) -> None:
    stage, ledger = line.stage, line.ledger
    alice, carol = stage["alice"], stage["carol"]
    eve = stage.add("eve", settings_of("dave"))
    eve.start()
    before = carol.coins_sat
    channel_id = stage.fund("carol", "eve", CAPACITY_SAT, announce=False)["channel_id"]
    funding = stage.chain.transaction(carol.channel(channel_id)["funding_txid"])
    stage.lock_in([(channel_id, "carol", "eve")])

    # Eve waits for Carol's own channel_update, which comes a moment after the channel: else this would be a guess.
    made = eve.invoice(AMOUNT_MSAT, line.label("never"))
    [[hop]] = eve.call("decode", string=made["bolt11"])["routes"]
    assert hop["fee_proportional_millionths"] == PRICES["carol"].proportional_millionths
    eve.program.freeze()
    payment = alice.begin("pay", bolt11=made["bolt11"])
    # What was never signed for would be given back at once when Eve goes.
    until(lambda: signed_for(carol, channel_id) or payment.wrong, "Carol has signed for an HTLC to Eve")
    assert not payment.wrong
    eve.kill()

    # BOLT 2, "cltv_expiry_delta Selection": Carol has to close once the HTLC has lingered past its expiry.
    mine_until(line, lambda: carol.channel(channel_id).get("close_txid"), "Carol closes the channel")
    close = stage.chain.transaction(carol.channel(channel_id)["close_txid"])
    mine_until(line, lambda: status_of(alice, made) == "failed", "Alice has her money back")
    payment.join(60)
    assert payment.wrong
    line.all_agree()

    ours_sat = CAPACITY_SAT - close.fee_sat - (len(close.outputs_sat) - 1) * ANCHOR_SAT
    to_local = close.outputs_sat.index(ours_sat)
    mine_until(line, lambda: stage.chain.is_spent(close.txid, to_local), "Carol takes her balance after the delay")
    stage.mine()
    fees = {output: spend.fee_sat for output, spend in stage.chain.spenders(close.txid)}
    carol.await_coins(before - funding.fee_sat - CAPACITY_SAT + ours_sat - fees[to_local])
    ledger.coins_sat["carol"] = carol.coins_sat


def signed_for(node: Node, channel_id: str) -> list[dict[str, Any]]:
    """The HTLCs that the peer can have in a commitment."""
    return [row for row in node.channel(channel_id)["htlcs"] if row["state"] != "SENT_ADD_HTLC"]


def status_of(payer: Node, made: dict[str, Any]) -> str:
    """How a payment stands, by the word of who pays."""
    return str(payer.call("listpays", bolt11=made["bolt11"])["pays"][0]["status"])


def mine_until(line: Line, look: Callable[[], object], what: str) -> None:
    """Find blocks until something is so."""
    for _ in range(60):
        if look():
            return
        line.stage.mine(5)
    raise AssertionError(f"300 blocks later it is not so: {what}")
