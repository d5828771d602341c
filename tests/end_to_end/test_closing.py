"""A close that the peer is not there for waits for it, and pays to where it was told."""

from __future__ import annotations

from tests.builders.line import Line

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
    closing = alice.begin("close", id=channel_id, destination=home)
    carol.start()
    closing.join(60)
    closed = closing.answer
    assert closed["type"] == "mutual"
    stage.mine()
    channel = line.ledger.between("alice", "carol")
    line.ledger.closed_together(channel, stage.chain.transaction(closed["txid"]))
    for node in (alice, carol):
        node.await_coins(line.ledger.coins_sat[node.name])
    (paid,) = (one for one in alice.call("listfunds")["outputs"] if one["txid"] == closed["txid"])
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
    closings = [alice.begin("close", id=channel_id) for _ in range(2)]
    until(lambda: alice.channel(channel_id)["state"] == "CHANNELD_SHUTTING_DOWN", "Alice has said shutdown")
    carol.kill()
    carol.start()
    for closing in closings:
        closing.join(60)
    closed, again = [closing.answer for closing in closings]
    assert closed["type"] == "mutual"
    assert again == closed
    stage.mine()
    channel = line.ledger.between("alice", "carol")
    line.ledger.closed_together(channel, stage.chain.transaction(closed["txid"]))
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
    alice.begin("close", id=channel_id)  # she dies before she can answer
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
