"""One coin for several transactions of a close that must not wait for each other, nor share their fate.

The coin is split first. Its parts are change that nobody but us can undo, so they can be spent at once: each of the
transactions hangs on the split alone, may be replaced without the others, and all of them fit into one block.
"""

from __future__ import annotations

from fulmen.core.base.units import BlockHeight, FeeratePerKw, Sat
from fulmen.core.bitcoin.accounts import (
    CHANGE,
    P2TR_ACCOUNT,
    KeyPath,
    SignWalletInputs,
    WalletInput,
    input_weight,
    script_at,
)
from fulmen.core.bitcoin.transaction import SEQUENCE_RBF, Tx, TxIn, TxOut, fee_at
from fulmen.core.wallet.balance import available
from fulmen.core.wallet.scripts import next_path
from fulmen.core.wallet.selection import MIN_CHANGE_SAT, P2TR_OUTPUT_WEIGHT
from fulmen.core.wallet.state import Coin, Spend, Wallet, WalletTx

NAME = "coins for a close"
MAX_PARTS = 12
"""Well within what a mempool takes of descendants, and within the addresses that are watched ahead."""
BARE_WEIGHT = 4 * 11 + 2
"""Version, counts, locktime, marker and flag."""


def split_for(
    wallet: Wallet, transactions: int, least_sat: Sat, feerate_per_kw: FeeratePerKw, height: BlockHeight, ref: bytes
) -> WalletTx | None:
    """A transaction that makes as many coins as there are transactions to be paid for; None where it takes none.

    Args:
        least_sat: what each part has to be worth beyond the cost of spending it.
    """
    free = available(wallet, height)
    if not free or len(free) >= transactions:
        return None
    coin = max(free, key=lambda coin: (coin.amount_sat, coin.outpoint))
    wanted = min(transactions - len(free) + 1, MAX_PARTS)
    for parts in range(wanted, 1, -1):
        fee = fee_at(feerate_per_kw, BARE_WEIGHT + input_weight(coin.path) + parts * P2TR_OUTPUT_WEIGHT)
        each = (coin.amount_sat - fee) // parts
        if each >= max(MIN_CHANGE_SAT, least_sat + fee_at(feerate_per_kw, input_weight(coin.path))):
            return _split(wallet, coin, parts, Sat(each), ref)
    return None


def _split(wallet: Wallet, coin: Coin, parts: int, each: Sat, ref: bytes) -> WalletTx:
    first = next_path(wallet, P2TR_ACCOUNT, CHANGE).index
    paths = [KeyPath(P2TR_ACCOUNT, CHANGE, first + n) for n in range(parts)]
    outputs = tuple([TxOut(each, script_at(wallet.accounts, path)) for path in paths])
    tx = Tx(2, (TxIn(coin.outpoint, b"", SEQUENCE_RBF),), outputs, 0)
    sign = SignWalletInputs((TxOut(coin.amount_sat, coin.script_pubkey),), (WalletInput(0, coin.path),))
    fee = Sat(coin.amount_sat - parts * each)
    made = [Coin(tx.outpoint(vout), each, outputs[vout].script_pubkey, path) for vout, path in enumerate(paths)]
    own = Spend(b"split" + ref, NAME, tx.serialize(), fee, sign)
    return WalletTx(tx.txid, (coin.outpoint,), tuple(made), own=own)
