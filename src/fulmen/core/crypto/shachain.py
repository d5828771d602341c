"""Per-commitment secrets: a tree of hashes made from one seed, and the 49 slots that hold a peer's secrets.

Indices count down: commitment number n has index 2**48 - 1 - n.

Source: BOLT 3, "Per-commitment Secret Requirements" and "Efficient Per-commitment Secret Storage".
"""

from __future__ import annotations

import hashlib

from fulmen.core.base.faults import InvariantBroken, Malformed, Refused
from fulmen.core.base.ids import Secret
from fulmen.core.base.record import Record

FIRST_INDEX = (1 << 48) - 1
"""The index of commitment number 0."""
_BRANCH_BITS = 8
"""How far above the leaves `SecretTree` keeps the way: 40 of 48 steps are taken once in 256 commitments."""


class SecretInconsistent(Malformed):
    """A per-commitment secret does not come from the same seed as those shown before."""


class SecretOutOfOrder(InvariantBroken):
    """Per-commitment secrets are kept in the order in which they are revealed, each once."""


class SecretUnknown(Refused):
    """That commitment has not been revoked, so far as we were shown."""


def index_of(commitment_number: int) -> int:
    """The index of a commitment's secret."""
    return FIRST_INDEX - commitment_number


def per_commitment_secret(seed: bytes, index: int) -> Secret:
    """The secret at an index (48 bits) of the tree that grows from a 32-byte seed."""
    return _derive(seed, index, 48)


class SecretTree:
    """The tree of one seed, for its owner: indices are asked for one after the other, and share most of the way down.

    It holds the seed, and is never printed.
    """

    def __init__(self, seed: bytes) -> None:
        self._seed = seed
        self._branch = -1
        self._base = Secret(b"")

    def __repr__(self) -> str:
        return "SecretTree(…)"

    def secret(self, index: int) -> Secret:
        """The same as `per_commitment_secret`."""
        branch = index >> _BRANCH_BITS
        if branch != self._branch:
            self._base = _derive(self._seed, branch << _BRANCH_BITS, 48)
            self._branch = branch
        return _derive(self._base, index & (1 << _BRANCH_BITS) - 1, _BRANCH_BITS)


class Shachain(Record):
    """A peer's revealed secrets, all derivable from at most 49 of them."""

    next_index: int = FIRST_INDEX
    """The index that has to come next."""
    slots: tuple[tuple[int, Secret], ...] = ()
    """(index, secret) by the number of trailing zeros of the index, least first."""

    def insert(self, index: int, secret: Secret) -> Shachain:
        """Take the next secret in, if it fits those known.

        Raises:
            SecretInconsistent: it does not derive what we already hold. The peer broke BOLT 2 and the channel fails.
            SecretOutOfOrder: not the index that comes next.
        """
        if index != self.next_index or index < 0:
            raise SecretOutOfOrder(index=index, expected=self.next_index)
        slot = _trailing_zeros(index)
        # BOLT 3: "if the secret ... is not derivable": each slot below must come out of the new secret.
        for below, (known_index, known) in enumerate(self.slots[:slot]):
            if _derive(secret, known_index, slot) != known:
                raise SecretInconsistent(index=index, slot=below)
        return Shachain(index - 1, (*self.slots[:slot], (index, secret), *self.slots[slot + 1 :]))

    def lookup(self, index: int) -> Secret:
        """The secret of an index that was revealed.

        Raises:
            SecretUnknown: it was not.
        """
        for slot, (known_index, secret) in enumerate(self.slots):
            if index >> slot == known_index >> slot:
                return _derive(secret, index, slot)
        raise SecretUnknown(index=index)


def _trailing_zeros(index: int) -> int:
    return (index & -index).bit_length() - 1 if index else 48


def _derive(base: bytes, index: int, bits: int) -> Secret:
    """Walk down the tree: for each set bit below `bits`, highest first, flip it in the value and hash."""
    value = bytearray(base)
    for bit in range(bits - 1, -1, -1):
        if index >> bit & 1:
            value[bit >> 3] ^= 1 << (bit & 7)
            value = bytearray(hashlib.sha256(value).digest())
    return Secret(bytes(value))
