"""From the signed funding to a usable channel: confirmations, `channel_ready`, aliases and the real scid.

BOLT 2, "The `funding_signed` Message" and "The `channel_ready` Message".
"""

from __future__ import annotations

from fulmen.core.base.env import Env
from fulmen.core.base.funds import ReleaseFunding, SpendFunding
from fulmen.core.base.ids import ChannelId, Point, ShortChannelId, scid
from fulmen.core.base.machine import Address, Disconnected, Event, Faulted, Step, Tell, Topic, to_peer
from fulmen.core.base.mount import CheckFailed
from fulmen.core.base.outer import Answer, ChainRewound, Notify, Send, TimeReached, TxConfirmed
from fulmen.core.base.peers import ChannelAttached, ChannelDetached, ChannelErrored, PeerReady
from fulmen.core.base.units import Timestamp
from fulmen.core.bitcoin.transaction import parse_tx
from fulmen.core.channel.commands import ChannelOpening
from fulmen.core.channel.dance import UNSIGNED, remote_view
from fulmen.core.channel.facts import (
    Created,
    FundingConfirmed,
    FundingUnconfirmed,
    LinkChanged,
    Opened,
    ReadyReceived,
    ReadySent,
    ScidAssigned,
)
from fulmen.core.channel.failing import fail, keep_deadline, printable, send_error, words_to_peer
from fulmen.core.channel.faults import BadFundingSignature, FundingMismatch, OpeningNotPossible, TooManyAliases
from fulmen.core.channel.state import Channel, Link, Phase
from fulmen.core.signer.checks import disputed
from fulmen.core.signer.requests import SignCommitment
from fulmen.core.transactions.funding import funding_output
from fulmen.core.wire.messages.opening import ChannelReady, FundingCreated, FundingSigned

ALIAS_BLOCK = 16_000_000
"""Aliases name blocks that come in some three hundred years, so that none is ever a real channel."""
COINBASE_MATURITY = 100
MAX_ALIASES = 32
"""How many different aliases a peer may give a channel in all its life; one or two are enough."""

WALLET = Address("wallet")


class ChannelProposed(Event):
    """To a new channel, as its opener: the peer accepted and the wallet has the coins."""

    created: Created
    temporary_channel_id: ChannelId
    local_features: bytes
    remote_features: bytes


class ChannelBorn(Event):
    """To a new channel, as its accepter: the opener's first signature was good."""

    opened: Opened
    local_features: bytes
    remote_features: bytes


unborn = Topic()
created = Topic()
funding = Topic()


@unborn.on(ChannelProposed)
def on_channel_proposed(channel: Channel, event: ChannelProposed, _env: Env) -> Step[Channel]:
    """Send `funding_created`: the funding's outpoint and our signature on the peer's first commitment."""
    step = Step(channel).fact(event.created)
    step.fact(LinkChanged(Link.READY, event.local_features, event.remote_features))
    state = step.state
    outpoint = state.funding.outpoint
    message = FundingCreated(event.temporary_channel_id, outpoint.txid, outpoint.vout, UNSIGNED)
    view = remote_view(state, state.remote, state.remote_point)
    return step.act(
        to_peer(state.terms.node_id, ChannelAttached(state.terms.channel_id)),
        Send(state.terms.node_id, message, (SignCommitment(view, with_htlcs=False),)),
    )


@unborn.on(ChannelBorn)
def on_channel_born(channel: Channel, event: ChannelBorn, env: Env) -> Step[Channel]:
    """Remember the channel, then send `funding_signed`."""
    step = Step(channel).fact(event.opened)
    step.fact(LinkChanged(Link.READY, event.local_features, event.remote_features))
    state = step.state
    view = remote_view(state, state.remote, state.remote_point)
    step.act(
        to_peer(state.terms.node_id, ChannelAttached(state.terms.channel_id)),
        Send(
            state.terms.node_id,
            FundingSigned(state.terms.channel_id, UNSIGNED),
            (SignCommitment(view, with_htlcs=False),),
        ),
    )
    step.then(lambda now: keep_deadline(now, env))
    return step.then(lambda now: perhaps_ready(now, env))


