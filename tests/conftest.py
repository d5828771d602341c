"""What holds for all tests: no example of Hypothesis fails for being slow, for the machine may be busy.

And how they are handed out to workers. What shares a stage of real processes goes to one worker: a stage costs ten
seconds and six processes. One worker takes all that plays with real processes, which mostly waits, and the others
compute; whoever has no more of its own helps.
"""

from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import settings

settings.register_profile("house", deadline=None, print_blob=True)
settings.load_profile("house")

_LINE = (
    *("bad_input", "before_any_block", "chain_troubles", "closing", "crashes", "first_start", "on_chain", "opening"),
    "payments",
)
STAGES = {
    "tests/end_to_end/test_the_story.py": "story",
    "tests/end_to_end/test_conformance.py": "conformance",
    **{f"tests/end_to_end/test_{name}.py": "line" for name in _LINE},
}
"""File -> the stage that its tests share. (xdist's own groups do not reach pytest 9's node ids.)"""


def lot_of(nodeid: str) -> str:
    """What a test is handed out with: its stage, its file of unit tests, else only itself."""
    file = nodeid.partition("::")[0]
    return STAGES.get(file, file if file.startswith("tests/unit/") else nodeid)


def next_lot(lots: Iterable[str], plays: bool) -> str:
    """The first that a worker should take, who plays with real processes or does not; any where there is no such."""
    waiting = list(lots)
    return next((lot for lot in waiting if (lot in STAGES.values() or "end_to_end" in lot) == plays), waiting[0])


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> object:
    """Large lots first."""
    from xdist.scheduler import LoadScopeScheduling

    class ByLot(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return lot_of(nodeid)

        def _assign_work_unit(self, node: Any) -> None:
            lot = next_lot(self.workqueue, plays=node is self.nodes[0])
            self.workqueue.move_to_end(lot, last=False)
            super()._assign_work_unit(node)

    return ByLot(config, log)
