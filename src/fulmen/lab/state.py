"""What a network remembers in its directory from one `up` to the next: ports, coins given, channels opened."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

import msgspec

from fulmen.core.base.faults import Refused
from fulmen.core.base.record import Record

FILE = "lab.json"
SHOWN = "up.json"
"""What users are told while it is up."""


class BadLabState(Refused):
    """What the network remembers cannot be read."""


class Opened(Record):
    """A channel that was opened for a line of the file."""

    opener: str
    to: str
    nth: int
    """Which one of those between the two, in this direction."""
    outpoint: str


class State(Record):
    """All that is remembered."""

    ports: dict[str, tuple[int, ...]] = msgspec.field(default_factory=dict)
    """Node, or the chain -> what it listens on, in the order in which it asked."""
    given_sat: dict[str, int] = msgspec.field(default_factory=dict)
    channels: tuple[Opened, ...] = ()

    def outpoint(self, opener: str, to: str, nth: int) -> str:
        """Of a channel that was opened before, or nothing."""
        found = (each.outpoint for each in self.channels if (each.opener, each.to, each.nth) == (opener, to, nth))
        return next(found, "")


def load(directory: Path) -> State:
    """What was remembered last.

    Raises:
        BadLabState
    """
    path = directory / FILE
    try:
        return msgspec.json.decode(path.read_bytes(), type=State)
    except FileNotFoundError:
        return State()
    except (OSError, msgspec.MsgspecError) as why:
        raise BadLabState(f"{path} cannot be read: {why}") from why


def save(directory: Path, state: State) -> None:
    """Remember it."""
    write(directory / FILE, state)


def write(path: Path, value: Any) -> None:
    """A JSON file, whole or not at all, for its owner alone."""
    part = path.with_suffix(".part")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(msgspec.json.format(msgspec.json.encode(value)))
    part.replace(path)


class PortsOf:
    """The ports of one member: those that it had before, the one that the file names, or free ones.

    Args:
        wanted: which port it must have at one place in its order; 0 is any.
    """

    def __init__(self, had: tuple[int, ...], wanted: dict[int, int], taken: set[int]) -> None:
        self._had = had
        self._wanted = wanted
        self._taken = taken
        self.ports: tuple[int, ...] = ()

    def take(self) -> int:
        """The next one."""
        at = len(self.ports)
        port = self._wanted.get(at, 0) or (self._had[at] if at < len(self._had) else 0)
        while not port or (port in self._taken and not self._wanted.get(at)):
            port = _free_port()
        self._taken.add(port)
        self.ports += (port,)
        return port


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
