"""Real processes over real sockets: stages that stay up for all tests of a worker, and are searched for tracebacks.

Such a stage ends after the last test of its worker, which may be one of another folder: pytest says then that the
teardown of that test failed. Whose log it is stands in the message.
"""

from __future__ import annotations

from collections.abc import Iterator
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


@pytest.fixture(scope="session")
def playhouse() -> Iterator[Playhouse]:
    """The demo's chapters."""
    with open("/dev/null", "w", encoding="utf-8") as nowhere:
        screen = Screen(Console(file=nowhere, width=120))
        playhouse = Playhouse(
            [cast("Chapter", one) for one in ALL], lambda: Story(Stage(), Ledger(dict(PRICES)), screen)
        )
        try:
            yield playhouse
            if playhouse.story is not None:
                no_tracebacks(playhouse.story.stage.directory)
        finally:
            playhouse.clear()


@pytest.fixture(scope="session")
def line() -> Iterator[Line]:
    """Alice, Bob, Carol and Dave in a row, each with half of every channel."""
    with Stage() as stage:
        yield line_of_four(stage)
        no_tracebacks(stage.directory)


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
