"""BOLT 5's output matrix (B5-7a): commitment × output × event, each ends with the money where it must be.

`make test` plays a sample that is the same each time, `make soak` all of them.
"""

from __future__ import annotations

from hashlib import sha256

import pytest
from tests.builders.matrix import COMMITMENTS, EVENTS, FORMATS, OUTPUTS, Board, Cell, all_cells, why_not

CELLS = all_cells()
ONE_IN = 4


def in_sample(cell: Cell) -> bool:
    """One case in four, by its name; whatever concerns batches and preimages is always played."""
    return cell.event in ("they show the preimage", "double spend in our batch", "reorg under our batch") or (
        sha256(cell.name.encode()).digest()[0] % ONE_IN == 0
    )


def test_each_case_is_played_or_has_a_reason_not_to_be() -> None:
    every = [Cell(f, c, o, e) for f in FORMATS for c in COMMITMENTS for o in OUTPUTS for e in EVENTS]
    assert len(CELLS) + sum(bool(why_not(cell)) for cell in every) == len(every)
    for axis, values in ((1, COMMITMENTS), (2, OUTPUTS), (3, EVENTS)):
        assert {cell[axis] for cell in CELLS if in_sample(cell)} == set(values)


@pytest.mark.parametrize("cell", [cell for cell in CELLS if in_sample(cell)], ids=lambda cell: cell.name)
def test_the_sample_ends_where_it_must(cell: Cell) -> None:
    Board(cell).play()


@pytest.mark.soak
@pytest.mark.parametrize("cell", [cell for cell in CELLS if not in_sample(cell)], ids=lambda cell: cell.name)
def test_all_the_rest_ends_where_it_must(cell: Cell) -> None:
    Board(cell).play()
