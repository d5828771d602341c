"""BOLT 2, `accept_channel` of the node: how it has to look, and what it has to answer at all."""

from __future__ import annotations

from fulmen.conformance.defaults.numbers import FUNDING_SAT, RESERVE_SAT
from fulmen.conformance.script import (
    AtLeast,
    AtMost,
    Disconnect,
    Expect,
    Level,
    Ours,
    Script,
    Send,
)
from fulmen.conformance.scripts import good
from fulmen.conformance.scripts.common import ACCEPTED, HELLO
from fulmen.conformance.scripts.opening.offers import LARGE_SAT, TYPE, UPFRONT, VALID_UPFRONT
from fulmen.core.wire.features import (
    OPTION_SCID_ALIAS,
    OPTION_STATIC_REMOTEKEY,
    OPTION_SUPPORT_LARGE_CHANNEL,
    OPTION_UPFRONT_SHUTDOWN_SCRIPT,
    Features,
)

AS_IN_OPEN_CHANNEL = "Other fields have the same requirements as their counterparts in `open_channel`."

ANSWERS = (
    Script(
        name="accept_channel answers what was offered",
        ids=("B2-11", "B2-14"),
        quotes=(
            "The `temporary_channel_id` MUST be the same as the `temporary_channel_id` in the `open_channel` message.",
            "MUST set `channel_type` to the `channel_type` from `open_channel`.",
            "MUST set `channel_reserve_satoshis` greater than or equal to `dust_limit_satoshis` from the `open_channel`"
            " message.",
            "MUST set `dust_limit_satoshis` less than or equal to `channel_reserve_satoshis` from the `open_channel`"
            " message.",
        ),
        steps=(
            *HELLO,
            # Some nodes take no dust limit above that of the oldest scripts, as they may.
            Send("open_channel", {"dust_limit_satoshis": 546, "channel_reserve_satoshis": RESERVE_SAT}),
            Expect(
                "accept_channel",
                {
                    "temporary_channel_id": Ours("open_channel", "temporary_channel_id"),
                    "channel_type": Ours("open_channel", "channel_type"),
                    "channel_reserve_satoshis": AtLeast(546),
                    "dust_limit_satoshis": AtMost(RESERVE_SAT),
                    "max_accepted_htlcs": AtMost(483),
                },
            ),
        ),
    ),
    Script(
        name="accept_channel brings an upfront script of an allowed form, or an empty one",
        ids=("B2-11", "B2-14"),
        offers=(OPTION_UPFRONT_SHUTDOWN_SCRIPT,),
        quotes=(VALID_UPFRONT, AS_IN_OPEN_CHANNEL),
        steps=(*HELLO, Send("open_channel"), Expect("accept_channel", {"upfront_shutdown_script": UPFRONT})),
    ),
    Script(
        name="accept_channel keeps its dust limit below a small reserve",
        ids=("B2-14",),
        quotes=(
            "MUST set `dust_limit_satoshis` less than or equal to `channel_reserve_satoshis` from the `open_channel`"
            " message.",
        ),
        steps=(
            *HELLO,
            Send("open_channel", {"channel_reserve_satoshis": 354}),
            Expect("accept_channel", {"dust_limit_satoshis": AtMost(354)}),
        ),
    ),
    Script(
        name="accept_channel answers a channel_type of static_remotekey alone",
        ids=("B2-12",),
        quotes=("The currently defined basic types are: - `option_static_remotekey` (bit 12)",),
        steps=(
            *HELLO,
            Send("open_channel", {"channel_type": Features.of(OPTION_STATIC_REMOTEKEY).to_bytes()}),
            Expect("accept_channel", {"channel_type": Ours("open_channel", "channel_type")}),
        ),
    ),
    Script(
        name="accept_channel answers a channel_type with scid_alias",
        ids=("B2-12",),
        offers=(OPTION_SCID_ALIAS,),
        quotes=("Each basic type has the following variations allowed: - `option_scid_alias` (bit 46)",),
        steps=(
            *HELLO,
            Send("open_channel", {"channel_type": (TYPE | Features.of(OPTION_SCID_ALIAS)).to_bytes()}),
            Expect("accept_channel", {"channel_type": Ours("open_channel", "channel_type")}),
        ),
    ),
    Script(
        name="undefined bits in channel_flags are ignored",
        ids=("B2-11",),
        quotes=("The receiving node MUST: - ignore undefined bits in `channel_flags`.",),
        steps=(*HELLO, Send("open_channel", {"channel_flags": 0xFE}), Expect("accept_channel")),
    ),
    Script(
        name="a large channel is accepted where both offer it",
        ids=("B2-13",),
        level=Level.SHOULD,
        offers=(OPTION_SUPPORT_LARGE_CHANNEL,),
        quotes=(
            "if both nodes advertised `option_support_large_channel`: - MAY set `funding_satoshis` greater than or "
            "equal to 2^24 satoshi.",
        ),
        steps=(
            *HELLO,
            Send("open_channel", {"funding_satoshis": LARGE_SAT, "max_htlc_value_in_flight_msat": LARGE_SAT * 1000}),
            Expect("accept_channel"),
        ),
    ),
    Script(
        name="a new open_channel replaces one that a disconnect interrupted",
        ids=("B2-15",),
        quotes=(
            "if the connection has been re-established after receiving a previous `open_channel`, BUT before receiving "
            "a `funding_created` message: - accept a new `open_channel` message.",
        ),
        steps=(*ACCEPTED, Disconnect(), *ACCEPTED),
    ),
    Script(
        name="an opening is refused under its temporary id",
        good=good.OPEN_CHANNEL,
        ids=("B1-8",),
        quotes=(
            "for all error messages sent before (and not including) the `funding_signed` message: - MUST use "
            "`temporary_channel_id` in lieu of `channel_id`.",
        ),
        steps=(
            *HELLO,
            Send("open_channel", {"push_msat": 1000 * FUNDING_SAT + 1}),
            Expect("error", {"channel_id": Ours("open_channel", "temporary_channel_id")}),
        ),
    ),
)
