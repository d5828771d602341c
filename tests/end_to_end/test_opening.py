"""Channels opened as their owner wishes: with everything, with named coins, deeper, and bound to an address."""

from __future__ import annotations

import pytest
from demo.story import settings_of
from tests.builders.line import Line

from fulmen.api.client import RemoteError
from fulmen.lab.nodes import Node
from fulmen.lab.waiting import until

COIN_SAT = 300_000


@pytest.fixture
def frank(line: Line) -> Node:
    """A newcomer with two coins."""
    node = line.stage.nodes.get("frank") or line.stage.add("frank", settings_of("dave"))
    if not node.program.alive:
        node.start()
    for _ in range(2):
        line.stage.give({"frank": COIN_SAT})
    return node


def test_a_channel_with_everything_leaves_what_its_close_may_need(line: Line, frank: Node) -> None:
    stage, dave = line.stage, line["dave"]
    stage["frank"].connect(dave)
    answer = frank.call("fundchannel", id=dave.id, amount="all", announce=False)
    funding = stage.chain.transaction(answer["txid"])
    size_sat = funding.outputs_sat[answer["outnum"]]
    assert frank.coins_sat == 2 * COIN_SAT - funding.fee_sat - size_sat
    assert frank.spendable_sat == 0
    stage.lock_in([(answer["channel_id"], "frank", "dave")])
    home = frank.call("newaddr", addresstype="p2tr")["p2tr"]
    before = frank.coins_sat
    close = frank.call("close", id=answer["channel_id"], destination=home)
    stage.mine()
    frank.await_coins(before + sum(stage.chain.transaction(close["txid"]).outputs_sat))
    assert dave.channel(answer["channel_id"])["state"] == "ONCHAIN"


def test_a_channel_of_one_coin_waits_as_deep_as_it_was_told_and_closes_where_it_was_told(
    line: Line, frank: Node
) -> None:
    stage = line.stage
    coin = next(one for one in frank.call("listfunds")["outputs"] if one["amount_msat"] == COIN_SAT * 1000)
    home = str(frank.call("newaddr")["bech32"])
    stage["frank"].connect(line["carol"])
    answer = frank.call(
        "fundchannel",
        id=line["carol"].id,
        amount="200k",
        announce=False,
        utxos=[f"{coin['txid']}:{coin['output']}"],
        close_to=home,
        mindepth=5,
    )
    assert stage.chain.transaction(answer["txid"]).inputs == ((coin["txid"], coin["output"]),)
    stage.mine(4)
    assert not frank.usable(answer["channel_id"])
    stage.mine(1)
    until(lambda: frank.usable(answer["channel_id"]), "the fifth block makes it usable")
    elsewhere = str(frank.call("newaddr")["bech32"])
    with pytest.raises(RemoteError, match=f"closes to {home}"):
        frank.call("close", id=answer["channel_id"], destination=elsewhere)
    close = frank.call("close", id=answer["channel_id"])
    stage.mine()
    (paid,) = (one for one in frank.call("listfunds")["outputs"] if one["txid"] == close["txid"])
    assert paid["address"] == home
