"""BOLT 2, "Normal Operation": adding and removing HTLCs, forwarding them, signing, revoking, and the feerate."""

from __future__ import annotations

from typing import Any

from fulmen.conformance.defaults.numbers import FEE_MSAT, FUNDING_SAT, HTLC_MSAT
from fulmen.conformance.script import (
    ALICE,
    BOB,
    AtMost,
    Expect,
    ExpectError,
    ExpectFailure,
    ExpectQuiet,
    FirstByte,
    Flipped,
    HashOf,
    Height,
    HighS,
    Level,
    Onion,
    OnionHash,
    PreimageOf,
    Said,
    Script,
    Send,
)
from fulmen.conformance.scripts.common import (
    BETWEEN,
    FORWARDED,
    FUNDED,
    HELLO,
    OPENED,
    OPENED_BY_NODE,
    commit,
    offered,
    opened,
    take,
)

EITHER_FAILS = "MUST send a `warning` and close the connection, or send an `error` and fail the channel."
SHOULD_FAIL = "SHOULD send a `warning` and close the connection, or send an `error` and fail the channel."
INVALID_ONION_VERSION, INVALID_ONION_HMAC, INVALID_ONION_KEY = 0xC004, 0xC005, 0xC006
NO_KEY = bytes([0]) + bytes(1365)
"""An onion whose ephemeral key is no point."""
TOO_MANY = 484
DUST_MSAT = 1_000
AFFORDED_MSAT = 900_000_000
"""What the opener of a channel of the default size can offer at once, with room for the reserve and the fee."""
POOR_SAT = 14_000
"""What an opener with the default feerate and reserve needs, and hardly more."""
TOO_DEAR_PER_KW = 20_000
"""More than that pays for, in each format, and less than any node finds unreasonable: 80 sat/vB."""


def bad_add(name: str, quote: str, fields: dict[str, Any], *, level: Level = Level.SHOULD) -> Script:
    """An `update_add_htlc` that has to be refused, with its update or with its signature."""
    return Script(
        name=f"update_add_htlc is refused: {name}",
        ids=("B2-39",),
        level=level,
        quotes=(quote, SHOULD_FAIL),
        steps=(*OPENED, Send("update_add_htlc", fields), Send("commitment_signed"), ExpectFailure()),
    )


