"""The states of a channel as tables of handlers, and the machine that the node mounts.

Each pair of state and message is handled or refused by name; the tests walk all of them.
"""

from __future__ import annotations

from fulmen.core.base.env import Env
from fulmen.core.base.ids import ChannelId
from fulmen.core.base.machine import CallerGone, Disconnected, Event, Lull, Step, Topic, Undelivered
from fulmen.core.base.mount import Check, CheckFailed, Mount
from fulmen.core.base.outer import (
    Answer,
    ChainRewound,
    HeightReached,
    OutputSpent,
    PublishFailed,
    TimeReached,
    TxConfirmed,
    Want,
    WantHeight,
    WantPublished,
    WantSpendWatch,
    WantTime,
    WantTxWatch,
)
from fulmen.core.base.peers import MessageReceived, PeerAlive, PeerReady
from fulmen.core.base.units import BlockHeight, Msat, Timestamp, to_msat
from fulmen.core.channel import (
    chain,
    closing,
    dance,
    deadlines,
    ending,
    failing,
    funding,
    reestablish,
    shutdown,
    updates,
)
from fulmen.core.channel.announcing import announced_at, announcing
from fulmen.core.channel.commands import CloseChannel, SetChannel
from fulmen.core.channel.facts import PolicySet, forget
from fulmen.core.channel.faults import (
    BadCommitmentSignature,
    BadRevocationSecret,
    ChannelNotUsable,
    ForwardTooHasty,
    UnexpectedMessage,
)
from fulmen.core.channel.limits import receivable_msat, spendable_later_msat, within_room
from fulmen.core.channel.opening import first_view
from fulmen.core.channel.patience import patience
from fulmen.core.channel.remembering import remembered
from fulmen.core.channel.state import Channel, Link, Phase
from fulmen.core.commitments.announcing import HalfHeard
from fulmen.core.commitments.building import build
from fulmen.core.commitments.close import ChannelResolved
from fulmen.core.commitments.commitment import LOCAL
from fulmen.core.commitments.htlcs import FailHtlc, FailMalformedHtlc, FulfillHtlc, LinkView, OfferHtlc, SeekOffer
from fulmen.core.commitments.view import view_of
from fulmen.core.signer.checks import CheckCommitment, CheckRevocation, disputed
from fulmen.core.signer.requests import SignFundingSpend, SignMutualClose
from fulmen.core.transactions.funding import funding_output
from fulmen.core.wire.features import OPTION_SCID_ALIAS, Features
from fulmen.core.wire.messages.closing import ClosingSigned
from fulmen.core.wire.messages.opening import FundingSigned
from fulmen.core.wire.messages.setup import WarningMessage
from fulmen.core.wire.messages.updates import (
    ChannelReestablish,
    CommitmentSigned,
    RevokeAndAck,
    UpdateAddHtlc,
    UpdateFee,
)

# -- what several states share ----------------------------------------------------------------------------------------

OLD_POLICY_S = 600
"""How long HTLCs may still meet a policy that was changed."""

settings = Topic()
nothing = Topic()
offers_refused = Topic()
bad_signatures = Topic()


@settings.on(SetChannel)
def on_set_channel(channel: Channel, event: SetChannel, env: Env) -> Step[Channel]:
    """The owner changes what forwarding costs.

    Raises:
        ForwardTooHasty: what goes out could be fetched back too late for what came in.
    """
    least = env.policy.deadlines.cltv_expiry_delta
    if event.forward.cltv_expiry_delta < least:
        raise ForwardTooHasty(cltv_expiry_delta=event.forward.cltv_expiry_delta, least=least)
    # BOLT 7: "SHOULD keep accepting the previous channel parameters for 10 minutes"
    previous, until = channel.forward or env.policy.forward, Timestamp(env.wall + OLD_POLICY_S)
    return Step(channel).fact(PolicySet(event.forward, previous, until)).act(Answer(event.command_id, event.forward))


@nothing.on(Undelivered, PublishFailed, CallerGone, WarningMessage, PeerAlive, TimeReached)
def on_nothing(channel: Channel, _event: Event, _env: Env) -> Step[Channel]:
    """News that changes nothing: others log it."""
    return Step(channel)


