"""Sign, revoke, acknowledge: what a revocation has to show."""

from __future__ import annotations

from typing import Any

import pytest
from tests.builders.channels import CHANNEL_ID, keys_of, preimage_of
from tests.builders.dancing import both_signed, commitment_of, mirror, signed_for
from tests.builders.normal_channels import ALICE, BOB, a_normal_channel

from fulmen.core.base.ids import OFFERED, RECEIVED, HtlcKey, PaymentHash, Point, Secret
from fulmen.core.base.machine import Address, Event, Fact, Lull, Step, Tell, fold
from fulmen.core.base.mount import CheckFailed
from fulmen.core.base.outer import Send
from fulmen.core.base.peers import MessageReceived
from fulmen.core.base.units import BlockHeight, Msat
from fulmen.core.channel import faults
from fulmen.core.channel.dance import _told_failed, local_view, owes_commitment, send_revocation, tell_locked_in
from fulmen.core.channel.facts import PreimageLearned
from fulmen.core.channel.state import Channel, Link, Phase
from fulmen.core.channel.table import checks, decide
from fulmen.core.commitments.htlcs import Failed, FailHtlc, HtlcLockedIn, HtlcRemoved, OfferHtlc
from fulmen.core.commitments.updates import Remove
from fulmen.core.crypto.hashes import sha256
from fulmen.core.crypto.secp256k1 import point_of
from fulmen.core.signer.requests import RevealSecret
from fulmen.core.signer.signing import sign_commitment
from fulmen.core.wire.messages.updates import CommitmentSigned, RevokeAndAck, UpdateAddHtlc, UpdateFailHtlc


def with_a_signed_offer() -> Channel:
    """The peer owes its revocation."""
    hash_ = PaymentHash(sha256(preimage_of(2)))
    offer = OfferHtlc(Address("payer", b"p"), 0, Msat(1_000_000), hash_, BlockHeight(500), bytes(1366))
    return decide(decide(a_normal_channel("alice"), offer, ALICE).state, Lull(), ALICE).state


def heard(channel: Channel, message: Any) -> Step[Channel]:
    """As the node does it: checks first."""
    event: Event = MessageReceived(message)
    failed = next((check for check in checks(channel, event, ALICE) if not check.holds()), None)
    return decide(channel, event if failed is None else CheckFailed(event, failed), ALICE)


def test_only_the_secret_of_the_revoked_commitment_revokes_it() -> None:
    """Else the peer could keep its old commitment for use: nothing would punish it."""
    channel = with_a_signed_offer()
    keys = keys_of("bob")
    next_point = keys.per_commitment_point(7, channel.remote.number + 2)
    for number in (channel.remote.number + 1, channel.remote.number + 2):
        revoke = RevokeAndAck(CHANNEL_ID, keys._per_commitment_secret(7, number), next_point)
        with pytest.raises(faults.BadRevocationSecret):
            heard(channel, revoke)
    with pytest.raises(faults.BadRevocationSecret):
        heard(channel, RevokeAndAck(CHANNEL_ID, Secret(bytes(32)), next_point))
    right = RevokeAndAck(CHANNEL_ID, keys._per_commitment_secret(7, channel.remote.number), next_point)
    assert heard(channel, right).state.remote.number == channel.remote.number + 1


def signed_by_bob(channel: Channel, *, htlcs: int | None = None) -> CommitmentSigned:
    """Bob's signatures on alice's next commitment, or on a part of it."""
    view = local_view(channel, channel.local_pending, ALICE)
    ours = keys_of("bob")._of(7)
    mirrored = mirror(view)
    signature, of_htlcs = sign_commitment(mirrored, ours)
    return CommitmentSigned(CHANNEL_ID, signature, of_htlcs[:htlcs])


def test_a_signature_over_nothing_new_is_refused() -> None:
    """A peer "MUST NOT send a `commitment_signed` message that does not include any updates"."""
    channel = a_normal_channel("alice")
    with pytest.raises(faults.NothingToCommit):
        heard(channel, signed_by_bob(channel))


def test_an_update_of_either_side_is_enough_to_sign() -> None:
    """A proposal of the peer's, or an acknowledged one of ours, alone."""
    theirs = decide(a_normal_channel("alice"), MessageReceived(an_add()), ALICE).state
    assert heard(theirs, signed_by_bob(theirs)).state.local.number == theirs.local.number + 1
    ours = heard(with_a_signed_offer(), revocation(with_a_signed_offer())).state
    assert heard(ours, signed_by_bob(ours)).state.local.number == ours.local.number + 1


def test_each_htlc_has_its_signature() -> None:
    channel = decide(a_normal_channel("alice"), MessageReceived(an_add()), ALICE).state
    for wrong in (signed_by_bob(channel, htlcs=0), doubled(signed_by_bob(channel))):
        with pytest.raises(faults.WrongSignatureCount):
            heard(channel, wrong)