def bad_onion(name: str, code: int, onion: Any) -> Script:
    """An HTLC whose onion nobody can read."""
    return Script(
        name=f"an onion with {name} is failed as malformed",
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
        "an expiry that is a time",
        "if sending node sets `cltv_expiry` to greater or equal to 500000000:",
        {"cltv_expiry": 500_000_000},
    ),
    Script(
        name="update_add_htlc is refused: more in flight than the node takes",
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

PIPELINE = (
    Script(
        name="an HTLC is not failed before it is irrevocable",
        ids=("B2-35", "B2-40"),
        quotes=(
            "until the corresponding HTLC is irrevocably committed in both sides' commitment transactions: - MUST NOT "
            "send an `update_fulfill_htlc`, `update_fail_htlc`, or `update_fail_malformed_htlc`.",
        ),
        steps=(
            *OPENED,
            Send("update_add_htlc"),
            Send("commitment_signed"),
            Expect("revoke_and_ack"),
            Expect("commitment_signed"),
            ExpectQuiet(2.0),
            Send("revoke_and_ack"),
            *take("update_fail_htlc"),
        ),
    ),
    Script(
        name="an HTLC is not passed on before it is irrevocable",
        ids=("B2-35", "B2-36"),
        quotes=(
            "until an incoming HTLC has been irrevocably committed: - MUST NOT offer the corresponding outgoing HTLC "
            "(`update_add_htlc`) in response to that incoming HTLC.",
        ),
        steps=(
            *BETWEEN,
            Send("update_add_htlc", {"onion_routing_packet": Onion(BOB)}),
            Send("commitment_signed"),
            Expect("revoke_and_ack"),
            Expect("commitment_signed"),
            ExpectQuiet(2.0, peer=BOB),
            Send("revoke_and_ack"),
            Expect("update_add_htlc", {"amount_msat": HTLC_MSAT - FEE_MSAT}, peer=BOB, within_s=20.0),
        ),
    ),
    Script(
        name="a preimage is passed back at once",
        ids=("B2-36",),
        quotes=(
            "upon receiving an `update_fulfill_htlc` for an outgoing HTLC, OR upon discovering the `payment_preimage` "
            "from an on-chain HTLC spend: - MUST fulfill the incoming HTLC that corresponds to that outgoing HTLC.",
        ),
        steps=(
            *FORWARDED,
            Send("update_fulfill_htlc", peer=BOB),
            *take("update_fulfill_htlc", payment_preimage=PreimageOf(0)),
        ),
    ),
    Script(
        name="a failure is passed back once its removal is irrevocable",
        ids=("B2-36",),
        quotes=(
            "until the removal of an outgoing HTLC is irrevocably committed",
            "MUST NOT fail the incoming HTLC (`update_fail_htlc`) that corresponds to that outgoing HTLC.",
        ),
        steps=(
            *FORWARDED,
            Send("update_fail_htlc", peer=BOB),
            Send("commitment_signed", peer=BOB),
            Expect("revoke_and_ack", peer=BOB),
            Expect("commitment_signed", peer=BOB),
            ExpectQuiet(2.0),
            Send("revoke_and_ack", peer=BOB),
            *take("update_fail_htlc"),
        ),
    ),
    Script(
        name="a malformed failure is passed back as an ordinary one",
        ids=("B2-40",),
        quotes=(
            "a receiving node which has an outgoing HTLC canceled by `update_fail_malformed_htlc`: - MUST return an "
            "error in the `update_fail_htlc` sent to the link which originally sent the HTLC",
        ),
        steps=(
            *FORWARDED,
            Send("update_fail_malformed_htlc", peer=BOB),
            *commit(BOB),
            *take("update_fail_htlc"),
        ),
    ),
    Script(
        name="an HTLC whose expiry is too near is not passed on",
        ids=("B2-37",),
        quotes=(
            "if `cltv_expiry` minus `current_height` is less than `cltv_expiry_delta` for the corresponding outgoing "
            "HTLC: - MUST fail that incoming HTLC (`update_fail_htlc`).",
        ),
        steps=(
            *BETWEEN,
            *offered(onion_routing_packet=Onion(BOB), cltv_expiry=Height(10)),
            *take("update_fail_htlc"),
            ExpectQuiet(peer=BOB),
        ),
    ),
)


def bad_removal(name: str, quote: str, message: str, fields: dict[str, Any]) -> Script:
    """A removal of an HTLC that the node has passed on to bob, which it has to refuse."""
    return Script(
        name=f"{message} is refused: {name}",
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
            ids=("B2-40",),
            quotes=("if the `id` does not correspond to an HTLC in its current commitment transaction:", EITHER_FAILS),
            steps=(*OPENED, Send(message, {"id": 5}), ExpectFailure()),
        )
        for message in ("update_fulfill_htlc", "update_fail_htlc", "update_fail_malformed_htlc")
    ),
    Script(
        name="update_fulfill_htlc is refused: the HTLC is not committed yet",
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
        name="update_fail_htlc is refused: the HTLC is removed already",
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


def bad_signature(name: str, quote: str, fields: dict[str, Any]) -> Script:
    """A `commitment_signed` that has to be refused."""
    return Script(
        name=f"commitment_signed is refused: {name}",
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
        name="revoke_and_ack is refused: nothing was signed",
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
            ids=("B2-43",),
            quotes=(
                "if the `update_fee` is too low for timely processing, OR is unreasonably large:",
                EITHER_FAILS,
            ),
            steps=(
                *OPENED,
                Send("update_fee", {"feerate_per_kw": feerate}),
                Send("commitment_signed"),
                ExpectFailure(),
            ),
        )
        for name, feerate in (("too low", 1), ("unreasonably large", 10_000_000))
    ),
    Script(
        name="update_fee is refused: the opener cannot afford it",
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

FORWARDS = tuple(
    Script(
        name=name,
        ids=("B7-8",),
        quotes=(
            "SHOULD accept HTLCs that pay a fee equal to or greater than: - fee_base_msat + ( amount_to_forward * "
            "fee_proportional_millionths / 1000000 )",
        ),
        level=Level.SHOULD,
        steps=(
            *BETWEEN,
            # Its channel_update has time to come; nobody has to say it at once.
            ExpectQuiet(2.0, peer=BOB),
            *offered(onion_routing_packet=Onion(BOB, fee_off_by=more)),
            *then,
        ),
    )
    for name, more, then in (
        ("exactly the fee of the channel_update is enough", 0, take("update_add_htlc", BOB)),
        ("one millisatoshi less than that fee is failed", -1, take("update_fail_htlc")),
    )
)

SCRIPTS: tuple[Script, ...] = (*ADDS, *PIPELINE, *REMOVALS, *DANCE, *FEES, *FORWARDS)
"""Every way of the normal operation."""
