"""After a reconnection: say where we stand, and send again what the peer may not have got.

BOLT 2, "Message Retransmission".
"""

from __future__ import annotations

from functools import partial

from fulmen.core.base.env import Env
from fulmen.core.base.ids import Secret
from fulmen.core.base.machine import Step, Topic
from fulmen.core.base.outer import Notify, Send
from fulmen.core.base.peers import PeerReady
from fulmen.core.channel.dance import send_commitment, send_revocation, tell_locked_in
from fulmen.core.channel.facts import LinkChanged, Outdated, ShutdownExchanged
from fulmen.core.channel.failing import LIVE, fail, send_error
from fulmen.core.channel.faults import BadReestablishSecret, CommitmentNumberMismatch, PeerForgotEverything
from fulmen.core.channel.funding import on_depth, send_channel_ready
from fulmen.core.channel.shutdown import send_shutdown
from fulmen.core.channel.state import Channel, Link, Phase
from fulmen.core.channel.updates import follow_feerate, locked_in, propose_fulfill, received_key, send_update
from fulmen.core.commitments.htlcs import FulfillHtlc
from fulmen.core.crypto.secp256k1 import is_secret, point_of
from fulmen.core.crypto.shachain import index_of
from fulmen.core.wire.messages.updates import ChannelReestablish

reconnecting = Topic()
dead = Topic()


@reconnecting.on(PeerReady)
def on_peer_ready(channel: Channel, event: PeerReady, env: Env) -> Step[Channel]:
    """ "MUST transmit `channel_reestablish` for each channel", once per connection."""
    if channel.link is not Link.OFFLINE:
        return Step(channel)
    step = Step(channel).fact(LinkChanged(Link.REESTABLISHING, event.local_features, event.remote_features))
    return step.act(send_reestablish(channel, env))


@dead.on(PeerReady)
def on_peer_ready_when_failed(channel: Channel, event: PeerReady, _env: Env) -> Step[Channel]:
    """ "if a channel is in an error state: SHOULD retransmit the error packet and ignore any other packets"."""
    step = Step(channel)
    if channel.phase is Phase.FAILED:
        step.act(send_error(channel, channel.error_to_send or "the channel was closed unilaterally"))
    return step


@dead.on(ChannelReestablish)
def on_reestablish_when_failed(channel: Channel, msg: ChannelReestablish, env: Env) -> Step[Channel]:
    """Of a failed channel only one thing counts: proof that what we publish was revoked (law 9)."""
    step = Step(channel)
    if channel.phase is Phase.FAILED and not channel.outdated and is_behind(channel, msg, env):
        step.fact(Outdated()).act(Notify("channel_outdated", {"channel_id": channel.terms.channel_id.hex()}))
    return step


def send_reestablish(channel: Channel, env: Env) -> Send:
    """Our `channel_reestablish`."""
    terms = channel.terms
    remote = channel.remote.number
    last_secret = channel.revoked.lookup(index_of(remote - 1)) if remote else Secret(bytes(32))
    message = ChannelReestablish(
        terms.channel_id,
        # "the commitment number of the next `commitment_signed` it expects to receive."
        channel.local.number + 1,
        # "the commitment number of the next `revoke_and_ack` message it expects to receive."
        remote,
        last_secret,
        env.per_commitment_point(terms.key_index, channel.local.number),
    )
    return Send(terms.node_id, message)


@reconnecting.on(ChannelReestablish)
def on_channel_reestablish(channel: Channel, msg: ChannelReestablish, env: Env) -> Step[Channel]:
    """Find out what the peer has missed, and whether one of us has lost state.

    Raises:
        CommitmentNumberMismatch, BadReestablishSecret, PeerForgotEverything: the peer broke BOLT 2.
    """
    if channel.link is not Link.REESTABLISHING:
        return Step(channel)
    if is_behind(channel, msg, env):
        return give_up_as_outdated(channel, env)
    if channel.phase is Phase.CLOSING and msg.next_commitment_number == 0:
        # LDK forgets a channel once its close is agreed on, and says so. What it asks for is published with each block:
        # to hang up would only take the other channels with this peer along, until the close confirms.
        return Step(channel)
    check_numbers(channel, msg, env)

    step = Step(channel).fact(LinkChanged(Link.READY))
    if channel.deferred is not None and channel.phase in LIVE:
        # It has said where it stands, and that we are not behind: that was all that the close waited for.
        reason, error = channel.deferred.reason, channel.deferred.error
        return step.then(lambda state: fail(state, env, reason, error))
    step.then(lambda state: _channel_ready_again(state, msg, env))
    step.act(*_what_was_missed(channel, msg, env))
    step.then(_shutdown_again)
    step.then(_propose_again)
    step.then(lambda state: follow_feerate(state, env))
    return step.then(lambda state: on_depth(state, env))


