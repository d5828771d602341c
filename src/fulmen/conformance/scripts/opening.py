"""BOLT 2, "Channel Establishment v1": what may be asked, how the answer has to look, when a channel is ready."""

from __future__ import annotations

from typing import Any

from fulmen.conformance.defaults.numbers import FEATURES, FUNDING_SAT, RESERVE_SAT
from fulmen.conformance.script import (
    Ask,
    AtLeast,
    AtMost,
    Connect,
    Disconnect,
    Expect,
    ExpectComplaint,
    ExpectFailure,
    ExpectQuiet,
    ExpectSilence,
    Flipped,
    FundChannel,
    HighS,
    Level,
    Mine,
    NewChannelId,
    OneOf,
    Ours,
    Present,
    Said,
    Script,
    Send,
)
from fulmen.conformance.scripts.common import ACCEPTED, HELLO, OPENED, OPENED_BY_NODE, asked, hello
from fulmen.core.wire.features import (
    OPTION_ANCHORS,
    OPTION_DUAL_FUND,
    OPTION_SCID_ALIAS,
    OPTION_STATIC_REMOTEKEY,
    OPTION_SUPPORT_LARGE_CHANNEL,
    OPTION_ZEROCONF,
    Features,
    optional,
)

MUST_FAIL = "The receiving node MUST fail the channel if: - "
OFF_CURVE = b"\x02" + b"\xff" * 32
LARGE_SAT = 1 << 24
OTHER_CHAIN = bytes([0xAB]) * 32
TYPE = Features.of(OPTION_STATIC_REMOTEKEY, OPTION_ANCHORS)
PUBKEYS = (
    "funding_pubkey",
    "revocation_basepoint",
    "htlc_basepoint",
    "payment_basepoint",
    "delayed_payment_basepoint",
)


def refused(name: str, quote: str, fields: dict[str, Any], *, ids: tuple[str, ...] = ("B2-13",)) -> Script:
    """An `open_channel` that has to be refused."""
    return Script(
        name=f"open_channel is refused: {name}",
        ids=ids,
        quotes=(quote,),
        steps=(*HELLO, Send("open_channel", fields), ExpectFailure()),
    )


