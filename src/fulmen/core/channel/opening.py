"""Opening a channel, version 1: from the wish to the first signature, with nothing at stake and nothing stored.

The machine lives under (node id, temporary_channel_id). All its facts pass: what is not finished is forgotten with the
connection. It ends by telling a channel to be. BOLT 2, "Channel Establishment v1".
"""

from __future__ import annotations

import enum
from typing import Any, ClassVar

from fulmen.core.base.env import Basepoints, Env
from fulmen.core.base.faults import Fault, PeerFault, Refused
from fulmen.core.base.funds import Funded, FundingRefused, FundTransaction, Output, ReleaseFunding
from fulmen.core.base.ids import ChainHash, ChannelId, CommandId, NodeId, OutPoint, Point, channel_id_of
from fulmen.core.base.machine import (
    Address,
    Disconnected,
    Fact,
    Faulted,
    Step,
    Tell,
    Topic,
    Undelivered,
    evolves,
    to_channel,
    to_peer,
)
from fulmen.core.base.mount import Check, CheckFailed, Mount
from fulmen.core.base.outer import Answer, Notify, Send
from fulmen.core.base.peers import ChannelErrored, MessageReceived, OpeningEnded, OpeningStarted, PeerView
from fulmen.core.base.record import Record
from fulmen.core.base.units import FeeratePerKw, Msat, Sat, to_msat
from fulmen.core.bitcoin.transaction import parse_tx
from fulmen.core.channel.commands import OpenTo
from fulmen.core.channel.facts import Created, Opened
from fulmen.core.channel.failing import printable
from fulmen.core.channel.faults import BadFundingSignature, OpeningNotPossible, OpeningRefused
from fulmen.core.channel.funding import WALLET, ChannelBorn, ChannelProposed
from fulmen.core.channel.terms import (
    channel_type,
    check_accept,
    check_open,
    format_of,
    minimum_depth,
    our_terms,
    terms_of,
)
from fulmen.core.commitments.commitment import LOCAL
from fulmen.core.commitments.params import ChannelParams, Funding, PartyParams
from fulmen.core.commitments.view import CommitmentView
from fulmen.core.signer.checks import CheckCommitment
from fulmen.core.transactions.funding import funding_output
from fulmen.core.wire.features import (
    OPTION_SUPPORT_LARGE_CHANNEL,
    OPTION_UPFRONT_SHUTDOWN_SCRIPT,
    Features,
    negotiated,
)
from fulmen.core.wire.messages.opening import AcceptChannel, FundingCreated, OpenChannel
from fulmen.core.wire.messages.setup import ErrorMessage

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
    )


@evolves(Over)
def _over(opening: Opening, _: Over) -> Opening:
    return Opening(opening.node_id, opening.temporary_channel_id, Stage.OVER)


opener = Topic()
accepter = Topic()
ending = Topic()


# -- we open ----------------------------------------------------------------------------------------------------------


@opener.on(OpenTo)
def on_open_to(opening: Opening, event: OpenTo, env: Env) -> Step[Opening]:
    """Send `open_channel` to a connected peer.

    Raises:
        OpeningNotPossible: not connected, or terms that the peer has to refuse.
    """
    peer = _peer(env, event.node_id)
    ours, theirs = Features.from_bytes(peer.local_features), Features.from_bytes(peer.remote_features)
    policy = env.policy.opening
    if event.funding_sat < policy.min_funding_sat:
        raise OpeningNotPossible(
            "the channel is too small", funding_sat=event.funding_sat, least=policy.min_funding_sat
        )
    # "otherwise: MUST set `funding_satoshis` to less than 2^24 satoshi."
    if event.funding_sat >= LARGE_FUNDING_SAT and not negotiated(ours, theirs, OPTION_SUPPORT_LARGE_CHANNEL):
        raise OpeningNotPossible("the peer takes no channel of 0.16777216 BTC or more", funding_sat=event.funding_sat)
    # "MUST set `push_msat` to equal or less than 1000 * `funding_satoshis`."
    if event.push_msat > to_msat(event.funding_sat):
        raise OpeningNotPossible("push_msat is more than the channel holds", push_msat=event.push_msat)

    key_index = int.from_bytes(env.entropy("channel key index", 6), "big")
    kind = channel_type(event, ours, theirs, policy)
    message = _open_channel(
        opening, event, env, key_index, kind, negotiated(ours, theirs, OPTION_UPFRONT_SHUTDOWN_SCRIPT)
    )
    step = Step(opening).fact(Offered(event, key_index, message, peer.local_features, peer.remote_features))
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
        opening_feerate(env, kind),
        terms.to_self_delay,
        terms.max_accepted_htlcs,
        *_points(keys),
        env.per_commitment_point(key_index, 0),
        ANNOUNCE_CHANNEL if event.announce else 0,
        # "if both nodes advertised the `option_upfront_shutdown_script` feature: MUST include […] a zero-length"
        upfront_shutdown_script=b"" if upfront else None,
        channel_type=kind,
    )


