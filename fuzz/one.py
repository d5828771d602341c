"""One target under libFuzzer, in a process of its own: `python -m fuzz.one ROOM NAME [libFuzzer's options]`."""

from __future__ import annotations

import importlib
import sys

import atheris


def main(arguments: list[str]) -> None:
    """Never returns: libFuzzer ends the process.

    Only what is watched guides it, and runs slower for that: of the channel machine, not the whole house below it.
    """
    watched = ["fulmen.core.channel", "fulmen.core.commitments"] if arguments[1] == "fuzz.machine" else ["fulmen"]
    with atheris.instrument_imports(include=watched):
        room = importlib.import_module(arguments[1])
    [target] = (one for one in room.targets() if one.name == arguments[2])

    def run(data: bytes) -> None:
        target.run(data)

    atheris.Setup([arguments[0], f"-max_len={target.longest}", *arguments[3:]], run)
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv)
