"""`python -m demo`: play the whole story. Exit code 0: everything went as it must."""

from __future__ import annotations

import argparse
import sys
from typing import cast

from demo.chapters import ALL
from demo.screen import Screen
from demo.story import Chapter, play
from fulmen.core.base.faults import Fault
from fulmen.lab.signals import end_like_ctrl_c
from fulmen.lab.waiting import Deviation


def main() -> int:
    """Play it."""
    parser = argparse.ArgumentParser(prog="python -m demo", description="A Lightning network in a minute, for real.")
    parser.add_argument(
        "--judge", default="", help="who judges the chain: kernel or btclib (default: the best there is)"
    )
    given = parser.parse_args()
    end_like_ctrl_c()
    screen = Screen()
    screen.title(
        "fulmen",
        "One Bitcoin regtest chain and four Lightning nodes, each a process of its own, over real TCP.\n"
        "Every step is checked; at the end every satoshi is accounted for.",
    )
    try:
        play([cast("Chapter", chapter) for chapter in ALL], screen, given.judge)
    except (Deviation, Fault) as wrong:
        screen.wrong(wrong)
        return 1
    except KeyboardInterrupt:
        screen.say("\nInterrupted; everything is stopped.")
        return 130
    screen.say(f"\nDone in {screen.seconds:.0f} seconds, everything stopped and cleaned up.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
