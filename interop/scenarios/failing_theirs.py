"""Their failures, one by one, as we read them: BOLT 4, "Failure Messages".

A node of ours sends what is wrong on purpose (`interop/wrong_sender.py`), directly, or over them to a node of ours
that takes nothing below five satoshis.
"""

from __future__ import annotations

import os

from fulmen.core.base.ids import PaymentSecret, scid_from_text
from fulmen.core.base.units import BlockHeight, Msat
from fulmen.core.onion.payload import Payload, PaymentData
from fulmen.lab.waiting import until
from interop.lab import Lab
from interop.peers.peer import Asked, Can
from interop.scenario import scenario
from interop.scenarios.cutting import WRONG, steady
from interop.us import Us
from interop.wrong_sender import HMAC, KEY, VERSION, Mistake, mistaken

TITLE = "Their failures"

MSAT = 20_000_000
LEAST_MSAT = 5_000
FAR = 150
"""Blocks from now on that are enough for any payee."""
BEHIND = 90
"""Blocks that are enough for any node in the middle."""
LATEST_S = 30
NOWHERE = scid_from_text("1x2x99")
"""Up to output 7 it may be one of the names that LDK itself makes up, one in eight, and then it waits for an owner."""
UNREADABLE = "from our own peer"
PAYEE = "from the payee"
FALLS_OVER = {
    "electrum": "hangs up at an onion whose version or key it cannot read, and again on each connection after, so that "
    "the channel can only be closed"
}
OVER = (Can.FORWARDS, Can.ANNOUNCED)


# ---- an onion that they cannot read: update_fail_malformed_htlc ----------------------------------


@scenario("we read their invalid_onion_version", lacks=FALLS_OVER)
def onion_version(lab: Lab) -> None:
    _directly(lab, Mistake(changed_byte=VERSION), f"invalid_onion_version {UNREADABLE}")


@scenario("we read their invalid_onion_key", lacks=FALLS_OVER)
def onion_key(lab: Lab) -> None:
    _directly(lab, Mistake(changed_byte=KEY), f"invalid_onion_key {UNREADABLE}")


@scenario(
    "we read their invalid_onion_hmac",
    differs={"electrum": "says invalid_onion_hmac as the payee, where BOLT 2 wants update_fail_malformed_htlc"},
)
def onion_hmac(lab: Lab) -> None:
    differs = lab.them.kind == "electrum"
    who = PAYEE if differs else UNREADABLE
    _directly(lab, Mistake(changed_byte=HMAC), f"invalid_onion_hmac {who}")
    if differs:
        lab.saw_it_differ()


@scenario("we read the invalid_onion_hmac of who comes after them, which they pass on", *OVER)
def onion_hmac_behind(lab: Lab) -> None:
    _over_them(lab, Mistake(for_nobody=True), "invalid_onion_hmac")


# ---- they are the payee --------------------------------------------------------------------------


@scenario(
    "we read their invalid_onion_payload: a type that they must know",
    differs={"electrum": "calls it invalid_onion_version"},
)
def onion_payload(lab: Lab) -> None:
    mistake = Mistake(first=Payload(unknown=((250, b"must be known"),)))
    differs = lab.them.kind == "electrum"
    name = "invalid_onion_version" if differs else "invalid_onion_payload"
    _directly(lab, mistake, f"{name} {PAYEE}")
    if differs:
        lab.saw_it_differ()


@scenario("we read their incorrect_or_unknown_payment_details: wrong secret")
def wrong_secret(lab: Lab) -> None:
    data = PaymentData(PaymentSecret(os.urandom(32)), Msat(MSAT))
    _directly(lab, Mistake(first=Payload(payment_data=data)), f"incorrect_or_unknown_payment_details {PAYEE}")


@scenario("we read their incorrect_or_unknown_payment_details: it expires too soon for them")
def too_soon_for_payee(lab: Lab) -> None:
    expiry = BlockHeight(lab.chain.height + 6)
    mistake = Mistake(htlc_expiry=expiry, first=Payload(outgoing_cltv_value=expiry))
    _directly(lab, mistake, f"incorrect_or_unknown_payment_details {PAYEE}")


