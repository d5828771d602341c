import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.builders.vectors import vector_json

from fulmen.core.crypto.shachain import (
    FIRST_INDEX,
    SecretInconsistent,
    SecretOutOfOrder,
    SecretTree,
    SecretUnknown,
    Shachain,
    index_of,
    per_commitment_secret,
)

VECTORS = vector_json("bolt03/per-commitment-secrets.json")


@pytest.mark.parametrize("case", VECTORS["generate"], ids=lambda case: case["name"])
def test_secrets_grow_from_their_seed(case):
    assert per_commitment_secret(bytes.fromhex(case["seed"]), case["index"]).hex() == case["expected"]["secret"]


@pytest.mark.parametrize("case", VECTORS["store"], ids=lambda case: case["name"])
def test_the_store_takes_what_fits_and_refuses_what_does_not(case):
    store = Shachain()
    for insert in case["inserts"]:
        secret = bytes.fromhex(insert["secret"])
        if insert.get("expected") == "ok":
            store = store.insert(insert["index"], secret)
            assert store.lookup(insert["index"]) == secret
        else:
            with pytest.raises(SecretInconsistent):
                store.insert(insert["index"], secret)


@given(st.binary(min_size=32, max_size=32), st.integers(1, 200))
def test_every_secret_shown_can_be_looked_up_and_no_other(seed, count):
    store = Shachain()
    for number in range(count):
        store = store.insert(index_of(number), per_commitment_secret(seed, index_of(number)))
    for number in range(count):
        assert store.lookup(index_of(number)) == per_commitment_secret(seed, index_of(number))
    with pytest.raises(SecretUnknown):
        store.lookup(index_of(count))
    assert len(store.slots) <= 49


@given(st.binary(min_size=32, max_size=32), st.lists(st.integers(0, 2000) | st.integers(0, FIRST_INDEX), min_size=1))
def test_their_owner_finds_the_same_secrets_by_a_shorter_way(seed, numbers):
    tree = SecretTree(seed)
    assert [tree.secret(index_of(n)) for n in numbers] == [per_commitment_secret(seed, index_of(n)) for n in numbers]
    assert seed.hex() not in repr(tree)


def test_secrets_come_in_their_order_and_once():
    first = per_commitment_secret(bytes(32), FIRST_INDEX)
    with pytest.raises(SecretOutOfOrder):
        Shachain().insert(FIRST_INDEX - 1, first)
    with pytest.raises(SecretOutOfOrder):
        Shachain().insert(FIRST_INDEX, first).insert(FIRST_INDEX, first)


def test_the_tree_ends_at_index_zero():
    """Fill the last slot by hand: every index of the 48 bits is under it."""
    seed = b"\x05" * 32
    slots = tuple((1 << slot, per_commitment_secret(seed, 1 << slot)) for slot in range(48))
    full = Shachain(0, slots).insert(0, per_commitment_secret(seed, 0))
    assert full.lookup(FIRST_INDEX) == per_commitment_secret(seed, FIRST_INDEX)
    with pytest.raises(SecretOutOfOrder):
        full.insert(-1, bytes(32))
