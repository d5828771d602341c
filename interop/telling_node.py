"""A node of ours that writes down the keys of its sessions: `python -m interop.telling_node …`.

As browsers do for whoever looks into their TLS. With them a wire in between sees where each message begins, in both
directions, and of which type it is; nothing that is said changes. It asks its chain for feerates more often, too, so
that a row in which they move (`lab.chain_proxy`) need not start it anew, or wait for half a minute.
"""

from __future__ import annotations

import sys
from pathlib import Path

from fulmen.cli.main import main
from fulmen.core.transport import session
from fulmen.core.transport.cipher import Opener, Sealer
from fulmen.daemon import chain_side

FEERATES_S = 0.5
KEYS = "session-keys"
"""A file in the node's directory: a line for each direction of each connection, the key and the chaining key."""


class _TellingSealer(Sealer):
    def __init__(self, key: bytes, chaining_key: bytes) -> None:
        _tell(key, chaining_key)
        super().__init__(key, chaining_key)


class _TellingOpener(Opener):
    def __init__(self, key: bytes, chaining_key: bytes) -> None:
        _tell(key, chaining_key)
        super().__init__(key, chaining_key)


def _tell(key: bytes, chaining_key: bytes) -> None:
    with (home() / KEYS).open("a", encoding="ascii") as told:
        told.write(f"{key.hex()} {chaining_key.hex()}\n")


def home() -> Path:
    """The directory of the node that this process is."""
    return Path(sys.argv[sys.argv.index("--dir") + 1])


def tell() -> None:
    """From now on."""
    # Whoever dials has them before its last act leaves, so they are written before any message can come by.
    vars(session).update(Sealer=_TellingSealer, Opener=_TellingOpener)
    vars(chain_side).update(FEERATES_S=FEERATES_S)


if __name__ == "__main__":
    tell()
    main()