def doubled(message: CommitmentSigned) -> CommitmentSigned:
    return message.but(htlc_signature=message.htlc_signature * 2)


def an_add() -> UpdateAddHtlc:
    hash_ = PaymentHash(sha256(preimage_of(3)))
    return UpdateAddHtlc(CHANNEL_ID, 0, Msat(1_000_000), hash_, BlockHeight(500), bytes(1366))


def revocation(channel: Channel) -> RevokeAndAck:
    """Bob's, of the commitment that he owes."""
    keys, number = keys_of("bob"), channel.remote.number
    secret = keys._per_commitment_secret(7, number)
    return RevokeAndAck(CHANNEL_ID, secret, keys.per_commitment_point(7, number + 2))


def test_a_secret_that_fits_its_point_and_not_the_chain_of_secrets_revokes_nothing() -> None:
    """Else the peer could choose secrets that we could never store (BOLT 3, B3-9)."""
    once = heard(with_a_signed_offer(), revocation(with_a_signed_offer())).state
    offer = OfferHtlc(Address("payer", b"q"), 1, Msat(1_000_000), an_add().payment_hash, BlockHeight(500), bytes(1366))
    owed = decide(decide(once, offer, ALICE).state, Lull(), ALICE).state
    assert owed.remote.number == 1, "the first secret that has another below it"
    rogue = Secret(b"\x11" * 32)
    chosen = owed.but(remote_point=point_of(rogue))
    next_point = keys_of("bob").per_commitment_point(7, 3)
    with pytest.raises(faults.BadRevocationSecret):
        heard(chosen, RevokeAndAck(CHANNEL_ID, rogue, next_point))
    assert heard(owed, revocation(owed)).state.remote.number == 2


def test_a_revocation_that_nobody_waits_for_is_refused() -> None:
    with pytest.raises(faults.UnexpectedRevocation):
        heard(a_normal_channel("alice"), revocation(a_normal_channel("alice")))


def test_which_of_our_two_last_words_came_last_is_remembered() -> None:
    """The order in which both are said again after a reconnection."""
    offered = with_a_signed_offer()
    assert not offered.revoked_last
    both = decide(offered, MessageReceived(an_add()), ALICE).state
    revoked = heard(both, signed_by_bob(both)).state
    assert revoked.revoked_last and revoked.remote_next is not None
    acknowledged = heard(revoked, revocation(revoked)).state
    assert acknowledged.revoked_last
    assert not decide(acknowledged, Lull(), ALICE).state.revoked_last


def failed_by_bob(*before: Fact) -> Step[Channel]:
    """Bob gives back an HTLC that both commitments held, and both sides commit to that."""
    offered = with_a_signed_offer()
    channel = heard(offered, revocation(offered)).state
    channel = heard(channel, signed_by_bob(channel)).state
    channel = fold(channel, before)
    channel = heard(channel, UpdateFailHtlc(CHANNEL_ID, 0, b"no" * 146)).state
    channel = heard(channel, signed_by_bob(channel)).state
    owed = decide(channel, Lull(), ALICE).state
    return heard(owed, revocation(owed))


def fates(step: Step[Channel]) -> list[Event]:
    return [action.event for action in step.actions if isinstance(action, Tell) and action.to.kind == "payer"]


def test_a_failure_is_told_when_no_commitment_holds_the_htlc_any_more() -> None:
    (fate,) = fates(failed_by_bob())
    assert fate == Failed(0, HtlcKey(CHANNEL_ID, OFFERED, 0), b"no" * 146)


def test_an_htlc_whose_preimage_was_shown_never_fails() -> None:
    """Law 5: the peer showed it, the connection was lost, and now the peer says that it failed."""
    assert fates(failed_by_bob(PreimageLearned(0, preimage_of(2)))) == []


def test_a_received_onion_is_told_again_after_a_reconnection_and_ours_is_dropped() -> None:
    """Ours never has to be sent again once the peer has revoked; a circuit may not have got theirs (law 2d)."""
    channel = decide(with_a_signed_offer(), MessageReceived(an_add()), ALICE).state
    channel = heard(channel, signed_by_bob(channel)).state
    channel = heard(channel, revocation(channel)).state
    channel = heard(decide(channel, Lull(), ALICE).state, revocation(channel)).state
    (ours,), (theirs,) = channel.local_log.adds, channel.remote_log.adds
    assert (ours.onion, ours.since) == (b"", 1)
    assert (theirs.onion, theirs.since) == (bytes(1366), 2)
    told = tell_locked_in(channel, theirs).event
    assert isinstance(told, HtlcLockedIn) and told.onion == bytes(1366)


# -- who hears what, and when -----------------------------------------------------------------------------------------


