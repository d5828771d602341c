"""Every chapter of the demo, over TCP on the embedded chain. Each fails by itself (`tests/builders/playhouse.py`)."""

from __future__ import annotations

import pytest
from demo.chapters import ALL, stream
from tests.builders.playhouse import Playhouse

NAMES = [chapter.__name__.rpartition(".")[2] for chapter in ALL]


@pytest.mark.parametrize(
    "number", range(len(ALL)), ids=[f"{number + 1:02}-{name}" for number, name in enumerate(NAMES)]
)
def test_a_chapter_goes_as_it_must(playhouse: Playhouse, number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "ONE_BY_ONE_S", 1.0)
    monkeypatch.setattr(stream, "SIDE_BY_SIDE_S", 2.0)
    playhouse.play(number)
