"""BOLT 2, "Message Retransmission": what a node says after a reconnection, and what it makes of the other's numbers."""

from __future__ import annotations

from typing import Any

from fulmen.conformance.defaults.numbers import UNKNOWN_CHANNEL
from fulmen.conformance.script import (
    BOB,
    Disconnect,
    Expect,
    ExpectError,
    ExpectFailure,
    ExpectQuiet,
    ExpectSpent,
    Flipped,
    Level,
    Onion,
    Plus,
    Script,
    Send,
    Step,
)
from fulmen.conformance.scripts import good
from fulmen.conformance.scripts.common import (
    ACCEPTED,
    AGAIN,
    BETWEEN,
    OPENED,
    USED,
    hello,
    offered,
    reconnected,
    take,
)


def bad_numbers(
    name: str, quote: str, fields: dict[str, Any], *, after: tuple[Step, ...] = USED, ids: tuple[str, ...] = ("B2-62",)
) -> Script:
    """A `channel_reestablish` that fits to nothing."""
    return Script(
        name=f"channel_reestablish is refused: {name}",
        good=good.CHANNEL_REESTABLISH,
        ids=ids,
        level=Level.SHOULD,
        quotes=(quote,),
        steps=(
            *after,
            *AGAIN,
            Expect("channel_reestablish"),
            Send("channel_reestablish", fields),
            # Of a fresh channel it is owed whatever the other numbers are.
            ExpectFailure(passing=("channel_ready",)),
        ),
    )


