"""Two ends of a channel that sign for all that is proposed, with real signatures and secrets."""

from __future__ import annotations

from typing import Any

from tests.builders.channels import CHANNEL_ID, env_of, keys_of

from fulmen.core.base.ids import OFFERED, RECEIVED
from fulmen.core.base.machine import Lull, Step
from fulmen.core.base.peers import MessageReceived
from fulmen.core.channel.dance import local_view
from fulmen.core.channel.state import Channel
from fulmen.core.channel.table import checks, decide
from fulmen.core.commitments.commitment import REMOTE
from fulmen.core.commitments.view import CommitmentView
from fulmen.core.signer.signing import sign_commitment
from fulmen.core.wire.messages.updates import CommitmentSigned, RevokeAndAck

OTHER = {OFFERED: RECEIVED, RECEIVED: OFFERED}


def heard(name: str, channel: Channel, message: Any) -> Step[Channel]:
    """What follows from a message whose signatures and secrets are good."""
    event, env = MessageReceived(message), env_of(name)
    assert all(check.holds() for check in checks(channel, event, env))
    return decide(channel, event, env)


def commitment_of(name: str, channel: Channel, signer: str) -> CommitmentSigned:
    """The other end's signatures on the next commitment of this one."""
    view = mirror(local_view(channel, channel.local_pending, env_of(name)))
    return CommitmentSigned(CHANNEL_ID, *sign_commitment(view, keys_of(signer)._of(7)))


def mirror(view: CommitmentView) -> CommitmentView:
    """The same commitment as its other side sees it."""
    theirs = view.params.but(local=view.params.remote, remote=view.params.local, is_opener=not view.params.is_opener)
    flipped = tuple(htlc.but(key=htlc.key.but(direction=OTHER[htlc.key.direction])) for htlc in view.htlcs)
    return view.but(params=theirs, side=REMOTE, local_msat=view.remote_msat, remote_msat=view.local_msat, htlcs=flipped)


def revocation_of(name: str, number: int) -> RevokeAndAck:
    """The secret of its commitment of this number, and the point of the one after the next."""
    keys = keys_of(name)
    return RevokeAndAck(CHANNEL_ID, keys._per_commitment_secret(7, number), keys.per_commitment_point(7, number + 2))


End = tuple[str, Channel]
"""Whose, and its state."""


def signed_for(signer: End, other: End) -> tuple[Step[Channel], Channel]:
    """The signer signs for all that it may, the other one revokes: what comes of it at the signer, and the other."""
    (name, channel), (peer, theirs) = signer, other
    signed = decide(channel, Lull(), env_of(name)).state
    old = theirs.local.number
    theirs = heard(peer, theirs, commitment_of(peer, theirs, name)).state
    return heard(name, signed, revocation_of(peer, old)), theirs


def both_signed(proposer: End, other: End) -> tuple[Channel, Channel]:
    """One has proposed, the other has heard it; now both sign and revoke."""
    step, theirs = signed_for(proposer, other)
    last, ours = signed_for((other[0], theirs), (proposer[0], step.state))
    return ours, last.state
