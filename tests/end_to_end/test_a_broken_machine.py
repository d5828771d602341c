"""A machine with a bug asks its key holder for what would lose money: the channel holds still, and nothing is lost."""

from __future__ import annotations

import pytest
from demo.stage import Stage

from fulmen.api.errors import RpcError
from fulmen.lab.waiting import until

CAPACITY_SAT = 500_000
PUSH_MSAT = 200_000_000


def a_channel(stage: Stage) -> str:
    """With money on both sides."""
    stage.give({"alice": 1_000_000})
    answer = stage.fund("alice", "bob", CAPACITY_SAT, push_msat=PUSH_MSAT, announce=False)
    stage.lock_in([(answer["channel_id"], "alice", "bob")])
    return str(answer["channel_id"])


def test_a_secret_that_must_be_kept_is_kept_and_the_channel_can_still_be_closed(stage: Stage) -> None:
    stage.open({"alice": {}})
    stage.add("bob").front = "tests.end_to_end.broken_node"
    stage["bob"].start()
    alice, bob = stage["alice"], stage["bob"]
    channel_id = a_channel(stage)
    alice.call("pay", bolt11=bob.invoice(10_000_000, "first")["bolt11"])
    stage.quiet()  # Bob's second commitment is without the HTLC, and the next payment makes a third
    second = bob.invoice(20_000_000, "second")["bolt11"]
    with pytest.raises(RpcError):
        alice.call("pay", bolt11=second, retry_for=3)
    frozen = until(lambda: bob.channel(channel_id).get("frozen"), "Bob's channel is frozen")
    assert "WillNotSign" in frozen and "in their order" in frozen
    assert bob.channel(channel_id)["to_us_msat"] >= PUSH_MSAT + 10_000_000
    assert stage.chain.call("getrawmempool") == [], "a bug of ours closes no channel (law 8)"
    # What a frozen channel still does: the operator takes his money home.
    closed = bob.call("close", id=channel_id, force=True)
    until(lambda: closed["txid"] in stage.chain.call("getrawmempool"), "Bob's commitment is published")
    stage.mine()
    assert PUSH_MSAT // 1000 + 10_000 in stage.chain.transaction(closed["txid"]).outputs_sat


def test_what_is_revoked_is_not_published_whatever_the_machine_says(stage: Stage) -> None:
    stage.open({"alice": {}, "bob": {}})
    alice, bob = stage["alice"], stage["bob"]
    channel_id = a_channel(stage)
    alice.call("pay", bolt11=bob.invoice(10_000_000, "one")["bolt11"])
    stage.quiet()
    assert bob.stop() == 0
    bob.front = "tests.end_to_end.broken_node"
    (bob.home / "publishes-revoked").touch()
    bob.start()
    bob.await_usable(channel_id)
    bob.call("close", id=channel_id, force=True)
    frozen = until(lambda: bob.channel(channel_id).get("frozen"), "Bob's channel is frozen")
    assert "this commitment is revoked" in frozen
    # Alice was told that the channel failed, and closes it as it is: nothing of Bob's is lost.
    until(lambda: bool(alice.channel(channel_id).get("failed_because")), "Alice heard of it")
    until(lambda: stage.chain.call("getrawmempool"), "Alice's commitment is published")
    stage.mine()
    until(lambda: "ONCHAIN" in bob.channel(channel_id)["state"], "Bob sees Alice's commitment")
    assert bob.program.alive
