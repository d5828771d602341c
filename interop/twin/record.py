"""Cases with Core's answers, kept for machines that have no Core."""

from __future__ import annotations

import json
import lzma
from pathlib import Path
from typing import Any

from interop.twin import wire
from interop.twin.families import FAMILIES
from interop.twin.plan import make_case
from interop.twin.play import play
from interop.twin.run import Plan, close_stage, open_stage
from interop.twin.sides import SideFailed

KEPT = Path(__file__).parents[2] / "tests" / "vectors" / "core" / "twin.json.xz"


def record(plan: Plan, count: int, path: Path) -> None:
    """Play the first cases of a seed, and one of each family that was not among them; keep calls and Core's answers.

    Raises:
        SideFailed: the sides differ: what is kept would not be true of us.
    """
    stage = open_stage(plan)
    try:
        version = stage.sides[0].ask("getnetworkinfo")["subversion"]
        requests = [[body, wire.put(stage.sides[0], body)] for body in wire.BODIES]
        cases: list[dict[str, Any]] = []
        number = 0
        missing = list(FAMILIES)
        while number < count or missing:
            stage.tape = []
            case = make_case(plan.seed, number, stage.world(), () if number < count else tuple(missing[:1]))
            missing = [family for family in missing if family != case.family]
            number += 1
            if found := play(stage, case):
                raise SideFailed(f"case {case.number} differs: {found[0]}")
            calls = [[method, params, answer] for (method, params), answer in stage.tape]
            cases.append({"number": case.number, "family": case.family, "calls": calls})
    finally:
        close_stage(stage)
    kept = {
        "source": f"made by `python -m interop.twin --record`; answers of {version} on regtest",
        "seed": plan.seed,
        "requests": requests,
        "cases": cases,
    }
    path.write_bytes(lzma.compress(json.dumps(kept, separators=(",", ":")).encode(), preset=9 | lzma.PRESET_EXTREME))


def recorded(path: Path = KEPT) -> dict[str, Any]:
    """What was kept: `cases` with number, family, and calls as (method, parameters, what Core answered); `requests`."""
    kept: dict[str, Any] = json.loads(lzma.decompress(path.read_bytes()))
    return kept
