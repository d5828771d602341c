"""Taproot, against the wallet values of BIP 341."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fulmen.core.bitcoin.address import address_of
from fulmen.core.bitcoin.networks import MAINNET
from fulmen.core.bitcoin.taproot import (
    ControlBlockMalformed,
    Leaf,
    Tree,
    control_block,
    leaves_of,
    output_key,
    output_script,
    output_secret,
    parse_control_block,
    tap_tweak,
    tree_root,
)
from fulmen.core.crypto.secp256k1 import point_of

BIP341 = json.loads(Path("tests/vectors/bip/bip341_wallet-test-vectors.json").read_text())


def tree_of(said: Any) -> Tree:
    if isinstance(said, list):
        return tree_of(said[0]), tree_of(said[1])
    return Leaf(bytes.fromhex(said["script"]), said["leafVersion"])


@pytest.mark.parametrize("case", BIP341["scriptPubKey"])
def test_output_keys_and_control_blocks_are_those_of_bip_341(case: Any) -> None:
    internal = bytes.fromhex(case["given"]["internalPubkey"])
    said, expected = case["intermediary"], case["expected"]
    tree = tree_of(case["given"]["scriptTree"]) if case["given"]["scriptTree"] else None
    root = tree_root(tree) if tree else None
    assert (root.hex() if root else None) == said["merkleRoot"]
    assert tap_tweak(internal, root).hex() == said["tweak"]
    assert output_key(internal, root)[0].hex() == said["tweakedPubkey"]
    script = output_script(internal, root)
    assert script.hex() == expected["scriptPubKey"]
    assert address_of(script, MAINNET) == expected["bip350Address"]
    if tree is None:
        return
    leaves = [leaf for leaf, _path in leaves_of(tree)]
    assert [leaf.hash.hex() for leaf in leaves] == said["leafHashes"]
    blocks = [control_block(internal, tree, leaf) for leaf in leaves]
    assert [block.hex() for block in blocks] == expected["scriptPathControlBlocks"]
    assert [parse_control_block(block).serialize() for block in blocks] == blocks


@pytest.mark.parametrize("case", BIP341["keyPathSpending"][0]["inputSpending"])
def test_output_secrets_are_those_of_bip_341(case: Any) -> None:
    secret = bytes.fromhex(case["given"]["internalPrivkey"])
    root = case["given"]["merkleRoot"]
    internal = point_of(secret)[1:]
    assert internal.hex() == case["intermediary"]["internalPubkey"]
    tweaked = output_secret(secret, internal, bytes.fromhex(root) if root else None)
    assert tweaked.hex() == case["intermediary"]["tweakedPrivkey"]


@pytest.mark.parametrize("length", [0, 32, 34, 64, 33 + 32 * 129])
def test_a_control_block_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(ControlBlockMalformed):
        parse_control_block(bytes(length))


def test_a_leaf_that_is_not_in_the_tree_has_no_control_block() -> None:
    with pytest.raises(ControlBlockMalformed):
        control_block(point_of(b"\x01" * 32)[1:], Leaf(b"\x51"), Leaf(b"\x52"))
