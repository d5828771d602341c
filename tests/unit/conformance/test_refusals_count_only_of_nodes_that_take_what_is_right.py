"""A node that refuses whatever comes keeps no rule by that: before a refusal counts, its good twin has to be taken."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from fulmen.conformance.links import Link, LinkClosed, Subject
from fulmen.conformance.own_node import NodeUnderTest
from fulmen.conformance.runner import Verdict, run, run_all
from fulmen.conformance.script import Connect, Expect, ExpectFailure, Script, Send, SendBroken
from fulmen.conformance.scripts import ALL
from fulmen.conformance.scripts.good import OPEN_CHANNEL
from fulmen.core.base.ids import ALL_CHANNELS, Secret
from fulmen.core.wire import encode, type_of
from fulmen.core.wire.declare import KINDS
from fulmen.core.wire.messages.setup import ErrorMessage, Init

NUMBERS = {kind.name: kind.number for kind in KINDS.values()}
REFUSALS = [script for script in ALL if script.good is not None]
ERROR = encode(ErrorMessage(ALL_CHANNELS, b"no"))
INIT = type_of(Init(b"", b""))
Tiresome = Callable[[int], bool]


class Averse:
    """A link to a node of ours that will not have messages of some types: it hangs up, or says nothing but errors."""

    def __init__(self, link: Link, tiresome: Tiresome, *, hangs_up: bool) -> None:
        self._link, self._tiresome, self._hangs_up = link, tiresome, hangs_up
        self._errors = 0
        self._closed = False
        self.close = link.close

    def send(self, frame: bytes) -> None:
        if not self._tiresome(int.from_bytes(frame[:2])):
            self._link.send(frame)
        elif self._hangs_up:
            self._closed = True
            self._link.close()
        else:
            self._errors += 1

    def receive(self, within_s: float) -> bytes | None:
        if self._closed:
            raise LinkClosed("the node hung up")
        if self._errors:
            self._errors -= 1
            return ERROR
        return self._link.receive(within_s)


def averse_to(tiresome: Tiresome, *, hangs_up: bool = True) -> Subject:
    subject = NodeUnderTest().subject()
    connect = subject.connect
    subject.connect = lambda secret: Averse(connect(Secret(secret)), tiresome, hangs_up=hangs_up)
    return subject


@pytest.mark.parametrize("hangs_up", [True, False])
@pytest.mark.parametrize("tiresome", [lambda _: True, lambda number: number != INIT], ids=["all", "all but init"])
def test_a_node_that_refuses_everything_passes_only_what_it_says_unasked(tiresome: Tiresome, hangs_up: bool):
    outcomes = run_all(ALL, averse_to(tiresome, hangs_up=hangs_up), b"refused")
    passed = {outcome.script.name for outcome in outcomes if outcome.verdict is Verdict.PASSED}
    assert passed <= {
        "init names the chain",
        "open_channel keeps to its own rules",
        "open_channel brings an upfront script of an allowed form, or an empty one",
    }


def _said(script: Script) -> set[str]:
    return {step.message for step in script.steps if isinstance(step, (Send, SendBroken))}


@pytest.mark.parametrize("name", sorted({name for script in REFUSALS for name in _said(script)}))
def test_a_node_that_refuses_a_message_whatever_it_says_passes_no_refusal_of_it(name: str):
    scripts = [script for script in REFUSALS if name in _said(script)]
    outcomes = run_all(scripts, averse_to(lambda number: number == NUMBERS[name]), b"refused")
    assert [outcome.script.name for outcome in outcomes if outcome.verdict is Verdict.PASSED] == []


def test_what_is_not_run_for_it_says_so_and_the_good_twin_is_played_once():
    subject = averse_to(lambda number: number == NUMBERS["open_channel"])
    connected: list[Secret] = []
    connect = subject.connect

    def counted(secret: Secret) -> Link:
        connected.append(secret)
        return connect(secret)

    subject.connect = counted
    refusals = [script for script in REFUSALS if script.good is OPEN_CHANNEL]
    outcomes = run_all(refusals, subject, b"refused")
    assert {outcome.verdict for outcome in outcomes} == {Verdict.NOT_RUN} and len(connected) == 1
    assert all(outcome.refuses_good for outcome in outcomes)
    assert "it refuses what is right, too: a good open_channel: step 5, Expect accept_channel" in outcomes[0].reason


def test_a_twin_that_could_not_be_played_says_nothing_of_the_node_and_is_tried_again():
    refusal = Script(
        name="a refusal", ids=("B1-6",), quotes=("q",), steps=(Connect(), ExpectFailure()), good=OPEN_CHANNEL
    )
    subject = NodeUnderTest().subject()
    outcome = run(refusal, subject, b"refused", limit_s=0.0)
    assert (outcome.verdict, outcome.unfinished, outcome.refuses_good) == (Verdict.NOT_RUN, True, False)
    lacking = refusal.but(good=Script(name="l", ids=(), quotes=(), steps=(Connect(), Expect("init")), offers=(62,)))
    outcome = run(lacking, subject, b"refused")
    assert outcome.verdict is Verdict.NOT_RUN and not outcome.refuses_good and "does not offer" in outcome.reason
    assert subject.played == {}
    assert run(refusal, subject, b"refused").verdict is Verdict.FAILED and subject.played["a good open_channel"] == ""


def test_a_good_twin_needs_no_more_than_its_refusal():
    for script in REFUSALS:
        assert script.good is not None
        assert script.needs_chain >= script.good.needs_chain and {*script.asks} >= {*script.good.asks}
