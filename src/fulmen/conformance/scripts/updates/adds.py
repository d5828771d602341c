"""BOLT 2, "Adding an HTLC": which are refused, which are taken, and whose onion nobody can read."""

from __future__ import annotations

from typing import Any

from fulmen.conformance.script import (
    AtMost,
    Expect,
    ExpectFailure,
    FirstByte,
    Flipped,
    FundChannel,
    HashOf,
    Level,
    OnionHash,
    Said,
    Script,
    Send,
)
from fulmen.conformance.scripts import good
from fulmen.conformance.scripts.common import (
    ACCEPTED,
    FUNDED,
    HELLO,
    OPENED,
    commit,
    offered,
    take,
)
from fulmen.conformance.scripts.quotes import SHOULD_FAIL

INVALID_ONION_VERSION, INVALID_ONION_HMAC, INVALID_ONION_KEY = 0xC004, 0xC005, 0xC006
NO_KEY = bytes([0]) + bytes(1365)
"""An onion whose ephemeral key is no point."""
TOO_MANY = 484
DUST_MSAT = 1_000
AFFORDED_MSAT = 900_000_000
"""What the opener of a channel of the default size can offer at once, with room for the reserve and the fee."""


def bad_add(name: str, quote: str, fields: dict[str, Any], *, level: Level = Level.SHOULD) -> Script:
    """An `update_add_htlc` that has to be refused, with its update or with its signature."""
    return Script(
        name=f"update_add_htlc is refused: {name}",
        good=good.UPDATE_ADD_HTLC,
        ids=("B2-39",),
        level=level,
        quotes=(quote, SHOULD_FAIL),
        steps=(*OPENED, Send("update_add_htlc", fields), Send("commitment_signed"), ExpectFailure()),
    )


def bad_onion(name: str, code: int, onion: Any) -> Script:
    """An HTLC whose onion nobody can read."""
    return Script(
        name=f"an onion with {name} is failed as malformed",
        good=good.UPDATE_ADD_HTLC,
        ids=("B2-39", "B2-40"),
        quotes=(
            "If decryption fails, the result is not a valid `payload` TLV, or it contains unknown even types: - MUST "
            "respond with an error as detailed in [Failure Messages]",
        ),
        steps=(
            *OPENED,
            *offered(onion_routing_packet=onion),
            *take("update_fail_malformed_htlc", id=0, failure_code=code, sha256_of_onion=OnionHash()),
        ),
    )


