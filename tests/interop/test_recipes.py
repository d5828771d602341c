"""Foreign programs are made once, and again when what makes them has changed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from interop.recipe import NotHere, Recipe, Tool, have, path_with

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
    tools = (Tool("no-such-tool", ("tool-dev", "tool")), Tool("header", ("header-dev",), "/no/such.h"))
    recipe = replace(RECIPE, tools=tools)
    with pytest.raises(NotHere, match=r"needs no-such-tool, header .*apt-get install -y tool-dev header-dev"):
        recipe.ensure()


def says(version: str) -> tuple[str, ...]:
    """A command that says a version, as programs do."""
    return ("echo", f"thing version v{version}-1 (2026)")


@pytest.mark.parametrize("version", ["1.88", "1.88.0", "1.100.2", "2.0"])
def test_a_tool_that_is_new_enough_will_do(version: str) -> None:
    assert Tool("true", asked=says(version), least="1.88").lacking() == ""


def test_a_tool_that_is_too_old_is_named_with_both_versions() -> None:
    assert Tool("true", asked=says("1.9.5"), least="1.88").lacking() == "true 1.88 or later (here is 1.9.5)"
    assert Tool("true", asked=says("4.5.8"), only="4.3.4").lacking() == "true 4.3.4 (here is 4.5.8)"
    assert Tool("true", asked=says("4.3.4"), only="4.3.4").lacking() == ""
    silent = Tool("true", asked=("false",), least="1.88")
    assert silent.lacking() == "true 1.88 or later (here is one that does not say its version)"
    assert Tool("no-such-tool", least="1.88").lacking() == "no-such-tool 1.88 or later"


def test_what_lies_in_the_system_is_looked_at_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    upgraded = Tool("true", ("coreutils",), "/bin/true", asked=says("10.0"), only="9.1")
    with pytest.raises(NotHere, match=r"true needs true 9\.1 \(here is 10\.0\)"):
        Recipe("true", "9.1", ("/bin/true",), (upgraded,)).ensure()


def test_packages_are_tried_in_their_order_until_one_brings_it(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, ...]] = []

    def apt_get(*words: str) -> None:
        asked.append(words)
        if words[-1] == "second":
            (place / "thing").touch()

    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr("shutil.which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr("interop.recipe._apt_get", apt_get)
    have([Tool("thing", ("first", "second", "third"), str(place / "thing"))], "something")
    assert [words[-1] for words in asked] == ["update", "first", "second"]


def test_what_no_package_brings_is_made_and_found_before_what_is_too_old(place: Path) -> None:
    told = place / "cache" / RECIPE.key / "bin"
    tool = Tool(
        "thing", asked=("sh", "-c", "command -v thing >/dev/null && echo 2.0 || echo 1.0"), least="2.0", maker=RECIPE
    )
    have([tool], "something")
    assert path_with([tool]).startswith(str(told))
    assert tool.lacking() == ""


def test_a_program_of_the_system_is_not_made() -> None:
    recipe = Recipe("true", "1", ("/bin/true",))
    recipe.ensure()
    assert recipe.program("true") == Path("/bin/true")
