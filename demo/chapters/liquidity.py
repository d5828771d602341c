"""A payment that no path can carry fails with its reason, and every millisatoshi is where it was."""

from __future__ import annotations

from demo.screen import sat
from demo.story import Story
from fulmen.api.client import RemoteError
from fulmen.api.errors import PAY_ROUTE_NOT_FOUND
from fulmen.lab.waiting import Deviation, expect

TITLE = "Not enough liquidity"

TOO_MUCH_MSAT = 400_000_000
ENOUGH_MSAT = 40_000_000


def play(story: Story) -> None:
    """Too much fails and moves nothing; less arrives."""
    stage, ledger, screen = story.stage, story.ledger, story.screen
    alice, dave = stage["alice"], stage["dave"]
    there = ledger.between("bob", "dave").msat["bob"]
    screen.say(
        f"Dave asks Alice for {sat(TOO_MUCH_MSAT)}. The only way is over Bob. His channel with Dave is large enough, "
        f"but only {sat(there)} in it are Bob's. Alice cannot see that: she has to try."
    )
    before = balances(story)
    made = dave.invoice(TOO_MUCH_MSAT, "too much")
    try:
        alice.call("pay", bolt11=made["bolt11"], retry_for=20)
    except RemoteError as refused:
        screen.quote(f"{refused.message}  (code {refused.code})")
        expect(refused.code == PAY_ROUTE_NOT_FOUND, f"it failed with code {refused.code}, not {PAY_ROUTE_NOT_FOUND}")
    else:
        raise Deviation("a payment arrived that nobody had the liquidity for")
    stage.quiet()
    expect(balances(story) == before, "a failed payment moved money")
    rows = alice.call("listpays", bolt11=made["bolt11"])["pays"]
    expect(rows[0]["status"] == "failed", "Alice does not list it as failed")
    screen.good("nobody has a millisatoshi more or less than before")
    alice.call("pay", bolt11=dave.invoice(ENOUGH_MSAT, "enough")["bolt11"])
    ledger.paid(ENOUGH_MSAT, "alice", "bob", "dave")
    screen.good(
        f"{sat(ENOUGH_MSAT)} arrive: Alice learned how much Bob cannot carry, and holds nothing else against him"
    )


def balances(story: Story) -> dict[tuple[str, str], int]:
    """Everybody's part of every channel: (node, channel) -> millisatoshi."""
    return {
        (name, row["channel_id"]): row["to_us_msat"]
        for name, node in story.stage.nodes.items()
        for row in node.channels()
    }
