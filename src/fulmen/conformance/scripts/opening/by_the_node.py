"""BOLT 2: a channel that the node opens, and the answers that it has to refuse."""

from __future__ import annotations

from typing import Any

from fulmen.conformance.defaults.numbers import FUNDING_SAT, P2PKH, P2TR
from fulmen.conformance.script import (
    Ask,
    AtLeast,
    AtMost,
    Expect,
    ExpectFailure,
    Flipped,
    HighS,
    Level,
    OneOf,
    Said,
    Script,
    Send,
)
from fulmen.conformance.scripts import good
from fulmen.conformance.scripts.common import HELLO, OPENED_BY_NODE, asked
from fulmen.conformance.scripts.opening.answers import AS_IN_OPEN_CHANNEL
from fulmen.conformance.scripts.opening.offers import OFF_CURVE, TYPE, UPFRONT, VALID_UPFRONT
from fulmen.core.wire.features import (
    OPTION_SCID_ALIAS,
    OPTION_SHUTDOWN_ANYSEGWIT,
    OPTION_STATIC_REMOTEKEY,
    OPTION_UPFRONT_SHUTDOWN_SCRIPT,
    Features,
)

SMALL_SAT = 400_000


def answered_badly(
    name: str,
    quote: str,
    fields: dict[str, Any],
    *,
    level: Level = Level.MUST,
    amount_sat: int = FUNDING_SAT,
    lacking: tuple[int, ...] = (),
    as_offer: bool = False,
) -> Script:
    """An `accept_channel` that has to be refused, `as_offer` for a rule of `open_channel`."""
    return Script(
        name=f"accept_channel is refused: {name}",
        good=good.ACCEPT_CHANNEL,
        ids=("B2-14",),
        level=level,
        quotes=(quote, AS_IN_OPEN_CHANNEL) if as_offer else (quote,),
        steps=(*asked(*lacking, amount_sat=amount_sat), Send("accept_channel", fields), ExpectFailure()),
    )


ANSWERS_AS_OFFERS = (
    *(
        answered_badly(name, quote, fields, as_offer=True)
        for name, quote, fields in (
            (
                "a dust limit above its own reserve",
                "`dust_limit_satoshis` is greater than `channel_reserve_satoshis`.",
                {
                    "dust_limit_satoshis": Said("open_channel", "dust_limit_satoshis", plus=400),
                    "channel_reserve_satoshis": Said("open_channel", "dust_limit_satoshis", plus=300),
                },
            ),
            (
                "a dust limit of 353",
                "`dust_limit_satoshis` is smaller than `354 satoshis`",
                {"dust_limit_satoshis": 353},
            ),
            ("to_self_delay of a year", "`to_self_delay` is unreasonably large.", {"to_self_delay": 52_560}),
            ("max_accepted_htlcs of 484", "`max_accepted_htlcs` is greater than 483.", {"max_accepted_htlcs": 484}),
            (
                "a basepoint that is no point",
                "`funding_pubkey`, `revocation_basepoint`, `htlc_basepoint`, `payment_basepoint`, or "
                "`delayed_payment_basepoint` are not valid secp256k1 pubkeys in compressed format.",
                {"payment_basepoint": OFF_CURVE},
            ),
        )
    ),
    *(
        answered_badly(
            f"{name} out of reason",
            f"it considers `{field}` too {way}.",
            {field: value},
            level=Level.SHOULD,
            as_offer=True,
        )
        for name, field, way, value in (
            ("a reserve", "channel_reserve_satoshis", "large", FUNDING_SAT // 2),
            ("a least HTLC", "htlc_minimum_msat", "large", 500 * FUNDING_SAT),
            ("a limit in flight", "max_htlc_value_in_flight_msat", "small", 1),
            ("no HTLC at all", "max_accepted_htlcs", "small", 0),
        )
    ),
    answered_badly(
        "a minimum_depth out of reason",
        "if `minimum_depth` is unreasonably large: - MAY fail the channel.",
        {"minimum_depth": 1_000_000},
        level=Level.SHOULD,
    ),
    answered_badly(
        "an upfront script of no allowed form",
        VALID_UPFRONT,
        {"upfront_shutdown_script": P2PKH},
        level=Level.SHOULD,
        as_offer=True,
    ),
    answered_badly(
        "an upfront script of taproot, without option_shutdown_anysegwit",
        VALID_UPFRONT,
        {"upfront_shutdown_script": P2TR},
        level=Level.SHOULD,
        as_offer=True,
        lacking=(OPTION_SHUTDOWN_ANYSEGWIT,),
    ),
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
                },
                within_s=30.0,
            ),
        ),
    ),
    Script(
        name="open_channel brings an upfront script of an allowed form, or an empty one",
        ids=("B2-11",),
        offers=(OPTION_UPFRONT_SHUTDOWN_SCRIPT,),
        quotes=(VALID_UPFRONT,),
        steps=(*HELLO, Ask("open"), Expect("open_channel", {"upfront_shutdown_script": UPFRONT}, within_s=30.0)),
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
        {
            "dust_limit_satoshis": Said("open_channel", "channel_reserve_satoshis", plus=1),
            "channel_reserve_satoshis": Said("open_channel", "channel_reserve_satoshis", plus=1),
        },
        # The smaller the channel the smaller the reserve: a dust limit above it is not yet one out of reason.
        amount_sat=SMALL_SAT,
    ),
    *ANSWERS_AS_OFFERS,
    Script(
        name="a wrong signature in funding_signed fails the channel",
        good=good.FUNDING_SIGNED,
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
        good=good.FUNDING_SIGNED,
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
