"""The message that a step wants: the default of its kind, with the values of the step in its place."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from fulmen.conformance import script
from fulmen.conformance.defaults import closing, gossip, opening, updates
from fulmen.conformance.defaults.values import resolve
from fulmen.conformance.peer import CLASSES, FakePeer
from fulmen.core.base.record import Record
from fulmen.core.wire.messages.closing import ClosingSigned, Shutdown
from fulmen.core.wire.messages.gossip import (
    AnnouncementSignatures,
    ChannelAnnouncement,
    ChannelUpdate,
    GossipTimestampFilter,
    NodeAnnouncement,
    QueryChannelRange,
    QueryShortChannelIds,
)
from fulmen.core.wire.messages.opening import AcceptChannel, ChannelReady, FundingCreated, FundingSigned, OpenChannel
from fulmen.core.wire.messages.setup import ErrorMessage, Init, Ping, Pong, WarningMessage
from fulmen.core.wire.messages.updates import (
    ChannelReestablish,
    CommitmentSigned,
    RevokeAndAck,
    UpdateAddHtlc,
    UpdateFailHtlc,
    UpdateFailMalformedHtlc,
    UpdateFee,
    UpdateFulfillHtlc,
)

_MADE_LAST = (
    "onion_routing_packet",
    "signature",
    "node_signature_1",
    "node_signature_2",
    "bitcoin_signature_1",
    "bitcoin_signature_2",
)
"""Fields that cover the others of their message."""


def compose(peer: FakePeer, message: str, fields: Mapping[str, Any]) -> Record:
    """The message: an honest peer's, with these fields instead; onions and signatures of its own cover them."""
    kind = CLASSES[message]
    composed: Record = _DEFAULTS[kind](peer)
    finish = _FINISHED.get(kind)
    if finish is None:
        return composed.but(**_resolved(peer, composed, fields))
    late = {name: value for name, value in fields.items() if name in _MADE_LAST}
    early = {name: value for name, value in fields.items() if name not in _MADE_LAST}
    composed = finish(peer, composed.but(**_resolved(peer, composed, early)), fields)
    late = {name: value for name, value in late.items() if not isinstance(value, script.Onion)}
    return composed.but(**_resolved(peer, composed, late))


def _resolved(peer: FakePeer, default: Record, fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: resolve(peer, value, getattr(default, name)) for name, value in fields.items()}


_DEFAULTS: Mapping[type[Record], Callable[[FakePeer], Any]] = {
    Init: opening.init,
    ErrorMessage: opening.error,
    WarningMessage: opening.warning,
    Ping: lambda _peer: Ping(8, b""),
    Pong: lambda _peer: Pong(b""),
    OpenChannel: opening.open_channel,
    AcceptChannel: opening.accept_channel,
    FundingCreated: opening.funding_created,
    FundingSigned: opening.funding_signed,
    ChannelReady: opening.channel_ready,
    UpdateAddHtlc: updates.update_add_htlc,
    UpdateFulfillHtlc: updates.update_fulfill_htlc,
    UpdateFailHtlc: updates.update_fail_htlc,
    UpdateFailMalformedHtlc: updates.update_fail_malformed_htlc,
    UpdateFee: updates.update_fee,
    CommitmentSigned: updates.commitment_signed,
    RevokeAndAck: updates.revoke_and_ack,
    ChannelReestablish: updates.channel_reestablish,
    Shutdown: closing.shutdown,
    ClosingSigned: closing.closing_signed,
    ChannelAnnouncement: gossip.channel_announcement,
    ChannelUpdate: gossip.channel_update,
    NodeAnnouncement: gossip.node_announcement,
    AnnouncementSignatures: gossip.announcement_signatures,
    GossipTimestampFilter: gossip.gossip_timestamp_filter,
    QueryChannelRange: gossip.query_channel_range,
    QueryShortChannelIds: gossip.query_short_channel_ids,
}
"""What an honest peer says, as far as the script has come."""

_FINISHED: Mapping[type[Record], Callable[[FakePeer, Record, Mapping[str, Any]], Record]] = {
    UpdateAddHtlc: updates.with_onion,
    ClosingSigned: closing.sign_closing,
    ChannelAnnouncement: gossip.sign_announcement,
    ChannelUpdate: gossip.sign_gossip,
    NodeAnnouncement: gossip.sign_gossip,
}
"""What is made from the fields that a step chose: onions, and signatures that cover them."""