@created.on(FundingSigned)
def on_funding_signed(channel: Channel, msg: FundingSigned, env: Env) -> Step[Channel]:
    """The peer signed our first commitment (`checks` found it good): now the funding may go out.

    "MUST NOT broadcast the funding transaction before receipt of a valid `funding_signed`."
    """
    proposed = proposal(channel)
    signed = proposed.opened.funding.but(peer_signature=msg.signature)
    step = Step(channel).fact(proposed.opened.but(funding=signed))
    step.act(Tell(WALLET, SpendFunding(proposed.wallet_ref)))
    outpoint = signed.outpoint
    if proposed.command_id is not None:
        answer = ChannelOpening(channel.terms.channel_id, outpoint.txid, outpoint.vout)
        step.act(Answer(proposed.command_id, answer))
    step.then(lambda state: keep_deadline(state, env))
    return step.then(lambda state: perhaps_ready(state, env))


def abandon(channel: Channel, why: str) -> Step[Channel]:
    """Forget a channel whose `funding_signed` never came: its coins are free, and its caller hears of it."""
    proposed = proposal(channel)
    step = Step(channel).fact(LinkChanged(Link.OFFLINE)).act(Tell(WALLET, ReleaseFunding(proposed.wallet_ref)))
    step.act(to_peer(channel.terms.node_id, ChannelDetached(channel.channel_id)))
    if proposed.command_id is not None:
        step.act(Answer(proposed.command_id, refused=OpeningNotPossible(why)))
    return step


def patient_until(channel: Channel) -> Timestamp:
    """When we give up waiting for `funding_signed`; 0: never."""
    return channel.created.until if isinstance(channel.created, Created) else Timestamp(0)


def proposal(channel: Channel) -> Created:
    """What we proposed in `funding_created`."""
    assert isinstance(channel.created, Created)
    return channel.created


@created.on(Disconnected)
def on_disconnected(channel: Channel, _event: Disconnected, _env: Env) -> Step[Channel]:
    """Nothing was broadcast: "SHOULD NOT remember the channel for reconnection"."""
    return abandon(channel, "the peer disconnected before it signed")


@created.on(TimeReached)
def on_time_reached(channel: Channel, _event: TimeReached, env: Env) -> Step[Channel]:
    """The peer stays silent, and answers every ping: our coins were promised to it for as long as it likes."""
    until = patient_until(channel)
    if not until or env.wall < until:
        return Step(channel)
    why = "the peer did not sign in time"
    return abandon(channel, why).act(send_error(channel, why))


@created.on(ChannelErrored)
def on_channel_errored(channel: Channel, event: ChannelErrored, _env: Env) -> Step[Channel]:
    """The peer changed its mind."""
    return abandon(channel, f"the peer refused: {printable(event.data)}")


@created.on(Faulted)
def on_faulted(channel: Channel, event: Faulted, _env: Env) -> Step[Channel]:
    """The peer broke a rule before anything was at stake."""
    return abandon(channel, str(event.why)).act(send_error(channel, words_to_peer(event.why)))


@created.on(CheckFailed)
def on_bad_funding_signature(channel: Channel, event: CheckFailed, _env: Env) -> Step[Channel]:
    """ "if `signature` is incorrect OR non-compliant with LOW-S-standard rule": fail, before anything is at stake."""
    raise BadFundingSignature(tx=disputed(event.check), channel_id=channel.terms.channel_id)


@unborn.on(PeerReady)
def on_peer_ready(channel: Channel, event: PeerReady, _env: Env) -> Step[Channel]:
    """A crash came between `funding_created` and `funding_signed`: the peer machine may forget this name."""
    return Step(channel).act(to_peer(event.node_id, ChannelDetached(channel.channel_id)))


# -- confirmations ----------------------------------------------------------------------------------------------------


@funding.on(TxConfirmed)
def on_tx_confirmed(channel: Channel, event: TxConfirmed, env: Env) -> Step[Channel]:
    """The funding transaction is in a block: check what it pays before anything is said (CVE-2019-12998)."""
    if event.txid != channel.funding.outpoint.txid or channel.funding.confirmed is not None:
        return Step(channel)
    if not pays_as_agreed(channel, event.tx):
        reason = FundingMismatch(outpoint=channel.funding.outpoint)
        return fail(channel, env, str(reason), str(reason))
    step = Step(channel).fact(FundingConfirmed(event.block, event.index))
    return step.then(lambda state: on_depth(state, env))


