"""Coins out of nothing: on a regtest they cost a call."""

from __future__ import annotations

from demo.screen import sat
from demo.story import Story

TITLE = "Coins"

GIVEN_SAT = {"alice": 2_000_000, "bob": 1_500_000, "dave": 1_000_000}
"""Carol has none: one can be paid without having had a coin."""


def play(story: Story) -> None:
    """Give them coins, find a block."""
    story.stage.give(GIVEN_SAT)
    for name, amount in GIVEN_SAT.items():
        story.ledger.given(name, amount)
    shown = ", ".join(f"{name.capitalize()} {sat(amount * 1000)}" for name, amount in GIVEN_SAT.items())
    story.screen.say(f"The miner gives {shown}. Carol starts with nothing: whoever is paid needs no coins.")
    story.screen.good("confirmed, and every wallet sees what it was given")
