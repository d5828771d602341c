"""Coin selection: enough, not too much, the same for the same entropy."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.builders.wallets import NEW, OLD, an_outpoint, our_script

from fulmen.core.base.units import FeeratePerKw, Sat
from fulmen.core.bitcoin.accounts import KeyPath, input_weight
from fulmen.core.bitcoin.transaction import fee_at
from fulmen.core.wallet.selection import MIN_CHANGE_SAT, P2TR_OUTPUT_WEIGHT, Selection, left_after, select
from fulmen.core.wallet.state import Coin

RATE = FeeratePerKw(1000)
SEED = bytes(32)


def coins(*amounts: int, path: KeyPath = NEW) -> tuple[Coin, ...]:
    return tuple(Coin(an_outpoint(n), Sat(amount), our_script(path), path) for n, amount in enumerate(amounts))


def cost(path: KeyPath = NEW) -> int:
    return fee_at(RATE, input_weight(path))


def chosen(selection: Selection | None) -> list[int]:
    assert selection is not None
    return sorted(coin.amount_sat for coin in selection.coins)


def test_a_set_that_fits_is_taken_and_makes_no_change() -> None:
    wanted = 30_000 + 20_000 - 2 * cost()
    selection = select(coins(90_000, 30_000, 55_000, 20_000), Sat(wanted), RATE, SEED, Sat(0))
    assert chosen(selection) == [20_000, 30_000]
    assert selection is not None and selection.change_sat == 0


def test_a_fit_is_found_among_many_coins() -> None:
    many = coins(*(10_000 + 97 * n for n in range(200)))
    wanted = sum(many[n].amount_sat - cost() for n in (3, 77, 190))
    selection = select(many, Sat(wanted), RATE, SEED, Sat(0))
    assert selection is not None and selection.change_sat == 0


def test_change_is_made_when_nothing_fits() -> None:
    selection = select(coins(500_000, 400_000), Sat(100_000), RATE, SEED, Sat(0))
    assert selection is not None
    assert len(selection.coins) == 1
    amount = selection.coins[0].amount_sat
    assert selection.change_sat == amount - cost() - fee_at(RATE, P2TR_OUTPUT_WEIGHT) - 100_000


def test_change_below_dust_goes_to_the_fee() -> None:
    (only,) = coins(100_000)
    target = only.amount_sat - cost() - fee_at(RATE, P2TR_OUTPUT_WEIGHT) - MIN_CHANGE_SAT + 1
    selection = select((only,), Sat(target), RATE, SEED, Sat(0))
    assert selection is not None and selection.change_sat == 0


def test_coins_that_cost_more_than_they_bring_are_left_alone() -> None:
    rate = FeeratePerKw(25_000)
    assert select(coins(1000, 1000, 1000), Sat(500), rate, SEED, Sat(0)) is None
    assert chosen(select(coins(1000, 100_000), Sat(500), rate, SEED, Sat(0))) == [100_000]


def test_what_has_to_stay_stays() -> None:
    both = coins(50_000, 50_000)
    assert select(both, Sat(90_000), RATE, SEED, Sat(10_000)) is None
    selection = select(both, Sat(60_000), RATE, SEED, Sat(30_000))
    assert selection is not None and left_after(selection, both) >= 30_000


def test_nothing_is_selected_from_nothing() -> None:
    assert select((), Sat(1), RATE, SEED, Sat(0)) is None


@given(
    st.lists(st.tuples(st.integers(200, 2_000_000), st.sampled_from([OLD, NEW])), max_size=12),
    st.integers(1, 3_000_000),
    st.integers(253, 20_000),
    st.integers(0, 100_000),
    st.binary(min_size=32, max_size=32),
)
def test_whatever_is_selected_pays_for_itself(
    kinds: list[tuple[int, KeyPath]], target: int, rate: int, leave: int, entropy: bytes
) -> None:
    have = tuple(Coin(an_outpoint(n), Sat(amount), our_script(path), path) for n, (amount, path) in enumerate(kinds))
    feerate = FeeratePerKw(rate)
    selection = select(have, Sat(target), feerate, entropy, Sat(leave))
    assert selection == select(have, Sat(target), feerate, entropy, Sat(leave))
    worth = sum(max(0, c.amount_sat - fee_at(feerate, input_weight(c.path))) for c in have)
    if selection is None:
        assert worth < target + fee_at(feerate, P2TR_OUTPUT_WEIGHT) + MIN_CHANGE_SAT + leave
        return
    assert len(set(selection.coins)) == len(selection.coins)
    value = sum(c.amount_sat - fee_at(feerate, input_weight(c.path)) for c in selection.coins)
    change_cost = fee_at(feerate, P2TR_OUTPUT_WEIGHT) if selection.change_sat else 0
    assert value >= target + selection.change_sat + change_cost
    assert selection.change_sat == 0 or selection.change_sat >= MIN_CHANGE_SAT
    assert left_after(selection, have) >= leave


@pytest.mark.parametrize("count", [200, 2000])
def test_selection_among_many_equal_coins_ends_soon(count: int) -> None:
    selection = select(coins(*[10_000] * count), Sat(333_333), RATE, SEED, Sat(0))
    assert selection is not None and len(selection.coins) < 40
