"""BOLT 7: what a node answers to queries, and what it passes on to whom."""

from __future__ import annotations

from typing import Any

from fulmen.conformance.defaults.numbers import OTHER_CHAIN
from fulmen.conformance.script import (
    ALICE,
    BOB,
    Disconnect,
    Expect,
    ExpectComplaint,
    ExpectGossip,
    ExpectNoGossip,
    ExpectRange,
    Flipped,
    Height,
    Level,
    NodeOf,
    Now,
    OneOf,
    OtherEnd,
    Scid,
    Script,
    Send,
)
from fulmen.conformance.scripts import good
from fulmen.conformance.scripts.common import HELLO, hello
from fulmen.conformance.scripts.gossip.announcements import IGNORES, NOT_CORRECT, UNKNOWN_CHAIN
from fulmen.conformance.scripts.gossip.common import FLUSH_S, FUNDED, KNOWN, SLOW_FLUSH_S, TOLD
from fulmen.conformance.scripts.gossip.updates import (
    OF_AN_END,
    STRANGE_FLAGS,
    UNSIGNED,
    UPDATE_OF_UNKNOWN_CHAIN,
)
from fulmen.core.wire.features import GOSSIP_QUERIES, GOSSIP_QUERIES_EX

NOBODYS = b"\0" + bytes(7) + b"\x09"
"""The id of a channel in block 0, as queries carry it."""
RELAYED = ("channel_announcement", "channel_update", "node_announcement")

