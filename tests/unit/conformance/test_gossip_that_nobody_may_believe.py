"""Scripts about gossip that must not be believed: a node that believes it, or changes what it tells, fails them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from tests.builders.liars import Change, forging, played, saying

from fulmen.conformance.own_node import NodeUnderTest
from fulmen.conformance.runner import Verdict
from fulmen.conformance.scripts import ALL
from fulmen.core.gossip.intake import Intake
from fulmen.core.gossip.rules import Judge
from fulmen.core.routing import pathfinder
from fulmen.core.wire.messages.gossip import ChannelUpdate

CHANNELS_ON = "a channel_announcement that is not to be believed is not passed on"
UPDATES_ON = "a channel_update that is not to be believed is not passed on"
NODES_ON = "a node_announcement that is not to be believed is not passed on"
FLAGS = "channel_update with flags that nobody knows is told as it came"
FIELDS = "channel_update with fields that nobody knows is told as it came"
FLAGS_ON = "a channel_update with flags that nobody knows is passed on as it came"
SIGNATURES = [
    *(
        f"channel_announcement is ignored: {name} is wrong"
        for name in ("node_signature_1", "node_signature_2", "bitcoin_signature_1", "bitcoin_signature_2")
    ),
    "channel_update is ignored: its signature is wrong",
    "channel_update is ignored: the other end should have signed it",
    "node_announcement is ignored: its signature is wrong",
]


@pytest.mark.parametrize("name", [*SIGNATURES, CHANNELS_ON, UPDATES_ON, NODES_ON])
def test_a_node_that_looks_at_no_signature_fails(name: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(pathfinder, "all_hold", lambda _checks: True)
    outcome = played(name, NodeUnderTest().subject())
    # What it tells of them is signed by nobody, which shows first.
    told = "does not hold", "knows the", "the node says"
    assert outcome.verdict is Verdict.FAILED and any(why in outcome.reason for why in told), outcome.reason


def _of_any_chain(rule: Callable[..., Any]) -> Callable[..., Any]:
    return lambda judge, message, *more: rule(judge, message.but(chain_hash=judge.chain_hash), *more)


@pytest.mark.parametrize(
    ("rule", "name"),
    [
        ("channel", "channel_announcement is ignored: it is about another chain"),
        ("update", "channel_update is ignored: it is about another chain"),
        ("channel", CHANNELS_ON),
        ("update", UPDATES_ON),
    ],
)
def test_a_node_that_takes_gossip_of_any_chain_fails(rule: str, name: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(Judge, rule, _of_any_chain(getattr(Judge, rule)))
    outcome = played(name, NodeUnderTest().subject())
    assert outcome.verdict is Verdict.FAILED, outcome.reason


def test_a_node_that_takes_updates_of_the_wrong_end_fails(monkeypatch: pytest.MonkeyPatch):
    def of_the_other(intake: Intake, message: ChannelUpdate, frame: bytes) -> Any:
        return own(intake, message.but(channel_flags=message.channel_flags ^ 1), frame) + own(intake, message, frame)

    own = Intake._update_checks
    monkeypatch.setattr(Intake, "_update_checks", of_the_other)
    # One of both keys has signed: enough for it.
    monkeypatch.setattr(pathfinder, "all_hold", lambda checks: any(map(_holds, checks)))
    for name in ("channel_update is ignored: the other end should have signed it", UPDATES_ON):
        outcome = played(name, NodeUnderTest().subject())
        assert outcome.verdict is Verdict.FAILED, outcome.reason


def _holds(check: Any) -> bool:
    return all_hold((check,))


all_hold = pathfinder.all_hold


@pytest.mark.parametrize(
    ("name", "change"),
    [
        (FLAGS, saying(ChannelUpdate, message_flags=lambda flags: flags & 3)),
        (FLAGS, saying(ChannelUpdate, channel_flags=lambda flags: flags & 3)),
        (FLAGS_ON, saying(ChannelUpdate, message_flags=lambda flags: flags & 3)),
        (FLAGS_ON, saying(ChannelUpdate, channel_flags=lambda flags: flags & 3)),
        (FIELDS, saying(ChannelUpdate, extra=b"")),
    ],
)
def test_a_node_that_clears_what_it_does_not_know_fails(name: str, change: Change):
    outcome = played(name, forging(change))
    level = next(script.level for script in ALL if script.name == name)
    assert outcome.verdict.name == {"MUST": "FAILED", "SHOULD": "WARNED"}[level.name]
    assert "does not hold" in outcome.reason, outcome.reason


@pytest.mark.parametrize("name", [FLAGS, FIELDS, FLAGS_ON])
def test_a_node_that_takes_no_update_with_what_it_does_not_know_fails(name: str, monkeypatch: pytest.MonkeyPatch):
    def strict(judge: Judge, message: ChannelUpdate, frame: bytes, now: int) -> Any:
        strange = message.message_flags & ~3 or message.channel_flags & ~3 or message.extra
        return known(judge, message.but(timestamp=0) if strange else message, frame, now)

    known = Judge.update
    monkeypatch.setattr(Judge, "update", strict)
    outcome = played(name, NodeUnderTest().subject())
    assert outcome.verdict in (Verdict.FAILED, Verdict.WARNED), outcome.reason
