"""Scripts against nodes that do otherwise: what is a failure, what is let pass, and what the reports say."""

from __future__ import annotations

import json
from collections import deque
from io import StringIO
from xml.etree import ElementTree

import pytest
from rich.console import Console

from fulmen.adapters.chain.faults import SourceUnauthorized, SourceUnreachable
from fulmen.conformance import report
from fulmen.conformance.chain import Coins, NoCoins, NodeLags
from fulmen.conformance.links import HelperFailed, LinkClosed, Subject
from fulmen.conformance.runner import Outcome, Verdict, run
from fulmen.conformance.script import (
    AtMost,
    Connect,
    Disconnect,
    Expect,
    ExpectClosed,
    ExpectComplaint,
    ExpectEach,
    ExpectError,
    ExpectFailure,
    ExpectGossip,
    ExpectQuiet,
    ExpectSilence,
    HasBit,
    Level,
    Mine,
    Script,
    Send,
)
from fulmen.core.base.faults import Fault
from fulmen.core.base.ids import ALL_CHANNELS, NodeId, Secret
from fulmen.core.base.record import Record
from fulmen.core.bitcoin.networks import REGTEST
from fulmen.core.crypto.secp256k1 import point_of
from fulmen.core.wire import UnknownMessage, decode, encode
from fulmen.core.wire.messages.gossip import (
    ChannelUpdate,
    GossipTimestampFilter,
    QueryChannelRange,
    QueryShortChannelIds,
    ReplyChannelRange,
    ReplyShortChannelIdsEnd,
)
from fulmen.core.wire.messages.setup import ErrorMessage, Init, Ping, Pong, WarningMessage

NODE = NodeId(point_of(Secret(b"\x07" * 32)))
INIT = Init(b"", b"\x82")
ERROR = ErrorMessage(ALL_CHANNELS, b"no")
WARNING = WarningMessage(ALL_CHANNELS, b"hm")
PONG = Pong(b"")
HANG_UP = "hang up"
Answer = list[Record | str | bytes]


class Scripted:
    """A node that says `hello` when somebody connects, and to each message what its table says."""

    def __init__(self, hello: Answer, table: dict[type[Record], Answer]) -> None:
        self.hello, self.table = hello, table
        self.seconds = 0.0
        self.inbox: deque[Record | str | bytes] = deque()
        self.closed = False
        self.heard: list[Record] = []

    def subject(self) -> Subject:
        return Subject(NODE, REGTEST, self.connect, lambda: self.seconds, lambda _seconds: None)

    def connect(self, _secret: Secret) -> Scripted:
        self.inbox.extend(self.hello)
        return self

    def send(self, frame: bytes) -> None:
        message = decode(frame)
        self.heard.append(message)
        if isinstance(message, Ping):
            self.inbox.extend(self.table.get(Ping, [Pong(bytes(message.num_pong_bytes))]))
        else:
            self.inbox.extend(self.table.get(type(message), []))

    def receive(self, within_s: float) -> bytes | None:
        if self.closed:
            raise LinkClosed("the node hung up")
        if not self.inbox:
            self.seconds += within_s
            return None
        said = self.inbox.popleft()
        if said == HANG_UP:
            self.closed = True
            raise LinkClosed("the node hung up")
        return said if isinstance(said, bytes) else encode(said)

    def close(self) -> None:
        pass


def play(*steps: object, hello: Answer | None = None, level: Level = Level.MUST, **table: Answer):
    by_name = {"init": Init, "ping": Ping, "error": ErrorMessage, "unknown": UnknownMessage}
    node = Scripted([INIT] if hello is None else hello, {by_name[name]: answer for name, answer in table.items()})
    script = Script(name="a script", ids=("B1-6",), quotes=("MUST do it.",), steps=(Connect(), *steps), level=level)
    return run(script, node.subject(), b"seed")


BEGIN = (Expect("init"), Send("init"))


