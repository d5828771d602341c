"""When a channel cannot go on: errors from the peer, its broken rules, and what `deadlines` says.

BOLT 1, "The `error` and `warning` Messages"; BOLT 5, "Failing a Channel".
"""

from __future__ import annotations

from fulmen.core.base.env import Env
from fulmen.core.base.faults import Fault, PeerFault, Refused, Remedy
from fulmen.core.base.ids import RECEIVED, HtlcKey
from fulmen.core.base.machine import Address, Disconnected, Event, Faulted, Step, Tell, Topic
from fulmen.core.base.outer import Answer, HangUp, Notify, Send
from fulmen.core.base.peers import ChannelErrored
from fulmen.core.channel.commands import CloseChannel
from fulmen.core.channel.deadlines import has_to_ask, since
from fulmen.core.channel.ending import alone, our_commitment, tell_closers
from fulmen.core.channel.facts import ChannelFailed, CloseDeferred, DeadlineSet, LinkChanged
from fulmen.core.channel.faults import ChannelNotUsable, SignatureFault
from fulmen.core.channel.state import Channel, Deferred, Link, Phase
from fulmen.core.commitments.close import CommitmentPublished
from fulmen.core.commitments.htlcs import OfferForgotten
from fulmen.core.wire.messages.setup import ErrorMessage, WarningMessage
from fulmen.core.wire.registry import MAX_MESSAGE

LIVE = (Phase.AWAITING_READY, Phase.NORMAL, Phase.SHUTDOWN)

errors = Topic()
leaving = Topic()


def fail(channel: Channel, env: Env, reason: str, error: str) -> Step[Channel]:
    """Give the channel to the chain: no update, signature or revocation any more; our commitment is published.

    Source: BOLT 5, "Failing a Channel".
    """
    point = env.per_commitment_point(channel.terms.key_index, channel.local.number)
    step = tell_closers(channel, alone(channel, env)).then(disconnect).fact(ChannelFailed(reason, error, point))
    if channel.link is not Link.OFFLINE and error:
        step.act(send_error(channel, error))
    step.act(*tell_published(step.state, env))
    return step.act(
        Notify("channel_failed", {"channel_id": channel.terms.channel_id.hex(), "reason": reason, "height": env.height})
    )


def fail_once_asked(channel: Channel, env: Env, reason: str, error: str) -> Step[Channel]:
    """Fail the channel, if its peer could say by now that we are behind; else note that it is to be failed."""
    if not has_to_ask(channel, env):
        return fail(channel, env, reason, error)
    step = Step(channel)
    if channel.deferred is None:
        step.fact(CloseDeferred(Deferred(since(channel, env), reason, error)))
        details = {"channel_id": channel.terms.channel_id.hex(), "reason": reason, "height": env.height}
        step.act(Notify("channel_close_deferred", details))
    return step


def tell_published(channel: Channel, env: Env) -> tuple[Tell, ...]:
    """Tell onchain that our commitment is being published, so that it can raise its fee; nothing when it is not."""
    if channel.outdated:
        return ()
    claimable = tuple([HtlcKey(channel.terms.channel_id, RECEIVED, held.id) for held in channel.held_preimages])
    return (Tell(onchain(channel), CommitmentPublished(our_commitment(channel, env), claimable)),)


def onchain(channel: Channel) -> Address:
    """Where this channel's close is resolved."""
    return Address("onchain", channel.terms.channel_id)


def send_error(channel: Channel, text: str) -> Send:
    """The `error` message that names this channel."""
    return Send(channel.terms.node_id, ErrorMessage(channel.terms.channel_id, text.encode()))


def words_to_peer(fault: Fault) -> str:
    """What an `error` or `warning` says of a fault.

    BOLT 1: "when failure was caused by an invalid signature check: SHOULD include the raw, hex-encoded transaction".
    One that does not fit into the message, for it has hundreds of outputs, is left out.
    """
    said = str(fault)
    if not isinstance(fault, SignatureFault) or not fault.tx:
        return said
    in_full = f"{said}: {fault.tx.hex()}"
    return in_full if len(in_full.encode()) <= MAX_DATA else said