def opening_feerate(env: Env, kind: bytes) -> FeeratePerKw:
    """The first commitment's feerate: with anchors a small one is enough, for they can add to it."""
    limits = env.policy.commitment
    wanted = env.feerates.commitment_per_kw
    if format_of(kind) != "static_remotekey":
        wanted = FeeratePerKw(min(wanted, limits.anchor_feerate_cap_per_kw))
    return FeeratePerKw(min(max(wanted, limits.feerate_min_per_kw), limits.feerate_max_per_kw))


def _points(keys: Basepoints) -> tuple[Point, Point, Point, Point, Point]:
    return (
        keys.funding_pubkey,
        keys.revocation_basepoint,
        keys.payment_basepoint,
        keys.delayed_payment_basepoint,
        keys.htlc_basepoint,
    )


def _peer(env: Env, node_id: NodeId) -> PeerView:
    view = env.views.get(f"peer:{node_id.hex()}")
    if not isinstance(view, PeerView) or not view.ready:
        raise OpeningNotPossible("the peer is not connected", node_id=node_id)
    return view


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
    check_accept(ours, msg, env.policy.opening)
    funding = funding_output(ours.funding_pubkey, msg.funding_pubkey, ours.funding_satoshis)
    request = FundTransaction(
        opening.temporary_channel_id,
        opening.address,
        (Output(funding.amount_sat, funding.script_pubkey),),
        opening.command.funding_feerate_per_kw or env.feerates.opening_per_kw,
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
    params = _params(opening, outpoint, local, remote, is_opener=True)
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
        Created(opened, event.ref, command.command_id),
        opening.temporary_channel_id,
        opening.local_features,
        opening.remote_features,
    )
    return Step(opening).fact(Over()).act(to_channel(params.channel_id, proposal), _told_peer(opening))


@opener.on(FundingRefused)
def on_funding_refused(opening: Opening, event: FundingRefused, _env: Env) -> Step[Opening]:
    """The wallet cannot pay: tell the peer and the caller."""
    step = _give_up(opening, OpeningNotPossible(event.text, why=event.why))
    return step.act(_error(opening, "the funding cannot be paid"))


def _params(
    opening: Opening, outpoint: OutPoint, local: PartyParams, remote: PartyParams, *, is_opener: bool
) -> ChannelParams:
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
        accepted_with.minimum_depth,
        local,
        remote,
    )


# -- the peer opens ---------------------------------------------------------------------------------------------------


@accepter.on(OpenChannel)
def on_open_channel(opening: Opening, msg: OpenChannel, env: Env) -> Step[Opening]:
    """The peer wants a channel that it funds.

    Raises:
        OpeningRefused: its terms break BOLT 2 or our policy.
    """
    if opening.stage not in (Stage.NEW, Stage.OVER):
        raise OpeningRefused(why="this temporary_channel_id is in use")
    peer = _peer(env, opening.node_id)
    check_open(msg, env, peer)
    assert msg.channel_type is not None
    key_index = int.from_bytes(env.entropy("channel key index", 6), "big")
    terms = our_terms(env, msg.funding_satoshis, key_index)
    # "MUST set `channel_reserve_satoshis` greater than or equal to `dust_limit_satoshis` from the `open_channel`"
    reserve = Sat(max(terms.channel_reserve_sat, msg.dust_limit_satoshis))
    answer = AcceptChannel(
        msg.temporary_channel_id,
        # "MUST set `dust_limit_satoshis` less than or equal to `channel_reserve_satoshis` from the `open_channel`"
        terms.dust_limit_sat,
        terms.max_htlc_value_in_flight_msat,
        reserve,
        terms.htlc_minimum_msat,
        minimum_depth(msg.channel_type, msg.funding_satoshis, env.policy.opening),
        terms.to_self_delay,
        terms.max_accepted_htlcs,
        *_points(terms.basepoints),
        env.per_commitment_point(key_index, 0),
        upfront_shutdown_script=b"",
        # "MUST set `channel_type` to the `channel_type` from `open_channel`."
        channel_type=msg.channel_type,
    )
    step = Step(opening).fact(AcceptedTheirs(key_index, msg, answer, peer.local_features, peer.remote_features))
    return step.act(Send(opening.node_id, answer))


