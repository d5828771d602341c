"""Nodes tell each other of the announced channels, with signatures that anybody can check (BOLT 7)."""

from __future__ import annotations

from typing import Any

from demo.story import PRICES, Story
from fulmen.lab.nodes import Node
from fulmen.lab.waiting import expect, until

TITLE = "Gossip"

ANNOUNCED = 2
"""Alice-Bob and Dave-Bob; Bob-Carol is nobody's business."""


def play(story: Story) -> None:
    """Wait until everybody knows both announced channels with both directions' prices, and nothing else."""
    stage = story.stage
    for node in stage.nodes.values():
        rows = _heard(node)
        known = len({row["short_channel_id"] for row in rows})
        expect(known == ANNOUNCED, f"{node} knows other channels than those that were announced")
        for row in rows:
            seller = next(name for name in PRICES if stage[name].id == row["source"])
            asked = (row["base_fee_millisatoshi"], row["fee_per_millionth"])
            price = PRICES[seller]
            expect(asked == (price.base_msat, price.proportional_millionths), f"{node} heard a wrong price of {seller}")
    story.screen.say("Word of a channel goes round with the signatures of both ends and both funding keys, and prices.")
    story.screen.good("all four know both announced channels in both directions; nobody else knows of Bob-Carol")


def _heard(node: Node) -> list[dict[str, Any]]:
    return until(lambda: _complete(node.call("listchannels")["channels"]), f"{node} knows the announced channels")


def _complete(rows: list[dict[str, Any]]) -> list[dict[str, Any]] | None:
    return rows if len(rows) == 2 * ANNOUNCED else None