offers_refused.on(OfferHtlc)(updates.refuse_offer)


@bad_signatures.on(CheckFailed)
def on_bad_signature(channel: Channel, event: CheckFailed, env: Env) -> Step[Channel]:
    """A signature of the peer is wrong, on a commitment or on a closing transaction; or a secret that it revealed."""
    message = event.event.message if isinstance(event.event, MessageReceived) else None
    # "if `per_commitment_secret` is not a valid secret key or does not generate the previous `per_commitment_point`:
    # MUST send an `error` and fail the channel."
    if isinstance(message, RevokeAndAck):
        raise BadRevocationSecret(number=channel.remote.number)
    if isinstance(message, ClosingSigned):
        return closing.on_bad_signature(channel, event, env)
    raise BadCommitmentSignature(tx=disputed(event.check), number=channel.local.number + 1)


def ignoring(*types: type) -> Topic:
    """A topic in which these events change nothing."""
    topic = Topic()
    topic.on(*types)(on_nothing)
    return topic


# -- the states -------------------------------------------------------------------------------------------------------

_ALWAYS = failing.errors | nothing | settings | announcing | updates.seeking
_OVER = _ALWAYS.but(ending.over)
_WIRE = updates.adds | updates.settlements | updates.fees | dance.dance.but(shutdown.lulls)
_CHAIN = funding.funding | chain.blocks | chain.watching
_WITH_PEER = shutdown.shutdowns | patience
_LIVE = _ALWAYS.but(_WITH_PEER) | _WIRE | _CHAIN | failing.leaving | reestablish.reconnecting | bad_signatures
_QUIET = ignoring(Lull, Disconnected, FailHtlc, FailMalformedHtlc, updates.FeeratesChanged)

UNBORN = (
    failing.errors
    | funding.unborn
    | nothing
    | offers_refused
    | updates.seeking
    | ignoring(
        Disconnected,
        Lull,
        ChainRewound,
        FulfillHtlc,
        FailHtlc,
        FailMalformedHtlc,
        HalfHeard,
        updates.FeeratesChanged,
    )
)

TABLE: dict[Phase, Topic] = {
    Phase.NONE: UNBORN,
    Phase.CREATED: nothing.but(funding.created)
    | offers_refused
    | updates.seeking
    | ignoring(Lull, HeightReached, ChainRewound, PeerReady, HalfHeard, updates.FeeratesChanged),
    Phase.AWAITING_READY: _LIVE,
    Phase.NORMAL: _LIVE,
    Phase.SHUTDOWN: _LIVE.but(closing.negotiation).but(bad_signatures),
    Phase.CLOSING: (
        _ALWAYS.but(shutdown.agreed)
        | _CHAIN
        | failing.leaving
        | reestablish.reconnecting
        | closing.late
        | offers_refused
        | ignoring(Lull, FailHtlc, FailMalformedHtlc, FulfillHtlc, updates.FeeratesChanged)
    ),
    Phase.FAILED: (_OVER | _CHAIN | reestablish.dead | offers_refused | chain.claims_before_spend | _QUIET),
    Phase.SPENT: (
        _OVER
        | chain.spent
        | chain.blocks_after_spend
        | reestablish.dead
        | offers_refused
        | _QUIET
        | ignoring(OutputSpent, TxConfirmed)
    ),
    Phase.CLOSED: (
        failing.errors
        | nothing
        | offers_refused
        | updates.seeking
        | _QUIET
        | ignoring(
            PeerReady,
            FulfillHtlc,
            HeightReached,
            ChainRewound,
            OutputSpent,
            TxConfirmed,
            ChannelResolved,
            SetChannel,
            HalfHeard,
        )
    ),
}
"""Which handler takes what in which phase."""