QUERIES = (
    Script(
        name="query_channel_range of all blocks is answered to its end",
        ids=("B7-5",),
        offers=(GOSSIP_QUERIES,),
        quotes=(
            "MUST respond with one or more `reply_channel_range`:",
            "MUST set with `chain_hash` equal to that of `query_channel_range`,",
            "MUST have `first_blocknum` equal or greater than the previous `first_blocknum`.",
            "MUST set `sync_complete` to `false` if this is not the final `reply_channel_range`.",
            "MUST have `first_blocknum` plus `number_of_blocks` equal or greater than the `query_channel_range` "
            "`first_blocknum` plus `number_of_blocks`.",
            "MUST set `sync_complete` to `true`.",
        ),
        steps=(*HELLO, Send("query_channel_range"), ExpectRange(within_s=30.0)),
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
            ExpectRange(),
        ),
    ),
    Script(
        name="query_channel_range is answered with the channels that the node knows",
        ids=("B7-5",),
        offers=(GOSSIP_QUERIES,),
        quotes=(
            "This allows querying for channels within specific blocks.",
            "`0`: uncompressed array of `short_channel_id` types, in ascending order.",
            "MUST limit `number_of_blocks` to the maximum number of blocks whose results could fit in "
            "`encoded_short_ids`",
        ),
        steps=(
            *TOLD,
            Send("query_channel_range", peer=BOB),
            ExpectRange(lists=True, peer=BOB),
            # Its funding has six confirmations; what else nodes know there does not matter.
            Send("query_channel_range", {"first_blocknum": Height(-5), "number_of_blocks": 1}, peer=BOB),
            ExpectRange(lists=True, peer=BOB),
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
        quotes=(
            "the receiver MAY append a `timestamps_tlv` that contains `channel_update` timestamps",
            "the receiver MAY append a `checksums_tlv` that contains `channel_update` checksums",
            "`timestamp_node_id_1` is the timestamp of the `channel_update` for `node_id_1`, or 0 if there was no "
            "`channel_update` from that node.",
            "`checksum_node_id_1` is the checksum of the `channel_update` for `node_id_1`, or 0 if there was no "
            "`channel_update` from that node.",
        ),
        steps=(
            *TOLD,
            Send("query_channel_range", {"query_option": 3}, peer=BOB),
            ExpectRange(lists=True, extended=True, peer=BOB),
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
        good=good.QUERY,
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
        good=good.QUERY,
        ids=("B7-5",),
        level=Level.SHOULD,
        offers=(GOSSIP_QUERIES,),
        quotes=("if `encoded_short_ids` does not decode into a whole number of `short_channel_id`:",),
        steps=(*HELLO, Send("query_short_channel_ids", {"encoded_short_ids": b"\0" + bytes(4)}), ExpectComplaint()),
    ),
)

PASSED_ON = Script(
    name="gossip of others is not passed on before a filter, and is after it, the channel first",
    ids=("B7-6",),
    offers=(GOSSIP_QUERIES,),
    quotes=(
        "MUST not send gossip it did not generate itself, until it receives `gossip_timestamp_filter`.",
        "MUST NOT relay any gossip messages it did not generate itself, unless explicitly requested.",
        "MUST send the `channel_announcement` prior to any corresponding `channel_update`s and `node_announcement`s.",
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
)
NODE_PASSED_ON = Script(
    name="a node_announcement of another is passed on, after its channel",
    ids=("B7-3", "B7-6"),
    offers=(GOSSIP_QUERIES,),
    quotes=(
        "SHOULD queue the message for rebroadcasting.",
        "MUST send the `channel_announcement` prior to any corresponding `channel_update`s and `node_announcement`s.",
    ),
    steps=(
        *KNOWN,
        Send("node_announcement"),
        ExpectGossip("node_announcement", fields={"node_id": NodeOf(ALICE)}, peer=BOB),
        Send("gossip_timestamp_filter", peer=BOB),
        Expect(
            "channel_announcement",
            {"short_channel_id": Scid()},
            peer=BOB,
            ahead_of=("channel_update", "node_announcement"),
            within_s=FLUSH_S,
        ),
        Expect("node_announcement", {"node_id": NodeOf(ALICE)}, peer=BOB, within_s=FLUSH_S),
    ),
)
BAD_UPDATES: dict[int, dict[str, Any]] = {
    7: {"chain_hash": OTHER_CHAIN},
    8: {"signature": Flipped()},
    9: {"channel_flags": OtherEnd()},
}
"""What nobody may believe, under a `fee_base_msat` that tells it from the good one."""
NEWER_PASSED_ON = Script(
    name="a newer channel_update of another is passed on to who has asked before",
    ids=("B7-4", "B7-6"),
    level=Level.SHOULD,
    offers=(GOSSIP_QUERIES,),
    quotes=("SHOULD queue the message for rebroadcasting.",),
    steps=(
        *TOLD,
        Send("gossip_timestamp_filter", peer=BOB),
        Send("channel_update", {"timestamp": Now(100), "fee_base_msat": 7}),
        Expect(
            "channel_update",
            {"short_channel_id": Scid(), "fee_base_msat": 7},
            peer=BOB,
            # Who keeps to a pace may tell only the update before it with the first flush.
            within_s=FLUSH_S + SLOW_FLUSH_S,
        ),
    ),
)
RELAY = (
    PASSED_ON,
    NEWER_PASSED_ON,
    Script(
        name="a channel_update with flags that nobody knows is passed on as it came",
        good=NEWER_PASSED_ON,
        ids=("B7-4", "B7-6"),
        level=Level.SHOULD,
        offers=(GOSSIP_QUERIES,),
        quotes=("SHOULD queue the message for rebroadcasting.",),
        steps=(
            *TOLD,
            Send("gossip_timestamp_filter", peer=BOB),
            Send("channel_update", {"timestamp": Now(100), **STRANGE_FLAGS}),
            Expect(
                "channel_update",
                {"short_channel_id": Scid(), "message_flags": 0xFD},
                peer=BOB,
                within_s=FLUSH_S + SLOW_FLUSH_S,
            ),
        ),
    ),
    Script(
        name="a channel_announcement that is not to be believed is not passed on",
        good=PASSED_ON,
        ids=("B7-2", "B7-6"),
        offers=(GOSSIP_QUERIES,),
        quotes=(UNKNOWN_CHAIN, NOT_CORRECT, IGNORES),
        steps=(
            *FUNDED,
            Send("gossip_timestamp_filter", peer=BOB),
            Send("channel_announcement", {"chain_hash": OTHER_CHAIN}),
            # Each may cost alice her connection.
            *(
                step
                for name in ("node_signature_1", "node_signature_2", "bitcoin_signature_1", "bitcoin_signature_2")
                for step in (Send("channel_announcement", {name: Flipped()}), Disconnect(), *hello())
            ),
            Send("channel_update"),
            ExpectNoGossip(("channel_announcement", "channel_update"), SLOW_FLUSH_S, peer=BOB),
        ),
    ),
    Script(
        name="a channel_update that is not to be believed is not passed on",
        good=PASSED_ON,
        ids=("B7-4", "B7-6"),
        offers=(GOSSIP_QUERIES,),
        quotes=(UNSIGNED, OF_AN_END, UPDATE_OF_UNKNOWN_CHAIN),
        steps=(
            *TOLD,
            Send("gossip_timestamp_filter", peer=BOB),
            *(
                step
                for fee, fields in BAD_UPDATES.items()
                for step in (
                    Send("channel_update", {"fee_base_msat": fee, "timestamp": Now(100), **fields}),
                    Disconnect(),
                    *hello(),
                )
            ),
            ExpectNoGossip(
                ("channel_update",), SLOW_FLUSH_S, fields={"fee_base_msat": OneOf(tuple(BAD_UPDATES))}, peer=BOB
            ),
        ),
    ),
    NODE_PASSED_ON,
    Script(
        name="a node_announcement that is not to be believed is not passed on",
        good=NODE_PASSED_ON,
        ids=("B7-3", "B7-6"),
        offers=(GOSSIP_QUERIES,),
        quotes=("if `signature` is NOT a valid signature", UNSIGNED),
        steps=(
            *KNOWN,
            Send("gossip_timestamp_filter", peer=BOB),
            Send("node_announcement", {"signature": Flipped()}),
            ExpectNoGossip(("node_announcement",), SLOW_FLUSH_S, peer=BOB),
        ),
    ),
    Script(
        name="a channel without any update is not passed on",
        good=PASSED_ON,
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
        good=PASSED_ON,
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
