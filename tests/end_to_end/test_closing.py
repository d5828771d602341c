"""A close that the peer is not there for waits for it, and pays to where it was told."""

from __future__ import annotations

import contextlib
import threading

from tests.builders.line import Line

from fulmen.core.base.faults import Fault
from fulmen.lab.waiting import until


def test_a_close_waits_for_an_absent_peer_and_pays_where_it_was_told(line: Line) -> None:
    stage, alice, carol = line.stage, line["alice"], line["carol"]
    answer = stage.fund("alice", "carol", 200_000, announce=False)
    channel_id = answer["channel_id"]
    line.ledger.opened(channel_id, "alice", "carol", 200_000, stage.chain.transaction(answer["txid"]))
    stage.lock_in([(channel_id, "alice", "carol")])
    carol.kill()
    until(lambda: not alice.channel(channel_id)["peer_connected"], "Alice has lost Carol")
    home = str(alice.call("newaddr")["bech32"])
    closed: list[dict[str, str]] = []

    def close() -> None:
        with alice.caller() as caller:
            closed.append(caller.call("close", {"id": channel_id, "destination": home}))

    caller = threading.Thread(target=close, daemon=True)
    caller.start()
    carol.start()
    caller.join(60)
    assert [one["type"] for one in closed] == ["mutual"]
    stage.mine()
    channel = line.ledger.between("alice", "carol")
    line.ledger.closed_together(channel, stage.chain.transaction(closed[0]["txid"]))
    for node in (alice, carol):
        node.await_coins(line.ledger.coins_sat[node.name])
    (paid,) = (one for one in alice.call("listfunds")["outputs"] if one["txid"] == closed[0]["txid"])
    assert paid["address"] == home
    line.await_usable()
    line.all_agree()


def test_two_who_close_at_once_are_both_answered_though_the_peer_dies_meanwhile(line: Line) -> None:
    stage, alice, carol = line.stage, line["alice"], line["carol"]
    answer = stage.fund("alice", "carol", 200_000, announce=False)
    channel_id = answer["channel_id"]
    line.ledger.opened(channel_id, "alice", "carol", 200_000, stage.chain.transaction(answer["txid"]))
    stage.lock_in([(channel_id, "alice", "carol")])
    carol.program.freeze()
    closed: list[dict[str, str]] = []

    def close() -> None:
        with alice.caller() as caller:
            closed.append(caller.call("close", {"id": channel_id}))

    callers = [threading.Thread(target=close, daemon=True) for _ in range(2)]
    for caller in callers:
        caller.start()
    until(lambda: alice.channel(channel_id)["state"] == "CHANNELD_SHUTTING_DOWN", "Alice has said shutdown")
    carol.kill()
    carol.start()
    for caller in callers:
        caller.join(60)
    assert [one["type"] for one in closed] == ["mutual", "mutual"]
    assert closed[0] == closed[1]
    stage.mine()
    channel = line.ledger.between("alice", "carol")
    line.ledger.closed_together(channel, stage.chain.transaction(closed[0]["txid"]))
    for node in (alice, carol):
        node.await_coins(line.ledger.coins_sat[node.name])
    line.await_usable()
    line.all_agree()


def test_a_close_that_waits_for_its_peer_is_not_forgotten_by_a_node_that_is_started_again(line: Line) -> None:
    stage, alice, carol = line.stage, line["alice"], line["carol"]
    answer = stage.fund("alice", "carol", 200_000, announce=False)
    channel_id = answer["channel_id"]
    line.ledger.opened(channel_id, "alice", "carol", 200_000, stage.chain.transaction(answer["txid"]))
    stage.lock_in([(channel_id, "alice", "carol")])
    carol.kill()
    until(lambda: not alice.channel(channel_id)["peer_connected"], "Alice has lost Carol")

    def close() -> None:
        with contextlib.suppress(Fault), alice.caller() as caller:  # Alice dies before she can answer
            caller.call("close", {"id": channel_id})

    threading.Thread(target=close, daemon=True).start()
    until(lambda: alice.channel(channel_id)["state"] == "CHANNELD_SHUTTING_DOWN", "Alice has taken the wish")
    alice.kill()
    alice.start()
    assert alice.channel(channel_id)["state"] == "CHANNELD_SHUTTING_DOWN"
    carol.start()
    until(lambda: alice.channel(channel_id)["state"] == "CLOSINGD_COMPLETE", "both have agreed on the close")
    closed = alice.call("close", id=channel_id)
    assert closed["type"] == "mutual"
    stage.mine()
    channel = line.ledger.between("alice", "carol")
    line.ledger.closed_together(channel, stage.chain.transaction(closed["txid"]))
    for node in (alice, carol):
        node.await_coins(line.ledger.coins_sat[node.name])
    line.await_usable()
    line.all_agree()