ADDS = (
    bad_add(
        "an id that does not follow",
        "MUST increase the value of `id` by 1 for each successive offer.",
        {"id": 1},
    ),
    bad_add("nothing offered", "receiving an `amount_msat` equal to 0", {"amount_msat": 0}),
    bad_add(
        "less than the node's minimum",
        "receiving an `amount_msat` equal to 0, OR less than its own `htlc_minimum_msat`",
        {"amount_msat": Said("accept_channel", "htlc_minimum_msat", plus=-1)},
    ),
    bad_add(
        "the reserve would be offered, too",
        "receiving an `amount_msat` that the sending node cannot afford at the current `feerate_per_kw` (while "
        "maintaining its channel reserve and any `to_local_anchor` and `to_remote_anchor` costs)",
        {"amount_msat": 595_000_000},
    ),
    bad_add(
        "the fee would be offered, too",
        "receiving an `amount_msat` that the sending node cannot afford at the current `feerate_per_kw` (while "
        "maintaining its channel reserve and any `to_local_anchor` and `to_remote_anchor` costs)",
        # It leaves 12,000 sat: more than the reserve that most ask for, a hundredth, and less than that and the fee.
        {"amount_msat": 588_000_000},
    ),
    bad_add(
        "an expiry that is a time",
        "if sending node sets `cltv_expiry` to greater or equal to 500000000:",
        {"cltv_expiry": 500_000_000},
    ),
    Script(
        name="update_add_htlc is refused: the channel is not ready",
        good=good.UPDATE_ADD_HTLC,
        ids=("B2-39", "B2-16"),
        level=Level.SHOULD,
        quotes=(
            "Once both nodes have exchanged `channel_ready` (and optionally [`announcement_signatures`]",
            "the channel can be used to make payments via Hashed Time Locked Contracts.",
        ),
        steps=(
            *ACCEPTED,
            Send("funding_created"),
            Expect("funding_signed"),
            FundChannel(depth=1),
            # No signature with it: none could be right before the node's `channel_ready`.
            Send("update_add_htlc"),
            ExpectFailure(passing=("channel_ready",)),
        ),
    ),
    Script(
        name="update_add_htlc is refused: more in flight than the node takes",
        good=good.UPDATE_ADD_HTLC,
        ids=("B2-39",),
        level=Level.SHOULD,
        quotes=(
            "adds more than receiver `max_htlc_value_in_flight_msat` worth of offered HTLCs to its local commitment "
            "transaction",
            SHOULD_FAIL,
        ),
        steps=(
            *HELLO,
            Send("open_channel", {"push_msat": 0}),
            # Who takes as much as there is can be offered too much only by somebody who cannot afford it.
            Expect("accept_channel", suited={"max_htlc_value_in_flight_msat": AtMost(AFFORDED_MSAT)}),
            *FUNDED,
            Send(
                "update_add_htlc",
                {"amount_msat": Said("accept_channel", "max_htlc_value_in_flight_msat", plus=1)},
            ),
            Send("commitment_signed"),
            ExpectFailure(),
        ),
    ),
    Script(
        name=f"update_add_htlc is refused: the {TOO_MANY}th",
        good=good.UPDATE_ADD_HTLC,
        ids=("B2-39",),
        level=Level.SHOULD,
        quotes=(
            "if a sending node adds more than receiver `max_accepted_htlcs` HTLCs to its local commitment transaction",
            SHOULD_FAIL,
        ),
        steps=(
            *OPENED,
            *([Send("update_add_htlc", {"amount_msat": DUST_MSAT})] * TOO_MANY),
            Send("commitment_signed"),
            ExpectFailure(within_s=30.0),
        ),
    ),
    Script(
        name="two HTLCs with the same payment_hash are taken",
        ids=("B2-39",),
        quotes=("MUST allow multiple HTLCs with the same `payment_hash`.",),
        steps=(
            *OPENED,
            Send("update_add_htlc", {"payment_hash": HashOf(7)}),
            Send("update_add_htlc", {"payment_hash": HashOf(7)}),
            *commit(),
        ),
    ),
    Script(
        name="an HTLC for a payment that nobody knows is failed",
        ids=("B2-39", "B2-40"),
        quotes=("SHOULD remove an HTLC as soon as it can.",),
        steps=(*OPENED, *offered(), *take("update_fail_htlc", id=0)),
    ),
    Script(
        name="the next HTLC has the next id, though the one before is gone",
        ids=("B2-39",),
        quotes=("`id` MUST NOT be reset to 0 after the update is complete",),
        steps=(*OPENED, *offered(), *take("update_fail_htlc", id=0), *offered(id=1), *take("update_fail_htlc", id=1)),
    ),
    Script(
        name="an HTLC too small for an output is signed for and failed",
        ids=("B2-39", "B2-42"),
        quotes=(
            "MAY send a `commitment_signed` message that doesn't change the commitment transaction aside from the new "
            "revocation number",
        ),
        steps=(*OPENED, *offered(amount_msat=DUST_MSAT), *take("update_fail_htlc", id=0)),
    ),
    bad_onion("another version", INVALID_ONION_VERSION, FirstByte(1)),
    bad_onion("a key that is no point", INVALID_ONION_KEY, NO_KEY),
    bad_onion("a wrong HMAC", INVALID_ONION_HMAC, Flipped()),
)
