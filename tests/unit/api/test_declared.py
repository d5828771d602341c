"""Why a value does not fit is said in words, for every kind of parameter that there is."""

import pytest

import fulmen.api.commands  # noqa: F401  (fills the registry)
from fulmen.api.errors import BadParameter, sentence_of
from fulmen.api.params import _converted, read_params
from fulmen.api.registry import REGISTRY
from fulmen.core.wallet.faults import InsufficientFunds

ODD = [None, True, -1, 10**30, 1.5, "", "spoon", "x" * 70_000, [], ["x"], {}, {"a": 1}]


@pytest.mark.parametrize(
    ("command", "params", "says"),
    [
        ("mine", {"blocks": "spoon"}, "it must be a whole number"),
        ("mine", {"blocks": 0}, "it must be at least 1"),
        ("reorg", {"depth": 9999}, "it must be at most 144"),
        ("newaddr", {"addresstype": "x"}, "it must be bech32 or p2tr"),
        ("invoice", {"amount_msat": 1, "label": "", "description": ""}, "it must not be empty"),
        ("invoice", {"amount_msat": 1, "label": "x" * 300, "description": ""}, "it may have at most 256 characters"),
        ("pay", {"bolt11": "x", "maxfeepercent": "much"}, "it must be a number"),
        ("close", {"id": "x", "force": "perhaps"}, "it must be true or false"),
        ("close", {"id": 5}, "it must be a text"),
    ],
)
def test_a_wrong_value_is_told_in_words(command, params, says):
    with pytest.raises(BadParameter, match=f"of {command} is wrong: {says}"):
        read_params(REGISTRY.get(command), params)


def test_no_parameter_answers_in_the_words_of_a_library():
    for command in REGISTRY:
        for field in command.parameters:
            for odd in ODD:
                try:
                    _converted(command, {field.encode_name: odd})
                except TypeError:
                    pass  # others are missing; this one is good
                except BadParameter as refused:
                    assert "Expected" not in refused.message and "enum" not in refused.message, refused.message


def test_the_verb_is_written_as_it_is_typed():
    for command in REGISTRY:
        for params in ({}, {"spoon": 1}, ["x"] * 99):
            try:
                read_params(command, params)
            except BadParameter as refused:
                assert sentence_of(refused).startswith(f"`{command.name}` ")


def test_amounts_in_a_refusal_have_their_unit():
    said = sentence_of(InsufficientFunds(needed_sat=5_000_000, spendable_sat=7))
    assert said == "There are not enough coins that can be spent now (needed 5,000,000 sat, spendable 7 sat)."
