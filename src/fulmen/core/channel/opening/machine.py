"""The opening as the node mounts it."""

from __future__ import annotations

from typing import Any

from fulmen.core.base.env import Env
from fulmen.core.base.ids import ChannelId, NodeId
from fulmen.core.base.machine import (
    Disconnected,
    Step,
)
from fulmen.core.base.mount import Mount
from fulmen.core.base.outer import Want, WantTime
from fulmen.core.base.peers import MessageReceived
from fulmen.core.channel.faults import OpeningRefused
from fulmen.core.channel.opening.accepter import accepter, checks
from fulmen.core.channel.opening.giving_up import ending
from fulmen.core.channel.opening.opener import opener
from fulmen.core.channel.opening.state import Opening, Stage

TABLE = opener | accepter | ending


def decide(opening: Opening, event: Any, env: Env) -> Step[Opening]:
    """What an opening makes of an event."""
    what = event.message if isinstance(event, MessageReceived) else event
    handler = TABLE.get(type(what))
    if handler is None:
        raise OpeningRefused(why=f"{type(what).__name__} has no place in an opening")
    step: Step[Opening] = handler(opening, what, env)
    return step


def initial(key: bytes) -> Opening:
    """An opening that has not begun."""
    return Opening(NodeId(key[:33]), ChannelId(key[33:]))


def forget(opening: Opening) -> Opening:
    """Nothing of an opening survives its connection."""
    return Opening(opening.node_id, opening.temporary_channel_id)


def wants(opening: Opening) -> tuple[Want, ...]:
    """An end to patience."""
    return () if opening.stage in (Stage.NEW, Stage.OVER) else (WantTime(opening.until),)


MOUNT = Mount(
    kind="opening",
    initial=initial,
    decide=decide,
    crash=(Disconnected(),),
    forget=forget,
    wants=wants,
    checks=checks,
    ended=lambda opening: opening.stage is Stage.OVER,
)
