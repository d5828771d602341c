"""Three channels: two that the network may know, one that it may not."""

from __future__ import annotations

from dataclasses import dataclass

from demo.screen import sat
from demo.story import Story

TITLE = "Channels"


@dataclass(frozen=True)
class Wish:
    """A channel to open."""

    opener: str
    other: str
    sat: int
    announce: bool
    push_msat: int = 0


WISHES = (
    Wish("alice", "bob", 1_000_000, True),
    Wish("bob", "carol", 800_000, False),
    Wish("dave", "bob", 600_000, True, push_msat=100_000_000),
)


def play(story: Story) -> None:
    """Open them, bury the fundings under six blocks, and wait until both ends of each can use it."""
    stage, ledger, screen = story.stage, story.ledger, story.screen
    opened = []
    for wish in WISHES:
        push = {"push_msat": wish.push_msat} if wish.push_msat else {}
        answer = stage.fund(wish.opener, wish.other, wish.sat, announce=wish.announce, **push)
        funding = stage.chain.transaction(answer["txid"])
        ledger.opened(answer["channel_id"], wish.opener, wish.other, wish.sat, funding, wish.push_msat)
        opened.append((answer["channel_id"], wish.opener, wish.other))
        kind = "announced to the network" if wish.announce else "known to these two alone"
        gift = f", {sat(wish.push_msat)} of them for {wish.other.capitalize()} at once" if wish.push_msat else ""
        screen.say(
            f"  {wish.opener.capitalize():5} opens a channel of {sat(wish.sat * 1000)} with {wish.other.capitalize()}"
            f"{gift}; {kind}. Funding fee {funding.fee_sat} sat."
        )
    stage.lock_in(opened)
    screen.good("six blocks later all three are usable from both ends")
