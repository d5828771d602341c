"""BOLT 2, "Forwarding HTLCs": what is passed on, and passed back, when, and for which fee."""

from __future__ import annotations

from typing import Any

from fulmen.conformance.defaults.numbers import EXPIRY_DELTA, FEE_MSAT, FINAL_DELTA, HTLC_MSAT
from fulmen.conformance.script import (
    ALICE,
    BOB,
    Disconnect,
    Expect,
    ExpectQuiet,
    ExpectSpent,
    Height,
    Level,
    Mine,
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
    opened,
    reconnected,
    take,
)

LEAST_MSAT = 9_000_000
"""Nearly a hundredth of a channel: more would be a least HTLC out of reason."""


def too_much_to_pass_on(name: str, quote: str, fields: dict[str, Any]) -> Script:
    """An HTLC for bob that his channel has no room for."""
    return Script(
        name=f"an HTLC is not passed on: {name}",
        good=good.FORWARD,
        ids=("B2-39",),
        quotes=(quote,),
        steps=(
            *opened(ALICE),
            *opened(BOB, **fields),
            *offered(onion_routing_packet=Onion(BOB)),
            *take("update_fail_htlc"),
            ExpectQuiet(peer=BOB),
        ),
    )


FEW = 5
"""As few HTLCs as a peer may take at a time and still be taken by nodes that mind."""
PASSED_ON = (*offered(onion_routing_packet=Onion(BOB)), *take("update_add_htlc", BOB))
ROOM = (
    too_much_to_pass_on(
        "it is more than the receiver takes in flight",
        "if the total value of offered HTLCs would exceed the remote's `max_htlc_value_in_flight_msat`: - MUST NOT add "
        "an HTLC.",
        {"max_htlc_value_in_flight_msat": HTLC_MSAT - FEE_MSAT - 1},
    ),
    too_much_to_pass_on(
        "the node has nothing on that side",
        "receiving an `amount_msat` that the sending node cannot afford at the current `feerate_per_kw`",
        {"push_msat": 0},
    ),
    Script(
        name="an HTLC is not passed on: it is less than the receiver takes",
        good=good.FORWARD,
        ids=("B2-39",),
        quotes=("MUST NOT offer `amount_msat` below the receiving node's `htlc_minimum_msat`",),
        steps=(
            *opened(ALICE),
            *opened(BOB, htlc_minimum_msat=LEAST_MSAT),
            *offered(amount_msat=LEAST_MSAT - 1 + FEE_MSAT, onion_routing_packet=Onion(BOB)),
            *take("update_fail_htlc"),
            ExpectQuiet(peer=BOB),
        ),
    ),
    Script(
        name="an HTLC is not passed on: the receiver takes five at a time",
        good=good.FORWARD,
        ids=("B2-39",),
        quotes=(
            "if result would be offering more than the remote's `max_accepted_htlcs` HTLCs, in the remote commitment "
            "transaction: - MUST NOT add an HTLC.",
        ),
        steps=(
            *opened(ALICE),
            *opened(BOB, max_accepted_htlcs=FEW),
            *(step for _ in range(FEW) for step in PASSED_ON),
            *offered(onion_routing_packet=Onion(BOB)),
            *take("update_fail_htlc"),
            ExpectQuiet(peer=BOB),
        ),
    ),
    Script(
        name="an HTLC is not passed on: the receiver is closing",
        good=good.FORWARD,
        ids=("B2-31",),
        quotes=("MUST NOT send an `update_add_htlc` after a `shutdown`.",),
        steps=(
            *BETWEEN,
            ExpectQuiet(2.0, peer=BOB),
            Send("shutdown", peer=BOB),
            Expect("shutdown", peer=BOB),
            *offered(onion_routing_packet=Onion(BOB)),
            *take("update_fail_htlc"),
            ExpectQuiet(peer=BOB),
        ),
    ),
)

DEADLINES = (
    Script(
        name="an HTLC that the node offered, and that is past its expiry, fails the channel",
        ids=("B2-37",),
        quotes=(
            "if an HTLC which it offered is in either node's current commitment transaction, AND is past this timeout "
            "deadline: - SHOULD send an `error` to the receiving peer (if connected). - MUST fail the channel.",
        ),
        steps=(*FORWARDED, Mine(FINAL_DELTA + 10), ExpectSpent(30.0, peer=BOB)),
    ),
    Script(
        name="an HTLC that the node fulfilled, and that is near its expiry, fails the channel",
        ids=("B2-37",),
        quotes=(
            "if an HTLC it has fulfilled is in either node's current commitment transaction, AND is past this "
            "fulfillment deadline: - SHOULD send an `error` to the offering peer (if connected). - MUST fail the "
            "channel.",
        ),
        steps=(
            *FORWARDED,
            Send("update_fulfill_htlc", peer=BOB),
            *commit(BOB),
            Expect("update_fulfill_htlc", within_s=20.0),
            Mine(EXPIRY_DELTA - 4),
            ExpectSpent(30.0),
        ),
    ),
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
        name="a preimage that came while the sender was away is passed back when it is there again",
        ids=("B2-36",),
        quotes=(
            "upon receiving an `update_fulfill_htlc` for an outgoing HTLC, OR upon discovering the `payment_preimage` "
            "from an on-chain HTLC spend: - MUST fulfill the incoming HTLC that corresponds to that outgoing HTLC.",
        ),
        steps=(
            *FORWARDED,
            Disconnect(),
            Send("update_fulfill_htlc", peer=BOB),
            *commit(BOB),
            *reconnected(),
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
        good=good.FORWARD,
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
