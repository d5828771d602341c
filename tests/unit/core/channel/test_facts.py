"""What facts make of a channel: numbers that go up by one, and what a connection that ends takes with it (law 2)."""

from __future__ import annotations

from tests.builders.channels import FEATURES, born, env_of, preimage_of
from tests.builders.dancing import both_signed
from tests.builders.normal_channels import ALICE, BOB, a_normal_channel, an_unconfirmed_channel

from fulmen.core.base.faults import Remedy
from fulmen.core.base.ids import NodeId, PaymentHash, scid
from fulmen.core.base.machine import Address, Lull, evolve
from fulmen.core.base.outer import Send
from fulmen.core.base.peers import MessageReceived
from fulmen.core.base.units import BlockHeight, CltvDelta, Msat
from fulmen.core.channel.deadlines import asks_until, has_to_ask
from fulmen.core.channel.facts import LinkChanged, ReadySent, ShutdownExchanged, ShutdownSeen, forget
from fulmen.core.channel.faults import TooManyAliases, UnexpectedMessage
from fulmen.core.channel.state import Channel, Link, Negotiation, Phase
from fulmen.core.channel.table import decide, initial
from fulmen.core.commitments.htlcs import OfferHtlc
from fulmen.core.crypto.hashes import sha256

OWNER = Address("payer", b"p")


def an_offer(ref: int = 0) -> OfferHtlc:
    hash_ = PaymentHash(sha256(preimage_of(ref)))
    return OfferHtlc(OWNER, ref, Msat(1_000_000), hash_, BlockHeight(500), bytes(1366))


def numbered(channel: Channel) -> tuple[int, int]:
    """What is pending is one above the newest that bears a signature."""
    assert channel.local_pending.number == channel.local.number + 1
    assert channel.remote_pending.number == channel.last_signed.number + 1
    return channel.local.number, channel.last_signed.number


def test_what_is_pending_is_one_above_what_is_signed_at_birth_in_the_dance_and_after_it() -> None:
    birth = born("alice", "bob", NodeId(b"bob".rjust(33, b"\x02")), is_opener=True).opened
    assert numbered(evolve(initial(b"c" * 32), birth)) == (0, 0)
    alice, bob = a_normal_channel("alice"), a_normal_channel("bob")
    assert numbered(alice) == numbered(bob) == (0, 0)
    offered = decide(alice, an_offer(), ALICE)
    signed = decide(offered.state, Lull(), ALICE).state
    assert numbered(signed) == numbered(forget(signed)) == (0, 1)
    (add,) = [action.message for action in offered.actions if isinstance(action, Send)]
    heard = decide(bob, MessageReceived(add), BOB).state
    alice, bob = both_signed(("alice", offered.state), ("bob", heard))
    assert numbered(alice) == numbered(bob) == numbered(forget(alice)) == numbered(forget(bob)) == (1, 1)


def test_a_connection_takes_along_what_was_said_on_it_and_what_was_never_signed() -> None:
    channel = decide(a_normal_channel("alice"), an_offer(), ALICE).state
    for fact in (ShutdownExchanged(), ShutdownSeen()):
        channel = evolve(channel, fact)
    assert channel.shutdown_on_this_link and channel.their_shutdown_on_this_link
    channel = channel.but(negotiation=Negotiation(sent_range=True), awaited=3, closers=(b"c" * 16,))
    gone = evolve(channel, LinkChanged(Link.OFFLINE))
    assert gone.link is Link.OFFLINE and (gone.local_features, gone.remote_features) == (b"", b"")
    assert (gone.shutdown_on_this_link, gone.their_shutdown_on_this_link) == (False, False)
    assert (gone.negotiation, gone.awaited) == (Negotiation(), None)
    assert not gone.local_log.adds and gone.remote_pending.totals.offered_count == 0
    assert gone.closers == (b"c" * 16,) and forget(channel).closers == ()


def test_who_has_been_met_is_known_until_the_process_ends() -> None:
    stranger = a_normal_channel("alice").but(met=False, link=Link.OFFLINE)
    assert evolve(stranger, LinkChanged(Link.OFFLINE)).met is False
    calling = evolve(stranger, LinkChanged(Link.REESTABLISHING, FEATURES, FEATURES))
    assert calling.met is False
    met = evolve(calling, LinkChanged(Link.READY))
    assert met.met is True and (met.local_features, met.remote_features) == (FEATURES, FEATURES)
    assert evolve(met, LinkChanged(Link.OFFLINE)).met is True
    assert evolve(met.but(met=False), LinkChanged(Link.OFFLINE)).met is True, "a connection that this process began"
    assert forget(met).met is False


def test_what_was_not_yet_signed_by_both_is_forgotten_whole() -> None:
    created = an_unconfirmed_channel().but(phase=Phase.CREATED)
    assert forget(created) == initial(created.channel_id)
    assert forget(an_unconfirmed_channel()).params is not None


def test_an_alias_that_is_said_again_is_one() -> None:
    channel, name = an_unconfirmed_channel(), scid(16_000_000, 0, 1)
    once = evolve(channel, ReadySent(name))
    assert once.ready_sent and once.local_aliases == evolve(once, ReadySent(name)).local_aliases == (name,)
    assert evolve(once, ReadySent(scid(16_000_000, 0, 2))).local_aliases == (name, scid(16_000_000, 0, 2))


def test_a_fault_says_its_rule_and_asks_for_what_is_due_or_what_it_was_given() -> None:
    fault = TooManyAliases()
    assert fault.message == "There are more new aliases for this channel than are remembered; the last one stays"
    assert (fault.remedy, fault.bolt, fault.rule) == (Remedy.WARN, 2, "The `channel_ready` Message")
    assert UnexpectedMessage(Remedy.IGNORE).remedy is Remedy.IGNORE
    assert UnexpectedMessage().remedy is Remedy.WARN_AND_CLOSE


def test_an_offered_htlc_whose_upstream_leaves_no_block_is_asked_for_no_longer_than_its_expiry() -> None:
    channel = decide(decide(a_normal_channel("alice"), an_offer(), ALICE).state, Lull(), ALICE).state.but(met=False)
    narrow = ALICE.policy.deadlines.but(cltv_expiry_delta=CltvDelta(18), restart_grace=CltvDelta(30))
    assert asks_until(channel, narrow, BlockHeight(490)) == 501
    assert asks_until(channel, narrow, BlockHeight(500)) == 501
    assert asks_until(channel, narrow, BlockHeight(501)) == 531
    assert has_to_ask(channel, env_of("alice")) is True
    assert has_to_ask(channel.but(met=True), env_of("alice")) is False
