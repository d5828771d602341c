"""`python -m demo`: play the whole story. Exit code 0: everything went as it must."""

from __future__ import annotations

import argparse
import sys
from typing import cast

from demo.chapters import ALL
from demo.screen import Screen
from demo.story import Chapter, play
from demo.waiting import Deviation
from fulmen.core.base.faults import Fault


def main() -> int:
    """Play it."""
    parser = argparse.ArgumentParser(prog="python -m demo", description="A Lightning network in a minute, for real.")
    parser.add_argument(
        "--judge", default="", help="who judges the chain: kernel or btclib (default: the best there is)"
    )
    given = parser.parse_args()
    screen = Screen()
    screen.title(
        "fulmen",
        "One Bitcoin regtest chain and four Lightning nodes, each a process of its own, over real TCP.\n"
        "Every step is checked; at the end every satoshi is accounted for.",
    )
    try:
        play([cast("Chapter", chapter) for chapter in ALL], screen, given.judge)
    except (Deviation, Fault) as wrong:
        return _failed(screen, wrong)
    except KeyboardInterrupt:
        screen.say("\nInterrupted; everything is stopped.")
        return 130
    screen.say(f"\nDone in {screen.seconds:.0f} seconds, everything stopped and cleaned up.")
    return 0


def _failed(screen: Screen, wrong: Exception) -> int:
    screen.console.print(f"\n✗ The story went wrong: {wrong}", style="bold red", markup=False)
    for note in getattr(wrong, "__notes__", ()):
        screen.console.print(f"  {note}", style="red", markup=False)
    return 1


if __name__ == "__main__":
    sys.exit(main())
