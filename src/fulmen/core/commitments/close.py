"""What a channel hands to the chain when its funding output is spent, and what they tell each other afterwards."""

from __future__ import annotations

from fulmen.core.base.ids import HtlcKey, Preimage
from fulmen.core.base.machine import Address, Event
from fulmen.core.base.outer import Block
from fulmen.core.base.record import Record
from fulmen.core.commitments.params import ChannelParams, Funding
from fulmen.core.commitments.view import CommitmentView
from fulmen.core.crypto.shachain import Shachain


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
