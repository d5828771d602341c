"""What a payment is made of: onions, payloads, failures, invoices."""

from __future__ import annotations

from collections.abc import Iterator

from fulmen.core.base.faults import Malformed
from fulmen.core.bitcoin.bech32 import MAX_ADDRESS_CHARACTERS, Checksum
from fulmen.core.bitcoin.bech32 import decode as bech32_decode
from fulmen.core.bitcoin.bech32 import encode as bech32_encode
from fulmen.core.crypto.hashes import hmac_sha256
from fulmen.core.crypto.secp256k1 import point_of
from fulmen.core.invoices import bolt11
from fulmen.core.onion.errors import unwrap, wrap
from fulmen.core.onion.failures import decode_failure, encode_failure, failure_name
from fulmen.core.onion.keys import MU, UM, key_of
from fulmen.core.onion.payload import decode_payload, encode_payload
from fulmen.core.onion.sphinx import BadOnion, PayloadUnreadable, peel
from fuzz.seeds import bytes_in, texts_in
from fuzz.target import Target

SECRET = b"\x07" * 32
EPHEMERAL = point_of(b"\x01" * 32)
SIZE = 1366


def targets() -> Iterator[Target]:
    """All of them."""
    yield Target("onion_payload", _payload, lambda: [*bytes_in("bolt04/onion-test.json"), b"\x02\x01\x00\x04\x01\x00"])
    yield Target("onion_packet", _packet, lambda: [b"", b"\x08\x02\x01\x01\x04\x01\x64", bytes(1300)])
    yield Target("failure_onion", _failure, lambda: [*bytes_in("bolt04/onion-error-test.json"), b"\x20\x02"])
    yield Target("invoice", _invoice, lambda: (text.encode() for text in _invoices()))


def _payload(data: bytes) -> None:
    try:
        payload = decode_payload(data)
    except (Malformed, PayloadUnreadable):
        return
    assert decode_payload(encode_payload(payload)) == payload


def _packet(data: bytes) -> None:
    """With the right HMAC, for otherwise nobody reads on; and as it came."""
    routing = data[:1300].ljust(1300, b"\0")
    tail = data[1300:]
    hmac = hmac_sha256(key_of(MU, SECRET), routing + tail)
    for packet in (b"\0" + EPHEMERAL + routing + hmac, data[:SIZE].ljust(SIZE, b"\0")):
        try:
            peeled = peel(packet, SECRET, tail)
        except (BadOnion, PayloadUnreadable):
            continue
        try:
            decode_payload(peeled.payload)
        except Malformed:
            continue


def _failure(data: bytes) -> None:
    failure = decode_failure(data)
    failure_name(int.from_bytes(data[:2], "big"))
    # A message of less than two bytes has no code of its own; all others keep theirs.
    assert len(data) < 2 or encode_failure(failure)[:2] == data[:2]
    body = len(data[:1000]).to_bytes(2, "big") + data[:1000] + data[1000:]
    sealed = wrap(SECRET, hmac_sha256(key_of(UM, SECRET), body) + body)
    for reason in (data, sealed):
        unwrap([SECRET, b"\x08" * 32], reason)


def _invoice(data: bytes) -> None:
    """As text; and as the words of an invoice with a right checksum."""
    if data[:2] == b"ln":
        text = data.decode("utf-8", "replace")
    else:
        text = bech32_encode("lnbc25m", bytes(byte & 31 for byte in data), Checksum.BECH32)
    try:
        bolt11.decode(text)
    except Malformed:
        return


def _invoices() -> Iterator[str]:
    for text in texts_in("bolt11/invoices.json"):
        if text.startswith("ln"):
            yield text
            try:
                _, words, _ = bech32_decode(text, max(MAX_ADDRESS_CHARACTERS, len(text)))
            except Malformed:
                continue
            yield words.decode("latin1")
