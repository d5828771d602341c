"""The chain changes its mind about a funding or a close."""

from __future__ import annotations

from typing import Any

from fulmen.core.bitcoin.transaction import parse_tx
from fulmen.lab.members import Order
from fulmen.lab.waiting import until
from interop.lab import Anybody, Lab
from interop.peers.peer import Can
from interop.scenario import scenario
from interop.scenarios.closing import MSAT, PUSH_SAT, SAT, Ending, Held, open_for
from interop.scenarios.old_states import old_copy_of
from interop.us import Us

TITLE = "Reorgs"


@scenario("the funding of ours moves to another block before it is deep enough")
def our_funding_moves(lab: Lab) -> None:
    _funding_moves(lab, lab.our("clara"), lab.them)


@scenario("the funding of theirs moves to another block before it is deep enough")
def their_funding_moves(lab: Lab) -> None:
    _funding_moves(lab, lab.them, lab.our("clara"))


@scenario(
    "the funding of a channel in use is undone, and confirms again in another block",
    differs={"ldk": "fails a channel whose funding was locked in and is undone"},
    lacks={
        "lnd": "takes the channel off its own graph with the funding, does not put it back, and pays over it no more"
    },
)
def used_funding_moves(lab: Lab) -> None:
    ending = open_for(lab, "clara")
    us, them, outpoint = ending.us, ending.them, ending.outpoint
    before = lab.scid(outpoint)
    assert us.at(outpoint)["short_channel_id"] == before
    depth = lab.chain.height + 1 - int(before.partition("x")[0])
    lab.chain.reorganize(depth, empty=depth + 1)
    lab.caught_up()
    until(lambda: "short_channel_id" not in us.at(outpoint), "we know that the funding is in no block")
    lab.chain.mine_with(outpoint.partition(":")[0])
    lab.mine(depth - 1)
    assert lab.scid(outpoint) != before
    if them.kind == "ldk":
        lab.saw_it_differ()
        ending.mine_close()
    else:
        until(lambda: us.at(outpoint).get("short_channel_id") == lab.scid(outpoint), "we know where it stands now")
        lab.await_usable(outpoint, us, them)
        asked = them.invoice(MSAT)
        us.pays(asked)
        assert them.paid(asked.payment_hash)
        lab.quiet(outpoint, us, them)
        us.shut(outpoint)
        ending.mine_close()
    moved = MSAT // 1000 * (them.kind != "ldk")
    ending.ends(SAT - PUSH_SAT - moved, PUSH_SAT + moved)


@scenario("a close that both signed is undone, and confirms again")
def mutual_close_is_undone(lab: Lab) -> None:
    ending = open_for(lab, "clara")
    ending.us.shut(ending.outpoint)
    ending.mine_close()
    lab.mine(1)
    _undo(ending, 2, "CLOSINGD_COMPLETE")
    _confirm_again(ending)
    ending.ends(SAT - PUSH_SAT, PUSH_SAT)


@scenario("our own close with a payment in it is undone, and confirms again", Can.HOLD, Can.FORCE_CLOSE)
def our_close_is_undone(lab: Lab) -> None:
    ending = open_for(lab, "clara")
    held = Held(ending)
    ending.alone(by_us=True)
    _undone(lab, ending, held)


@scenario("their own close with a payment in it is undone, and confirms again", Can.HOLD, Can.FORCE_CLOSE)
def their_close_is_undone(lab: Lab) -> None:
    ending = open_for(lab, "clara")
    held = Held(ending)
    ending.alone(by_us=False)
    _undone(lab, ending, held)


@scenario("what we took of their own close is undone, and confirms again", Can.FORCE_CLOSE)
def our_sweep_is_undone(lab: Lab) -> None:
    ending = open_for(lab, "clara")
    ending.alone(by_us=False)
    lab.mine_until(lambda: _ours(ending) == "ours", "we took ours")
    lab.chain.reorganize(1, empty=2)
    lab.caught_up()
    until(lambda: _ours(ending) == "claimed", "we know that what took it is in no block")
    assert ending.gained()[0] <= 0, ending.gained()
    lab.mine_until(lambda: _ours(ending) == "ours", "we took ours again")
    ending.ends(SAT - PUSH_SAT, PUSH_SAT)


@scenario("a close that both signed is undone, and a commitment of ours takes its place")
def mutual_close_loses(lab: Lab) -> None:
    ending, commitment = _with_our_commitment(lab, "cleo")
    ending.us.shut(ending.outpoint)
    ending.mine_close()
    _loses_to(ending, commitment, "CLOSINGD_COMPLETE")


