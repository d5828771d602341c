"""What a channel hands to the chain when its funding output is spent, and what they tell each other afterwards."""

from __future__ import annotations

from fulmen.core.base.ids import ChannelId, HtlcKey, OutPoint, Preimage, Txid
from fulmen.core.base.machine import Address, Event
from fulmen.core.base.outer import Block
from fulmen.core.base.record import Record
from fulmen.core.base.units import BlockHeight, Msat, Sat
from fulmen.core.commitments.params import ChannelParams, Funding
from fulmen.core.commitments.view import CommitmentView
from fulmen.core.crypto.shachain import Shachain

EARNINGS = Address("earnings")
"""Where the fees of channels that are over are counted."""


class FeesHandedOver(Event):
    """To `EARNINGS`: this channel is over, and passing on payments that came in over it has earned us this."""

    channel_id: ChannelId
    fees_msat: Msat


class OfferOwner(Record):
    """Who is told what becomes of an offered HTLC."""

    key: HtlcKey
    owner: Address
    ref: int


class KnownPreimage(Record):
    """A preimage for one HTLC of the channel."""

    key: HtlcKey
    preimage: Preimage


class ChannelAtClose(Record):
    """A channel at the moment its funding was spent: all unrevoked commitments, and what is known of their HTLCs.

    Every HTLC that any of the three commitments holds stands in it; a reorg starts onchain again from this value.
    """

    params: ChannelParams
    funding: Funding
    local: CommitmentView
    """Ours; the peer's signatures for it are in `funding`."""
    remote: CommitmentView
    remote_next: CommitmentView | None
    revoked: Shachain
    """The peer's secrets for everything before `remote`."""
    outdated: bool
    """We have lost state: only what pays us without our commitment may be claimed."""
    preimages: tuple[KnownPreimage, ...]
    """Of received HTLCs: ours to claim. Of offered ones: their owners know them already."""
    owners: tuple[OfferOwner, ...]


class CommitmentPublished(Event):
    """To onchain: the channel failed, and publishes this commitment of ours until the funding is spent in a block."""

    commitment: CommitmentView
    claimable: tuple[HtlcKey, ...] = ()
    """The HTLCs that we received and whose preimages are known."""


class CommitmentWithdrawn(Event):
    """To onchain: that commitment is published no longer, for the funding went into a mutual close after all."""


class CommitmentSeen(Event):
    """To onchain: the mempool has a commitment transaction that spends the funding."""

    close: ChannelAtClose
    tx: bytes
    """Complete, so that it can be handed over together with a child of ours."""


class ChannelSpent(Event):
    """To onchain: the funding is spent by a commitment transaction, in a block."""

    close: ChannelAtClose
    tx: bytes
    block: Block


class ChannelUnspent(Event):
    """To onchain: the block with that spend left the chain; start anew when there is another."""


class ClaimHtlc(Event):
    """To onchain: the preimage of a received HTLC became known after the close."""

    key: HtlcKey
    preimage: Preimage


class ChannelResolved(Event):
    """From onchain: every output is resolved deep enough; the channel may be forgotten."""


class OutputView(Record):
    """An output of a close that is ours or may become so."""

    what: str
    """`to_local`, `to_remote`, `HTLC-timeout` …"""
    outpoint: OutPoint
    amount_sat: Sat
    ripe_at: BlockHeight
    """The height from which on it can be taken, a preimage provided where it takes one."""
    claimed_by: Txid | None
    """Our transaction that takes it, once it is published."""
    taken_by: Txid | None
    """The transaction in a block that took it, ours or not."""
    given_up: bool
    """It costs more than it brings at the feerate of now: it is judged again with every block."""


class CloseView(Record):
    """What onchain shows of a close (`Env.views["onchain:<hex id>"]`)."""

    channel_id: ChannelId
    kind: str
    """Whose commitment it is: `our commitment`, `the peer's commitment` …"""
    txid: Txid
    height: BlockHeight
    outputs: tuple[OutputView, ...]
