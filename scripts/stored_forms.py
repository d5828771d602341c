"""Renew tests/vectors/store/forms.txt, the golden file of all stored forms (docs/stored-forms.md).

New forms are added and old ones stay, as long as they are still read. `--replace` throws the old ones away: only for
forms that no release has ever written.
"""

import argparse
import sys
from pathlib import Path

HOUSE = Path(__file__).parents[1]
sys.path[:0] = [str(HOUSE / "src"), str(HOUSE)]

from tests.builders.stored_forms import current_lines, differences, read_lines, renewed, unreadable, write_lines  # noqa: E402


def main() -> int:
    """Write the file; 1 if something in it cannot be read any more."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--replace", action="store_true", help="keep no form but those of now")
    replace = parser.parse_args().replace
    before, now = read_lines(), current_lines()
    for line in differences(before, now):
        print(line)
    lost = [] if replace else unreadable([*before, *now])
    for line in lost:
        print(f"no longer read: {line}", file=sys.stderr)
    if lost:
        print("Say how it becomes what it is now: `upcast` or `renamed`, docs/stored-forms.md.", file=sys.stderr)
        return 1
    write_lines(now if replace else renewed(before, now))
    return 0


if __name__ == "__main__":
    sys.exit(main())
