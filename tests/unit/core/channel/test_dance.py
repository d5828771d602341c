"""Sign, revoke, acknowledge: what a revocation has to show."""

from __future__ import annotations

from typing import Any

import pytest
from tests.builders.channels import CHANNEL_ID, keys_of, preimage_of
from tests.builders.dancing import mirror
from tests.builders.normal_channels import ALICE, a_normal_channel

from fulmen.core.base.ids import OFFERED, HtlcKey, PaymentHash, Secret
from fulmen.core.base.machine import Address, Event, Fact, Lull, Step, Tell, fold
from fulmen.core.base.mount import CheckFailed
from fulmen.core.base.peers import MessageReceived
from fulmen.core.base.units import BlockHeight, Msat
from fulmen.core.channel import faults
from fulmen.core.channel.dance import local_view, tell_locked_in
from fulmen.core.channel.facts import PreimageLearned
from fulmen.core.channel.state import Channel
from fulmen.core.channel.table import checks, decide
from fulmen.core.commitments.htlcs import Failed, HtlcLockedIn, OfferHtlc
from fulmen.core.crypto.hashes import sha256
from fulmen.core.crypto.secp256k1 import point_of
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
