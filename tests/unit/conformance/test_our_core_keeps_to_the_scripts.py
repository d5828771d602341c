"""Every script, played against our own core in this process."""

from __future__ import annotations

import pytest

from fulmen.conformance.links import Subject
from fulmen.conformance.own_node import NodeUnderTest
from fulmen.conformance.runner import Verdict, run
from fulmen.conformance.script import Script
from fulmen.conformance.scripts import ALL


@pytest.fixture(scope="module")
def node() -> NodeUnderTest:
    return NodeUnderTest()


@pytest.fixture(scope="module")
def subject(node: NodeUnderTest) -> Subject:
    return node.subject()


@pytest.mark.parametrize("script", ALL, ids=lambda script: script.name)
def test_our_core_passes(script: Script, subject: Subject, node: NodeUnderTest):
    outcome = run(script, subject, b"unit test")
    trace = "\n".join(f"{line.peer} {line.arrow} {line.text}" for line in outcome.trace)
    assert outcome.verdict in (Verdict.PASSED, Verdict.NOT_RUN), f"{outcome.reason}\n{trace}"
    assert not node.frozen(), node.frozen()
