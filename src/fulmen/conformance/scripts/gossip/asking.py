"""BOLT 7: what a node answers to queries, and what it passes on to whom."""

from __future__ import annotations

from fulmen.conformance.defaults.numbers import OTHER_CHAIN
from fulmen.conformance.script import (
    BOB,
    AtLeast,
    AtMost,
    Expect,
    ExpectComplaint,
    ExpectNoGossip,
    Level,
    Now,
    Ours,
    Present,
    Scid,
    Script,
    Send,
)
from fulmen.conformance.scripts import good
from fulmen.conformance.scripts.common import HELLO
from fulmen.conformance.scripts.gossip.common import FLUSH_S, FUNDED, TOLD
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
RELAY = (
    PASSED_ON,
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
