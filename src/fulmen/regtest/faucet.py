"""The faucet: the miner's own coins, given away.

Its key is no secret: it is the same in every embedded chain, so that a chain read back from disk can go on giving.
"""

from __future__ import annotations

from collections.abc import Mapping

from fulmen.core.base.faults import Refused
from fulmen.core.base.ids import OutPoint, Secret
from fulmen.core.base.units import Sat
from fulmen.core.bitcoin.block import COINBASE_MATURITY
from fulmen.core.bitcoin.script import dust_limit, p2pkh, p2wpkh
from fulmen.core.bitcoin.sighash import SIGHASH_ALL, sighash_segwit_v0
from fulmen.core.bitcoin.transaction import Tx, TxIn, TxOut
from fulmen.core.crypto.hashes import hash160, sha256
from fulmen.core.crypto.secp256k1 import point_of, sign_ecdsa, signature_to_der
from fulmen.regtest.coins import Coin

FEE_SAT_PER_VBYTE = 2
_INPUT_VBYTES = 68
_OUTPUT_VBYTES = 43
_OVERHEAD_VBYTES = 11
_SECRET = Secret(sha256(b"fulmen regtest faucet"))
_POINT = point_of(_SECRET)
SCRIPT_PUBKEY = p2wpkh(hash160(_POINT))
"""Where the miner's reward goes when nobody else wants it."""


class FaucetDry(Refused):
    """The miner's matured coins do not cover what is asked."""


def spendable(coins: Mapping[OutPoint, Coin], height: int) -> dict[OutPoint, Coin]:
    """Those that a block of this height may spend, largest first."""
    ripe = [
        (outpoint, coin)
        for outpoint, coin in coins.items()
        if not coin.coinbase or height - coin.height >= COINBASE_MATURITY
    ]
    return dict(sorted(ripe, key=lambda item: -item[1].output.amount_sat))


def pay(coins: Mapping[OutPoint, Coin], output: TxOut) -> Tx:
    """A signed transaction that makes this output and gives the change back to the faucet.

    Raises:
        FaucetDry: the coins do not reach.
    """
    inputs: list[TxIn] = []
    amounts: list[Sat] = []
    fee = FEE_SAT_PER_VBYTE * (_OVERHEAD_VBYTES + 2 * _OUTPUT_VBYTES)
    for outpoint, coin in coins.items():
        inputs.append(TxIn(outpoint))
        amounts.append(coin.output.amount_sat)
        fee += FEE_SAT_PER_VBYTE * _INPUT_VBYTES
        if sum(amounts) >= output.amount_sat + fee:
            break
    else:
        why = "the miner has fewer coins that are ripe: find more blocks"
        raise FaucetDry(why, wanted_sat=output.amount_sat + fee, matured_sat=sum(amounts))
    change = TxOut(Sat(sum(amounts) - output.amount_sat - fee), SCRIPT_PUBKEY)
    worth_it = change.amount_sat >= dust_limit(SCRIPT_PUBKEY)
    tx = Tx(2, tuple(inputs), (output, change) if worth_it else (output,))
    script_code = p2pkh(hash160(_POINT))
    for index, amount_sat in enumerate(amounts):
        digest = sighash_segwit_v0(tx, index, script_code, amount_sat, SIGHASH_ALL)
        signature = signature_to_der(sign_ecdsa(_SECRET, digest)) + bytes([SIGHASH_ALL])
        tx = tx.with_witness(index, signature, _POINT)
    return tx
