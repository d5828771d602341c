"""docs/conformance-others.md: what each peer kept and did not keep, why, and what was said."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence

from fulmen.conformance.report import text_of
from fulmen.conformance.runner import Outcome, Verdict
from fulmen.conformance.talking import Line
from interop.columns import Column
from interop.conformance.deviations import reason_of

LAST_LINES = 8
MOST_LETTERS = 100
UNKNOWN = "Nobody has looked into it yet."
BEGIN = """# What the nodes of others do not keep

Made by `python -m interop.conformance --write`: the scripts of [conformance.md](conformance.md) played over TCP against
unmodified nodes on Bitcoin Core, with the settings that the lab gives them. With each script that was not kept stand
its ids, what the node does instead, the sentences of the BOLTs, what was missing, and the last messages
(`→` to the node, `←` from it, `·` what happened beside the wire).
"""
ROWS: tuple[tuple[str, Callable[[Outcome], bool]], ...] = (
    ("kept", lambda outcome: outcome.verdict is Verdict.PASSED),
    ("a MUST, not kept", lambda outcome: outcome.verdict is Verdict.FAILED),
    ("a SHOULD (or a MAY), not kept", lambda outcome: outcome.verdict is Verdict.WARNED),
    (
        "not run: it lacks the feature",
        lambda outcome: outcome.verdict is Verdict.NOT_RUN and not outcome.unfinished and not outcome.refuses_good,
    ),
    ("not run: it refuses what is right, too", lambda outcome: outcome.refuses_good),
    ("not played to the end", lambda outcome: outcome.unfinished),
)


class NoPlace(Exception):
    """A page that lost one of the two marks around the part of a peer."""


def page(before: str, told: Mapping[Column, Sequence[Outcome]]) -> str:
    """The page with the parts of these peers made anew; those of others stay.

    Raises:
        NoPlace.
    """
    text = before if before.startswith(BEGIN) else BEGIN
    for column, outcomes in told.items():
        begin, end = f"<!-- {column.key} -->\n", f"<!-- end of {column.key} -->\n"
        part = "\n".join((begin, *_part(column, outcomes), end))
        head, found, rest = text.partition(begin)
        if not found:
            text = f"{text}\n{part}"
            continue
        _, found, tail = rest.partition(end)
        if not found:
            raise NoPlace(column.key)
        text = head + part + tail
    return text


def _part(column: Column, outcomes: Sequence[Outcome]) -> Iterator[str]:
    yield f"## {column.title}\n"
    yield f"| {len(outcomes)} scripts | |\n| --- | --- |"
    yield from (f"| {name} | {sum(map(belongs, outcomes))} |" for name, belongs in ROWS)
    yield ""
    for verdict, heading in ((Verdict.FAILED, "MUST, not kept"), (Verdict.WARNED, "SHOULD (or MAY), not kept")):
        of_them = [outcome for outcome in outcomes if outcome.verdict is verdict]
        if of_them:
            yield f"### {column.title}: {heading}\n"
            yield from (_shown(column.key, outcome) for outcome in of_them)
    not_run = [outcome for outcome in outcomes if outcome.verdict is Verdict.NOT_RUN]
    if not_run:
        yield f"### {column.title}: not run\n"
        yield from (
            f"* {outcome.script.name} ({', '.join(outcome.script.ids)}): {outcome.reason}" for outcome in not_run
        )
        yield ""


def _shown(key: str, outcome: Outcome) -> str:
    script = outcome.script
    quotes = "\n".join(f"> {quote}  " for quote in script.quotes)
    said = "\n".join(_short(line) for line in outcome.trace[-LAST_LINES:])
    more = "…\n" if len(outcome.trace) > LAST_LINES else ""
    why = reason_of(key, script) or UNKNOWN
    missing = _without_keys(outcome.reason)
    return f"**{script.name}** ({', '.join(script.ids)})\n\n{why}\n\n{quotes}\n\n{missing}.\n\n```\n{more}{said}\n```\n"


def _short(line: Line) -> str:
    """Who said what, without the fields: keys and signatures are others in each run."""
    return _without_keys(re.sub(r"\s\w+=.*", "", text_of(line)))[:MOST_LETTERS].rstrip()


def _without_keys(text: str) -> str:
    """Whatever is long and in hex is another one in each run."""
    return re.sub(r"\b[0-9a-f]{16,}…?", "…", text)
