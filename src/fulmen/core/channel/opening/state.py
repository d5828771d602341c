"""How far an opening has come, and the facts that move it: all of them pass with the connection."""

from __future__ import annotations

import enum
from typing import ClassVar

from fulmen.core.base.ids import ChannelId, NodeId
from fulmen.core.base.machine import (
    Address,
    Fact,
    evolves,
)
from fulmen.core.base.record import Record
from fulmen.core.base.units import Timestamp
from fulmen.core.channel.commands import OpenTo
from fulmen.core.wire.messages.opening import AcceptChannel, OpenChannel

ANNOUNCE_CHANNEL = 1
"""The one defined bit of `channel_flags`."""
LARGE_FUNDING_SAT = 1 << 24


class Stage(enum.IntEnum):
    """How far an opening has come."""

    NEW = 0
    OFFERED = 1
    """We sent `open_channel`."""
    ACCEPTED = 2
    """The peer accepted; the wallet looks for coins."""
    AWAITING_FUNDING = 3
    """We accepted the peer's; its `funding_created` is due."""
    OVER = 4


class Opening(Record):
    """The state of one opening."""

    node_id: NodeId
    temporary_channel_id: ChannelId
    stage: Stage = Stage.NEW
    key_index: int = 0
    command: OpenTo | None = None
    opened_with: OpenChannel | None = None
    accepted_with: AcceptChannel | None = None
    local_features: bytes = b""
    remote_features: bytes = b""
    until: Timestamp = Timestamp(0)
    """When we are no longer patient with the peer."""

    @property
    def address(self) -> Address:
        """Where this machine lives."""
        return Address("opening", self.node_id + self.temporary_channel_id)


class OpeningFact(Fact):
    """What is true of an opening passes with its connection."""

    passing: ClassVar[bool] = True


class Offered(OpeningFact):
    """We sent `open_channel`."""

    command: OpenTo
    key_index: int
    message: OpenChannel
    local_features: bytes
    remote_features: bytes
    until: Timestamp


class Accepted(OpeningFact):
    """The peer sent `accept_channel`, and its terms are good."""

    message: AcceptChannel


class AcceptedTheirs(OpeningFact):
    """The peer sent `open_channel`, its terms are good, and we sent `accept_channel`."""

    key_index: int
    opened_with: OpenChannel
    accepted_with: AcceptChannel
    local_features: bytes
    remote_features: bytes
    until: Timestamp


class Over(OpeningFact):
    """The opening came to its end, good or bad."""


@evolves(Offered)
def _offered(opening: Opening, fact: Offered) -> Opening:
    return opening.but(
        stage=Stage.OFFERED,
        command=fact.command,
        key_index=fact.key_index,
        opened_with=fact.message,
        local_features=fact.local_features,
        remote_features=fact.remote_features,
        until=fact.until,
    )


@evolves(Accepted)
def _accepted(opening: Opening, fact: Accepted) -> Opening:
    return opening.but(stage=Stage.ACCEPTED, accepted_with=fact.message)


@evolves(AcceptedTheirs)
def _accepted_theirs(opening: Opening, fact: AcceptedTheirs) -> Opening:
    return opening.but(
        stage=Stage.AWAITING_FUNDING,
        key_index=fact.key_index,
        opened_with=fact.opened_with,
        accepted_with=fact.accepted_with,
        local_features=fact.local_features,
        remote_features=fact.remote_features,
        until=fact.until,
    )


@evolves(Over)
def _over(opening: Opening, _: Over) -> Opening:
    return Opening(opening.node_id, opening.temporary_channel_id, Stage.OVER)
