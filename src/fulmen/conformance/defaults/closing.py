"""`shutdown` and `closing_signed`, signed over whatever fee the step chose."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fulmen.conformance.defaults.numbers import CLOSING_FEE_SAT
from fulmen.conformance.defaults.values import channel_of
from fulmen.conformance.peer import FakePeer
from fulmen.core.base.record import Record
from fulmen.core.gossip.signatures import NO_SIGNATURE
from fulmen.core.wire.messages.closing import ClosingSigned, Shutdown


def shutdown(peer: FakePeer) -> Shutdown:
    return Shutdown(channel_of(peer).channel_id, peer.script())


def closing_signed(peer: FakePeer) -> ClosingSigned:
    channel = channel_of(peer)
    theirs: ClosingSigned | None = peer.told.get("closing_signed")
    fee = CLOSING_FEE_SAT if theirs is None else theirs.fee_satoshis
    return ClosingSigned(channel.channel_id, fee, NO_SIGNATURE)


def sign_closing(peer: FakePeer, message: Record, _fields: Mapping[str, Any]) -> Record:
    assert isinstance(message, ClosingSigned)
    return message.but(signature=channel_of(peer).closing_signature(message.fee_satoshis))
