"""Transactions by what matters about them: their coins, kinds of outputs, fee or feerate, and size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fulmen.core.bitcoin.transaction import Tx, TxOut
from interop.twin.coins import Coin, padding, pay, spend

RATES = (0, 50, 99, 100, 101, 150, 200, 500, 1000, 3000, 20_000)
"""Satoshis per 1000 virtual bytes; the least that is relayed is 100."""


def draft(
    coins: Sequence[Coin],
    kinds: Sequence[str],
    *,
    fee: int | None = None,
    rate: int = 0,
    more: int = 0,
    extra: Sequence[TxOut] = (),
    **how: Any,
) -> Tx:
    """A transaction that shares what its coins hold among outputs of these kinds.

    Args:
        fee: in satoshis; or by `rate` per 1000 virtual bytes, with `more` added.
        extra: further outputs, after those of `kinds`.
    """
    if fee is None:
        fee = max(0, -(-draft(coins, kinds, fee=0, extra=extra, **how).vsize * rate // 1000) + more)
    left = sum(coin.amount for coin in coins) - fee - sum(output.amount_sat for output in extra)
    each = max(left // len(kinds), 0)
    shares = [max(left - each * (len(kinds) - 1), 0), *[each] * (len(kinds) - 1)]
    outputs = [pay(kind, share) for kind, share in zip(kinds, shares, strict=True)]
    return spend(coins, [*outputs, *extra], **how)


def sized(coins: Sequence[Coin], kinds: Sequence[str], vsize: int, **how: Any) -> Tx:
    """A draft of exactly so many virtual bytes, as far as padding can; 0 leaves it as small as it is."""
    if not vsize:
        return draft(coins, kinds, **how)
    size = max(vsize - draft(coins, kinds, **how).vsize - 11, 0)
    while True:
        made = draft(coins, kinds, extra=[padding(size)], **how)
        if made.vsize == vsize or size == 0 or abs(made.vsize - vsize) > vsize:
            return made
        if made.vsize > vsize and draft(coins, kinds, extra=[padding(size - 1)], **how).vsize < vsize:
            return made
        size += vsize - made.vsize
