"""The connection comes and goes: what passes with it, and what a crash leaves (law 2)."""

from __future__ import annotations

from typing import ClassVar

from fulmen.core.base.machine import Fact, evolves
from fulmen.core.channel.state import Channel, Link, Negotiation, Phase
from fulmen.core.commitments.commitment import (
    including_local,
    including_remote,
)


class LinkChanged(Fact):
    """The connection came, went, or the reestablishment is done."""

    passing: ClassVar[bool] = True

    link: Link
    local_features: bytes = b""
    remote_features: bytes = b""


@evolves(LinkChanged)
def _link_changed(channel: Channel, fact: LinkChanged) -> Channel:
    if fact.link is Link.OFFLINE:
        # Whoever waits goes on waiting, and what the peer said holds: only a crash leaves nobody to be answered, and
        # perhaps another state than the one that was there before.
        # A channel that this process opened needs no reestablishment to be what it knows.
        return forget(channel).but(closers=channel.closers, met=channel.met or channel.link is Link.READY)
    return channel.but(
        link=fact.link,
        met=channel.met or fact.link is Link.READY,
        local_features=fact.local_features or channel.local_features,
        remote_features=fact.remote_features or channel.remote_features,
    )


def forget(channel: Channel) -> Channel:
    """What a disconnect, and so a crash, leaves of a channel (law 2)."""
    if channel.phase in (Phase.NONE, Phase.CREATED):
        return Channel(channel_id=channel.channel_id)
    signed = channel.last_signed
    local_log = channel.local_log.truncated(signed.local_upto)
    remote_log = channel.remote_log.truncated(channel.local.remote_upto)
    terms = channel.terms
    remote_pending = signed.but(number=signed.number + 1)
    local_pending = channel.local.but(number=channel.local.number + 1)
    return channel.but(
        link=Link.OFFLINE,
        local_features=b"",
        remote_features=b"",
        closers=(),
        met=False,
        created=None,
        local_log=local_log,
        remote_log=remote_log,
        remote_pending=including_remote(remote_pending, terms, local_log, remote_log, channel.local.remote_upto),
        local_pending=including_local(local_pending, terms, local_log, remote_log, channel.remote.local_upto),
        shutdown_on_this_link=False,
        their_shutdown_on_this_link=False,
        negotiation=Negotiation(),
        awaited=None,
    )
