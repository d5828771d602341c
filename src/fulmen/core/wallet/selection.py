"""Which coins to spend: without change if some set fits, else whatever wastes least.

Branch and bound looks for a set that needs no change. If there is none, largest first and a few random draws (from
given entropy, so equal entropy gives equal coins) make change, and the least waste wins: what these inputs cost now
beyond what they would cost at the long-term feerate, and change or excess on top (Murch, "An Evaluation of Coin
Selection Strategies"; Bitcoin Core's waste metric). The last resort is every coin.
"""

from __future__ import annotations

from hashlib import sha256

from fulmen.core.base.record import Record
from fulmen.core.base.units import FeeratePerKw, Sat
from fulmen.core.bitcoin.accounts import INPUT_WEIGHT, P2TR_WITNESS_WEIGHT, input_weight
from fulmen.core.bitcoin.transaction import fee_at
from fulmen.core.wallet.state import Coin

MAX_TRIES = 20_000
"""Bounds branch and bound; each try is one node of its tree."""
RANDOM_DRAWS = 3
LONG_TERM_FEERATE_PER_KW = FeeratePerKw(2500)
"""What we think an input costs some other day: 10 sat/vB."""
P2TR_OUTPUT_WEIGHT = 4 * 43
CHANGE_SPEND_WEIGHT = INPUT_WEIGHT + P2TR_WITNESS_WEIGHT
MIN_CHANGE_SAT = Sat(330)
"""Below it change would be dust (BOLT 3, "Dust Limits"), and goes to the fee."""


class Selection(Record):
    """Coins to spend, and whether they make change."""

    coins: tuple[Coin, ...]
    change_sat: Sat
    """0 when there is none; what is over goes to the fee."""
    waste_sat: int


def select(
    coins: tuple[Coin, ...], target_sat: Sat, feerate_per_kw: FeeratePerKw, entropy: bytes, leave_sat: Sat
) -> Selection | None:
    """Choose coins whose value less the cost of their inputs reaches a target; None if there are too few.

    Args:
        target_sat: the outputs and the fee of everything but the inputs and change.
        leave_sat: value that must stay ours, in other coins or as change.
    """
    worth = sorted(
        (coin for coin in coins if effective_value(coin, feerate_per_kw) > 0),
        key=lambda coin: (-effective_value(coin, feerate_per_kw), coin.outpoint),
    )
    exact = _branch_and_bound(worth, target_sat, feerate_per_kw)
    with_change = _with_change(worth, target_sat, feerate_per_kw, entropy, leave_sat)
    for candidates in ([exact] if exact else [], with_change, [tuple(worth)]):
        priced_ones = [priced(candidate, target_sat, feerate_per_kw) for candidate in candidates]
        found = [s for s in priced_ones if s is not None and left_after(s, coins) >= leave_sat]
        if found:
            return min(found, key=lambda selection: (selection.waste_sat, len(selection.coins)))
    return None


def priced(coins: tuple[Coin, ...], target_sat: Sat, feerate_per_kw: FeeratePerKw) -> Selection | None:
    """What becomes of the value above the target when exactly these coins are spent; None if it is not reached."""
    excess = sum(effective_value(coin, feerate_per_kw) for coin in coins) - target_sat
    if excess < 0 or not coins:
        return None
    change = Sat(excess - fee_at(feerate_per_kw, P2TR_OUTPUT_WEIGHT))
    timing = sum(
        fee_at(feerate_per_kw, input_weight(coin.path)) - fee_at(LONG_TERM_FEERATE_PER_KW, input_weight(coin.path))
        for coin in coins
    )
    if change < MIN_CHANGE_SAT:
        return Selection(coins, Sat(0), timing + excess)
    return Selection(coins, change, timing + _cost_of_change(feerate_per_kw))


def effective_value(coin: Coin, feerate_per_kw: FeeratePerKw) -> int:
    """What a coin adds once its input is paid for."""
    return coin.amount_sat - fee_at(feerate_per_kw, input_weight(coin.path))


def left_after(selection: Selection, coins: tuple[Coin, ...]) -> Sat:
    """What stays ours of these coins: those that are not spent, and the change."""
    spent = sum(coin.amount_sat for coin in selection.coins)
    return Sat(sum(coin.amount_sat for coin in coins) - spent + selection.change_sat)


def shuffled(items: list[Coin], entropy: bytes) -> list[Coin]:
    """The same coins in an order that only the entropy decides."""
    keyed = [
        (sha256(entropy + item.outpoint.txid + item.outpoint.vout.to_bytes(4, "big")).digest(), item) for item in items
    ]
    return [item for _key, item in sorted(keyed, key=lambda pair: pair[0])]


def _with_change(
    worth: list[Coin], target_sat: Sat, feerate_per_kw: FeeratePerKw, entropy: bytes, leave_sat: Sat
) -> list[tuple[Coin, ...]]:
    """In several orders: as many coins as it takes to pay, to make change, and to leave enough with us."""
    goal = target_sat + fee_at(feerate_per_kw, P2TR_OUTPUT_WEIGHT) + MIN_CHANGE_SAT
    total_sat = sum(coin.amount_sat for coin in worth)
    candidates = []
    for order in (worth, *(shuffled(worth, entropy + bytes((draw,))) for draw in range(RANDOM_DRAWS))):
        reached, spent = 0, 0
        for count, coin in enumerate(order, 1):
            reached += effective_value(coin, feerate_per_kw)
            spent += coin.amount_sat
            change = reached - goal + MIN_CHANGE_SAT
            if reached >= goal and total_sat - spent + change >= leave_sat:
                candidates.append(tuple(order[:count]))
                break
        if not candidates:
            break  # whether it can be paid does not depend on chance
    return candidates


def _branch_and_bound(worth: list[Coin], target_sat: Sat, feerate_per_kw: FeeratePerKw) -> tuple[Coin, ...] | None:
    """The set with the least waste that reaches the target and exceeds it by less than change would cost.

    Coins come largest first. Each is first taken, then left out; a branch ends when it cannot reach the target any
    more or is beyond it. After Bitcoin Core's SelectCoinsBnB.
    """
    values = [effective_value(coin, feerate_per_kw) for coin in worth]
    ceiling = target_sat + _cost_of_change(feerate_per_kw)
    left = sum(values)
    if left < target_sat:
        return None
    taken: list[int] = []
    reached, at = 0, 0
    best: tuple[int, ...] | None = None
    best_excess = ceiling - target_sat + 1
    for _try in range(MAX_TRIES):
        backtrack = reached + left < target_sat or reached > ceiling
        if not backtrack and reached >= target_sat:
            if reached - target_sat < best_excess:
                best, best_excess = tuple(taken), reached - target_sat
            backtrack = True
        if backtrack or at == len(values):
            if not taken:
                break
            last = taken.pop()
            left += sum(values[last + 1 : at])
            reached -= values[last]
            at = last + 1
            continue
        left -= values[at]
        reached += values[at]
        taken.append(at)
        at += 1
    return None if best is None else tuple(worth[index] for index in best)


def _cost_of_change(feerate_per_kw: FeeratePerKw) -> int:
    """Its output now, and its input some other day."""
    return fee_at(feerate_per_kw, P2TR_OUTPUT_WEIGHT) + fee_at(LONG_TERM_FEERATE_PER_KW, CHANGE_SPEND_WEIGHT)
