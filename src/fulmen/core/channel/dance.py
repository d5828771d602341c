"""Sign, revoke, acknowledge: how both commitments move forward together.

BOLT 2, "Committing Updates So Far" and "Completing the Transition to the Updated State".
Whatever changes a commitment number is in this file, and nothing else is.
"""

from __future__ import annotations

from fulmen.core.base.env import Env
from fulmen.core.base.ids import OFFERED, RECEIVED, HtlcKey, Point, Secret, Signature
from fulmen.core.base.machine import Keep, Lull, Step, Tell, Topic
from fulmen.core.base.outer import Send
from fulmen.core.channel.facts import CommitmentReceived, CommitmentSent, RevocationReceived
from fulmen.core.channel.faults import BadRevocationSecret, NothingToCommit, UnexpectedRevocation, WrongSignatureCount
from fulmen.core.channel.state import Channel, Link, Phase
from fulmen.core.channel.updates import received_key
from fulmen.core.commitments.commitment import Commitment
from fulmen.core.commitments.htlcs import Failed, Htlc, HtlcLockedIn, HtlcRemoved, circuit_address
from fulmen.core.commitments.revoked import keep_revoked
from fulmen.core.commitments.updates import Add, Remove
from fulmen.core.commitments.view import CommitmentView, view_of
from fulmen.core.crypto.shachain import SecretInconsistent, index_of
from fulmen.core.signer.requests import RevealSecret, SignCommitment
from fulmen.core.wire.messages.updates import CommitmentSigned, RevokeAndAck

UNSIGNED = Signature(bytes(64))
"""What stands in a message until the key holder has filled it in."""

dance = Topic()


@dance.on(Lull)
def on_lull(channel: Channel, _event: Lull, env: Env) -> Step[Channel]:
    """Nothing is left to read: sign what has piled up, unless a revocation is outstanding.

    That makes a batch that clocks itself: least latency when idle, most HTLCs per signature under load.
    """
    if not owes_commitment(channel):
        return Step(channel)
    signed = channel.last_signed
    updates = channel.local_log.between(signed.local_upto, channel.local_log.next_index)
    step = Step(channel).fact(CommitmentSent(signed.number + 1, updates))
    return step.act(send_commitment(step.state))


def owes_commitment(channel: Channel) -> bool:
    """Whether the peer's commitment is behind what both have proposed and acknowledged, and we may sign it now."""
    if channel.link is not Link.READY or channel.remote_next is not None or channel.outdated:
        return False
    if channel.phase not in (Phase.NORMAL, Phase.SHUTDOWN) or not channel.remote_next_point:
        return False
    # "MUST NOT send a `commitment_signed` message that does not include any updates."
    pending = channel.remote_pending
    return pending.local_upto > channel.remote.local_upto or pending.remote_upto > channel.remote.remote_upto


def send_commitment(channel: Channel) -> Send:
    """The `commitment_signed` for the peer's newest commitment, first or again."""
    assert channel.remote_next is not None
    view = remote_view(channel, channel.remote_next, channel.remote_next_point)
    message = CommitmentSigned(channel.terms.channel_id, UNSIGNED, ())
    return Send(channel.terms.node_id, message, (SignCommitment(view),))


def remote_view(channel: Channel, commitment: Commitment, point: Point) -> CommitmentView:
    """One of the peer's commitments, spelled out."""
    return view_of(commitment, channel.terms, channel.funding, point, channel.local_log, channel.remote_log)


def local_view(channel: Channel, commitment: Commitment, env: Env) -> CommitmentView:
    """One of our commitments, spelled out."""
    point = env.per_commitment_point(channel.terms.key_index, commitment.number)
    return view_of(commitment, channel.terms, channel.funding, point, channel.local_log, channel.remote_log)


@dance.on(CommitmentSigned)
def on_commitment_signed(channel: Channel, msg: CommitmentSigned, env: Env) -> Step[Channel]:
    """The peer signed our next commitment, and its signatures were found good (`checks`): take it, revoke the last.

    Raises:
        NothingToCommit, WrongSignatureCount: the peer broke BOLT 2.
    """
    pending, local = channel.local_pending, channel.local
    if pending.local_upto == local.local_upto and pending.remote_upto == local.remote_upto:
        raise NothingToCommit(number=local.number + 1)
    if len(msg.htlc_signature) != pending.totals.output_count:
        raise WrongSignatureCount(got=len(msg.htlc_signature), expected=pending.totals.output_count)
    updates = channel.remote_log.between(local.remote_upto, channel.remote_log.next_index)
    removed = _irrevocably_removed(channel, pending.local_upto)
    step = Step(channel).fact(CommitmentReceived(local.number + 1, updates, msg.signature, msg.htlc_signature))
    step.act(send_revocation(step.state, env))
    for add in removed:
        key = received_key(channel, add)
        step.act(Tell(circuit_address(key), HtlcRemoved(key)))
    return step


