"""The chain goes away and comes back, and it changes its mind about a funding."""

from __future__ import annotations

from demo.stage import Stage
from tests.builders.line import Line

from fulmen.lab.waiting import until


def test_payments_go_on_while_the_chain_is_away_and_blocks_are_read_when_it_is_back(line: Line) -> None:
    chain = line.stage.chain
    assert chain.program.stop() == 0
    line.pay("alice", "dave", 1_000_000)
    chain.start()
    line.stage.mine(2)
    line.pay("dave", "alice", 1_000_000)
    line.all_agree()


def test_a_second_source_that_is_away_is_said_and_stops_nothing(stage: Stage) -> None:
    stage.open({"vera": {"chain.second.url": "http://127.0.0.1:1"}})
    vera = stage["vera"]
    until(lambda: "SourceUnreachable" in (vera.call("getinfo")["warning_bitcoind_sync"] or ""), "getinfo tells of it")
    stage.give({"vera": 100_000})
    assert "chain alarm" in vera.program.log.read_text(encoding="utf-8")


def test_a_funding_that_a_reorg_moves_is_found_at_its_new_place(line: Line) -> None:
    stage = line.stage
    alice, carol = stage["alice"], stage["carol"]
    answer = stage.fund("alice", "carol", 200_000, announce=False)
    assert answer["txid"] in stage.chain.call("getrawmempool")
    channel_id = answer["channel_id"]
    line.ledger.opened(channel_id, "alice", "carol", 200_000, stage.chain.transaction(answer["txid"]))
    stage.mine(2)
    confirmed = stage.chain.transaction(answer["txid"]).height
    assert not alice.usable(channel_id)
    # An empty block comes first this time, so the funding moves by one.
    stage.chain.reorganize(2, empty_first=True)
    stage.caught_up()
    moved = stage.chain.transaction(answer["txid"]).height
    assert moved == confirmed + 1
    stage.lock_in([(channel_id, "alice", "carol")])
    for node in (alice, carol):
        assert int(node.channel(channel_id)["short_channel_id"].partition("x")[0]) == moved
    made = carol.invoice(5_000_000, line.label("over the moved channel"))
    assert alice.call("pay", bolt11=made["bolt11"])["amount_sent_msat"] == 5_000_000
    line.ledger.paid(5_000_000, "alice", "carol")
    stage.quiet()
    close = alice.call("close", id=channel_id)
    stage.mine()
    channel = line.ledger.between("alice", "carol")
    line.ledger.closed_together(channel, stage.chain.transaction(close["txid"]))
    for node in (alice, carol):
        node.await_coins(line.ledger.coins_sat[node.name])
    line.all_agree()