@pytest.mark.parametrize(
    ("step", "answers", "passes"),
    [
        (Expect("pong"), [PONG], True),
        (Expect("pong"), [], False),
        (Expect("pong"), [ERROR], False),
        (Expect("pong"), [HANG_UP], False),
        (Expect("pong"), [WARNING, PONG], True),
        (Expect("pong"), [UnknownMessage(43_691, b"x"), PONG], True),
        (Expect("pong"), [UnknownMessage(43_690, b"x"), PONG], False),
        (Expect("pong"), [GossipTimestampFilter(bytes(32), 0, 0), PONG], True),
        (Expect("pong"), [Ping(4, b""), PONG], True),
        (Expect("pong", passing=("error",)), [ERROR, PONG], True),
        (Expect("pong", passing=("error",)), [ERROR], False),
        (Expect("pong"), [b"\x00\x13\xff"], False),
        (Expect("pong", {"ignored": b""}), [PONG], True),
        (Expect("pong", {"ignored": b"\0"}), [PONG], False),
        (ExpectEach((Expect("pong"), Expect("error"))), [ERROR, PONG], True),
        (ExpectEach((Expect("pong"), Expect("error"))), [ERROR, ERROR], False),
        (ExpectFailure(), [ERROR], True),
        (ExpectFailure(), [WARNING, HANG_UP], True),
        (ExpectFailure(), [WARNING], False),
        (ExpectFailure(), [PONG], False),
        (ExpectFailure(passing=("pong",)), [PONG, ERROR], True),
        (ExpectFailure(passing=("pong",)), [PONG], False),
        (ExpectError(), [WARNING, ERROR], True),
        (ExpectError(), [WARNING, HANG_UP], False),
        (ExpectClosed(), [ERROR, HANG_UP], True),
        (ExpectClosed(), [ERROR], False),
        (ExpectClosed(), [PONG, HANG_UP], False),
        (ExpectComplaint(), [WARNING], True),
        (ExpectComplaint(), [], False),
        (ExpectComplaint(), [PONG], False),
        (ExpectQuiet(), [], True),
        (ExpectQuiet(), [ERROR], False),
        (ExpectQuiet(), [HANG_UP], False),
        (ExpectSilence(), [], True),
        (ExpectSilence(), [HANG_UP], True),
        (ExpectSilence(), [PONG], False),
    ],
)
def test_what_passes_and_what_fails(step: object, answers: Answer, passes: bool):
    outcome = play(*BEGIN, step, init=answers)
    assert (outcome.verdict is Verdict.PASSED) == passes, outcome.reason


def test_a_node_that_answers_no_ping_is_not_quiet_but_gone():
    assert play(*BEGIN, ExpectQuiet(), ping=[]).verdict is Verdict.FAILED


def test_what_is_said_while_nothing_is_due_is_a_failure_even_behind_the_pong():
    outcome = play(*BEGIN, ExpectQuiet(), ping=[Pong(bytes(321)), ERROR])
    assert outcome.verdict is Verdict.FAILED and "error" in outcome.reason


def test_a_condition_that_does_not_hold_is_told_in_words():
    outcome = play(Expect("init", {"features": HasBit(50)}))
    assert outcome.reason == "step 2, Expect init: features is 82, expected bit 50 set"
    outcome = play(Expect("init"), Send("init"), Expect("error", {"data": AtMost(b"a")}), init=[ERROR])
    assert outcome.reason == "step 4, Expect error: data is 6e6f, expected at most 61"


def test_a_should_that_is_not_kept_is_a_warning():
    assert play(*BEGIN, Expect("pong"), level=Level.SHOULD).verdict is Verdict.WARNED


def test_what_needs_a_chain_is_not_run_without_one():
    outcome = play(Mine(1))
    assert outcome.verdict is Verdict.NOT_RUN and "chain" in outcome.reason


def test_what_a_node_does_not_offer_is_not_asked_of_it():
    script = Script(name="a", ids=("B1-6",), quotes=("q",), steps=(Connect(), Expect("init")), offers=(62,))
    outcome = run(script, Scripted([INIT], {}).subject(), b"seed")
    assert outcome.verdict is Verdict.NOT_RUN and "option_splice" in outcome.reason


def test_steps_after_a_hang_up_find_the_connection_closed():
    outcome = play(*BEGIN, Disconnect(), Expect("pong"))
    assert outcome.verdict is Verdict.FAILED and "closed" in outcome.reason


def test_the_same_seed_gives_the_same_peers():
    first, again = (play(Expect("init"), Send("init")) for _ in range(2))
    assert first.trace == again.trace


def _outcomes():
    yield play(*BEGIN)
    yield play(*BEGIN, Expect("pong"), init=[ErrorMessage(ALL_CHANNELS, b"\x00\x1b[31m<&>")])
    yield play(*BEGIN, Expect("pong"), level=Level.SHOULD)
    yield play(Mine(1))


def test_a_node_that_asks_for_gossip_is_told_to_the_end_that_there_is_none():
    queries = [QueryChannelRange(bytes(32), 7, 9), QueryShortChannelIds(bytes(32), b"\0" + bytes(8))]
    node = Scripted([INIT], {Init: [*queries, PONG]})
    steps = (Connect(), *BEGIN, Expect("pong"))
    outcome = run(Script(name="a script", ids=("B1-6",), quotes=("q",), steps=steps), node.subject(), b"seed")
    assert outcome.verdict is Verdict.PASSED, outcome.reason
    assert node.heard[1:] == [
        ReplyChannelRange(bytes(32), 7, 9, 1, b"\0"),
        ReplyShortChannelIdsEnd(bytes(32), 1),
    ]


def test_junit_counts_and_can_be_read_whatever_a_node_says():
    suite = ElementTree.fromstring(report.as_junit(list(_outcomes()), {"node": "x"}))
    assert (suite.get("tests"), suite.get("failures"), suite.get("skipped")) == ("4", "1", "1")
    failure = suite.find("testcase/failure")
    assert failure is not None and "MUST do it." in str(failure.text) and "error" in str(failure.text)


