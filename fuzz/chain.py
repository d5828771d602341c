"""What comes from the chain, and what people type: transactions, blocks, addresses, keys, words."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from fulmen.core.base.faults import Malformed, Refused
from fulmen.core.base.units import BlockHeight, Sat
from fulmen.core.bitcoin import base58, bech32
from fulmen.core.bitcoin.address import ScriptWithoutAddress, address_of, script_of
from fulmen.core.bitcoin.bip32 import parse_extended_key, parse_path
from fulmen.core.bitcoin.bip39 import entropy_of, mnemonic_of
from fulmen.core.bitcoin.block import coinbase_tx, merkle_root, parse_block, read_block
from fulmen.core.bitcoin.networks import MAINNET, REGTEST
from fulmen.core.bitcoin.transaction import TxOut, parse_tx, parse_unlawful_tx
from fuzz.seeds import bytes_in, texts_in
from fuzz.target import Target


def targets() -> Iterator[Target]:
    """All of them."""
    yield Target("transaction", _transaction, _transactions)
    yield Target("block", _block, lambda: [a_block(), bytes(81)])
    yield Target("address", _address, lambda: _words_of("bip/bip173_bip350.json"), longest=200)
    yield Target("bech32", _bech32, lambda: _words_of("bip/bip173_bip350.json"), longest=2000)
    yield Target(
        "keys_and_words",
        _keys,
        lambda: [b"m/84'/0'/0'", *_words_of("bip/bip32_test_vectors.json"), b"zoo " * 12],
        longest=400,
    )


def a_block() -> bytes:
    """Nothing but a coinbase."""
    coinbase = coinbase_tx(BlockHeight(7), (TxOut(Sat(5_000_000_000), b"\x51"),), ())
    root, _ = merkle_root([coinbase.txid])
    return b"\1\0\0\0" + bytes(32) + root + b"\0\0\0\0\xff\xff\x7f\x20\0\0\0\0" + b"\1" + coinbase.serialize()


def _transaction(data: bytes) -> None:
    for parse in (parse_tx, parse_unlawful_tx):
        try:
            tx = parse(data)
        except Malformed:
            continue
        assert tx.serialize() == data
        assert parse(tx.serialize()) == tx
        assert tx.weight == 3 * len(tx.base) + len(data)


def _block(data: bytes) -> None:
    for lawful in (True, False):
        try:
            block = read_block(data, lawful=lawful)
        except Malformed:
            continue
        assert block.serialize() == data
    try:
        parse_block(data)
    except Malformed:
        return


def _address(data: bytes) -> None:
    text = data.decode("utf-8", "replace")
    for network in (MAINNET, REGTEST):
        try:
            script = script_of(text, network)
        except Malformed:
            continue
        assert script_of(address_of(script, network), network) == script
    try:
        assert script_of(address_of(data, MAINNET), MAINNET) == data
    except ScriptWithoutAddress:
        return


def _bech32(data: bytes) -> None:
    text = data.decode("utf-8", "replace")
    try:
        hrp, words, checksum = bech32.decode(text, 2000)
        assert bech32.encode(hrp, words, checksum) == text.lower()
        assert bech32.to_words(bech32.from_words(words)) == words
    except Malformed:
        return


def _keys(data: bytes) -> None:
    text = data.decode("utf-8", "replace")
    with contextlib.suppress(Malformed):
        assert base58.encode_check(base58.decode_check(text)) == text
    try:
        key = parse_extended_key(text, MAINNET)
        assert key.to_text(MAINNET) == text
    except (Malformed, Refused):
        pass
    with contextlib.suppress(Malformed, Refused):
        parse_path(text)
    with contextlib.suppress(Malformed):
        assert entropy_of(mnemonic_of(entropy_of(text))) == entropy_of(text)


def _transactions() -> Iterator[bytes]:
    return (raw for raw in bytes_in("core/core_tx_valid.json.xz") if len(raw) > 60)


def _words_of(name: str) -> list[bytes]:
    return [text.encode() for text in texts_in(name) if len(text) < 200]
