"""BOLT 2, `open_channel`: what a node has to refuse."""

from __future__ import annotations

from typing import Any

from fulmen.conformance.defaults.numbers import FEATURES, FUNDING_SAT, OTHER_CHAIN, P2PKH, P2TR
from fulmen.conformance.script import (
    Connect,
    Expect,
    ExpectFailure,
    Level,
    OneOf,
    Script,
    Send,
    ShutdownScript,
)
from fulmen.conformance.scripts import good
from fulmen.conformance.scripts.common import hello_without
from fulmen.core.wire.features import (
    OPTION_ANCHORS,
    OPTION_DUAL_FUND,
    OPTION_SCID_ALIAS,
    OPTION_SHUTDOWN_ANYSEGWIT,
    OPTION_STATIC_REMOTEKEY,
    OPTION_SUPPORT_LARGE_CHANNEL,
    OPTION_ZEROCONF,
    Features,
    optional,
)

MUST_FAIL = "The receiving node MUST fail the channel if: - "
OFF_CURVE = b"\x02" + b"\xff" * 32
LARGE_SAT = 1 << 24
VALID_UPFRONT = (
    "MUST include `upfront_shutdown_script` with either a valid `shutdown_scriptpubkey` as required by `shutdown` "
    "`scriptpubkey`, or a zero-length `shutdown_scriptpubkey`"
)
UPFRONT = OneOf((b"", ShutdownScript()))
"""What may stand in `upfront_shutdown_script`; nothing at all may not."""
TYPE = Features.of(OPTION_STATIC_REMOTEKEY, OPTION_ANCHORS)
PUBKEYS = (
    "funding_pubkey",
    "revocation_basepoint",
    "htlc_basepoint",
    "payment_basepoint",
    "delayed_payment_basepoint",
)


def refused(
    name: str,
    quote: str,
    fields: dict[str, Any],
    *,
    ids: tuple[str, ...] = ("B2-13",),
    level: Level = Level.MUST,
    offers: tuple[int, ...] = (),
    lacking: tuple[int, ...] = (),
) -> Script:
    """An `open_channel` that has to be refused; `lacking` says which features its sender does not offer."""
    return Script(
        name=f"open_channel is refused: {name}",
        good=good.OPEN_CHANNEL,
        ids=ids,
        quotes=(quote,),
        level=level,
        offers=offers,
        steps=(*hello_without(*lacking), Send("open_channel", fields), ExpectFailure()),
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
        # At this feerate nearly all of the channel is the fee. A reserve of a twentieth is much, and no reason.
        {
            "funding_satoshis": 25_500,
            "channel_reserve_satoshis": 1_275,
            "push_msat": 600_000,
            "feerate_per_kw": 21_000,
            "max_htlc_value_in_flight_msat": 25_500_000,
            "channel_type": TYPE.to_bytes(),
        },
        offers=(OPTION_ANCHORS,),
    ),
    *(
        refused(f"{name} out of reason", f"it considers `{field}` too {way}.", {field: value}, level=Level.SHOULD)
        for name, field, way, value in (
            ("a reserve", "channel_reserve_satoshis", "large", FUNDING_SAT // 2),
            ("a least HTLC", "htlc_minimum_msat", "large", 500 * FUNDING_SAT),
            ("a limit in flight", "max_htlc_value_in_flight_msat", "small", 1),
            ("no HTLC at all", "max_accepted_htlcs", "small", 0),
        )
    ),
    refused(
        "a dust limit out of reason",
        "it considers `dust_limit_satoshis` too large",
        {"dust_limit_satoshis": 45_000, "channel_reserve_satoshis": 45_000},
        level=Level.SHOULD,
    ),
    # What a sender must not do; nobody says of these what the receiver makes of them.
    refused(
        "an upfront script of no allowed form",
        VALID_UPFRONT,
        {"upfront_shutdown_script": P2PKH},
        ids=("B2-11",),
        level=Level.SHOULD,
    ),
    refused(
        "an upfront script of taproot, without option_shutdown_anysegwit",
        VALID_UPFRONT,
        {"upfront_shutdown_script": P2TR},
        ids=("B2-11",),
        level=Level.SHOULD,
        lacking=(OPTION_SHUTDOWN_ANYSEGWIT,),
    ),
    refused(
        "scid_alias of a channel to be announced",
        "if `announce_channel` is `true` (not `0`): - MUST NOT send `channel_type` with the `option_scid_alias` bit "
        "set.",
        {"channel_flags": 1, "channel_type": (TYPE | Features.of(OPTION_SCID_ALIAS)).to_bytes()},
        ids=("B2-11", "B2-12"),
        level=Level.SHOULD,
        offers=(OPTION_SCID_ALIAS,),
    ),
    *(
        refused(
            f"a channel_type with {name}, which was not negotiated",
            "SHOULD NOT set it to a type containing a feature which was not negotiated.",
            {"channel_type": (Features.of(OPTION_STATIC_REMOTEKEY) | Features.of(bit)).to_bytes()},
            ids=("B2-12", "B2-13"),
            level=Level.SHOULD,
            lacking=(bit,),
        )
        for name, bit in (("anchors", OPTION_ANCHORS), ("scid_alias", OPTION_SCID_ALIAS))
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
        good=good.OPEN_CHANNEL,
        ids=("B2-13",),
        # Of the receiver the BOLT asks it only where it does not offer the feature itself.
        level=Level.SHOULD,
        quotes=(
            "if both nodes advertised `option_support_large_channel`: - MAY set `funding_satoshis` greater than or "
            "equal to 2^24 satoshi. - otherwise: - MUST set `funding_satoshis` to less than 2^24 satoshi.",
        ),
        steps=(
            *hello_without(OPTION_SUPPORT_LARGE_CHANNEL),
            Send("open_channel", {"funding_satoshis": LARGE_SAT, "max_htlc_value_in_flight_msat": LARGE_SAT * 1000}),
            ExpectFailure(),
        ),
    ),
    Script(
        name="open_channel is refused: open_channel2 was negotiated",
        good=good.OPEN_CHANNEL,
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
