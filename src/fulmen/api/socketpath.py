"""Where the socket lies: beside the data, or, as paths of sockets must be short, in a runtime directory.

Linux takes 107 bytes and macOS 103. When the data lies deeper, the socket goes to a short directory of this user, and a
pointer file beside the data says where, so that whoever knows the data finds the socket.
"""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from pathlib import Path

MAX_PATH = 100
SOCKET = "rpc"
POINTER = "rpc.path"


def socket_to_serve(directory: Path) -> Path:
    """Where to bind for a node whose data is in `directory`; writes the pointer file where one is needed.

    Raises:
        PermissionError: the runtime directory belongs to somebody else.
    """
    direct = directory.resolve() / SOCKET
    pointer = directory / POINTER
    if len(os.fsencode(direct)) <= MAX_PATH:
        pointer.unlink(missing_ok=True)
        return direct
    name = hashlib.sha256(os.fsencode(direct)).hexdigest()[:16]
    short = _runtime_directory() / name
    pointer.write_text(f"{short}\n")
    return short


def socket_to_call(directory: Path) -> Path:
    """Where a node whose data is in `directory` listens, if it does."""
    pointer = directory / POINTER
    try:
        return Path(pointer.read_text().strip())
    except OSError:
        return directory.resolve() / SOCKET


def _runtime_directory() -> Path:
    candidates = [os.environ.get("XDG_RUNTIME_DIR"), tempfile.gettempdir(), "/tmp"]
    parent = next((path for path in candidates if path and len(path) < 60 and os.access(path, os.W_OK)), "/tmp")
    ours = Path(parent) / f"fulmen-{os.getuid()}"
    ours.mkdir(mode=0o700, exist_ok=True)
    found = ours.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise PermissionError(f"{ours} must be a directory that only this user may enter")
    return ours
