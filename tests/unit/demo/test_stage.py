"""A stage that does not end well says which one it was: pytest blames whichever test happened to be the last."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import cast

import pytest
from demo.stage import Stage

from fulmen.api.socketpath import socket_to_serve
from fulmen.lab.nodes import Node
from fulmen.lab.waiting import Deviation


class Stubborn:
    """A node that ends with an error, or not at all."""

    alive = True

    def __init__(self, ends: int | Deviation) -> None:
        self._ends = ends
        self.program = self

    def __str__(self) -> str:
        return "Bob"

    def ask_to_stop(self) -> None:
        """As if it heard."""

    def stop(self) -> int:
        if isinstance(self._ends, Deviation):
            raise self._ends
        return self._ends


@pytest.mark.parametrize(
    ("ends", "said"),
    [(1, "Bob ended with code 1"), (Deviation("bob did not stop within 40 s"), "bob did not stop within 40 s")],
)
def test_a_stage_that_does_not_end_well_is_named_and_its_logs_are_kept(
    tmp_path: Path, ends: int | Deviation, said: str
) -> None:
    home = tmp_path / "stage"
    home.mkdir()
    stage = Stage(home)
    stage.keep = False
    stage.nodes["bob"] = cast("Node", Stubborn(ends))
    with pytest.raises(Deviation) as wrong:
        stage.close()
    assert str(wrong.value) == f"The stage in {home} did not end well:\n{said}"
    assert home.exists()


def test_a_stage_that_ends_well_leaves_nothing(tmp_path: Path) -> None:
    home = tmp_path / "stage"
    home.mkdir()
    stage = Stage(home)
    stage.keep = False
    stage.nodes["bob"] = cast("Node", Stubborn(0))
    stage.close()
    assert not home.exists()


@pytest.mark.parametrize("shared", [False, True], ids=["alone", "beside a node of somebody else"])
def test_a_stage_that_lies_deep_leaves_no_socket_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shared: bool
) -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as short:
        monkeypatch.setenv("XDG_RUNTIME_DIR", short)
        home = tmp_path / ("d" * 100)
        data = home / "bob" / "regtest"
        data.mkdir(parents=True)
        socket = socket_to_serve(data)
        assert socket.is_relative_to(short)
        socket.touch()  # as who is killed leaves it
        if shared:
            (socket.parent / "other").touch()
        stage = Stage(home)
        stage.keep = False
        stage.close()
        assert [each.name for each in Path(short).rglob("*")] == ([socket.parent.name, "other"] if shared else [])
