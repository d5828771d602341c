"""Law helpers that look at every step of every machine. Give `audit` to a Node, and it holds them all to the law."""

from __future__ import annotations

from typing import Any

from fulmen.core.base.machine import Step, fold
from fulmen.core.base.mount import Mount


def audit(mount: Mount, before: Any, step: Step[Any]) -> None:
    """A state is nothing but its facts folded, and passing facts leave nothing behind (law 2).

    The second is `forget(fold(all)) == fold(durable)` step by step: if it held before the step, it holds after it.
    """
    assert fold(before, step.facts) == step.state, f"{mount.kind}: the state is not its facts folded"
    durable = [fact for fact in step.facts if not fact.passing]
    remembered = fold(mount.forget(before), durable)
    assert mount.forget(step.state) == remembered, f"{mount.kind}: a passing fact leaves a trace: {step.facts}"
