"""Recorded verdicts of Bitcoin Core: the embedded chain answers every call of the record as Core did.

The record is made by `python -m interop.twin --record` (see docs/embedded-chain.md); this is what judges us on machines
that have no Core.
"""

from __future__ import annotations

import json
from decimal import Decimal

import pytest
from interop.twin.blocks import START, base_blocks
from interop.twin.families import FAMILIES
from interop.twin.record import recorded
from interop.twin.verdicts import normal
from interop.twin.wire import plain
from tests.builders.regtest import JUDGES, Clock

from fulmen.regtest.judges import open_judge
from fulmen.regtest.node import RegtestNode
from fulmen.regtest.rpc import dispatch


def asked(node: RegtestNode, method: str, params: object) -> object:
    _, body = dispatch.answer(node, json.dumps({"id": 0, "method": method, "params": params}).encode())
    return normal(method, json.loads(body, parse_float=Decimal))


def a_node(judge: str = "btclib") -> RegtestNode:
    node = RegtestNode(open_judge(judge), Clock(START))
    for raw in base_blocks():
        assert asked(node, "submitblock", [raw.hex()]) is None
    return node


@pytest.mark.parametrize("judge", JUDGES)
def test_every_call_is_answered_as_core_did(judge):
    node, calls = a_node(judge), 0
    for case in recorded()["cases"]:
        for method, params, answer in case["calls"]:
            assert asked(node, method, params) == answer, f"case {case['number']} ({case['family']}): {method}"
            calls += 1
    node.close()
    assert calls > 2000


def test_the_record_knows_every_family():
    assert {case["family"] for case in recorded()["cases"]} == set(FAMILIES)


def test_every_form_of_a_request_is_answered_as_core_did():
    node = a_node()
    for body, expected in recorded()["requests"]:
        status, raw = dispatch.answer(node, body.encode())
        assert [status, plain(raw)] == expected, body
