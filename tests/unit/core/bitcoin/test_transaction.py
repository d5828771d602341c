"""Transactions: Bitcoin Core's own, and every way to break one."""

from __future__ import annotations

import json
import lzma
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fulmen.core.base.faults import Malformed
from fulmen.core.base.ids import OutPoint, Txid
from fulmen.core.base.units import MAX_MONEY_SAT, Sat
from fulmen.core.bitcoin import cursor
from fulmen.core.bitcoin.transaction import (
    AmountOutOfRange,
    Tx,
    TxFlagUnknown,
    TxIn,
    TxOut,
    TxTooLarge,
    TxWithoutInputs,
    TxWithoutOutputs,
    WitnessSuperfluous,
    parse_tx,
)

CORE = Path("tests/vectors/core")


def core_transactions(name: str) -> list[tuple[str, str]]:
    rows = json.loads(lzma.decompress((CORE / f"{name}.json.xz").read_bytes()))
    return [(row[1], row[2]) for row in rows if len(row) == 3]


scripts = st.binary(max_size=40)
inputs = st.builds(
    TxIn,
    st.builds(OutPoint, st.binary(min_size=32, max_size=32).map(Txid), st.integers(0, 0xFFFFFFFF)),
    scripts,
    st.integers(0, 0xFFFFFFFF),
    st.lists(scripts, max_size=3).map(tuple),
)
outputs = st.builds(TxOut, st.integers(0, MAX_MONEY_SAT).map(Sat), scripts)
transactions = st.builds(
    Tx,
    st.integers(0, 0xFFFFFFFF),
    st.lists(inputs, min_size=1, max_size=4).map(tuple),
    st.lists(outputs, min_size=1, max_size=4).map(tuple),
    st.integers(0, 0xFFFFFFFF),
)


@pytest.mark.parametrize(("raw", "_flags"), core_transactions("core_tx_valid"))
def test_every_valid_transaction_of_bitcoin_core_reads_and_writes_back_the_same(raw: str, _flags: str) -> None:
    assert parse_tx(bytes.fromhex(raw)).serialize().hex() == raw.lower()


def test_what_bitcoin_core_calls_invalid_reads_back_the_same_or_is_refused_by_name() -> None:
    refused = set()
    for raw, _flags in core_transactions("core_tx_invalid"):
        try:
            assert parse_tx(bytes.fromhex(raw)).serialize().hex() == raw.lower()
        except Malformed as fault:
            refused.add(fault.name)
    assert refused >= {"TxWithoutOutputs", "AmountOutOfRange"}


@given(transactions)
def test_every_transaction_survives_its_bytes(tx: Tx) -> None:
    assert parse_tx(tx.serialize()) == tx


@given(transactions)
def test_weight_counts_witness_bytes_once_and_the_others_four_times(tx: Tx) -> None:
    stripped = tx.but(inputs=tuple(i.but(witness=()) for i in tx.inputs))
    extra = len(tx.serialize()) - len(stripped.serialize())
    assert tx.weight == 4 * len(stripped.serialize()) + extra
    assert tx.txid == stripped.txid


@given(transactions, st.data())
def test_a_transaction_cut_short_is_refused_by_name(tx: Tx, data: st.DataObject) -> None:
    raw = tx.serialize()
    with pytest.raises(Malformed):
        parse_tx(raw[: data.draw(st.integers(0, len(raw) - 1))])


@given(st.binary(max_size=300))
def test_any_bytes_are_a_transaction_or_a_named_fault(data: bytes) -> None:
    try:
        tx = parse_tx(data)
    except Malformed:
        return
    assert tx.serialize() == data


def a_tx(**changes: object) -> Tx:
    return Tx(2, (TxIn(OutPoint(Txid(b"\x11" * 32), 0)),), (TxOut(Sat(5), b"\x51"),)).but(**changes)


def test_one_byte_too_many_is_refused() -> None:
    with pytest.raises(cursor.BytesTrailing):
        parse_tx(a_tx().serialize() + b"\x00")


def test_a_count_longer_than_needed_is_refused() -> None:
    raw = a_tx().serialize()
    with pytest.raises(cursor.CompactSizeNotMinimal):
        parse_tx(raw[:4] + b"\xfd\x01\x00" + raw[5:])


def test_a_count_that_cannot_fit_is_refused_before_anything_is_allocated() -> None:
    with pytest.raises(cursor.BytesMissing):
        parse_tx(b"\x02\x00\x00\x00\xfe\xff\xff\xff\x01" + bytes(100))
    with pytest.raises(cursor.LengthTooLarge):
        parse_tx(b"\x02\x00\x00\x00\xff" + b"\xff" * 8 + bytes(100))


@pytest.mark.parametrize(
    ("fault", "raw"),
    [
        (TxWithoutInputs, bytes(10)),
        (TxWithoutInputs, b"\x02\x00\x00\x00\x00\x01\x00" + bytes(10)),
        (TxFlagUnknown, b"\x02\x00\x00\x00\x00\x02" + bytes(10)),
        (TxWithoutOutputs, a_tx(outputs=()).serialize()),
        (WitnessSuperfluous, b"\x02\x00\x00\x00\x00\x01" + a_tx().serialize()[4:-4] + b"\x00" + bytes(4)),
        (AmountOutOfRange, a_tx(outputs=(TxOut(Sat(MAX_MONEY_SAT + 1), b""),)).serialize()),
        (AmountOutOfRange, a_tx(outputs=(TxOut(Sat(2**64 - 1), b""),)).serialize()),
        (TxTooLarge, bytes(4_000_001)),
    ],
)
def test_a_broken_transaction_has_a_name(fault: type[Malformed], raw: bytes) -> None:
    with pytest.raises(fault):
        parse_tx(raw)


def test_a_changed_transaction_does_not_keep_the_old_name() -> None:
    tx = a_tx()
    assert tx.txid != tx.but(locktime=7).txid
    assert tx.with_witness(0, b"\x01").txid == tx.txid
    assert tx.with_witness(0, b"\x01").wtxid != tx.wtxid
