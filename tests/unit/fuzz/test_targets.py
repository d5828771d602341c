"""Every door takes every input that fuzzing begins with; and no door of the wire is without a target."""

import random

import pytest
from fuzz.targets import ROOMS, TARGETS
from fuzz.wire import families

from fulmen.core.wire.declare import KINDS


@pytest.mark.parametrize("name", TARGETS)
def test_every_seed_gets_an_answer_or_a_named_fault(name):
    for seed in TARGETS[name].seeds():
        TARGETS[name].run(seed)


@pytest.mark.parametrize("name", [name for name in TARGETS if name not in {"channel", "rpc_call", "stored_record"}])
def test_seeds_that_were_cut_or_changed_get_one_too(name):
    chance = random.Random(name)
    seeds = [seed for seed in TARGETS[name].seeds() if seed]
    for _ in range(50):
        seed = bytearray(chance.choice(seeds))
        seed[chance.randrange(len(seed))] ^= 1 << chance.randrange(8)
        TARGETS[name].run(bytes(seed))
        TARGETS[name].run(bytes(seed[: chance.randrange(len(seed))]))


def test_every_message_is_in_one_family():
    assert sorted(number for numbers in families().values() for number in numbers) == sorted(KINDS)
    assert all(f"wire_{family}" in ROOMS for family in families())
