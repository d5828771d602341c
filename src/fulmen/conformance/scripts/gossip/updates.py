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
    OneOf,
    OtherEnd,
    Plus,
    Script,
    Send,
    SpendAnnounced,
)
from fulmen.conformance.scripts.gossip.common import FUNDED, TOLD

UNSIGNED = "MUST NOT process the message further."
OF_AN_END = (
    "The `node_id` for the signature verification is taken from the corresponding `channel_announcement`: `node_id_1` "
    "if the least-significant bit of flags is 0 or `node_id_2` otherwise."
)
UPDATE_OF_UNKNOWN_CHAIN = (
    "if the specified `chain_hash` value is unknown (meaning it isn't active on the specified chain): - MUST ignore the"
    " channel update."
)
OF_ALL = (
    "using `node_id` of the double-SHA256 of the entire message following the `signature` field (including unknown "
    "fields following `fee_proportional_millionths`):"
)
STRANGE_FLAGS = {"message_flags": Plus(0xFC), "channel_flags": Plus(0xFC), "fee_base_msat": 7}
"""All bits that have no meaning; with other terms, for some drop what seems to repeat the update before it."""
ODD_TLV = bytes.fromhex("c9014f")
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


def kept(what: str, level: Level, quote: str, fields: dict[str, Any], seen: dict[str, Any]) -> Script:
    """A `channel_update` with what nobody knows, which is told to others as it came: else its signature is broken."""
    return Script(
        name=f"channel_update with {what} that nobody knows is told as it came",
        ids=("B7-4", "B7-5"),
        level=level,
        quotes=(OF_ALL, quote),
        steps=(
            *TOLD,
            Send("channel_update", {"timestamp": Now(100), **fields}),
            ExpectGossip("channel_update", fields=seen, peer=BOB),
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
    ignored_update("its signature is wrong", UNSIGNED, {"signature": Flipped()}),
    ignored_update("the other end should have signed it", OF_AN_END, {"channel_flags": OtherEnd()}),
    ignored_update(
        "it is about another chain",
        UPDATE_OF_UNKNOWN_CHAIN,
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
    kept(
        "flags",
        Level.MUST,
        "with a `channel_announcement` and the latest `channel_update` for each end",
        STRANGE_FLAGS,
        {"message_flags": 0xFD, "channel_flags": OneOf((0xFC, 0xFD))},
    ),
    kept(
        "fields",
        Level.SHOULD,
        "MAY choose NOT to for messages longer than the minimum expected length.",
        {"extra": ODD_TLV},
        {"extra": ODD_TLV},
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
