"""A disk that cannot be read at a start stops the node with words, and takes nothing from anybody."""

from __future__ import annotations

import random
from pathlib import Path

from demo.stage import Stage

from fulmen.lab.nodes import NETWORK, Node
from fulmen.lab.waiting import until

READS = 90
"""A start has more of them, before anything else can go on."""
PAID_MSAT = 10_000_000


def test_a_node_that_cannot_read_its_store_says_so_and_stops_and_later_goes_on(stage: Stage) -> None:
    stage.open({"alice": {}, "bob": {}})
    alice, bob = stage["alice"], stage["bob"]
    stage.give({"alice": 1_000_000})
    answer = stage.fund("alice", "bob", 500_000, announce=False)
    stage.lock_in([(answer["channel_id"], "alice", "bob")])
    alice.call("pay", bolt11=bob.invoice(PAID_MSAT, "before")["bolt11"])
    stage.quiet()

    bob.kill()
    stored = files_of(bob)
    for number in random.Random(5).sample(range(READS), 3):
        (bob.home / "unreadable").write_text(str(number))
        bob.front = "tests.end_to_end.unreadable_node"
        bob.launch()
        until(lambda: not bob.program.alive, "Bob stops by himself")
        assert "The disk could not be written or read" in bob.program.last_words().splitlines()[-1]
        assert "EIO" in bob.program.last_words()
        assert bob.stop() == 1
        assert files_of(bob) == stored

    bob.front = "fulmen.cli"
    bob.start()
    bob.await_usable(answer["channel_id"])
    alice.await_usable(answer["channel_id"])
    assert bob.balance_msat(answer["channel_id"]) == PAID_MSAT
    alice.call("pay", bolt11=bob.invoice(PAID_MSAT, "after")["bolt11"])
    stage.quiet()
    assert bob.balance_msat(answer["channel_id"]) == 2 * PAID_MSAT


def files_of(node: Node) -> dict[str, bytes]:
    """The database and its log."""
    home: Path = node.home / NETWORK
    return {name: (home / name).read_bytes() for name in ("journal.sqlite", "journal.sqlite-wal")}
