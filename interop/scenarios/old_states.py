"""Databases that were restored from an old copy: theirs, with which they take what is ours, and our own.

BOLT 5, "Revoked Transaction Close Handling"; BOLT 2, "Message Retransmission" (`option_data_loss_protect`).
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fulmen.lab.waiting import until
from interop.lab import Lab
from interop.peers.peer import Can, Peer
from interop.scenario import scenario
from interop.scenarios.closing import FEES_SAT, MSAT, PUSH_SAT, SAT, Ending, Held, open_for, output_of
from interop.us import Us

TITLE = "Old states"

SLOW = {"policy.opening.to_self_delay": "60"}
"""What the other side has to wait before it has its money: time for us to be away, and to come back."""
PAID_BACK_MSAT = 400_000_000
TAKEN_IN = 30
"""Blocks, at most."""
OVERDUE = 10
"""Blocks beyond its expiry: whoever knows no better closes for it."""
OUTDATED = ("we have lost state", "a commitment newer than any we know")
"""What our log says: when they answer our `channel_reestablish`, or when they close without an answer (Electrum)."""
OURS = "our commitment"
"""What our log calls it when it goes out."""


@scenario("they publish a revoked state: we take all", Can.FORCE_CLOSE)
def revoked(lab: Lab) -> None:
    ending = open_for(lab, "vera", lab.their("mallory"), SLOW)
    with old_copy_of(ending.them):
        lab.await_usable(ending.outpoint, ending.us, ending.them)
        _they_pay(ending)
        ending.us.stop()
    _they_publish(ending)
    ending.us.start()
    _all_is_ours(ending)


@scenario(
    "they publish a revoked state with a payment of ours in it, and take that by its preimage while we are away: "
    "we take all, second stage included",
    Can.HOLD,
    Can.FORCE_CLOSE,
)
def revoked_second_stage(lab: Lab) -> None:
    ending = open_for(lab, "vera", lab.their("mallory"), SLOW)
    held = Held(ending)
    with old_copy_of(ending.them):
        lab.await_usable(ending.outpoint, ending.us, ending.them)
        ending.them.cancel(held.asked.payment_hash)
        until(lambda: not ending.us.at(ending.outpoint)["htlcs"], "the payment has gone back")
        _they_pay(ending)
        ending.us.stop()
    commitment = _they_publish(ending)
    at = output_of(commitment, MSAT // 1000)

    def taken() -> bool:
        lab.mine()
        return lab.chain.call("gettxout", commitment["txid"], at, False) is None

    held.settle()
    until(taken, "they have taken the payment by its preimage", 60)
    ending.us.start()
    _all_is_ours(ending)


@scenario("we come back from an old copy: they see it, close, and pay us what is ours; we publish nothing")
def ours(lab: Lab) -> None:
    ending = open_for(lab, "lotte")
    us, them = ending.us, ending.them
    with old_copy_of(us):
        lab.await_usable(ending.outpoint, us, them)
        asked = them.invoice(PAID_BACK_MSAT)
        us.pays(asked)
        lab.quiet(ending.outpoint, us, them)
    ending.mine_close()
    until(lambda: any(words in _log(us) for words in OUTDATED), "we know that we have lost state")
    assert OURS not in _log(us), "we have published our commitment"
    ending.ends(SAT - PUSH_SAT - PAID_BACK_MSAT // 1000, PUSH_SAT + PAID_BACK_MSAT // 1000)


@scenario(
    "we come back from an old copy with a payment in it that is over its deadline: they see it, close, and pay us what "
    "is ours; we publish nothing",
    Can.HOLD,
)
def ours_with_a_payment(lab: Lab) -> None:
    ending = open_for(lab, "lotte")
    us, them = ending.us, ending.them
    held = Held(ending)
    with old_copy_of(us):
        lab.await_usable(ending.outpoint, us, them)
        them.cancel(held.asked.payment_hash)
        until(lambda: not us.at(ending.outpoint)["htlcs"], "the payment has come back")
        us.pays(them.invoice(PAID_BACK_MSAT))
        lab.quiet(ending.outpoint, us, them)
        ending.mine_to(held.expiry + OVERDUE)
        lab.caught_up()
    ending.mine_close()
    until(lambda: any(words in _log(us) for words in OUTDATED), "we know that we have lost state")
    assert OURS not in _log(us), "we have published our commitment"
    ending.ends(SAT - PUSH_SAT - PAID_BACK_MSAT // 1000, PUSH_SAT + PAID_BACK_MSAT // 1000)


@contextmanager
def old_copy_of(node: Us | Peer) -> Iterator[None]:
    """Copy what a node has on disk, let something happen, and give it the copy back."""
    home: Path = node.home
    copy = home.with_name(f"{home.name}-copy")
    shutil.rmtree(copy, ignore_errors=True)
    node.stop()
    shutil.copytree(home, copy)
    node.start()
    yield
    node.stop()
    shutil.rmtree(home)
    copy.rename(home)
    node.start()


def _log(node: Us) -> str:
    return node.program.log.read_text(encoding="utf-8")


def _they_pay(ending: Ending) -> None:
    """So much that the state before is worth publishing."""
    asked = ending.us.ask(PAID_BACK_MSAT)
    ending.them.pay(asked.bolt11)
    ending.lab.quiet(ending.outpoint, ending.us, ending.them)


def _they_publish(ending: Ending) -> dict[str, Any]:
    """They close alone while we are away; their commitment, in a block."""
    ending.lab.caught_up()
    ending.them.close(ending.outpoint, force=True)
    ending.mine_close()
    return ending.commitment()


def _all_is_ours(ending: Ending) -> None:
    """The whole channel comes to us, less fees, and nothing of it to them."""
    for _ in range(TAKEN_IN):
        ours, theirs = ending.gained()
        if ours >= SAT - FEES_SAT:
            assert theirs <= 0, f"they have {theirs} sat of it"
            return
        ending.lab.mine()
    raise AssertionError(f"{TAKEN_IN} blocks later we have {ours} sat, and they {theirs}")
