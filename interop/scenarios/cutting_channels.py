"""Connections that break while a channel opens, pays another fee, or is closed: BOLT 2, "Message Retransmission".

As in `cutting`: a wire of ours loses one message more each time, and each row names the places at which it has to have
cut.
"""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import cycle

from fulmen.api.errors import RpcError
from fulmen.lab.http_json import Unanswered
from fulmen.lab.members import Order, PeerRefused
from fulmen.lab.waiting import Deviation, until
from interop.lab import Lab
from interop.peers.peer import Can, Peer
from interop.proxy import FROM_TARGET, TO_TARGET
from interop.scenario import scenario
from interop.scenarios.closing import PUSH_SAT, SAT, Ending
from interop.scenarios.cutting import DANCE, FEE, MOST, REVOKED, SIGNED, TELLING, Places, demand, dial, over, steady
from interop.scenarios.feerates import LESS, MORE, await_feerate
from interop.scissors import Scissors
from interop.us import Us

TITLE = "Connections cut around the payments"

OPEN, ACCEPT, READY = "open_channel", "accept_channel", "channel_ready"
CREATED, FUNDED = "funding_created", "funding_signed"
SHUT, CLOSED = "shutdown", "closing_signed"
OPENER: Places = {("", OPEN), (OPEN, CREATED), (CREATED, READY)}
ACCEPTER: Places = {("", ACCEPT), (ACCEPT, FUNDED), (FUNDED, READY)}
CLOSER: Places = {("", SHUT), (SHUT, CLOSED)}
AT_ONCE = 3
"""Channels that are opened for a few closes."""
ORDER = Order(SAT, PUSH_SAT, announce=False)
SLOW = {"electrum": "not played: it waits for half a minute whenever an opening, or a close, of its own is cut"}


@scenario("cut at each message of an opening of ours")
def we_open(lab: Lab) -> None:
    _open_everywhere(lab, by_us=True)


@scenario("cut at each message of an opening of theirs", lacks=SLOW)
def they_open(lab: Lab) -> None:
    _open_everywhere(lab, by_us=False)


@scenario("cut at each message of our update_fee")
def our_update_fee(lab: Lab) -> None:
    prices = lab.chain_proxy("rika")
    prices.sat_per_kvb = 4 * LESS
    us, them = lab.our("rika", {"chain.url": prices.url}, front=TELLING), lab.them
    scissors = Scissors(us, DANCE)
    proxy = lab.proxy(int(them.address.rpartition(":")[2]))
    proxy.judge = scissors.wire
    outpoint = over(lab, us, them, proxy.port, ORDER)
    await_feerate(us, outpoint, LESS)
    for (way, passing), feerate in zip(_until_through(scissors), cycle((MORE, LESS)), strict=False):
        scissors.arm(way, passing)
        prices.sat_per_kvb = 4 * feerate
        await_feerate(us, outpoint, feerate)
        lab.await_usable(outpoint, us, them)
        scissors.await_rest()
    demand(scissors, TO_TARGET, {("", FEE), (FEE, SIGNED), (SIGNED, REVOKED)})
    demand(scissors, FROM_TARGET, {("", REVOKED), (REVOKED, SIGNED)})
    _pay_both_ways(lab, outpoint, us, them)
    if Can.FEES in them.can:
        assert them.feerate_per_kw(outpoint) == us.at(outpoint)["feerate_perkw"]
    us.shut(outpoint)
    lab.mine()


@scenario("cut at each message of a close that we ask for")
def we_close(lab: Lab) -> None:
    _close_everywhere(lab, by_us=True)


@scenario("cut at each message of a close that they ask for", lacks=SLOW)
def they_close(lab: Lab) -> None:
    _close_everywhere(lab, by_us=False)


def _until_through(scissors: Scissors) -> Iterable[tuple[int, int]]:
    """In each direction: lose the first message, the second …, until none was lost."""
    for way in (TO_TARGET, FROM_TARGET):
        for passing in range(MOST):
            yield way, passing
            if scissors.disarm():
                break


def _open_everywhere(lab: Lab, *, by_us: bool) -> None:
    us, them = steady(lab, "ronja"), lab.them
    scissors = Scissors(us, (OPEN, ACCEPT, CREATED, FUNDED, READY))
    proxy = lab.proxy(int(them.address.rpartition(":")[2]))
    proxy.judge = scissors.wire
    dial(lab, us, them, proxy.port)
    for way, passing in _until_through(scissors):
        until(lambda: _dial_again(lab, us, them, proxy.port), "we are connected over the wire")
        coins_sat = us.spendable_sat
        outpoint = _open_or_cut(lab, scissors, way, passing, proxy.port, by_us=by_us)
        if not outpoint:
            # A channel of theirs that we have signed for stays, and keeps what its anchor may need, until it is old.
            if by_us:
                _await_spendable(us, coins_sat)
            continue
        lab.bury(outpoint, us, them, blocks=them.depth)
        scissors.await_rest()
        # One that stays as it was opened would have its channel_ready said again on each connection.
        _pay_both_ways(lab, outpoint, us, them)
        us.shut(outpoint)
        lab.mine()
    demand(scissors, TO_TARGET, OPENER if by_us else ACCEPTER)
    demand(scissors, FROM_TARGET, ACCEPTER if by_us else OPENER)


