"""How a channel ends, and who is told: everyone who asked for the close, exactly once.

A close ends with a transaction: the one that both agreed on, ours alone, or whatever spent the funding. Callers wait in
`Channel.closers`, which passes: a crash leaves nobody to be answered (law 2e).
"""

from __future__ import annotations

from fulmen.core.base.env import Env
from fulmen.core.base.faults import Refused
from fulmen.core.base.ids import CommandId
from fulmen.core.base.machine import Step, Topic
from fulmen.core.base.outer import Answer
from fulmen.core.bitcoin.transaction import Tx, parse_tx
from fulmen.core.channel.commands import ChannelClosing, CloseChannel
from fulmen.core.channel.facts import ClosersChanged
from fulmen.core.channel.faults import ChannelNotUsable
from fulmen.core.channel.state import Channel, Phase
from fulmen.core.commitments.building import build, channel_factor
from fulmen.core.commitments.view import CommitmentView, view_of
from fulmen.core.transactions.numbers import commitment_number_of

MAX_CLOSERS = 100
"""How many callers may wait for one close."""

over = Topic()


@over.on(CloseChannel)
def on_close_channel_when_over(channel: Channel, event: CloseChannel, env: Env) -> Step[Channel]:
    """What was asked for has happened already, with the peer or without it: say how.

    Raises:
        ChannelNotUsable: we have lost state, so that only the peer can close.
    """
    outcome = closed(channel, env)
    if isinstance(outcome, Refused):
        raise outcome
    return Step(channel).act(Answer(event.command_id, outcome))


def closed(channel: Channel, env: Env) -> ChannelClosing | Refused:
    """By which transaction this channel closes, or would close if it failed now."""
    if channel.phase is Phase.SPENT:
        return closed_by(channel, parse_tx(channel.spent_by))
    if channel.agreed is not None:
        tx = parse_tx(channel.agreed.tx)
        return ChannelClosing("mutual", tx.txid, channel.agreed.tx)
    return alone(channel, env)


def alone(channel: Channel, env: Env) -> ChannelClosing | Refused:
    """Our commitment as the end of a channel."""
    # Law 9: a channel that learnt that it is behind never publishes.
    if channel.outdated:
        return ChannelNotUsable("we have lost state of this channel and must not publish it: the peer has to close")
    tx = build(our_commitment(channel, env)).tx
    return ChannelClosing("unilateral", tx.txid, tx.serialize())


def closed_by(channel: Channel, tx: Tx) -> ChannelClosing:
    """The end of a channel whose funding this transaction spends."""
    return ChannelClosing("mutual" if is_mutual_close(channel, tx) else "unilateral", tx.txid, tx.base)


def our_commitment(channel: Channel, env: Env) -> CommitmentView:
    """Our latest commitment, spelled out."""
    terms, logs = channel.terms, (channel.local_log, channel.remote_log)
    point = env.per_commitment_point(terms.key_index, channel.local.number)
    return view_of(channel.local, terms, channel.funding, point, *logs)


def is_mutual_close(channel: Channel, tx: Tx) -> bool:
    """Whether a spend of the funding is a closing transaction: it has no commitment number, and pays agreed scripts.

    A commitment transaction bears 0x20 in its locktime and 0x80 in its sequence (BOLT 3).
    """
    if commitment_number_of(tx, channel_factor(channel.terms)) is not None:
        return False
    agreed = {channel.shutdown_sent, channel.shutdown_received}
    return all(output.script_pubkey in agreed for output in tx.outputs)


# -- who waits --------------------------------------------------------------------------------------------------------


def wait_for_close(channel: Channel, command_id: CommandId) -> Step[Channel]:
    """One more caller waits for the close; asking twice with one command id changes nothing."""
    step = Step(channel)
    if command_id in channel.closers:
        return step
    closers = (*channel.closers, command_id)
    for dropped in closers[:-MAX_CLOSERS]:
        step.act(Answer(dropped, refused=ChannelNotUsable("too many callers wait for this close")))
    return step.fact(ClosersChanged(closers[-MAX_CLOSERS:]))


def tell_closers(channel: Channel, outcome: ChannelClosing | Refused) -> Step[Channel]:
    """Answer all who wait: nobody does afterwards."""
    step = Step(channel)
    if not channel.closers:
        return step
    for command_id in channel.closers:
        if isinstance(outcome, Refused):
            step.act(Answer(command_id, refused=outcome))
        else:
            step.act(Answer(command_id, outcome))
    return step.fact(ClosersChanged(()))
