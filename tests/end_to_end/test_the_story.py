"""Every chapter of the demo, over TCP on the embedded chain. Each stands on those before it."""

from __future__ import annotations

from typing import cast

import pytest
from demo.chapters import ALL, stream
from demo.story import Chapter, Story

NAMES = [chapter.__name__.rpartition(".")[2] for chapter in ALL]
played: list[str] = []


@pytest.mark.parametrize(
    "number", range(len(ALL)), ids=[f"{number + 1:02}-{name}" for number, name in enumerate(NAMES)]
)
def test_a_chapter_goes_as_it_must(story: Story, number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    if played != NAMES[:number]:
        pytest.skip("a chapter before this one was not played")
    monkeypatch.setattr(stream, "ONE_BY_ONE_S", 1.0)
    monkeypatch.setattr(stream, "SIDE_BY_SIDE_S", 2.0)
    cast("Chapter", ALL[number]).play(story)
    played.append(NAMES[number])
