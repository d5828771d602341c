"""One target under libFuzzer, in a process of its own: `python -m fuzz.one ROOM NAME [libFuzzer's options]`."""

from __future__ import annotations

import importlib
import sys

import atheris


def main(arguments: list[str]) -> None:
    """Never returns: libFuzzer ends the process."""
    with atheris.instrument_imports(include=["fulmen"]):
        room = importlib.import_module(arguments[1])
    [target] = (one for one in room.targets() if one.name == arguments[2])

    def run(data: bytes) -> None:
        target.run(data)

    atheris.Setup([arguments[0], f"-max_len={target.longest}", *arguments[3:]], run)
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv)
