"""Taproot outputs: the tree of scripts, the tweak, the output key, the control block. BIP 341, BIP 86."""

from __future__ import annotations

from fulmen.core.base.faults import Malformed
from fulmen.core.base.ids import Secret
from fulmen.core.base.record import Record
from fulmen.core.bitcoin.cursor import with_length
from fulmen.core.bitcoin.script import p2tr
from fulmen.core.crypto.hashes import tagged_hash
from fulmen.core.crypto.secp256k1 import secret_xonly_tweak_add, xonly_tweak_add

TAPSCRIPT = 0xC0
"""The leaf version of BIP 342."""
MAX_MERKLE_DEPTH = 128


class ControlBlockMalformed(Malformed):
    """A control block is 33 bytes and up to 128 hashes of 32 bytes."""


class Leaf(Record):
    """A script that may spend the output, and its leaf version."""

    script: bytes
    version: int = TAPSCRIPT

    @property
    def hash(self) -> bytes:
        """The tapleaf hash."""
        return tagged_hash("TapLeaf", bytes((self.version,)) + with_length(self.script))


Tree = Leaf | tuple["Tree", "Tree"]
"""A leaf, or two trees."""


class ControlBlock(Record):
    """What a script path spend shows to prove that its leaf is in the tree."""

    leaf_version: int
    parity: int
    internal_key: bytes
    path: tuple[bytes, ...]

    def serialize(self) -> bytes:
        """33 bytes and 32 for each step."""
        return bytes((self.leaf_version | self.parity,)) + self.internal_key + b"".join(self.path)


def tap_tweak(internal_key: bytes, merkle_root: bytes | None = None) -> bytes:
    """The 32-byte tweak of an x-only internal key; no root means that there is no script (BIP 86)."""
    return tagged_hash("TapTweak", internal_key + (merkle_root or b""))


def output_key(internal_key: bytes, merkle_root: bytes | None = None) -> tuple[bytes, int]:
    """The x-only output key, and the parity of its point.

    Raises:
        Malformed: the internal key is no x of a point.
    """
    return xonly_tweak_add(internal_key, tap_tweak(internal_key, merkle_root))


def output_secret(secret: bytes, internal_key: bytes, merkle_root: bytes | None = None) -> Secret:
    """The secret that signs for the output key."""
    return secret_xonly_tweak_add(secret, tap_tweak(internal_key, merkle_root))


def output_script(internal_key: bytes, merkle_root: bytes | None = None) -> bytes:
    """The script_pubkey of an internal key and a tree."""
    return p2tr(output_key(internal_key, merkle_root)[0])


def branch_hash(left: bytes, right: bytes) -> bytes:
    """The hash over two nodes, the smaller one first."""
    return tagged_hash("TapBranch", min(left, right) + max(left, right))


def tree_root(tree: Tree) -> bytes:
    """The merkle root of a tree that we made (its depth is ours to bound)."""
    if isinstance(tree, Leaf):
        return tree.hash
    return branch_hash(tree_root(tree[0]), tree_root(tree[1]))


def leaves_of(tree: Tree) -> tuple[tuple[Leaf, tuple[bytes, ...]], ...]:
    """Every leaf with its path to the root, from left to right."""
    if isinstance(tree, Leaf):
        return ((tree, ()),)
    left, right = tree
    left_hash, right_hash = tree_root(left), tree_root(right)
    return tuple(
        [(leaf, (*path, right_hash)) for leaf, path in leaves_of(left)]
        + [(leaf, (*path, left_hash)) for leaf, path in leaves_of(right)]
    )


def control_block(internal_key: bytes, tree: Tree, leaf: Leaf) -> bytes:
    """What proves that this leaf of the tree may spend the output.

    Raises:
        ControlBlockMalformed: the tree has no such leaf.
    """
    parity = output_key(internal_key, tree_root(tree))[1]
    for candidate, path in leaves_of(tree):
        if candidate == leaf:
            return ControlBlock(leaf.version, parity, internal_key, path).serialize()
    raise ControlBlockMalformed("the tree has no such leaf")


def parse_control_block(data: bytes) -> ControlBlock:
    """Read a control block.

    Raises:
        ControlBlockMalformed
    """
    steps, rest = divmod(len(data) - 33, 32)
    if steps < 0 or rest or steps > MAX_MERKLE_DEPTH:
        raise ControlBlockMalformed(bytes=len(data))
    path = tuple(data[33 + 32 * at : 65 + 32 * at] for at in range(steps))
    return ControlBlock(data[0] & 0xFE, data[0] & 1, data[1:33], path)
