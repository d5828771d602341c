"""Faults: whose they are and what they ask for.

`PeerFault`: the peer broke a rule. `Refused`: our own caller asked for what cannot be now.
`InvariantBroken`: we were wrong; the machine holds still until someone looks (law 8).
`Malformed`: bytes or text that cannot be read; whoever knows where they came from turns it into one of the others.
A failed HTLC is no fault but a value on its way back.
"""

from __future__ import annotations

import enum
from typing import Any


class Remedy(enum.Enum):
    """What BOLT 1 and 2 let us do about a peer that broke a rule, mildest first."""

    IGNORE = "ignore the message"
    WARN = "send a warning"
    WARN_AND_CLOSE = "send a warning and close the connection"
    CLOSE_CONNECTION = "close the connection"
    FAIL_CHANNEL = "send an error and fail the channel"


class Fault(Exception):
    """Something is wrong, with a name (the class) and details that help.

    The details are public: no secret may stand in them.
    """

    def __init__(self, message: str = "", **details: Any) -> None:
        self.message = message or in_words(type(self).__name__)
        self.details = details
        super().__init__(self.message)

    @property
    def name(self) -> str:
        """The fault's stable name, as logs and answers show it."""
        return type(self).__name__

    def __str__(self) -> str:
        if not self.details:
            return self.message
        shown = ", ".join(f"{key}={_shown(value)}" for key, value in self.details.items())
        return f"{self.message} ({shown})"


class Malformed(Fault):
    """Bytes or text that break the rules of their form."""


class PeerFault(Fault):
    """The peer broke a rule of the BOLTs."""

    def __init__(self, message: str, remedy: Remedy, *, bolt: int = 0, rule: str = "", **details: Any) -> None:
        super().__init__(message, **details)
        self.remedy = remedy
        self.bolt = bolt
        self.rule = rule


class Refused(Fault):
    """Our own caller asked for what cannot be now; nothing was changed."""


class InvariantBroken(Fault):
    """We were wrong. The machine freezes by a durable fact and tells the operator."""


def in_words(class_name: str) -> str:
    """A class's name in words: what a fault says that was given no message."""
    words = "".join(f" {letter.lower()}" if letter.isupper() else letter for letter in class_name)
    return words.strip()


def _shown(value: Any) -> str:
    return value.hex() if isinstance(value, bytes) else str(value)
