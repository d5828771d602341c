"""The message that a step wants: the default of its kind, with the values of the step in its place."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from fulmen.conformance import script
from fulmen.conformance.defaults import closing, gossip, opening, updates
from fulmen.conformance.defaults.values import resolve
from fulmen.conformance.peer import FakePeer
from fulmen.core.base.record import Record
from fulmen.core.wire.messages.setup import Ping, Pong

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
    composed: Record = _DEFAULTS[message](peer)
    finish = _FINISHED.get(message)
    if finish is None:
        return composed.but(**_resolved(peer, composed, fields))
    late = {name: value for name, value in fields.items() if name in _MADE_LAST}
    early = {name: value for name, value in fields.items() if name not in _MADE_LAST}
    composed = finish(peer, composed.but(**_resolved(peer, composed, early)), fields)
    late = {name: value for name, value in late.items() if not isinstance(value, script.Onion)}
    return composed.but(**_resolved(peer, composed, late))


def _resolved(peer: FakePeer, default: Record, fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: resolve(peer, value, getattr(default, name)) for name, value in fields.items()}


_DEFAULTS: Mapping[str, Callable[[FakePeer], Any]] = {
    "init": opening.init,
    "error": opening.error,
    "warning": opening.warning,
    "ping": lambda _peer: Ping(8, b""),
    "pong": lambda _peer: Pong(b""),
    "open_channel": opening.open_channel,
    "accept_channel": opening.accept_channel,
    "funding_created": opening.funding_created,
    "funding_signed": opening.funding_signed,
    "channel_ready": opening.channel_ready,
    "update_add_htlc": updates.update_add_htlc,
    "update_fulfill_htlc": updates.update_fulfill_htlc,
    "update_fail_htlc": updates.update_fail_htlc,
    "update_fail_malformed_htlc": updates.update_fail_malformed_htlc,
    "update_fee": updates.update_fee,
    "commitment_signed": updates.commitment_signed,
    "revoke_and_ack": updates.revoke_and_ack,
    "channel_reestablish": updates.channel_reestablish,
    "shutdown": closing.shutdown,
    "closing_signed": closing.closing_signed,
    "channel_announcement": gossip.channel_announcement,
    "channel_update": gossip.channel_update,
    "node_announcement": gossip.node_announcement,
    "announcement_signatures": gossip.announcement_signatures,
    "gossip_timestamp_filter": gossip.gossip_timestamp_filter,
    "query_channel_range": gossip.query_channel_range,
    "query_short_channel_ids": gossip.query_short_channel_ids,
}
"""What an honest peer says, as far as the script has come."""

_FINISHED: Mapping[str, Callable[[FakePeer, Record, Mapping[str, Any]], Record]] = {
    "update_add_htlc": updates.with_onion,
    "closing_signed": closing.sign_closing,
    "channel_announcement": gossip.sign_announcement,
    "channel_update": gossip.sign_gossip,
    "node_announcement": gossip.sign_gossip,
}
"""What is made from the fields that a step chose: onions, and signatures that cover them."""
