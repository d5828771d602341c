"""Shutdown and the fee negotiation of a mutual close (B2-31, B2-34)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.builders.channels import CHANNEL_ID, keys_of, preimage_of
from tests.builders.closing_channels import OURS, THEIRS, drained_channel, heard, signed_by
from tests.builders.normal_channels import ALICE, BOB, a_normal_channel

from fulmen.core.base.env import Env
from fulmen.core.base.ids import CommandId, PaymentHash, Secret
from fulmen.core.base.machine import Address, Disconnected, Lull, Step, Tell, fold
from fulmen.core.base.mount import CheckFailed
from fulmen.core.base.outer import Answer, Notify, Send, WantPublished
from fulmen.core.base.peers import MessageReceived
from fulmen.core.base.units import BlockHeight, FeeratePerKw, Msat, Sat, fee_for_weight
from fulmen.core.bitcoin.accounts import KeyPath
from fulmen.core.channel import faults
from fulmen.core.channel.closing import closing_tx, fee_limits, sign_closing, variants
from fulmen.core.channel.commands import ChannelClosing, CloseChannel
from fulmen.core.channel.dance import UNSIGNED
from fulmen.core.channel.facts import (
    CommitmentReceived,
    CommitmentSent,
    RevocationReceived,
    ShutdownReceived,
    ShutdownSent,
)
from fulmen.core.channel.scripts import is_shutdown_script
from fulmen.core.channel.state import Channel, Deferred, Link, Phase
from fulmen.core.channel.table import checks, decide, wants
from fulmen.core.commitments.htlcs import OfferHtlc, OfferRefused
from fulmen.core.commitments.updates import Updates
from fulmen.core.crypto.hashes import sha256
from fulmen.core.signer import signing
from fulmen.core.transactions.closing import closing_weight
from fulmen.core.wire.messages.closing import ClosingSigned, FeeRange, Shutdown
from fulmen.core.wire.messages.updates import ChannelReestablish, UpdateAddHtlc


def offers(step: Step[Channel]) -> list[ClosingSigned]:
    sent = [action.message for action in step.actions if isinstance(action, Send)]
    return [message for message in sent if isinstance(message, ClosingSigned)]


@pytest.mark.parametrize(
    ("script", "anysegwit", "good"),
    [
        (OURS, False, True),
        (b"\x00\x20" + bytes(32), False, True),
        (b"\x51\x20" + bytes(32), True, True),
        (b"\x51\x20" + bytes(32), False, False),
        (b"\x60\x02\x01\x02", True, True),
        (b"\x60\x01\x01", True, False),
        (b"\x50\x20" + bytes(32), True, False),
        (b"\x61\x20" + bytes(32), True, False),
        (b"\x51\x28" + bytes(40), True, True),
        (b"\x51\x29" + bytes(41), True, False),
        (b"\x00\x15" + bytes(21), True, False),
        (b"\x76\xa9\x14" + bytes(20) + b"\x88\xac", True, False),
        (b"\x6a\x06abcdef", True, False),
        (b"", True, False),
        (b"\x51", True, False),
        (b"\x51\x28" + bytes(41), True, False),
        (b"\x51\x28" + bytes(300), True, False),
        (b"\x00\x14" + bytes(21), True, False),
        (b"\x00\x13" + bytes(19), True, False),
        (b"\x00\x21" + bytes(33), True, False),
        (b"\x00\x02\x01\x02", True, False),
    ],
)
def test_only_the_forms_of_the_bolt_are_taken(script: bytes, anysegwit: bool, good: bool) -> None:
    assert is_shutdown_script(script, anysegwit=anysegwit) is good


def test_a_shutdown_waits_until_our_updates_are_committed() -> None:
    offered = decide(a_normal_channel("alice"), an_offer(), ALICE).state
    step = decide(offered, CloseChannel(CommandId(b"c" * 16), OURS), ALICE)
    assert step.state.shutdown_wanted == OURS and step.state.shutdown_sent is None
    signed = decide(step.state, Lull(), ALICE)
    assert signed.state.shutdown_sent is None, "not before the peer's revocation, either"


def test_a_shutdown_waits_for_the_peers_revocation_though_nothing_of_ours_is_pending() -> None:
    """ "if there are updates pending on the receiving node's commitment transaction: MUST NOT send a `shutdown`." """
    channel = a_normal_channel("bob")
    hash_ = PaymentHash(sha256(preimage_of(0)))
    add = UpdateAddHtlc(CHANNEL_ID, 0, Msat(1_000_000), hash_, BlockHeight(500), bytes(1366))
    theirs = heard(channel, add, BOB).state.remote_log.between(0, 1)
    taken = fold(channel, (CommitmentReceived(1, theirs, UNSIGNED, ()), CommitmentSent(1, Updates())))
    asked = decide(taken, CloseChannel(CommandId(b"c" * 16), OURS), BOB).state
    assert asked.shutdown_wanted == OURS and asked.shutdown_sent is None
    secret, point = keys_of("alice")._per_commitment_secret(7, 0), keys_of("alice").per_commitment_point(7, 2)
    revoked = fold(asked, (RevocationReceived(secret, point),))
    assert decide(revoked, Lull(), BOB).state.shutdown_sent == OURS


def test_a_close_that_waits_for_its_shutdown_takes_no_new_htlc() -> None:
    offered = decide(a_normal_channel("alice"), an_offer(), ALICE).state
    closing = decide(offered, CloseChannel(CommandId(b"c" * 16), OURS), ALICE).state
    (refused,) = decide(closing, an_offer(ref=1), ALICE).actions
    assert isinstance(refused, Tell) and isinstance(refused.event, OfferRefused)


def an_offer(ref: int = 0) -> OfferHtlc:
    """A payment of a thousand satoshis."""
    hash_ = PaymentHash(sha256(preimage_of(ref)))
    return OfferHtlc(Address("payer", b"p"), ref, Msat(1_000_000), hash_, BlockHeight(500), bytes(1366))


def test_a_shutdown_to_a_strange_script_is_refused() -> None:
    with pytest.raises(faults.BadShutdownScript):
        heard(a_normal_channel("alice"), Shutdown(CHANNEL_ID, b"\x6a\x06abcdef"))


def test_a_shutdown_over_updates_that_the_peer_has_not_signed_is_refused() -> None:
    hash_ = PaymentHash(sha256(preimage_of(0)))
    add = UpdateAddHtlc(CHANNEL_ID, 0, Msat(1_000_000), hash_, BlockHeight(500), bytes(1366))
    with pytest.raises(faults.PendingUpdatesAtShutdown):
        heard(heard(a_normal_channel("bob"), add, BOB).state, Shutdown(CHANNEL_ID, OURS), BOB)


def test_a_shutdown_has_to_keep_the_agreed_script() -> None:
    channel = a_normal_channel("alice")
    terms = channel.terms.but(remote=channel.terms.remote.but(upfront_shutdown_script=THEIRS))
    with pytest.raises(faults.BadShutdownScript):
        heard(channel.but(params=terms), Shutdown(CHANNEL_ID, OURS))
    assert heard(channel.but(params=terms), Shutdown(CHANNEL_ID, THEIRS)).state.shutdown_received == THEIRS


def test_a_second_shutdown_cannot_change_the_script() -> None:
    with pytest.raises(faults.BadShutdownScript):
        heard(drained_channel(), Shutdown(CHANNEL_ID, b"\x00\x14" + b"\x03" * 20))


def test_the_opener_makes_the_first_offer_within_what_it_would_pay() -> None:
    step = decide(drained_channel("alice"), Lull(), ALICE)
    (offer,) = offers(step)
    low, fee, high = fee_limits(step.state, ALICE)
    assert offer.fee_satoshis == fee
    assert offer.fee_range == FeeRange(low, high) and low <= fee <= high


def test_what_the_opener_would_pay_is_within_the_key_holders_cap_though_one_output_is_left_out() -> None:
    dear = replace(ALICE, feerates=ALICE.feerates.but(closing_per_kw=ALICE.policy.feerates.cap_per_kw))
    channel = drained_channel("alice")
    _, fee, high = fee_limits(channel, dear)
    scripts = (channel.shutdown_sent, channel.shutdown_received)
    alone = min(closing_weight(script) for script in scripts if script is not None)
    assert fee <= high <= fee_for_weight(ALICE.policy.feerates.cap_per_kw, alone)


def test_the_accepter_waits_for_the_first_offer() -> None:
    assert not offers(decide(drained_channel("bob"), Lull(), BOB))


def test_an_offer_in_the_overlap_is_agreed_to_and_published() -> None:
    channel = drained_channel("bob")
    low, fee, high = fee_limits(channel, BOB)
    message = ClosingSigned(CHANNEL_ID, fee, signed_by("alice", channel, fee), FeeRange(low, high))
    step = heard(channel, message, BOB)
    assert step.state.phase is Phase.CLOSING
    assert [offer.fee_satoshis for offer in offers(step)] == [fee]
    assert not offers(heard(step.state, message, BOB)), "once it was said, its echo needs no answer"
    assert "mutual close" in [want.name for want in wants(step.state) if isinstance(want, WantPublished)]


def agreed(name: str, other: str, env: Env) -> tuple[Channel, Sat]:
    """An end that has agreed, and has lost the connection over it."""
    channel = drained_channel(name)
    low, fee, high = fee_limits(channel, env)
    channel = decide(channel, Lull(), env).state
    step = heard(channel, ClosingSigned(CHANNEL_ID, fee, signed_by(other, channel, fee), FeeRange(low, high)), env)
    assert step.state.phase is Phase.CLOSING
    return decide(step.state, Disconnected(), env).state.but(link=Link.READY), fee


def test_a_peer_that_has_forgotten_a_channel_whose_close_is_agreed_on_is_not_hung_up_on() -> None:
    """LDK does, and says zero with every connection until the close confirms: its other channels would wait as well."""
    channel, _ = agreed("bob", "alice", BOB)
    point = channel.terms.remote.basepoints.payment_basepoint
    said = ChannelReestablish(CHANNEL_ID, 0, channel.local.number, Secret(bytes(32)), point)
    step = decide(channel.but(link=Link.REESTABLISHING), MessageReceived(said), BOB)
    assert step.state.phase is Phase.CLOSING and step.actions == []
    assert "mutual close" in [want.name for want in wants(step.state) if isinstance(want, WantPublished)]


def test_an_accepter_that_has_agreed_says_so_again_to_a_funder_that_never_heard_it() -> None:
    """ "`closing_signed` also has no acknowledgment so must be retransmitted upon reconnection." """
    channel, fee = agreed("bob", "alice", BOB)
    channel = heard(channel, Shutdown(CHANNEL_ID, THEIRS), BOB).state
    dearer = Sat(fee + 7)
    offer = ClosingSigned(CHANNEL_ID, dearer, signed_by("alice", channel, dearer), FeeRange(Sat(0), Sat(2 * fee)))
    step = heard(channel, offer, BOB)
    (again,) = offers(step)
    assert again.fee_satoshis == fee and again.fee_range is not None
    assert again.fee_range.min_fee_satoshis <= fee <= again.fee_range.max_fee_satoshis
    (asked,) = [action.sign for action in step.actions if isinstance(action, Send)]
    assert step.state.agreed is not None and asked[0].tx == step.state.agreed.tx  # type: ignore[attr-defined]
    assert not offers(heard(step.state, offer.but(fee_satoshis=fee), BOB)), "the peer agrees; nothing is left to say"


def test_a_funder_that_has_agreed_speaks_first_again() -> None:
    channel, fee = agreed("alice", "bob", ALICE)
    step = heard(channel, Shutdown(CHANNEL_ID, THEIRS))
    assert [offer.fee_satoshis for offer in offers(step)] == [fee]
    assert not offers(heard(step.state, Shutdown(CHANNEL_ID, THEIRS))), "once per connection"


def test_a_caller_is_answered_when_the_close_is_agreed_on() -> None:
    command = CommandId(b"close it, please")
    asked = decide(a_normal_channel("bob"), CloseChannel(command, OURS), BOB)
    both = heard(asked.state, Shutdown(CHANNEL_ID, THEIRS), BOB).state
    low, fee, high = fee_limits(both, BOB)
    step = heard(both, ClosingSigned(CHANNEL_ID, fee, signed_by("alice", both, fee), FeeRange(low, high)), BOB)
    (answer,) = [action for action in step.actions if isinstance(action, Answer)]
    assert answer.command_id == command and isinstance(answer.result, ChannelClosing)
    assert answer.result.kind == "mutual"


def test_a_close_to_another_address_than_was_agreed_on_is_refused() -> None:
    channel = a_normal_channel("bob")
    bound = channel.terms.local.but(upfront_shutdown_script=THEIRS)
    for decided in (fold(channel, [ShutdownSent(THEIRS)]), channel.but(params=channel.terms.but(local=bound))):
        with pytest.raises(faults.ClosesElsewhere):
            decide(decided, CloseChannel(CommandId(b"c" * 16), OURS), BOB)
        for same in (b"", THEIRS):
            assert decide(decided, CloseChannel(CommandId(b"c" * 16), same), BOB).facts


def test_a_fee_below_the_relay_floor_is_answered_with_one_in_the_overlap_or_refused() -> None:
    channel = drained_channel("bob")
    low, _, _ = fee_limits(channel, BOB)
    message = ClosingSigned(CHANNEL_ID, Sat(1), signed_by("alice", channel, 1), FeeRange(Sat(1), Sat(low - 1)))
    with pytest.raises(faults.ClosingFeeOutOfRange):
        heard(channel, message, BOB)
    wide = ClosingSigned(CHANNEL_ID, Sat(1), signed_by("alice", channel, 1), FeeRange(Sat(1), Sat(2 * low)))
    (counter,) = offers(heard(channel, wide, BOB))
    assert low <= counter.fee_satoshis <= 2 * low


def test_without_a_range_the_fees_meet_in_the_middle() -> None:
    channel = drained_channel("alice")
    first = decide(channel, Lull(), ALICE).state
    _, fee, high = fee_limits(first, ALICE)
    theirs = high + 1000
    step = heard(first, ClosingSigned(CHANNEL_ID, Sat(theirs), signed_by("bob", first, theirs)), ALICE)
    (counter,) = offers(step)
    assert fee < counter.fee_satoshis < theirs
    with pytest.raises(faults.ClosingFeeOutOfRange):
        beyond = theirs + 1
        heard(step.state, ClosingSigned(CHANNEL_ID, Sat(beyond), signed_by("bob", step.state, beyond)), ALICE)


def test_fees_meet_only_between_the_last_two_that_were_named() -> None:
    first = decide(drained_channel("alice"), Lull(), ALICE).state
    _, fee, high = fee_limits(first, ALICE)
    assert high == 4 * fee
    theirs = high + 1000
    step = heard(first, ClosingSigned(CHANNEL_ID, Sat(theirs), signed_by("bob", first, theirs)), ALICE)
    (counter,) = offers(step)
    with pytest.raises(faults.ClosingFeeOutOfRange):
        heard(step.state, ClosingSigned(CHANNEL_ID, Sat(theirs), signed_by("bob", step.state, theirs)), ALICE)
    within = counter.fee_satoshis + 1
    heard(step.state, ClosingSigned(CHANNEL_ID, Sat(within), signed_by("bob", step.state, within)), ALICE)


def test_the_least_fee_that_we_would_pay_is_agreed_to() -> None:
    channel = drained_channel("alice")
    low, _, high = fee_limits(channel, ALICE)
    for fee in (low, high):
        step = heard(channel, ClosingSigned(CHANNEL_ID, fee, signed_by("bob", channel, fee)), ALICE)
        assert step.state.agreed is not None and step.state.agreed.fee_sat == fee
        assert [offer.fee_satoshis for offer in offers(step)] == [fee], "the peer has not heard it from us"


def test_a_variant_without_the_signers_own_output_is_good_as_well() -> None:
    channel = drained_channel("bob")
    low, fee, high = fee_limits(channel, BOB)
    signature = signed_by("alice", channel, fee, which=1)
    step = heard(channel, ClosingSigned(CHANNEL_ID, fee, signature, FeeRange(low, high)), BOB)
    assert step.state.agreed is not None and step.state.agreed.tx == variants(channel, fee)[1].serialize()


def test_a_close_that_leaves_our_output_out_is_no_good() -> None:
    """Else the peer could burn our whole balance as the fee, alone or together with a miner."""
    for name, env, other in (("bob", BOB, "alice"), ("alice", ALICE, "bob")):
        channel = drained_channel(name)
        fee = fee_limits(channel, env)[1]
        robbed = sign_closing(channel, closing_tx(channel, fee, without_ours=True))
        message = ClosingSigned(CHANNEL_ID, fee, signing.sign_closing(robbed, keys_of(other)._of(7)))
        (check,) = checks(channel, MessageReceived(message), env)
        assert not check.holds()


def test_our_output_may_be_left_out_where_the_peer_calls_it_dust() -> None:
    channel = drained_channel("bob")
    totals = channel.local.totals.but(local_msat=Msat(500_000), remote_msat=Msat(999_500_000))
    remote = channel.terms.remote.but(dust_limit_sat=Sat(501))
    poor = channel.but(local=channel.local.but(totals=totals), params=channel.terms.but(remote=remote))
    assert [len(tx.outputs) for tx in variants(poor, Sat(1000))] == [2, 1, 1]
    rich = poor.but(params=channel.terms.but(remote=remote.but(dust_limit_sat=Sat(500))))
    assert [len(tx.outputs) for tx in variants(rich, Sat(1000))] == [2, 1]


def test_a_signature_on_anything_else_is_no_good() -> None:
    channel = drained_channel("bob")
    fee = fee_limits(channel, BOB)[1]
    event = MessageReceived(ClosingSigned(CHANNEL_ID, fee, signed_by("alice", channel, fee + 1)))
    (check,) = checks(channel, event, BOB)
    assert not check.holds()


def test_the_opener_pays_the_fee() -> None:
    channel = drained_channel("alice")
    tx = closing_tx(channel, Sat(1000))
    amounts = {output.script_pubkey: output.amount_sat for output in tx.outputs}
    assert amounts == {OURS: 600_000 - 1000, THEIRS: 400_000}


@pytest.mark.parametrize(("theirs", "dust_sat"), [(THEIRS, 294), (b"\x00\x20" + b"\x02" * 32, 330)])
def test_a_close_with_an_output_that_is_dust_for_its_script_fails_the_channel(theirs: bytes, dust_sat: int) -> None:
    def agreeing_on(amount_sat: int) -> Step[Channel]:
        channel = drained_channel("alice").but(shutdown_received=theirs)
        totals = channel.local.totals.but(remote_msat=Msat(1000 * amount_sat))
        terms = channel.terms.but(local=channel.terms.local.but(dust_limit_sat=Sat(1)))
        offered = decide(channel.but(local=channel.local.but(totals=totals), params=terms), Lull(), ALICE).state
        fee = offered.negotiation.our_fee_sat
        assert fee is not None
        return heard(offered, ClosingSigned(CHANNEL_ID, fee, signed_by("bob", offered, fee), FeeRange(fee, fee)))

    assert agreeing_on(dust_sat).state.phase is Phase.CLOSING
    with pytest.raises(faults.ClosingDust):
        agreeing_on(dust_sat - 1)


def test_our_own_feerate_is_kept() -> None:
    channel = drained_channel("alice").but(closing_feerate_per_kw=FeeratePerKw(5000))
    low, fee, high = fee_limits(channel, ALICE)
    assert low < fee == high == fee_for_weight(FeeratePerKw(5000), closing_weight(OURS, THEIRS))


@pytest.mark.parametrize(("stored", "mempool"), [(1, 100), (252, 253), (900, 1200), (900, 900)])
def test_a_feerate_that_was_named_is_lifted_to_what_nodes_relay(stored: int, mempool: int) -> None:
    channel = drained_channel("alice").but(closing_feerate_per_kw=FeeratePerKw(stored))
    env = replace(ALICE, feerates=ALICE.feerates.but(floor_per_kw=FeeratePerKw(mempool)))
    least = fee_for_weight(FeeratePerKw(max(mempool, 253)), closing_weight(OURS, THEIRS))
    assert fee_limits(channel, env) == (least, least, least)
    assert [offer.fee_satoshis for offer in offers(decide(channel, Lull(), env))] == [least]


def test_an_answer_to_shutdown_waits_for_the_connection() -> None:
    """Before `channel_reestablish` nothing else may be said."""
    bound = a_normal_channel("bob").terms
    terms = bound.but(local=bound.local.but(upfront_shutdown_script=OURS))
    owed = fold(a_normal_channel("bob"), [ShutdownReceived(THEIRS)]).but(params=terms)
    for link in (Link.OFFLINE, Link.REESTABLISHING):
        step = decide(owed.but(link=link), Lull(), BOB)
        assert not step.actions and step.state.shutdown_sent is None
    assert decide(owed, Lull(), BOB).state.shutdown_sent == OURS


# -- at the very bounds -----------------------------------------------------------------------------------------------


def poorer(channel: Channel, opener_msat: int) -> Channel:
    """The same channel, with so much left to the one who pays the fee."""
    rest = Msat(1_000_000_000 - opener_msat)
    ours, theirs = (Msat(opener_msat), rest) if channel.terms.is_opener else (rest, Msat(opener_msat))
    totals = channel.local.totals.but(local_msat=ours, remote_msat=theirs)
    return channel.but(local=channel.local.but(totals=totals))


@pytest.mark.parametrize(("name", "env"), [("alice", ALICE), ("bob", BOB)])
def test_no_fee_is_more_than_its_payer_has(name: str, env: Env) -> None:
    weight = closing_weight(OURS, THEIRS)
    floor, wanted = fee_for_weight(FeeratePerKw(253), weight), fee_for_weight(env.feerates.closing_per_kw, weight)
    assert floor < wanted - 1
    assert fee_limits(poorer(drained_channel(name), 10_999), env) == (10, 10, 10)
    assert fee_limits(poorer(drained_channel(name), 1000 * (wanted - 1)), env) == (floor, wanted - 1, wanted - 1)
    _, _, most = fee_limits(drained_channel(name), env)
    assert most == (4 * wanted if name == "alice" else 600_000)


def test_a_floor_of_the_mempool_is_the_least_that_is_taken_and_what_we_want_ourselves_is_enough_for_us() -> None:
    full = FeeratePerKw(5000)
    for name, env in (("alice", ALICE), ("bob", BOB)):
        crowded = replace(env, feerates=env.feerates.but(floor_per_kw=full))
        least, wanted, _ = fee_limits(drained_channel(name), crowded)
        assert wanted == fee_for_weight(env.feerates.closing_per_kw, closing_weight(OURS, THEIRS))
        assert least == (wanted if name == "alice" else fee_for_weight(full, closing_weight(OURS, THEIRS)))


def test_an_opener_whose_output_the_fee_leaves_as_dust_may_find_it_left_out() -> None:
    """What is ours less the fee, for the fee is ours as well."""
    channel = poorer(drained_channel("alice"), 1_500_000)
    for dust, count in ((500, 2), (501, 3)):
        terms = channel.terms.but(remote=channel.terms.remote.but(dust_limit_sat=Sat(dust)))
        assert len(variants(channel.but(params=terms), Sat(1000))) == count


def test_a_fee_that_leaves_nothing_of_the_payer_is_no_closing_at_all() -> None:
    assert variants(poorer(drained_channel("alice"), 1_000_000), Sat(1001)) == ()


def test_an_accepter_that_has_named_a_fee_takes_no_other() -> None:
    """ "if `fee_satoshis` is not the same as the value it sent: MUST fail the channel"."""
    channel = drained_channel("bob")
    low, _, _ = fee_limits(channel, BOB)
    too_low = ClosingSigned(CHANNEL_ID, Sat(1), signed_by("alice", channel, 1), FeeRange(Sat(1), Sat(2 * low)))
    named = heard(channel, too_low, BOB)
    (counter,) = offers(named)
    ours = counter.fee_satoshis
    for fee in (ours + 1, ours - 1):
        other = ClosingSigned(CHANNEL_ID, Sat(fee), signed_by("alice", named.state, fee), FeeRange(low, Sat(2 * low)))
        with pytest.raises(faults.ClosingFeeOutOfRange):
            heard(named.state, other, BOB)
    same = ClosingSigned(CHANNEL_ID, ours, signed_by("alice", named.state, ours), FeeRange(low, Sat(2 * low)))
    assert heard(named.state, same, BOB).state.phase is Phase.CLOSING
    assert not offers(heard(named.state, same, BOB)), "it has our signature already"


def test_a_fee_that_only_repeats_itself_from_below_meets_nobody() -> None:
    channel = drained_channel("bob")
    low, _, _ = fee_limits(channel, BOB)
    first = heard(channel, ClosingSigned(CHANNEL_ID, Sat(low - 9), signed_by("alice", channel, low - 9)), BOB).state
    assert first.negotiation.their_fee_sat == low - 9
    again = ClosingSigned(CHANNEL_ID, Sat(low - 9), signed_by("alice", first, low - 9))
    with pytest.raises(faults.ClosingFeeOutOfRange):
        heard(first, again, BOB)
    nearer = heard(first, ClosingSigned(CHANNEL_ID, Sat(low - 8), signed_by("alice", first, low - 8)), BOB)
    assert nearer.state.negotiation.their_fee_sat == low - 8


@pytest.mark.parametrize("apart", [1, 2])
def test_between_two_fees_that_are_neighbours_there_is_no_middle(apart: int) -> None:
    channel = drained_channel("alice")
    _, _, high = fee_limits(channel, ALICE)
    channel = channel.but(negotiation=channel.negotiation.but(our_fee_sat=Sat(high + 1 - apart)))
    message = ClosingSigned(CHANNEL_ID, Sat(high + 1), signed_by("bob", channel, high + 1))
    if apart == 1:
        with pytest.raises(faults.ClosingFeeOutOfRange):
            heard(channel, message)
    else:
        assert [offer.fee_satoshis for offer in offers(heard(channel, message))] == [high]


def test_what_both_agreed_on_is_kept_with_the_most_that_we_would_have_paid() -> None:
    channel = decide(drained_channel("alice"), Lull(), ALICE).state
    low, fee, high = fee_limits(channel, ALICE)
    step = heard(channel, ClosingSigned(CHANNEL_ID, fee, signed_by("bob", channel, fee), FeeRange(low, high)))
    assert step.state.agreed is not None
    assert (step.state.agreed.fee_sat, step.state.agreed.highest_fee_sat) == (fee, high)
    about = {"channel_id": CHANNEL_ID.hex(), "fee_sat": fee}
    assert Notify("channel_close_agreed", about) in step.actions
    assert not offers(step), "ours was the first to be said"


def test_a_closing_signature_that_fits_nothing_fails_the_channel_by_its_name() -> None:
    channel = drained_channel("bob")
    fee = fee_limits(channel, BOB)[1]
    message = ClosingSigned(CHANNEL_ID, fee, signed_by("alice", channel, fee + 1))
    (check,) = checks(channel, MessageReceived(message), BOB)
    for event in (CheckFailed(MessageReceived(message), check), MessageReceived(message)):
        with pytest.raises(faults.BadClosingSignature):
            decide(channel, event, BOB)


def test_the_key_holder_is_told_where_our_share_goes_and_what_we_would_pay() -> None:
    channel = drained_channel("alice").but(shutdown_path=PATH)
    tx = closing_tx(channel, Sat(500))
    request = sign_closing(channel, tx, Sat(700))
    assert (request.payout, request.path, request.highest_fee_sat) == (OURS, PATH, 700)
    assert (request.tx, request.funding_sat, request.key_index) == (tx.serialize(), 1_000_000, 7)
    assert sign_closing(channel.but(shutdown_sent=None), tx).payout == b""


PATH = KeyPath(84, 0, 5)


def test_an_end_that_has_agreed_goes_on_with_a_peer_that_remembers() -> None:
    channel, fee = agreed("bob", "alice", BOB)
    point = channel.terms.remote.basepoints.payment_basepoint
    said = ChannelReestablish(CHANNEL_ID, 1, 0, Secret(bytes(32)), point)
    waiting = channel.but(link=Link.REESTABLISHING, deferred=Deferred(BlockHeight(100), "because", "no"))
    step = decide(waiting, MessageReceived(said), BOB)
    assert step.state.link is Link.READY and step.state.phase is Phase.CLOSING
    assert step.state.agreed is not None and step.state.agreed.fee_sat == fee
