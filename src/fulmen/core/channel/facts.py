"""What can become true of a channel, and how each fact changes it.

Durable facts stand alone: what they make durable they carry (law 2a), so folding the journal gives the same state as
having lived through it, less what a disconnect forgets anyway.
"""

from __future__ import annotations

from typing import ClassVar

from fulmen.core.base.ids import CommandId, Point, Preimage, Secret, ShortChannelId, Signature
from fulmen.core.base.machine import Fact, evolves
from fulmen.core.base.outer import Block
from fulmen.core.base.policy import ForwardPolicy
from fulmen.core.base.units import BlockHeight, FeeratePerKw, Msat, Timestamp
from fulmen.core.channel.state import Agreed, Channel, HeldPreimage, Link, Negotiation, Phase
from fulmen.core.commitments.commitment import (
    LOCAL,
    REMOTE,
    first_commitment,
    including_local,
    including_remote,
)
from fulmen.core.commitments.params import ChannelParams, Funding
from fulmen.core.commitments.updates import Add, FeeChange, Remove, Updates, pruned, without_onions
from fulmen.core.crypto.shachain import index_of

# -- opening ----------------------------------------------------------------------------------------------------------


class Opened(Fact):
    """Both first commitments are signed: from here on the channel is remembered (BOLT 2, "Message Retransmission")."""

    params: ChannelParams
    funding: Funding
    feerate_per_kw: FeeratePerKw
    local_msat: Msat
    remote_msat: Msat
    remote_point: Point
    """The peer's first per-commitment point."""
    height: BlockHeight


class Created(Fact):
    """We sent `funding_created`. Without the answer the channel is forgotten, so this passes."""

    passing: ClassVar[bool] = True

    opened: Opened
    """What becomes true when `funding_signed` comes, less the peer's signature."""
    wallet_ref: bytes
    command_id: CommandId | None


class FundingConfirmed(Fact):
    """The funding transaction is in a block and pays what was agreed to the right script."""

    block: Block
    index_in_block: int


class FundingUnconfirmed(Fact):
    """The block that held the funding transaction left the chain."""


class ReadySent(Fact):
    """Our `channel_ready` goes out, with this alias for the peer to use."""

    alias: ShortChannelId


class ReadyReceived(Fact):
    """The peer's `channel_ready`."""

    second_point: Point
    alias: ShortChannelId | None


class ScidAssigned(Fact):
    """The real short channel id is deep enough to be used and announced."""

    scid: ShortChannelId


class PolicySet(Fact):
    """What forwarding over this channel costs from now on, and what it cost before, which is taken for a while yet."""

    forward: ForwardPolicy
    previous: ForwardPolicy | None = None
    previous_until: Timestamp = Timestamp(0)


@evolves(Opened)
def _opened(channel: Channel, fact: Opened) -> Channel:
    local = first_commitment(LOCAL, fact.feerate_per_kw, fact.local_msat, fact.remote_msat)
    remote = first_commitment(REMOTE, fact.feerate_per_kw, fact.local_msat, fact.remote_msat)
    return channel.but(
        phase=Phase.AWAITING_READY,
        params=fact.params,
        fundings=(fact.funding,),
        local=local,
        remote=remote,
        local_pending=local.but(number=1),
        remote_pending=remote.but(number=1),
        remote_point=fact.remote_point,
        funding_broadcast_at=fact.height,
        created=None,
    )


@evolves(Created)
def _created(channel: Channel, fact: Created) -> Channel:
    return _opened(channel, fact.opened).but(phase=Phase.CREATED, created=fact)


@evolves(FundingConfirmed)
def _funding_confirmed(channel: Channel, fact: FundingConfirmed) -> Channel:
    funding = channel.funding.but(confirmed=fact.block, index_in_block=fact.index_in_block)
    return channel.but(fundings=(*channel.fundings[:-1], funding))


@evolves(FundingUnconfirmed)
def _funding_unconfirmed(channel: Channel, _: FundingUnconfirmed) -> Channel:
    funding = channel.funding.but(confirmed=None, index_in_block=0)
    return channel.but(fundings=(*channel.fundings[:-1], funding), scid=None)


@evolves(ReadySent)
def _ready_sent(channel: Channel, fact: ReadySent) -> Channel:
    aliases = channel.local_aliases
    if fact.alias not in aliases:
        aliases = (*aliases, fact.alias)
    return _perhaps_normal(channel.but(ready_sent=True, local_aliases=aliases))