def test_what_was_not_played_to_its_end_is_an_error_to_a_build_server_and_not_skipped():
    late = Outcome(next(iter(_outcomes())).script, Verdict.NOT_RUN, "took too long", unfinished=True)
    suite = ElementTree.fromstring(report.as_junit([*_outcomes(), late], {}))
    assert (suite.get("tests"), suite.get("errors"), suite.get("skipped")) == ("5", "1", "1")
    error = suite.find("testcase/error")
    assert error is not None and error.get("message") == "took too long"


def test_json_has_the_trace_of_what_failed():
    told = json.loads(json.dumps(report.as_json(list(_outcomes()), {"node": "x"})))
    assert [script["verdict"] for script in told["scripts"]] == ["passed", "failed", "warning", "not run"]
    assert told["scripts"][0]["trace"] == [] and any("→ init" in line for line in told["scripts"][1]["trace"])
    assert told["summary"] == "4 scripts: 1 passed, 1 failed, 1 warnings (a SHOULD not kept), 1 not run"


def test_a_terminal_shows_the_sentence_the_step_and_the_messages():
    console = Console(width=200, record=True, file=StringIO())
    for outcome in _outcomes():
        report.say(console, outcome)
    text = console.export_text()
    assert "✓ a script" in text and "“MUST do it.”" in text and "step 4, Expect pong" in text and "← init" in text
    assert "\x1b[31m" not in text


class Taciturn:
    """A node that answers no queries, and tells each new peer who sends a filter of one channel."""

    def __init__(self, update: ChannelUpdate) -> None:
        self.links: list[Scripted] = []
        self.update = update

    def subject(self) -> Subject:
        return Subject(NODE, REGTEST, self.connect, self.now, lambda _seconds: None)

    def now(self) -> float:
        return sum(link.seconds for link in self.links)

    def connect(self, secret: Secret) -> Scripted:
        link = Scripted([INIT], {GossipTimestampFilter: [self.update]})
        self.links.append(link)
        return link.connect(secret)


@pytest.mark.parametrize(("scid", "known", "verdict"), [(7, True, "passed"), (8, True, "failed"), (7, False, "failed")])
def test_a_node_that_answers_no_queries_is_asked_by_strangers(scid: int, known: bool, verdict: str):
    update = ChannelUpdate(bytes(64), REGTEST.chain_hash, 7, 1, 1, 0, 40, 1, 1, 1, 1)
    node = Taciturn(update)
    subject = node.subject()
    steps = (Connect(), *BEGIN, ExpectGossip("channel_update", scid=scid, known=known))
    outcome = run(Script(name="a", ids=("B7-4",), quotes=("q",), steps=steps), subject, b"seed")
    assert outcome.verdict.value == verdict, outcome.reason
    assert not subject.answers_queries and len(node.links) > 1


class Slow(Scripted):
    """A node that says what it has to say only after so many seconds."""

    after_s = 15.0

    def receive(self, within_s: float) -> bytes | None:
        if self.inbox and self.seconds < self.after_s:
            waited = min(within_s, self.after_s - self.seconds)
            self.seconds += waited
            if self.seconds < self.after_s:
                return None
        return super().receive(within_s)


@pytest.mark.parametrize(("patience", "verdict"), [(1.0, Verdict.FAILED), (2.0, Verdict.PASSED)])
def test_a_slow_node_can_be_given_more_time(patience: float, verdict: Verdict):
    node = Slow([INIT], {})
    subject = node.subject()
    subject.patience = patience
    script = Script(name="a", ids=("B1-6",), quotes=("q",), steps=(Connect(), Expect("init")))
    assert run(script, subject, b"seed").verdict is verdict


def test_a_script_whose_time_is_up_is_not_run_to_its_end():
    script = Script(name="a", ids=("B1-6",), quotes=("q",), steps=(Connect(), Expect("init"), Expect("pong")))
    outcome = run(script, Scripted([], {}).subject(), b"seed", limit_s=0.0)
    assert (outcome.verdict, outcome.unfinished) == (Verdict.NOT_RUN, True)
    assert "step 1" in outcome.reason and "within 0 s" in outcome.reason


class SleepingChain:
    """A chain whose blocks the node under test does not read."""

    asked = 0

    def __init__(self, wrong: Fault) -> None:
        self.wrong = wrong

    def height(self) -> int:
        return 7

    def mine(self, count: int, _script_pubkey: bytes) -> list[object]:
        self.asked += count
        raise self.wrong


@pytest.mark.parametrize(
    "wrong", [NodeLags(height=8), SourceUnauthorized(), SourceUnreachable(), HelperFailed(), NoCoins()]
)
def test_what_is_wrong_around_a_node_is_said_and_it_is_not_judged(wrong: Fault):
    subject = Scripted([INIT], {}).subject()
    subject.coins = Coins(SleepingChain(wrong), b"seed")
    script = Script(name="a", ids=("B2-16",), quotes=("q",), steps=(Connect(), Mine(300)))
    outcome = run(script, subject, b"seed")
    assert (outcome.verdict, outcome.unfinished) == (Verdict.NOT_RUN, True)
    assert wrong.name in outcome.reason and subject.coins.chain.asked == 100
