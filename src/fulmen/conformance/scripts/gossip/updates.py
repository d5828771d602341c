"""BOLT 7: which `channel_update` is taken, and which is passed over."""

from __future__ import annotations

from typing import Any

from fulmen.conformance.defaults.numbers import OTHER_CHAIN
from fulmen.conformance.script import (
    BOB,
    ExpectComplaint,
    ExpectGossip,
    ExpectQuiet,
    Flipped,
    Level,
    Now,
    Script,
    Send,
    SpendAnnounced,
)
from fulmen.conformance.scripts.gossip.common import FUNDED, TOLD

TAKEN = Script(
    name="a newer channel_update takes the place of the older",
    ids=("B7-4",),
    quotes=("MUST set `timestamp` to greater than 0, AND to greater than any previously-sent `channel_update`",),
    steps=(
        *TOLD,
        Send("channel_update", {"fee_base_msat": 7, "timestamp": Now(100)}),
        ExpectGossip("channel_update", fields={"fee_base_msat": 7}, peer=BOB),
    ),
)


def ignored_update(name: str, quote: str, fields: dict[str, Any]) -> Script:
    """A `channel_update` that must not change what the node knows."""
    return Script(
        name=f"channel_update is ignored: {name}",
        good=TAKEN,
        ids=("B7-4",),
        quotes=(quote,),
        steps=(
            *TOLD,
            Send("channel_update", {"fee_base_msat": 7, "timestamp": Now(100), **fields}),
            ExpectGossip("channel_update", known=False, fields={"fee_base_msat": 7}, peer=BOB),
        ),
    )


UPDATES = (
    TAKEN,
    ignored_update(
        "it is older",
        "if `timestamp` is lower than that of the last-received `channel_update` for this `short_channel_id` AND for "
        "`node_id`: - SHOULD ignore the message.",
        {"timestamp": Now(-1000)},
    ),
    ignored_update("its signature is wrong", "MUST NOT process the message further.", {"signature": Flipped()}),
    ignored_update(
        "it is about another chain",
        "if the specified `chain_hash` value is unknown (meaning it isn't active on the specified chain): - MUST ignore"
        " the channel update.",
        {"chain_hash": OTHER_CHAIN},
    ),
    Script(
        name="channel_update is ignored: the output is spent, and it does not disable",
        good=TAKEN,
        ids=("B7-4",),
        quotes=(
            "if the channel output has been spent: - MUST ignore `channel_update`s, unless they have the `disable` bit "
            "set to 1.",
        ),
        steps=(
            *TOLD,
            SpendAnnounced(),
            ExpectQuiet(2.0),
            Send("channel_update", {"fee_base_msat": 7, "timestamp": Now(100)}),
            ExpectGossip("channel_update", known=False, fields={"fee_base_msat": 7}, peer=BOB),
        ),
    ),
    Script(
        name="channel_update is ignored: nobody announced its channel",
        good=TAKEN,
        ids=("B7-4",),
        quotes=(
            "if the `short_channel_id` does NOT match a previous `channel_announcement`: - MUST ignore "
            "`channel_update`s that do NOT correspond to one of its own channels.",
        ),
        steps=(*FUNDED, Send("channel_update"), ExpectGossip("channel_update", known=False, peer=BOB)),
    ),
    Script(
        name="a wrong signature in channel_update is complained of",
        good=TAKEN,
        ids=("B7-4",),
        level=Level.SHOULD,
        quotes=("SHOULD send a `warning` and close the connection.",),
        steps=(
            *TOLD,
            Send("channel_update", {"timestamp": Now(100), "signature": Flipped()}),
            ExpectComplaint(),
        ),
    ),
)