@evolves(ReadyReceived)
def _ready_received(channel: Channel, fact: ReadyReceived) -> Channel:
    channel = channel.but(ready_received=True, remote_alias=fact.alias or channel.remote_alias)
    if not channel.remote_next_point and channel.remote.number == 0 and channel.remote_next is None:
        channel = channel.but(remote_next_point=fact.second_point)
    return _perhaps_normal(channel)


def _perhaps_normal(channel: Channel) -> Channel:
    if channel.phase is Phase.AWAITING_READY and channel.ready_sent and channel.ready_received:
        return channel.but(phase=Phase.NORMAL)
    return channel


@evolves(ScidAssigned)
def _scid_assigned(channel: Channel, fact: ScidAssigned) -> Channel:
    return channel.but(scid=fact.scid)


@evolves(PolicySet)
def _policy_set(channel: Channel, fact: PolicySet) -> Channel:
    return channel.but(forward=fact.forward, previous_forward=fact.previous, previous_forward_until=fact.previous_until)


# -- updates ----------------------------------------------------------------------------------------------------------


class LocalProposed(Fact):
    """We proposed an update; it is in no signed commitment yet."""

    passing: ClassVar[bool] = True

    update: Add | Remove | FeeChange


class RemoteProposed(Fact):
    """The peer proposed an update; it is in no signed commitment yet."""

    passing: ClassVar[bool] = True

    update: Add | Remove | FeeChange


class PreimageHeld(Fact):
    """We know the preimage of a received HTLC: it is claimed, on the wire or on the chain, and never failed."""

    id: int
    preimage: Preimage


class PreimageLearned(Fact):
    """The peer showed the preimage of an HTLC we offered."""

    id: int
    preimage: Preimage


@evolves(LocalProposed)
def _local_proposed(channel: Channel, fact: LocalProposed) -> Channel:
    return _with_local(channel, fact.update)


@evolves(RemoteProposed)
def _remote_proposed(channel: Channel, fact: RemoteProposed) -> Channel:
    return _with_remote(channel, fact.update)


@evolves(PreimageHeld)
def _preimage_held(channel: Channel, fact: PreimageHeld) -> Channel:
    return channel.but(held_preimages=(*channel.held_preimages, HeldPreimage(fact.id, fact.preimage)))


@evolves(PreimageLearned)
def _preimage_learned(channel: Channel, fact: PreimageLearned) -> Channel:
    return channel.but(learned_preimages=(*channel.learned_preimages, HeldPreimage(fact.id, fact.preimage)))


def _with_local(channel: Channel, update: Add | Remove | FeeChange) -> Channel:
    log = channel.local_log.with_update(update)
    pending = including_local(channel.remote_pending, channel.terms, log, channel.remote_log, log.next_index)
    return channel.but(local_log=log, remote_pending=pending)


def _with_remote(channel: Channel, update: Add | Remove | FeeChange) -> Channel:
    log = channel.remote_log.with_update(update)
    pending = including_remote(channel.local_pending, channel.terms, channel.local_log, log, log.next_index)
    return channel.but(remote_log=log, local_pending=pending)


# -- the dance --------------------------------------------------------------------------------------------------------


class CommitmentSent(Fact):
    """We signed the peer's commitment `number` over these updates of ours (law 2b)."""

    number: int
    updates: Updates


class CommitmentReceived(Fact):
    """The peer signed our commitment `number` over these updates of its own, and we revoke the one before (law 2c)."""

    number: int
    updates: Updates
    signature: Signature
    htlc_signatures: tuple[Signature, ...]


class RevocationReceived(Fact):
    """The peer revoked the commitment before its newest."""

    per_commitment_secret: Secret
    next_point: Point


class AnswerAwaited(Fact):
    """The peer lives, and has or has not acknowledged our last signature: its commitment's number, or None."""

    passing: ClassVar[bool] = True

    number: int | None


@evolves(AnswerAwaited)
def _answer_awaited(channel: Channel, fact: AnswerAwaited) -> Channel:
    return channel.but(awaited=fact.number)