REFUSALS = (
    refused(
        "another chain",
        f"{MUST_FAIL}the `chain_hash` value is set to a hash of a chain that is unknown to the receiver.",
        {"chain_hash": OTHER_CHAIN},
    ),
    refused(
        "push_msat above the funding",
        "`push_msat` is greater than `funding_satoshis` * 1000.",
        {"push_msat": 1000 * FUNDING_SAT + 1},
    ),
    refused("to_self_delay of a year", "`to_self_delay` is unreasonably large.", {"to_self_delay": 52_560}),
    refused("max_accepted_htlcs of 484", "`max_accepted_htlcs` is greater than 483.", {"max_accepted_htlcs": 484}),
    refused(
        "a feerate that no node relays",
        "it considers `feerate_per_kw` too small for timely processing or unreasonably large.",
        {"feerate_per_kw": 1},
    ),
    refused(
        "a feerate of 4000 sat/vB",
        "it considers `feerate_per_kw` too small for timely processing or unreasonably large.",
        {
            "feerate_per_kw": 1_000_000,
            "funding_satoshis": LARGE_SAT - 1,
            "max_htlc_value_in_flight_msat": LARGE_SAT * 1000,
        },
    ),
    *(
        refused(
            f"{name} is no point",
            "`funding_pubkey`, `revocation_basepoint`, `htlc_basepoint`, `payment_basepoint`, or "
            "`delayed_payment_basepoint` are not valid secp256k1 pubkeys in compressed format.",
            {name: OFF_CURVE},
        )
        for name in PUBKEYS
    ),
    refused(
        "dust_limit_satoshis above the reserve",
        "`dust_limit_satoshis` is greater than `channel_reserve_satoshis`.",
        {"dust_limit_satoshis": 600, "channel_reserve_satoshis": 599},
    ),
    refused(
        "dust_limit_satoshis of 353",
        "`dust_limit_satoshis` is smaller than `354 satoshis`",
        {"dust_limit_satoshis": 353},
    ),
    refused(
        "the opener cannot pay the fee",
        "the funder's amount for the initial commitment transaction is not sufficient for full [fee payment]",
        {"push_msat": 1000 * (FUNDING_SAT - 1_000)},
    ),
    refused(
        "nobody would have more than the reserve",
        "both `to_local` and `to_remote` amounts for the initial commitment transaction are less than or equal to "
        "`channel_reserve_satoshis`",
        {
            "funding_satoshis": 30_000,
            "channel_reserve_satoshis": 15_000,
            "push_msat": 14_000_000,
            "max_htlc_value_in_flight_msat": 30_000_000,
        },
    ),
    refused(
        "no channel_type",
        "if the message doesn't include a `channel_type`: - fail the channel.",
        {"channel_type": None},
        ids=("B2-11", "B2-13"),
    ),
    refused(
        "an empty channel_type", "the `channel_type` is not suitable.", {"channel_type": b""}, ids=("B2-12", "B2-13")
    ),
    refused(
        "a channel_type with a bit that nobody knows",
        "the `channel_type` is not suitable.",
        {"channel_type": (TYPE | Features.of(200)).to_bytes()},
        ids=("B2-12", "B2-13"),
    ),
    refused(
        "a channel_type of anchors alone",
        "the `channel_type` is not suitable.",
        {"channel_type": Features.of(OPTION_ANCHORS).to_bytes()},
        ids=("B2-12", "B2-13"),
    ),
    refused(
        "a channel_type of odd bits",
        "for convenience of future definitions they reuse even feature bits",
        {"channel_type": optional(OPTION_STATIC_REMOTEKEY, OPTION_ANCHORS).to_bytes()},
        ids=("B2-12",),
    ),
    refused(
        "zeroconf from a stranger",
        "the `channel_type` includes `option_zeroconf` and it does not trust the sender to open an unconfirmed"
        " channel.",
        {"channel_type": (TYPE | Features.of(OPTION_SCID_ALIAS, OPTION_ZEROCONF)).to_bytes()},
        ids=("B2-12", "B2-13"),
    ),
    Script(
        name="open_channel is refused: 2^24 satoshi without option_support_large_channel",
        ids=("B2-13",),
        # Of the receiver the BOLT asks it only where it does not offer the feature itself.
        level=Level.SHOULD,
        quotes=(
            "if both nodes advertised `option_support_large_channel`: - MAY set `funding_satoshis` greater than or "
            "equal to 2^24 satoshi. - otherwise: - MUST set `funding_satoshis` to less than 2^24 satoshi.",
        ),
        steps=(
            Connect(),
            Expect("init"),
            Send("init", {"features": Features(FEATURES.mask & ~(3 << OPTION_SUPPORT_LARGE_CHANNEL)).to_bytes()}),
            Send("open_channel", {"funding_satoshis": LARGE_SAT, "max_htlc_value_in_flight_msat": LARGE_SAT * 1000}),
            ExpectFailure(),
        ),
    ),
    Script(
        name="open_channel is refused: open_channel2 was negotiated",
        ids=("B2-13", "B2-22"),
        offers=(OPTION_DUAL_FUND,),
        quotes=("if `option_dual_fund` has been negotiated: - fail the channel.",),
        steps=(
            Connect(),
            Expect("init"),
            Send("init", {"features": (FEATURES | optional(OPTION_DUAL_FUND)).to_bytes()}),
            Send("open_channel"),
            ExpectFailure(),
        ),
    ),
)

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

