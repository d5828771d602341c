"""BOLT 2, "Removing an HTLC": which removals a node has to refuse."""

from __future__ import annotations

from typing import Any

from fulmen.conformance.script import (
    BOB,
    Expect,
    ExpectFailure,
    ExpectQuiet,
    Level,
    Onion,
    PreimageOf,
    Script,
    Send,
)
from fulmen.conformance.scripts import good
from fulmen.conformance.scripts.common import (
    BETWEEN,
    FORWARDED,
    OPENED,
    commit,
    offered,
)
from fulmen.conformance.scripts.quotes import EITHER_FAILS


def bad_removal(name: str, quote: str, message: str, fields: dict[str, Any]) -> Script:
    """A removal of an HTLC that the node has passed on to bob, which it has to refuse."""
    return Script(
        name=f"{message} is refused: {name}",
        good=good.REMOVALS[message],
        ids=("B2-40",),
        quotes=(quote, EITHER_FAILS),
        steps=(*FORWARDED, Send(message, fields, peer=BOB), ExpectFailure(peer=BOB)),
    )


REMOVALS = (
    bad_removal(
        "a wrong preimage",
        "if the `payment_preimage` value in `update_fulfill_htlc` doesn't SHA256 hash to the corresponding HTLC "
        "`payment_hash`:",
        "update_fulfill_htlc",
        {"payment_preimage": PreimageOf(99)},
    ),
    bad_removal(
        "no BADONION bit",
        "if the `BADONION` bit in `failure_code` is not set for `update_fail_malformed_htlc`:",
        "update_fail_malformed_htlc",
        {"failure_code": 0x4005},
    ),
    *(
        Script(
            name=f"{message} is refused: there is no such HTLC",
            good=good.REMOVALS[message],
            ids=("B2-40",),
            quotes=("if the `id` does not correspond to an HTLC in its current commitment transaction:", EITHER_FAILS),
            steps=(*OPENED, Send(message, {"id": 5}), ExpectFailure()),
        )
        for message in ("update_fulfill_htlc", "update_fail_htlc", "update_fail_malformed_htlc")
    ),
    Script(
        name="update_fulfill_htlc is refused: the HTLC is not committed yet",
        good=good.REMOVALS["update_fulfill_htlc"],
        ids=("B2-40",),
        quotes=("if the `id` does not correspond to an HTLC in its current commitment transaction:", EITHER_FAILS),
        steps=(
            *BETWEEN,
            *offered(onion_routing_packet=Onion(BOB)),
            Expect("update_add_htlc", peer=BOB, within_s=20.0),
            Expect("commitment_signed", peer=BOB),
            Send("update_fulfill_htlc", peer=BOB),
            ExpectFailure(peer=BOB),
        ),
    ),
    Script(
        name="update_fail_htlc is refused: the HTLC is fulfilled already",
        good=good.REMOVALS["update_fail_htlc"],
        ids=("B2-40",),
        # Until it is signed for, the HTLC is still in the commitment transaction.
        level=Level.SHOULD,
        quotes=("if the `id` does not correspond to an HTLC in its current commitment transaction:", EITHER_FAILS),
        steps=(
            *FORWARDED,
            Send("update_fulfill_htlc", peer=BOB),
            ExpectQuiet(peer=BOB),
            Send("update_fail_htlc", peer=BOB),
            ExpectFailure(peer=BOB),
        ),
    ),
    Script(
        name="update_fail_htlc is refused: the HTLC is removed already",
        good=good.REMOVALS["update_fail_htlc"],
        ids=("B2-40",),
        quotes=("if the `id` does not correspond to an HTLC in its current commitment transaction:", EITHER_FAILS),
        steps=(
            *FORWARDED,
            Send("update_fail_htlc", peer=BOB),
            *commit(BOB),
            Send("update_fail_htlc", peer=BOB),
            ExpectFailure(peer=BOB),
        ),
    ),
)
