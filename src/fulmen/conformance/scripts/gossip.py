"""BOLT 7: announcements of channels and nodes, updates, queries, filters, and who is told what when.

Alice tells the node of a channel between her and bob; bob asks it what it knows. So a bad message that costs alice her
connection is still seen to be ignored.
"""

from __future__ import annotations

from typing import Any

from fulmen.conformance.script import (
    ALICE,
    BOB,
    AtLeast,
    AtMost,
    Disabled,
    Disconnect,
    Expect,
    ExpectComplaint,
    ExpectEach,
    ExpectGossip,
    ExpectNoGossip,
    ExpectQuiet,
    Flipped,
    FundAnnounced,
    FundChannel,
    Lacks,
    Level,
    Mine,
    Now,
    Ours,
    Plus,
    Present,
    Scid,
    Script,
    Send,
    SpendAnnounced,
    Step,
)
from fulmen.conformance.scripts.common import HELLO, accepted, hello, reconnected
from fulmen.core.wire.features import GOSSIP_QUERIES, GOSSIP_QUERIES_EX

OTHER_CHAIN = bytes([0xAB]) * 32
FLUSH_S = 70.0
"""A flush of gossip comes every 60 seconds."""
RELAYED = ("channel_announcement", "channel_update", "node_announcement")
BOTH: tuple[Step, ...] = (*hello(ALICE), *hello(BOB))
FUNDED: tuple[Step, ...] = (*BOTH, FundAnnounced())
"""Alice and bob are connected to the node, and share an output that is deep enough."""
TOLD: tuple[Step, ...] = (
    *FUNDED,
    Send("channel_announcement"),
    Send("channel_update"),
    ExpectGossip("channel_update", peer=BOB),
)
"""And the node knows their channel, and alice's terms."""
KNOWN: tuple[Step, ...] = (*TOLD, Send("channel_update", peer=BOB))
"""And bob's: some nodes tell of a node only when somebody's terms lead to it."""
PUBLIC = 1
NOBODYS = b"\0" + bytes(7) + b"\x09"
"""The id of a channel in block 0, as queries carry it."""
NOT_CORRECT = "`node_signature_2` are invalid OR NOT correct:"
IGNORES = "MUST ignore the message."


def own(**fields: Any) -> tuple[Step, ...]:
    """A channel with the node that is to be announced, ready on both sides and deep enough."""
    return (
        *accepted(channel_flags=PUBLIC, **fields),
        Send("funding_created"),
        Expect("funding_signed"),
        FundChannel(depth=6),
        Send("channel_ready"),
        Expect("channel_ready", within_s=30.0),
    )


