"""The key holder in our own process signs gossip of ours with the keys that the channel's basepoints show."""

from tests.builders.gossip import CHAIN, NOW

from fulmen.adapters.keys.in_process import InProcessKeys
from fulmen.core.base.ids import scid
from fulmen.core.crypto.secp256k1 import verify_ecdsa
from fulmen.core.gossip.own import OwnNode, node_announcement, to_sign
from fulmen.core.gossip.signatures import NO_SIGNATURE
from fulmen.core.signer.announcing import SignAnnouncement, announcement_digest, message_digest
from fulmen.core.wire import encode
from fulmen.core.wire.messages.gossip import ChannelAnnouncement

KEYS, PEER = InProcessKeys(b"\1" * 32), InProcessKeys(b"\2" * 32)


def test_both_halves_of_an_announcement_are_signed_by_what_the_basepoints_say() -> None:
    ends = sorted((keys.node_id, keys.basepoints(5).funding_pubkey) for keys in (KEYS, PEER))
    unsigned = (NO_SIGNATURE,) * 4
    (one, first), (two, second) = ends
    frame = encode(ChannelAnnouncement(*unsigned, b"", CHAIN, scid(1, 2, 3), one, two, first, second))
    digest = announcement_digest(frame)
    for keys in (KEYS, PEER):
        node_signature, bitcoin_signature = keys.announce(SignAnnouncement(frame, 5))
        assert verify_ecdsa(keys.node_id, digest, node_signature)
        assert verify_ecdsa(keys.basepoints(5).funding_pubkey, digest, bitcoin_signature)


def test_the_node_is_announced_by_its_own_key() -> None:
    asked = to_sign(node_announcement(OwnNode("fulmen"), KEYS.node_id, NOW))
    signature, none = KEYS.announce(asked.request)
    assert verify_ecdsa(KEYS.node_id, message_digest(asked.request.frame), signature)
    assert none is None
