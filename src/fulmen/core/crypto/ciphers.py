"""ChaCha20 as a stream, and ChaCha20-Poly1305 with the counting nonces of BOLT 8.

The one module that knows the `cryptography` package's ciphers.

Source: RFC 8439; BOLT 4 ("Pseudo Random Byte Stream"), BOLT 8 ("Handshake State").
"""

from __future__ import annotations

import struct

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from fulmen.core.base.faults import Malformed

TAG_LENGTH = 16
"""How many bytes longer a sealed text is than the plain one."""

# BOLT 8: "with nonce `n` encoded as 32 zero bits, followed by a *little-endian* 64-bit value."
_NONCE = struct.Struct("<4xQ").pack
_ZERO_NONCE = bytes(16)  # the block counter, 4 bytes, and the 96-bit nonce


class TagMismatch(Malformed):
    """A sealed text was changed, or sealed under another key, nonce or associated data."""


class Aead:
    """ChaCha20-Poly1305 under one key; a nonce is a 64-bit counter."""

    __slots__ = ("_cipher",)

    def __init__(self, key: bytes) -> None:
        """Take a key of 32 bytes."""
        self._cipher = ChaCha20Poly1305(key)

    def seal(self, counter: int, plain: bytes, associated_data: bytes = b"") -> bytes:
        """Encrypt: 16 bytes longer than `plain`. The same counter must not seal twice under one key."""
        return self._cipher.encrypt(_NONCE(counter), plain, associated_data)

    def open(self, counter: int, sealed: bytes, associated_data: bytes = b"") -> bytes:
        """Decrypt and check: 16 bytes shorter than `sealed`.

        Raises:
            TagMismatch: not what was sealed with this key, counter and associated data.
        """
        try:
            return self._cipher.decrypt(_NONCE(counter), sealed, associated_data)
        except InvalidTag:
            raise TagMismatch from None


def seal_with_nonce(key: bytes, nonce: bytes, plain: bytes, associated_data: bytes = b"") -> bytes:
    """ChaCha20-Poly1305 with a 12-byte nonce that is not a counter."""
    return ChaCha20Poly1305(key).encrypt(nonce, plain, associated_data)


def open_with_nonce(key: bytes, nonce: bytes, sealed: bytes, associated_data: bytes = b"") -> bytes:
    """The reverse of `seal_with_nonce`.

    Raises:
        TagMismatch: not what was sealed with this key, nonce and associated data.
    """
    try:
        return ChaCha20Poly1305(key).decrypt(nonce, sealed, associated_data)
    except InvalidTag:
        raise TagMismatch from None


def chacha20_stream(key: bytes, length: int) -> bytes:
    """The first `length` bytes of the ChaCha20 stream of a 32-byte key with a zero nonce (BOLT 4)."""
    return chacha20_xor(key, bytes(length))


def chacha20_xor(key: bytes, data: bytes) -> bytes:
    """The data XOR the ChaCha20 stream: encrypts and decrypts alike, and costs no more than the stream alone."""
    return Cipher(algorithms.ChaCha20(key, _ZERO_NONCE), mode=None).encryptor().update(data)