OWN = (
    Script(
        name="announcement_signatures of a public channel, once it is deep and ready",
        ids=("B7-1",),
        quotes=(
            "After `channel_ready` has been sent and received AND the funding transaction has enough confirmations to "
            "ensure that it won't be reorganized: - MUST send `announcement_signatures` for the funding transaction.",
        ),
        steps=(
            *own(),
            Expect("announcement_signatures", {"short_channel_id": Scid(ALICE, real=True)}, within_s=30.0),
        ),
    ),
    Script(
        name="no announcement_signatures of a channel that is not to be announced",
        ids=("B7-1",),
        quotes=("Otherwise: - MUST NOT send the `announcement_signatures` message.",),
        steps=(
            *accepted(),
            Send("funding_created"),
            Expect("funding_signed"),
            FundChannel(depth=6),
            Send("channel_ready"),
            Expect("channel_ready", within_s=30.0),
            ExpectNoGossip(("announcement_signatures",), 5.0),
        ),
    ),
    Script(
        name="no announcement_signatures before channel_ready was received",
        ids=("B7-1",),
        quotes=("After `channel_ready` has been sent and received",),
        steps=(
            *accepted(channel_flags=PUBLIC),
            Send("funding_created"),
            Expect("funding_signed"),
            FundChannel(depth=6),
            Expect("channel_ready", within_s=30.0),
            ExpectNoGossip(("announcement_signatures",), 5.0),
        ),
    ),
    Script(
        name="a channel is announced once both have signed, and its signatures hold",
        ids=("B7-1", "B7-2"),
        quotes=(
            "If it has sent AND received a valid `announcement_signatures` message:",
            "MUST set `node_signature_1` and `node_signature_2` to valid signatures of the hash `h`",
            "MUST set `bitcoin_signature_1` and `bitcoin_signature_2` to valid signatures of the hash `h`",
        ),
        steps=(
            *own(),
            Expect("announcement_signatures", within_s=30.0),
            Send("announcement_signatures"),
            ExpectGossip("channel_announcement", scid=Scid(ALICE, real=True), within_s=FLUSH_S),
        ),
    ),
    Script(
        name="announcement_signatures are answered again after a reconnection",
        ids=("B7-1",),
        quotes=(
            "If it has NOT previously received `announcement_signatures` for the funding transaction: - MUST send its "
            "own `announcement_signatures` message.",
        ),
        steps=(
            *own(),
            Expect("announcement_signatures", within_s=30.0),
            Disconnect(),
            *reconnected(),
            Send("channel_ready"),
            ExpectEach((Expect("channel_ready"), Expect("announcement_signatures")), within_s=30.0),
        ),
    ),
    Script(
        name="wrong announcement_signatures announce nothing",
        ids=("B7-1",),
        quotes=(
            "If it has sent AND received a valid `announcement_signatures` message:",
            "If the `node_signature` OR the `bitcoin_signature` is NOT correct: - MAY send a `warning` and close the "
            "connection, or send an `error` and fail the channel.",
        ),
        steps=(
            *own(),
            Expect("announcement_signatures", within_s=30.0),
            Send("announcement_signatures", {"bitcoin_signature": Flipped()}),
            *hello(BOB),
            ExpectGossip("channel_announcement", scid=Scid(ALICE, real=True), known=False, peer=BOB),
        ),
    ),
    Script(
        name="the node's own channel_update keeps to its rules",
        ids=("B7-4",),
        quotes=(
            "MUST set `must_be_one` in `message_flags` to 1.",
            "MUST set this to less than or equal to the channel capacity.",
            "MUST set this to greater than or equal to `htlc_minimum_msat`.",
            "MUST set bits in `channel_flags` and `message_flags` that are not assigned a meaning to 0.",
            "MUST set this to less than or equal to `max_htlc_value_in_flight_msat` it received from the peer.",
        ),
        steps=(
            *own(max_htlc_value_in_flight_msat=600_000_000),
            # Some tell nobody of anything before they are asked to.
            Send("gossip_timestamp_filter"),
            Expect("announcement_signatures", within_s=30.0),
            Send("announcement_signatures"),
            Expect(
                "channel_update",
                {
                    "short_channel_id": Scid(ALICE, real=True),
                    "message_flags": Lacks((1, 2, 3, 4, 5, 6, 7)),
                    "channel_flags": Lacks((1, 2, 3, 4, 5, 6, 7)),
                    "htlc_maximum_msat": AtMost(Ours("open_channel", "max_htlc_value_in_flight_msat")),
                    "timestamp": AtLeast(1),
                },
                within_s=FLUSH_S,
            ),
        ),
    ),
    Script(
        name="a channel_update for the peer alone is not to be passed on",
        ids=("B7-4",),
        quotes=("MUST set `dont_forward` to 1 in `message_flags`",),
        steps=(
            *accepted(),
            Send("funding_created"),
            Expect("funding_signed"),
            FundChannel(depth=6),
            Send("channel_ready"),
            ExpectEach((Expect("channel_ready"), Expect("channel_update", {"message_flags": 3})), within_s=30.0),
        ),
    ),
)


