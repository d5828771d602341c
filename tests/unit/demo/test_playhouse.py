"""A chapter that fails takes no other with it, and each can be played alone."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import cast

import pytest
from demo.story import Story
from tests.builders.playhouse import Playhouse

from fulmen.lab.waiting import Deviation


@dataclass
class Board:
    """A stage that remembers what was played on it, and how it ended."""

    played: list[str] = field(default_factory=list)
    ended: str = ""

    @property
    def stage(self) -> Board:
        return self

    def close(self) -> None:
        self.ended = "well"

    def __exit__(self, *_error: object) -> None:
        self.ended = "badly"


@dataclass
class Act:
    """A chapter that needs others, and can be told to fail."""

    TITLE: str
    needs: tuple[str, ...] = ()
    works: bool = True

    def play(self, story: Story) -> None:
        board = cast("Board", story)
        if not self.works or not set(self.needs) <= set(board.played):
            raise Deviation(self.TITLE)
        board.played.append(self.TITLE)


def playhouse_of(*acts: Act) -> tuple[Playhouse, list[Board]]:
    """One, and the boards that were raised in it."""
    boards: list[Board] = []

    def raised() -> Story:
        boards.append(Board())
        return cast("Story", boards[-1])

    return Playhouse(acts, raised), boards


def test_in_order_all_is_played_once_on_one_stage() -> None:
    playhouse, boards = playhouse_of(Act("one"), Act("two", ("one",)), Act("three", ("two",)))
    for number in range(3):
        playhouse.play(number)
    assert [board.played for board in boards] == [["one", "two", "three"]]
    playhouse.clear()
    assert boards[0].ended == "well"


def test_a_chapter_that_is_asked_for_alone_is_played_after_those_before_it() -> None:
    playhouse, boards = playhouse_of(Act("one"), Act("two", ("one",)), Act("three", ("two",)))
    playhouse.play(2)
    assert [board.played for board in boards] == [["one", "two", "three"]]
    playhouse.play(1)
    assert [board.played for board in boards] == [["one", "two", "three"], ["one", "two"]]


def test_one_that_fails_takes_no_other_with_it() -> None:
    playhouse, boards = playhouse_of(Act("one"), Act("two", works=False), Act("three", ("one",)), Act("four", ("two",)))
    playhouse.play(0)
    with pytest.raises(Deviation, match="two"):
        playhouse.play(1)
    playhouse.play(2)
    with pytest.raises(Deviation, match="four") as wrong:
        playhouse.play(3)
    assert wrong.value.__notes__ == ["These chapters have failed before, and were left out: two."]
    assert [(board.played, board.ended) for board in boards] == [(["one"], "badly"), (["one", "three"], "badly")]
    playhouse.clear()
