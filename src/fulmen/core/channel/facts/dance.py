"""What signing and revoking make true: the facts by which commitment numbers move (laws 2b and 2c)."""

from __future__ import annotations

from typing import ClassVar

from fulmen.core.base.ids import Point, Secret, Signature
from fulmen.core.base.machine import Fact, evolves
from fulmen.core.channel.facts.proposals import with_local, with_remote
from fulmen.core.channel.state import Channel
from fulmen.core.commitments.commitment import (
    including_local,
    including_remote,
)
from fulmen.core.commitments.updates import Updates, committed_since, pruned
from fulmen.core.crypto.shachain import index_of


class CommitmentSent(Fact):
    """We signed the peer's commitment `number` over these updates of ours (law 2b)."""

    number: int
    updates: Updates


class CommitmentReceived(Fact):
    """The peer signed our commitment `number` over these updates of its own, and we revoke the one before (law 2c)."""

    number: int
    updates: Updates
    signature: Signature
    htlc_signatures: tuple[Signature, ...]


class RevocationReceived(Fact):
    """The peer revoked the commitment before its newest."""

    per_commitment_secret: Secret
    next_point: Point


class AnswerAwaited(Fact):
    """The peer lives, and has or has not acknowledged our last signature: its commitment's number, or None."""

    passing: ClassVar[bool] = True

    number: int | None


@evolves(AnswerAwaited)
def _answer_awaited(channel: Channel, fact: AnswerAwaited) -> Channel:
    return channel.but(awaited=fact.number)


@evolves(CommitmentSent)
def _commitment_sent(channel: Channel, fact: CommitmentSent) -> Channel:
    for update in fact.updates.in_order():
        if update.index >= channel.local_log.next_index:
            channel = with_local(channel, update)
    return channel.but(
        remote_next=channel.remote_pending.but(number=fact.number),
        remote_pending=channel.remote_pending.but(number=fact.number + 1),
        revoked_last=False,
    )


@evolves(CommitmentReceived)
def _commitment_received(channel: Channel, fact: CommitmentReceived) -> Channel:
    for update in fact.updates.in_order():
        if update.index >= channel.remote_log.next_index:
            channel = with_remote(channel, update)
    local = channel.local_pending.but(number=fact.number)
    signed = channel.funding.but(peer_signature=fact.signature, peer_htlc_signatures=fact.htlc_signatures)
    channel = channel.but(
        local=local,
        local_pending=local.but(number=fact.number + 1),
        remote_pending=including_remote(
            channel.remote_pending, channel.terms, channel.local_log, channel.remote_log, local.remote_upto
        ),
        fundings=(*channel.fundings[:-1], signed),
        revoked_last=True,
    )
    return _without_received(channel)


@evolves(RevocationReceived)
def _revocation_received(channel: Channel, fact: RevocationReceived) -> Channel:
    remote = channel.remote_next
    assert remote is not None, "a revocation is accepted only after our signature"
    before, number = channel.remote, remote.number
    local_adds, remote_adds = channel.local_log.adds, channel.remote_log.adds
    if remote.local_upto > before.local_upto:
        local_adds = committed_since(local_adds, before.local_upto, remote.local_upto, number, acknowledged=True)
    if remote.remote_upto > before.remote_upto:
        remote_adds = committed_since(remote_adds, before.remote_upto, remote.remote_upto, number, acknowledged=False)
    channel = channel.but(
        local_log=channel.local_log.but(adds=local_adds),
        remote_log=channel.remote_log.but(adds=remote_adds),
        remote=remote,
        remote_next=None,
        remote_point=channel.remote_next_point,
        remote_next_point=fact.next_point,
        revoked=channel.revoked.insert(index_of(number - 1), fact.per_commitment_secret),
        local_pending=including_local(
            channel.local_pending, channel.terms, channel.local_log, channel.remote_log, remote.local_upto
        ),
    )
    return _without_offered(channel)


def _without_received(channel: Channel) -> Channel:
    """Received HTLCs that we removed are gone once both sides' commitments are without them."""
    upto = min(channel.local.local_upto, channel.remote.local_upto)
    remote_log, local_log, done = pruned(channel.remote_log, channel.local_log, channel.remote.remote_upto, upto)
    if not done:
        return channel
    gone = {add.id for add, _ in done}
    held = tuple(preimage for preimage in channel.held_preimages if preimage.id not in gone)
    return channel.but(local_log=local_log, remote_log=remote_log, held_preimages=held)


def _without_offered(channel: Channel) -> Channel:
    """Offered HTLCs that the peer removed are gone, and changes of the feerate that all commitments have taken in."""
    upto = min(channel.local.remote_upto, channel.remote.remote_upto)
    local_log, remote_log, done = pruned(channel.local_log, channel.remote_log, channel.local.local_upto, upto)
    gone = {add.id for add, _ in done}
    learned = channel.learned_preimages
    if gone:
        learned = tuple(preimage for preimage in learned if preimage.id not in gone)
    local_log = local_log.but(
        fees=tuple(fee for fee in local_log.fees if fee.index >= channel.local.local_upto),
    )
    remote_log = remote_log.but(fees=tuple(fee for fee in remote_log.fees if fee.index >= channel.remote.remote_upto))
    return channel.but(local_log=local_log, remote_log=remote_log, learned_preimages=learned)
