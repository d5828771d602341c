"""What onchain knows of one channel's end: the spend, what was taken of it, and our transactions that take it."""

from __future__ import annotations

from functools import cached_property

from fulmen.core.base.ids import ChannelId, HtlcKey, OutPoint, Preimage, Txid
from fulmen.core.base.outer import Block, SignRequest
from fulmen.core.base.record import Record
from fulmen.core.base.units import BlockHeight, FeeratePerKw, Sat
from fulmen.core.bitcoin.transaction import parse_tx
from fulmen.core.commitments.close import ChannelAtClose, KnownPreimage
from fulmen.core.commitments.htlcs import Htlc
from fulmen.core.commitments.view import CommitmentView
from fulmen.core.crypto.hashes import sha256d
from fulmen.core.onchain.classify import Kind
from fulmen.core.onchain.local_close import matters_of_local, second_stage
from fulmen.core.onchain.matters import Matter, Spent, htlcs_of
from fulmen.core.onchain.remote_close import matters_of_remote
from fulmen.core.onchain.revoked_close import matters_of_revoked, second_stage_of_cheat
from fulmen.core.onchain.unknown_close import matters_of_unknown


class SecondStage(Record):
    """The output of an HTLC transaction that is in a block: of ours, or of a cheater."""

    vout: int
    amount_sat: Sat


class Taken(Record):
    """An output that matters is spent in a block, by us or by the peer."""

    outpoint: OutPoint
    txid: Txid
    block: Block
    second_stage: SecondStage | None = None


class Claim(Record, dict=True):
    """A transaction of ours that takes outputs. Decided once, so that a restart publishes the same."""

    root: Txid
    """The commitment transaction on which it hangs."""
    outpoints: tuple[OutPoint, ...]
    """What it takes: one output, or several that are safe together."""
    name: str
    tx: bytes
    """Serialised without witness."""
    sign: tuple[SignRequest, ...]
    fee_sat: Sat
    feerate_per_kw: FeeratePerKw
    """What it pays; a child with its parent together."""
    wallet_ref: bytes = b""
    """The request by which the wallet pays its fee, if it does."""

    @cached_property
    def txid(self) -> Txid:
        """Its name, which no signature changes."""
        return Txid(sha256d(self.tx))


class Bid(Record):
    """What we were ready to pay for an output, and since when: it outlives the transactions that did not make it."""

    outpoint: OutPoint
    since: BlockHeight
    feerate_per_kw: FeeratePerKw


class GivenUp(Record):
    """An output that costs more than it brings, at the feerate of now."""

    outpoint: OutPoint
    why: str


class Ending(Record, dict=True):
    """The funding output is spent: in a block, or in the mempool, where the block is the next at best."""

    close: ChannelAtClose
    tx: bytes
    block: Block
    kind: Kind
    revoked: tuple[Htlc, ...] = ()
    """What was kept of the HTLCs of a revoked commitment, but for those that live on in later ones."""

    @cached_property
    def txid(self) -> Txid:
        """The transaction that spends it."""
        return parse_tx(self.tx).txid

    @cached_property
    def matters(self) -> tuple[Matter, ...]:
        """Its outputs that matter to us."""
        spent = Spent(self.close, parse_tx(self.tx), self.block, self.revoked)
        if self.kind is Kind.LOCAL:
            return matters_of_local(spent)
        if self.kind is Kind.REMOTE:
            return matters_of_remote(spent, self.close.remote)
        if self.kind is Kind.REMOTE_NEXT:
            assert self.close.remote_next is not None
            return matters_of_remote(spent, self.close.remote_next)
        if self.kind is Kind.REVOKED:
            return matters_of_revoked(spent)
        return matters_of_unknown(spent)

    @cached_property
    def htlcs(self) -> dict[HtlcKey, Htlc]:
        """Every HTLC that some unrevoked commitment holds, whether this one does or not."""
        return {htlc.key: htlc for htlc in htlcs_of(self.close)}


