"""Every script, played against our own core in this process."""

from __future__ import annotations

import pytest
from tests.builders.gate import NOT_OFFERED, not_kept

from fulmen.conformance.links import Subject
from fulmen.conformance.own_node import NodeUnderTest
from fulmen.conformance.runner import Outcome, Verdict, run
from fulmen.conformance.script import Connect, Expect, Script
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
    assert not not_kept(outcome), not_kept(outcome)
    assert not node.frozen(), node.frozen()


UNKNOWN = Script(name="about splices", ids=("B1-6",), quotes=("q",), steps=(Connect(), Expect("init")), offers=(62,))


def test_a_feature_that_our_core_no_longer_offers_is_noticed(subject: Subject):
    outcome = run(UNKNOWN, subject, b"unit test")
    assert outcome.verdict is Verdict.NOT_RUN and "not run where 'passed' is due" in not_kept(outcome)


def test_what_hangs_or_reads_no_blocks_is_noticed_even_where_it_may_be_not_run():
    name = next(iter(NOT_OFFERED))
    script = next(script for script in ALL if script.name == name)
    assert not not_kept(Outcome(script, Verdict.NOT_RUN))
    assert not_kept(Outcome(script, Verdict.NOT_RUN, unfinished=True))
    assert not_kept(Outcome(script, Verdict.PASSED))


def test_what_is_not_offered_are_scripts_that_there_are():
    assert {script.name for script in ALL if script.offers} >= NOT_OFFERED
