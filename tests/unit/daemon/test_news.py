"""News reach who listens, and the log."""

from __future__ import annotations

import asyncio
import io
import json

import pytest
import structlog

from fulmen.core.base.outer import Notify
from fulmen.daemon import logs
from fulmen.daemon.news import KEPT, LINES_A_MINUTE, News


@pytest.fixture(params=["info", "debug"])
def log(request):
    stream = io.StringIO()
    before = structlog.get_config()
    logs.set_up(request.param, stream, json=True)
    yield request.param, stream
    structlog.configure(**before)
    logs.Detail.messages = False


def test_what_comes_with_each_htlc_is_logged_for_who_wants_every_detail(log):
    level, stream = log
    news = News()
    news.tell(Notify("forward", {"fee_msat": 1}))
    news.tell(Notify("channel_failed", {"height": 5}))
    news.tell(Notify("frozen", {"machine": "channel:00"}))
    said = [(line["event"], line["level"]) for line in map(json.loads, stream.getvalue().splitlines())]
    routine = [("forward", "debug")] if level == "debug" else []
    assert said == [*routine, ("channel_failed", "info"), ("frozen", "error")]


@pytest.mark.parametrize("topic", ["payment complete", "payment failed", "invoice paid"])
def test_how_a_payment_ended_is_one_line_that_names_it_at_every_level(log, topic):
    _level, stream = log
    News().tell(Notify(topic, {"payment_hash": "aa" * 32, "amount_msat": 5}))
    (line,) = map(json.loads, stream.getvalue().splitlines())
    assert (line["event"], line["level"], line["payment_hash"]) == (topic, "info", "aa" * 32)


def test_what_strangers_say_has_so_many_lines_a_minute_and_no_more(log):
    _level, stream = log
    now = 100.0
    news = News(lambda: now)
    for _ in range(200):
        news.tell(Notify("peer_error", {"data": "x" * 512}))
    now = 160.0
    news.tell(Notify("peer_error", {"data": "y"}))
    said = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert len(said) == LINES_A_MINUTE + 1
    assert (said[-1]["data"], said[-1]["more"]) == ("y", 200 - LINES_A_MINUTE)


def test_what_a_peer_can_repeat_is_a_line_a_minute_with_the_number_of_those_left_out(log):
    _level, stream = log
    now = 100.0
    news = News(lambda: now)
    for _ in range(5):
        news.tell(Notify("too much under way", {"bound": "b"}))
    now = 159.9
    news.tell(Notify("too much under way", {"bound": "b"}))
    now = 160.0
    for _ in range(2):
        news.tell(Notify("too much under way", {"bound": "c"}))
    said = [
        (line["level"], line["bound"], line.get("more")) for line in map(json.loads, stream.getvalue().splitlines())
    ]
    assert said == [("warning", "b", None), ("warning", "c", 5)]


def test_listeners_get_what_was_told_since_and_no_more_than_fits():
    async def test() -> None:
        news = News()
        news.tell(Notify("forward", {"n": -1}))
        heard = news.about("forward")
        first = asyncio.ensure_future(anext(heard))
        await asyncio.sleep(0)
        for number in range(KEPT + 10):
            news.tell(Notify("forward", {"n": number}))
        assert (await first)["n"] == 10
        await heard.aclose()

    asyncio.run(test())
