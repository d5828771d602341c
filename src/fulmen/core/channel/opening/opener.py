"""We open: `open_channel`, the peer's terms, the wallet's coins, and on to the channel to be."""

from __future__ import annotations

from fulmen.core.base.env import Env
from fulmen.core.base.funds import Funded, FundingRefused, FundTransaction, Output, ReleaseFunding
from fulmen.core.base.ids import ChainHash, OutPoint
from fulmen.core.base.machine import (
    Step,
    Tell,
    Topic,
    to_channel,
    to_peer,
)
from fulmen.core.base.outer import Send
from fulmen.core.base.peers import OpeningStarted
from fulmen.core.base.units import Msat, to_msat
from fulmen.core.bitcoin.transaction import parse_tx
from fulmen.core.channel.commands import OpenTo
from fulmen.core.channel.facts import Created, Opened
from fulmen.core.channel.faults import OpeningNotPossible, OpeningRefused
from fulmen.core.channel.funding import WALLET, ChannelProposed
from fulmen.core.channel.limits import feerate_of_ours
from fulmen.core.channel.opening.agreement import connected_peer, params_of, patient_until, points_of
from fulmen.core.channel.opening.giving_up import error_to_peer, give_up, told_peer
from fulmen.core.channel.opening.state import (
    ANNOUNCE_CHANNEL,
    LARGE_FUNDING_SAT,
    Accepted,
    Offered,
    Opening,
    Over,
    Stage,
)
from fulmen.core.channel.terms import (
    channel_type,
    check_accept,
    check_close_to,
    format_of,
    our_terms,
    terms_of,
)
from fulmen.core.commitments.params import Funding
from fulmen.core.transactions.formats import format_named
from fulmen.core.transactions.funding import funding_output
from fulmen.core.wire.features import (
    OPTION_SHUTDOWN_ANYSEGWIT,
    OPTION_SUPPORT_LARGE_CHANNEL,
    OPTION_UPFRONT_SHUTDOWN_SCRIPT,
    Features,
    negotiated,
)
from fulmen.core.wire.messages.opening import AcceptChannel, OpenChannel

opener = Topic()


@opener.on(OpenTo)
def on_open_to(opening: Opening, event: OpenTo, env: Env) -> Step[Opening]:
    """Send `open_channel` to a connected peer.

    Raises:
        OpeningNotPossible: not connected, or terms that the peer has to refuse.
    """
    peer = connected_peer(env, event.node_id)
    ours, theirs = Features.from_bytes(peer.local_features), Features.from_bytes(peer.remote_features)
    policy = env.policy.opening
    if event.funding_sat < policy.min_funding_sat:
        raise OpeningNotPossible(
            "the channel is too small", funding_sat=event.funding_sat, least_sat=policy.min_funding_sat
        )
    # "otherwise: MUST set `funding_satoshis` to less than 2^24 satoshi."
    if event.funding_sat >= LARGE_FUNDING_SAT and not negotiated(ours, theirs, OPTION_SUPPORT_LARGE_CHANNEL):
        raise OpeningNotPossible("the peer takes no channel of 0.16777216 BTC or more", funding_sat=event.funding_sat)
    # "MUST set `push_msat` to equal or less than 1000 * `funding_satoshis`."
    if event.push_msat > to_msat(event.funding_sat):
        raise OpeningNotPossible("push_msat is more than the channel holds", push_msat=event.push_msat)

    upfront = negotiated(ours, theirs, OPTION_UPFRONT_SHUTDOWN_SCRIPT)
    check_close_to(event.close_to, upfront, anysegwit=negotiated(ours, theirs, OPTION_SHUTDOWN_ANYSEGWIT))

    key_index = int.from_bytes(env.entropy("channel key index", 6), "big")
    kind = channel_type(event, ours, theirs, policy)
    message = _open_channel(opening, event, env, key_index, kind, upfront)
    features = peer.local_features, peer.remote_features
    step = Step(opening).fact(Offered(event, key_index, message, *features, patient_until(env)))
    started = OpeningStarted(opening.temporary_channel_id)
    return step.act(to_peer(opening.node_id, started), Send(opening.node_id, message))