@evolves(CommitmentSent)
def _commitment_sent(channel: Channel, fact: CommitmentSent) -> Channel:
    for update in fact.updates.in_order():
        if update.index >= channel.local_log.next_index:
            channel = _with_local(channel, update)
    return channel.but(
        remote_next=channel.remote_pending.but(number=fact.number),
        remote_pending=channel.remote_pending.but(number=fact.number + 1),
        revoked_last=False,
    )


@evolves(CommitmentReceived)
def _commitment_received(channel: Channel, fact: CommitmentReceived) -> Channel:
    for update in fact.updates.in_order():
        if update.index >= channel.remote_log.next_index:
            channel = _with_remote(channel, update)
    local = channel.local_pending.but(number=fact.number)
    signed = channel.funding.but(peer_signature=fact.signature, peer_htlc_signatures=fact.htlc_signatures)
    channel = channel.but(
        local=local,
        local_pending=local.but(number=fact.number + 1),
        remote_pending=including_remote(
            channel.remote_pending, channel.terms, channel.local_log, channel.remote_log, local.remote_upto
        ),
        fundings=(*channel.fundings[:-1], signed),
        revoked_last=True,
    )
    return _without_received(channel)


@evolves(RevocationReceived)
def _revocation_received(channel: Channel, fact: RevocationReceived) -> Channel:
    remote = channel.remote_next
    assert remote is not None, "a revocation is accepted only after our signature"
    channel = channel.but(
        remote=remote,
        remote_next=None,
        remote_point=channel.remote_next_point,
        remote_next_point=fact.next_point,
        revoked=channel.revoked.insert(index_of(remote.number - 1), fact.per_commitment_secret),
        local_pending=including_local(
            channel.local_pending, channel.terms, channel.local_log, channel.remote_log, remote.local_upto
        ),
    )
    return _without_offered(channel)


def _without_received(channel: Channel) -> Channel:
    """Received HTLCs that we removed are gone once both sides' commitments are without them."""
    upto = min(channel.local.local_upto, channel.remote.local_upto)
    remote_log, local_log, done = pruned(channel.remote_log, channel.local_log, channel.remote.remote_upto, upto)
    if not done:
        return channel
    gone = {add.id for add, _ in done}
    held = tuple(preimage for preimage in channel.held_preimages if preimage.id not in gone)
    return channel.but(local_log=local_log, remote_log=remote_log, held_preimages=held)


def _without_offered(channel: Channel) -> Channel:
    """Offered HTLCs that the peer removed are gone, and no onion that it has acknowledged is kept."""
    upto = min(channel.local.remote_upto, channel.remote.remote_upto)
    local_log, remote_log, done = pruned(channel.local_log, channel.remote_log, channel.local.local_upto, upto)
    gone = {add.id for add, _ in done}
    learned = channel.learned_preimages
    if gone:
        learned = tuple(preimage for preimage in learned if preimage.id not in gone)
    local_log = local_log.but(
        adds=without_onions(local_log.adds, channel.remote.local_upto),
        fees=tuple(fee for fee in local_log.fees if fee.index >= channel.local.local_upto),
    )
    remote_log = remote_log.but(fees=tuple(fee for fee in remote_log.fees if fee.index >= channel.remote.remote_upto))
    return channel.but(local_log=local_log, remote_log=remote_log, learned_preimages=learned)


# -- closing, failing, ending -----------------------------------------------------------------------------------------


class ShutdownSent(Fact):
    """Our `shutdown`: this script, and no more HTLCs from us."""

    script: bytes
    feerate_per_kw: FeeratePerKw | None = None


class ShutdownReceived(Fact):
    """The peer's `shutdown`."""

    script: bytes


class CloseAgreed(Fact):
    """A mutual close has both signatures."""

    agreed: Agreed


class ChannelFailed(Fact):
    """The channel is over but for the chain: we publish our commitment, unless we are outdated."""

    reason: str
    error: str
    """What our `error` message says."""
    local_point: Point
    """Our per-commitment point of the commitment to be published."""


class Outdated(Fact):
    """The peer proved that we have lost state: we never sign, revoke or publish again (law 9)."""


class FundingSpent(Fact):
    """The funding output is spent in a block."""

    tx: bytes
    block: Block


class FundingUnspent(Fact):
    """The block with the spend left the chain."""

    phase: Phase
    """CLOSING where a mutual close is agreed on, else FAILED: the channel itself is over."""
    local_point: Point
    """Our per-commitment point of the commitment to be published."""


class Closed(Fact):
    """Nothing is left to do."""

    why: str