MAX_DATA = MAX_MESSAGE - 2 - 32 - 2
"""Bytes that fit behind the type, the channel_id and the length of an `error`."""


@leaving.on(Disconnected)
def on_disconnected(channel: Channel, _event: Disconnected, env: Env) -> Step[Channel]:
    """What was in no signed commitment is forgotten; owners of forgotten offers hear of it (law 2d)."""
    return disconnect(channel).then(lambda state: keep_deadline(state, env))


def keep_deadline(channel: Channel, env: Env) -> Step[Channel]:
    """Take over how early the operator wants claims to be gone: at birth, and at each start (law 11)."""
    step = Step(channel)
    wanted = env.policy.deadlines.fulfilled_deadline
    return step if wanted == channel.fulfilled_deadline else step.fact(DeadlineSet(wanted))


def disconnect(channel: Channel) -> Step[Channel]:
    """Reverse all uncommitted updates of both sides, and tell the owners of ours. A close that is wanted goes on."""
    step = Step(channel)
    if channel.params is None:
        return step
    forgotten = channel.local_log.between(channel.last_signed.local_upto, channel.local_log.next_index).adds
    step.fact(LinkChanged(Link.OFFLINE))
    for add in forgotten:
        if add.owner is not None:
            step.act(Tell(add.owner, OfferForgotten(add.ref, channel.terms.channel_id)))
    return step


@errors.on(ChannelErrored)
def on_channel_errored(channel: Channel, event: ChannelErrored, env: Env) -> Step[Channel]:
    """The peer failed the channel: "MUST fail the channel(s) referred to by the message" (BOLT 1)."""
    if channel.phase not in LIVE:
        return Step(channel)
    return fail_once_asked(channel, env, f"the peer sent an error: {printable(event.data)}", "")


def printable(data: bytes) -> str:
    """Hostile text, shown only "if `data` is composed solely of printable ASCII characters" (BOLT 1)."""
    if all(32 <= byte < 127 for byte in data):
        return data[:MAX_SHOWN].decode("ascii")
    return data[:64].hex()


MAX_SHOWN = 512
"""How much of a peer's words is kept with the reason of a failure."""


@errors.on(Faulted)
def on_faulted(channel: Channel, event: Faulted, env: Env) -> Step[Channel]:
    """A handler refused an event: answer our caller, or do to the peer what the rule asks for."""
    fault = event.why
    if isinstance(fault, Refused):
        return _refuse_caller(channel, event.event, fault)
    assert isinstance(fault, PeerFault)
    return do_remedy(channel, fault, env)


def do_remedy(channel: Channel, fault: PeerFault, env: Env) -> Step[Channel]:
    """What BOLT 1 and 2 let us do about a broken rule."""
    step = Step(channel)
    if channel.params is None or fault.remedy is Remedy.IGNORE:
        return step
    node_id, channel_id = channel.terms.node_id, channel.terms.channel_id
    if fault.remedy is Remedy.FAIL_CHANNEL and channel.phase in LIVE:
        return fail(channel, env, f"the peer broke a rule: {fault}", words_to_peer(fault))
    warning = WarningMessage(channel_id, words_to_peer(fault).encode())
    if fault.remedy in (Remedy.WARN, Remedy.WARN_AND_CLOSE, Remedy.FAIL_CHANNEL):
        step.act(Send(node_id, warning))
    if fault.remedy in (Remedy.CLOSE_CONNECTION, Remedy.WARN_AND_CLOSE, Remedy.FAIL_CHANNEL):
        step.act(HangUp(node_id, str(fault)))
    return step


def _refuse_caller(channel: Channel, event: Event, fault: Fault) -> Step[Channel]:
    command_id = getattr(event, "command_id", None)
    step = Step(channel)
    return step.act(Answer(command_id, refused=fault)) if command_id is not None else step


@errors.on(CloseChannel)
def on_close_channel_refused(channel: Channel, event: CloseChannel, _env: Env) -> Step[Channel]:
    """Before there is a channel, and after its end."""
    refused = ChannelNotUsable("there is nothing to close", phase=channel.phase.name.lower())
    return Step(channel).act(Answer(event.command_id, refused=refused))
