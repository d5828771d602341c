"""Blocks, and the spending of the funding output: when the chain speaks about a channel.

BOLT 5 begins where this file ends: a commitment transaction in a block is handed to onchain as a `ChannelAtClose`.
"""

from __future__ import annotations

from fulmen.core.base.env import Env
from fulmen.core.base.ids import OFFERED, RECEIVED, HtlcKey
from fulmen.core.base.machine import Step, Tell, Topic, to_peer
from fulmen.core.base.outer import ChainRewound, HangUp, HeightReached, Notify, OutputSpent
from fulmen.core.base.peers import ChannelDetached
from fulmen.core.bitcoin.transaction import parse_tx
from fulmen.core.channel.dance import local_view, remote_view
from fulmen.core.channel.deadlines import next_deadline, reading_first
from fulmen.core.channel.ending import closed_by, is_mutual_close, tell_closers
from fulmen.core.channel.facts import Closed, FundingSpent, FundingUnspent, PreimageHeld
from fulmen.core.channel.failing import LIVE, disconnect, fail_once_asked, onchain, tell_published
from fulmen.core.channel.faults import ChannelNotUsable
from fulmen.core.channel.funding import on_depth
from fulmen.core.channel.shutdown import out_of_patience
from fulmen.core.channel.state import Channel, Link, Phase
from fulmen.core.channel.updates import received_key
from fulmen.core.commitments.close import (
    EARNINGS,
    ChannelAtClose,
    ChannelResolved,
    ChannelSpent,
    ChannelUnspent,
    ClaimHtlc,
    CommitmentSeen,
    CommitmentWithdrawn,
    FeesHandedOver,
    KnownPreimage,
    OfferOwner,
)
from fulmen.core.commitments.htlcs import FulfillHtlc
from fulmen.core.commitments.revoked import forget_revoked

watching = Topic()
blocks = Topic()
spent = Topic()
blocks_after_spend = Topic()


@blocks.on(HeightReached)
def on_height_reached(channel: Channel, _event: HeightReached, env: Env) -> Step[Channel]:
    """A block: depth of the funding, deadlines of HTLCs, patience with a funding that never comes."""
    if keeps_from_owners(channel):
        # The end of the connection makes them forgotten, and their owners hear of it.
        return _on_height(channel, env).act(HangUp(channel.terms.node_id, "a channel of ours with you holds still"))
    return _on_height(channel, env)


def keeps_from_owners(channel: Channel) -> bool:
    """Whether a frozen channel has offers that it will never sign, and that only the peer's leaving makes forgotten."""
    if not channel.frozen or channel.link is Link.OFFLINE or channel.phase not in LIVE:
        return False
    return bool(channel.local_log.between(channel.last_signed.local_upto, channel.local_log.next_index).adds)


def _on_height(channel: Channel, env: Env) -> Step[Channel]:
    # While the blocks are read that were found before the start, the peer cannot be heard.
    if channel.phase in LIVE and (channel.met or not reading_first(env)):
        due = _why_alone(channel, env)
        if due is not None:
            return fail_once_asked(channel, env, *due)
    if _never_funded(channel, env):
        return forget_unfunded(channel)
    if channel.phase in (Phase.AWAITING_READY, Phase.NORMAL, Phase.SHUTDOWN):
        return on_depth(channel, env)
    return Step(channel)


def _why_alone(channel: Channel, env: Env) -> tuple[str, str] | None:
    """Why the channel is to be closed without the peer, for us and as our `error`, if it is."""
    if channel.deferred is not None:
        return channel.deferred.reason, channel.deferred.error
    policy = env.policy.deadlines
    deadline = next_deadline(channel, policy.offered_grace, policy.fulfilled_deadline)
    if deadline is not None and env.height >= deadline:
        return "an HTLC is at its deadline", "an HTLC is at its deadline"
    return out_of_patience(channel, env)


def _never_funded(channel: Channel, env: Env) -> bool:
    # "A non-funding node (fundee): SHOULD forget the channel if it does not see the correct funding transaction after
    # a timeout of 2016 blocks."
    if (
        channel.terms.is_opener
        # It was deep enough once, and a reorg took it back: it is to be expected again.
        or (channel.ready_sent and channel.terms.minimum_depth)
        or channel.funding.confirmed is not None
        or channel.local.number
        or channel.remote.number
    ):
        return False
    return env.height >= channel.funding_broadcast_at + env.policy.deadlines.forget_unconfirmed_after


def forget_unfunded(channel: Channel) -> Step[Channel]:
    """Forget a channel whose opener never funded it: none of our money is in it."""
    why = "the funding never confirmed"
    step = tell_closers(channel, ChannelNotUsable(why)).then(disconnect).fact(Closed(why))
    return step.act(to_peer(channel.terms.node_id, ChannelDetached(channel.terms.channel_id)))


# -- the funding is spent ---------------------------------------------------------------------------------------------


