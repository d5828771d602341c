"""BOLT 7: `channel_announcement` and `node_announcement`, which of them are taken, and when a channel is forgotten."""

from __future__ import annotations

from typing import Any

from fulmen.conformance.defaults.numbers import OTHER_CHAIN
from fulmen.conformance.script import (
    BOB,
    Disabled,
    ExpectComplaint,
    ExpectGossip,
    Flipped,
    FundAnnounced,
    Level,
    Mine,
    Now,
    Ours,
    Scid,
    Script,
    Send,
    SpendAnnounced,
)
from fulmen.conformance.scripts.good import twin
from fulmen.conformance.scripts.gossip.common import BOTH, FUNDED, KNOWN, TOLD
from fulmen.core.wire.features import GOSSIP_QUERIES

NOT_CORRECT = "`node_signature_2` are invalid OR NOT correct:"
UNKNOWN_CHAIN = "if the specified `chain_hash` is unknown to the receiver:"
IGNORES = "MUST ignore the message."
GOOD = twin("channel_announcement", *TOLD)
WITH_TERMS = Send("channel_update", peer=BOB)
"""Without an update, a node that took a channel may still keep it to itself; who announced it may have been cut."""


def ignored_announcement(name: str, quote: str, fields: dict[str, Any]) -> Script:
    """A `channel_announcement` that must not enter the graph."""
    return Script(
        name=f"channel_announcement is ignored: {name}",
        good=GOOD,
        ids=("B7-2",),
        quotes=(quote, IGNORES),
        steps=(
            *FUNDED,
            Send("channel_announcement", fields),
            WITH_TERMS,
            ExpectGossip("channel_announcement", known=False, peer=BOB),
        ),
    )


def ignored_output(name: str, plus: int) -> Script:
    """A `channel_announcement` of an output that is not the channel's: what must not be known has its own id."""
    scid = {"short_channel_id": Scid(plus=plus)}
    return Script(
        name=f"channel_announcement is ignored: {name}",
        good=GOOD,
        ids=("B7-2",),
        quotes=("if the `short_channel_id`'s output does NOT correspond to a P2WSH", IGNORES),
        steps=(
            *FUNDED,
            Send("channel_announcement", scid),
            Send("channel_update", scid, peer=BOB),
            ExpectGossip("channel_announcement", scid=Scid(plus=plus), known=False, peer=BOB),
        ),
    )


CHANNELS = (
    Script(
        name="channel_announcement is taken when all is right",
        ids=("B7-2", "B7-5"),
        offers=(GOSSIP_QUERIES,),
        quotes=("MUST verify the integrity AND authenticity of the message by verifying the signatures.",),
        steps=TOLD,
    ),
    *(
        ignored_announcement(f"{name} is wrong", NOT_CORRECT, {name: Flipped()})
        for name in ("node_signature_1", "node_signature_2", "bitcoin_signature_1", "bitcoin_signature_2")
    ),
    ignored_announcement(
        "it is about another chain",
        UNKNOWN_CHAIN,
        {"chain_hash": OTHER_CHAIN},
    ),
    ignored_output("there is no such output", 5),
    ignored_output("the output pays to somebody else", 1),
    Script(
        name="channel_announcement is ignored: the output is spent",
        good=GOOD,
        ids=("B7-2",),
        quotes=("OR the output is spent: - MUST ignore the message.",),
        steps=(
            *FUNDED,
            SpendAnnounced(depth=6),
            Send("channel_announcement"),
            Send("channel_update", {"channel_flags": Disabled()}, peer=BOB),
            ExpectGossip("channel_announcement", known=False, peer=BOB),
        ),
    ),
    Script(
        name="channel_announcement is ignored: one confirmation",
        good=GOOD,
        ids=("B7-2",),
        level=Level.SHOULD,
        quotes=(
            "if the `short_channel_id`'s output does NOT have at least 6 confirmations:",
            "otherwise: - SHOULD ignore the message.",
        ),
        steps=(
            *BOTH,
            FundAnnounced(depth=1),
            Send("channel_announcement"),
            WITH_TERMS,
            ExpectGossip("channel_announcement", known=False, peer=BOB),
        ),
    ),
    Script(
        name="a wrong signature is complained of",
        good=GOOD,
        ids=("B7-2",),
        level=Level.SHOULD,
        quotes=(NOT_CORRECT, "SHOULD send a `warning`."),
        steps=(*FUNDED, Send("channel_announcement", {"node_signature_1": Flipped()}), ExpectComplaint()),
    ),
    Script(
        name="a channel is forgotten 72 blocks after its output was spent, and not before",
        ids=("B7-7",),
        level=Level.SHOULD,
        quotes=("SHOULD forget a channel after a 72-block delay.",),
        steps=(
            *TOLD,
            SpendAnnounced(depth=60),
            Send("channel_update", {"timestamp": Now(60), "fee_base_msat": 9, "channel_flags": Disabled()}),
            ExpectGossip("channel_update", fields={"fee_base_msat": 9}, peer=BOB),
            Mine(20),
            ExpectGossip("channel_announcement", known=False, peer=BOB),
        ),
    ),
)

NODE_TAKEN = Script(
    name="node_announcement is taken when its node has a channel",
    ids=("B7-3",),
    quotes=("SHOULD queue the message for rebroadcasting.",),
    steps=(
        *KNOWN,
        Send("node_announcement"),
        ExpectGossip("node_announcement", fields={"node_id": Ours("node_announcement", "node_id")}),
    ),
)
NODES = (
    NODE_TAKEN,
    Script(
        name="node_announcement is ignored: it is older",
        ids=("B7-3",),
        level=Level.SHOULD,
        quotes=(
            "if `timestamp` is NOT greater than the last-received `node_announcement` from this `node_id`: - SHOULD "
            "ignore the message.",
        ),
        steps=(
            *KNOWN,
            Send("node_announcement"),
            ExpectGossip("node_announcement", fields={"node_id": Ours("node_announcement", "node_id")}),
            Send("node_announcement", {"timestamp": Now(-1000), "rgb_color": b"\1\2\3"}),
            ExpectGossip("node_announcement", known=False, fields={"rgb_color": b"\1\2\3"}),
        ),
    ),
    Script(
        name="node_announcement is ignored: its signature is wrong",
        good=NODE_TAKEN,
        ids=("B7-3",),
        quotes=("if `signature` is NOT a valid signature", "MUST NOT process the message further."),
        steps=(
            *KNOWN,
            Send("node_announcement", {"signature": Flipped(), "rgb_color": b"\1\2\3"}),
            ExpectGossip("node_announcement", known=False, fields={"rgb_color": b"\1\2\3"}, peer=BOB),
        ),
    ),
    Script(
        name="node_announcement is complained of: its addresses are cut",
        good=NODE_TAKEN,
        ids=("B7-3",),
        level=Level.SHOULD,
        quotes=(
            "if `addrlen` is insufficient to hold the address descriptors of the known types: - SHOULD send a "
            "`warning`.",
        ),
        steps=(*KNOWN, Send("node_announcement", {"addresses": b"\x01\x7f\x00"}), ExpectComplaint()),
    ),
    Script(
        name="node_announcement with an address of an unknown type is taken",
        ids=("B7-3",),
        level=Level.SHOULD,
        quotes=("SHOULD ignore the first `address descriptor` that does NOT match the types defined above.",),
        steps=(
            *KNOWN,
            Send("node_announcement", {"addresses": b"\xc8whatever", "rgb_color": b"\4\5\6"}),
            ExpectGossip("node_announcement", fields={"rgb_color": b"\4\5\6"}),
        ),
    ),
)
