"""What Bob says to an `open_channel` of Alice."""

from __future__ import annotations

from typing import Any

from tests.builders.channels import keys_of

from fulmen.core.base.ids import ChannelId
from fulmen.core.base.units import CltvDelta, Msat, Sat
from fulmen.core.channel.opening.state import Opening
from fulmen.core.wire.messages.opening import AcceptChannel

TEMPORARY = ChannelId(b"t" * 32)


def an_accept(kind: bytes, /, **changes: Any) -> AcceptChannel:
    """He takes a channel of this `channel_type`."""
    keys = keys_of("bob").basepoints(1)
    return AcceptChannel(
        TEMPORARY,
        Sat(354),
        Msat(1_000_000_000),
        Sat(10_000),
        Msat(1),
        3,
        CltvDelta(144),
        483,
        keys.funding_pubkey,
        keys.revocation_basepoint,
        keys.payment_basepoint,
        keys.delayed_payment_basepoint,
        keys.htlc_basepoint,
        keys_of("bob").per_commitment_point(1, 0),
        None,
        kind,
    ).but(**changes)


def an_answer_to(state: Opening) -> AcceptChannel:
    """He takes what she has asked for."""
    assert state.opened_with is not None and state.opened_with.channel_type is not None
    return an_accept(state.opened_with.channel_type)