def decide(channel: Channel, event: Event, env: Env) -> Step[Channel]:
    """What a channel makes of an event.

    Raises:
        PeerFault, Refused: the event broke a rule; it comes back as `Faulted`.
    """
    what = event.message if isinstance(event, MessageReceived) else event
    handler = TABLE[channel.phase].get(type(what))
    if handler is None and what is not event and channel.phase in _DEAF:
        # "if a channel is in an error state: SHOULD […] ignore any other packets for that channel."
        return Step(channel)
    if handler is None and what is event:
        raise ChannelNotUsable(what=type(what).__name__, phase=channel.phase.name.lower())
    if handler is None:
        raise UnexpectedMessage(what=type(what).__name__, phase=channel.phase.name.lower())
    # "MUST wait to receive the other node's `channel_reestablish` message before sending any other messages"; what
    # the peer says before its own is out of order, too.
    if what is not event and channel.link is not Link.READY and type(what) not in _BEFORE_REESTABLISHED:
        raise UnexpectedMessage(what=type(what).__name__, link=channel.link.name.lower())
    # "Once both nodes have exchanged `channel_ready` […], the channel can be used to make payments": before, its
    # funding may be an invention, and an HTLC that came over it would be paid on for nothing.
    if isinstance(what, _AFTER_READY) and not _is_ready(channel):
        raise UnexpectedMessage(what=type(what).__name__, ready=False)
    step: Step[Channel] = handler(channel, what, env)
    return step


def _is_ready(channel: Channel) -> bool:
    return channel.ready_sent and channel.ready_received


_AFTER_READY = (UpdateAddHtlc, UpdateFee, CommitmentSigned)
_DEAF = (Phase.FAILED, Phase.SPENT, Phase.CLOSED)
_BEFORE_REESTABLISHED = (ChannelReestablish, WarningMessage)


def checks(channel: Channel, event: Event, env: Env) -> tuple[Check, ...]:
    """The peer's signatures that have to be good before their message is decided."""
    if not isinstance(event, MessageReceived):
        return ()
    message = event.message
    if isinstance(message, CommitmentSigned):
        if channel.phase not in failing.LIVE or channel.link is not Link.READY or not _is_ready(channel):
            return ()
        view = dance.local_view(channel, channel.local_pending, env)
        if len(message.htlc_signature) != channel.local_pending.totals.output_count:
            return ()  # refused by its number
        return (CheckCommitment(view, message.signature, message.htlc_signature),)
    if isinstance(message, RevokeAndAck):
        if channel.phase not in failing.LIVE or channel.link is not Link.READY or channel.remote_next is None:
            return ()
        secret = message.per_commitment_secret
        return (CheckRevocation(channel.terms.key_index, channel.remote.number, channel.remote_point, secret),)
    if isinstance(message, FundingSigned) and channel.phase is Phase.CREATED:
        opened = funding.proposal(channel).opened
        return (CheckCommitment(first_view(opened, env), message.signature),)
    if isinstance(message, ClosingSigned):
        return closing.closing_checks(channel, message)
    return ()


# -- wants and view ---------------------------------------------------------------------------------------------------


def wants(channel: Channel) -> tuple[Want, ...]:
    """What has to be in place for a channel in this state (derivable, so nothing of it is stored)."""
    if channel.phase is Phase.CREATED and (until := funding.patient_until(channel)):
        return (WantTime(until),)
    if channel.phase in (Phase.NONE, Phase.CREATED, Phase.CLOSED):
        return ()
    terms, carried = channel.terms, channel.funding
    local, remote = terms.local.basepoints.funding_pubkey, terms.remote.basepoints.funding_pubkey
    script = funding_output(local, remote, carried.amount_sat).script_pubkey
    found: list[Want] = []
    if carried.confirmed is None:
        found.append(WantTxWatch(carried.outpoint.txid, script, channel.funding_broadcast_at))
    found.append(WantSpendWatch(carried.outpoint, script, channel.funding_broadcast_at))
    height = _next_height(channel)
    if height is not None:
        found.append(WantHeight(height))
    if channel.close_alone_at is not None and channel.phase in failing.LIVE:
        found.append(WantTime(channel.close_alone_at))
    publish = _wanted_transaction(channel)
    if publish is not None:
        found.append(publish)
    return tuple(found)


