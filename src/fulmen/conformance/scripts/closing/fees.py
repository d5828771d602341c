"""BOLT 2, "Legacy Closing Negotiation: `closing_signed`"."""

from __future__ import annotations

from typing import Any

from fulmen.conformance.defaults.numbers import CLOSING_FEE_SAT, FUNDING_SAT
from fulmen.conformance.script import (
    Ask,
    Between,
    Expect,
    ExpectComplaint,
    ExpectEach,
    ExpectFailure,
    ExpectQuiet,
    ExpectSpent,
    Fees,
    Flipped,
    HighS,
    Level,
    Not,
    Ours,
    Present,
    Said,
    Script,
    Send,
    ShutdownScript,
)
from fulmen.conformance.scripts import good
from fulmen.conformance.scripts.common import (
    FORWARDED,
    OPENED_BY_NODE,
    SHUT,
    USED,
)
from fulmen.conformance.scripts.quotes import EITHER_FAILS
from fulmen.core.base.units import Sat
from fulmen.core.wire.messages.closing import FeeRange

LITTLE_SAT = 150
"""Less than a closing transaction costs at the least feerate that is relayed, so that a node names another fee."""
WIDE = FeeRange(Sat(LITTLE_SAT), Sat(10_000))
NOT_VALID = "if the `signature` is not valid for either variant of closing transaction"


def bad_closing(name: str, quote: str, fields: dict[str, Any], *, level: Level = Level.MUST) -> Script:
    """A `closing_signed` of the funder that has to be refused."""
    return Script(
        name=f"closing_signed is refused: {name}",
        good=good.CLOSING_SIGNED,
        ids=("B2-34",),
        level=level,
        quotes=(quote, EITHER_FAILS),
        steps=(*USED, *SHUT, Send("closing_signed", fields), ExpectFailure()),
    )


