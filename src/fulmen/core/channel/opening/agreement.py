"""What both ends have agreed on, as the channel to be will keep it."""

from __future__ import annotations

from fulmen.core.base.env import Basepoints, Env
from fulmen.core.base.ids import NodeId, OutPoint, Point, channel_id_of
from fulmen.core.base.peers import PeerView
from fulmen.core.base.units import Timestamp
from fulmen.core.channel.facts import Opened
from fulmen.core.channel.faults import OpeningNotPossible
from fulmen.core.channel.opening.state import ANNOUNCE_CHANNEL, Opening
from fulmen.core.channel.terms import format_of
from fulmen.core.commitments.commitment import LOCAL
from fulmen.core.commitments.params import ChannelParams, PartyParams
from fulmen.core.commitments.view import CommitmentView


def connected_peer(env: Env, node_id: NodeId) -> PeerView:
    """The peer, as it shows itself.

    Raises:
        OpeningNotPossible: it is not connected.
    """
    view = env.views.get(f"peer:{node_id.hex()}")
    if not isinstance(view, PeerView) or not view.ready:
        raise OpeningNotPossible("the peer is not connected", node_id=node_id)
    return view


def patient_until(env: Env) -> Timestamp:
    """When a peer that has said nothing more has had its time."""
    return Timestamp(env.wall + env.policy.opening.patience_s)


def points_of(keys: Basepoints) -> tuple[Point, Point, Point, Point, Point]:
    """In the order of the messages."""
    return (
        keys.funding_pubkey,
        keys.revocation_basepoint,
        keys.payment_basepoint,
        keys.delayed_payment_basepoint,
        keys.htlc_basepoint,
    )


def params_of(
    opening: Opening, outpoint: OutPoint, local: PartyParams, remote: PartyParams, *, is_opener: bool
) -> ChannelParams:
    """The terms of the channel over this output."""
    opened_with, accepted_with = opening.opened_with, opening.accepted_with
    assert opened_with is not None and accepted_with is not None and accepted_with.channel_type is not None
    return ChannelParams(
        channel_id_of(outpoint),
        opening.node_id,
        opening.key_index,
        is_opener,
        bool(opened_with.channel_flags & ANNOUNCE_CHANNEL),
        accepted_with.channel_type,
        format_of(accepted_with.channel_type),
        # BOLT 2 lets the opener send `channel_ready` from the accepter's `minimum_depth` on; ours may be deeper.
        max(accepted_with.minimum_depth, opening.command.minimum_depth if opening.command is not None else 0),
        local,
        remote,
    )


def first_view(opened: Opened, env: Env) -> CommitmentView:
    """Our commitment number 0, spelled out."""
    params = opened.params
    point = env.per_commitment_point(params.key_index, 0)
    return CommitmentView(
        params, opened.funding, LOCAL, 0, point, opened.feerate_per_kw, opened.local_msat, opened.remote_msat, ()
    )
