"""The demo's story in a town: chapters that each stand on the evening of the one before it.

Open announced and private; pay over one hop and over two, fail, pay back; close together; close alone with HTLCs both
ways; a cheat. Whatever somebody asks for is asked until it is done, so a chapter ends the same whoever dies in it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

from tests.builders.channels import keys_of
from tests.builders.onchain import PublishesAnything
from tests.laws.channel_family import check_mirror
from tests.laws.town import COINS_SAT, NAMES, NEIGHBOURS, Evening, Town

from fulmen.core.base.faults import Fault
from fulmen.core.base.ids import ChannelId, CommandId
from fulmen.core.base.machine import Address
from fulmen.core.base.outer import WantPublished
from fulmen.core.base.units import FeeratePerKw, Sat
from fulmen.core.bitcoin.transaction import parse_tx
from fulmen.core.channel.commands import CloseChannel, OpenTo
from fulmen.core.channel.dance import local_view
from fulmen.core.channel.faults import OpeningNotPossible
from fulmen.core.channel.state import Phase
from fulmen.core.commitments.building import build
from fulmen.core.crypto.hashes import sha256
from fulmen.core.payments.receiving import REGISTER, CancelInvoice
from fulmen.core.payments.sending import PaymentDone, terms_of
from fulmen.core.signer.requests import SignFundingSpend
from fulmen.regtest import faucet

FULFILL, FAIL, REVOKE = 130, 131, 133
"""Types of messages."""
BURIED = 10
"""Blocks after which a close is over."""


class Chapter(NamedTuple):
    """What happens, who may die in it, and what happened before."""

    name: str
    play: Callable[[Town], None]
    mortal: tuple[str, ...]
    before: Callable[[], Evening]

    def begin(self) -> Town:
        """The town, woken up."""
        town = Town(self.before())
        town.settle()
        return town


# -- the prologue ------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=1)
def with_coins() -> Evening:
    """Everybody has two coins."""
    town = Town()
    town.settle()
    for name in NAMES:
        for _ in range(2):
            town.chain.give(town.script_of(name), Sat(COINS_SAT // 2))
            town.settle()
    town.mine()
    return town.evening()


@lru_cache(maxsize=1)
def with_channels() -> Evening:
    """Everybody has a channel with money on both sides."""
    town = Town(with_coins())
    opening(town)
    paying(town)
    return town.evening()


@lru_cache(maxsize=1)
def with_a_thief() -> Evening:
    """Carol has kept a commitment with HTLCs both ways, and has paid most of what she had since."""
    town = Town(with_channels())
    town.settle()
    _under_way(town)
    channel = town.channel("carol", "bob")
    view = local_view(channel, channel.local, town.hosts["carol"].env)
    assert len(view.htlcs) == 3
    keys = keys_of("carol")
    keys.guard = PublishesAnything(keys.accounts, keys.per_commitment_point, FeeratePerKw(250_000))
    want = WantPublished("cheat", build(view).tx.serialize(), (SignFundingSpend(view),))
    town.notes["cheat"] = raw = keys.complete(want)
    town.published[parse_tx(raw).txid] = "carol"
    town.let_go()
    town.settle()
    assert isinstance(town.pays("carol", "bob", town.invoice("bob", 60_000_000)), PaymentDone)
    return town.evening()


# -- the chapters ------------------------------------------------------------------------------------------------------


def opening(town: Town) -> None:
    """Two channels: one that the network may know, one that it may not."""
    for opener, other, amount_sat, announce in (("alice", "bob", 1_000_000, True), ("bob", "carol", 500_000, False)):
        _open(town, opener, other, Sat(amount_sat), announce)
    town.mine(6)
    for one, other in NEIGHBOURS:
        assert town.is_usable(one, other)


def paying(town: Town) -> None:
    """Over one hop and over two, there and back; one that the way cannot carry, one that the payee does not take."""
    assert isinstance(town.pays("alice", "bob", town.invoice("bob", 200_000_000)), PaymentDone)
    assert isinstance(town.pays("alice", "carol", town.invoice("carol", 150_000_000)), PaymentDone)
    assert isinstance(town.pays("alice", "carol", town.invoice("carol", 450_000_000)), Fault)
    assert isinstance(town.pays("alice", "carol", _cancelled(town, 20_000_000)), Fault)
    assert isinstance(town.pays("carol", "alice", town.invoice("alice", 30_000_000)), PaymentDone)


def crossing(town: Town) -> None:
    """Several at once, in both directions: commitments and revocations cross on their way.

    Who finds nobody at home fails, and is paid again afterwards.
    """
    there = [("alice", "carol", town.invoice("carol", amount)) for amount in (9_000_000, 8_000_000)]
    back = [("carol", "alice", town.invoice("alice", amount)) for amount in (7_000_000, 200_000)]
    inside = ("bob", "alice", town.invoice("alice", 6_000_000))
    too_much = ("alice", "carol", town.invoice("carol", 450_000_000))
    town.begin_to_pay(*there, *back, inside, too_much, ("bob", "carol", _cancelled(town, 5_000_000)))
    for payer, payee, text in (*there, *back, inside):
        assert isinstance(town.pays(payer, payee, text), PaymentDone)


def closing(town: Town) -> None:
    """Both channels, by agreement; the second by who did not open it."""
    for closer, other in (("alice", "bob"), ("carol", "bob")):
        _close(town, closer, other)
    town.mine(BURIED)


def breaking(town: Town) -> None:
    """Bob closes alone while HTLCs of both directions are pending: two go by preimage, one by timeout."""
    _under_way(town)
    town.part("bob", "carol")
    _close(town, "bob", "carol", force=True)
    town.mine()
    town.let_go()
    town.mine(14 + BURIED)


def cheating(town: Town) -> None:
    """Carol's revoked commitment is in a block."""
    town.part("bob", "carol")
    town.chain.mine_exactly((parse_tx(town.notes["cheat"]),), faucet.SCRIPT_PUBKEY)
    town.mine(8 + BURIED)
    assert town.coins_sat("carol") == COINS_SAT, "the thief has gained"


