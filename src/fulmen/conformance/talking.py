"""What passes between a fake peer and the node: connections, messages as a script wants them, and a line of each."""

from __future__ import annotations

import time

from fulmen.conformance.channel import NodeIsWrong
from fulmen.conformance.checking import shown
from fulmen.conformance.defaults.compose import compose
from fulmen.conformance.links import LinkClosed, Subject
from fulmen.conformance.peer import Cast, FakePeer
from fulmen.conformance.script import (
    Connect,
    Disconnect,
    Script,
    Send,
    SendBroken,
    SendRaw,
)
from fulmen.conformance.signed import check_signed
from fulmen.core.base.faults import Malformed
from fulmen.core.base.record import Record
from fulmen.core.gossip.encodings import encode_scids
from fulmen.core.peer.delivery import printable
from fulmen.core.wire import UnknownMessage, decode, encode, name_of, type_of
from fulmen.core.wire.messages.gossip import (
    QueryChannelRange,
    QueryShortChannelIds,
    ReplyChannelRange,
    ReplyShortChannelIdsEnd,
)
from fulmen.core.wire.messages.setup import ErrorMessage, Ping, Pong, WarningMessage

GOSSIP = range(256, 266)
PARTING_S = 0.3
POLL_S = 1.0
"""Between two looks at what nobody tells of."""


class Line(Record):
    """One line of a trace."""

    peer: str
    arrow: str
    """`→` to the node, `←` from it, `·` for what happened beside the wire."""
    text: str


class ScriptFailed(Exception):
    """The node did not do what a step expects."""


class TookTooLong(Exception):
    """The time of the script is up."""


class Talk:
    """All connections of one script being played."""

    def __init__(self, script: Script, subject: Subject, cast: Cast, end: float) -> None:
        self._script = script
        self._subject = subject
        self._cast = cast
        self._end = end
        self.trace: list[Line] = []

    # ---- saying ------------------------------------------------------------------------------------------------------

    def connect(self, peer: FakePeer, _step: Connect) -> None:
        """Connect and shake hands."""
        peer.link = self._subject.connect(peer.secret)
        self._note(peer, "·", f"connects as {peer.node_id.hex()}")

    def disconnect(self, peer: FakePeer, _step: Disconnect) -> None:
        """Hang up, and let the node see it: some drop whoever comes again while they think he is there."""
        peer.parted()
        self._subject.wait(PARTING_S)
        self._note(peer, "·", "hangs up")

    def send(self, peer: FakePeer, step: Send) -> None:
        """Send a message."""
        message = compose(peer, step.message, step.fields)
        self._send(peer, encode(message), line_of(message))
        peer.sent(message)

    def send_raw(self, peer: FakePeer, step: SendRaw) -> None:
        """Send bytes."""
        self._send(peer, step.frame, f"raw {shown(step.frame)}")

    def send_broken(self, peer: FakePeer, step: SendBroken) -> None:
        """Send a message that is too short or too long."""
        frame = encode(compose(peer, step.message, step.fields))
        frame = frame[: len(frame) - step.cut] + step.added
        self._send(peer, frame, f"{step.message}, {step.cut} bytes cut, {step.added.hex() or 'nothing'} added")

    def _send(self, peer: FakePeer, frame: bytes, text: str) -> None:
        self._note(peer, "→", text)
        if peer.link is not None:
            peer.link.send(frame)

    # ---- hearing -----------------------------------------------------------------------------------------------------

    def _message(self, peer: FakePeer, within_s: float, *, gossip: bool = False) -> Record:
        message = self._message_or_none(peer, within_s, gossip=gossip)
        if message is None:
            raise ScriptFailed(f"nothing came within {within_s:g} s")
        return message

    def _message_or_none(self, peer: FakePeer, within_s: float, *, gossip: bool = False) -> Record | None:
        """The next message that matters, before so many seconds have passed."""
        deadline = self._subject.now() + within_s
        while True:
            if peer.link is None:
                raise LinkClosed("the connection is closed")
            try:
                left = min(deadline - self._subject.now(), self._end - time.monotonic())
                frame = peer.link.receive(max(0.0, left))
            except LinkClosed as closed:
                self._note(peer, "·", str(closed))
                raise
            if frame is None:
                self._in_time()
                return None
            try:
                message = decode(frame)
            except Malformed as fault:
                self._note(peer, "←", f"unreadable {shown(frame)}")
                raise NodeIsWrong(f"a message that cannot be read: {fault}") from fault
            self._note(peer, "←", line_of(message))
            if isinstance(message, Ping):
                self._send(peer, encode(Pong(bytes(message.num_pong_bytes))), "pong")
            elif isinstance(message, UnknownMessage) and not message.must_be_understood:
                continue
            elif (answer := _nothing_known(message)) is not None:
                self._send(peer, encode(answer), line_of(answer))
            elif type_of(message) in GOSSIP and not gossip:
                # Kept, for what comes later may speak of it.
                self._heard(peer, message)
            else:
                return message

    def _heard(self, peer: FakePeer, message: Record) -> None:
        """A message for the peer's books, if its signatures hold."""
        check_signed(peer, message)
        peer.heard(message)

    def _in_time(self) -> None:
        if time.monotonic() > self._end:
            raise TookTooLong

    def _note(self, peer: FakePeer, arrow: str, text: str) -> None:
        self.trace.append(Line(peer.name, arrow, text))


def _nothing_known(message: Record) -> Record | None:
    """The answer to a query of the node's: all that it asks for, of which a fake peer has nothing. BOLT 7.

    Some pass nothing on before a peer has told them what it knows.
    """
    match message:
        case QueryChannelRange():
            blocks = message.first_blocknum, message.number_of_blocks
            return ReplyChannelRange(message.chain_hash, *blocks, 1, encode_scids([]))
        case QueryShortChannelIds():
            return ReplyShortChannelIdsEnd(message.chain_hash, 1)
    return None


def line_of(message: Record) -> str:
    """A message for a trace."""
    if isinstance(message, (ErrorMessage, WarningMessage)):
        return f"{name_of(message)} “{printable(message.data)}”"
    fields = ", ".join(
        f"{name}={shown(value)}"
        for name in message.__struct_fields__
        if (value := getattr(message, name)) not in (None, (), b"") and name not in ("channel_id", "chain_hash")
    )
    return f"{name_of(message)} {fields}".strip()
