"""Gossip that the node signs, or passes on: its signatures are verified wherever a fake peer hears it. BOLT 7.

A `channel_update` bears no key. It is looked up by its id among the script's own channels, and its direction says which
end has to have signed it: so a wrong direction is a wrong signature, too.
"""

from __future__ import annotations

from fulmen.conformance.channel import NodeIsWrong
from fulmen.conformance.defaults.gossip import own_announcement
from fulmen.conformance.defaults.numbers import DIRECTION
from fulmen.conformance.peer import FakePeer
from fulmen.conformance.script import ALICE, BOB
from fulmen.core.base.ids import NodeId
from fulmen.core.base.record import Record
from fulmen.core.crypto.secp256k1 import verify_ecdsa
from fulmen.core.gossip.rules import DONT_FORWARD
from fulmen.core.gossip.signatures import all_hold, announcement_checks, node_checks, update_checks
from fulmen.core.signer.announcing import announcement_digest
from fulmen.core.wire import encode, name_of
from fulmen.core.wire.messages.gossip import (
    AnnouncementSignatures,
    ChannelAnnouncement,
    ChannelUpdate,
    NodeAnnouncement,
)


def check_signed(peer: FakePeer, message: Record) -> None:
    """Verify what a peer heard, if it is gossip.

    Raises:
        NodeIsWrong: a signature does not hold.
    """
    match message:
        case ChannelAnnouncement():
            holds = all_hold(announcement_checks(message, encode(message)))
        case NodeAnnouncement():
            holds = all_hold(node_checks(message, encode(message)))
        case AnnouncementSignatures() if peer.channel is not None:
            holds = _both_hold(peer, message)
        case ChannelUpdate():
            signer = _signer(peer, message)
            holds = signer is None or all_hold(update_checks(message.signature, encode(message), signer))
        case _:
            return
    if not holds:
        raise NodeIsWrong(f"a signature of its {name_of(message)} does not hold")


def _both_hold(peer: FakePeer, message: AnnouncementSignatures) -> bool:
    """The node's id and its funding key have signed the announcement of the channel with this peer."""
    assert peer.channel is not None
    digest = announcement_digest(encode(own_announcement(peer, message.short_channel_id)))
    funding_pubkey = peer.channel.state.terms.remote.basepoints.funding_pubkey
    return verify_ecdsa(peer.cast.subject.node_id, digest, message.node_signature) and verify_ecdsa(
        funding_pubkey, digest, message.bitcoin_signature
    )


def _signer(peer: FakePeer, message: ChannelUpdate) -> NodeId | None:
    """Who has to have signed a `channel_update`; None where its channel is none of the script's."""
    ends = _ends(peer, message)
    return None if ends is None else sorted(ends)[message.channel_flags & DIRECTION]


def _ends(peer: FakePeer, message: ChannelUpdate) -> tuple[NodeId, NodeId] | None:
    cast = peer.cast
    if cast.announced is not None and message.short_channel_id == cast.announced.scid:
        return cast.peers[ALICE].node_id, cast.peers[BOB].node_id
    for each in (peer, *cast.peers.values()):
        channel = each.channel
        if channel is None:
            continue
        # What is for a peer alone may go by an alias of its own.
        alone = each is peer and message.message_flags & DONT_FORWARD
        if alone or message.short_channel_id in (channel.scid, channel.alias):
            return each.node_id, cast.subject.node_id
    return None
