"""Telling how scripts ended: in a terminal, as JUnit XML for build servers, as JSON for programs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any
from xml.etree import ElementTree

from rich.console import Console
from rich.markup import escape

from fulmen.conformance.runner import Outcome, Verdict
from fulmen.conformance.talking import Line
from fulmen.core.base.faults import Refused

_MARKS = {
    Verdict.PASSED: "[green]✓[/]",
    Verdict.FAILED: "[red]✗[/]",
    Verdict.WARNED: "[yellow]![/]",
    Verdict.NOT_RUN: "[dim]–[/]",
}
_NAME = "fulmen conformance"


class ChainSpent(Refused):
    """The chain had no coins left for some scripts, or did not do what it was asked: a fresh chain is wanted."""


class NothingPlayed(Refused):
    """Not one script was played; what each of them lacks stands with it."""


class NotPlayedOut(Refused):
    """Some scripts were begun and could not be played to their end, and nobody knows whether the node keeps them."""


def say(console: Console, outcome: Outcome) -> None:
    """One script, as it ends: a line, and for a failure what was expected and all that was said."""
    ids = " ".join(outcome.script.ids)
    console.print(f"{_MARKS[outcome.verdict]} {escape(outcome.script.name)} [dim]{ids}[/]", highlight=False)
    if outcome.verdict is Verdict.NOT_RUN:
        console.print(f"  [dim]not run: {escape(outcome.reason)}[/]", highlight=False)
    elif outcome.verdict is not Verdict.PASSED:
        for quote in outcome.script.quotes:
            console.print(f"  [dim]“{escape(quote)}”[/]", highlight=False)
        console.print(f"  [bold]{escape(outcome.reason)}[/]", highlight=False)
        for line in outcome.trace:
            console.print(f"    {escape(text_of(line))}", highlight=False, soft_wrap=True)


def summary(outcomes: Sequence[Outcome]) -> str:
    """All of it in one line."""
    count = Counter(outcome.verdict for outcome in outcomes)
    parts = [f"{count[Verdict.PASSED]} passed", f"{count[Verdict.FAILED]} failed"]
    if count[Verdict.WARNED]:
        parts.append(f"{count[Verdict.WARNED]} warnings (a SHOULD not kept)")
    if count[Verdict.NOT_RUN]:
        parts.append(f"{count[Verdict.NOT_RUN]} not run")
    return f"{len(outcomes)} scripts: {', '.join(parts)}"


def unplayed(outcomes: Sequence[Outcome]) -> Refused | None:
    """Why the verdicts say less than they seem to; None when they say all.

    What the node does not offer, and what nobody gave a chain or an operator for, is missing for a reason.
    """
    chainless = sum(outcome.for_want_of_a_chain for outcome in outcomes)
    unfinished = sum(outcome.unfinished for outcome in outcomes)
    if chainless:
        return ChainSpent(scripts=chainless)
    if all(outcome.verdict is Verdict.NOT_RUN for outcome in outcomes):
        return NothingPlayed(scripts=len(outcomes))
    return NotPlayedOut(scripts=unfinished) if unfinished else None


def text_of(line: Line) -> str:
    """A line of a trace."""
    return f"{line.peer:5} {line.arrow} {line.text}"


def as_json(outcomes: Sequence[Outcome], about: dict[str, Any]) -> dict[str, Any]:
    """What a program reads."""
    return about | {
        "summary": summary(outcomes),
        "scripts": [
            {
                "name": outcome.script.name,
                "ids": list(outcome.script.ids),
                "level": outcome.script.level.value,
                "quotes": list(outcome.script.quotes),
                "verdict": outcome.verdict.value,
                "reason": outcome.reason,
                "seconds": round(outcome.seconds, 3),
                "trace": [text_of(line) for line in outcome.trace] if outcome.verdict is not Verdict.PASSED else [],
            }
            for outcome in outcomes
        ],
    }


def as_junit(outcomes: Sequence[Outcome], about: dict[str, Any]) -> str:
    """What build servers read: a test case for each script, grouped by the first id.

    A MUST that is not kept is a failure, what was begun and not played to its end an error.
    """
    count = Counter(outcome.verdict for outcome in outcomes)
    unfinished = sum(outcome.unfinished for outcome in outcomes)
    suite = ElementTree.Element(
        "testsuite",
        name=_NAME,
        tests=str(len(outcomes)),
        failures=str(count[Verdict.FAILED]),
        errors=str(unfinished),
        skipped=str(count[Verdict.NOT_RUN] - unfinished),
        time=f"{sum(outcome.seconds for outcome in outcomes):.3f}",
    )
    properties = ElementTree.SubElement(suite, "properties")
    for name, value in about.items():
        ElementTree.SubElement(properties, "property", name=name, value=str(value))
    for outcome in outcomes:
        case = ElementTree.SubElement(
            suite,
            "testcase",
            classname=outcome.script.ids[0],
            name=outcome.script.name,
            time=f"{outcome.seconds:.3f}",
        )
        trace = _printable("\n".join(text_of(line) for line in outcome.trace))
        if outcome.verdict is Verdict.FAILED:
            failure = ElementTree.SubElement(case, "failure", message=_printable(outcome.reason))
            failure.text = "\n".join([*outcome.script.quotes, "", trace])
        elif outcome.unfinished:
            ElementTree.SubElement(case, "error", message=_printable(outcome.reason)).text = trace
        elif outcome.verdict is Verdict.NOT_RUN:
            ElementTree.SubElement(case, "skipped", message=_printable(outcome.reason))
        elif outcome.verdict is Verdict.WARNED:
            ElementTree.SubElement(case, "system-out").text = f"warning: {_printable(outcome.reason)}\n\n{trace}"
    return ElementTree.tostring(suite, encoding="unicode", xml_declaration=True)


def _printable(text: str) -> str:
    """Text that XML can hold, whatever a node has put into an error."""
    return "".join(letter if letter in "\n\t" or letter.isprintable() else "�" for letter in text)
