"""Foreign programs are made once, and again when what makes them has changed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from interop.recipe import NotHere, Recipe, Tool

RECIPE = Recipe("thing", "1.0", ("bin/thing",), steps=(("mkdir", "{out}/bin"), ("cp", "/bin/true", "{out}/bin/thing")))


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FULMEN_INTEROP_CACHE", str(tmp_path / "cache"))
    return tmp_path


def test_a_program_is_made_once(place: Path) -> None:
    RECIPE.ensure()
    made = RECIPE.program("thing")
    assert made == place / "cache" / RECIPE.key / "bin" / "thing" and made.exists()
    before = made.stat().st_mtime_ns
    RECIPE.ensure()
    assert made.stat().st_mtime_ns == before


def test_other_commands_or_manifests_make_another_one(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("interop.recipe.MANIFESTS", place)
    plain = RECIPE.key
    assert replace(RECIPE, steps=RECIPE.steps[:1]).key != plain
    (place / "thing").mkdir()
    (place / "thing" / "go.mod").write_text("module thing")
    assert RECIPE.key != plain


def test_a_step_that_fails_says_what_it_said_and_is_done_again_the_next_time(place: Path) -> None:
    once = ("sh", "-c", f"mkdir {place}/been || exit 0; echo no luck; exit 3")
    recipe = replace(RECIPE, steps=(once, *RECIPE.steps))
    with pytest.raises(NotHere, match="ended with 3:\nno luck"):
        recipe.ensure()
    assert not recipe.done
    recipe.ensure()
    assert recipe.done


def test_a_recipe_whose_steps_leave_nothing_is_refused() -> None:
    with pytest.raises(NotHere, match="left no bin/thing"):
        replace(RECIPE, steps=(("true",),)).ensure()


def test_a_missing_tool_is_named_with_what_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    recipe = replace(RECIPE, tools=(Tool("no-such-tool", "tool-dev"), Tool("header", "header-dev", file="/no/such.h")))
    with pytest.raises(NotHere, match=r"needs no-such-tool, header .*apt-get install -y tool-dev header-dev"):
        recipe.ensure()


def test_a_program_of_the_system_is_not_made() -> None:
    recipe = Recipe("true", "1", ("/bin/true",))
    recipe.ensure()
    assert recipe.program("true") == Path("/bin/true")
