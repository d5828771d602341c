"""A mutual close begins: `shutdown` both ways, and the HTLCs drain. The fee is `closing`'s.

BOLT 2, "Closing Initiation: `shutdown`".
"""

from __future__ import annotations

from fulmen.core.base.env import Env
from fulmen.core.base.faults import Refused
from fulmen.core.base.feerates import check_feerate
from fulmen.core.base.funds import WalletView
from fulmen.core.base.machine import Lull, Step, Topic
from fulmen.core.base.outer import Notify, Send, TimeReached
from fulmen.core.base.units import FEERATE_FLOOR_PER_KW, Timestamp
from fulmen.core.bitcoin.accounts import KeyPath
from fulmen.core.channel.closing import perhaps_negotiate
from fulmen.core.channel.commands import CloseChannel
from fulmen.core.channel.dance import on_lull
from fulmen.core.channel.deadlines import reading_first
from fulmen.core.channel.ending import alone, on_close_channel_when_over, tell_closers, wait_for_close
from fulmen.core.channel.facts import (
    PatienceSet,
    ShutdownDropped,
    ShutdownExchanged,
    ShutdownReceived,
    ShutdownSeen,
    ShutdownSent,
    ShutdownWanted,
)
from fulmen.core.channel.failing import fail, fail_once_asked
from fulmen.core.channel.faults import (
    BadShutdownScript,
    ChannelNotUsable,
    ClosesElsewhere,
    PendingUpdatesAtShutdown,
)
from fulmen.core.channel.scripts import is_shutdown_script
from fulmen.core.channel.state import Channel, Link
from fulmen.core.wire.features import Features
from fulmen.core.wire.messages.closing import Shutdown

shutdowns = Topic()
lulls = Topic()
agreed = Topic()


@shutdowns.on(CloseChannel)
def on_close_channel(channel: Channel, event: CloseChannel, env: Env) -> Step[Channel]:
    """A caller wants the channel closed: with the peer, now or when it is back, or without it when forced.

    Raises:
        FeerateOutOfRange, ClosesElsewhere, ChannelNotUsable: it was asked wrongly.
    """
    if event.force:
        return force_close(channel, event, env)
    feerate = channel.closing_feerate_per_kw if event.feerate_per_kw is None else event.feerate_per_kw
    if event.feerate_per_kw is not None:
        check_feerate(event.feerate_per_kw, env.policy.feerates, env.feerates, FEERATE_FLOOR_PER_KW)
    said = channel.shutdown_sent or channel.shutdown_wanted
    settled = said or channel.terms.local.upfront_shutdown_script
    if settled and event.script not in (b"", settled):
        raise ClosesElsewhere(script=settled)
    script, path = settled or event.script, channel.shutdown_path if said else None
    if not script:
        script, path = _default_script(env)
    # "MUST set `scriptpubkey` in one of the following forms"
    if not is_shutdown_script(script, anysegwit=channel.link is Link.OFFLINE or _anysegwit(channel)):
        raise ChannelNotUsable("a mutual close pays to a segwit script", script=script)
    step = wait_for_close(channel, event.command_id)
    if channel.shutdown_sent is None:
        wanted = ShutdownWanted(script, feerate, path)
        if said is None or feerate != channel.closing_feerate_per_kw:
            step.fact(wanted)
    elif feerate != channel.closing_feerate_per_kw:
        step.fact(ShutdownSent(script, feerate, path))
    alone_at = None if event.alone_after_s is None else Timestamp(env.wall + event.alone_after_s)
    if alone_at != channel.close_alone_at:
        step.fact(PatienceSet(alone_at))
    return step.then(lambda state: perhaps_shutdown(state, env))


@shutdowns.on(TimeReached)
def on_time_reached(channel: Channel, _event: TimeReached, env: Env) -> Step[Channel]:
    """Whoever wants the close has waited long enough for an agreement, also over a restart."""
    due = out_of_patience(channel, env)
    # While the chain is being read the peer cannot be heard; the blocks after that come back to it.
    if due is None or (reading_first(env) and not channel.met):
        return Step(channel)
    return fail_once_asked(channel, env, *due)


def out_of_patience(channel: Channel, env: Env) -> tuple[str, str] | None:
    """Why a close that is wanted goes on without the peer, for us and as our `error`, if it does."""
    if channel.close_alone_at is None or env.wall < channel.close_alone_at:
        return None
    return "no agreement on a close in the time that its owner gave it", "closed by its owner"


def force_close(channel: Channel, event: CloseChannel, env: Env) -> Step[Channel]:
    """Publish our commitment, whether or not the peer could say that we are behind: its owner has to know.

    The answer names it; what follows is onchain's.

    Raises:
        ChannelNotUsable: we have lost state.
    """
    outcome = alone(channel, env)
    if isinstance(outcome, Refused):
        raise outcome
    step = wait_for_close(channel, event.command_id)
    return step.then(lambda state: fail(state, env, "closed by its owner", "closed by its owner"))