FUNDING = (
    Script(
        name="funding_signed signs the first commitment under the new id",
        ids=("B2-10", "B2-15"),
        quotes=(
            "`channel_id` by exclusive-OR of the `funding_txid` and the `funding_output_index` from the "
            "`funding_created` message.",
            "`signature` to the valid signature, using its `funding_pubkey` for the initial commitment transaction",
        ),
        steps=(
            *ACCEPTED,
            Send("funding_created"),
            Expect("funding_signed", {"channel_id": NewChannelId()}),
        ),
    ),
    Script(
        name="a wrong signature in funding_created fails the channel",
        ids=("B2-15",),
        quotes=(
            "if `signature` is incorrect OR non-compliant with LOW-S-standard rule",
            "MUST send a `warning` and close the connection, or send an `error` and fail the channel.",
        ),
        steps=(*ACCEPTED, Send("funding_created", {"signature": Flipped()}), ExpectFailure()),
    ),
    Script(
        name="a signature with high S in funding_created fails the channel",
        ids=("B2-15",),
        quotes=("if `signature` is incorrect OR non-compliant with LOW-S-standard rule",),
        steps=(*ACCEPTED, Send("funding_created", {"signature": HighS()}), ExpectFailure()),
    ),
    Script(
        name="funding_created without open_channel is refused",
        ids=("B1-8", "B2-15"),
        level=Level.SHOULD,
        quotes=(
            "SHOULD send `error` for protocol violations or internal errors that make channels unusable or that make "
            "further communication unusable.",
        ),
        steps=(*ACCEPTED, Disconnect(), *HELLO, Send("funding_created"), ExpectComplaint()),
    ),
    Script(
        name="channel_ready waits for the depth that was asked for",
        ids=("B2-16",),
        quotes=(
            "if it is not the node opening the channel: - SHOULD wait until the funding transaction has reached "
            "`minimum_depth` before sending this message.",
        ),
        steps=(
            *HELLO,
            # As much as everybody takes: the more it is, the longer some nodes wait.
            Send("open_channel", {"funding_satoshis": 16_000_000}),
            Expect("accept_channel", {"minimum_depth": AtLeast(2)}),
            Send("funding_created"),
            Expect("funding_signed"),
            FundChannel(depth=1),
            Send("channel_ready"),
            ExpectQuiet(2.0),
            Mine(9),
            Expect("channel_ready", within_s=30.0),
        ),
    ),
    Script(
        name="channel_ready brings an alias where scid_alias was negotiated",
        ids=("B2-16",),
        offers=(OPTION_SCID_ALIAS,),
        quotes=(
            "if `option_scid_alias` was negotiated: - MUST set `short_channel_id` `alias`.",
            "otherwise: - MUST set `alias` to a value not related to the real `short_channel_id`.",
        ),
        steps=(
            *ACCEPTED,
            Send("funding_created"),
            Expect("funding_signed"),
            FundChannel(depth=6),
            Expect("channel_ready", {"alias": Present()}, within_s=30.0),
        ),
    ),
    Script(
        name="no channel_ready for an output with another amount",
        ids=("B2-16",),
        quotes=(
            "MUST NOT send `channel_ready` unless outpoint of given by `funding_txid` and `funding_output_index` in "
            "the `funding_created` message pays exactly `funding_satoshis` to the scriptpubkey specified in [BOLT #3]",
        ),
        steps=(
            *ACCEPTED,
            Send("funding_created"),
            Expect("funding_signed"),
            FundChannel(depth=6, amount_off_by=-1),
            ExpectSilence(5.0),
        ),
    ),
    Script(
        name="channel_ready again changes nothing",
        ids=("B2-16",),
        quotes=("MAY send multiple `channel_ready` messages to the same peer with different `alias` values.",),
        steps=(*OPENED, Send("channel_ready", {"alias": 17}), Send("channel_ready", {"alias": 18}), ExpectQuiet()),
    ),
)


def answered_badly(name: str, quote: str, fields: dict[str, Any]) -> Script:
    """An `accept_channel` that has to be refused."""
    return Script(
        name=f"accept_channel is refused: {name}",
        ids=("B2-14",),
        quotes=(quote,),
        steps=(*asked(), Send("accept_channel", fields), ExpectFailure()),
    )


