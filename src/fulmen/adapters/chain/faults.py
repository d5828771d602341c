"""What can be wrong with a chain source."""

from __future__ import annotations

from fulmen.core.base.faults import Fault, Refused


class ChainSourceFault(Fault):
    """The chain source did not give what it was asked for; asking again later may help."""


class SourceUnreachable(ChainSourceFault):
    """No connection to the chain source, or it went away in the middle of an answer."""


class SourceTimedOut(ChainSourceFault):
    """The chain source did not answer in time."""


class SourceUnauthorized(ChainSourceFault):
    """The chain source does not accept our user and password or cookie."""


class SourceUntrusted(ChainSourceFault):
    """The chain source shows a certificate that is not the one we were given, and that nobody we trust has signed."""


class SourceGarbage(ChainSourceFault):
    """The chain source answered with something that is no answer to the question."""


class SourceLied(ChainSourceFault):
    """The chain source answered with what cannot be true: a block that is not the one asked for, or without work."""


class BlockUnreadable(ChainSourceFault):
    """Miners took a block that holds what our parser refuses: what it hides is known by its txid alone."""


class SourceWarmingUp(ChainSourceFault):
    """The chain source is still starting."""


class AnotherChain(ChainSourceFault):
    """The chain source has none of the blocks that we have read: it is not the chain that our coins are on."""


class SourceRefused(ChainSourceFault):
    """The chain source answered with an error of its own: its number and its words."""

    def __init__(self, code: int, words: str) -> None:
        super().__init__(words, code=code)
        self.code = code
        self.words = words


class WrongNetwork(Refused):
    """The chain source is on another chain than this node."""
