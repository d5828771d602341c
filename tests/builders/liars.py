"""Nodes of ours that say something else than they mean: what a script about a node's own messages has to notice."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from fulmen.adapters.keys.in_process import InProcessKeys
from fulmen.conformance.links import Link, Subject
from fulmen.conformance.own_node import NodeUnderTest
from fulmen.conformance.runner import Outcome, run
from fulmen.conformance.scripts import ALL
from fulmen.core.base.record import Record
from fulmen.core.crypto.hashes import sha256
from fulmen.core.signer.announcing import SignAnnouncement
from fulmen.core.wire import decode, encode
from fulmen.core.wire.messages.gossip import ChannelUpdate

Change = Callable[[Record], Record | list[Record]]
"""What it says instead of a message: another one, or several; the same Record stays as it is on the wire."""


class Forger:
    """A link to a node that says some messages otherwise; with `keys`, it signs its `channel_update`s so."""

    def __init__(self, link: Link, change: Change, keys: InProcessKeys | None = None) -> None:
        self._link = link
        self._change = change
        self._keys = keys
        self._more: deque[bytes] = deque()
        self.send = link.send
        self.close = link.close

    def receive(self, within_s: float) -> bytes | None:
        if self._more:
            return self._more.popleft()
        frame = self._link.receive(within_s)
        if frame is None or (changed := self._change(message := decode(frame))) is message:
            return frame
        self._more.extend(map(self._frame, changed if isinstance(changed, list) else [changed]))
        return self._more.popleft()

    def _frame(self, message: Record) -> bytes:
        if self._keys is not None and isinstance(message, ChannelUpdate):
            signature, _ = self._keys.announce(SignAnnouncement(encode(message)))
            return encode(message.but(signature=signature))
        return encode(message)


def forging(change: Change, *, signs: bool = False, node: NodeUnderTest | None = None) -> Subject:
    """A node of ours that says some messages otherwise, to all its peers."""
    subject = (NodeUnderTest(b"forger") if node is None else node).subject()
    connect = subject.connect
    keys = InProcessKeys(sha256(b"forger")) if signs else None
    subject.connect = lambda secret: Forger(connect(secret), change, keys)
    return subject


def saying(kind: type[Record], **fields: object) -> Change:
    """Messages of a kind with these fields instead; one that can be called makes its own of the old."""

    def change(message: Record) -> Record:
        if not isinstance(message, kind):
            return message
        new = {name: value(getattr(message, name)) if callable(value) else value for name, value in fields.items()}
        return message.but(**new)

    return change


def played(name: str, subject: Subject) -> Outcome:
    """How the script of that name ends, whatever such a node makes of its good twin."""
    script = next(script for script in ALL if script.name == name)
    return run(script.but(good=None), subject, b"wrong")
