"""The curve: keys, ECDSA, Schnorr and ECDH over the raw functions of libsecp256k1.

The one module that knows a foreign curve library. It takes `btclib-secp256k1` or `coincurve`, whichever imports first:
both carry the same C functions behind cffi. Their Python wrappers cost up to four times the work, so `lib` is called.

Every function checks the length of what it passes on, because C reads what it is pointed at. Secrets never stand in a
fault. The C calls release the GIL, so many of them may run on threads; nothing here is shared but the context, which
is only read, and the cache of parsed points.

Source: SEC 1 and 2, RFC 6979, BIP 66 and 146 (low S), BIP 340 and 341.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from fulmen.core.base.faults import Malformed
from fulmen.core.base.ids import Point, Secret, Signature

ORDER = 0xFFFFFFFF_FFFFFFFF_FFFFFFFF_FFFFFFFE_BAAEDCE6_AF48A03B_BFD25E8C_D0364141
"""The number of points; secrets and scalars are 1 … ORDER - 1."""


class NotAPoint(Malformed):
    """Not a compressed point of the curve (or, x-only, not the x of one)."""


class NotASecret(Malformed):
    """Not 32 bytes between 1 and the order of the curve."""


class NotAScalar(Malformed):
    """Not 32 bytes below the order of the curve, or zero where that makes no sense."""


class NotASignature(Malformed):
    """Not 64 bytes of two numbers below the order, or not their strict DER form."""


class NotARecoveryId(Malformed):
    """A recovery id is 0, 1, 2 or 3."""


class WrongLength(Malformed):
    """A digest or other fixed-size value has another size."""


class SumIsNothing(Malformed):
    """The result is zero, or the point at infinity, which no key may be."""


class NotRecoverable(Malformed):
    """No public key made this signature of this digest."""


def is_secret(candidate: bytes) -> bool:
    """Whether these bytes can be a private key."""
    return len(candidate) == 32 and _verify_secret(_CONTEXT, candidate) == 1


def is_point(candidate: bytes) -> bool:
    """Whether these bytes are a compressed point of the curve."""
    try:
        _parsed(candidate)
    except NotAPoint:
        return False
    return True


def point_of(secret: bytes) -> Point:
    """The public key of a private key.

    Raises:
        NotASecret: zero, too large, or not 32 bytes.
    """
    point = _new_point()
    if len(secret) != 32 or not lib.secp256k1_ec_pubkey_create(_CONTEXT, point, secret):
        raise NotASecret
    return _compressed(point)


def sign_ecdsa(secret: bytes, digest: bytes) -> Signature:
    """A compact signature of a 32-byte digest: RFC 6979 nonce, low S.

    Raises:
        NotASecret, WrongLength: of the arguments.
    """
    _require_digest(digest)
    signature = _new_signature()
    if len(secret) != 32 or not _sign(_CONTEXT, signature, digest, secret, _NULL, _NULL):
        raise NotASecret
    out = _new_64()
    _serialize_signature(_CONTEXT, out, signature)
    return Signature(_bytes_of(out))


def verify_ecdsa(point: bytes, digest: bytes, signature: bytes) -> bool:
    """Whether a compact signature is the key's; one with a high S is not.

    Raises:
        NotAPoint, WrongLength: of the arguments; a signature of another size is only False.
    """
    _require_digest(digest)
    key, parsed = _parsed(point), _new_signature()
    return (
        len(signature) == 64
        and _parse_signature(_CONTEXT, parsed, signature) == 1
        and _verify(_CONTEXT, parsed, digest, key) == 1
    )


def verify_many(checks: Iterable[tuple[bytes, bytes, bytes]]) -> list[bool]:
    """`verify_ecdsa` of each (point, digest, signature), in order.

    A check that is malformed in itself is False, so that one bad message does not take a batch along.
    """
    verdicts = []
    signature = _new_signature()
    for point, digest, compact in checks:
        try:
            good = (
                len(compact) == 64
                and len(digest) == 32
                and _parse_signature(_CONTEXT, signature, compact) == 1
                and _verify(_CONTEXT, signature, digest, _parsed(point)) == 1
            )
        except NotAPoint:
            good = False
        verdicts.append(good)
    return verdicts


def ecdh(secret: bytes, point: bytes) -> bytes:
    """SHA-256 of the compressed product of a secret and a point, 32 bytes (BOLT 4 and 8).

    Raises:
        NotASecret, NotAPoint: of the arguments.
    """
    out = _new_32()
    if len(secret) != 32 or not lib.secp256k1_ecdh(_CONTEXT, out, _parsed(point), secret, _NULL, _NULL):
        raise NotASecret
    return _bytes_of(out)


def multiply(point: bytes, scalar: bytes) -> Point:
    """scalar * P.

    Raises:
        NotAPoint, NotAScalar: of the arguments; zero is no scalar here.
    """
    product = _copy_of(_parsed(point))
    if len(scalar) != 32 or not lib.secp256k1_ec_pubkey_tweak_mul(_CONTEXT, product, scalar):
        raise NotAScalar
    return _compressed(product)


def add_tweak(point: bytes, scalar: bytes) -> Point:
    """P + scalar * G.

    Raises:
        NotAPoint, NotAScalar: of the arguments.
        SumIsNothing: the two cancel out.
    """
    total = _copy_of(_parsed(point))
    _require_scalar(scalar)
    if not lib.secp256k1_ec_pubkey_tweak_add(_CONTEXT, total, scalar):
        raise SumIsNothing
    return _compressed(total)


def combine(*points: bytes) -> Point:
    """The sum of one or more points.

    Raises:
        NotAPoint: of the arguments.
        SumIsNothing: they cancel out, or there are none.
    """
    parsed = [_parsed(point) for point in points]
    total = _new_point()
    if not parsed or not lib.secp256k1_ec_pubkey_combine(_CONTEXT, total, parsed, len(parsed)):
        raise SumIsNothing
    return _compressed(total)


def negate(point: bytes) -> Point:
    """-P: the same x, the other y.

    Raises:
        NotAPoint: of the argument.
    """
    _parsed(point)
    return Point(bytes((point[0] ^ 1,)) + point[1:])


def secret_add(secret: bytes, scalar: bytes) -> Secret:
    """(secret + scalar) mod n.

    Raises:
        NotASecret, NotAScalar: of the arguments.
        SumIsNothing: the two cancel out.
    """
    total = _copy_of_secret(secret)
    _require_scalar(scalar)
    if not lib.secp256k1_ec_seckey_tweak_add(_CONTEXT, total, scalar):
        raise SumIsNothing
    return Secret(_bytes_of(total))


def secret_multiply(secret: bytes, scalar: bytes) -> Secret:
    """(secret * scalar) mod n.

    Raises:
        NotASecret, NotAScalar: of the arguments; zero is no scalar here.
    """
    product = _copy_of_secret(secret)
    if len(scalar) != 32 or not lib.secp256k1_ec_seckey_tweak_mul(_CONTEXT, product, scalar):
        raise NotAScalar
    return Secret(_bytes_of(product))


def secret_negate(secret: bytes) -> Secret:
    """(-secret) mod n.

    Raises:
        NotASecret: of the argument.
    """
    negated = _copy_of_secret(secret)
    lib.secp256k1_ec_seckey_negate(_CONTEXT, negated)
    return Secret(_bytes_of(negated))


def sign_recoverable(secret: bytes, digest: bytes) -> bytes:
    """A signature from which the key can be recovered, 65 bytes: r, s, recovery id (0 … 3). Low S.

    Raises:
        NotASecret, WrongLength: of the arguments.
    """
    _require_digest(digest)
    signature = ffi.new("secp256k1_ecdsa_recoverable_signature *")
    if len(secret) != 32 or not lib.secp256k1_ecdsa_sign_recoverable(_CONTEXT, signature, digest, secret, _NULL, _NULL):
        raise NotASecret
    out, recovery_id = _new_64(), ffi.new("int *")
    lib.secp256k1_ecdsa_recoverable_signature_serialize_compact(_CONTEXT, out, recovery_id, signature)
    return _bytes_of(out) + bytes((recovery_id[0],))


def recover(digest: bytes, signature: bytes, recovery_id: int) -> Point:
    """The key that made a compact signature. A high S is taken, as BOLT 11 readers must.

    Raises:
        WrongLength, NotASignature, NotARecoveryId: of the arguments.
        NotRecoverable: there is no such key.
    """
    _require_digest(digest)
    if not 0 <= recovery_id <= 3:
        raise NotARecoveryId(recovery_id=recovery_id)
    parsed = ffi.new("secp256k1_ecdsa_recoverable_signature *")
    if len(signature) != 64 or not lib.secp256k1_ecdsa_recoverable_signature_parse_compact(
        _CONTEXT, parsed, signature, recovery_id
    ):
        raise NotASignature
    point = _new_point()
    if not lib.secp256k1_ecdsa_recover(_CONTEXT, point, parsed, digest):
        raise NotRecoverable
    return _compressed(point)


def signature_to_der(signature: bytes) -> bytes:
    """The strict DER form of a compact signature, without a sighash byte.

    Raises:
        NotASignature: not 64 bytes, or a half is not below the order.
    """
    parsed = _new_signature()
    if len(signature) != 64 or not _parse_signature(_CONTEXT, parsed, signature):
        raise NotASignature
    out, length = ffi.new("unsigned char[72]"), ffi.new("size_t *", 72)
    lib.secp256k1_ecdsa_signature_serialize_der(_CONTEXT, out, length, parsed)
    return bytes(ffi.buffer(out, length[0]))


def signature_from_der(der: bytes) -> Signature:
    """The compact form of a strict DER signature, without a sighash byte. S stays as it is, high or low.

    Raises:
        NotASignature: not strict DER, or a number is not below the order.
    """
    parsed = _new_signature()
    if not 8 <= len(der) <= 72 or not lib.secp256k1_ecdsa_signature_parse_der(_CONTEXT, parsed, der, len(der)):
        raise NotASignature
    out = _new_64()
    _serialize_signature(_CONTEXT, out, parsed)
    return Signature(_bytes_of(out))


def sign_schnorr(secret: bytes, digest: bytes, aux: bytes) -> Signature:
    """A BIP 340 signature of a 32-byte digest; `aux` is 32 bytes of fresh randomness, or zeros.

    Raises:
        NotASecret, WrongLength: of the arguments.
    """
    _require_digest(digest)
    _require_digest(aux)
    keypair = _keypair(secret)
    out = _new_64()
    lib.secp256k1_schnorrsig_sign32(_CONTEXT, out, digest, keypair, aux)
    return Signature(_bytes_of(out))


def verify_schnorr(xonly: bytes, message: bytes, signature: bytes) -> bool:
    """Whether a BIP 340 signature of a message of any length is the x-only key's.

    Raises:
        NotAPoint: `xonly` is not the x of a point.
    """
    key = _parsed_xonly(xonly)
    return (
        len(signature) == 64 and lib.secp256k1_schnorrsig_verify(_CONTEXT, signature, message, len(message), key) == 1
    )


def xonly_of(point: bytes) -> tuple[bytes, int]:
    """The 32-byte x of a point and the parity of its y (0 even, 1 odd).

    Raises:
        NotAPoint: of the argument.
    """
    _parsed(point)
    return point[1:], point[0] & 1


def xonly_tweak_add(xonly: bytes, scalar: bytes) -> tuple[bytes, int]:
    """x and parity of P + scalar * G, where P is the point of this x with even y (BIP 341).

    Raises:
        NotAPoint, NotAScalar: of the arguments.
        SumIsNothing: the two cancel out.
    """
    return xonly_of(add_tweak(b"\x02" + _require_xonly(xonly), scalar))


def secret_xonly_tweak_add(secret: bytes, scalar: bytes) -> Secret:
    """The secret of `xonly_tweak_add`: the key is negated first if its point has odd y (BIP 341).

    Raises:
        NotASecret, NotAScalar: of the arguments.
        SumIsNothing: the two cancel out.
    """
    keypair = _keypair(secret)
    _require_scalar(scalar)
    if not lib.secp256k1_keypair_xonly_tweak_add(_CONTEXT, keypair, scalar):
        raise SumIsNothing
    out = _new_32()
    lib.secp256k1_keypair_sec(_CONTEXT, out, keypair)
    return Secret(_bytes_of(out))


def blind(seed: bytes) -> None:
    """Blind signing against side channels with 32 secret random bytes; the shell calls it once, before any thread.

    Raises:
        WrongLength: of the argument.
    """
    _require_digest(seed)
    lib.secp256k1_context_randomize(_CONTEXT, seed)


def _load() -> tuple[str, Any, Any]:
    """The library's name, its `ffi` and its `lib`.

    Reading the environment is I/O, which the core otherwise never does. Which of two equal libraries runs is not a
    decision of the protocol, no result depends on it, and it has to be known before anything else of the core can be
    imported; so it is read here, once. Only whoever wants to run the tests over the other library sets it.
    """
    homes = {"btclib": "btclib_secp256k1", "coincurve": "coincurve._libsecp256k1"}
    wanted = os.environ.get("FULMEN_SECP256K1", "")  # noqa: TID251 - the one reading, for the reason above
    if wanted and wanted not in homes:
        raise ImportError(f"FULMEN_SECP256K1 is one of {', '.join(homes)}, not {wanted!r}")
    for name in (wanted,) if wanted else tuple(homes):
        try:
            module = importlib.import_module(homes[name])
        except ModuleNotFoundError:
            continue
        return name, module.ffi, module.lib
    raise ImportError("fulmen needs btclib-secp256k1 or coincurve")


LIBRARY, ffi, lib = _load()
"""Which library was taken, and its raw halves, for those who drive whole kernels with them."""

_CONTEXT = lib.secp256k1_context_create(1)  # SECP256K1_CONTEXT_NONE, which one of the two libraries does not name
_NULL = ffi.NULL
_COMPRESSED = 258  # SECP256K1_EC_COMPRESSED

# Looked up once: an attribute of `lib` and the parsing of a C type cost as much as the smaller calls themselves.
_TYPE_POINT = ffi.typeof("secp256k1_pubkey *")
_TYPE_SIGNATURE = ffi.typeof("secp256k1_ecdsa_signature *")
_TYPE_64 = ffi.typeof("unsigned char[64]")
_TYPE_33 = ffi.typeof("unsigned char[33]")
_TYPE_32 = ffi.typeof("unsigned char[32]")
_new = ffi.new
_buffer = ffi.buffer
_sign = lib.secp256k1_ecdsa_sign
_verify = lib.secp256k1_ecdsa_verify
_verify_secret = lib.secp256k1_ec_seckey_verify
_parse_signature = lib.secp256k1_ecdsa_signature_parse_compact
_serialize_signature = lib.secp256k1_ecdsa_signature_serialize_compact
_serialize_point = lib.secp256k1_ec_pubkey_serialize


def _new_point() -> Any:
    return _new(_TYPE_POINT)


def _new_signature() -> Any:
    return _new(_TYPE_SIGNATURE)


def _new_64() -> Any:
    return _new(_TYPE_64)


def _new_32() -> Any:
    return _new(_TYPE_32)


def _bytes_of(out: Any) -> bytes:
    return bytes(_buffer(out))


@lru_cache(maxsize=16384)
def _parsed(point: bytes) -> Any:
    """A point as C wants it; parsing takes a square root, hence the cache. Never written to: copy it first."""
    parsed = _new_point()
    if len(point) != 33 or not lib.secp256k1_ec_pubkey_parse(_CONTEXT, parsed, point, 33):
        raise NotAPoint(point=point)
    return parsed


def _copy_of(parsed: Any) -> Any:
    copy = _new_point()
    copy[0] = parsed[0]
    return copy


def _compressed(point: Any) -> Point:
    out, length = _new(_TYPE_33), _new("size_t *", 33)
    _serialize_point(_CONTEXT, out, length, point, _COMPRESSED)
    return Point(_bytes_of(out))


def _parsed_xonly(xonly: bytes) -> Any:
    parsed = _new("secp256k1_xonly_pubkey *")
    if not lib.secp256k1_xonly_pubkey_parse(_CONTEXT, parsed, _require_xonly(xonly)):
        raise NotAPoint(point=xonly)
    return parsed


def _keypair(secret: bytes) -> Any:
    keypair = _new("secp256k1_keypair *")
    if len(secret) != 32 or not lib.secp256k1_keypair_create(_CONTEXT, keypair, secret):
        raise NotASecret
    return keypair


def _copy_of_secret(secret: bytes) -> Any:
    if not is_secret(secret):
        raise NotASecret
    return _new(_TYPE_32, secret)


def _require_digest(digest: bytes) -> None:
    if len(digest) != 32:
        raise WrongLength(expected=32, length=len(digest))


def _require_scalar(scalar: bytes) -> None:
    if len(scalar) != 32 or int.from_bytes(scalar, "big") >= ORDER:
        raise NotAScalar


def _require_xonly(xonly: bytes) -> bytes:
    if len(xonly) != 32:
        raise NotAPoint(point=xonly)
    return xonly