def _await_spendable(us: Us, sat: int) -> None:
    until(lambda: us.spendable_sat == sat, "our coins are free again")


def _open_or_cut(lab: Lab, scissors: Scissors, way: int, passing: int, port: int, *, by_us: bool) -> str:
    """Open a channel, or cut; the outpoint of what was opened all the same.

    An opening that fails by itself was asked for on a connection that one side had not yet noticed to be gone.
    """
    us, them = steady(lab, "ronja"), lab.them
    outpoint = ""

    def done() -> bool:
        nonlocal outpoint
        scissors.arm(way, passing)
        outpoint = _open(lab, us, them, port, by_us=by_us)
        return bool(outpoint) or not scissors.armed

    until(done, "an opening is cut, or comes through", 30)
    return outpoint


def _open(lab: Lab, us: Us, them: Peer, port: int, *, by_us: bool) -> str:
    """Open a channel, dial whenever the wire is cut, and tell its outpoint, if there is one."""

    def open_ours() -> str:
        with us.caller() as caller:
            wanted = {"id": them.id, "amount": str(SAT), "push_msat": PUSH_SAT * 1000, "announce": False}
            made = caller.call("fundchannel", wanted)
            return f"{made['txid']}:{made['outnum']}"

    with ThreadPoolExecutor(1) as pool:
        opening = pool.submit(open_ours) if by_us else pool.submit(them.open, us.id, ORDER)
        until(lambda: _dial_again(lab, us, them, port) and opening.done(), "the opening comes to an end", 60)
        try:
            return opening.result()
        except (RpcError, PeerRefused, Unanswered):
            return ""


def _dial_again(lab: Lab, us: Us, them: Peer, port: int) -> bool:
    """Be connected over the wire, also after it was cut."""
    # Who has not yet noticed that the last connection is gone may refuse the next one.
    with suppress(RpcError, Deviation):
        if not lab.connected(us, them):
            dial(lab, us, them, port)
    return lab.connected(us, them)


def _close_everywhere(lab: Lab, *, by_us: bool) -> None:
    us, them = steady(lab, "ronja"), lab.them
    scissors = Scissors(us, (SHUT, CLOSED))
    proxy = lab.proxy(int(them.address.rpartition(":")[2]))
    proxy.judge = scissors.wire
    dial(lab, us, them, proxy.port)
    outpoints: list[str] = []
    for way, passing in _until_through(scissors):
        if not outpoints:
            until(lambda: _dial_again(lab, us, them, proxy.port), "we are connected over the wire")
            outpoints = _open_some(lab, us, them)
        outpoint = outpoints.pop()
        lab.await_usable(outpoint, us, them)
        ending = Ending(lab, us, them, outpoint, (us.coins_sat, them.coins_sat()))
        scissors.arm(way, passing)
        if by_us:
            closing = us.begin("close", id=us.at(outpoint)["channel_id"])
        else:
            # Some wait for an end that comes over another connection.
            with suppress(PeerRefused, Unanswered):
                them.close(outpoint)
        ending.mine_close()
        until(lambda: _dial_again(lab, us, them, proxy.port), "we are connected over the wire")
        scissors.await_rest()
        if by_us:
            closing.join(30)
            assert not closing.wrong, closing.wrong
        ending.ends(SAT - PUSH_SAT, PUSH_SAT)
    demand(scissors, TO_TARGET, CLOSER)
    demand(scissors, FROM_TARGET, CLOSER)
    for outpoint in outpoints:
        lab.await_usable(outpoint, us, them)
        us.shut(outpoint)
    lab.mine()


def _open_some(lab: Lab, us: Us, them: Peer) -> list[str]:
    opened = [us.open(them.id, ORDER) for _ in range(AT_ONCE)]
    until(lambda: {each.partition(":")[0] for each in opened} <= set(lab.chain.mempool()), "they are in the mempool")
    lab.mine(them.depth)
    for outpoint in opened:
        lab.await_usable(outpoint, us, them)
    return opened


def _pay_both_ways(lab: Lab, outpoint: str, us: Us, them: Peer) -> None:
    before = us.at(outpoint)["to_us_msat"]
    asked = them.invoice(3_000_000)
    us.pays(asked)
    assert them.paid(asked.payment_hash)
    back = us.ask(2_000_000)
    them.pay(back.bolt11)
    assert us.was_paid(back)
    lab.quiet(outpoint, us, them)
    assert us.at(outpoint)["to_us_msat"] == before - 1_000_000
