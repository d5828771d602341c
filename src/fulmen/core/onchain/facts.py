"""What can become true of a channel's end on the chain. Facts about blocks name them, and are undone with them."""

from __future__ import annotations

from fulmen.core.base.ids import RECEIVED, HtlcKey, OutPoint, Preimage
from fulmen.core.base.machine import Fact, evolves
from fulmen.core.base.outer import Block
from fulmen.core.base.units import BlockHeight
from fulmen.core.commitments.close import ChannelAtClose, KnownPreimage
from fulmen.core.commitments.htlcs import Htlc
from fulmen.core.onchain.classify import Kind
from fulmen.core.onchain.state import Bid, Claim, Ending, GivenUp, Onchain, Publishing, Taken


class OursPublished(Fact):
    """The channel publishes this commitment of ours."""

    publishing: Publishing


class OursWithdrawn(Fact):
    """The channel publishes it no longer."""


class CloseComing(Fact):
    """The funding is spent in the mempool."""

    coming: Ending


class CloseVanished(Fact):
    """The mempool has that spend no longer, and the channel lives on."""


class CloseSeen(Fact):
    """The funding is spent in a block."""

    close: ChannelAtClose
    tx: bytes
    block: Block
    kind: Kind
    revoked: tuple[Htlc, ...] = ()


class CloseUndone(Fact):
    """The block with that spend left the chain."""


class DestinationSet(Fact):
    """Everything is swept to this script of our wallet."""

    script_pubkey: bytes


class OutputTaken(Fact):
    """An output that matters is spent in a block."""

    taken: Taken


class BlocksUndone(Fact):
    """Blocks above this height left the chain."""

    above: BlockHeight


class ClaimDecided(Fact):
    """This transaction of ours takes outputs, and is the only one of ours that does."""

    claim: Claim
    at: BlockHeight
    """The height at which it was decided."""


class OutputContested(Fact):
    """Somebody else was seen to spend an output: no other has to suffer for it."""

    outpoint: OutPoint


class OutputGivenUp(Fact):
    """An output costs more than it brings at the feerate of now."""

    outpoint: OutPoint
    why: str


class OutputWanted(Fact):
    """An output that was given up is worth its fee again."""

    outpoint: OutPoint


class ReceivedPreimageKnown(Fact):
    """The preimage of an HTLC that we received became known after the close."""

    key: HtlcKey
    preimage: Preimage


class OfferedPreimageSeen(Fact):
    """The chain showed the preimage of an HTLC that we offered. It stays known whatever becomes of the block."""

    key: HtlcKey
    preimage: Preimage


class OfferedHtlcDead(Fact):
    """An HTLC that we offered can no longer be paid downstream, as deep as we ask for."""

    key: HtlcKey


class AllResolved(Fact):
    """Nothing is left to do."""


@evolves(OursPublished)
def _ours_published(state: Onchain, fact: OursPublished) -> Onchain:
    return state.but(publishing=fact.publishing)


@evolves(OursWithdrawn)
def _ours_withdrawn(state: Onchain, _: OursWithdrawn) -> Onchain:
    return state.but(publishing=None, coming=None, claims=())


@evolves(CloseComing)
def _close_coming(state: Onchain, fact: CloseComing) -> Onchain:
    return state.but(coming=fact.coming)


@evolves(CloseVanished)
def _close_vanished(state: Onchain, _: CloseVanished) -> Onchain:
    gone = None if state.coming is None else state.coming.txid
    return state.but(coming=None, claims=tuple([claim for claim in state.claims if claim.root != gone]))


