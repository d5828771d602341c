"""What signatures sign, against the values of BIP 143, BIP 341 and Bitcoin Core."""

from __future__ import annotations

import json
import lzma
from pathlib import Path

import pytest

from fulmen.core.base.units import Sat
from fulmen.core.bitcoin.sighash import (
    SighashSingleWithoutOutput,
    SighashTypeUnknown,
    sighash_legacy,
    sighash_segwit_v0,
    sighash_taproot,
)
from fulmen.core.bitcoin.transaction import TxOut, parse_tx

VECTORS = Path("tests/vectors")
BIP143 = json.loads((VECTORS / "bip/bip143_sighash.json").read_text())["cases"]
BIP341 = json.loads((VECTORS / "bip/bip341_wallet-test-vectors.json").read_text())["keyPathSpending"][0]
SPENT = tuple(TxOut(Sat(u["amountSats"]), bytes.fromhex(u["scriptPubKey"])) for u in BIP341["given"]["utxosSpent"])
TAPROOT_TX = parse_tx(bytes.fromhex(BIP341["given"]["rawUnsignedTx"]))


@pytest.mark.parametrize("case", BIP143)
def test_segwit_v0_signs_what_bip_143_says(case: dict[str, object]) -> None:
    tx = parse_tx(bytes.fromhex(str(case["unsigned_tx"])))
    script_code = bytes.fromhex(str(case["script_code"]))
    index, amount, kind = (int(str(case[name])) for name in ("input", "amount_sat", "sighash_type"))
    assert sighash_segwit_v0(tx, index, script_code, Sat(amount), kind).hex() == case["sighash"]


@pytest.mark.parametrize("case", BIP341["inputSpending"], ids=lambda case: str(case["given"]["hashType"]))
def test_a_taproot_key_path_signs_what_bip_341_says(case: dict[str, dict[str, int]]) -> None:
    given = case["given"]
    digest = sighash_taproot(TAPROOT_TX, given["txinIndex"], SPENT, given["hashType"])
    assert digest.hex() == case["intermediary"]["sigHash"]


def test_the_midstates_are_those_of_bip_341() -> None:
    said = BIP341["intermediary"]
    assert TAPROOT_TX.sha_prevouts.hex() == said["hashPrevouts"]
    assert TAPROOT_TX.sha_sequences.hex() == said["hashSequences"]
    assert TAPROOT_TX.sha_outputs.hex() == said["hashOutputs"]


def test_taproot_refuses_sighash_types_that_do_not_exist() -> None:
    with pytest.raises(SighashTypeUnknown):
        sighash_taproot(TAPROOT_TX, 0, SPENT, 0x80)
    with pytest.raises(SighashSingleWithoutOutput):
        sighash_taproot(TAPROOT_TX, len(TAPROOT_TX.outputs), SPENT, 0x03)


def test_annex_leaf_and_codeseparator_each_change_what_a_script_path_signs() -> None:
    digests = {
        sighash_taproot(TAPROOT_TX, 0, SPENT),
        sighash_taproot(TAPROOT_TX, 0, SPENT, annex=b"\x50"),
        sighash_taproot(TAPROOT_TX, 0, SPENT, leaf_hash=bytes(32)),
        sighash_taproot(TAPROOT_TX, 0, SPENT, leaf_hash=bytes(32), codeseparator=1),
        sighash_taproot(TAPROOT_TX, 0, SPENT, leaf_hash=b"\x01" * 32),
    }
    assert len(digests) == 5


def test_legacy_sighashes_are_those_of_bitcoin_core() -> None:
    rows = json.loads(lzma.decompress((VECTORS / "core/core_sighash.json.xz").read_bytes()))[1:]
    assert len(rows) == 500
    for raw, script, index, kind, expected in rows:
        tx = parse_tx(bytes.fromhex(raw))
        assert sighash_legacy(tx, index, bytes.fromhex(script), kind & 0xFFFFFFFF)[::-1].hex() == expected