class Publishing(Record):
    """Our commitment on its way."""

    commitment: CommitmentView
    since: BlockHeight
    claimable: tuple[HtlcKey, ...] = ()
    """The HTLCs in it that we received and whose preimages are known."""


class Onchain(Record, dict=True):
    """The state of the machine."""

    channel_id: ChannelId
    publishing: Publishing | None = None
    """Our commitment, as long as the channel publishes it."""
    coming: Ending | None = None
    """The spend of the funding that was seen last in the mempool, as long as no block holds one."""
    ending: Ending | None = None
    """The spend of the funding in a block."""
    destination: bytes = b""
    """A script of our wallet, to which everything is swept."""
    preimages: tuple[KnownPreimage, ...] = ()
    """Of HTLCs that we received."""
    taken: tuple[Taken, ...] = ()
    claims: tuple[Claim, ...] = ()
    bids: tuple[Bid, ...] = ()
    contested: tuple[OutPoint, ...] = ()
    """Outputs that somebody else was seen to spend: each is taken alone from then on."""
    given_up: tuple[GivenUp, ...] = ()
    fulfilled: tuple[HtlcKey, ...] = ()
    """HTLCs that we offered and whose preimage is known: their owners have been told."""
    failed: tuple[HtlcKey, ...] = ()
    """HTLCs that we offered and whose owners have been told that they can no longer be paid."""
    resolved: bool = False

    @property
    def spend(self) -> Ending | None:
        """What is known of the spend of the funding: from a block, else from the mempool."""
        return self.ending or self.coming

    @cached_property
    def matters(self) -> dict[OutPoint, Matter]:
        """All outputs that matter now: of the commitment, and of HTLC transactions in blocks."""
        if self.spend is None:
            return {}
        found = {matter.outpoint: matter for matter in self.spend.matters}
        for taken in self.taken:
            first = found.get(taken.outpoint)
            if first is not None and taken.second_stage is not None:
                outpoint = OutPoint(taken.txid, taken.second_stage.vout)
                stage = second_stage_of_cheat if first.punished is not None else second_stage
                found[outpoint] = stage(first, outpoint, taken.second_stage.amount_sat, taken.block.height)
        return found

    @cached_property
    def taken_by(self) -> dict[OutPoint, Taken]:
        """Who took what."""
        return {taken.outpoint: taken for taken in self.taken}

    @cached_property
    def claim_on(self) -> dict[OutPoint, Claim]:
        """Our transactions, by the outputs they take; but for those that no block can hold any more.

        A second stage goes with the block that held it, and whatever a transaction of ours took besides would wait for
        it in vain. The transaction stays: it is right again if the second stage comes back before another is decided.
        """
        return {outpoint: claim for claim in self.claims if self.can_be(claim) for outpoint in claim.outpoints}

    def can_be(self, claim: Claim) -> bool:
        """Whether all that a transaction takes is there, if the commitment on which it hangs is."""
        return all(outpoint.txid == claim.root or outpoint in self.matters for outpoint in claim.outpoints)

    @cached_property
    def bid_on(self) -> dict[OutPoint, Bid]:
        """What was bid for which output."""
        return {bid.outpoint: bid for bid in self.bids}

    @cached_property
    def is_contested(self) -> frozenset[OutPoint]:
        """The outputs that somebody else was seen to spend."""
        return frozenset(self.contested)

    @cached_property
    def is_given_up(self) -> frozenset[OutPoint]:
        """The outputs that cost more than they bring now."""
        return frozenset([given_up.outpoint for given_up in self.given_up])

    @cached_property
    def preimage_of(self) -> dict[HtlcKey, Preimage]:
        """The preimages of HTLCs that we received."""
        return {known.key: known.preimage for known in self.preimages}

    def preimage_for(self, matter: Matter) -> Preimage | None:
        """The preimage of an output's HTLC, if we know it."""
        return None if matter.key is None else self.preimage_of.get(matter.key)


def initial(key: bytes) -> Onchain:
    """A channel of which the chain has said nothing."""
    return Onchain(ChannelId(key))
