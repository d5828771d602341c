"""Feerates of commitments: BOLT 2, `update_fee`, and where the two do not agree."""

from __future__ import annotations

from fulmen.lab.members import Order, PeerRefused
from fulmen.lab.waiting import until
from interop.lab import Lab
from interop.peers.peer import Can
from interop.scenario import scenario
from interop.us import Us

TITLE = "Feerates"

MORE, LESS = 2_000, 1_000
FLOOR, CAP = "policy.feerates.floor_per_kw", "policy.feerates.cap_per_kw"


@scenario("our update_fee, up and down, while payments go on", Can.FEES)
def our_update_fee(lab: Lab) -> None:
    us, them = lab.our("frida"), lab.them
    outpoint = lab.channel(us, them)
    for feerate in (MORE, LESS):
        us.stop()
        us.set(believing(feerate))
        us.start()
        _await_feerate(us, outpoint, feerate)
        lab.await_usable(outpoint, us, them)
        asked = them.invoice(3_000_000)
        us.pays(asked)
        assert them.paid(asked.payment_hash)
        back = us.ask(2_000_000)
        them.pay(back.bolt11)
        assert us.was_paid(back)
    assert them.feerate_per_kw(outpoint) == LESS


@scenario("a feerate that is too high for us is refused, and they hear why")
def too_high_for_us(lab: Lab) -> None:
    us = lab.our("felix", {"policy.commitment.feerate_max_per_kw": "200"}, coins=False)
    lab.connect(us, lab.them)
    try:
        lab.them.open(us.id, Order(1_000_000, announce=False))
    except PeerRefused as refused:
        assert "feerate" in str(refused).lower(), refused
    else:
        raise AssertionError("a channel was opened at a feerate that we do not take")


def believing(feerate: int) -> dict[str, str]:
    """Settings under which a node takes a feerate for the chain's, whatever is estimated.

    A floor alone would not do: what others have paid before makes Bitcoin Core estimate more than that.
    """
    return {FLOOR: str(feerate), CAP: str(feerate)}


def _await_feerate(us: Us, outpoint: str, feerate: int) -> None:
    until(lambda: us.at(outpoint).get("feerate_perkw") == feerate, f"our commitments pay {feerate}", 30)