@evolves(CloseSeen)
def _close_seen(state: Onchain, fact: CloseSeen) -> Onchain:
    ending = Ending(fact.close, fact.tx, fact.block, fact.kind, fact.revoked)
    known = fact.close.preimages
    received = [*state.preimages, *(one for one in known if one.key.direction is RECEIVED)]
    fulfilled = [*state.fulfilled, *(one.key for one in known if one.key.direction is not RECEIVED)]
    return state.but(
        coming=None,
        ending=ending,
        preimages=tuple({one.key: one for one in received}.values()),
        fulfilled=tuple(dict.fromkeys(fulfilled)),
        taken=(),
        claims=tuple([claim for claim in state.claims if claim.root == ending.txid]),
        bids=tuple([bid for bid in state.bids if bid.outpoint.txid == ending.txid]),
        contested=tuple([outpoint for outpoint in state.contested if outpoint.txid == ending.txid]),
        given_up=(),
    )


@evolves(CloseUndone)
def _close_undone(state: Onchain, _: CloseUndone) -> Onchain:
    # The same spend will most likely be in another block: our transactions stay, and fit it.
    return state.but(ending=None, coming=state.ending, taken=(), given_up=())


@evolves(DestinationSet)
def _destination_set(state: Onchain, fact: DestinationSet) -> Onchain:
    return state.but(destination=fact.script_pubkey)


@evolves(OutputTaken)
def _output_taken(state: Onchain, fact: OutputTaken) -> Onchain:
    taken = fact.taken
    return state.but(
        taken=(*(other for other in state.taken if other.outpoint != taken.outpoint), taken),
        claims=tuple([c for c in state.claims if taken.outpoint not in c.outpoints or c.txid == taken.txid]),
        given_up=_given_up_but(state, taken.outpoint),
    )


@evolves(BlocksUndone)
def _blocks_undone(state: Onchain, fact: BlocksUndone) -> Onchain:
    return state.but(taken=tuple([taken for taken in state.taken if taken.block.height <= fact.above]))


@evolves(ClaimDecided)
def _claim_decided(state: Onchain, fact: ClaimDecided) -> Onchain:
    claim = fact.claim
    others = [other for other in state.claims if not any(o in claim.outpoints for o in other.outpoints)]
    bids = dict(state.bid_on)
    for outpoint in claim.outpoints:
        known = bids.get(outpoint, Bid(outpoint, fact.at, claim.feerate_per_kw))
        bids[outpoint] = known.but(feerate_per_kw=max(known.feerate_per_kw, claim.feerate_per_kw))
    given_up = _given_up_but(state, *claim.outpoints)
    return state.but(claims=(*others, claim), bids=tuple(bids.values()), given_up=given_up)


@evolves(OutputContested)
def _output_contested(state: Onchain, fact: OutputContested) -> Onchain:
    alone = [
        claim for claim in state.claims if claim.outpoints == (fact.outpoint,) or fact.outpoint not in claim.outpoints
    ]
    return state.but(claims=tuple(alone), contested=(*state.contested, fact.outpoint))


@evolves(OutputGivenUp)
def _output_given_up(state: Onchain, fact: OutputGivenUp) -> Onchain:
    return state.but(given_up=(*state.given_up, GivenUp(fact.outpoint, fact.why)))


@evolves(OutputWanted)
def _output_wanted(state: Onchain, fact: OutputWanted) -> Onchain:
    return state.but(given_up=_given_up_but(state, fact.outpoint))


@evolves(ReceivedPreimageKnown)
def _received_preimage_known(state: Onchain, fact: ReceivedPreimageKnown) -> Onchain:
    return state.but(preimages=(*state.preimages, KnownPreimage(fact.key, fact.preimage)))


@evolves(OfferedPreimageSeen)
def _offered_preimage_seen(state: Onchain, fact: OfferedPreimageSeen) -> Onchain:
    return state.but(fulfilled=(*state.fulfilled, fact.key))


@evolves(OfferedHtlcDead)
def _offered_htlc_dead(state: Onchain, fact: OfferedHtlcDead) -> Onchain:
    return state.but(failed=(*state.failed, fact.key))


@evolves(AllResolved)
def _all_resolved(state: Onchain, _: AllResolved) -> Onchain:
    return state.but(resolved=True)


def _given_up_but(state: Onchain, *outpoints: OutPoint) -> tuple[GivenUp, ...]:
    return tuple([given_up for given_up in state.given_up if given_up.outpoint not in outpoints])
