"""Bitcoin Core's own transactions, valid and invalid, before both judges."""

from __future__ import annotations

import pytest
from tests.builders.regtest import JUDGES
from tests.builders.vectors import vector_json

from fulmen.core.base.faults import Malformed
from fulmen.core.base.ids import OutPoint, Txid
from fulmen.core.base.units import Sat
from fulmen.core.bitcoin.opcodes import NAMES
from fulmen.core.bitcoin.script import number, push
from fulmen.core.bitcoin.transaction import Tx, TxOut, parse_tx
from fulmen.regtest.btclib_engine import standard_scripts
from fulmen.regtest.consensus import Rejected, check_transaction
from fulmen.regtest.judges import open_judge

CONSENSUS = {"P2SH", "DERSIG", "NULLDUMMY", "CHECKLOCKTIMEVERIFY", "CHECKSEQUENCEVERIFY", "WITNESS", "TAPROOT"}
OPCODES = {name.removeprefix("OP_"): bytes([code]) for code, name in NAMES.items()} | {
    "NOP2": b"\xb1",
    "NOP3": b"\xb2",
    "CHECKLOCKTIMEVERIFY": b"\xb1",
    "CHECKSEQUENCEVERIFY": b"\xb2",
}


def script_of_words(words: str) -> bytes:
    """A script as Core's vectors write it: hex verbatim, numbers and 'texts' pushed, opcodes by name."""
    parts = []
    for word in words.split():
        if word.startswith("0x"):
            parts.append(bytes.fromhex(word[2:]))
        elif word.lstrip("-").isdigit():
            parts.append(number(int(word)))
        elif word.startswith("'"):
            parts.append(push(word.strip("'").encode()))
        else:
            parts.append(OPCODES[word.removeprefix("OP_")])
    return b"".join(parts)


def cases(name: str):
    """(transaction, what it spends, flags) of the vectors whose transaction can be read at all."""
    for row in vector_json(f"core/{name}.json.xz"):
        if len(row) < 3:
            continue
        prevouts, raw, flags = row
        try:
            tx = parse_tx(bytes.fromhex(raw))
        except Malformed:
            continue
        coins = {
            OutPoint(Txid(bytes.fromhex(each[0])[::-1]), each[1] % 2**32): TxOut(
                Sat(each[3] if len(each) > 3 else 0), script_of_words(each[2])
            )
            for each in prevouts
        }
        if all(spent.outpoint in coins for spent in tx.inputs):
            yield tx, [coins[spent.outpoint] for spent in tx.inputs], set(flags.split(","))


def verdict(judge, tx: Tx, spent: list[TxOut]) -> str:
    try:
        check_transaction(tx)
    except Rejected as why:
        return str(why)
    return judge.scripts(tx.serialize(), spent)


@pytest.mark.parametrize("name", JUDGES)
def test_valid_transactions_are_valid(name):
    judge, asked = open_judge(name), 0
    for tx, spent, excluded in cases("core_tx_valid"):
        if not excluded & CONSENSUS:
            assert verdict(judge, tx, spent) == "", tx.txid[::-1].hex()
            asked += 1
    judge.close()
    assert asked > 90


@pytest.mark.parametrize("name", JUDGES)
def test_invalid_transactions_are_invalid(name):
    judge, asked = open_judge(name), 0
    for tx, spent, flags in cases("core_tx_invalid"):
        if flags - {"NONE", "BADTX"} <= CONSENSUS:
            assert verdict(judge, tx, spent) != "", tx.txid[::-1].hex()
            asked += 1
    judge.close()
    assert asked > 60


def test_transactions_that_break_no_rule_of_relay_pass_all_of_them():
    asked = 0
    for tx, spent, excluded in cases("core_tx_valid"):
        if excluded <= {"NONE", "SIGPUSHONLY"}:
            assert standard_scripts(tx.serialize(), spent) == ""
            asked += 1
    assert asked > 40


def test_transactions_that_break_a_rule_of_relay_alone_are_caught_by_it():
    asked = 0
    for tx, spent, excluded in cases("core_tx_valid"):
        if not excluded & CONSENSUS and excluded - {"NONE", "SIGPUSHONLY"}:
            assert standard_scripts(tx.serialize(), spent) != ""
            asked += 1
    assert asked > 20
