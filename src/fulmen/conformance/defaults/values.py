"""What the values of a step stand for, once the script has come that far."""

from __future__ import annotations

from operator import attrgetter
from typing import Any

from fulmen.conformance import script
from fulmen.conformance.channel import FakeChannel
from fulmen.conformance.defaults.numbers import DIRECTION
from fulmen.conformance.peer import FakePeer
from fulmen.core.base.faults import InvariantBroken
from fulmen.core.base.ids import ShortChannelId, Signature
from fulmen.core.crypto.hashes import sha256
from fulmen.core.crypto.secp256k1 import ORDER
from fulmen.core.gossip.encodings import encode_scids
from fulmen.core.gossip.graph import DISABLE
from fulmen.core.wire.messages.closing import FeeRange


class CannotCompose(InvariantBroken):
    """A script asks for a message whose default follows from what has not happened yet."""


def resolve(peer: FakePeer, value: Any, default: Any = None) -> Any:
    """What a value of a step stands for now."""
    cast = peer.cast
    match value:
        case script.Plus():
            return default + value.by
        case script.Flipped():
            return _flipped(default)
        case script.FirstByte():
            return bytes([value.byte]) + default[1:]
        case script.HighS():
            return _high_s(default)
        case script.Said():
            speaker = cast.peers[value.peer] if value.peer else peer
            return _plus(attrgetter(value.field)(speaker.told[value.message]), value.plus)
        case script.Ours():
            return _plus(getattr(peer.said[value.message], value.field), value.plus)
        case script.PreimageOf():
            return cast.preimage(value.number)
        case script.HashOf():
            return cast.payment_hash(value.number)
        case script.Height():
            return height_of(peer) + value.plus
        case script.Now():
            return int(cast.subject.now()) + value.plus
        case script.OnionHash():
            return sha256(peer.said["update_add_htlc"].onion_routing_packet)
        case script.Fees():
            return FeeRange(resolve(peer, value.least), resolve(peer, value.most))
        case script.Script22():
            return peer.script(value.number)
        case script.Disabled():
            return default | DISABLE
        case script.OtherEnd():
            return default ^ DIRECTION
        case script.NodeOf():
            return cast.peers[value.peer].node_id
        case script.NewChannelId():
            return channel_of(peer).channel_id
        case script.Scid():
            return scid_of(peer, value) + value.plus
        case script.Scids():
            return encode_scids([scid_of(peer, script.Scid())])
        case script.ChainHash():
            return cast.subject.network.chain_hash
    return value


def _plus(value: Any, plus: int) -> Any:
    return value + plus if plus else value


def _flipped(value: Any) -> Any:
    if isinstance(value, tuple):
        return (*value[:-1], _flipped(value[-1]))
    return value[:-1] + bytes([value[-1] ^ 1])


def _high_s(signature: Any) -> Any:
    if isinstance(signature, tuple):
        return (*signature[:-1], _high_s(signature[-1]))
    s = int.from_bytes(signature[32:], "big")
    return Signature(signature[:32] + (ORDER - s).to_bytes(32, "big"))


def scid_of(peer: FakePeer, value: script.Scid) -> ShortChannelId:
    if not value.peer:
        announced = peer.cast.announced
        if announced is not None:
            return announced.scid
    channel = channel_of(peer.cast.peers[value.peer] if value.peer else peer)
    found = channel.scid if value.real or channel.alias is None else channel.alias
    if found is None:
        raise CannotCompose("the channel has no short channel id yet")
    return found


def channel_of(peer: FakePeer) -> FakeChannel:
    if peer.channel is None:
        raise CannotCompose("there is no channel yet", peer=peer.name)
    return peer.channel


def height_of(peer: FakePeer) -> int:
    coins = peer.cast.subject.coins
    return coins.chain.height() if coins is not None else 0