@scenario(
    "their own close is undone, and a commitment of ours takes its place",
    Can.FORCE_CLOSE,
)
def their_close_loses(lab: Lab) -> None:
    ending, commitment = _with_our_commitment(lab, "cora")
    ending.alone(by_us=False)
    _loses_to(ending, commitment, "AWAITING_UNILATERAL")


def _with_our_commitment(lab: Lab, name: str) -> tuple[Ending, str]:
    """A channel, and our commitment, which nobody has seen: we published it in a life that is forgotten."""
    proxy = lab.chain_proxy(name)
    ending = open_for(lab, name, settings={"chain.url": proxy.url})
    ending.them.stop()
    with old_copy_of(ending.us):
        proxy.keeps = True
        ending.us.shut(ending.outpoint, force=True)
        txid = ending.outpoint.partition(":")[0]
        commitment = until(lambda: [raw for raw in proxy.kept if _spends(raw, txid)], "we publish our commitment")[0]
    proxy.keeps = False
    ending.them.start()
    lab.caught_up()
    lab.connect(ending.us, ending.them)
    lab.await_usable(ending.outpoint, ending.us, ending.them)
    return ending, commitment


def _spends(raw: str, txid: str) -> bool:
    return any(spent.outpoint.txid[::-1].hex() == txid for spent in parse_tx(bytes.fromhex(raw)).inputs)


def _loses_to(ending: Ending, commitment: str, state: str) -> None:
    """The close is undone; then a block has the commitment instead."""
    lab = ending.lab
    lab.mine()
    _undo(ending, 2, state)
    lab.chain.call("generateblock", lab.chain.anyone, [commitment])
    lab.caught_up()
    txid = parse_tx(bytes.fromhex(commitment)).txid[::-1].hex()
    until(lambda: ending.us.at(ending.outpoint).get("close_txid") == txid, "we know which close it is now")
    ending.ends(SAT - PUSH_SAT, PUSH_SAT)


def _ours(ending: Ending) -> str:
    """How far our balance of their commitment has come."""
    return next((str(each["state"]) for each in _closing(ending).get("outputs", ()) if each["what"] == "to_remote"), "")


def _undone(lab: Lab, ending: Ending, held: Held) -> None:
    lab.mine(1)
    _undo(ending, 2, "AWAITING_UNILATERAL")
    _confirm_again(ending)
    held.settle()
    moved = held.msat // 1000
    ending.ends(SAT - PUSH_SAT - moved, PUSH_SAT + moved)
    held.ended(True)


def _undo(ending: Ending, blocks: int, state: str) -> None:
    """Empty blocks take the place of the last ones: the close is in none, and we say so."""
    lab, us = ending.lab, ending.us
    assert us.at(ending.outpoint)["state"] == "ONCHAIN"
    lab.chain.reorganize(blocks, empty=blocks + 1)
    lab.caught_up()
    until(lambda: us.at(ending.outpoint)["state"] == state, "we know that the close is in no block")
    assert not _closing(ending) and ending.gained()[0] <= 0, (us.at(ending.outpoint), ending.gained())
    txid, _, vout = ending.outpoint.partition(":")
    assert lab.chain.call("gettxout", txid, int(vout), False) is not None, "the close is in a block"


def _confirm_again(ending: Ending) -> None:
    ending.mine_close()
    until(lambda: _closing(ending).get("blockheight") == ending.lab.chain.height, "we know where the close is now")


def _closing(ending: Ending) -> dict[str, Any]:
    return dict(ending.us.at(ending.outpoint).get("closing") or {})


def _funding_moves(lab: Lab, opener: Anybody, other: Anybody) -> None:
    lab.connect(opener, other)
    outpoint = opener.open(other.id, Order(SAT, PUSH_SAT, announce=False))
    lab.chain.mine_with(outpoint.partition(":")[0])
    lab.mine(1)
    before = lab.scid(outpoint)
    lab.chain.reorganize(2, empty=1)
    lab.mine(4)
    assert lab.scid(outpoint) != before
    us, them = (opener, other) if isinstance(opener, Us) else (other, opener)
    assert isinstance(us, Us) and not isinstance(them, Us)
    lab.await_usable(outpoint, us, them)
    until(lambda: us.at(outpoint).get("short_channel_id") == lab.scid(outpoint), "we know where it stands now")
    asked = them.invoice(1_000_000)
    us.pays(asked)
    assert them.paid(asked.payment_hash)
    lab.quiet(outpoint, us, them)
    us.shut(outpoint)
    lab.mine(6)
