"""Channels end: together (BOLT 2, "Channel Close") and alone, with payments in them (BOLT 5).

Each ends with the money where it must be: what was ours comes to our coins, theirs to theirs, less what miners took.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from fulmen.core.crypto.hashes import sha256
from fulmen.lab.members import Order
from fulmen.lab.waiting import until
from interop.lab import Lab
from interop.peers.peer import Asked, Can, Peer, TheirPayer
from interop.scenario import scenario
from interop.us import Us

TITLE = "Closing"

SAT = 2_000_000
PUSH_SAT = 800_000
MSAT = 100_000_000
OURS, THEIRS = "our commitment", ("the peer's commitment", "the peer's next commitment")
"""What our node calls a close."""
FEES_SAT = 25_000
"""What miners may take of one side, with anchors lifted and sweeps raised."""
ONE_BY_ONE = 45
AT_ONCE = 10
MOST_BLOCKS = 60
REORG_SAFE = 6
SLOW = {"electrum": "not played: its payment that went back on the chain does not end within a minute"}


@dataclass
class Ending:
    """A channel that is about to end, and what there was on chain before."""

    lab: Lab
    us: Us
    them: Peer
    outpoint: str
    coins_sat: tuple[int, int]
    """Ours and theirs, with the channel open."""

    def ends(self, ours_sat: int, theirs_sat: int, fees_sat: int = FEES_SAT) -> None:
        """Find blocks until both have on chain what must be theirs, less fees."""
        for at in range(MOST_BLOCKS):
            if self._has_come(ours_sat, theirs_sat, fees_sat):
                break
            self.lab.mine(AT_ONCE if at > ONE_BY_ONE else self._blocks_ahead(theirs_sat - fees_sat))
        us, them = self.gained()
        assert self._has_come(ours_sat, theirs_sat, fees_sat), (
            f"we have {us} of {ours_sat}, they {them} of {theirs_sat} sat"
        )

    def _has_come(self, ours_sat: int, theirs_sat: int, fees_sat: int) -> bool:
        us, them = self.gained()
        return us >= ours_sat - fees_sat and them >= theirs_sat - fees_sat

    def _blocks_ahead(self, theirs_sat: int) -> int:
        """How many blocks to find at once: several only while all that is missing is ours, and not ripe.

        LDK asks us to wait for 144 blocks.
        """
        outputs = (self.us.at(self.outpoint).get("closing") or {}).get("outputs", ())
        missing = [each for each in outputs if "taken_by" not in each and each["state"] != "not worth its fee"]
        wait = missing and all(output["state"] == "waiting" for output in missing)
        if not wait or self.gained()[1] < theirs_sat or self.lab.chain.mempool():
            return 1
        left = min(int(output["ripe_height"]) for output in missing) - self.lab.chain.height - 1
        return max(1, min(left, AT_ONCE))

    def gained(self) -> tuple[int, int]:
        """What came on chain since."""
        return self.us.coins_sat - self.coins_sat[0], self.them.coins_sat() - self.coins_sat[1]

    def mine_close(self) -> None:
        """Wait for the transaction that spends the funding, and find a block with it."""
        self._mine_close()
        self.lab.caught_up()

    def _mine_close(self) -> None:
        txid, _, vout = self.outpoint.partition(":")

        def out() -> bool:
            return self.lab.chain.call("gettxout", txid, int(vout), True) is None

        until(out, "the close is in the mempool")
        self.lab.chain.mine()

    def alone(self, by_us: bool) -> None:
        """It is closed by one, and a block has the commitment of that one.

        The other stands still meanwhile: whoever hears an error publishes a commitment, too, and may be faster.
        """
        still = self.them.process if by_us else self.us.program
        still.freeze()
        try:
            if by_us:
                assert self.us.shut(self.outpoint, force=True)["type"] == "unilateral"
            else:
                self.them.close(self.outpoint, force=True)
            self._mine_close()
        finally:
            still.thaw()
        self.lab.caught_up()
        kind = until(lambda: (self.us.at(self.outpoint).get("closing") or {}).get("kind"), "we know which close it is")
        assert kind in ((OURS,) if by_us else THEIRS), kind

    def commitment(self) -> dict[str, Any]:
        """The transaction of the last block that spends the funding."""
        txid, _, vout = self.outpoint.partition(":")
        block = self.lab.chain.call("getblock", self.lab.chain.call("getbestblockhash"), 2)
        [found] = [
            tx
            for tx in block["tx"]
            if any(each.get("txid") == txid and each["vout"] == int(vout) for each in tx["vin"])
        ]
        return dict(found)

    def mine_to(self, height: int) -> None:
        """Find blocks up to a height."""
        while (left := height - self.lab.chain.height) > 0:
            self.lab.mine(min(left, AT_ONCE))

    def mine_towards(self, height: int) -> None:
        """Find a block; several as long as nothing is unconfirmed and the height is not there."""
        left = height - self.lab.chain.height
        self.lab.mine(1 if left < 1 or self.lab.chain.mempool() else min(left, AT_ONCE))


def output_of(tx: dict[str, Any], sat: int) -> int:
    """Which output of a transaction has this amount."""
    [at] = [output["n"] for output in tx["vout"] if int(output["value"] * 100_000_000) == sat]
    return int(at)


def open_for(
    lab: Lab, name: str, them: Peer | None = None, settings: dict[str, str] | None = None, front: str = Us.front
) -> Ending:
    """A channel of a node of ours that has no other one, opened by us, unannounced: payments have one way only."""
    us, peer = lab.our(name, settings, front=front), them or lab.them
    outpoint = lab.channel(us, peer, Order(SAT, PUSH_SAT, announce=False))
    return Ending(lab, us, peer, outpoint, (us.coins_sat, peer.coins_sat()))


# ---- together -----------------------------------------------------------------------------------


@scenario("we close together: we ask")
def together_by_us(lab: Lab) -> None:
    ending = open_for(lab, "clara")
    assert ending.us.shut(ending.outpoint)["type"] == "mutual"
    ending.mine_close()
    ending.ends(SAT - PUSH_SAT, PUSH_SAT)


@scenario("we close together: they ask")
def together_by_them(lab: Lab) -> None:
    ending = open_for(lab, "clara")
    ending.them.close(ending.outpoint)
    ending.mine_close()
    ending.ends(SAT - PUSH_SAT, PUSH_SAT)


@scenario("we ask for it with a payment in the channel, which ends first", Can.LETS_STAND)
def together_with_payment_by_us(lab: Lab) -> None:
    ending = open_for(lab, "clara")
    held = Held(ending)
    closing = ending.us.begin("close", id=ending.us.at(ending.outpoint)["channel_id"])
    until(lambda: ending.us.at(ending.outpoint)["state"] == "CHANNELD_SHUTTING_DOWN", "we are shutting down")
    held.settle()
    closing.join(30)
    assert not closing.wrong, closing.wrong
    ending.mine_close()
    ending.ends(SAT - PUSH_SAT - MSAT // 1000, PUSH_SAT + MSAT // 1000)


@scenario("they ask for it with a payment in the channel, which ends first", Can.LETS_STAND)
def together_with_payment_by_them(lab: Lab) -> None:
    ending = open_for(lab, "clara")
    held = Held(ending)
    with ThreadPoolExecutor(1) as pool:
        # Some answer when it is closed.
        closing = pool.submit(ending.them.close, ending.outpoint)
        until(lambda: ending.us.at(ending.outpoint)["state"] == "CHANNELD_SHUTTING_DOWN", "we are shutting down")
        held.settle()
        ending.mine_close()
        closing.result()
    ending.ends(SAT - PUSH_SAT - MSAT // 1000, PUSH_SAT + MSAT // 1000)


# ---- alone --------------------------------------------------------------------------------------


@scenario("we close alone", Can.FORCE_CLOSE)
def alone_by_us(lab: Lab) -> None:
    ending = open_for(lab, "clara")
    ending.alone(by_us=True)
    ending.ends(SAT - PUSH_SAT, PUSH_SAT)


@scenario("they close alone", Can.FORCE_CLOSE)
def alone_by_them(lab: Lab) -> None:
    ending = open_for(lab, "clara")
    ending.alone(by_us=False)
    ending.ends(SAT - PUSH_SAT, PUSH_SAT)


@scenario("we close alone; they show the preimage of our payment", Can.LETS_STAND, Can.FORCE_CLOSE)
def ours_by_us_preimage(lab: Lab) -> None:
    _ours(lab, by_us=True, settled=True)


@scenario("they close alone, and show the preimage of our payment", Can.LETS_STAND, Can.FORCE_CLOSE)
def ours_by_them_preimage(lab: Lab) -> None:
    _ours(lab, by_us=False, settled=True)


@scenario("we close alone; our payment comes back by timeout", Can.HOLD, Can.FORCE_CLOSE)
def ours_by_us_timeout(lab: Lab) -> None:
    _ours(lab, by_us=True, settled=False)


@scenario("they close alone; our payment comes back by timeout", Can.HOLD, Can.FORCE_CLOSE)
def ours_by_them_timeout(lab: Lab) -> None:
    _ours(lab, by_us=False, settled=False)


@scenario("we close alone, and show the preimage of their payment", Can.FORCE_CLOSE)
def theirs_by_us_preimage(lab: Lab) -> None:
    _theirs(lab, by_us=True, settled=True)


@scenario("they close alone; we show the preimage of their payment", Can.FORCE_CLOSE)
def theirs_by_them_preimage(lab: Lab) -> None:
    _theirs(lab, by_us=False, settled=True)


@scenario("we close alone; their payment goes back by timeout", Can.FORCE_CLOSE, lacks=SLOW)
def theirs_by_us_timeout(lab: Lab) -> None:
    _theirs(lab, by_us=True, settled=False)


@scenario("they close alone; their payment goes back by timeout", Can.FORCE_CLOSE, lacks=SLOW)
def theirs_by_them_timeout(lab: Lab) -> None:
    _theirs(lab, by_us=False, settled=False)


class Held:
    """A payment of ours that they hold."""

    def __init__(self, ending: Ending) -> None:
        self._ending = ending
        self.msat = MSAT
        self._preimage = os.urandom(32)
        us, them = ending.us, ending.them
        self._by_invoice = Can.HOLD in them.can
        if self._by_invoice:
            self.asked = them.hold_invoice(MSAT, sha256(self._preimage).hex())
        else:
            them.hold_back(True)
            self.asked = them.invoice(MSAT)
        self.payment = us.begin_to_pay(self.asked)
        until(self._stands, "they hold our payment")
        [htlc] = us.at(ending.outpoint)["htlcs"]
        self.expiry = int(htlc["expiry"])

    def _stands(self) -> bool:
        us, them, outpoint = self._ending.us, self._ending.them, self._ending.outpoint
        if self._by_invoice:
            return them.held(self.asked.payment_hash)
        return bool(us.committed(us.at(outpoint)["channel_id"]) and them.pending(outpoint))

    def settle(self) -> None:
        """They take it."""
        if self._by_invoice:
            self._ending.them.settle(self._preimage.hex())
        else:
            self._ending.them.hold_back(False)

    def ended(self, settled: bool) -> None:
        """We know how it ended, once no reorg can undo it."""
        self._ending.lab.mine(REORG_SAFE)
        self.payment.join(30)
        pays = self._ending.us.call("listpays", payment_hash=self.asked.payment_hash)["pays"]
        assert pays[0]["status"] == ("complete" if settled else "failed"), pays
        assert not settled or sha256(bytes.fromhex(pays[0]["preimage"])).hex() == self.asked.payment_hash


def _ours(lab: Lab, *, by_us: bool, settled: bool) -> None:
    ending = open_for(lab, "clara")
    held = Held(ending)
    ending.alone(by_us)
    if settled:
        held.settle()
    else:
        ending.mine_to(held.expiry)
    moved = MSAT // 1000 if settled else 0
    ending.ends(SAT - PUSH_SAT - moved, PUSH_SAT + moved)
    held.ended(settled)


def _theirs(lab: Lab, *, by_us: bool, settled: bool) -> None:
    """They pay a node of ours behind us, which does not answer for now: so we hold a payment of theirs."""
    ending = open_for(lab, "clara")
    # One that never answers is of no use afterwards.
    payee = lab.our("quiet" if settled else f"mute{by_us}".lower(), coins=False)
    onward = lab.channel(ending.us, payee, Order(1_000_000, 100_000, announce=False))
    ending.coins_sat = ending.us.coins_sat, ending.them.coins_sat()
    asked = until(lambda: hinted(payee, ending.us), "the invoice has a hint over us")
    payee.freeze()
    payment = TheirPayer(ending.them, asked.bolt11)
    until(lambda: ending.us.under_way() or payment.wrong, "we have passed their payment on")
    assert not payment.wrong, payment.wrong
    [htlc] = ending.us.at(ending.outpoint)["htlcs"]
    ending.alone(by_us)
    if settled:
        payee.thaw()
        until(lambda: not ending.us.under_way(), "we know the preimage")
        ending.ends(SAT - PUSH_SAT + MSAT // 1000, PUSH_SAT - MSAT // 1000)
    else:
        payee.kill()
        ending.us.shut(onward, force=True)
        ending.mine_to(int(htlc["expiry"]))
        # What is behind us is ours, too, and comes back: the 900,000 sat of the channel to the payee.
        ending.ends(SAT - PUSH_SAT + 900_000, PUSH_SAT)
        # Nobody calls a payment failed before that is deep enough.
        lab.mine(REORG_SAFE)
    payment.join(60)
    assert (payment.wrong == "") is settled, payment.wrong


def hinted(payee: Us, over: Us) -> Asked | None:
    """An invoice with a hint over a node, once there is one."""
    asked = payee.ask(MSAT)
    routes = payee.call("decode", string=asked.bolt11).get("routes") or []
    return asked if any(hop["pubkey"] == over.id for route in routes for hop in route) else None
