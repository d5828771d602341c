"""Hear every message on a wire, in both directions: for a row that is about what was said."""

from __future__ import annotations

from functools import partial
from typing import TypeVar

from fulmen.core.base.record import Record
from fulmen.core.wire import decode
from interop.frames import Frame, Frames
from interop.proxy import FROM_TARGET, TO_TARGET, Judge
from interop.scissors import read_keys
from interop.telling_node import KEYS
from interop.us import Us

Message = TypeVar("Message", bound=Record)


class Ears:
    """Listens on the wires of a node that dials over a proxy, and lets everything pass.

    Args:
        us: the node that dials; started as `interop.telling_node`.
    """

    def __init__(self, us: Us) -> None:
        self._keys = partial(read_keys, us.home / KEYS)
        self._heard: list[tuple[int, Frame]] = []

    def wire(self) -> Judge:
        """The judge of one connection."""
        frames = {way: Frames(way, self._keys) for way in (TO_TARGET, FROM_TARGET)}

        def listen(way: int, data: bytes) -> tuple[bytes, bool]:
            found = list(frames[way].feed(data))
            self._heard += [(way, frame) for frame in found]
            return b"".join(frame.data for frame in found), True

        return listen

    def heard(self, way: int, name: str) -> bool:
        """Whether a message of this name went this way; an unknown one is called by its number."""
        return any(at == way and frame.name == name for at, frame in self._heard)

    def said(self, kind: type[Message]) -> list[tuple[int, Message]]:
        """All messages of a kind, in the order in which they went by, each with its way."""
        named = [(way, decode(frame.message)) for way, frame in list(self._heard) if frame.message]
        return [(way, message) for way, message in named if isinstance(message, kind)]
