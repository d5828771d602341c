"""The set of unspent outputs as one number, so that two nodes can be compared: Bitcoin Core's `gettxoutsetinfo`.

Source: Bitcoin Core, kernel/coinstats.cpp (serialised hash) and crypto/muhash.h (MuHash over 3072 bits).
"""

from __future__ import annotations

from hashlib import sha256

from fulmen.core.base.ids import OutPoint
from fulmen.core.crypto.ciphers import chacha20_stream
from fulmen.core.crypto.hashes import sha256d
from fulmen.regtest.coins import Coin, Coins

_MODULUS = 2**3072 - 1103717
_NUMBER_BYTES = 384
_BOGUS_BYTES = 50
"""What each coin counts in the size that says nothing about disks, besides its script."""


def serialized_hash(coins: Coins) -> bytes:
    """SHA-256d over all coins in the order of their outpoints, internal byte order."""
    ordered = sorted(coins.items(), key=lambda item: (item[0].txid, item[0].vout))
    return sha256d(b"".join([_serialize(outpoint, coin) for outpoint, coin in ordered]))


def muhash(coins: Coins) -> bytes:
    """The product of all coins as numbers, in whatever order, hashed; internal byte order."""
    product = 1
    for outpoint, coin in coins.items():
        stream = chacha20_stream(sha256(_serialize(outpoint, coin)).digest(), _NUMBER_BYTES)
        product = product * int.from_bytes(stream, "little") % _MODULUS
    return sha256(product.to_bytes(_NUMBER_BYTES, "little")).digest()


def bogo_size(coins: Coins) -> int:
    """Core's measure of the set's size that does not depend on a database."""
    return sum(_BOGUS_BYTES + len(coin.output.script_pubkey) for _, coin in coins.items())


def _serialize(outpoint: OutPoint, coin: Coin) -> bytes:
    place = coin.height << 1 | coin.coinbase
    return outpoint.txid + outpoint.vout.to_bytes(4, "little") + place.to_bytes(4, "little") + coin.output.serialize()
