"""What an honest peer announces and asks for; signatures cover the fields that a step chose."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fulmen.conformance import script
from fulmen.conformance.defaults.numbers import FUNDING_SAT, MUST_BE_ONE
from fulmen.conformance.defaults.values import channel_of, scid_of
from fulmen.conformance.peer import FakePeer
from fulmen.core.base.ids import NodeId, Point, Secret, ShortChannelId, Signature
from fulmen.core.base.record import Record
from fulmen.core.base.units import CltvDelta, Msat, Timestamp
from fulmen.core.crypto.secp256k1 import sign_ecdsa
from fulmen.core.gossip.encodings import encode_scids
from fulmen.core.gossip.signatures import NO_SIGNATURE
from fulmen.core.signer.announcing import announcement_digest, message_digest
from fulmen.core.wire import encode
from fulmen.core.wire.messages.gossip import (
    AnnouncementSignatures,
    ChannelAnnouncement,
    ChannelUpdate,
    GossipTimestampFilter,
    NodeAnnouncement,
    QueryChannelRange,
    QueryShortChannelIds,
)


def _ends(peer: FakePeer) -> list[tuple[NodeId, FakePeer]]:
    """Alice and bob, the lesser node id first."""
    peers = peer.cast.peers
    return sorted(((peers[name].node_id, peers[name]) for name in (script.ALICE, script.BOB)), key=lambda end: end[0])


def channel_announcement(peer: FakePeer) -> ChannelAnnouncement:
    ends = [(node_id, end.basepoints.funding_pubkey) for node_id, end in _ends(peer)]
    return _unsigned(peer, scid_of(peer, script.Scid()), ends)


def _unsigned(peer: FakePeer, scid: ShortChannelId, ends: list[tuple[NodeId, Point]]) -> ChannelAnnouncement:
    """An announcement between two node ids with their funding keys, in any order."""
    (first, first_key), (second, second_key) = sorted(ends)
    chain_hash = peer.cast.subject.network.chain_hash
    signatures = (NO_SIGNATURE, NO_SIGNATURE, NO_SIGNATURE, NO_SIGNATURE)
    return ChannelAnnouncement(*signatures, b"", chain_hash, scid, first, second, first_key, second_key)


def sign_announcement(peer: FakePeer, message: Record, _fields: Mapping[str, Any]) -> Record:
    """Each key signs that stands in it, whoever's it is; a key of nobody's signs nothing."""
    assert isinstance(message, ChannelAnnouncement)
    digest = announcement_digest(encode(message))
    secrets: dict[bytes, Secret] = {}
    for _, end in _ends(peer):
        secrets |= {end.node_id: end.secret, end.basepoints.funding_pubkey: end.secrets.funding}
    return message.but(
        node_signature_1=_by(secrets, message.node_id_1, digest),
        node_signature_2=_by(secrets, message.node_id_2, digest),
        bitcoin_signature_1=_by(secrets, message.bitcoin_key_1, digest),
        bitcoin_signature_2=_by(secrets, message.bitcoin_key_2, digest),
    )


def _by(secrets: Mapping[bytes, Secret], key: bytes, digest: bytes) -> Signature:
    secret = secrets.get(key)
    return NO_SIGNATURE if secret is None else sign_ecdsa(secret, digest)


def channel_update(peer: FakePeer) -> ChannelUpdate:
    """Alice's, or bob's when he sends it."""
    return ChannelUpdate(
        NO_SIGNATURE,
        peer.cast.subject.network.chain_hash,
        scid_of(peer, script.Scid()),
        Timestamp(int(peer.cast.subject.now())),
        MUST_BE_ONE,
        0 if _ends(peer)[0][1] is peer else 1,
        CltvDelta(40),
        Msat(1),
        Msat(1000),
        1,
        Msat(1000 * FUNDING_SAT),
    )


def node_announcement(peer: FakePeer) -> NodeAnnouncement:
    alias = b"fake peer".ljust(32, b"\0")
    return NodeAnnouncement(
        NO_SIGNATURE, b"", Timestamp(int(peer.cast.subject.now())), peer.node_id, b"\xff\x99\x00", alias, b""
    )


def sign_gossip(peer: FakePeer, message: Record, _fields: Mapping[str, Any]) -> Record:
    return message.but(signature=sign_ecdsa(peer.secret, message_digest(encode(message))))


def own_announcement(peer: FakePeer, scid: ShortChannelId) -> ChannelAnnouncement:
    """What both sign of the channel that the peer has with the node."""
    ends = [
        (peer.node_id, peer.basepoints.funding_pubkey),
        (peer.cast.subject.node_id, channel_of(peer).state.terms.remote.basepoints.funding_pubkey),
    ]
    return _unsigned(peer, scid, ends)


def announcement_signatures(peer: FakePeer) -> AnnouncementSignatures:
    theirs: AnnouncementSignatures = peer.told["announcement_signatures"]
    digest = announcement_digest(encode(own_announcement(peer, theirs.short_channel_id)))
    return AnnouncementSignatures(
        channel_of(peer).channel_id,
        theirs.short_channel_id,
        sign_ecdsa(peer.secret, digest),
        sign_ecdsa(peer.secrets.funding, digest),
    )


def gossip_timestamp_filter(peer: FakePeer) -> GossipTimestampFilter:
    return GossipTimestampFilter(peer.cast.subject.network.chain_hash, 0, 0xFFFFFFFF)


def query_channel_range(peer: FakePeer) -> QueryChannelRange:
    return QueryChannelRange(peer.cast.subject.network.chain_hash, 0, 0xFFFFFFFF)


def query_short_channel_ids(peer: FakePeer) -> QueryShortChannelIds:
    scids = [] if peer.cast.announced is None else [peer.cast.announced.scid]
    return QueryShortChannelIds(peer.cast.subject.network.chain_hash, encode_scids(scids))
