"""Whatever a caller writes: an answer, or a fault with a name. Never a bug of ours."""

import asyncio

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.builders.channels import CHANNEL_ID, keys_of
from tests.builders.handle import RunningNode, an_invoice_of

import fulmen.api.commands  # noqa: F401  (fills the registry)
from fulmen.api.dispatch import Dispatcher
from fulmen.api.registry import REGISTRY
from fulmen.core.base.faults import Fault, InvariantBroken

PLAUSIBLE = st.sampled_from(
    [
        *(0, 1, 5000, -1, 2**63, 2**64, True, 1.5, "all", "any", "5k", "1btc", "100msat", "", "x", "0", "perkw"),
        *("00" * 32, "02" + "11" * 32, CHANNEL_ID.hex(), keys_of("bob").node_id.hex(), "1x2x3", "bech32", "p2tr"),
        *("bcrt1qqqqsyqcyq5rqwzqfpg9scrgwpugpzysnzs23v9ccrydpk8qarc0s2lzwkl", "253perkw", "paid", "complete"),
        *(an_invoice_of("bob", RunningNode.now), keys_of("bob").node_id.hex() + "@127.0.0.1:1", "é\x00\u202e"),
    ]
)
JSON = st.recursive(
    PLAUSIBLE | st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=4,
)
WAITS = {"connect", "waitinvoice", "close", "fundchannel"}
"""What may wait for others: that it waits is an answer as well."""


@pytest.mark.parametrize("command", list(REGISTRY), ids=lambda command: command.name)
@settings(max_examples=30, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_any_parameters_get_an_answer_or_a_named_fault(command, data):
    names = [field.encode_name for field in command.parameters]
    by_name = st.dictionaries(st.sampled_from(names) if names else st.text(max_size=3), JSON, max_size=len(names))
    params = data.draw(by_name | st.lists(JSON, max_size=len(names) + 1) | JSON)

    async def ask():
        call = Dispatcher(RunningNode()).call(command.name, params)
        if command.name not in WAITS:
            return await call
        try:
            return await asyncio.wait_for(call, 0.05)
        except TimeoutError:
            return {}

    try:
        answer = asyncio.run(ask())
    except InvariantBroken:
        raise
    except Fault as fault:
        assert fault.name
    else:
        assert isinstance(answer, dict)