@scenario("we read their final_incorrect_cltv_expiry")
def final_expiry(lab: Lab) -> None:
    expiry = lab.chain.height + FAR
    mistake = Mistake(htlc_expiry=expiry, first=Payload(outgoing_cltv_value=BlockHeight(expiry + 1)))
    _directly(lab, mistake, f"final_incorrect_cltv_expiry {PAYEE}")


@scenario("we read their final_incorrect_htlc_amount")
def final_amount(lab: Lab) -> None:
    _directly(lab, Mistake(htlc_msat=MSAT - 1), f"final_incorrect_htlc_amount {PAYEE}")


# ---- they are in the middle ----------------------------------------------------------------------


@scenario("we read their unknown_next_peer", *OVER)
def unknown_next_peer(lab: Lab) -> None:
    _over_them(lab, Mistake(first=Payload(short_channel_id=NOWHERE)), "unknown_next_peer")


@scenario("we read their amount_below_minimum", *OVER)
def amount_below_minimum(lab: Lab) -> None:
    _over_them(lab, Mistake(first=Payload(amt_to_forward=Msat(LEAST_MSAT - 1))), "amount_below_minimum")


@scenario("we read their fee_insufficient", *OVER)
def fee_insufficient(lab: Lab) -> None:
    _over_them(lab, Mistake(htlc_msat=MSAT), "fee_insufficient")


@scenario("we read their incorrect_cltv_expiry", *OVER)
def incorrect_cltv_expiry(lab: Lab) -> None:
    expiry = BlockHeight(lab.chain.height + FAR)
    mistake = Mistake(htlc_expiry=expiry + 1, first=Payload(outgoing_cltv_value=expiry))
    _over_them(lab, mistake, "incorrect_cltv_expiry")


@scenario("we read their expiry_too_soon", *OVER)
def expiry_too_soon(lab: Lab) -> None:
    _over_them(lab, _expiring(lab, 1), "expiry_too_soon")


@scenario("we read their expiry_too_far", *OVER)
def expiry_too_far(lab: Lab) -> None:
    _over_them(lab, _expiring(lab, 2_400), "expiry_too_far")


def _expiring(lab: Lab, blocks: int) -> Mistake:
    """They are told to forward with an expiry so far from now, and given enough of their own."""
    expiry = BlockHeight(lab.chain.height + blocks)
    return Mistake(htlc_expiry=expiry + BEHIND, first=Payload(outgoing_cltv_value=expiry))


# ---- the ways ------------------------------------------------------------------------------------


def _sender(lab: Lab) -> Us:
    return steady(lab, "wanda", WRONG)


def _directly(lab: Lab, mistake: Mistake, words: str) -> None:
    us, them = _sender(lab), lab.them
    outpoint = lab.standing(us, them)
    _fails(lab, outpoint, them.invoice(MSAT), mistake, words)


def _over_them(lab: Lab, mistake: Mistake, failure: str) -> None:
    us, them = _sender(lab), lab.them
    payee = lab.our("willy", {"policy.opening.htlc_minimum_msat": str(LEAST_MSAT)})
    into, out = lab.standing(us, them), lab.standing(them, payee)
    scid = lab.scid(out)

    def known() -> bool:
        rows = us.call("listchannels", short_channel_id=scid)["channels"]
        return any(row["source"] == them.id for row in rows)

    until(known, f"{us} knows the way", 30)
    words = f"{failure} from node {them.id[:16]}… for channel {scid}"
    _fails(lab, into, payee.ask(MSAT), mistake, words)


def _fails(lab: Lab, outpoint: str, asked: Asked, mistake: Mistake, words: str) -> None:
    """Our payment fails with these words, nothing of it is left."""
    us, them = _sender(lab), lab.them
    lab.quiet(outpoint, us, them)
    before = us.at(outpoint)["to_us_msat"]
    with mistaken(us, mistake):
        refused = us.fails_to_pay(asked, retry_for=LATEST_S)
    said = str(us.call("listpays", payment_hash=asked.payment_hash)["pays"][0].get("failure", ""))
    assert words in said, (said, refused.message)
    lab.quiet(outpoint, us, them)
    assert us.at(outpoint)["to_us_msat"] == before
    assert us.at(outpoint)["state"] == "CHANNELD_NORMAL", us.at(outpoint)
