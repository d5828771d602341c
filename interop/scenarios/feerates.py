"""Feerates of commitments: BOLT 2, `update_fee`, and where the two do not agree."""

from __future__ import annotations

from fulmen.lab.members import Order, PeerRefused
from fulmen.lab.waiting import until
from interop.lab import Lab
from interop.peers.peer import Can, Options, Peer
from interop.scenario import scenario
from interop.scenarios.closing import PUSH_SAT, SAT, Ending
from interop.us import Us

TITLE = "Feerates"

MORE, LESS = 2_000, 1_000
FOLLOWED_IN_S = 75
"""LDK looks once a minute, counted from its start."""
MOST = "policy.commitment.feerate_max_per_kw"
REFUSED = "unreasonably high"
"""What our log calls a feerate beyond the policy."""
EXPOSURE = "--channel-max-fee-exposure"
ONLY_LND = dict.fromkeys(("ldk", "electrum"), "it sets no bound that our feerates reach")
FLOOR, CAP = "policy.feerates.floor_per_kw", "policy.feerates.cap_per_kw"


@scenario("our update_fee, up and down, while payments go on")
def our_update_fee(lab: Lab) -> None:
    us, them = lab.our("frida"), lab.them
    outpoint = lab.channel(us, them, Order(SAT, PUSH_SAT, announce=False))
    for feerate in (MORE, LESS):
        us.stop()
        us.set(believing(feerate))
        us.start()
        await_feerate(us, outpoint, feerate)
        lab.await_usable(outpoint, us, them)
        asked = them.invoice(3_000_000)
        us.pays(asked)
        assert them.paid(asked.payment_hash)
        back = us.ask(2_000_000)
        them.pay(back.bolt11)
        assert us.was_paid(back)
        if Can.FEES in them.can:
            assert them.feerate_per_kw(outpoint) == feerate


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


@scenario("our update_fee is too high for them: they refuse it, and both have theirs on chain", lacks=ONLY_LND)
def our_update_fee_is_too_high(lab: Lab) -> None:
    us, them = lab.our("fabian", believing(LESS)), lab.their("flint", Options(more=(f"{EXPOSURE}=2000",)))
    outpoint = lab.channel(us, them, Order(SAT, PUSH_SAT, announce=False))
    before = us.coins_sat, them.coins_sat()
    _refused_by_them(lab, Ending(lab, us, them, outpoint, before), 2_500)


@scenario(
    "our update_fee is too low for them: they refuse it, and both have theirs on chain",
    Can.FOLLOWS,
    Can.STATIC_REMOTEKEY,
)
def our_update_fee_is_too_low(lab: Lab) -> None:
    us = lab.our("faye", {**believing(MORE), "policy.opening.anchors": "false"})
    them = _follower(lab, MORE)
    outpoint = lab.channel(us, them, Order(SAT, PUSH_SAT, announce=False, anchors=False))
    before = us.coins_sat, them.coins_sat()
    _refused_by_them(lab, Ending(lab, us, them, outpoint, before), 300)


@scenario(
    "their update_fee: taken while payments go on, and refused where it is beyond our bound; both have theirs on chain",
    Can.FOLLOWS,
    lacks={"lnd": "it sends its own between ten minutes and an hour after a start; seen by hand (interop-notes.md)"},
)
def their_update_fee(lab: Lab) -> None:
    us, strict, them = lab.our("fiona"), lab.our("finn", {MOST: str(MORE - 1)}), _follower(lab, LESS)
    order = Order(SAT, PUSH_SAT, announce=False)
    outpoint, refused = lab.channel(them, us, order), lab.channel(them, strict, order)
    before = strict.coins_sat, them.coins_sat()
    _follower(lab, MORE)
    until(lambda: int(us.at(outpoint)["feerate_perkw"]) >= MORE, "their update_fee is in our commitment", FOLLOWED_IN_S)
    asked = them.invoice(3_000_000)
    us.pays(asked)
    assert them.paid(asked.payment_hash)
    back = us.ask(2_000_000)
    them.pay(back.bolt11)
    assert us.was_paid(back)
    until(lambda: REFUSED in strict.program.log.read_text(encoding="utf-8"), "we refuse what is beyond our bound")
    ending = Ending(lab, strict, them, refused, before)
    ending.mine_close()
    ending.ends(PUSH_SAT, SAT - PUSH_SAT)


def _follower(lab: Lab, feerate: int) -> Peer:
    """One of theirs that is told what the chain asks for: what its daemon estimates depends on what else was played."""
    proxy = lab.chain_proxy("fern")
    proxy.sat_per_kvb = 4 * feerate
    them = lab.their("fern", Options(chain_port=proxy.port))
    # It asks for feerates whenever it is told to read the chain.
    lab.caught_up()
    return them


def _refused_by_them(lab: Lab, ending: Ending, feerate: int) -> None:
    us = ending.us
    us.stop()
    us.set(believing(feerate))
    us.start()
    until(lambda: "peer_error" in us.program.log.read_text(encoding="utf-8"), "they refuse it")
    ending.mine_close()
    ending.ends(SAT - PUSH_SAT, PUSH_SAT)


def believing(feerate: int) -> dict[str, str]:
    """Settings under which a node takes a feerate for the chain's, whatever is estimated.

    A floor alone would not do: what others have paid before makes Bitcoin Core estimate more than that.
    """
    return {FLOOR: str(feerate), CAP: str(feerate)}


def await_feerate(us: Us, outpoint: str, feerate: int) -> None:
    """Wait until our commitments pay this."""
    until(lambda: us.at(outpoint).get("feerate_perkw") == feerate, f"our commitments pay {feerate}", 30)
