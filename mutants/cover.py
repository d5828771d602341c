"""Which test passes over which line: one traced run of each test, measured once and kept in `.mutants/`."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from types import FrameType
from typing import Any


class Cover:
    """What one test ran: lines of the packages under test, and every function of the core."""

    def __init__(self, core: Path, packages: tuple[str, ...]) -> None:
        self._core = f"{core}/"
        self._packages = tuple(f"{core}/{name}/" for name in packages)
        self.lines: set[tuple[str, int]] = set()
        self.calls: set[tuple[str, int]] = set()
        self.cpu_s = 0.0

    def __enter__(self) -> Cover:
        self._began = time.process_time()
        sys.settrace(self._on_call)
        return self

    def __exit__(self, *_: object) -> None:
        sys.settrace(None)
        self.cpu_s = time.process_time() - self._began

    def _on_call(self, frame: FrameType, event: str, _argument: Any) -> Any:
        code = frame.f_code
        path = code.co_filename
        if not path.startswith(self._core):
            return None
        self.calls.add((path, code.co_firstlineno))
        return self._on_line if path.startswith(self._packages) else None

    def _on_line(self, frame: FrameType, _event: str, _argument: Any) -> Any:
        self.lines.add((frame.f_code.co_filename, frame.f_lineno))
        return self._on_line
