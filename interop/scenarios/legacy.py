"""What wallets do that were written before anchors, and before `fee_range`.

Closes are heard on the wire: which fees were said, by whom, and whether with a range.
"""

from __future__ import annotations

from fulmen.core.base.units import Sat
from fulmen.core.wire.messages.closing import ClosingSigned
from fulmen.lab.members import Order
from fulmen.lab.waiting import until
from interop.ears import Ears
from interop.lab import Anybody, Lab
from interop.peers.peer import Can, Options, Peer
from interop.proxy import FROM_TARGET, TO_TARGET
from interop.scenario import scenario
from interop.scenarios.channels_on_chain import closed
from interop.scenarios.cutting import TELLING, dial
from interop.us import Us

TITLE = "Old ways"

DEAR_SAT_PER_KVB = 180_000
"""What Electrum takes for the feerate on every regtest: 45,000 sat/kw."""
DEAR = Options(sat_per_kvb=DEAR_SAT_PER_KVB)
OUR_SAT_PER_KVB = 2_000
THEIR_CLOSE_SAT = 2_800
"""Eight times what a close costs at our feerate, and so twice what we would pay at most."""
NO_FEE_RANGE = Options(more=("test_shutdown_legacy", f"test_shutdown_fee={THEIR_CLOSE_SAT}"))
MONEY = Order(1_000_000, 400_000, announce=False)
COIN = 100_000_000


@scenario("they open at their own feerate, 180 sat/vB", Can.LEGACY)
def they_open_dear(lab: Lab) -> None:
    them = lab.their("lena", DEAR)
    outpoint = lab.channel(them, lab.us, MONEY)
    # One more when it has raised the fee already, as it does to bring the first commitment to a channel of ours.
    dear = DEAR_SAT_PER_KVB // 4
    assert lab.us.at(outpoint)["feerate_perkw"] in (dear, dear + 1)
    _pay_and_close(lab, outpoint, lab.us, them, by=them)


@scenario("we open at ours, far below theirs", Can.LEGACY)
def we_open_cheap(lab: Lab) -> None:
    them = lab.their("lena", DEAR)
    outpoint = lab.channel(lab.us, them, MONEY)
    assert lab.us.at(outpoint)["feerate_perkw"] < DEAR_SAT_PER_KVB // 40
    _pay_and_close(lab, outpoint, lab.us, them, by=lab.us)


@scenario("they close without fee_range, and we take their fee", Can.LEGACY)
def they_close_without_range(lab: Lab) -> None:
    us, them, ears = _on_a_wire(lab)
    outpoint = them.open(us.id, MONEY)
    lab.bury(outpoint, us, them, blocks=them.depth)
    fee_sat = _pay_and_close(lab, outpoint, us, them, by=them)
    assert _fees(ears) == ([THEIR_CLOSE_SAT], [THEIR_CLOSE_SAT]) and fee_sat == THEIR_CLOSE_SAT, (_fees(ears), fee_sat)


@scenario("we close, they name no fee_range and want more than we would pay: both give way, fee by fee", Can.LEGACY)
def we_close_fee_by_fee(lab: Lab) -> None:
    us, them, ears = _on_a_wire(lab)
    outpoint = us.open(them.id, MONEY)
    lab.bury(outpoint, us, them, blocks=them.depth)
    fee_sat = _pay_and_close(lab, outpoint, us, them, by=us)
    ours, theirs = _fees(ears)
    # The funder speaks first, and then one after the other: ours rise and theirs fall until they meet.
    assert len(ours) > 2 and len(theirs) > 1, (ours, theirs)
    assert ours == sorted(set(ours)) and theirs[0] < THEIR_CLOSE_SAT, (ours, theirs)
    assert theirs == sorted(theirs, reverse=True) and ours[-1] == theirs[-1] == fee_sat, (ours, theirs, fee_sat)


def _on_a_wire(lab: Lab) -> tuple[Us, Peer, Ears]:
    """One of ours and one that names no `fee_range`, and what they say to each other from now on."""
    # What the daemon itself estimates depends on what else was played on its chain.
    prices = lab.chain_proxy("lotta")
    prices.sat_per_kvb = OUR_SAT_PER_KVB
    us, them = lab.our("lotta", {"chain.url": prices.url}, front=TELLING), lab.their("otto", NO_FEE_RANGE)
    wire, ears = lab.proxy(int(them.address.rpartition(":")[2])), Ears(us)
    wire.judge = ears.wire
    dial(lab, us, them, wire.port)
    return us, them, ears


def _fees(ears: Ears) -> tuple[list[Sat], list[Sat]]:
    """All that we have offered, and all that they have, who named no range."""
    said = ears.said(ClosingSigned)
    assert all(message.fee_range is None for way, message in said if way == FROM_TARGET), said
    ours, theirs = ([message.fee_satoshis for at, message in said if at == way] for way in (TO_TARGET, FROM_TARGET))
    return ours, theirs


def _pay_and_close(lab: Lab, outpoint: str, us: Us, them: Peer, by: Anybody) -> int:
    """Use a channel, and close it; the fee of the close, in satoshis."""
    asked = them.invoice(12_345_000)
    us.pays(asked)
    until(lambda: them.paid(asked.payment_hash), "they say that they were paid")
    back = us.ask(2_345_000)
    them.pay(back.bolt11)
    assert us.was_paid(back)
    lab.quiet(outpoint, us, them)
    if by is them:
        them.close(outpoint)
    else:
        us.shut(outpoint)
    close = closed(lab, outpoint)
    paid_out_sat = sum(round(float(output["value"]) * COIN) for output in lab.chain.transaction(close)["vout"])
    lab.mine(6)
    until(lambda: not them.has(outpoint), "they know that it is closed")
    return MONEY.sat - paid_out_sat
