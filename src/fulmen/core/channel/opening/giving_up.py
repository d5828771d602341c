"""The end of an opening that became nothing: a lost connection, an error, a broken rule, no coins."""

from __future__ import annotations

from fulmen.core.base.env import Env
from fulmen.core.base.faults import Fault, PeerFault, Refused
from fulmen.core.base.funds import ReleaseFunding
from fulmen.core.base.ids import CommandId
from fulmen.core.base.machine import (
    Disconnected,
    Faulted,
    Step,
    Tell,
    Topic,
    Undelivered,
    to_peer,
)
from fulmen.core.base.outer import Answer, Notify, Send, TimeReached
from fulmen.core.base.peers import ChannelErrored, OpeningEnded
from fulmen.core.channel.commands import OpenTo
from fulmen.core.channel.failing import printable, words_to_peer
from fulmen.core.channel.faults import OpeningNotPossible
from fulmen.core.channel.funding import WALLET
from fulmen.core.channel.opening.state import Opening, Over, Stage
from fulmen.core.wire.messages.setup import ErrorMessage

SILENT = "the peer did not go on with the opening in time"

ending = Topic()


@ending.on(Disconnected)
def on_disconnected(opening: Opening, _event: Disconnected, _env: Env) -> Step[Opening]:
    """ "SHOULD NOT remember the channel for reconnection"."""
    return give_up(opening, OpeningNotPossible("the peer disconnected while the channel was being opened"))


@ending.on(TimeReached)
def on_time_reached(opening: Opening, _event: TimeReached, env: Env) -> Step[Opening]:
    """The peer stays silent, and answers every ping: whoever asked for the channel is not kept waiting for ever."""
    if opening.stage in (Stage.NEW, Stage.OVER) or env.wall < opening.until:
        return Step(opening)
    step = give_up(opening, OpeningNotPossible(SILENT))
    return step.act(error_to_peer(opening, SILENT))


@ending.on(ChannelErrored)
def on_channel_errored(opening: Opening, event: ChannelErrored, _env: Env) -> Step[Opening]:
    """The peer will not have this channel."""
    return give_up(opening, OpeningNotPossible(f"the peer refused: {printable(event.data)}"))


@ending.on(Undelivered)
def on_undelivered(opening: Opening, event: Undelivered, _env: Env) -> Step[Opening]:
    """Whoever was told refused it."""
    return give_up(opening, OpeningNotPossible(str(event.fault)))


@ending.on(Faulted)
def on_faulted(opening: Opening, event: Faulted, _env: Env) -> Step[Opening]:
    """A refusal for our caller, or a broken rule of the peer: either way the opening is over."""
    fault = event.why
    if isinstance(fault, Refused) and isinstance(event.event, OpenTo):
        return Step(opening).act(Answer(event.event.command_id, refused=fault))
    step = give_up(opening, OpeningNotPossible(str(fault)))
    if isinstance(fault, PeerFault):
        step.act(error_to_peer(opening, words_to_peer(fault)))
        about = {"node_id": opening.node_id.hex(), "why": str(fault)}
        step.act(Notify("opening_refused", about))
    return step


def give_up(opening: Opening, why: Fault) -> Step[Opening]:
    """It becomes nothing: coins are free again, and whoever asked hears why."""
    step = Step(opening)
    command_id: CommandId | None = opening.command.command_id if opening.command is not None else None
    if opening.stage is Stage.ACCEPTED:
        step.act(Tell(WALLET, ReleaseFunding(opening.temporary_channel_id)))
    if opening.stage is not Stage.OVER:
        step.fact(Over()).act(told_peer(opening))
    if command_id is not None:
        step.act(Answer(command_id, refused=why))
    return step


def told_peer(opening: Opening) -> Tell:
    """Tell the peer machine that this opening is over."""
    return to_peer(opening.node_id, OpeningEnded(opening.temporary_channel_id))


def error_to_peer(opening: Opening, text: str) -> Send:
    """The `error` that names this opening."""
    return Send(opening.node_id, ErrorMessage(opening.temporary_channel_id, text.encode()))
