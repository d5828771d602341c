"""What a channel has to tell gossip of itself: the one place that says when it may be announced.

BOLT 7, "The `announcement_signatures` Message" and "The `channel_update` Message". The messages themselves are made and
read by gossip; a channel keeps no more of them than the peer's half of its announcement.
"""

from __future__ import annotations

from fulmen.core.base.env import Env
from fulmen.core.base.ids import ShortChannelId, scid
from fulmen.core.base.machine import Step, Topic
from fulmen.core.base.policy import ForwardPolicy
from fulmen.core.base.units import BlockHeight, Msat
from fulmen.core.channel.facts import RemoteHalfKept
from fulmen.core.channel.state import Channel, Link, Phase
from fulmen.core.commitments.announcing import HalfHeard, OwnChannel

announcing = Topic()

ANNOUNCED_DEPTH = 6
"""BOLT 7: "If the funding transaction has less than 6 confirmations: MUST NOT send `channel_announcement`"."""


NEVER = BlockHeight(1 << 32)


def announced_at(channel: Channel) -> BlockHeight:
    """The height at which the funding is deep enough for everybody to hear of the channel."""
    confirmed = channel.funding.confirmed
    return NEVER if confirmed is None else BlockHeight(confirmed.height + ANNOUNCED_DEPTH - 1)


def announced(channel: Channel, height: BlockHeight, forward: ForwardPolicy) -> OwnChannel | None:
    """What gossip is to know of a channel when the chain is `height` high; None when there is nothing to tell.

    `forward` stands in where the channel has no policy of its own.
    """
    if channel.phase in (Phase.NONE, Phase.CREATED, Phase.CLOSED):
        return None
    terms, funding = channel.terms, channel.funding
    place = channel.scid if height >= announced_at(channel) else None
    half = channel.remote_half
    capacity_msat = 1000 * funding.amount_sat
    spendable_msat = capacity_msat - 1000 * terms.remote.channel_reserve_sat
    return OwnChannel(
        channel_id=terms.channel_id,
        node_id=terms.node_id,
        key_index=terms.key_index,
        local_funding_pubkey=terms.local.basepoints.funding_pubkey,
        remote_funding_pubkey=terms.remote.basepoints.funding_pubkey,
        capacity_sat=funding.amount_sat,
        announce=terms.announce,
        outpoint=funding.outpoint,
        scid=place,
        remote_half=half if half is not None and half.scid == place else None,
        remote_alias=channel.remote_alias,
        local_alias=channel.local_aliases[-1] if channel.local_aliases else None,
        ready=channel.ready_sent and channel.ready_received,
        online=channel.link is Link.READY,
        closing=channel.closes,
        htlc_minimum_msat=terms.remote.htlc_minimum_msat,
        # "MUST set this to less than or equal to `max_htlc_value_in_flight_msat` it received from the peer."
        htlc_maximum_msat=Msat(max(0, min(spendable_msat, terms.remote.max_htlc_value_in_flight_msat))),
        forward=forward if channel.forward is None else channel.forward,
    )


@announcing.on(HalfHeard)
def on_half_heard(channel: Channel, event: HalfHeard, _env: Env) -> Step[Channel]:
    """The peer has signed our announcement: keep it, for it may never say so again.

    BOLT 7 has a peer repeat its half when it is asked with ours. LDK does not: it sends its half until it believes that
    it came, and what of it we forget keeps the channel unannounced. One is kept for each place of the funding.
    """
    step = Step(channel)
    kept = channel.remote_half
    if event.half.scid == _place_in_chain(channel) and (kept is None or kept.scid != event.half.scid):
        step.fact(RemoteHalfKept(event.half))
    return step


def _place_in_chain(channel: Channel) -> ShortChannelId | None:
    confirmed = channel.funding.confirmed
    if confirmed is None:
        return None
    return scid(confirmed.height, channel.funding.index_in_block, channel.funding.outpoint.vout)
