"""A chapter with one of its nodes cut off: it has to end as if nobody had died.

    python -m tests.laws.cut_chapters <chapter> <node> <batch> <actions of it that are still done; -1: it is lost>

plays one cut again, and without a batch all that there are.
"""

from __future__ import annotations

import sys
from functools import lru_cache
from typing import Any, NamedTuple

from tests.laws.chapters import CHAPTERS, Chapter, books
from tests.laws.cuts import Cut, CutOff, Rehearsal


class Uncut(NamedTuple):
    """A chapter in which nobody dies."""

    cuts: tuple[Cut, ...]
    books: dict[str, Any]


@lru_cache(maxsize=32)
def uncut(chapter: Chapter, name: str) -> Uncut:
    """Where a node can be cut off, and how the chapter ends if it is not."""
    town = chapter.begin()
    rehearsal = Rehearsal(town.hosts[name])
    chapter.play(town)
    ending = books(town)
    return Uncut(tuple(rehearsal.cuts()), ending)


def play(chapter: Chapter, name: str, cut: Cut) -> None:
    """The chapter with one cut."""
    expected = uncut(chapter, name).books
    town = chapter.begin()
    off = CutOff(town.hosts[name], cut)
    try:
        chapter.play(town)
        found = books(town)
        assert off.done, "nobody was cut off"
        assert found == expected
    except BaseException as error:
        again = f"python -m tests.laws.cut_chapters {chapter.name} {name} {cut.batch} {cut.kept}"
        error.add_note(f"{name} was cut off {cut}. Play it again: {again}")
        raise


def main() -> None:
    """What is asked for on the command line."""
    called, name, *point = sys.argv[1:]
    (chapter,) = [chapter for chapter in CHAPTERS if chapter.name == called]
    cuts = [Cut(int(point[0]), int(point[1]))] if point else uncut(chapter, name).cuts
    for cut in cuts:
        play(chapter, name, cut)
        print(f"{name} cut off {cut}: well")


if __name__ == "__main__":
    main()
