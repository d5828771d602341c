"""BOLT 2, "Updating Fees"."""

from __future__ import annotations

from fulmen.conformance.defaults.numbers import FUNDING_SAT
from fulmen.conformance.script import (
    ALICE,
    BOB,
    ExpectFailure,
    Level,
    Onion,
    Script,
    Send,
)
from fulmen.conformance.scripts import good
from fulmen.conformance.scripts.common import (
    OPENED,
    OPENED_BY_NODE,
    commit,
    offered,
    opened,
    take,
)
from fulmen.conformance.scripts.quotes import EITHER_FAILS, SHOULD_FAIL

RICH_SAT = 16_000_000
POOR_SAT = 16_000
"""What an opener with the default feerate and reserve needs, with room for some HTLCs, and hardly more."""
TOO_DEAR_PER_KW = 24_000
"""More than that pays for, in each format, and less than any node finds unreasonable: 96 sat/vB."""


FEES = (
    Script(
        name="update_fee is followed",
        ids=("B2-43",),
        quotes=("MAY send a `commitment_signed` message that only alters the fee.",),
        steps=(*OPENED, Send("update_fee"), *commit(), *offered(), *take("update_fail_htlc")),
    ),
    Script(
        name="the last update_fee before a signature counts",
        ids=("B2-43",),
        quotes=("SHOULD send `update_fee` to ensure the current fee rate is sufficient",),
        steps=(
            *OPENED,
            Send("update_fee", {"feerate_per_kw": 4_000}),
            Send("update_fee", {"feerate_per_kw": 3_000}),
            *commit(),
        ),
    ),
    *(
        Script(
            name=f"update_fee is refused: {name}",
            good=good.UPDATE_FEE,
            ids=("B2-43",),
            quotes=(
                "if the `update_fee` is too low for timely processing, OR is unreasonably large:",
                EITHER_FAILS,
            ),
            steps=(
                *begun,
                Send("update_fee", {"feerate_per_kw": feerate}),
                Send("commitment_signed"),
                ExpectFailure(),
            ),
        )
        for name, feerate, begun in (
            ("too low", 1, OPENED),
            # The opener of a large channel can afford even this, 4,000 sat/vB.
            (
                "unreasonably large",
                1_000_000,
                opened(funding_satoshis=RICH_SAT, max_htlc_value_in_flight_msat=1000 * RICH_SAT),
            ),
        )
    ),
    Script(
        name="update_fee is refused: the opener cannot afford it",
        good=good.UPDATE_FEE,
        ids=("B2-43",),
        level=Level.SHOULD,
        quotes=(
            "if the sender cannot afford the new fee rate on the receiving node's current commitment transaction:",
            SHOULD_FAIL,
        ),
        steps=(
            *opened(push_msat=1000 * (FUNDING_SAT - POOR_SAT)),
            Send("update_fee", {"feerate_per_kw": TOO_DEAR_PER_KW}),
            Send("commitment_signed"),
            ExpectFailure(),
        ),
    ),
    Script(
        name="update_fee is refused: the sender does not pay the fee",
        good=good.UPDATE_FEE,
        ids=("B2-43",),
        quotes=("if the sender is not responsible for paying the Bitcoin fee:", EITHER_FAILS),
        steps=(
            *opened(BOB),
            *OPENED_BY_NODE,
            # Alice gets a balance that the fee could be paid from.
            Send("update_add_htlc", {"onion_routing_packet": Onion(ALICE)}, peer=BOB),
            *commit(BOB),
            *take("update_add_htlc"),
            Send("update_fulfill_htlc"),
            *commit(),
            Send("update_fee"),
            ExpectFailure(),
        ),
    ),
)
