"""kill -9 of a whole daemon between a close by one side and its end, at moments that a seed chooses.

Alice has an HTLC on its way to Carol when her channel with Bob is closed by one of them. She is killed within that
moment, and again and again while the blocks go by, wherever she is with them then. In the end she has every
satoshi that is hers: her balance, and the HTLC where Carol never showed its preimage.
"""

from __future__ import annotations

import random
import time
from typing import Any

import pytest
from demo.stage import Stage

from fulmen.lab.nodes import Node
from fulmen.lab.waiting import expect, until

FUNDED_SAT, HELD_SAT = 600_000, 20_000
FEES_SAT = 3_000
"""Of the commitment, the HTLC transaction and the sweeps, both anchors, and what Bob takes for passing the HTLC on."""
DELAY = 20
KILLS = 6
STEP_BLOCKS, ENOUGH_STEPS = 5, 12
"""For what is left, if she died each time before she had read the new blocks: the HTLC's transaction, its delay, and
the blocks after which an HTLC is dead."""


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.soak) for seed in range(1, 40))])
def test_a_daemon_that_dies_again_and_again_in_a_close_loses_nothing(stage: Stage, seed: int) -> None:
    chance = random.Random(seed)
    closer, paid = ("alice", "bob")[seed % 2], seed % 4 > 1
    print(f"seed {seed}: {closer} closes, Carol {'shows' if paid else 'never shows'} the preimage")
    delay = {"policy.opening.to_self_delay": str(DELAY)}
    stage.open({"alice": delay, "bob": delay, "carol": {}})
    stage.give({"alice": 2_000_000, "bob": 1_000_000})
    alice, bob, carol = stage["alice"], stage["bob"], stage["carol"]
    ours = stage.fund("alice", "bob", FUNDED_SAT, announce=False)["channel_id"]
    theirs = stage.fund("bob", "carol", 300_000)["channel_id"]
    stage.lock_in([(ours, "alice", "bob"), (theirs, "bob", "carol")])
    until(lambda: len(alice.call("listchannels")["channels"]) == 2, "Alice knows the way to Carol")
    before = alice.coins_sat
    due = alice.balance_msat(ours) // 1000 - (HELD_SAT if paid else 0)
    invoice = carol.invoice(HELD_SAT * 1000, "held")
    carol.program.freeze()
    paying = alice.begin("pay", bolt11=invoice["bolt11"])
    htlc = until(lambda: committed(alice, ours), "the HTLC is in both commitments for good")
    until(lambda: bob.call("listforwards", status="offered")["forwards"], "Bob has passed it on")

    die_while_closing(alice, stage[closer], ours, chance)
    paying.join(30)
    if paid:
        carol.program.thaw()
        until(lambda: bob.call("listforwards", status="settled")["forwards"], "Bob knows the preimage")
    else:
        carol.kill()
    # Until the HTLC has expired, what takes it is in a block, and what comes of that has waited.
    blocks = htlc["expiry"] + 1 + DELAY - stage.chain.height
    for _ in range(KILLS):
        stage.chain.mine(-(-blocks // KILLS))
        # No wait for anything: this is the moment that the seed chooses.
        time.sleep(chance.uniform(0, 0.2))
        alice.kill()
        bob.caught_up(stage.chain.height)
        alice.start()
    for _ in range(ENOUGH_STEPS):
        if alice.coins_sat - before >= due - FEES_SAT and status(alice, invoice) != "pending":
            break
        stage.mine(STEP_BLOCKS)

    gained = alice.coins_sat - before
    assert due - FEES_SAT <= gained <= due, f"seed {seed}: {gained} of {due} sat came home"
    assert status(alice, invoice) == ("complete" if paid else "failed"), f"seed {seed}"
    assert bob.coins_sat <= 1_000_000 + (HELD_SAT + FEES_SAT if paid else 0), f"seed {seed}: Bob has what is Alice's"


def committed(node: Node, channel_id: str) -> dict[str, Any] | None:
    """The HTLC of this node's that is in the commitments of both sides."""
    htlcs = node.channel(channel_id).get("htlcs", ())
    return next((htlc for htlc in htlcs if htlc["state"] == "SENT_ADD_ACK_REVOCATION"), None)


def status(payer: Node, invoice: dict[str, Any]) -> str:
    """How a payment stands."""
    [payment] = payer.call("listpays", payment_hash=invoice["payment_hash"])["pays"]
    return str(payment["status"])


def die_while_closing(victim: Node, closer: Node, channel_id: str, chance: random.Random) -> None:
    """One side is told to close, and the victim is dead within fifty milliseconds.

    Where the closer is the victim, and nothing of its close was durable, it is told once more.
    """
    closing = closer.begin("close", id=channel_id, force=True)
    time.sleep(chance.uniform(0, 0.05))
    victim.kill()
    closing.join(30)
    expect(not closing.is_alive(), "nobody answers a close")
    victim.start()
    if closer is victim and victim.channel(channel_id)["state"] == "CHANNELD_NORMAL":
        assert closing.wrong, "a close that was answered is forgotten"
        victim.call("close", id=channel_id, force=True)
