"""Sign, revoke, acknowledge: what a revocation has to show."""

from __future__ import annotations

from typing import Any

import pytest
from tests.builders.channels import CHANNEL_ID, keys_of, preimage_of
from tests.builders.normal_channels import ALICE, a_normal_channel

from fulmen.core.base.ids import PaymentHash, Secret
from fulmen.core.base.machine import Address, Event, Lull, Step
from fulmen.core.base.mount import CheckFailed
from fulmen.core.base.peers import MessageReceived
from fulmen.core.base.units import BlockHeight, Msat
from fulmen.core.channel import faults
from fulmen.core.channel.state import Channel
from fulmen.core.channel.table import checks, decide
from fulmen.core.commitments.htlcs import OfferHtlc
from fulmen.core.crypto.hashes import sha256
from fulmen.core.wire.messages.updates import RevokeAndAck


def with_a_signed_offer() -> Channel:
    """The peer owes its revocation."""
    hash_ = PaymentHash(sha256(preimage_of(2)))
    offer = OfferHtlc(Address("payer", b"p"), 0, Msat(1_000_000), hash_, BlockHeight(500), bytes(1366))
    return decide(decide(a_normal_channel("alice"), offer, ALICE).state, Lull(), ALICE).state


def heard(channel: Channel, message: Any) -> Step[Channel]:
    """As the node does it: checks first."""
    event: Event = MessageReceived(message)
    failed = next((check for check in checks(channel, event, ALICE) if not check.holds()), None)
    return decide(channel, event if failed is None else CheckFailed(event, failed), ALICE)


def test_only_the_secret_of_the_revoked_commitment_revokes_it() -> None:
    """Else the peer could keep its old commitment for use: nothing would punish it."""
    channel = with_a_signed_offer()
    keys = keys_of("bob")
    next_point = keys.per_commitment_point(7, channel.remote.number + 2)
    for number in (channel.remote.number + 1, channel.remote.number + 2):
        revoke = RevokeAndAck(CHANNEL_ID, keys._per_commitment_secret(7, number), next_point)
        with pytest.raises(faults.BadRevocationSecret):
            heard(channel, revoke)
    with pytest.raises(faults.BadRevocationSecret):
        heard(channel, RevokeAndAck(CHANNEL_ID, Secret(bytes(32)), next_point))
    right = RevokeAndAck(CHANNEL_ID, keys._per_commitment_secret(7, channel.remote.number), next_point)
    assert heard(channel, right).state.remote.number == channel.remote.number + 1
