import pytest

import fulmen.api.commands  # noqa: F401  (fills the registry)
from fulmen.api.errors import BadParameter
from fulmen.api.params import read_params
from fulmen.api.registry import REGISTRY

PAY = REGISTRY.get("pay")


def test_parameters_are_given_by_name_or_in_order():
    assert read_params(PAY, ["lnbc1", "5sat"]) == read_params(PAY, {"bolt11": "lnbc1", "amount_msat": 5000})


def test_a_null_is_a_parameter_left_out():
    assert read_params(PAY, {"bolt11": "lnbc1", "label": None}) == read_params(PAY, ["lnbc1"])


@pytest.mark.parametrize(
    ("params", "says"),
    [
        ({}, "`pay` needs 'bolt11': a BOLT 11 invoice"),
        ({"bolt11": "x", "spoon": 1}, "knows no parameter 'spoon'"),
        (["x"] * 40, "takes at most"),
        ({"bolt11": 5}, "'bolt11' of pay is wrong"),
        ({"bolt11": "x" * 20_000}, "'bolt11' of pay is wrong"),
        ({"bolt11": "x", "maxfee": "much"}, "'maxfee' of pay is wrong"),
        ({"bolt11": "x", "maxfeepercent": 101}, "'maxfeepercent' of pay is wrong"),
        ({5: "x"}, "knows no parameter '5'"),
        ("x", "must be a list or an object"),
        (5, "must be a list or an object"),
    ],
)
def test_a_wrong_parameter_is_named(params, says):
    with pytest.raises(BadParameter, match=says):
        read_params(PAY, params)


def test_what_a_request_holds_is_plain_and_can_be_stored():
    request = read_params(REGISTRY.get("fundchannel"), {"id": "02" + "00" * 32, "amount": "5k", "push_msat": "1sat"})
    assert (type(request.id), type(request.push_msat), type(request.amount.sat)) == (bytes, int, int)