def test_nothing_is_signed_while_nothing_may_be_said_or_by_who_is_behind() -> None:
    proposed = decide(a_normal_channel("alice"), an_offer(), ALICE).state
    assert owes_commitment(proposed) is True
    for changes in (
        {"link": Link.REESTABLISHING},
        {"link": Link.OFFLINE},
        {"outdated": True},
        {"remote_next_point": Point(b"")},
        {"phase": Phase.CLOSING},
    ):
        assert owes_commitment(proposed.but(**changes)) is False
    assert owes_commitment(proposed.but(phase=Phase.SHUTDOWN)) is True
    assert owes_commitment(a_normal_channel("alice")) is False


def an_offer(ref: int = 0) -> OfferHtlc:
    hash_ = PaymentHash(sha256(preimage_of(2)))
    return OfferHtlc(Address("payer", b"p"), ref, Msat(1_000_000), hash_, BlockHeight(500), bytes(1366))


def test_what_the_peer_proposed_alone_is_reason_enough_to_sign() -> None:
    channel = decide(a_normal_channel("alice"), MessageReceived(an_add()), ALICE).state
    assert owes_commitment(channel) is False, "it is not on our side yet"
    assert owes_commitment(heard(channel, signed_by_bob(channel)).state) is True


def test_a_revocation_is_asked_for_the_commitment_before_the_newest_and_brings_the_point_after_it() -> None:
    channel = a_normal_channel("alice").but(local=a_normal_channel("alice").local.but(number=5))
    send = send_revocation(channel, ALICE)
    assert isinstance(send.message, RevokeAndAck)
    assert send.message.next_per_commitment_point == ALICE.per_commitment_point(7, 6)
    assert send.message.per_commitment_secret == bytes(32), "until the key holder has filled it in"
    assert send.sign == (RevealSecret(7, 4),)


def test_nobody_hears_of_a_failed_htlc_that_nobody_owns() -> None:
    offered = with_a_signed_offer()
    (add,) = offered.local_log.adds
    key = HtlcKey(CHANNEL_ID, OFFERED, 0)
    remove = Remove(0, 0, reason=b"no", failure_code=3, sha256_of_onion=b"o" * 32)
    assert _told_failed(offered, add.but(owner=None), remove) == ()
    (tell,) = _told_failed(offered, add, remove)
    assert tell == Tell(Address("payer", b"p"), Failed(0, key, b"no", 3, b"o" * 32))


def test_a_circuit_hears_that_its_htlc_is_gone_when_neither_commitment_holds_it() -> None:
    """Given back, signed by us and acknowledged: the peer's signature on our side is the last of it."""
    bob = decide(a_normal_channel("bob"), MessageReceived(an_add()), BOB).state
    alice = decide(a_normal_channel("alice"), an_offer_for(an_add()), ALICE).state
    alice, bob = both_signed(("alice", alice), ("bob", bob))
    give_back = decide(bob, FailHtlc(HtlcKey(CHANNEL_ID, RECEIVED, 0), b"no" * 146), BOB)
    (fail,) = [action.message for action in give_back.actions if isinstance(action, Send)]
    alice = decide(alice, MessageReceived(fail), ALICE).state
    step, alice = signed_for(("bob", give_back.state), ("alice", alice))
    assert not circuits(step)
    signed = decide(alice, Lull(), ALICE).state
    last = decide(step.state, MessageReceived(commitment_of("bob", step.state, "alice")), BOB)
    assert circuits(last) == [HtlcRemoved(HtlcKey(CHANNEL_ID, RECEIVED, 0))]
    assert signed.remote_next is not None and not last.state.remote_log.adds


def an_offer_for(add: UpdateAddHtlc) -> OfferHtlc:
    return an_offer().but(payment_hash=add.payment_hash)


def circuits(step: Step[Channel]) -> list[Event]:
    return [action.event for action in step.actions if isinstance(action, Tell) and action.to.kind == "circuit"]


def test_an_htlc_is_told_once_the_peer_has_revoked_what_was_without_it_and_not_with_the_next() -> None:
    bob = decide(a_normal_channel("bob"), MessageReceived(an_add()), BOB).state
    alice = decide(a_normal_channel("alice"), an_offer_for(an_add()), ALICE).state
    step, bob = signed_for(("alice", alice), ("bob", bob))
    last, alice = signed_for(("bob", bob), ("alice", step.state))
    (told,) = circuits(last)
    assert isinstance(told, HtlcLockedIn) and told.htlc.key == HtlcKey(CHANNEL_ID, RECEIVED, 0)
    second = decide(alice, an_offer(1), ALICE)
    (add,) = [action.message for action in second.actions if isinstance(action, Send)]
    bob = decide(last.state, MessageReceived(add), BOB).state
    step, bob = signed_for(("alice", second.state), ("bob", bob))
    last, _ = signed_for(("bob", bob), ("alice", step.state))
    (told,) = circuits(last)
    assert isinstance(told, HtlcLockedIn) and told.htlc.key == HtlcKey(CHANNEL_ID, RECEIVED, 1)
