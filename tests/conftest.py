"""What holds for all tests: no example of Hypothesis fails for being slow, for the machine may be busy.

And what shares a stage of real processes runs on one worker: a stage costs ten seconds and six processes. A test
that has a stage for itself goes wherever there is room.
"""

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


def stage_of(nodeid: str) -> str:
    """The stage that a test shares, or its own name."""
    return STAGES.get(nodeid.partition("::")[0], nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> object:
    """Hand out tests one by one, but all of a stage to one worker; large lots first."""
    from xdist.scheduler import LoadScopeScheduling

    class ByStage(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return stage_of(nodeid)

    return ByStage(config, log)