AS_FUNDEE = (
    Script(
        name="open_channel keeps to its own rules",
        ids=("B2-11",),
        quotes=(
            "MUST set `push_msat` to equal or less than 1000 * `funding_satoshis`.",
            "MUST set `channel_reserve_satoshis` greater than or equal to `dust_limit_satoshis`.",
            "MUST set it to a defined type representing the type it wants.",
            "MUST use the smallest bitmap possible to represent the channel type.",
            "MUST include `upfront_shutdown_script` with either a valid `shutdown_scriptpubkey` as required by "
            "`shutdown` `scriptpubkey`, or a zero-length `shutdown_scriptpubkey`",
        ),
        steps=(
            *HELLO,
            Ask("open"),
            Expect(
                "open_channel",
                {
                    "funding_satoshis": FUNDING_SAT,
                    "push_msat": AtMost(1000 * FUNDING_SAT),
                    "dust_limit_satoshis": AtLeast(354),
                    "channel_reserve_satoshis": AtLeast(Said("open_channel", "dust_limit_satoshis")),
                    "max_accepted_htlcs": AtMost(483),
                    "channel_type": OneOf((TYPE.to_bytes(), Features.of(OPTION_STATIC_REMOTEKEY).to_bytes())),
                    "upfront_shutdown_script": Present(),
                },
                within_s=30.0,
            ),
        ),
    ),
    answered_badly(
        "no channel_type",
        "if the message doesn't include a `channel_type`: - MUST fail the channel.",
        {"channel_type": None},
    ),
    answered_badly(
        "another channel_type",
        "if `channel_type` does not match the `channel_type` from `open_channel`: - MUST fail the channel.",
        {"channel_type": (TYPE | Features.of(OPTION_SCID_ALIAS)).to_bytes()},
    ),
    answered_badly(
        "a reserve below the opener's dust limit",
        "if `channel_reserve_satoshis` is less than `dust_limit_satoshis` within the `open_channel` message: - MUST "
        "fail the channel.",
        {"channel_reserve_satoshis": Said("open_channel", "dust_limit_satoshis", plus=-1)},
    ),
    answered_badly(
        "a dust limit above the opener's reserve",
        "if `channel_reserve_satoshis` from the `open_channel` message is less than `dust_limit_satoshis`: - MUST fail "
        "the channel.",
        {"dust_limit_satoshis": Said("open_channel", "channel_reserve_satoshis", plus=1)},
    ),
    Script(
        name="a wrong signature in funding_signed fails the channel",
        ids=("B2-15",),
        quotes=(
            "MUST NOT broadcast the funding transaction before receipt of a valid `funding_signed`.",
            "MUST send a `warning` and close the connection, or send an `error` and fail the channel.",
        ),
        steps=(
            *asked(),
            Send("accept_channel"),
            Expect("funding_created"),
            Send("funding_signed", {"signature": Flipped()}),
            ExpectFailure(),
        ),
    ),
    Script(
        name="a signature with high S in funding_signed fails the channel",
        ids=("B2-15",),
        quotes=("if `signature` is incorrect OR non-compliant with LOW-S-standard rule",),
        steps=(
            *asked(),
            Send("accept_channel"),
            Expect("funding_created"),
            Send("funding_signed", {"signature": HighS()}),
            ExpectFailure(),
        ),
    ),
    Script(
        name="a channel that the node opens becomes ready",
        ids=("B2-15", "B2-16"),
        quotes=("on receipt of a valid `funding_signed`: - SHOULD broadcast the funding transaction.",),
        steps=OPENED_BY_NODE,
    ),
)

FORGOTTEN = (
    Script(
        name="a channel whose funding does not come within 2016 blocks is forgotten",
        ids=("B2-17",),
        level=Level.SHOULD,
        quotes=(
            "SHOULD forget the channel if it does not see the correct funding transaction after a timeout of 2016 "
            "blocks.",
        ),
        steps=(
            *ACCEPTED,
            Send("funding_created"),
            Expect("funding_signed"),
            Mine(2016),
            Disconnect(),
            *hello(),
            Send("channel_reestablish"),
            Expect("error", passing=("channel_reestablish",)),
        ),
    ),
)

SCRIPTS: tuple[Script, ...] = (*REFUSALS, *ANSWERS, *FUNDING, *AS_FUNDEE, *FORGOTTEN)
