"""BOLT 5's output matrix with alice cut off: before a commit, after it, and before what she wants is in place.

Whatever becomes of an output in `test_every_output_ends_where_it_must`, it becomes of it also when she dies meanwhile.
"""

from __future__ import annotations

import random

import pytest
from tests.builders.matrix import Board, Cell, all_cells
from tests.laws.cuts import Cut, CutOff, Rehearsal

CELLS = all_cells()
SAMPLE = random.Random(7).sample(CELLS, 12)
"""One seeded cut of each in every run; all of all in `make soak`."""


def cuts_of(cell: Cell) -> tuple[Cut, ...]:
    """Where she can be cut off."""
    board = Board(cell)
    rehearsal = Rehearsal(board.court.alice)
    board.play()
    return tuple(rehearsal.cuts())


def play(cell: Cell, cut: Cut) -> None:
    """The case with one cut."""
    board = Board(cell)
    off = CutOff(board.court.alice, cut)
    try:
        board.play()
        assert off.done, "nobody was cut off"
    except BaseException as error:
        error.add_note(f"alice was cut off {cut}: play({cell!r}, {cut!r})")
        raise


@pytest.mark.parametrize("cell", SAMPLE, ids=lambda cell: cell.name)
def test_an_output_survives_a_cut_at_a_seeded_point(cell: Cell) -> None:
    play(cell, random.Random(cell.name).choice(cuts_of(cell)))


@pytest.mark.soak
@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.name)
def test_an_output_survives_every_cut(cell: Cell) -> None:
    for cut in cuts_of(cell):
        play(cell, cut)
