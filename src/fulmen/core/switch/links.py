"""Our channels as the switch sees them: found by the name in an onion, and their siblings to the same peer."""

from __future__ import annotations

from collections.abc import Mapping

from fulmen.core.base.ids import ShortChannelId
from fulmen.core.base.units import Msat
from fulmen.core.commitments.htlcs import LinkView

CHANNEL_VIEWS = "channel:"
"""Views of channels have names that begin with this."""


def links_of(views: Mapping[str, object]) -> list[LinkView]:
    """All channels that show themselves."""
    found = []
    for name in views:
        if name.startswith(CHANNEL_VIEWS):
            view = views[name]
            if isinstance(view, LinkView):
                found.append(view)
    return found


def names_of(link: LinkView) -> tuple[ShortChannelId, ...]:
    """All names of a channel, the one that routes call it by first."""
    names = (link.scid, link.remote_alias, link.local_alias)
    return tuple(ShortChannelId(name) for name in names if name is not None)


def link_called(links: list[LinkView], scid: ShortChannelId) -> LinkView | None:
    """The channel that an onion calls by this name.

    Source: BOLT 2, `channel_ready`.
    """
    for link in links:
        # BOLT 2: "MUST always recognize the `alias` as a `short_channel_id` for incoming HTLCs to this channel."
        if scid == link.local_alias:
            return link
        # BOLT 2: "if `channel_type` has `option_scid_alias` set: MUST NOT allow incoming HTLCs to this channel using
        # the real `short_channel_id`"
        if scid == link.scid and not link.scid_alias_only:
            return link
    return None


def carriers(links: list[LinkView], asked: LinkView, amount_msat: Msat) -> list[LinkView]:
    """The channels to the asked channel's peer that can carry an amount: the asked one first, then the tightest fit.

    Source: BOLT 4, "Non-strict Forwarding".
    """
    able = [
        link
        for link in links
        if link.node_id == asked.node_id
        and link.usable
        and not link.disabled
        and link.htlc_minimum_msat <= amount_msat <= link.spendable_msat
    ]
    return sorted(able, key=lambda link: (link.channel_id != asked.channel_id, link.spendable_msat, link.channel_id))