FIRST_OFFER = Script(
    name="as the funder the node makes the first offer",
    ids=("B2-34",),
    quotes=("The funding node: - after `shutdown` has been received",),
    steps=(
        *OPENED_BY_NODE,
        # A fake peer that has nothing cannot offer an HTLC to see whether the node is ready for everything.
        ExpectQuiet(2.0),
        Send("shutdown"),
        ExpectEach((Expect("shutdown"), Expect("closing_signed"))),
        Send("closing_signed"),
        ExpectSpent(30.0),
    ),
)
FEES: tuple[Script, ...] = (
    Script(
        name="a fee is agreed on, and the closing transaction is published",
        ids=("B2-34",),
        quotes=(
            "MUST set `signature` to the Bitcoin signature of the close transaction, as specified in [BOLT #3]",
            "if `fee_satoshis` is equal to its previously sent `fee_satoshis`: - SHOULD sign and broadcast the final "
            "closing transaction.",
        ),
        steps=(
            *USED,
            *SHUT,
            Send("closing_signed"),
            Expect("closing_signed"),
            Send("closing_signed"),
            ExpectSpent(30.0),
        ),
    ),
    Script(
        name="a fee within both ranges is taken",
        ids=("B2-34",),
        level=Level.SHOULD,
        quotes=(
            "otherwise: - MUST propose a `fee_satoshis` in the overlap between received and (about-to-be) sent "
            "`fee_range`.",
        ),
        steps=(
            *USED,
            *SHUT,
            Send("closing_signed", {"fee_range": FeeRange(Sat(500), Sat(10_000))}),
            Expect("closing_signed", {"fee_satoshis": Between(500, 10_000)}),
        ),
    ),
    Script(
        name="the fee proposed lies in the range that was offered",
        ids=("B2-34",),
        quotes=("MUST propose a `fee_satoshis` in the overlap between received and (about-to-be) sent `fee_range`.",),
        steps=(
            *USED,
            *SHUT,
            Send("closing_signed", {"fee_range": FeeRange(Sat(1_900), Sat(2_100))}),
            Expect("closing_signed", {"fee_satoshis": Between(1_900, 2_100)}),
        ),
    ),
    bad_closing("a wrong signature", NOT_VALID, {"signature": Flipped()}),
    bad_closing("a signature with high S", "OR non-compliant with LOW-S-standard rule", {"signature": HighS()}),
    bad_closing("a fee above the funder's balance", NOT_VALID, {"fee_satoshis": FUNDING_SAT}),
    Script(
        name="closing_signed is refused: an HTLC is left",
        good=good.CLOSING_SIGNED,
        ids=("B2-34",),
        level=Level.SHOULD,
        quotes=("after `shutdown` has been received, AND no HTLCs remain in either commitment transaction:",),
        steps=(*FORWARDED, *SHUT, Send("closing_signed"), ExpectComplaint()),
    ),
    Script(
        name="closing_signed is refused: its range is not the node's",
        good=good.CLOSING_SIGNED,
        ids=("B2-34",),
        level=Level.SHOULD,
        quotes=("if there is no overlap between that and its own `fee_range`: - SHOULD send a warning",),
        steps=(
            *USED,
            *SHUT,
            Send("closing_signed", {"fee_satoshis": 2, "fee_range": FeeRange(Sat(1), Sat(3))}),
            ExpectComplaint(),
        ),
    ),
    Script(
        name="closing_signed is refused: not the fee that the node has named",
        good=good.CLOSING_SIGNED,
        ids=("B2-34",),
        quotes=(
            "if it has already sent a `closing_signed`: - if `fee_satoshis` is not the same as the value it sent: - "
            "MUST fail the channel",
        ),
        steps=(
            *USED,
            *SHUT,
            Send("closing_signed", {"fee_satoshis": LITTLE_SAT, "fee_range": WIDE}),
            Expect("closing_signed", suited={"fee_range": Present(), "fee_satoshis": Not(LITTLE_SAT)}),
            Send("closing_signed", {"fee_satoshis": Said("closing_signed", "fee_satoshis", plus=1), "fee_range": WIDE}),
            ExpectFailure(),
        ),
    ),
    Script(
        name="closing_signed is refused: a fee that does not come nearer",
        good=good.CLOSING_SIGNED,
        ids=("B2-34",),
        level=Level.SHOULD,
        quotes=(
            "otherwise, if `fee_satoshis` is not strictly between its last-sent `fee_satoshis` and its "
            "previously-received `fee_satoshis`, UNLESS it has since reconnected: - SHOULD send a `warning` and close "
            "the connection, or send an `error` and fail the channel.",
        ),
        steps=(
            *USED,
            *SHUT,
            Send("closing_signed", {"fee_satoshis": LITTLE_SAT}),
            Expect("closing_signed", suited={"fee_satoshis": Not(LITTLE_SAT)}),
            Send("closing_signed", {"fee_satoshis": LITTLE_SAT - 1}),
            ExpectFailure(),
        ),
    ),
    Script(
        name="closing_signed before shutdown is refused",
        good=good.CLOSING_SIGNED,
        ids=("B2-34",),
        level=Level.SHOULD,
        quotes=(
            "SHOULD send `error` for protocol violations or internal errors that make channels unusable or that make "
            "further communication unusable.",
        ),
        steps=(*USED, Send("closing_signed", {"fee_satoshis": CLOSING_FEE_SAT}), ExpectComplaint()),
    ),
    Script(
        name="the node closes when it is told to, and takes the fee that the funder offers",
        ids=("B2-31", "B2-34"),
        quotes=("MUST NOT send multiple `shutdown` messages.",),
        steps=(
            *USED,
            Ask("close"),
            Expect("shutdown", {"scriptpubkey": ShutdownScript()}, within_s=30.0),
            Send("shutdown"),
            Send("closing_signed"),
            Expect("closing_signed"),
            Send("closing_signed"),
            ExpectSpent(30.0),
        ),
    ),
    FIRST_OFFER,
    Script(
        name="as the funder the node takes a fee within both ranges",
        ids=("B2-34",),
        quotes=(
            "if it is the funder: - if `fee_satoshis` is not in the overlap between the sent and received `fee_range`: "
            "- MUST fail the channel - otherwise: - MUST reply with the same `fee_satoshis`.",
        ),
        steps=(
            *OPENED_BY_NODE,
            ExpectQuiet(2.0),
            Send("shutdown"),
            ExpectEach((Expect("shutdown"), Expect("closing_signed", suited={"fee_range": Present()}))),
            Send(
                "closing_signed",
                {
                    "fee_satoshis": Said("closing_signed", "fee_range.min_fee_satoshis", plus=1),
                    "fee_range": Fees(
                        Said("closing_signed", "fee_range.min_fee_satoshis"),
                        Said("closing_signed", "fee_range.max_fee_satoshis"),
                    ),
                },
            ),
            Expect("closing_signed", {"fee_satoshis": Ours("closing_signed", "fee_satoshis")}),
            ExpectSpent(30.0),
        ),
    ),
    Script(
        name="as the funder the node takes no fee outside of both ranges",
        good=FIRST_OFFER,
        ids=("B2-34",),
        quotes=(
            "if it is the funder: - if `fee_satoshis` is not in the overlap between the sent and received `fee_range`: "
            "- MUST fail the channel",
        ),
        steps=(
            *OPENED_BY_NODE,
            ExpectQuiet(2.0),
            Send("shutdown"),
            ExpectEach((Expect("shutdown"), Expect("closing_signed", suited={"fee_range": Present()}))),
            Send(
                "closing_signed",
                {
                    "fee_satoshis": Said("closing_signed", "fee_range.max_fee_satoshis", plus=1),
                    "fee_range": Fees(
                        Said("closing_signed", "fee_range.min_fee_satoshis"),
                        Said("closing_signed", "fee_range.max_fee_satoshis", plus=1),
                    ),
                },
            ),
            ExpectFailure(),
        ),
    ),
)
