"""What no linter sees: chance by hash order, and imports that lead out of the pure rooms."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[3] / "src" / "fulmen"
WINDOWS = {
    *("asyncio", "select", "selectors", "socket", "ssl"),
    *("datetime", "time"),
    *("random", "secrets", "uuid"),
    *("os", "pathlib", "subprocess", "tempfile", "threading"),
}
"""Modules by which time, chance, keys, disk or network would enter."""
ADAPTERS = {"core/crypto/secp256k1.py": {"os"}}
"""Which of two libraries to load is told by the environment, once, at import."""


def rooms(package: str) -> list[Path]:
    return sorted((SOURCE / package).rglob("*.py"))


def imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.module or ""


def is_set(node: ast.expr) -> bool:
    return isinstance(node, ast.Set | ast.SetComp) or (
        isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in {"set", "frozenset"}
    )


def iterated(tree: ast.AST) -> Iterator[ast.expr]:
    for node in ast.walk(tree):
        if isinstance(node, (ast.For, ast.comprehension)):
            yield node.iter
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in {"list", "tuple"}:
            yield from node.args[:1]


@pytest.mark.parametrize("package", ["core", "sim"])
def test_the_pure_rooms_import_nothing_that_knows_the_time_or_the_world(package):
    for room in rooms(package):
        roots = {name.partition(".")[0] for name in imported(ast.parse(room.read_text()))}
        place = str(room.relative_to(SOURCE))
        assert not roots & WINDOWS - ADAPTERS.get(place, set()), place


def test_the_core_never_walks_over_a_set():
    for room in rooms("core"):
        for walked in iterated(ast.parse(room.read_text())):
            assert not is_set(walked), f"{room.relative_to(SOURCE)}:{walked.lineno}: sort it first (law 3)"


def test_the_simulator_meets_no_adapter():
    for room in rooms("sim"):
        for name in imported(ast.parse(room.read_text())):
            assert not name.startswith(("fulmen.adapters", "fulmen.daemon")), room.relative_to(SOURCE)


def test_the_apps_stand_apart():
    for room in rooms("apps"):
        for name in imported(ast.parse(room.read_text())):
            assert not name.startswith("fulmen.") or name.startswith("fulmen.apps"), room.relative_to(SOURCE)


def test_every_room_has_a_door():
    for room in rooms("."):
        assert ast.get_docstring(ast.parse(room.read_text())), f"{room.relative_to(SOURCE)} has no module docstring"
