import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.builders.transactions import Bolt3, a_shape

from fulmen.core.bitcoin.transaction import Tx, TxIn
from fulmen.core.transactions.formats import STATIC_REMOTEKEY
from fulmen.core.transactions.numbers import (
    MAX_COMMITMENT_NUMBER,
    NumberOutOfRange,
    commitment_number_of,
    locktime_and_sequence,
    obscuring_factor,
)

FUNDING = a_shape(STATIC_REMOTEKEY).funding


def test_the_factor_is_the_one_of_appendix_c():
    bolt = Bolt3("commitments-static-remotekey")
    factor = obscuring_factor(bolt.local.payment_basepoint, bolt.remote.payment_basepoint)
    assert factor == int(bolt.common["obscuring_factor"], 16)


@given(st.integers(0, MAX_COMMITMENT_NUMBER), st.integers(0, MAX_COMMITMENT_NUMBER))
def test_a_number_comes_back_out_of_locktime_and_sequence(number, factor):
    locktime, sequence = locktime_and_sequence(number, factor)
    tx = Tx(2, (TxIn(FUNDING, b"", sequence),), (), locktime)
    assert commitment_number_of(tx, factor) == number
    # Neither final nor a height or a relative lock: a commitment can be mined at once.
    assert locktime >= 500_000_000 and sequence >> 31 == 1


def test_what_is_no_commitment_has_no_number():
    locktime, sequence = locktime_and_sequence(7, 0)
    spent = TxIn(FUNDING, b"", sequence)
    assert commitment_number_of(Tx(2, (spent,), (), 0), 0) is None
    assert commitment_number_of(Tx(2, (spent.but(sequence=0xFFFFFFFD),), (), locktime), 0) is None
    assert commitment_number_of(Tx(2, (spent, spent), (), locktime), 0) is None


@pytest.mark.parametrize("number", [-1, MAX_COMMITMENT_NUMBER + 1])
def test_a_number_has_48_bits(number):
    with pytest.raises(NumberOutOfRange):
        locktime_and_sequence(number, 0)
