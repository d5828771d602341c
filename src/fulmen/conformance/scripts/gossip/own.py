"""BOLT 7, the node's own channels: `announcement_signatures`, their announcement, and its `channel_update`."""

from __future__ import annotations

from typing import Any

from fulmen.conformance.script import (
    ALICE,
    BOB,
    AtLeast,
    AtMost,
    Disconnect,
    Expect,
    ExpectEach,
    ExpectGossip,
    ExpectNoGossip,
    Flipped,
    FundChannel,
    Lacks,
    OneOf,
    Ours,
    Said,
    Scid,
    Script,
    Send,
    Step,
)
from fulmen.conformance.scripts.common import accepted, hello, reconnected
from fulmen.conformance.scripts.gossip.common import FLUSH_S

PUBLIC = 1
PRIVATE = {
    "message_flags": 3,
    "short_channel_id": OneOf((Ours("channel_ready", "alias"), Scid(ALICE, real=True))),
}
"""Fields of a `channel_update` for the peer alone."""


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


SIGNED = Script(
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
)
ANNOUNCED = Script(
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
)
OWN = (
    SIGNED,
    Script(
        name="no announcement_signatures of a channel that is not to be announced",
        good=SIGNED,
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
        good=SIGNED,
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
    ANNOUNCED,
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
        good=ANNOUNCED,
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
                    "message_flags": 1,
                    "channel_flags": Lacks((1, 2, 3, 4, 5, 6, 7)),
                    "htlc_maximum_msat": AtMost(Ours("open_channel", "max_htlc_value_in_flight_msat")),
                    "htlc_minimum_msat": AtMost(Said("channel_update", "htlc_maximum_msat")),
                    "timestamp": AtLeast(1),
                },
                within_s=FLUSH_S,
            ),
        ),
    ),
    Script(
        name="a channel_update for the peer alone is not to be passed on",
        ids=("B7-4",),
        quotes=(
            "MUST set `dont_forward` to 1 in `message_flags`",
            "MUST set the `short_channel_id` to either an `alias` it has received from the peer, or the real channel "
            "`short_channel_id`.",
        ),
        steps=(
            *accepted(),
            Send("funding_created"),
            Expect("funding_signed"),
            FundChannel(depth=6),
            Send("channel_ready"),
            ExpectEach((Expect("channel_ready"), Expect("channel_update", PRIVATE)), within_s=30.0),
        ),
    ),
)