def _next_height(channel: Channel) -> BlockHeight | None:
    if channel.phase is Phase.SPENT:
        assert channel.spent_in is not None
        return BlockHeight(channel.spent_in.height + 1)
    heights: list[int] = []
    if chain.keeps_from_owners(channel):
        heights.append(channel.funding_broadcast_at)
    deadline = deadlines.next_deadline(channel, 0, channel.fulfilled_deadline)
    if deadline is not None:
        heights.append(deadline)
    if (channel.close_alone_at is not None or channel.deferred is not None) and channel.phase in failing.LIVE:
        heights.append(channel.funding_broadcast_at)  # each block: its time may have come while we could not ask
    if channel.funding.confirmed is None:
        heights.append(channel.funding_broadcast_at + 144)
    elif channel.scid is None:
        heights.append(channel.funding.confirmed.height + 1)
    return BlockHeight(min(heights)) if heights else None


def _wanted_transaction(channel: Channel) -> WantPublished | None:
    if channel.phase is Phase.CLOSING:
        tx, agreed = closing.agreed_tx(channel)
        request = SignMutualClose(closing.sign_closing(channel, tx, agreed.highest_fee_sat), agreed.peer_signature)
        return WantPublished("mutual close", tx.serialize(), (request,))
    # Law 9: a channel that learnt that it is behind never publishes.
    if channel.phase is Phase.FAILED and not channel.outdated:
        view = view_of(
            channel.local, channel.terms, channel.funding, channel.local_point, channel.local_log, channel.remote_log
        )
        assert view.side is LOCAL
        return WantPublished("our commitment", build(view).tx.serialize(), (SignFundingSpend(view),))
    return None


def view(channel: Channel) -> LinkView | None:
    """What a channel shows to circuits, payments and the graph."""
    if channel.phase in (Phase.NONE, Phase.CREATED, Phase.CLOSED):
        return None
    terms, totals = channel.terms, channel.local_pending.totals
    open_ = channel.phase is Phase.NORMAL and not channel.frozen
    open_ = open_ and channel.shutdown_wanted is None
    usable = open_ and channel.link is Link.READY
    later_msat = spendable_later_msat(channel) if open_ else Msat(0)
    now_msat = within_room(channel, later_msat) if usable else Msat(0)
    return LinkView(
        terms.channel_id,
        terms.node_id,
        usable,
        now_msat,
        receivable_msat(channel) if usable else Msat(0),
        to_msat(channel.funding.amount_sat),
        terms.remote.htlc_minimum_msat,
        channel.scid,
        channel.local_aliases[-1] if channel.local_aliases else None,
        channel.remote_alias,
        terms.announce,
        forward=channel.forward,
        previous_forward=channel.previous_forward,
        previous_forward_until=channel.previous_forward_until,
        announced_at=announced_at(channel),
        away_msat=later_msat if later_msat > now_msat else Msat(0),
        scid_alias_only=Features.from_bytes(terms.channel_type).has(OPTION_SCID_ALIAS),
        unfunded=_is_unfunded(channel),
        received_count=totals.received_count,
        received_msat=totals.received_msat,
        received_outputs=min(totals.received_count, totals.output_count),
    )


def _is_unfunded(channel: Channel) -> bool:
    """Whether the peer, whom we do not trust, has yet to pay for the channel that it opened."""
    terms = channel.terms
    if terms.is_opener or terms.minimum_depth == 0 or channel.phase is Phase.SPENT:
        return False
    return channel.scid is None


def initial(key: bytes) -> Channel:
    """A channel that is not yet."""
    return Channel(channel_id=ChannelId(key))


def takes_frozen(_channel: Channel, event: Event) -> bool:
    """What a frozen channel still does: watching, preimages, the close at a deadline (laws 8 and 11).

    It also says which offers it holds: those that it does not are nobody else's to give back.
    """
    watching = (TxConfirmed, OutputSpent, ChainRewound, HeightReached, TimeReached, ChannelResolved)
    return isinstance(event, (*watching, FulfillHtlc, Disconnected, OfferHtlc, SeekOffer)) or (
        isinstance(event, CloseChannel) and event.force
    )


MOUNT = Mount(
    kind="channel",
    initial=initial,
    decide=decide,
    crash=(Disconnected(),),
    forget=forget,
    wants=wants,
    checks=checks,
    view=view,
    ended=lambda channel: channel.phase is Phase.CLOSED,
    takes_frozen=takes_frozen,
    record=remembered,
    frozen=lambda channel, reason: channel.but(frozen=reason is not None),
    lulls=True,
)
