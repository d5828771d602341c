"""The three acts of Noise_XK_secp256k1_ChaChaPoly_SHA256, one class for each end.

The ECDH with the node's static key comes as a function, so the key itself may live elsewhere; the ephemeral secret
comes as 32 bytes, which the caller draws afresh for every connection.

Source: BOLT 8, "Authenticated Key Exchange Handshake Specification".
"""

from __future__ import annotations

from collections.abc import Callable

from fulmen.core.base.ids import NodeId, Point, Secret
from fulmen.core.base.record import Record
from fulmen.core.crypto.ciphers import Aead, TagMismatch
from fulmen.core.crypto.hashes import hkdf_pair, sha256
from fulmen.core.crypto.secp256k1 import ecdh, is_point, point_of
from fulmen.core.transport.faults import (
    ActLengthWrong,
    HandshakeKeyInvalid,
    HandshakeMacMismatch,
    UnknownHandshakeVersion,
)

ACT_ONE_LENGTH = ACT_TWO_LENGTH = 50
ACT_THREE_LENGTH = 66

StaticEcdh = Callable[[Point], bytes]
"""A point -> SHA-256 of the compressed product with our static (node) key, 32 bytes."""


class SessionKeys(Record):
    """What both ends share after the handshake, seen from one of them."""

    remote_static: NodeId
    """Who the peer is."""
    send_key: bytes
    receive_key: bytes
    chaining_key: bytes
    """Where the key rotation of both directions starts."""


class Initiator:
    """The end that dials, and knows whom."""

    def __init__(self, local_static: NodeId, remote_static: NodeId, ephemeral: Secret, static_ecdh: StaticEcdh) -> None:
        """Prepare the handshake.

        Raises:
            NotAPoint, NotASecret: `remote_static` or `ephemeral` cannot be what it should.
        """
        self._local_static = local_static
        self._remote_static = remote_static
        self._ephemeral = ephemeral
        self._static_ecdh = static_ecdh
        self._state = _State(remote_static)

    def act_one(self) -> bytes:
        """-> e, es: 50 bytes to send."""
        state, e = self._state, point_of(self._ephemeral)
        state.mix_hash(e)
        state.mix_key(ecdh(self._ephemeral, self._remote_static))
        return b"\x00" + e + state.seal(0, b"")

    def on_act_two(self, act: bytes) -> tuple[bytes, SessionKeys]:
        """<- e, ee; -> s, se: the 66 bytes of act three to send, and the keys of the session.

        Raises:
            ActLengthWrong, UnknownHandshakeVersion, HandshakeKeyInvalid, HandshakeMacMismatch: hang up.
        """
        _require_act(2, act, ACT_TWO_LENGTH)
        state, remote_ephemeral = self._state, _point_in(2, act[1:34])
        state.mix_hash(remote_ephemeral)
        state.mix_key(ecdh(self._ephemeral, remote_ephemeral))
        state.open(2, 0, act[34:])

        sealed_static = state.seal(1, self._local_static)
        state.mix_key(self._static_ecdh(remote_ephemeral))
        act_three = b"\x00" + sealed_static + state.seal(0, b"")
        send_key, receive_key = hkdf_pair(state.chaining_key, b"")
        return act_three, SessionKeys(self._remote_static, send_key, receive_key, state.chaining_key)


class Responder:
    """The end that is dialled, and learns by whom in the last act."""

    def __init__(self, local_static: NodeId, ephemeral: Secret, static_ecdh: StaticEcdh) -> None:
        self._ephemeral = ephemeral
        self._static_ecdh = static_ecdh
        self._state = _State(local_static)

    def on_act_one(self, act: bytes) -> bytes:
        """-> e, es; <- e, ee: the 50 bytes of act two to send.

        Raises:
            ActLengthWrong, UnknownHandshakeVersion, HandshakeKeyInvalid, HandshakeMacMismatch: hang up.
        """
        _require_act(1, act, ACT_ONE_LENGTH)
        state, remote_ephemeral = self._state, _point_in(1, act[1:34])
        state.mix_hash(remote_ephemeral)
        state.mix_key(self._static_ecdh(remote_ephemeral))
        state.open(1, 0, act[34:])

        e = point_of(self._ephemeral)
        state.mix_hash(e)
        state.mix_key(ecdh(self._ephemeral, remote_ephemeral))
        return b"\x00" + e + state.seal(0, b"")

    def on_act_three(self, act: bytes) -> SessionKeys:
        """-> s, se: the keys of the session, and who the peer is.

        Raises:
            ActLengthWrong, UnknownHandshakeVersion, HandshakeKeyInvalid, HandshakeMacMismatch: hang up.
        """
        _require_act(3, act, ACT_THREE_LENGTH)
        state = self._state
        remote_static = _point_in(3, state.open(3, 1, act[1:50]))
        state.mix_key(ecdh(self._ephemeral, remote_static))
        state.open(3, 0, act[50:])
        receive_key, send_key = hkdf_pair(state.chaining_key, b"")
        return SessionKeys(NodeId(remote_static), send_key, receive_key, state.chaining_key)


class _State:
    """The handshake hash `h`, the chaining key `ck`, and the cipher of the latest intermediate key."""

    __slots__ = ("_aead", "chaining_key", "h")

    def __init__(self, responder_static: bytes) -> None:
        self.chaining_key = sha256(b"Noise_XK_secp256k1_ChaChaPoly_SHA256")
        self.h = sha256(sha256(self.chaining_key + b"lightning") + responder_static)
        self._aead = Aead(bytes(32))

    def mix_hash(self, data: bytes) -> None:
        self.h = sha256(self.h + data)

    def mix_key(self, shared_secret: bytes) -> None:
        self.chaining_key, temp_k = hkdf_pair(self.chaining_key, shared_secret)
        self._aead = Aead(temp_k)

    def seal(self, nonce: int, plain: bytes) -> bytes:
        sealed = self._aead.seal(nonce, plain, self.h)
        self.mix_hash(sealed)
        return sealed

    def open(self, act: int, nonce: int, sealed: bytes) -> bytes:
        # BOLT 8: "If the MAC check in this operation fails, then the responder MUST terminate the connection without
        # any further messages."
        try:
            plain = self._aead.open(nonce, sealed, self.h)
        except TagMismatch:
            raise HandshakeMacMismatch(act=act) from None
        self.mix_hash(sealed)
        return plain


def _require_act(number: int, act: bytes, length: int) -> None:
    # BOLT 8: "Clients MUST reject handshake attempts initiated with an unknown version."
    if act and act[0] != 0:
        raise UnknownHandshakeVersion(act=number, version=act[0])
    if len(act) != length:
        raise ActLengthWrong(act=number, expected=length, length=len(act))


def _point_in(act: int, key: bytes) -> Point:
    if not is_point(key):
        raise HandshakeKeyInvalid(act=act)
    return Point(key)
