"""What the key holder signs for everybody to see, and what it does not."""

import pytest
from tests.builders.gossip import NODES, SECRETS, a_channel, a_node, an_update, real_channels, secret

from fulmen.core.crypto.secp256k1 import verify_ecdsa
from fulmen.core.signer.announcing import (
    SignAnnouncement,
    announcement_digest,
    message_digest,
    sign_announcement,
)
from fulmen.core.signer.signing import WillNotSign
from fulmen.core.wire import decode, encode
from fulmen.core.wire.messages.setup import Pong

FUNDING = secret(1002)
"""Node 0's funding key of channel 1."""


def test_a_channel_is_signed_by_both_keys_over_the_same_digest() -> None:
    frame = a_channel(1, 0, 1)
    message = decode(frame)
    assert sign_announcement(SignAnnouncement(frame, 3), SECRETS[0], FUNDING) == (
        message.node_signature_1,
        message.bitcoin_signature_1,
    )


def test_the_digest_is_the_one_that_mainnet_signs() -> None:
    frame, _ = real_channels()[0]
    message = decode(frame)
    assert verify_ecdsa(message.node_id_1, announcement_digest(frame), message.node_signature_1)
    assert verify_ecdsa(message.bitcoin_key_2, announcement_digest(frame), message.bitcoin_signature_2)


@pytest.mark.parametrize("frame", [a_node(0), an_update(1)], ids=["node", "update"])
def test_a_node_speaks_for_itself_with_its_node_key_alone(frame: bytes) -> None:
    signature, funding = sign_announcement(SignAnnouncement(frame), SECRETS[0])
    assert verify_ecdsa(NODES[0], message_digest(frame), signature)
    assert funding is None


@pytest.mark.parametrize(
    ("frame", "funding"),
    [
        (a_channel(1, 2, 3), FUNDING),
        (a_channel(1, 0, 1), secret(7)),
        (a_channel(1, 0, 1), None),
        (a_node(1), None),
        (a_node(0), FUNDING),
        (an_update(1), FUNDING),
        (encode(Pong(b"")), None),
        (b"\x01\x00" + bytes(256) + bytes.fromhex("02000000") + bytes(224), FUNDING),
        (b"", FUNDING),
    ],
    ids=[
        "a channel of others",
        "a channel with another key",
        "a channel without a funding key",
        "another node",
        "a node by a funding key",
        "an update by a funding key",
        "no gossip",
        "what a commitment's signature hash is made of",
        "nothing",
    ],
)
def test_what_is_not_our_gossip_is_not_signed(frame: bytes, funding: bytes | None) -> None:
    with pytest.raises(WillNotSign):
        sign_announcement(SignAnnouncement(frame, None if funding is None else 3), SECRETS[0], funding)
