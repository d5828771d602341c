"""The demo's story, each of its nodes cut off at every point once: it ends as if nobody had died (law 2).

Before each commit, after it with nothing of it done, and after each of its actions. Whoever dies starts again from its
disk; what left it was on its disk before (law 1), it publishes nothing revoked (law 9), no money appears or vanishes
(law 4), and its channels go on or close with the balances that they would have had.
"""

from __future__ import annotations

import random

import pytest
from tests.laws.chapters import CHAPTERS, Chapter
from tests.laws.cut_chapters import play, uncut
from tests.laws.cuts import LOST

CASES = [(chapter, name) for chapter in CHAPTERS for name in chapter.mortal]
SAMPLE = 4
"""So many cuts of each node in each chapter are made in every run, the rest in `make soak`."""
each = pytest.mark.parametrize(("chapter", "name"), CASES, ids=[f"{chapter.name}-{name}" for chapter, name in CASES])


@each
def test_a_node_cut_off_at_a_seeded_point_ends_as_if_it_had_lived(chapter: Chapter, name: str) -> None:
    cuts = uncut(chapter, name).cuts
    for cut in random.Random(f"{chapter.name} {name}").sample(cuts, SAMPLE):
        play(chapter, name, cut)


@pytest.mark.soak
@each
def test_a_node_cut_off_anywhere_ends_as_if_it_had_lived(chapter: Chapter, name: str) -> None:
    for cut in uncut(chapter, name).cuts:
        play(chapter, name, cut)


@each
def test_there_is_something_to_cut_off(chapter: Chapter, name: str) -> None:
    cuts = uncut(chapter, name).cuts
    assert len(cuts) > 20 and {cut.kept for cut in cuts} >= {LOST, 0}
