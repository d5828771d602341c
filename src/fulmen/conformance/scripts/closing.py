"""BOLT 2, "Channel Close": `shutdown`, and the legacy negotiation of the fee."""

from __future__ import annotations

from typing import Any

from fulmen.conformance.defaults.numbers import CLOSING_FEE_SAT, FUNDING_SAT
from fulmen.conformance.script import (
    BOB,
    Ask,
    AtLeast,
    AtMost,
    Disconnect,
    Expect,
    ExpectClosed,
    ExpectComplaint,
    ExpectEach,
    ExpectFailure,
    ExpectQuiet,
    ExpectSpent,
    Flipped,
    HighS,
    Level,
    Script,
    Script22,
    Send,
    ShutdownScript,
)
from fulmen.conformance.scripts import good
from fulmen.conformance.scripts.common import (
    FORWARDED,
    OPENED_BY_NODE,
    SHUT,
    USED,
    commit,
    reconnected,
    take,
    used,
)
from fulmen.core.base.units import Sat
from fulmen.core.wire.features import OPTION_SHUTDOWN_ANYSEGWIT
from fulmen.core.wire.messages.closing import FeeRange

P2PKH = bytes.fromhex("76a914") + bytes(20) + bytes.fromhex("88ac")
P2TR = bytes.fromhex("5120") + bytes.fromhex("79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798")
EITHER_FAILS = "MUST send a `warning` and close the connection, or send an `error` and fail the channel."


def bad_script(name: str, script: bytes) -> Script:
    """A `shutdown` with a script that may not stand there."""
    return Script(
        name=f"shutdown to {name} is complained of",
        good=good.SHUTDOWN,
        ids=("B2-31",),
        level=Level.SHOULD,
        quotes=("if the `scriptpubkey` is not in one of the above forms: - SHOULD send a `warning`.",),
        steps=(*USED, Send("shutdown", {"scriptpubkey": script}), ExpectComplaint()),
    )


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


NOT_VALID = "if the `signature` is not valid for either variant of closing transaction"

SCRIPTS: tuple[Script, ...] = (
    Script(
        name="shutdown is answered by shutdown, to a script of an allowed form",
        ids=("B2-31",),
        quotes=(
            "once there are no outstanding updates on the peer, UNLESS it has already sent a `shutdown`: - MUST reply "
            "to a `shutdown` message with a `shutdown`",
            "MUST set `scriptpubkey` in one of the following forms:",
        ),
        steps=(*USED, *SHUT),
    ),
    Script(
        name="shutdown may pay to taproot where anysegwit was negotiated",
        ids=("B2-31",),
        offers=(OPTION_SHUTDOWN_ANYSEGWIT,),
        quotes=(
            "if (and only if) `option_shutdown_anysegwit` is negotiated: * `OP_1` through `OP_16` inclusive, followed "
            "by a single push of 2 to 40 bytes",
        ),
        steps=(*USED, Send("shutdown", {"scriptpubkey": P2TR}), Expect("shutdown")),
    ),
    bad_script("a key hash of the old kind", P2PKH),
    bad_script("nothing", b""),
    bad_script("a witness program of 41 bytes", bytes.fromhex("5129") + bytes(41)),
    bad_script("a version 0 program of 21 bytes", bytes.fromhex("0015") + bytes(21)),
    Script(
        name="shutdown to another script than agreed on fails the connection",
        good=good.SHUTDOWN,
        ids=("B2-31",),
        quotes=(
            "that `shutdown_scriptpubkey` is not equal to `scriptpubkey`: - MAY send a `warning`. - MUST fail the "
            "connection.",
        ),
        steps=(
            *used(upfront_shutdown_script=Script22(1)),
            Send("shutdown", {"scriptpubkey": Script22(2)}),
            ExpectClosed(),
        ),
    ),
    Script(
        name="shutdown to the script agreed on is answered",
        ids=("B2-31",),
        quotes=(
            "if it sent a non-zero-length `shutdown_scriptpubkey` in `open_channel` or `accept_channel`: - MUST send "
            "the same value in `scriptpubkey`.",
        ),
        steps=(
            *used(upfront_shutdown_script=Script22(1)),
            Send("shutdown", {"scriptpubkey": Script22(1)}),
            Expect("shutdown"),
        ),
    ),
    Script(
        name="update_add_htlc after shutdown is refused",
        ids=("B2-31",),
        # The BOLT binds the sender, and does not say what the receiver makes of it.
        level=Level.SHOULD,
        quotes=("MUST NOT send an `update_add_htlc` after a `shutdown`.",),
        steps=(*USED, *SHUT, Send("update_add_htlc"), Send("commitment_signed"), ExpectFailure()),
    ),
    Script(
        name="HTLCs are settled after shutdown, and the fee comes after the last of them",
        ids=("B2-31", "B2-34"),
        quotes=(
            "after `shutdown` has been received, AND no HTLCs remain in either commitment transaction: - SHOULD send a "
            "`closing_signed` message.",
        ),
        steps=(
            *FORWARDED,
            *SHUT,
            ExpectQuiet(2.0),
            Send("update_fulfill_htlc", peer=BOB),
            *commit(BOB),
            *take("update_fulfill_htlc"),
            Send("closing_signed"),
            Expect("closing_signed"),
        ),
    ),
    Script(
        name="shutdown is said again after a reconnection",
        ids=("B2-31", "B2-66"),
        quotes=("if it has sent a previous `shutdown`: - MUST retransmit `shutdown`.",),
        steps=(*USED, *SHUT, Disconnect(), *reconnected(), Expect("shutdown")),
    ),
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
            Expect("closing_signed", {"fee_satoshis": AtLeast(500)}),
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
            Expect("closing_signed", {"fee_satoshis": AtMost(2_100)}),
        ),
    ),
    bad_closing("a wrong signature", NOT_VALID, {"signature": Flipped()}),
    bad_closing("a signature with high S", "OR non-compliant with LOW-S-standard rule", {"signature": HighS()}),
    bad_closing("a fee above the funder's balance", NOT_VALID, {"fee_satoshis": FUNDING_SAT}),
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
    Script(
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
    ),
)
