"""Which scripts are ours: four branches of keys, each watched a gap beyond the last index in use. BIP 44."""

from __future__ import annotations

from functools import lru_cache

from fulmen.core.base.outer import Want, WantScriptWatch
from fulmen.core.bitcoin.accounts import (
    CHANGE,
    P2TR_ACCOUNT,
    P2WPKH_ACCOUNT,
    RECEIVE,
    Accounts,
    KeyPath,
    script_at,
)
from fulmen.core.wallet.state import Wallet

GAP_LIMIT = 20
"""How many unused addresses in a row a restored wallet looks at (BIP 44, "Address gap limit")."""
BRANCHES = (
    (P2WPKH_ACCOUNT, RECEIVE),
    (P2WPKH_ACCOUNT, CHANGE),
    (P2TR_ACCOUNT, RECEIVE),
    (P2TR_ACCOUNT, CHANGE),
)
_CHUNK = 64


def branch_of(path: KeyPath) -> int:
    """The place of a key's branch in `BRANCHES`."""
    return BRANCHES.index((path.purpose, path.change))


def next_path(wallet: Wallet, purpose: int, change: int) -> KeyPath:
    """The first key of a branch that was neither given out nor promised."""
    branch = BRANCHES.index((purpose, change))
    index = wallet.issued[branch]
    for reservation in wallet.reservations:
        for coin in reservation.coins:
            if branch_of(coin.path) == branch:
                index = max(index, coin.path.index + 1)
    return KeyPath(purpose, change, index)


def path_of(wallet: Wallet, script_pubkey: bytes) -> KeyPath | None:
    """The key that a script pays to, if it is one of those that we watch."""
    for branch, (purpose, change) in enumerate(BRANCHES):
        end = _watched_until(wallet, branch)
        for chunk in range(-(-end // _CHUNK)):
            index = _chunk(wallet.accounts, purpose, change, chunk).get(script_pubkey)
            if index is not None and index < end:
                return KeyPath(purpose, change, index)
    return None


def watches(wallet: Wallet) -> tuple[Want, ...]:
    """A watch for every script that may be paid."""
    wants: list[Want] = []
    for branch, (purpose, change) in enumerate(BRANCHES):
        wants += _watches_up_to(wallet.accounts, purpose, change, _watched_until(wallet, branch))
    return tuple(wants)


def _watched_until(wallet: Wallet, branch: int) -> int:
    promised = [c.path.index + 1 for r in wallet.reservations for c in r.coins if branch_of(c.path) == branch]
    return max(wallet.issued[branch], *promised, 0) + GAP_LIMIT


@lru_cache(maxsize=16)
def _watches_up_to(accounts: Accounts, purpose: int, change: int, end: int) -> tuple[Want, ...]:
    return tuple([WantScriptWatch(script_at(accounts, KeyPath(purpose, change, index))) for index in range(end)])


@lru_cache(maxsize=1024)
def _chunk(accounts: Accounts, purpose: int, change: int, chunk: int) -> dict[bytes, int]:
    start = chunk * _CHUNK
    return {script_at(accounts, KeyPath(purpose, change, index)): index for index in range(start, start + _CHUNK)}
