"""What a channel hands to the chain: the owners of offers that some commitment holds, and of no others."""

from __future__ import annotations

from tests.builders.channels import CHANNEL_ID, preimage_of
from tests.builders.normal_channels import ALICE, a_normal_channel

from fulmen.core.base.ids import OFFERED, HtlcKey, PaymentHash
from fulmen.core.base.machine import Address, Lull
from fulmen.core.base.units import BlockHeight, Msat
from fulmen.core.channel.chain import at_close
from fulmen.core.channel.state import Channel
from fulmen.core.channel.table import decide
from fulmen.core.commitments.close import OfferOwner
from fulmen.core.commitments.htlcs import OfferHtlc
from fulmen.core.crypto.hashes import sha256

OWNER = Address("payer", b"p")


def offered(channel: Channel, ref: int) -> Channel:
    hash_ = PaymentHash(sha256(preimage_of(ref)))
    return decide(channel, OfferHtlc(OWNER, ref, Msat(1_000_000), hash_, BlockHeight(500), bytes(1366)), ALICE).state


def test_who_offered_what_no_commitment_holds_is_not_told_by_the_chain() -> None:
    """It hears from the channel that its offer is forgotten; two judges of one HTLC would be one too many (law 10)."""
    signed = decide(offered(offered(a_normal_channel("alice"), 10), 11), Lull(), ALICE).state
    channel = offered(signed, 12)
    assert len(channel.local_log.adds) == 3
    keys = [HtlcKey(CHANNEL_ID, OFFERED, id) for id in (0, 1)]
    assert at_close(channel, ALICE).owners == (OfferOwner(keys[0], OWNER, 10), OfferOwner(keys[1], OWNER, 11))


def test_an_offer_that_nobody_owns_is_told_to_nobody() -> None:
    channel = decide(offered(offered(a_normal_channel("alice"), 10), 11), Lull(), ALICE).state
    first, second = channel.local_log.adds
    orphaned = channel.but(local_log=channel.local_log.but(adds=(first.but(owner=None), second)))
    assert [owner.ref for owner in at_close(orphaned, ALICE).owners] == [11]
