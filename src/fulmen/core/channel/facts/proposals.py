"""Proposed updates, which pass, and preimages, which never do."""

from __future__ import annotations

from typing import ClassVar

from fulmen.core.base.ids import Preimage
from fulmen.core.base.machine import Fact, evolves
from fulmen.core.base.units import Msat
from fulmen.core.channel.state import Channel, HeldPreimage
from fulmen.core.commitments.commitment import (
    including_local,
    including_remote,
)
from fulmen.core.commitments.updates import Add, FeeChange, Remove


class LocalProposed(Fact):
    """We proposed an update; it is in no signed commitment yet."""

    passing: ClassVar[bool] = True

    update: Add | Remove | FeeChange


class RemoteProposed(Fact):
    """The peer proposed an update; it is in no signed commitment yet."""

    passing: ClassVar[bool] = True

    update: Add | Remove | FeeChange


class PreimageHeld(Fact):
    """We know the preimage of a received HTLC: it is claimed, on the wire or on the chain, and never failed."""

    id: int
    preimage: Preimage
    fee_msat: Msat = Msat(0)
    """What of it stays with us, if it was passed on."""


class PreimageLearned(Fact):
    """The peer showed the preimage of an HTLC we offered."""

    id: int
    preimage: Preimage


@evolves(LocalProposed)
def _local_proposed(channel: Channel, fact: LocalProposed) -> Channel:
    return with_local(channel, fact.update)


@evolves(RemoteProposed)
def _remote_proposed(channel: Channel, fact: RemoteProposed) -> Channel:
    return with_remote(channel, fact.update)


@evolves(PreimageHeld)
def _preimage_held(channel: Channel, fact: PreimageHeld) -> Channel:
    return channel.but(
        held_preimages=(*channel.held_preimages, HeldPreimage(fact.id, fact.preimage)),
        fees_earned_msat=Msat(channel.fees_earned_msat + fact.fee_msat),
    )


@evolves(PreimageLearned)
def _preimage_learned(channel: Channel, fact: PreimageLearned) -> Channel:
    return channel.but(learned_preimages=(*channel.learned_preimages, HeldPreimage(fact.id, fact.preimage)))


def with_local(channel: Channel, update: Add | Remove | FeeChange) -> Channel:
    """The channel with one more update of ours."""
    log = channel.local_log.with_update(update)
    pending = including_local(channel.remote_pending, channel.terms, log, channel.remote_log, log.next_index)
    return channel.but(local_log=log, remote_pending=pending)


def with_remote(channel: Channel, update: Add | Remove | FeeChange) -> Channel:
    """The channel with one more update of the peer's."""
    log = channel.remote_log.with_update(update)
    pending = including_remote(channel.local_pending, channel.terms, channel.local_log, log, log.next_index)
    return channel.but(remote_log=log, local_pending=pending)
