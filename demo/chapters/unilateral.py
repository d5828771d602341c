"""Two channels are closed by one side alone, without asking: once by the opener, once by the other side (BOLT 5)."""

from __future__ import annotations

from demo.ledger import ANCHOR_SAT, TO_SELF_DELAY, Channel
from demo.screen import sat
from demo.stage import Stage
from demo.story import Story
from fulmen.lab.waiting import expect, until

TITLE = "Closes by one side alone"


def play(story: Story) -> None:
    """Dave closes the channel that he opened with Bob, Carol the one that Alice opened with her."""
    stage, ledger, screen = story.stage, story.ledger, story.screen
    closes: list[tuple[Channel, str, str]] = []
    # Who hears of a close publishes a commitment too, and the first one wins: the others must not hear of it yet.
    for name in ("alice", "bob"):
        stage[name].program.freeze()
    screen.say("Alice and Bob do not answer any more.")
    for closer, other in (("dave", "bob"), ("carol", "alice")):
        channel = ledger.between(closer, other)
        answer = stage[closer].call("close", id=channel.channel_id, force=True)
        expect(answer["type"] == "unilateral", f"the close is {answer['type']} and not unilateral")
        screen.say(
            f"  {closer.capitalize():5} publishes the latest commitment of {channel.name} alone; "
            f"{channel.opener.capitalize()} had opened it."
        )
        stage.chain.transaction(answer["txid"])
        closes.append((channel, closer, answer["txid"]))
    stage.chain.mine(1)
    for name in ("alice", "bob"):
        stage[name].program.thaw()
    stage.caught_up()
    for channel, closer, txid in closes:
        _taken(stage, channel, txid, channel.other if closer == channel.opener else channel.opener)
    stage.mine()
    screen.good("both are in a block; Alice and Bob are back, see them there, and take their shares one block later")
    stage.mine(TO_SELF_DELAY - 2)
    for channel, closer, txid in closes:
        _taken(stage, channel, txid, closer)
    stage.mine()
    screen.good(f"Dave and Carol, who closed, have to wait {TO_SELF_DELAY} blocks for theirs")
    for channel, closer, txid in closes:
        close = stage.chain.transaction(txid)
        shares = ledger.closed_alone(channel, closer, close, stage.chain.spenders)
        parts = ", ".join(f"{name.capitalize()} {sat(amount * 1000)}" for name, amount in shares.items())
        screen.say(f"  {channel.name}: {parts}; {close.fee_sat} sat to the miner, two anchors of {ANCHOR_SAT} sat.")
    for name in ("alice", "bob", "carol", "dave"):
        stage[name].await_coins(ledger.coins_sat[name])


def _taken(stage: Stage, channel: Channel, txid: str, name: str) -> None:
    """Wait until somebody's share of a commitment is spent, in the mempool or a block."""
    close = stage.chain.transaction(txid)
    share = channel.shares_sat(close.fee_sat, anchors=2)[name]
    expect(share in close.outputs_sat, f"the commitment {txid} has no output of {share} sat for {name}")
    output = close.outputs_sat.index(share)
    until(lambda: stage.chain.is_spent(txid, output), f"{name} takes {share} sat from the commitment of {channel.name}")