class ShutdownWanted(Fact):
    """A caller asked for a mutual close; our `shutdown` waits until it may be sent."""

    passing: ClassVar[bool] = True

    script: bytes
    feerate_per_kw: FeeratePerKw | None
    command_id: CommandId | None


class Negotiated(Fact):
    """The fee negotiation moved on."""

    passing: ClassVar[bool] = True

    negotiation: Negotiation


class ShutdownExchanged(Fact):
    """Our `shutdown` went out on this connection."""

    passing: ClassVar[bool] = True


class ShutdownSeen(Fact):
    """The peer's `shutdown` came on this connection."""

    passing: ClassVar[bool] = True


class LinkChanged(Fact):
    """The connection came, went, or the reestablishment is done."""

    passing: ClassVar[bool] = True

    link: Link
    local_features: bytes = b""
    remote_features: bytes = b""


@evolves(ShutdownSent)
def _shutdown_sent(channel: Channel, fact: ShutdownSent) -> Channel:
    return channel.but(
        phase=Phase.SHUTDOWN,
        shutdown_sent=fact.script,
        shutdown_wanted=None,
        closing_feerate_per_kw=fact.feerate_per_kw,
    )


@evolves(ShutdownReceived)
def _shutdown_received(channel: Channel, fact: ShutdownReceived) -> Channel:
    return channel.but(phase=Phase.SHUTDOWN, shutdown_received=fact.script)


@evolves(CloseAgreed)
def _close_agreed(channel: Channel, fact: CloseAgreed) -> Channel:
    return channel.but(phase=Phase.CLOSING, agreed=fact.agreed)


@evolves(ChannelFailed)
def _channel_failed(channel: Channel, fact: ChannelFailed) -> Channel:
    return channel.but(
        phase=Phase.FAILED, fail_reason=fact.reason, error_to_send=fact.error, local_point=fact.local_point
    )


@evolves(Outdated)
def _outdated(channel: Channel, _: Outdated) -> Channel:
    return channel.but(outdated=True)


@evolves(FundingSpent)
def _funding_spent(channel: Channel, fact: FundingSpent) -> Channel:
    return channel.but(phase=Phase.SPENT, spent_by=fact.tx, spent_in=fact.block)


@evolves(FundingUnspent)
def _funding_unspent(channel: Channel, fact: FundingUnspent) -> Channel:
    return channel.but(phase=fact.phase, local_point=fact.local_point, spent_by=b"", spent_in=None)


@evolves(Closed)
def _closed(channel: Channel, fact: Closed) -> Channel:
    return channel.but(phase=Phase.CLOSED, fail_reason=channel.fail_reason or fact.why)


@evolves(ShutdownWanted)
def _shutdown_wanted(channel: Channel, fact: ShutdownWanted) -> Channel:
    return channel.but(
        shutdown_wanted=fact.script,
        closing_feerate_per_kw=fact.feerate_per_kw,
        closing_command=fact.command_id or channel.closing_command,
    )


@evolves(Negotiated)
def _negotiated(channel: Channel, fact: Negotiated) -> Channel:
    return channel.but(negotiation=fact.negotiation)


@evolves(ShutdownExchanged)
def _shutdown_exchanged(channel: Channel, _: ShutdownExchanged) -> Channel:
    return channel.but(shutdown_on_this_link=True)


@evolves(ShutdownSeen)
def _shutdown_seen(channel: Channel, _: ShutdownSeen) -> Channel:
    return channel.but(their_shutdown_on_this_link=True)


@evolves(LinkChanged)
def _link_changed(channel: Channel, fact: LinkChanged) -> Channel:
    if fact.link is Link.OFFLINE:
        return forget(channel)
    return channel.but(
        link=fact.link,
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
        closing_command=None,
        created=None,
        local_log=local_log,
        remote_log=remote_log,
        remote_pending=including_remote(remote_pending, terms, local_log, remote_log, channel.local.remote_upto),
        local_pending=including_local(local_pending, terms, local_log, remote_log, channel.remote.local_upto),
        shutdown_wanted=None,
        shutdown_on_this_link=False,
        their_shutdown_on_this_link=False,
        closing_feerate_per_kw=channel.closing_feerate_per_kw if channel.shutdown_sent is not None else None,
        negotiation=Negotiation(),
        awaited=None,
    )
