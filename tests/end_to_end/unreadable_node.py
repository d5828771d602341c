"""A node whose disk cannot be read once: `python -m tests.end_to_end.unreadable_node …`.

The file `unreadable` in its directory says which read of its database it is that fails.
"""

from __future__ import annotations

import sys
from functools import partial
from itertools import count
from pathlib import Path

import apsw
from tests.builders.sick_disk import SickDisk

from fulmen.adapters.store import SqliteStore
from fulmen.cli.main import main
from fulmen.daemon import daemon

if __name__ == "__main__":
    fails_at = int((Path(sys.argv[sys.argv.index("--dir") + 1]) / "unreadable").read_text())
    reads = count()

    def fail(operation: str, *_about: object) -> None:
        if operation == "read" and next(reads) == fails_at:
            raise apsw.IOError("EIO")

    disk = SickDisk(before=fail)
    daemon.SqliteStore = partial(SqliteStore, vfs=disk.name)
    main()
