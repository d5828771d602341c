"""The peer opens: its terms, ours, and its first signature."""

from __future__ import annotations

from typing import Any

from fulmen.core.base.env import Env
from fulmen.core.base.ids import OutPoint, channel_id_of
from fulmen.core.base.machine import (
    Step,
    Topic,
    to_channel,
)
from fulmen.core.base.mount import Check, CheckFailed
from fulmen.core.base.outer import Send
from fulmen.core.base.peers import MessageReceived
from fulmen.core.base.units import Msat, Sat, to_msat
from fulmen.core.channel.facts import Opened
from fulmen.core.channel.faults import BadFundingSignature, OpeningRefused
from fulmen.core.channel.funding import ChannelBorn
from fulmen.core.channel.opening.agreement import connected_peer, first_view, params_of, patient_until, points_of
from fulmen.core.channel.opening.giving_up import told_peer
from fulmen.core.channel.opening.state import AcceptedTheirs, Opening, Over, Stage
from fulmen.core.channel.terms import (
    check_basepoints,
    check_open,
    minimum_depth,
    our_terms,
    terms_of,
    upfront_script,
)
from fulmen.core.commitments.params import Funding
from fulmen.core.signer.checks import CheckCommitment, disputed
from fulmen.core.wire.messages.opening import AcceptChannel, FundingCreated, OpenChannel

accepter = Topic()


@accepter.on(OpenChannel)
def on_open_channel(opening: Opening, msg: OpenChannel, env: Env) -> Step[Opening]:
    """The peer wants a channel that it funds.

    Raises:
        OpeningRefused: its terms break BOLT 2 or our policy.
    """
    if opening.stage not in (Stage.NEW, Stage.OVER):
        raise OpeningRefused(why="this temporary_channel_id is in use")
    peer = connected_peer(env, opening.node_id)
    check_open(msg, env, peer)
    assert msg.channel_type is not None
    key_index = int.from_bytes(env.entropy("channel key index", 6), "big")
    terms = our_terms(env, msg.funding_satoshis, key_index)
    check_basepoints(terms.basepoints, terms_of(msg).basepoints)
    # "MUST set `channel_reserve_satoshis` greater than or equal to `dust_limit_satoshis` from the `open_channel`"
    reserve = Sat(max(terms.channel_reserve_sat, msg.dust_limit_satoshis))
    answer = AcceptChannel(
        msg.temporary_channel_id,
        # "MUST set `dust_limit_satoshis` less than or equal to `channel_reserve_satoshis` from the `open_channel`"
        Sat(min(terms.dust_limit_sat, msg.channel_reserve_satoshis)),
        terms.max_htlc_value_in_flight_msat,
        reserve,
        terms.htlc_minimum_msat,
        minimum_depth(msg.channel_type, msg.funding_satoshis, env.policy.opening),
        terms.to_self_delay,
        terms.max_accepted_htlcs,
        *points_of(terms.basepoints),
        env.per_commitment_point(key_index, 0),
        upfront_shutdown_script=upfront_script(env, peer),
        # "MUST set `channel_type` to the `channel_type` from `open_channel`."
        channel_type=msg.channel_type,
    )
    features = peer.local_features, peer.remote_features
    step = Step(opening).fact(AcceptedTheirs(key_index, msg, answer, *features, patient_until(env)))
    return step.act(Send(opening.node_id, answer))


@accepter.on(FundingCreated)
def on_funding_created(opening: Opening, msg: FundingCreated, env: Env) -> Step[Opening]:
    """The opener's first signature is good (`checks`): tell the channel to be; it answers `funding_signed`."""
    opened = _their_opened(opening, msg, env)
    born = ChannelBorn(opened, opening.local_features, opening.remote_features)
    return Step(opening).fact(Over()).act(to_channel(opened.params.channel_id, born), told_peer(opening))


def _their_opened(opening: Opening, msg: FundingCreated, env: Env) -> Opened:
    theirs, ours = opening.opened_with, opening.accepted_with
    if opening.stage is not Stage.AWAITING_FUNDING or theirs is None or ours is None:
        raise OpeningRefused(why="funding_created without open_channel")
    outpoint = OutPoint(msg.funding_txid, msg.funding_output_index)
    # A reused outpoint would make two channels of one (cln#9318).
    if f"channel:{channel_id_of(outpoint).hex()}" in env.views:
        raise OpeningRefused(why="this outpoint carries a channel already")
    params = params_of(opening, outpoint, terms_of(ours), terms_of(theirs), is_opener=False)
    return Opened(
        params,
        Funding(outpoint, theirs.funding_satoshis, params.format, peer_signature=msg.signature),
        theirs.feerate_per_kw,
        theirs.push_msat,
        Msat(to_msat(theirs.funding_satoshis) - theirs.push_msat),
        theirs.first_per_commitment_point,
        env.height,
    )


@accepter.on(CheckFailed)
def on_bad_signature(opening: Opening, event: CheckFailed, _env: Env) -> Step[Opening]:
    """ "if `signature` is incorrect OR non-compliant with LOW-S-standard rule": refuse."""
    raise BadFundingSignature(tx=disputed(event.check), temporary_channel_id=opening.temporary_channel_id)


def checks(opening: Opening, event: Any, env: Env) -> tuple[Check, ...]:
    """The opener's signature on our first commitment."""
    if not isinstance(event, MessageReceived) or not isinstance(event.message, FundingCreated):
        return ()
    if opening.stage is not Stage.AWAITING_FUNDING:
        return ()
    opened = _their_opened(opening, event.message, env)
    return (CheckCommitment(first_view(opened, env), opened.funding.peer_signature),)
