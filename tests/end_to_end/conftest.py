"""Real processes over real sockets: stages that stay up for all tests of a worker, and are searched for tracebacks.

Such a stage ends with the last test that may ask for it: idle nodes take their share of the processor as well.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import cast

import pytest
from demo.chapters import ALL
from demo.ledger import Ledger
from demo.screen import Screen
from demo.stage import Stage
from demo.story import PRICES, Chapter, Story
from rich.console import Console
from tests.builders.line import Line, line_of_four
from tests.builders.playhouse import Playhouse
from tests.conftest import lot_of

OPEN: dict[str, ExitStack] = {}
"""Shared stage -> what ends it."""


@pytest.fixture(scope="session")
def playhouse() -> Iterator[Playhouse]:
    """The demo's chapters."""
    with open("/dev/null", "w", encoding="utf-8") as nowhere, ExitStack() as exits:
        screen = Screen(Console(file=nowhere, width=120))
        chapters = [cast("Chapter", chapter) for chapter in ALL]
        playhouse = Playhouse(chapters, lambda: Story(Stage(), Ledger(dict(PRICES)), screen))
        exits.callback(playhouse.clear)
        exits.callback(lambda: playhouse.story is None or no_tracebacks(playhouse.story.stage.directory))
        OPEN["story"] = exits
        yield playhouse


@pytest.fixture(scope="session")
def line() -> Iterator[Line]:
    """Alice, Bob, Carol and Dave in a row, each with half of every channel."""
    with ExitStack() as exits:
        stage = exits.enter_context(Stage())
        line = line_of_four(stage)
        exits.callback(no_tracebacks, stage.directory)
        OPEN["line"] = exits
        yield line


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> Generator[None]:
    """End what nobody asks for any more."""
    yield
    name = lot_of(item.nodeid)
    if name in OPEN and not is_wanted(name, nextitem):
        OPEN.pop(name).close()


def is_wanted(name: str, following: pytest.Item | None) -> bool:
    """Whether a stage is needed once more. A worker has all tests of one in a row; who is alone has them by file."""
    if following is None or lot_of(following.nodeid) == name:
        return following is not None
    if hasattr(following.config, "workerinput"):
        return False
    items = following.session.items
    return any(lot_of(later.nodeid) == name for later in items[items.index(following) :])


@pytest.fixture
def stage() -> Iterator[Stage]:
    """One for this test alone, with nobody on it yet."""
    with Stage() as stage:
        yield stage
        no_tracebacks(stage.directory)


def no_tracebacks(directory: Path) -> None:
    """No input and no crash of anybody may end in a traceback."""
    for log in directory.glob("**/*.log"):
        text = log.read_text(encoding="utf-8", errors="replace")
        assert "Traceback" not in text, f"{log}:\n{text[max(0, text.index('Traceback') - 500) :][:4000]}"
