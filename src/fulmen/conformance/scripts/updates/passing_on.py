"""BOLT 2, "Forwarding HTLCs": what is passed on, and passed back, when, and for which fee."""

from __future__ import annotations

from fulmen.conformance.defaults.numbers import FEE_MSAT, HTLC_MSAT
from fulmen.conformance.script import (
    BOB,
    Expect,
    ExpectQuiet,
    Height,
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
    take,
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
