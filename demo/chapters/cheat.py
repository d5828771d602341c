"""Mallory publishes a revoked state and loses everything (BOLT 5, "Revoked Transaction Close Handling").

Her node would not do it: it would hear from Bob's that it is behind. So she does what a thief does: keeps a copy of her
data from before she paid, puts it back while Bob's node is down, and closes the channel as it was then.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from demo.ledger import ANCHOR_SAT
from demo.screen import sat
from demo.story import Story
from fulmen.lab.nodes import NETWORK, Node
from fulmen.lab.waiting import expect, until

TITLE = "Mallory cheats"

COINS_SAT = 700_000
CAPACITY_SAT = 500_000
FIRST_MSAT = 100_000_000
PRICE_MSAT = 350_000_000


def play(story: Story) -> None:
    """Open, pay, and go back in time."""
    stage, ledger, screen = story.stage, story.ledger, story.screen
    mallory, bob = stage.add("mallory"), stage["bob"]
    mallory.start()
    stage.give({"mallory": COINS_SAT})
    ledger.given("mallory", COINS_SAT)
    answer = stage.fund("mallory", "bob", CAPACITY_SAT, announce=False)
    channel_id = answer["channel_id"]
    ledger.opened(channel_id, "mallory", "bob", CAPACITY_SAT, stage.chain.transaction(answer["txid"]))
    stage.lock_in([(channel_id, "mallory", "bob")])
    _pay(story, mallory, FIRST_MSAT)
    copy = stage.directory / "copy"
    expect(mallory.stop() == 0, "Mallory's node did not stop as it should")
    _replace(copy, mallory.home / NETWORK)
    mallory.start()
    mallory.await_usable(channel_id)
    _pay(story, mallory, PRICE_MSAT)
    screen.say(
        f"Mallory copies her data, comes back, and pays Bob {sat(PRICE_MSAT)} for a car. Bob's node goes to sleep."
    )

    for node in (mallory, bob):
        expect(node.stop() == 0, f"{node} did not stop as it should")
    _replace(mallory.home / NETWORK, copy)
    mallory.start()
    cheat = mallory.call("close", id=channel_id, force=True)["txid"]
    outputs = stage.chain.transaction(cheat).outputs_sat
    stage.mine()
    screen.say(f"She puts the copy back and closes the channel as it was before: {sat(max(outputs) * 1000)} for her.")

    bob.start()
    worth_taking = [output for output, amount in enumerate(outputs) if amount != ANCHOR_SAT]
    until(lambda: all(stage.chain.is_spent(cheat, output) for output in worth_taking), "Bob takes Mallory's share")
    stage.mine(2)
    channel = ledger.between("mallory", "bob")
    close = stage.chain.transaction(cheat)
    owned_msat = channel.msat["mallory"]
    taken = ledger.cheated(channel, "mallory", close, stage.chain.spenders(cheat))
    anchors = CAPACITY_SAT - close.fee_sat - taken
    expect(anchors == 2 * ANCHOR_SAT, f"{anchors - 2 * ANCHOR_SAT} sat of the channel went to nobody that is known")
    for node in (bob, mallory):
        node.await_coins(ledger.coins_sat[node.name])
    screen.good(f"Bob wakes up, sees it, and takes all {sat(taken * 1000)} of the channel long before Mallory may")
    screen.good(
        f"nothing is left for her: {taken:,} + {close.fee_sat} for the miner + two anchors of {ANCHOR_SAT} are the "
        f"{sat(CAPACITY_SAT * 1000)} that she had put in. Honest, she would have kept her {sat(owned_msat)}"
    )


def _pay(story: Story, mallory: Node, msat: int) -> None:
    invoice = story.stage["bob"].invoice(msat, f"from Mallory {msat}")
    mallory.call("pay", bolt11=invoice["bolt11"])
    story.ledger.paid(msat, "mallory", "bob")
    for name in ("mallory", "bob"):
        story.stage[name].await_quiet()


def _replace(target: Path, source: Path) -> None:
    """The same files as there."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("*.sock", "*.socket", "*.pid", "*.lock"))