def _irrevocably_removed(channel: Channel, local_upto: int) -> tuple[Add, ...]:
    """The received HTLCs that no commitment holds any more once ours includes our log up to `local_upto`."""
    upto = min(local_upto, channel.remote.local_upto)
    removes = channel.local_log.between(0, upto).removes
    return tuple(add for remove in removes if (add := channel.remote_log.add(remove.id)) is not None)


def send_revocation(channel: Channel, env: Env) -> Send:
    """The `revoke_and_ack` for the commitment before our newest, first or again."""
    terms, number = channel.terms, channel.local.number
    # "MUST set `next_per_commitment_point` to the values for its next commitment transaction."
    next_point = env.per_commitment_point(terms.key_index, number + 1)
    message = RevokeAndAck(terms.channel_id, Secret(bytes(32)), next_point)
    return Send(terms.node_id, message, (RevealSecret(terms.key_index, number - 1),))


@dance.on(RevokeAndAck)
def on_revoke_and_ack(channel: Channel, msg: RevokeAndAck, _env: Env) -> Step[Channel]:
    """The peer revoked, with a secret that was found good (`checks`): what our last signature covered is irrevocable.

    Raises:
        UnexpectedRevocation, BadRevocationSecret: the peer broke BOLT 2.
    """
    signed = channel.remote_next
    if signed is None:
        raise UnexpectedRevocation()
    secret = msg.per_commitment_secret
    try:
        channel.revoked.insert(index_of(channel.remote.number), secret)
    except SecretInconsistent as fault:
        raise BadRevocationSecret(number=channel.remote.number, why="not from the chain of secrets") from fault

    received = channel.remote_log.between(channel.remote.remote_upto, signed.remote_upto)
    failed = _irrevocably_failed(channel, signed.remote_upto)
    step = Step(channel).fact(RevocationReceived(secret, msg.next_per_commitment_point))
    step.act(*_kept_of_revoked(channel, signed))
    for add, remove in failed:
        step.act(*_told_failed(channel, add, remove))
    for add in received.adds:
        step.act(tell_locked_in(channel, add))
    return step


def _kept_of_revoked(channel: Channel, signed: Commitment) -> list[Keep]:
    """What a penalty needs of the HTLCs that the peer's newest commitment holds no more, and revoked ones do."""
    ours = channel.local_log.between(channel.remote.local_upto, signed.local_upto).removes
    theirs = channel.remote_log.between(channel.remote.remote_upto, signed.remote_upto).removes
    gone = [
        *((channel.remote_log.add(remove.id), RECEIVED) for remove in ours),
        *((channel.local_log.add(remove.id), OFFERED) for remove in theirs),
    ]
    kept = [keep_revoked(channel.terms, add, way, signed.number) for add, way in gone if add is not None]
    return [keep for keep in kept if keep is not None]


def _irrevocably_failed(channel: Channel, remote_upto: int) -> list[tuple[Add, Remove]]:
    """The offered HTLCs that failed for good.

    Law 5: one whose preimage the peer has shown did not fail, though it may be given back to us after a reconnection.
    """
    upto = min(remote_upto, channel.local.remote_upto)
    removes = channel.remote_log.between(0, upto).removes
    paid = {known.id for known in channel.learned_preimages}
    failed = [remove for remove in removes if remove.preimage is None and remove.id not in paid]
    return [(add, remove) for remove in failed if (add := channel.local_log.add(remove.id)) is not None]


def _told_failed(channel: Channel, add: Add, remove: Remove) -> tuple[Tell, ...]:
    if add.owner is None:
        return ()
    key = HtlcKey(channel.terms.channel_id, OFFERED, add.id)
    return (Tell(add.owner, Failed(add.ref, key, remove.reason, remove.failure_code, remove.sha256_of_onion)),)


def tell_locked_in(channel: Channel, add: Add) -> Tell:
    """Tell the circuit of a received HTLC that it is irrevocably committed: once, and again after each start."""
    key = received_key(channel, add)
    htlc = Htlc(key, add.amount_msat, add.payment_hash, add.cltv_expiry)
    event = HtlcLockedIn(htlc, add.onion, add.path_key, add.over_dust_exposure)
    return Tell(circuit_address(key), event)