def is_behind(channel: Channel, msg: ChannelReestablish, env: Env) -> bool:
    """Whether the peer proves that we have lost state: it knows a secret of ours that we have not revealed.

    "if `next_revocation_number` is greater than expected above, AND `your_last_per_commitment_secret` is correct for
    that `next_revocation_number` minus 1"
    """
    if msg.next_revocation_number <= channel.local.number:
        return False
    secret = msg.your_last_per_commitment_secret
    if msg.next_revocation_number > 1 << 48 or not is_secret(secret):
        return False
    number = msg.next_revocation_number - 1
    return point_of(secret) == env.per_commitment_point(channel.terms.key_index, number)


def give_up_as_outdated(channel: Channel, env: Env) -> Step[Channel]:
    """ "MUST NOT broadcast its commitment transaction. SHOULD send an `error`": only the peer can close now."""
    step = Step(channel).fact(Outdated())
    step.act(Notify("channel_outdated", {"channel_id": channel.terms.channel_id.hex()}))
    return step.then(
        lambda state: fail(state, env, "we have lost state of this channel", "we have lost state, please close")
    )


def check_numbers(channel: Channel, msg: ChannelReestablish, env: Env) -> None:
    """Refuse numbers that neither a lost message nor lost state of ours explains."""
    # "if `next_commitment_number` is zero: MUST immediately fail the channel and broadcast any relevant latest
    # commitment transaction."
    if msg.next_commitment_number == 0:
        raise PeerForgotEverything()
    signed = channel.last_signed.number
    expected = {signed + 1} if channel.remote_next is None else {signed, signed + 1}
    if msg.next_commitment_number not in expected:
        raise CommitmentNumberMismatch(next_commitment_number=msg.next_commitment_number, signed=signed)
    local = channel.local.number
    if msg.next_revocation_number not in (local, local - 1):
        raise CommitmentNumberMismatch(next_revocation_number=msg.next_revocation_number, revoked=local)
    _check_last_secret(channel, msg, env)


def _check_last_secret(channel: Channel, msg: ChannelReestablish, env: Env) -> None:
    secret, number = msg.your_last_per_commitment_secret, msg.next_revocation_number
    if number == 0:
        # "if `next_revocation_number` equals 0: MUST set `your_last_per_commitment_secret` to all zeroes"
        if any(secret):
            raise BadReestablishSecret(next_revocation_number=0)
        return
    if not is_secret(secret) or point_of(secret) != env.per_commitment_point(channel.terms.key_index, number - 1):
        raise BadReestablishSecret(next_revocation_number=number)


def _channel_ready_again(channel: Channel, msg: ChannelReestablish, env: Env) -> Step[Channel]:
    # "if `next_commitment_number` is 1 in both the `channel_reestablish` it sent and received […]: MUST retransmit
    # `channel_ready`."
    step = Step(channel)
    if channel.ready_sent and channel.local.number == 0 and msg.next_commitment_number == 1:
        step.act(send_channel_ready(channel, env))
    return step


def _what_was_missed(channel: Channel, msg: ChannelReestablish, env: Env) -> list[Send]:
    revocation: list[Send] = []
    commitment: list[Send] = []
    # "if `next_revocation_number` is equal to the commitment number of the last `revoke_and_ack` the receiving node
    # sent […]: MUST re-send the `revoke_and_ack`."
    if msg.next_revocation_number == channel.local.number - 1:
        revocation = [send_revocation(channel, env)]
    if channel.remote_next is not None and msg.next_commitment_number == channel.remote_next.number:
        updates = channel.local_log.between(channel.remote.local_upto, channel.remote_next.local_upto)
        commitment = [*(send_update(channel, update) for update in updates.in_order()), send_commitment(channel)]
    # "MUST retransmit `revoke_and_ack` and `commitment_signed` in the same relative order as initially transmitted."
    return commitment + revocation if channel.revoked_last else revocation + commitment


def _shutdown_again(channel: Channel) -> Step[Channel]:
    # "if it has sent a previous `shutdown`: MUST retransmit `shutdown`."
    step = Step(channel)
    if channel.shutdown_sent is not None:
        step.fact(ShutdownExchanged()).act(send_shutdown(channel))
    return step


def _propose_again(channel: Channel) -> Step[Channel]:
    """Claim again what we hold preimages for, and remind the circuits of the rest (law 2d)."""
    step = Step(channel)
    held = {preimage.id: preimage.preimage for preimage in channel.held_preimages}
    for add in channel.remote_log.adds:
        if not locked_in(channel, add) or channel.local_log.removal(add.id) is not None:
            continue
        if add.id in held:
            claim = FulfillHtlc(received_key(channel, add), held[add.id])
            step.then(partial(propose_fulfill, add=add, event=claim))
        else:
            step.act(tell_locked_in(channel, add))
    return step
