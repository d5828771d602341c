"""Alice and Bob close their channel together: one small transaction, no waiting."""

from __future__ import annotations

from demo.screen import sat
from demo.story import Story
from fulmen.lab.waiting import expect

TITLE = "A close by agreement"


def play(story: Story) -> None:
    """Ask, find a block, look at both wallets."""
    stage, ledger, screen = story.stage, story.ledger, story.screen
    alice, bob = stage["alice"], stage["bob"]
    channel = ledger.between("alice", "bob")
    answer = alice.call("close", id=channel.channel_id)
    expect(answer["type"] == "mutual", f"the close is {answer['type']} and not mutual")
    close = stage.chain.transaction(answer["txid"])
    shares = ledger.closed_together(channel, close)
    stage.mine()
    for node in (alice, bob):
        node.await_coins(ledger.coins_sat[node.name])
    screen.say(
        f"One transaction ends it: {sat(shares['alice'] * 1000)} for Alice, {sat(shares['bob'] * 1000)} for Bob, "
        f"{close.fee_sat} sat for the miner."
    )
    screen.good("both shares are in the wallets after one block")