def pays_as_agreed(channel: Channel, raw_tx: bytes) -> bool:
    """Whether the funding outpoint "pays exactly `funding_satoshis` to the scriptpubkey specified in BOLT #3"."""
    outputs = parse_tx(raw_tx).outputs
    vout = channel.funding.outpoint.vout
    if vout >= len(outputs):
        return False
    terms = channel.terms
    local, remote = terms.local.basepoints.funding_pubkey, terms.remote.basepoints.funding_pubkey
    return outputs[vout] == funding_output(local, remote, channel.funding.amount_sat)


@funding.on(ChainRewound)
def on_chain_rewound(channel: Channel, event: ChainRewound, _env: Env) -> Step[Channel]:
    """The block that held our funding is no longer in the chain."""
    confirmed = channel.funding.confirmed
    if confirmed is None or confirmed.height <= event.to:
        return Step(channel)
    return Step(channel).fact(FundingUnconfirmed())


def depth_needed(channel: Channel) -> int:
    """Confirmations until `channel_ready`, and until the real scid is used."""
    depth = max(1, channel.terms.minimum_depth)
    # A coinbase can be undone for 100 blocks without a double spend (bolts#1338).
    if channel.funding.confirmed is not None and channel.funding.index_in_block == 0:
        return max(depth, COINBASE_MATURITY)
    return depth


def on_depth(channel: Channel, env: Env) -> Step[Channel]:
    """A block came: is the funding deep enough for its scid, and for `channel_ready`?"""
    step = Step(channel)
    confirmed = channel.funding.confirmed
    if confirmed is None or env.height < confirmed.height + depth_needed(channel) - 1:
        return step
    if channel.scid is None:
        place = scid(confirmed.height, channel.funding.index_in_block, channel.funding.outpoint.vout)
        step.fact(ScidAssigned(place))
        step.act(Notify("channel_confirmed", {"channel_id": channel.terms.channel_id.hex(), "height": env.height}))
    return step.then(lambda state: perhaps_ready(state, env))


# -- channel_ready ----------------------------------------------------------------------------------------------------


def perhaps_ready(channel: Channel, env: Env) -> Step[Channel]:
    """Send the first `channel_ready` when the funding is deep enough, or at once where the opener is trusted."""
    step = Step(channel)
    if channel.ready_sent or channel.phase not in (Phase.AWAITING_READY, Phase.SHUTDOWN):
        return step
    if channel.terms.minimum_depth > 0 and channel.scid is None:
        return step
    step.fact(ReadySent(new_alias(env)))
    if channel.link is Link.READY:
        step.act(send_channel_ready(step.state, env))
    return step


def new_alias(env: Env) -> ShortChannelId:
    """A name for the channel that no block will ever give, unrelated to the real one."""
    number = int.from_bytes(env.entropy("channel alias", 7), "big")
    return scid(ALIAS_BLOCK + number % 250_000, (number >> 18) % (1 << 20), (number >> 38) % (1 << 16))


def send_channel_ready(channel: Channel, env: Env) -> Send:
    """`channel_ready` with our newest alias, first or again."""
    terms = channel.terms
    point = env.per_commitment_point(terms.key_index, 1)
    return Send(terms.node_id, ChannelReady(terms.channel_id, point, channel.local_aliases[-1]))


@funding.on(ChannelReady)
def on_channel_ready(channel: Channel, msg: ChannelReady, _env: Env) -> Step[Channel]:
    """The peer is ready, or gives the channel another alias.

    "MUST ignore any redundant `channel_ready` it receives."

    Raises:
        TooManyAliases: each new one is a write to the disk, and no peer needs many (law 7). We may go on with any of
            them: "MUST always recognize the `alias` as a `short_channel_id` for incoming HTLCs to this channel."
    """
    if channel.ready_received and msg.alias in (None, channel.remote_alias):
        return Step(channel)
    if channel.remote_aliases >= MAX_ALIASES:
        raise TooManyAliases(most=MAX_ALIASES)
    second = Point(msg.second_per_commitment_point)
    return Step(channel).fact(ReadyReceived(second, msg.alias))