SCRIPTS: tuple[Script, ...] = (
    Script(
        name="channel_reestablish of a fresh channel, and channel_ready again",
        ids=("B2-60", "B2-66"),
        quotes=(
            "MUST transmit `channel_reestablish` for each channel.",
            "MUST set `next_commitment_number` to the commitment number of the next `commitment_signed` it expects to "
            "receive.",
            "if `next_revocation_number` equals 0: - MUST set `your_last_per_commitment_secret` to all zeroes",
            "if `next_commitment_number` is 1 in both the `channel_reestablish` it sent and received",
            "MUST retransmit `channel_ready`.",
        ),
        steps=(
            *OPENED,
            *AGAIN,
            Expect(
                "channel_reestablish",
                {
                    "next_commitment_number": 1,
                    "next_revocation_number": 0,
                    "your_last_per_commitment_secret": bytes(32),
                },
            ),
            Send("channel_reestablish"),
            Expect("channel_ready"),
            Send("channel_ready"),
            *offered(),
            *take("update_fail_htlc"),
        ),
    ),
    Script(
        name="channel_reestablish of a used channel, and everything goes on",
        ids=("B2-60", "B2-66"),
        quotes=(
            "MUST handle continuation of a previous channel on a new encrypted transport.",
            "MUST set `next_revocation_number` to the commitment number of the next `revoke_and_ack` message it expects"
            " to receive.",
            "MUST NOT retransmit `channel_ready`",
        ),
        steps=(
            *USED,
            *AGAIN,
            Expect("channel_reestablish", {"next_commitment_number": 3, "next_revocation_number": 2}),
            Send("channel_reestablish"),
            ExpectQuiet(),
            *offered(id=1),
            *take("update_fail_htlc", id=1),
        ),
    ),
    Script(
        name="channel_ready of a used channel is passed over after a reconnection",
        ids=("B2-66",),
        quotes=("upon reconnection: - MUST ignore any redundant `channel_ready` it receives.",),
        steps=(
            *USED,
            Disconnect(),
            *reconnected(),
            # Its point is that of a commitment long gone.
            Send("channel_ready"),
            *offered(id=1),
            *take("update_fail_htlc", id=1),
        ),
    ),
    Script(
        name="nothing is said about a channel before the other's channel_reestablish",
        ids=("B2-60",),
        quotes=(
            "MUST wait to receive the other node's `channel_reestablish` message before sending any other messages for "
            "that channel.",
        ),
        steps=(*OPENED, *AGAIN, Expect("channel_reestablish"), ExpectQuiet(2.0)),
    ),
    Script(
        name="the fundee remembers from funding_signed on",
        ids=("B2-61",),
        quotes=("if it has sent the `funding_signed` message: - MUST remember the channel for reconnection.",),
        steps=(*ACCEPTED, Send("funding_created"), Expect("funding_signed"), *AGAIN, Expect("channel_reestablish")),
    ),
    Script(
        name="the fundee forgets what never came to funding_created",
        ids=("B2-61",),
        level=Level.SHOULD,
        quotes=("otherwise: - SHOULD NOT remember the channel for reconnection.",),
        steps=(*ACCEPTED, *AGAIN, ExpectQuiet()),
    ),
    Script(
        name="an update that nobody signed is forgotten with the connection",
        ids=("B2-60",),
        quotes=("MUST reverse any uncommitted updates sent by the other side",),
        steps=(
            *USED,
            Send("update_add_htlc"),
            ExpectQuiet(),
            Disconnect(),
            *reconnected(),
            *offered(id=1),
            *take("update_fail_htlc", id=1),
        ),
    ),
    Script(
        name="a lost commitment_signed is sent again under its number",
        ids=("B2-62",),
        quotes=(
            "if `next_commitment_number` is equal to the commitment number of the last `commitment_signed` message the "
            "receiving node has sent: - MUST reuse the same commitment number for its next `commitment_signed`.",
        ),
        steps=(
            *OPENED,
            Send("update_add_htlc"),
            Send("commitment_signed"),
            Expect("revoke_and_ack"),
            Expect("commitment_signed", lost=True),
            Disconnect(),
            *reconnected(),
            Expect("commitment_signed"),
            Send("revoke_and_ack"),
            *take("update_fail_htlc"),
        ),
    ),
    Script(
        name="a lost revoke_and_ack is sent again, before the commitment_signed that followed it",
        ids=("B2-62",),
        quotes=(
            "if `next_revocation_number` is equal to the commitment number of the last `revoke_and_ack` the receiving "
            "node sent",
            "MUST re-send the `revoke_and_ack`.",
            "MUST retransmit `revoke_and_ack` and `commitment_signed` in the same relative order as initially "
            "transmitted.",
        ),
        steps=(
            *OPENED,
            Send("update_add_htlc"),
            Send("commitment_signed"),
            Expect("revoke_and_ack", lost=True),
            Expect("commitment_signed", lost=True),
            Disconnect(),
            *reconnected(),
            Expect("revoke_and_ack"),
            Expect("commitment_signed"),
            Send("revoke_and_ack"),
            *take("update_fail_htlc"),
        ),
    ),
    Script(
        name="a lost revoke_and_ack is sent again, after the commitment_signed that it followed",
        ids=("B2-62",),
        quotes=(
            "MUST retransmit `revoke_and_ack` and `commitment_signed` in the same relative order as initially "
            "transmitted.",
        ),
        steps=(
            *BETWEEN,
            *offered(onion_routing_packet=Onion(BOB)),
            Expect("update_add_htlc", peer=BOB, within_s=20.0, lost=True),
            Expect("commitment_signed", peer=BOB, lost=True),
            Send("update_add_htlc", peer=BOB),
            Send("commitment_signed", peer=BOB),
            Expect("revoke_and_ack", peer=BOB, lost=True),
            Disconnect(peer=BOB),
            *reconnected(BOB),
            Expect("update_add_htlc", peer=BOB),
            Expect("commitment_signed", peer=BOB),
            Expect("revoke_and_ack", peer=BOB),
        ),
    ),
    Script(
        name="updates of a lost commitment_signed are sent again with it",
        ids=("B2-62",),
        quotes=("MUST NOT assume that previously-transmitted messages were lost,",),
        steps=(
            *BETWEEN,
            *offered(onion_routing_packet=Onion(BOB)),
            Expect("update_add_htlc", peer=BOB, within_s=20.0, lost=True),
            Expect("commitment_signed", peer=BOB, lost=True),
            Disconnect(peer=BOB),
            *hello(BOB),
            Expect("channel_reestablish", peer=BOB),
            Send("channel_reestablish", peer=BOB),
            Expect("channel_ready", peer=BOB),
            Expect("update_add_htlc", {"id": 0}, peer=BOB),
            Expect("commitment_signed", peer=BOB),
            Send("revoke_and_ack", peer=BOB),
            Send("commitment_signed", peer=BOB),
            Expect("revoke_and_ack", peer=BOB),
        ),
    ),
    Script(
        name="a next_commitment_number of zero has the node publish",
        good=good.CHANNEL_REESTABLISH,
        ids=("B2-63",),
        quotes=(
            "if `next_commitment_number` is zero: - MUST immediately fail the channel and broadcast any relevant latest"
            " commitment transaction.",
        ),
        steps=(
            *USED,
            *AGAIN,
            Expect("channel_reestablish"),
            Send("channel_reestablish", {"next_commitment_number": 0}),
            ExpectSpent(30.0),
        ),
    ),
    bad_numbers(
        "next_commitment_number is too large",
        "if `next_commitment_number` is not equal to the commitment number of the next `commitment_signed` that the "
        "receiving node would send: - SHOULD send an `error` and fail the channel.",
        {"next_commitment_number": Plus(5)},
    ),
    bad_numbers(
        "next_commitment_number is too small",
        "if `next_commitment_number` is not equal to the commitment number of the next `commitment_signed` that the "
        "receiving node would send: - SHOULD send an `error` and fail the channel.",
        {"next_commitment_number": 1},
    ),
    bad_numbers(
        "next_revocation_number is too small",
        "if `next_revocation_number` is not equal to 1 greater than the commitment number of the last `revoke_and_ack` "
        "the receiving node has sent: - SHOULD send an `error` and fail the channel.",
        {"next_revocation_number": 0, "your_last_per_commitment_secret": bytes(32)},
    ),
    bad_numbers(
        "a revocation that was never sent",
        "if it has not sent `revoke_and_ack`, AND `next_revocation_number` is not equal to 0: - SHOULD send an `error` "
        "and fail the channel.",
        {"next_revocation_number": 1, "your_last_per_commitment_secret": b"\x01" * 32},
        after=OPENED,
    ),
    bad_numbers(
        "ahead of us, with a secret that is none of ours",
        "if `your_last_per_commitment_secret` does not match the expected values: - SHOULD send an `error` and fail the"
        " channel.",
        {"next_revocation_number": Plus(3), "your_last_per_commitment_secret": b"\x01" * 32},
        ids=("B2-63",),
    ),
    bad_numbers(
        "zeros for the last secret",
        "otherwise: - MUST set `your_last_per_commitment_secret` to the last `per_commitment_secret` it received",
        {"your_last_per_commitment_secret": bytes(32)},
        ids=("B2-60", "B2-63"),
    ),
    bad_numbers(
        "a last secret where there was none",
        "if `next_revocation_number` equals 0: - MUST set `your_last_per_commitment_secret` to all zeroes",
        {"your_last_per_commitment_secret": b"\x01" * 32},
        after=OPENED,
        ids=("B2-60", "B2-63"),
    ),
    bad_numbers(
        "a wrong last secret",
        "if `your_last_per_commitment_secret` does not match the expected values: - SHOULD send an `error` and fail the"
        " channel.",
        {"your_last_per_commitment_secret": Flipped()},
        ids=("B2-63",),
    ),
    Script(
        name="channel_reestablish of an unknown channel is answered by an error",
        good=good.CHANNEL_REESTABLISH,
        ids=("B1-8", "B2-60"),
        level=Level.SHOULD,
        quotes=(
            "SHOULD send `error` with the unknown `channel_id` in reply to messages of type `32`-`255` related to "
            "unknown channels.",
        ),
        steps=(
            *USED,
            *AGAIN,
            Expect("channel_reestablish"),
            Send("channel_reestablish", {"channel_id": UNKNOWN_CHANNEL}),
            # Some say one with zeros first, which has those publish who fail no channel for an error.
            Expect("error", {"channel_id": UNKNOWN_CHANNEL}, passing=("channel_reestablish",)),
        ),
    ),
    Script(
        name="an error fails the channel, and its commitment is published",
        ids=("B1-8",),
        quotes=(
            "otherwise: - MUST fail the channel referred to by `channel_id`, if that channel is with the sending node.",
        ),
        steps=(*USED, Send("error"), ExpectSpent(30.0)),
    ),
    Script(
        name="an error about all channels fails the channel, too",
        ids=("B1-8",),
        quotes=("if `channel_id` is all zero: - MUST fail all channels with the sending node.",),
        steps=(*USED, Send("error", {"channel_id": bytes(32)}), ExpectSpent(30.0)),
    ),
    Script(
        name="a warning fails no channel",
        ids=("B1-8",),
        quotes=('so the "warning" message was added to allow some degree of retry or recovery for spurious errors.',),
        steps=(*USED, Send("warning"), *offered(id=1), *take("update_fail_htlc", id=1)),
    ),
    Script(
        name="a failed channel is an error again after a reconnection",
        ids=("B2-60",),
        level=Level.SHOULD,
        quotes=(
            "if a channel is in an error state: - SHOULD retransmit the error packet and ignore any other packets for "
            "that channel.",
        ),
        steps=(
            *USED,
            Send("update_add_htlc"),
            Send("commitment_signed"),
            Expect("revoke_and_ack"),
            Expect("commitment_signed"),
            # One of the few faults for which nobody may leave it at a warning.
            Send("revoke_and_ack", {"per_commitment_secret": Flipped()}),
            ExpectError(),
            *AGAIN,
            Expect("error"),
        ),
    ),
)