def _open_channel(opening: Opening, event: OpenTo, env: Env, key_index: int, kind: bytes, upfront: bool) -> OpenChannel:
    terms = our_terms(env, event.funding_sat, key_index)
    keys = terms.basepoints
    return OpenChannel(
        _chain_hash(env),
        opening.temporary_channel_id,
        event.funding_sat,
        event.push_msat,
        terms.dust_limit_sat,
        terms.max_htlc_value_in_flight_msat,
        terms.channel_reserve_sat,
        terms.htlc_minimum_msat,
        feerate_of_ours(format_named(format_of(kind)), event.funding_sat, env),
        terms.to_self_delay,
        terms.max_accepted_htlcs,
        *points_of(keys),
        env.per_commitment_point(key_index, 0),
        ANNOUNCE_CHANNEL if event.announce else 0,
        # "if both nodes advertised the `option_upfront_shutdown_script` feature: MUST include `upfront_shutdown_script`
        # with either a valid `shutdown_scriptpubkey` […], or a zero-length `shutdown_scriptpubkey`"
        upfront_shutdown_script=event.close_to if upfront else None,
        channel_type=kind,
    )


def _chain_hash(env: Env) -> ChainHash:
    return env.chain_hash


@opener.on(AcceptChannel)
def on_accept_channel(opening: Opening, msg: AcceptChannel, env: Env) -> Step[Opening]:
    """The peer accepts: ask the wallet for the funding.

    Raises:
        OpeningRefused: the peer's terms break BOLT 2 or our policy.
    """
    ours = opening.opened_with
    if opening.stage is not Stage.OFFERED or ours is None or opening.command is None:
        raise OpeningRefused(why="accept_channel without open_channel")
    ends = Features.from_bytes(opening.local_features), Features.from_bytes(opening.remote_features)
    check_accept(ours, msg, env.policy.opening, anysegwit=negotiated(*ends, OPTION_SHUTDOWN_ANYSEGWIT))
    funding = funding_output(ours.funding_pubkey, msg.funding_pubkey, ours.funding_satoshis)
    request = FundTransaction(
        opening.temporary_channel_id,
        opening.address,
        (Output(funding.amount_sat, funding.script_pubkey),),
        opening.command.funding_feerate_per_kw or env.feerates.opening_per_kw,
        opening.command.inputs,
        opening.command.minconf,
    )
    return Step(opening).fact(Accepted(msg)).act(Tell(WALLET, request))


@opener.on(Funded)
def on_funded(opening: Opening, event: Funded, env: Env) -> Step[Opening]:
    """The wallet has the coins: tell the channel to be."""
    ours, theirs, command = opening.opened_with, opening.accepted_with, opening.command
    if opening.stage is not Stage.ACCEPTED or ours is None or theirs is None or command is None:
        return Step(opening).act(Tell(WALLET, ReleaseFunding(event.ref)))
    tx = parse_tx(event.tx)
    wanted = funding_output(ours.funding_pubkey, theirs.funding_pubkey, ours.funding_satoshis)
    outpoint = OutPoint(tx.txid, tx.outputs.index(wanted))
    local, remote = terms_of(ours), terms_of(theirs)
    params = params_of(opening, outpoint, local, remote, is_opener=True)
    opened = Opened(
        params,
        Funding(outpoint, ours.funding_satoshis, params.format),
        ours.feerate_per_kw,
        Msat(to_msat(ours.funding_satoshis) - ours.push_msat),
        ours.push_msat,
        theirs.first_per_commitment_point,
        env.height,
    )
    proposal = ChannelProposed(
        Created(opened, event.ref, command.command_id, patient_until(env)),
        opening.temporary_channel_id,
        opening.local_features,
        opening.remote_features,
    )
    return Step(opening).fact(Over()).act(to_channel(params.channel_id, proposal), told_peer(opening))


@opener.on(FundingRefused)
def on_funding_refused(opening: Opening, event: FundingRefused, _env: Env) -> Step[Opening]:
    """The wallet cannot pay: tell the peer and the caller."""
    step = give_up(opening, OpeningNotPossible(event.text, why=event.why))
    return step.act(error_to_peer(opening, "the funding cannot be paid"))