@watching.on(OutputSpent)
def on_output_spent(channel: Channel, event: OutputSpent, env: Env) -> Step[Channel]:
    """The funding output is spent: in the mempool that is news, in a block it is the end of the dance."""
    if event.outpoint != channel.funding.outpoint or channel.phase is Phase.SPENT:
        return Step(channel)
    name = channel.terms.channel_id.hex()
    tx = parse_tx(event.tx)
    if event.block is None:
        step = Step(channel).act(Notify("funding_spend_seen", {"channel_id": name}))
        if not is_mutual_close(channel, tx):
            step.act(Tell(onchain(channel), CommitmentSeen(at_close(channel, env), event.tx)))
        return step
    # What we have not proposed in a signed commitment goes back to its owners before the chain takes over.
    step = tell_closers(channel, closed_by(channel, tx)).then(disconnect)
    step.fact(FundingSpent(event.tx, event.block))
    step.act(Notify("funding_spent", {"channel_id": name, "height": event.block.height, "txid": tx.txid[::-1].hex()}))
    if not is_mutual_close(channel, tx):
        step.act(Tell(onchain(channel), ChannelSpent(at_close(channel, env), event.tx, event.block)))
    else:
        step.act(Tell(onchain(channel), CommitmentWithdrawn()))
    return step


def at_close(channel: Channel, env: Env) -> ChannelAtClose:
    """All that the chain has to know of the channel, from its last signed states."""
    terms = channel.terms
    owners = tuple(
        OfferOwner(HtlcKey(terms.channel_id, OFFERED, add.id), add.owner, add.ref)
        for add in channel.local_log.adds
        if add.owner is not None and add.index < channel.last_signed.local_upto
    )
    remote_next = channel.remote_next
    return ChannelAtClose(
        terms,
        channel.funding,
        local_view(channel, channel.local, env),
        remote_view(channel, channel.remote, channel.remote_point),
        None if remote_next is None else remote_view(channel, remote_next, channel.remote_next_point),
        channel.revoked,
        channel.outdated,
        (
            *(KnownPreimage(HtlcKey(terms.channel_id, RECEIVED, h.id), h.preimage) for h in channel.held_preimages),
            *(KnownPreimage(HtlcKey(terms.channel_id, OFFERED, h.id), h.preimage) for h in channel.learned_preimages),
        ),
        owners,
    )


claims_before_spend = Topic()


@claims_before_spend.on(FulfillHtlc)
def on_fulfill_before_spend(channel: Channel, event: FulfillHtlc, env: Env) -> Step[Channel]:
    """A preimage between our failing and the block that closes: hold it for the chain, which has a deadline now."""
    add = channel.remote_log.add(event.key.id)
    if add is None or any(held.id == add.id for held in channel.held_preimages):
        return Step(channel)
    step = Step(channel).fact(PreimageHeld(add.id, event.preimage, event.fee_msat))
    return step.act(*tell_published(step.state, env))


# -- after the spend --------------------------------------------------------------------------------------------------


@spent.on(ChainRewound)
def on_rewound_after_spend(channel: Channel, event: ChainRewound, env: Env) -> Step[Channel]:
    """The block with the spend left the chain: we stand where we stood, and wait for the next spend."""
    step = Step(channel)
    assert channel.spent_in is not None
    if channel.spent_in.height <= event.to:
        return step
    # A spend that was once in a block will be again, or its rival: the channel itself is over either way.
    phase = Phase.CLOSING if channel.agreed is not None else Phase.FAILED
    point = env.per_commitment_point(channel.terms.key_index, channel.local.number)
    step.fact(FundingUnspent(phase, point)).act(Tell(onchain(channel), ChannelUnspent()))
    return step.act(*tell_published(step.state, env)) if phase is Phase.FAILED else step


@spent.on(FulfillHtlc)
def on_fulfill_after_spend(channel: Channel, event: FulfillHtlc, _env: Env) -> Step[Channel]:
    """A preimage for an HTLC of the dead channel: claim it on the chain."""
    add = channel.remote_log.add(event.key.id)
    if add is None or any(held.id == add.id for held in channel.held_preimages):
        return Step(channel)
    claim = Tell(onchain(channel), ClaimHtlc(received_key(channel, add), event.preimage))
    return Step(channel).fact(PreimageHeld(add.id, event.preimage, event.fee_msat)).act(claim)


@blocks_after_spend.on(HeightReached)
def on_height_after_spend(channel: Channel, _event: HeightReached, env: Env) -> Step[Channel]:
    """A mutual close is resolved "once it is 100 deep" (BOLT 5); a unilateral one when onchain says so."""
    assert channel.spent_in is not None
    if not is_mutual_close(channel, parse_tx(channel.spent_by)):
        return Step(channel)
    if env.height < channel.spent_in.height + env.policy.deadlines.resolved_depth - 1:
        return Step(channel)
    return close(channel, "closed by both sides")


@spent.on(ChannelResolved)
def on_channel_resolved(channel: Channel, _event: ChannelResolved, _env: Env) -> Step[Channel]:
    """Onchain has nothing left to do."""
    return close(channel, channel.fail_reason or "closed unilaterally")


def close(channel: Channel, why: str) -> Step[Channel]:
    """Nothing is left to do, and what was kept of revoked commitments is needed no more."""
    step = Step(channel).fact(Closed(why)).act(forget_revoked(channel.terms.channel_id))
    if channel.fees_earned_msat:
        step.act(Tell(EARNINGS, FeesHandedOver(channel.terms.channel_id, channel.fees_earned_msat)))
    return step.act(to_peer(channel.terms.node_id, ChannelDetached(channel.terms.channel_id)))