def ignored_announcement(name: str, quote: str, fields: dict[str, Any], *, ids: tuple[str, ...] = ("B7-2",)) -> Script:
    """A `channel_announcement` that must not enter the graph."""
    return Script(
        name=f"channel_announcement is ignored: {name}",
        ids=ids,
        quotes=(quote, IGNORES),
        steps=(
            *FUNDED,
            Send("channel_announcement", fields),
            ExpectGossip("channel_announcement", known=False, peer=BOB),
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
        "if the specified `chain_hash` is unknown to the receiver:",
        {"chain_hash": OTHER_CHAIN},
    ),
    ignored_announcement(
        "there is no such output",
        "if the `short_channel_id`'s output does NOT correspond to a P2WSH",
        {"short_channel_id": Plus(5)},
    ),
    ignored_announcement(
        "the output pays to somebody else",
        "if the `short_channel_id`'s output does NOT correspond to a P2WSH",
        {"short_channel_id": Plus(1)},
    ),
    Script(
        name="channel_announcement is ignored: the output is spent",
        ids=("B7-2",),
        quotes=("OR the output is spent: - MUST ignore the message.",),
        steps=(
            *FUNDED,
            SpendAnnounced(depth=6),
            Send("channel_announcement"),
            ExpectGossip("channel_announcement", known=False, peer=BOB),
        ),
    ),
    Script(
        name="channel_announcement is ignored: one confirmation",
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
            ExpectGossip("channel_announcement", known=False, peer=BOB),
        ),
    ),
    Script(
        name="a wrong signature is complained of",
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


def ignored_update(name: str, quote: str, fields: dict[str, Any]) -> Script:
    """A `channel_update` that must not change what the node knows."""
    return Script(
        name=f"channel_update is ignored: {name}",
        ids=("B7-4",),
        quotes=(quote,),
        steps=(
            *TOLD,
            Send("channel_update", {"fee_base_msat": 7, "timestamp": Now(100), **fields}),
            ExpectGossip("channel_update", known=False, fields={"fee_base_msat": 7}, peer=BOB),
        ),
    )


UPDATES = (
    Script(
        name="a newer channel_update takes the place of the older",
        ids=("B7-4",),
        quotes=("MUST set `timestamp` to greater than 0, AND to greater than any previously-sent `channel_update`",),
        steps=(
            *TOLD,
            Send("channel_update", {"fee_base_msat": 7, "timestamp": Now(100)}),
            ExpectGossip("channel_update", fields={"fee_base_msat": 7}, peer=BOB),
        ),
    ),
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
        ids=("B7-4",),
        quotes=(
            "if the `short_channel_id` does NOT match a previous `channel_announcement`: - MUST ignore "
            "`channel_update`s that do NOT correspond to one of its own channels.",
        ),
        steps=(*FUNDED, Send("channel_update"), ExpectGossip("channel_update", known=False, peer=BOB)),
    ),
    Script(
        name="a wrong signature in channel_update is complained of",
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

NODES = (
    Script(
        name="node_announcement is taken when its node has a channel",
        ids=("B7-3",),
        quotes=("SHOULD queue the message for rebroadcasting.",),
        steps=(
            *KNOWN,
            Send("node_announcement"),
            ExpectGossip("node_announcement", fields={"node_id": Ours("node_announcement", "node_id")}),
        ),
    ),
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

QUERIES = (
    Script(
        name="query_channel_range of all blocks is answered to its end",
        ids=("B7-5",),
        offers=(GOSSIP_QUERIES,),
        quotes=(
            "MUST respond with one or more `reply_channel_range`:",
            "MUST set with `chain_hash` equal to that of `query_channel_range`,",
            "MUST set `sync_complete` to `true`.",
        ),
        steps=(
            *HELLO,
            Send("query_channel_range"),
            Expect(
                "reply_channel_range",
                {"chain_hash": Ours("query_channel_range", "chain_hash"), "sync_complete": 1},
                within_s=30.0,
            ),
        ),
    ),
    Script(
        name="query_channel_range of a few blocks is answered for those",
        ids=("B7-5",),
        offers=(GOSSIP_QUERIES,),
        quotes=(
            "MUST set `first_blocknum` less than or equal to the `first_blocknum` in `query_channel_range`",
            "MUST set `first_blocknum` plus `number_of_blocks` greater than `first_blocknum` in `query_channel_range`.",
        ),
        steps=(
            *HELLO,
            Send("query_channel_range", {"first_blocknum": 50, "number_of_blocks": 10}),
            Expect("reply_channel_range", {"first_blocknum": AtMost(50), "number_of_blocks": AtLeast(1)}),
        ),
    ),
    Script(
        name="query_channel_range of another chain is answered, too",
        ids=("B7-5",),
        offers=(GOSSIP_QUERIES,),
        quotes=("MUST set with `chain_hash` equal to that of `query_channel_range`,",),
        steps=(
            *HELLO,
            Send("query_channel_range", {"chain_hash": OTHER_CHAIN}),
            Expect("reply_channel_range", {"chain_hash": OTHER_CHAIN, "encoded_short_ids": b"\0"}),
        ),
    ),
    Script(
        name="query_channel_range is answered with timestamps and checksums, if they are wanted",
        ids=("B7-5",),
        level=Level.SHOULD,
        offers=(GOSSIP_QUERIES_EX,),
        quotes=("the receiver MAY append a `timestamps_tlv` that contains `channel_update` timestamps",),
        steps=(
            *TOLD,
            Send("query_channel_range", {"query_option": 3}, peer=BOB),
            Expect("reply_channel_range", {"timestamps": Present(), "checksums": Present()}, peer=BOB),
        ),
    ),
    Script(
        name="query_short_channel_ids of what nobody knows comes to an end",
        ids=("B7-5",),
        offers=(GOSSIP_QUERIES,),
        quotes=(
            "MUST follow these responses with `reply_short_channel_ids_end`.",
            "otherwise: - SHOULD set `full_information` to 1.",
        ),
        steps=(
            *HELLO,
            Send("query_short_channel_ids", {"encoded_short_ids": NOBODYS}),
            Expect("reply_short_channel_ids_end", {"full_information": 1}),
        ),
    ),
    Script(
        name="query_short_channel_ids of another chain is answered by having nothing",
        ids=("B7-5",),
        offers=(GOSSIP_QUERIES,),
        quotes=(
            "if does not maintain up-to-date channel information for `chain_hash`: - MUST set `full_information` to 0.",
        ),
        steps=(
            *HELLO,
            Send("query_short_channel_ids", {"chain_hash": OTHER_CHAIN, "encoded_short_ids": NOBODYS}),
            Expect("reply_short_channel_ids_end", {"chain_hash": OTHER_CHAIN, "full_information": 0}),
        ),
    ),
    Script(
        name="query_short_channel_ids in an encoding that is gone is complained of",
        ids=("B7-5",),
        level=Level.SHOULD,
        offers=(GOSSIP_QUERIES,),
        quotes=(
            "if the first byte of `encoded_short_ids` is not a known encoding type: - MAY send a `warning`. - MAY "
            "close the connection.",
        ),
        steps=(*HELLO, Send("query_short_channel_ids", {"encoded_short_ids": b"\7" + bytes(8)}), ExpectComplaint()),
    ),
    Script(
        name="query_short_channel_ids of half an id is complained of",
        ids=("B7-5",),
        level=Level.SHOULD,
        offers=(GOSSIP_QUERIES,),
        quotes=("if `encoded_short_ids` does not decode into a whole number of `short_channel_id`:",),
        steps=(*HELLO, Send("query_short_channel_ids", {"encoded_short_ids": b"\0" + bytes(4)}), ExpectComplaint()),
    ),
)

RELAY = (
    Script(
        name="gossip of others is not passed on before a filter, and is after it, the channel first",
        ids=("B7-6",),
        offers=(GOSSIP_QUERIES,),
        quotes=(
            "MUST not send gossip it did not generate itself, until it receives `gossip_timestamp_filter`.",
            "MUST NOT relay any gossip messages it did not generate itself, unless explicitly requested.",
            "MUST send the `channel_announcement` prior to any corresponding `channel_update`s and "
            "`node_announcement`s.",
        ),
        steps=(
            *FUNDED,
            Send("channel_announcement"),
            Send("channel_update"),
            ExpectNoGossip(RELAYED, FLUSH_S, peer=BOB),
            Send("gossip_timestamp_filter", peer=BOB),
            Expect(
                "channel_announcement",
                {"short_channel_id": Scid()},
                peer=BOB,
                ahead_of=("channel_update",),
                within_s=FLUSH_S,
            ),
            Expect("channel_update", {"short_channel_id": Scid()}, peer=BOB, within_s=FLUSH_S),
        ),
    ),
    Script(
        name="a channel without any update is not passed on",
        ids=("B7-6",),
        offers=(GOSSIP_QUERIES,),
        quotes=(
            "If a `channel_announcement` has no corresponding `channel_update`s: - MUST NOT send the "
            "`channel_announcement`.",
        ),
        steps=(
            *FUNDED,
            Send("gossip_timestamp_filter", peer=BOB),
            Send("channel_announcement"),
            ExpectNoGossip(("channel_announcement",), FLUSH_S, peer=BOB),
        ),
    ),
    Script(
        name="what is outside of the filter is not passed on",
        ids=("B7-6",),
        level=Level.SHOULD,
        offers=(GOSSIP_QUERIES,),
        quotes=(
            "SHOULD restrict future gossip messages to those whose `timestamp` is greater or equal to "
            "`first_timestamp`, and less than `first_timestamp` plus `timestamp_range`.",
        ),
        steps=(
            *FUNDED,
            Send("gossip_timestamp_filter", {"first_timestamp": Now(50_000), "timestamp_range": 1000}, peer=BOB),
            Send("channel_announcement"),
            Send("channel_update"),
            ExpectNoGossip(RELAYED, FLUSH_S, peer=BOB),
        ),
    ),
)

SCRIPTS: tuple[Script, ...] = (*OWN, *CHANNELS, *UPDATES, *NODES, *QUERIES, *RELAY)
