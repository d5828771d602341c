"""The hash functions of bitcoin and Lightning, and what is built of them: HMAC, HKDF, tagged hashes.

All digests are bytes in the order in which they are hashed (a txid as explorers print it is the reverse).

Source: BOLT 3 and 4 (HMAC, SHA-256), BOLT 8 (HKDF, RFC 5869), BIP 340 (tagged hashes).
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from functools import lru_cache

from fulmen.core.crypto import ripemd


def sha256(data: bytes) -> bytes:
    """SHA-256, 32 bytes."""
    return hashlib.sha256(data).digest()


def sha256d(data: bytes) -> bytes:
    """SHA-256 of SHA-256, 32 bytes: what names transactions and blocks."""
    return hashlib.sha256(hashlib.sha256(data).digest()).digest()


def hash160(data: bytes) -> bytes:
    """RIPEMD-160 of SHA-256, 20 bytes: what names public keys and P2SH scripts."""
    return ripemd160(hashlib.sha256(data).digest())


def hmac_sha256(key: bytes, data: bytes) -> bytes:
    """HMAC-SHA-256 (RFC 2104), 32 bytes."""
    return hmac.digest(key, data, "sha256")


def hkdf_sha256(salt: bytes, ikm: bytes, info: bytes, length: int) -> bytes:
    """HKDF with SHA-256, extract and expand (RFC 5869).

    Args:
        salt: may be empty, which stands for 32 zero bytes.
        ikm: the input keying material.
        info: what the key is for; BOLT 8 leaves it empty.
        length: how many bytes to give, at most 255 * 32.

    Raises:
        ValueError: more bytes were asked for than HKDF can give.
    """
    if not 0 <= length <= 255 * 32:
        raise ValueError(f"HKDF-SHA-256 gives at most 8160 bytes, not {length}")
    key = hmac.digest(salt, ikm, "sha256")
    block = out = b""
    counter = 1
    while len(out) < length:
        block = hmac.digest(key, block + info + bytes((counter,)), "sha256")
        out += block
        counter += 1
    return out[:length]


def hkdf_pair(salt: bytes, ikm: bytes) -> tuple[bytes, bytes]:
    """The two 32-byte keys of BOLT 8's HKDF: zero-length info, 64 bytes, cut in the middle."""
    key = hmac.digest(salt, ikm, "sha256")
    first = hmac.digest(key, b"\x01", "sha256")
    return first, hmac.digest(key, first + b"\x02", "sha256")


def tagged_hash(tag: str | bytes, data: bytes) -> bytes:
    """SHA-256 of the tag's hash twice and the data (BIP 340); a tag given as text is UTF-8."""
    hasher = _tagged(tag.encode() if isinstance(tag, str) else tag).copy()
    hasher.update(data)
    return hasher.digest()


@lru_cache(maxsize=64)
def _tagged(tag: bytes) -> hashlib._Hash:
    """A hasher that has already eaten the tag: it is one whole block of SHA-256."""
    return hashlib.sha256(hashlib.sha256(tag).digest() * 2)


def _pick_ripemd160() -> Callable[[bytes], bytes]:
    """OpenSSL 3 may be built without RIPEMD-160; then our own stands in."""
    try:
        fresh = hashlib.new("ripemd160")
    except ValueError:
        return ripemd.ripemd160

    def of_openssl(data: bytes) -> bytes:
        hasher = fresh.copy()  # cheaper than looking the algorithm up by name each time
        hasher.update(data)
        return hasher.digest()

    return of_openssl


ripemd160: Callable[[bytes], bytes] = _pick_ripemd160()
"""RIPEMD-160, 20 bytes. BOLT 3 uses it of a payment_hash, bitcoin of a public key's SHA-256."""
