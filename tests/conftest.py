"""What holds for all tests: no example of Hypothesis fails for being slow, for the machine may be busy.

And what shares a stage of real processes runs on one worker: a stage costs ten seconds and six processes.
"""

from typing import Any

import pytest
from hypothesis import settings

settings.register_profile("house", deadline=None, print_blob=True)
settings.load_profile("house")

STAGES = {"tests/end_to_end/test_the_story.py": "story", "tests/end_to_end/": "line"}
"""Beginning of a test's name -> the stage that it needs. (xdist's own groups do not reach pytest 9's node ids.)"""


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> object:
    """Hand out tests one by one, but all of a stage to one worker; large lots first."""
    from xdist.scheduler import LoadScopeScheduling

    class ByStage(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return next((stage for begin, stage in STAGES.items() if nodeid.startswith(begin)), nodeid)

    return ByStage(config, log)
