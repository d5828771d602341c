"""Hierarchical deterministic keys: one seed, a tree of keys. BIP 32, and the paths of BIP 44."""

from __future__ import annotations

import hmac
from collections.abc import Iterator
from functools import cached_property
from typing import Any

from fulmen.core.base.faults import Malformed, Refused
from fulmen.core.base.ids import Point, Secret
from fulmen.core.base.record import Record
from fulmen.core.bitcoin import base58
from fulmen.core.bitcoin.networks import NETWORKS, Network
from fulmen.core.crypto.hashes import hash160
from fulmen.core.crypto.secp256k1 import (
    NotAPoint,
    NotAScalar,
    NotASecret,
    SumIsNothing,
    add_tweak,
    is_point,
    is_secret,
    point_of,
    secret_add,
)

HARDENED = 0x80000000
SERIALIZED_BYTES = 78
MAX_DEPTH = 255


class SeedLengthWrong(Malformed):
    """A seed has 16 to 64 bytes (BIP 32)."""


class ExtendedKeyMalformed(Malformed):
    """The text is no extended key: `message` says what BIP 32 forbids."""


class PathMalformed(Malformed):
    """A derivation path looks like m/84'/0'/0' with numbers below 2^31."""


class HardenedNeedsSecret(Refused):
    """A hardened child can be derived from the private key only."""


class DerivationFailed(Refused):
    """This index has no key (it happens once in 2^127); take the next."""


class ExtendedKey(Record, dict=True):
    """A node of the tree: a key and the chain code that makes children of it.

    `key` is 33 bytes: a compressed point, or zero and a 32-byte secret.
    """

    key: bytes
    chain_code: bytes
    depth: int = 0
    parent_fingerprint: bytes = bytes(4)
    child_number: int = 0

    @property
    def is_private(self) -> bool:
        """True if it holds a secret."""
        return self.key[0] == 0

    @property
    def secret(self) -> Secret:
        """The 32-byte secret.

        Raises:
            HardenedNeedsSecret: it is a public key.
        """
        if not self.is_private:
            raise HardenedNeedsSecret("this extended key is public")
        return Secret(self.key[1:])

    @cached_property
    def point(self) -> Point:
        """The public key, 33 bytes."""
        return point_of(self.key[1:]) if self.is_private else Point(self.key)

    @property
    def fingerprint(self) -> bytes:
        """The first four bytes of the key's HASH160."""
        return hash160(self.point)[:4]

    @property
    def public(self) -> ExtendedKey:
        """The same node without its secret: what watches and cannot spend."""
        return self.but(key=bytes(self.point))

    def child(self, index: int) -> ExtendedKey:
        """The child of this index; hardened from 2^31 on.

        Raises:
            HardenedNeedsSecret: a hardened child of a public key.
            DerivationFailed: no such child, or the tree is 255 levels deep.
        """
        if self.depth >= MAX_DEPTH:
            raise DerivationFailed("an extended key is at most 255 levels deep")
        if index & HARDENED and not self.is_private:
            raise HardenedNeedsSecret(index=index - HARDENED)
        data = (self.key if index & HARDENED else self.point) + index.to_bytes(4, "big")
        digest = hmac.digest(self.chain_code, data, "sha512")
        try:
            if self.is_private:
                key = b"\x00" + secret_add(self.key[1:], digest[:32])
            else:
                key = add_tweak(self.key, digest[:32])
        except (NotAScalar, NotASecret, NotAPoint, SumIsNothing):
            raise DerivationFailed(index=index) from None
        return ExtendedKey(key, digest[32:], self.depth + 1, self.fingerprint, index)

    def derive(self, path: str | tuple[int, ...]) -> ExtendedKey:
        """The descendant at a path.

        Raises:
            PathMalformed, HardenedNeedsSecret, DerivationFailed
        """
        node = self
        for index in parse_path(path) if isinstance(path, str) else path:
            node = node.child(index)
        return node

    def to_text(self, network: Network) -> str:
        """xprv…, xpub… and their likes."""
        version = network.bip32_private if self.is_private else network.bip32_public
        numbers = bytes((self.depth,)) + self.parent_fingerprint + self.child_number.to_bytes(4, "big")
        return base58.encode_check(version + numbers + self.chain_code + self.key)

    def __repr__(self) -> str:
        kind = "private" if self.is_private else "public"
        return f"ExtendedKey({kind}, fingerprint={self.fingerprint.hex()}, depth={self.depth})"

    def __rich_repr__(self) -> Iterator[Any]:
        yield repr(self)


def from_seed(seed: bytes) -> ExtendedKey:
    """The root of the tree.

    Raises:
        SeedLengthWrong: not 16 to 64 bytes.
        DerivationFailed: the seed has no key (it happens once in 2^127).
    """
    if not 16 <= len(seed) <= 64:
        raise SeedLengthWrong(bytes=len(seed))
    digest = hmac.digest(b"Bitcoin seed", seed, "sha512")
    if not is_secret(digest[:32]):
        raise DerivationFailed("this seed has no master key")
    return ExtendedKey(b"\x00" + digest[:32], digest[32:])


def parse_extended_key(text: str, network: Network) -> ExtendedKey:
    """Read xprv…, xpub… and their likes.

    Raises:
        Malformed: by the name of what is wrong.
    """
    data = base58.decode_check(text)
    if len(data) != SERIALIZED_BYTES:
        raise ExtendedKeyMalformed(f"an extended key has {SERIALIZED_BYTES} bytes", bytes=len(data))
    version, depth, parent, number = data[:4], data[4], data[5:9], int.from_bytes(data[9:13], "big")
    _check_version(version, network)
    key = data[45:]
    if version == network.bip32_private and (key[0] != 0 or not is_secret(key[1:])):
        raise ExtendedKeyMalformed("the private key is not 1 to n-1")
    if version == network.bip32_public and not is_point(key):
        raise ExtendedKeyMalformed("the public key is no point of the curve")
    if depth == 0 and (parent != bytes(4) or number != 0):
        raise ExtendedKeyMalformed("a root has neither parent nor number")
    return ExtendedKey(key, data[13:45], depth, parent, number)


def parse_path(path: str) -> tuple[int, ...]:
    """The indexes of a path such as `m/86'/1'/0'/0/5`; `h` and `H` harden too.

    Raises:
        PathMalformed
    """
    steps = path.removeprefix("m").removeprefix("/")
    if len(path) > 12 * MAX_DEPTH or (steps and not path.startswith(("m/", *"0123456789"))):
        raise PathMalformed(path=path[:100])
    return tuple(_index_of(step, path) for step in steps.split("/")) if steps else ()


def path_text(path: tuple[int, ...]) -> str:
    """The reverse of `parse_path`."""
    return "/".join(["m", *(f"{i - HARDENED}'" if i & HARDENED else str(i) for i in path)])


def _index_of(step: str, path: str) -> int:
    digits = step.rstrip("'hH")
    hardened = len(step) - len(digits)
    if hardened > 1 or not (digits.isascii() and digits.isdigit() and len(digits) <= 10) or int(digits) >= HARDENED:
        raise PathMalformed(path=path[:100], step=step[:20])
    return int(digits) + HARDENED * hardened


def _check_version(version: bytes, network: Network) -> None:
    if version in (network.bip32_private, network.bip32_public):
        return
    if any(version in (other.bip32_private, other.bip32_public) for other in NETWORKS):
        raise ExtendedKeyMalformed("this extended key is of another network", version=version)
    raise ExtendedKeyMalformed("the version is not known", version=version)