@agreed.on(CloseChannel)
def on_close_channel_when_agreed(channel: Channel, event: CloseChannel, env: Env) -> Step[Channel]:
    """The mutual close is there already, unless its owner has seen enough of it.

    It may never confirm: its fee is too low by now, or the key holder, whose cap has fallen, signs it no more.
    """
    return force_close(channel, event, env) if event.force else on_close_channel_when_over(channel, event, env)


def perhaps_shutdown(channel: Channel, env: Env) -> Step[Channel]:
    """Send our `shutdown` as soon as it may go: wanted by us, or owed to the peer's."""
    step = Step(channel)
    if channel.shutdown_sent is not None or channel.link is not Link.READY:
        return step
    script, path = channel.shutdown_wanted or b"", channel.shutdown_path
    # The peer was away when it was wanted, and what it takes was not known.
    if script and not is_shutdown_script(script, anysegwit=_anysegwit(channel)):
        refused = ChannelNotUsable("the peer takes no close to this script", script=script)
        step = tell_closers(channel, refused).fact(ShutdownDropped())
        step.act(Notify("channel_close_dropped", {"channel_id": channel.terms.channel_id.hex(), "why": str(refused)}))
        return step.then(lambda state: perhaps_shutdown(state, env))
    if not script and channel.shutdown_received is not None:
        script, path = channel.terms.local.upfront_shutdown_script, None
        if not script:
            script, path = _default_script(env)
    # "if there are updates pending on the receiving node's commitment transaction: MUST NOT send a `shutdown`."
    if not script or _pending_for_peer(channel):
        return step
    step.fact(ShutdownSent(script, channel.closing_feerate_per_kw, path)).fact(ShutdownExchanged())
    step.act(send_shutdown(step.state))
    return step.then(lambda state: perhaps_negotiate(state, env))


def _pending_for_peer(channel: Channel) -> bool:
    return channel.remote_next is not None or channel.local_log.next_index > channel.remote.local_upto


def _default_script(env: Env) -> tuple[bytes, KeyPath | None]:
    """A script of our wallet, and the key behind it; nothing where there is no wallet."""
    wallet = env.views.get("wallet")
    if not isinstance(wallet, WalletView):
        return b"", None
    return wallet.script_pubkey, wallet.path if isinstance(wallet.path, KeyPath) else None


def send_shutdown(channel: Channel) -> Send:
    """Our `shutdown`, first or again."""
    assert channel.shutdown_sent is not None
    return Send(channel.terms.node_id, Shutdown(channel.terms.channel_id, channel.shutdown_sent))


@shutdowns.on(Shutdown)
def on_shutdown(channel: Channel, msg: Shutdown, env: Env) -> Step[Channel]:
    """The peer wants to close, or agrees to it.

    Raises:
        BadShutdownScript, PendingUpdatesAtShutdown: the peer broke BOLT 2.
    """
    if not is_shutdown_script(msg.scriptpubkey, anysegwit=_anysegwit(channel)):
        raise BadShutdownScript(scriptpubkey=msg.scriptpubkey)
    # "that `shutdown_scriptpubkey` is not equal to `scriptpubkey`: MUST fail the connection."
    agreed = channel.terms.remote.upfront_shutdown_script
    if agreed and agreed != msg.scriptpubkey:
        raise BadShutdownScript(scriptpubkey=msg.scriptpubkey, agreed=agreed)
    if channel.shutdown_received is not None and channel.shutdown_received != msg.scriptpubkey:
        raise BadShutdownScript(scriptpubkey=msg.scriptpubkey, before=channel.shutdown_received)
    if channel.remote_log.next_index > channel.local.remote_upto:
        raise PendingUpdatesAtShutdown()
    step = Step(channel)
    if channel.shutdown_received is None:
        step.fact(ShutdownReceived(msg.scriptpubkey))
    step.fact(ShutdownSeen())
    step.then(lambda state: perhaps_shutdown(state, env))
    return step.then(lambda state: perhaps_negotiate(state, env))


def _anysegwit(channel: Channel) -> bool:
    ours, theirs = Features.from_bytes(channel.local_features), Features.from_bytes(channel.remote_features)
    return ours.supports(26) and theirs.supports(26)


@lulls.on(Lull)
def on_lull_while_closing(channel: Channel, event: Lull, env: Env) -> Step[Channel]:
    """Sign first; then see whether what is left lets the close go on."""
    step = on_lull(channel, event, env)
    if step.state.shutdown_wanted is not None or step.state.shutdown_received is not None:
        step.then(lambda state: perhaps_shutdown(state, env))
        step.then(lambda state: perhaps_negotiate(state, env))
    return step
