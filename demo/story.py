"""The story: its players, what they ask for their services, and its chapters in order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from demo.ledger import Ledger, Price
from demo.screen import Screen
from demo.stage import Stage

PLAYERS = ("alice", "bob", "carol", "dave")
PRICES = {
    "alice": Price(1000, 10),
    "bob": Price(100, 250),
    "carol": Price(1000, 10),
    "dave": Price(1000, 10),
}
"""What each of them publishes; the nodes are started with it."""


@dataclass
class Story:
    """What all chapters share."""

    stage: Stage
    ledger: Ledger
    screen: Screen


class Chapter(Protocol):
    """A module with a title and something to play."""

    TITLE: str

    def play(self, story: Story) -> None:
        """Do it for real, and check that it went as it must.

        Raises:
            Deviation: it did not.
        """


def settings_of(name: str) -> dict[str, str]:
    """What a player's node is started with."""
    price = PRICES[name]
    return {
        "policy.forward.fee_base_msat": str(price.base_msat),
        "policy.forward.fee_proportional_millionths": str(price.proportional_millionths),
    }


def play(chapters: Sequence[Chapter], screen: Screen, judge: str = "") -> None:
    """Raise the curtain, play all chapters, and clear the stage.

    Raises:
        Deviation: something is not as it must be.
    """
    with Stage(judge=judge) as stage:
        story = Story(stage, Ledger(dict(PRICES)), screen)
        for chapter in chapters:
            screen.chapter(chapter.TITLE)
            chapter.play(story)
