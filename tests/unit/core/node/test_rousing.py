"""Whoever waits for a channel is woken by it, in the run in which it moves."""

from __future__ import annotations

from typing import Any

import pytest
from tests.builders.env import an_env
from tests.builders.switch import a_link
from tests.laws.audits import audit

from fulmen.core.base.machine import Address, Event, Fact, Lull, Step, evolves
from fulmen.core.base.mount import Mount
from fulmen.core.base.outer import ChannelsMoved, Notify, WantChannels
from fulmen.core.base.record import Record
from fulmen.core.base.units import Msat
from fulmen.core.node import Node

CHANNEL, OTHER = Address("channel", b"c"), Address("channel", b"d")
SLEEPER, WAKEFUL = Address("sleeper", b"s"), Address("sleeper", b"w")
AWAY = a_link(usable=False, spendable_msat=Msat(0), away_msat=Msat(1000))
THERE = a_link()


class Shows(Event):
    view: Any


class Sleeps(Event):
    on: bool


class AChannel(Record):
    view: Any = None


class ASleeper(Record):
    sleeps: bool = False
    woken: int = 0


class Shown(Fact):
    view: Any


class Slept(Fact):
    on: bool
    woken: int


@evolves(Shown)
def _shown(channel: AChannel, fact: Shown) -> AChannel:
    return channel.but(view=fact.view)


@evolves(Slept)
def _slept(_sleeper: ASleeper, fact: Slept) -> ASleeper:
    return ASleeper(fact.on, fact.woken)


def decide_channel(channel: AChannel, event: Event, _env: Any) -> Step[AChannel]:
    return Step(channel).fact(Shown(event.view)) if isinstance(event, Shows) else Step(channel)


def decide_sleeper(sleeper: ASleeper, event: Event, env: Any) -> Step[ASleeper]:
    step = Step(sleeper)
    if isinstance(event, Sleeps):
        return step.fact(Slept(event.on, sleeper.woken))
    if isinstance(event, ChannelsMoved):
        shown = env.views.get("channel:63")
        return step.fact(Slept(sleeper.sleeps, sleeper.woken + 1)).act(Notify("woken", {"sees": shown}))
    return step.act(Notify("lull", {})) if isinstance(event, Lull) else step


def a_node() -> Node:
    mounts = (
        Mount("channel", lambda _key: AChannel(), decide_channel, view=lambda channel: channel.view),
        Mount(
            "sleeper",
            lambda _key: ASleeper(),
            decide_sleeper,
            wants=lambda sleeper: (WantChannels(),) if sleeper.sleeps else (),
            lulls=True,
        ),
    )
    env = an_env()
    node = Node(mounts, lambda: env, verify=lambda _checks: None, audit=audit)
    node.run([(CHANNEL, Shows(AWAY)), (OTHER, Shows(AWAY)), (SLEEPER, Sleeps(True)), (WAKEFUL, Sleeps(False)), Lull()])
    return node


def woken(node: Node, *events: Any) -> list[str]:
    batch = node.run([*events, Lull()])
    return [action.topic for action in batch.actions if isinstance(action, Notify)]


@pytest.mark.parametrize("view", [THERE, None, AWAY.but(away_msat=Msat(0))])
def test_a_channel_that_comes_back_or_is_over_wakes_who_waits_and_nobody_else(view):
    node = a_node()
    # Woken, and given a lull of its own: it may have talked to others.
    assert woken(node, (CHANNEL, Shows(view))) == ["woken", "lull"]
    assert (node.state(SLEEPER).woken, node.state(WAKEFUL).woken) == (1, 0)


def test_who_is_woken_sees_the_channel_as_it_is_now():
    batch = a_node().run([(CHANNEL, Shows(THERE)), Lull()])
    (sees,) = [action.about["sees"] for action in batch.actions if isinstance(action, Notify) and action.about]
    assert sees == THERE


def test_several_channels_in_one_run_wake_once():
    assert woken(a_node(), (CHANNEL, Shows(THERE)), (OTHER, Shows(THERE))).count("woken") == 1


@pytest.mark.parametrize(
    "events",
    [
        [(CHANNEL, Shows(AWAY.but(away_msat=Msat(7))))],
        [(CHANNEL, Shows(THERE)), (CHANNEL, Shows(AWAY))],
        [(CHANNEL, Shows("not a channel")), (CHANNEL, Shows(AWAY))],
        [(SLEEPER, Sleeps(True))],
    ],
)
def test_what_changes_nothing_wakes_nobody(events):
    assert "woken" not in woken(a_node(), *events)


def test_who_waits_no_longer_is_not_woken():
    node = a_node()
    woken(node, (SLEEPER, Sleeps(False)))
    assert woken(node, (CHANNEL, Shows(THERE))) == []


def test_a_channel_that_was_not_there_before_wakes_too():
    assert "woken" in woken(a_node(), (Address("channel", b"e"), Shows(THERE)))