CHAPTERS = (
    Chapter("opening", opening, NAMES, with_coins),
    Chapter("paying", paying, NAMES, with_channels),
    Chapter("crossing", crossing, NAMES, with_channels),
    Chapter("closing", closing, NAMES, with_channels),
    Chapter("breaking", breaking, NAMES, with_channels),
    Chapter("cheating", cheating, ("alice", "bob"), with_a_thief),
)

# -- the books ---------------------------------------------------------------------------------------------------------


def books(town: Town) -> dict[str, Any]:
    """At rest: what everybody gained, fees of his own apart, and how every payment went.

    Checks what holds in any town (laws 4 and 8).
    """
    town.settle()
    shares: dict[str, int] = {}
    locked = 0
    for one, other in NEIGHBOURS:
        for here in town.channels(one, other):
            if here.phase > Phase.SHUTDOWN:
                continue
            there = next(end for end in town.channels(other, one) if end.channel_id == here.channel_id)
            check_mirror(here, there)
            totals = here.local.totals
            assert totals.local_msat + totals.remote_msat == here.funding.amount_sat * 1000, "an HTLC is left over"
            locked += here.funding.amount_sat
            shares[f"{one} of {one}-{other}"] = totals.local_msat
            shares[f"{other} of {one}-{other}"] = totals.remote_msat
    coins, fees = {name: town.coins_sat(name) for name in NAMES}, town.fees_sat()
    everything = sum(coins.values()) + locked + sum(fees.values()) + town.left_over_sat()
    assert everything == len(NAMES) * COINS_SAT, "money appeared or vanished"
    payments = []
    for payer, payee, payment_hash in town.paid:
        payment, invoice = town.payment(payer, payment_hash), town.received(payee, payment_hash)
        assert payment is not None
        ended = (payment.status.value, None if invoice is None else invoice.status.value)
        assert (ended[0] == "complete") == (ended[1] == "paid"), ended
        payments.append((payer, payee, payment.sent_msat if ended[0] == "complete" else 0, *ended))
    for host in town.hosts.values():
        assert host.node is not None and not host.frozen, host.frozen
        assert not host.node.addresses("circuit"), "a circuit is left over"
    gains = {name: coins[name] + fees[name] - COINS_SAT for name in NAMES}
    return {"gains": gains, "shares": shares, "payments": payments}


# -- what people do ----------------------------------------------------------------------------------------------------


def _open(town: Town, opener: str, other: str, amount_sat: Sat, announce: bool) -> None:
    def at() -> Address:
        return Address("opening", town.node_id(other) + sha256(b"temporary %d" % town.commands))

    def command(asked: CommandId) -> OpenTo:
        return OpenTo(asked, town.node_id(other), amount_sat, announce=announce)

    town.settle()
    town.ask(opener, at, command, lambda: bool(town.channels(opener, other)), OpeningNotPossible)


def _close(town: Town, closer: str, other: str, *, force: bool = False) -> None:
    town.settle()
    channel_id = town.channel(closer, other).channel_id

    def over() -> bool:
        return all(one.phase > Phase.SHUTDOWN for one in town.channels(closer, other))

    town.ask(closer, _at(channel_id), lambda asked: CloseChannel(asked, force=force), over)


def _at(channel_id: ChannelId) -> Address:
    return Address("channel", channel_id)


def _cancelled(town: Town, amount_msat: int) -> str:
    """An invoice that its payee has taken back."""
    text = town.invoice("carol", amount_msat)
    payment_hash = terms_of(text, None).payment_hash
    town.ask("carol", REGISTER, lambda asked: CancelInvoice(asked, payment_hash=payment_hash))
    return text


def _under_way(town: Town) -> None:
    """Between Bob and Carol: one from Carol that Alice sleeps over, one that Carol would take, one that she would not.

    All three are in both commitments, and no answer to any of them has reached Bob.
    """
    town.held["alice", "bob"] = (REVOKE,)
    town.begin_to_pay(("carol", "alice", town.invoice("alice", 25_000_000)))
    town.held["carol", "bob"] = (FULFILL, FAIL)
    texts = [town.invoice("carol", 40_000_000), _cancelled(town, 35_000_000)]
    town.begin_to_pay(*(("bob", "carol", text) for text in texts))
