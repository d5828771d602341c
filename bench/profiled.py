"""A node under the profiler: `python -m bench.profiled --dir HOME …`, as one would call `fulmen`.

SIGUSR1 begins, SIGUSR2 ends and writes the file, so that what a node does at its start and its stop stays out.
"""

from __future__ import annotations

import cProfile
import os
import signal
import sys
from pathlib import Path

from fulmen.cli.main import main

FILE = "profile.pstats"
"""In the home of the node."""


def run(home: Path) -> None:
    """The command line of fulmen, with two more signals."""
    profile = cProfile.Profile()

    def begin(*_: object) -> None:
        profile.enable()

    def end(*_: object) -> None:
        profile.disable()
        half = home / f"{FILE}.half"
        profile.dump_stats(half)
        os.replace(half, home / FILE)

    signal.signal(signal.SIGUSR1, begin)
    signal.signal(signal.SIGUSR2, end)
    main()


if __name__ == "__main__":
    run(Path(sys.argv[sys.argv.index("--dir") + 1]))
