"""Messages to frames and back: an encrypted length, an encrypted body, and keys that change every 1000 uses.

Mutable on purpose and neither a Record nor journaled: a session dies with its connection.

Source: BOLT 8, "Lightning Message Specification" and "Lightning Message Key Rotation".
"""

from __future__ import annotations

from fulmen.core.crypto.ciphers import TAG_LENGTH, Aead, TagMismatch
from fulmen.core.crypto.hashes import hkdf_pair
from fulmen.core.transport.faults import FrameMacMismatch, MessageTooLong

MAX_MESSAGE_LENGTH = 65535
HEADER_LENGTH = 2 + TAG_LENGTH
MAX_FRAME_LENGTH = HEADER_LENGTH + MAX_MESSAGE_LENGTH + TAG_LENGTH
"""65569 bytes."""

_USES_OF_A_KEY = 1000


class Sealer:
    """The sending half of a session."""

    __slots__ = ("_aead", "_chaining_key", "_key", "_nonce")

    def __init__(self, key: bytes, chaining_key: bytes) -> None:
        """Start from `sk` and `sck`, 32 bytes each."""
        self._key, self._chaining_key, self._aead, self._nonce = key, chaining_key, Aead(key), 0

    def seal(self, message: bytes) -> bytes:
        """The frame of a message: 34 bytes longer.

        Raises:
            MessageTooLong: over 65535 bytes.
        """
        # BOLT 8: "The *maximum* size of _any_ Lightning message MUST NOT exceed `65535` bytes."
        if len(message) > MAX_MESSAGE_LENGTH:
            raise MessageTooLong(length=len(message))
        nonce = self._nonce
        frame = self._aead.seal(nonce, len(message).to_bytes(2, "big")) + self._aead.seal(nonce + 1, message)
        # A frame takes two nonces, so the thousandth is always the second half of one.
        self._nonce = nonce + 2
        if self._nonce == _USES_OF_A_KEY:
            self._chaining_key, self._key = hkdf_pair(self._chaining_key, self._key)
            self._aead, self._nonce = Aead(self._key), 0
        return frame


class Opener:
    """The receiving half of a session: bytes in as they come, whole messages out.

    Holds back less than one frame.
    """

    __slots__ = ("_aead", "_broken", "_buffer", "_chaining_key", "_header_seen", "_key", "_missing", "_nonce")

    def __init__(self, key: bytes, chaining_key: bytes) -> None:
        """Start from `rk` and `rck`, 32 bytes each."""
        self._key, self._chaining_key, self._aead, self._nonce = key, chaining_key, Aead(key), 0
        self._buffer = bytearray()
        self._header_seen = False
        self._missing = HEADER_LENGTH
        self._broken = False

    def feed(self, data: bytes) -> list[bytes]:
        """The messages that are whole with these bytes, in order.

        Raises:
            FrameMacMismatch: some byte is not what was sent. Messages before it in these same bytes are lost with the
                connection, which ends here: nothing more can be read, and feeding on raises again.
        """
        if self._broken:
            raise FrameMacMismatch
        buffer = self._buffer
        buffer += data
        messages: list[bytes] = []
        at = 0
        try:
            while len(buffer) - at >= self._missing:
                piece = self._aead.open(self._nonce, bytes(buffer[at : at + self._missing]))
                at += self._missing
                self._nonce += 1
                if self._header_seen:
                    messages.append(piece)
                    self._header_seen, self._missing = False, HEADER_LENGTH
                    if self._nonce == _USES_OF_A_KEY:
                        self._rotate()
                else:
                    self._header_seen, self._missing = True, int.from_bytes(piece, "big") + TAG_LENGTH
        except TagMismatch:
            self._broken = True
            buffer.clear()
            raise FrameMacMismatch from None
        if at:
            del buffer[:at]
        return messages

    def _rotate(self) -> None:
        self._chaining_key, self._key = hkdf_pair(self._chaining_key, self._key)
        self._aead, self._nonce = Aead(self._key), 0
