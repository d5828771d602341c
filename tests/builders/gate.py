"""What our own node has to make of the conformance scripts: pass all, but for those about what it does not offer."""

from __future__ import annotations

from fulmen.conformance.runner import Outcome, Verdict

NOT_OFFERED = frozenset({"open_channel is refused: open_channel2 was negotiated"})
"""Scripts about features that our node does not have yet. Each leaves this set with its feature."""


def not_kept(outcome: Outcome) -> str:
    """Why an outcome of our own node is none to be content with; empty when it is."""
    trace = "\n".join(f"{line.peer} {line.arrow} {line.text}" for line in outcome.trace)
    due = Verdict.NOT_RUN if outcome.script.name in NOT_OFFERED else Verdict.PASSED
    if outcome.verdict is due and not outcome.unfinished:
        return ""
    return f"{outcome.verdict.value} where {due.value!r} is due: {outcome.reason}\n{trace}"
