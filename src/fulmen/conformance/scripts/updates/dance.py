"""BOLT 2, "Committing Updates So Far" and "Completing the Transition to the Updated State"."""

from __future__ import annotations

from typing import Any

from fulmen.conformance.script import (
    Expect,
    ExpectError,
    ExpectFailure,
    Flipped,
    HighS,
    Level,
    Script,
    Send,
)
from fulmen.conformance.scripts import good
from fulmen.conformance.scripts.common import (
    OPENED,
    commit,
)
from fulmen.conformance.scripts.quotes import EITHER_FAILS


def bad_signature(name: str, quote: str, fields: dict[str, Any]) -> Script:
    """A `commitment_signed` that has to be refused."""
    return Script(
        name=f"commitment_signed is refused: {name}",
        good=good.UPDATE_ADD_HTLC,
        ids=("B2-42",),
        quotes=(quote, EITHER_FAILS),
        steps=(*OPENED, Send("update_add_htlc"), Send("commitment_signed", fields), ExpectFailure()),
    )


NOT_VALID = "if `signature` is not valid for its local commitment transaction OR non-compliant with LOW-S-standard rule"
HTLC_NOT_VALID = (
    "if any `htlc_signature` is not valid for the corresponding HTLC transaction OR non-compliant with LOW-S-standard "
    "rule"
)
COUNT = "if `num_htlcs` is not equal to the number of HTLC outputs in the local commitment transaction:"
REVOKED_WRONG = (
    "if `per_commitment_secret` is not a valid secret key or does not generate the previous `per_commitment_point`: - "
    "MUST send an `error` and fail the channel."
)

DANCE = (
    bad_signature("a wrong signature", NOT_VALID, {"signature": Flipped()}),
    bad_signature("a signature with high S", NOT_VALID, {"signature": HighS()}),
    bad_signature("a wrong HTLC signature", HTLC_NOT_VALID, {"htlc_signature": Flipped()}),
    bad_signature("an HTLC signature with high S", HTLC_NOT_VALID, {"htlc_signature": HighS()}),
    bad_signature("an HTLC signature is missing", COUNT, {"htlc_signature": ()}),
    *(
        Script(
            name=f"revoke_and_ack is refused: {name}",
            good=good.UPDATE_ADD_HTLC,
            ids=("B2-42",),
            quotes=(REVOKED_WRONG,),
            steps=(
                *OPENED,
                Send("update_add_htlc"),
                Send("commitment_signed"),
                Expect("revoke_and_ack"),
                Expect("commitment_signed"),
                Send("revoke_and_ack", {"per_commitment_secret": secret}),
                ExpectError(),
            ),
        )
        for name, secret in (("a wrong secret", Flipped()), ("a secret that is no key", bytes(32)))
    ),
    Script(
        name="commitment_signed is refused: nothing has changed",
        good=good.UPDATE_ADD_HTLC,
        ids=("B2-42",),
        # The BOLT binds the sender, and does not say what the receiver makes of it.
        level=Level.SHOULD,
        quotes=("MUST NOT send a `commitment_signed` message that does not include any updates.",),
        steps=(*OPENED, Send("commitment_signed"), ExpectFailure()),
    ),
    Script(
        name="revoke_and_ack is refused: nothing was signed",
        good=good.UPDATE_ADD_HTLC,
        ids=("B2-42",),
        quotes=(
            "SHOULD send `error` for protocol violations or internal errors that make channels unusable or that make "
            "further communication unusable.",
        ),
        steps=(*OPENED, Send("revoke_and_ack"), ExpectFailure()),
    ),
    Script(
        name="four HTLCs under one signature",
        ids=("B2-42",),
        quotes=(
            "MUST include one `htlc_signature` for every HTLC transaction corresponding to the ordering of the "
            "commitment transaction",
            "MUST respond with a `revoke_and_ack` message.",
        ),
        steps=(
            *OPENED,
            *(Send("update_add_htlc", {"amount_msat": amount}) for amount in (9_000_000, 5_000_000, 9_000_000, 500)),
            *commit(),
        ),
    ),
)
