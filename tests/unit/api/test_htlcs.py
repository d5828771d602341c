"""What is shown of an HTLC on its way into the commitments of both sides and out again."""

from __future__ import annotations

from tests.builders.normal_channels import a_settled_world
from tests.laws.channel_family import channel_of, pay
from tests.laws.world import World

from fulmen.api.commands.htlcs import htlcs_of
from fulmen.core.base.machine import Lull

AMOUNT_MSAT = 5_000_000
NAMES = ("alice", "bob")


class Watched:
    """A payment from Alice to Bob, one event at a time, and all that each of them showed of it."""

    def __init__(self) -> None:
        self.world: World = a_settled_world()
        self.shown: dict[str, list[str]] = {name: [] for name in NAMES}
        pay(self.world.hosts["alice"], 2, AMOUNT_MSAT)
        self.look()
        while self.moved():
            pass

    def look(self) -> None:
        for name in NAMES:
            rows = list(htlcs_of(channel_of(self.world.hosts[name])))
            state = rows[0].state if rows else "gone"
            assert len(rows) < 2
            assert all(row.amount_msat == AMOUNT_MSAT for row in rows)
            assert all(row.direction == ("out" if name == "alice" else "in") for row in rows)
            if self.shown[name][-1:] != [state]:
                self.shown[name].append(state)

    def moved(self) -> bool:
        """One thing after the other: a message is heard, or a side finds nothing more to read."""
        one, other = NAMES
        moved = False
        for sender, receiver in ((one, other), (other, one)):
            if self.world.deliver(sender, receiver):
                self.look()
                moved = True
        if moved:
            return True
        for name in NAMES:
            self.world.hosts[name].run([Lull()])
            self.look()
            moved = bool(self.world.hosts[name].disk.sync()) or moved
        return moved


def test_who_offers_sees_each_step_in_core_lightnings_words() -> None:
    assert Watched().shown["alice"] == [
        "SENT_ADD_HTLC",
        "SENT_ADD_COMMIT",
        "RCVD_ADD_REVOCATION",
        "SENT_ADD_ACK_REVOCATION",
        "RCVD_REMOVE_HTLC",
        "SENT_REMOVE_REVOCATION",
        "SENT_REMOVE_ACK_COMMIT",
        "gone",
    ]


def test_who_receives_sees_each_step_too() -> None:
    assert Watched().shown["bob"] == [
        "gone",
        "RCVD_ADD_HTLC",
        "SENT_ADD_REVOCATION",
        "SENT_ADD_ACK_COMMIT",
        # RCVD_ADD_ACK_REVOCATION is over before anybody can look: this payee takes its money at once.
        "SENT_REMOVE_HTLC",
        "SENT_REMOVE_COMMIT",
        "RCVD_REMOVE_REVOCATION",
        "gone",
    ]
