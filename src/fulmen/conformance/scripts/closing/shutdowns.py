"""BOLT 2, "Closing Initiation: `shutdown`"."""

from __future__ import annotations

from fulmen.conformance.defaults.numbers import P2PKH, P2TR
from fulmen.conformance.script import (
    BOB,
    AgreedScript,
    Disconnect,
    Expect,
    ExpectClosed,
    ExpectComplaint,
    ExpectFailure,
    ExpectQuiet,
    Level,
    Script,
    Script22,
    Send,
)
from fulmen.conformance.scripts import good
from fulmen.conformance.scripts.common import (
    FORWARDED,
    SHUT,
    USED,
    commit,
    reconnected,
    take,
    used,
)
from fulmen.core.wire.features import OPTION_SHUTDOWN_ANYSEGWIT


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


SHUTDOWNS = (
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
        name="shutdown to the script agreed on is answered, by one to the node's own",
        ids=("B2-31",),
        quotes=(
            "if it sent a non-zero-length `shutdown_scriptpubkey` in `open_channel` or `accept_channel`: - MUST send "
            "the same value in `scriptpubkey`.",
        ),
        steps=(
            *used(upfront_shutdown_script=Script22(1)),
            Send("shutdown", {"scriptpubkey": Script22(1)}),
            Expect("shutdown", {"scriptpubkey": AgreedScript("accept_channel")}),
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
        name="shutdown is refused: it is the second, to another script",
        good=good.SHUTDOWN,
        ids=("B2-31",),
        # The BOLT binds the sender, here and in the next: what is signed for would no longer be what was agreed on.
        level=Level.SHOULD,
        quotes=("MUST NOT send multiple `shutdown` messages.",),
        steps=(*USED, *SHUT, Send("shutdown", {"scriptpubkey": Script22(2)}), ExpectComplaint()),
    ),
    Script(
        name="shutdown is refused: an update of the sender waits for its signature",
        good=good.SHUTDOWN,
        ids=("B2-31",),
        level=Level.SHOULD,
        quotes=(
            "if there are updates pending on the receiving node's commitment transaction: - MUST NOT send a "
            "`shutdown`.",
        ),
        steps=(*USED, Send("update_add_htlc"), Send("shutdown"), ExpectComplaint()),
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
)