@accepter.on(FundingCreated)
def on_funding_created(opening: Opening, msg: FundingCreated, env: Env) -> Step[Opening]:
    """The opener's first signature is good (`checks`): tell the channel to be; it answers `funding_signed`."""
    opened = _their_opened(opening, msg, env)
    born = ChannelBorn(opened, opening.local_features, opening.remote_features)
    return Step(opening).fact(Over()).act(to_channel(opened.params.channel_id, born), _told_peer(opening))


def _their_opened(opening: Opening, msg: FundingCreated, env: Env) -> Opened:
    theirs, ours = opening.opened_with, opening.accepted_with
    if opening.stage is not Stage.AWAITING_FUNDING or theirs is None or ours is None:
        raise OpeningRefused(why="funding_created without open_channel")
    outpoint = OutPoint(msg.funding_txid, msg.funding_output_index)
    # A reused outpoint would make two channels of one (cln#9318).
    if f"channel:{channel_id_of(outpoint).hex()}" in env.views:
        raise OpeningRefused(why="this outpoint carries a channel already")
    params = _params(opening, outpoint, terms_of(ours), terms_of(theirs), is_opener=False)
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
def on_bad_signature(opening: Opening, _event: CheckFailed, _env: Env) -> Step[Opening]:
    """ "if `signature` is incorrect OR non-compliant with LOW-S-standard rule": refuse."""
    raise BadFundingSignature(temporary_channel_id=opening.temporary_channel_id)


def checks(opening: Opening, event: Any, env: Env) -> tuple[Check, ...]:
    """The opener's signature on our first commitment."""
    if not isinstance(event, MessageReceived) or not isinstance(event.message, FundingCreated):
        return ()
    if opening.stage is not Stage.AWAITING_FUNDING:
        return ()
    opened = _their_opened(opening, event.message, env)
    return (CheckCommitment(first_view(opened, env), opened.funding.peer_signature),)


def first_view(opened: Opened, env: Env) -> CommitmentView:
    """Our commitment number 0, spelled out."""
    params = opened.params
    point = env.per_commitment_point(params.key_index, 0)
    return CommitmentView(
        params, opened.funding, LOCAL, 0, point, opened.feerate_per_kw, opened.local_msat, opened.remote_msat, ()
    )


# -- the end ----------------------------------------------------------------------------------------------------------


@ending.on(Disconnected)
def on_disconnected(opening: Opening, _event: Disconnected, _env: Env) -> Step[Opening]:
    """ "SHOULD NOT remember the channel for reconnection"."""
    return _give_up(opening, OpeningNotPossible("the peer disconnected while the channel was being opened"))


@ending.on(ChannelErrored)
def on_channel_errored(opening: Opening, event: ChannelErrored, _env: Env) -> Step[Opening]:
    """The peer will not have this channel."""
    return _give_up(opening, OpeningNotPossible(f"the peer refused: {printable(event.data)}"))


@ending.on(Undelivered)
def on_undelivered(opening: Opening, event: Undelivered, _env: Env) -> Step[Opening]:
    """Whoever was told refused it."""
    return _give_up(opening, OpeningNotPossible(str(event.fault)))


@ending.on(Faulted)
def on_faulted(opening: Opening, event: Faulted, _env: Env) -> Step[Opening]:
    """A refusal for our caller, or a broken rule of the peer: either way the opening is over."""
    fault = event.why
    if isinstance(fault, Refused) and isinstance(event.event, OpenTo):
        return Step(opening).act(Answer(event.event.command_id, refused=fault))
    step = _give_up(opening, OpeningNotPossible(str(fault)))
    if isinstance(fault, PeerFault):
        step.act(_error(opening, str(fault)))
        about = {"node_id": opening.node_id.hex(), "why": str(fault)}
        step.act(Notify("opening_refused", about))
    return step


def _give_up(opening: Opening, why: Fault) -> Step[Opening]:
    step = Step(opening)
    command_id: CommandId | None = opening.command.command_id if opening.command is not None else None
    if opening.stage is Stage.ACCEPTED:
        step.act(Tell(WALLET, ReleaseFunding(opening.temporary_channel_id)))
    if opening.stage is not Stage.OVER:
        step.fact(Over()).act(_told_peer(opening))
    if command_id is not None:
        step.act(Answer(command_id, refused=why))
    return step


def _told_peer(opening: Opening) -> Tell:
    return to_peer(opening.node_id, OpeningEnded(opening.temporary_channel_id))


def _error(opening: Opening, text: str) -> Send:
    return Send(opening.node_id, ErrorMessage(opening.temporary_channel_id, text.encode()))


# -- the machine ------------------------------------------------------------------------------------------------------

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


MOUNT = Mount(
    kind="opening",
    initial=initial,
    decide=decide,
    crash=(Disconnected(),),
    forget=forget,
    checks=checks,
    ended=lambda opening: opening.stage is Stage.OVER,
)
