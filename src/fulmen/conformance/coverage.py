"""Which ids and which sentences of the BOLTs the scripts cover, as the page docs/conformance.md.

    python -m fulmen.conformance.coverage docs/conformance.md

writes the part of the page between its two marks anew; what stands outside of them is written by hand.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from fulmen.conformance.ids import SUBJECTS
from fulmen.conformance.script import Level, Script
from fulmen.conformance.scripts import ALL

BEGIN = "<!-- made by `python -m fulmen.conformance.coverage docs/conformance.md` -->"
END = "<!-- end of what is made -->"


class NoMarks(Exception):
    """The page has no place for the coverage."""


def page(before: str, scripts: Sequence[Script] = ALL) -> str:
    """The page with its middle made anew.

    Raises:
        NoMarks.
    """
    head, begin, rest = before.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        raise NoMarks
    return "".join((head, BEGIN, "\n\n", *(f"{line}\n" for line in _lines(scripts)), "\n", END, tail))


def sentences(scripts: Sequence[Script] = ALL) -> set[str]:
    """What is quoted; of what is quoted here in part and there as a whole, the whole alone."""
    quoted = {quote for script in scripts for quote in script.quotes}
    return {each for each in quoted if not any(each in other for other in quoted - {each})}


def _lines(scripts: Sequence[Script]) -> Iterator[str]:
    covered = [each for each in SUBJECTS if _of(each, scripts)]
    yield f"{len(scripts)} scripts hold a node to {len(sentences(scripts))} sentences."
    yield f"{len(covered)} of {len(SUBJECTS)} ids have scripts."
    yield ""
    missing = [f"{each} ({SUBJECTS[each]})" for each in SUBJECTS if each not in covered]
    yield f"Without a script so far: {', '.join(missing)}."
    for each in covered:
        yield ""
        yield f"### {each}: {SUBJECTS[each]}"
        for script in _of(each, scripts):
            yield ""
            notes = [note for note in (_needs(script), "SHOULD" if script.level is Level.SHOULD else "") if note]
            yield f"* **{script.name}**" + (f" ({', '.join(notes)})" if notes else "")
            yield from (f"  > {quote}" for quote in _apart(script.quotes))


def _of(each: str, scripts: Sequence[Script]) -> list[Script]:
    return [script for script in scripts if each in script.ids]


def _needs(script: Script) -> str:
    needs = [name for name, needed in (("a chain", script.needs_chain), ("an operator", script.asks)) if needed]
    return f"needs {' and '.join(needs)}" if needs else ""


def _apart(quotes: Sequence[str]) -> Iterator[str]:
    """Each quote a line of its own when the page is shown."""
    for place, quote in enumerate(quotes):
        yield quote if place == len(quotes) - 1 else f"{quote}  "


if __name__ == "__main__":
    path = Path(sys.argv[1])
    path.write_text(page(path.read_text(encoding="utf-8")), encoding="utf-8")
