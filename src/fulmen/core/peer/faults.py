"""What a peer can do wrong before any channel is concerned: each with BOLT 1's own remedy."""

from __future__ import annotations

from typing import Any

from fulmen.core.base.faults import PeerFault, Refused, Remedy


class ConnectionFault(PeerFault):
    """The peer broke a rule of the connection itself: it is told, and the connection ends. No channel fails by it."""

    rule_text = ""

    def __init__(self, **details: Any) -> None:
        super().__init__("", Remedy.WARN_AND_CLOSE, bolt=1, rule=self.rule_text, **details)


class InitNotFirst(ConnectionFault):
    """Something else came before `init`."""

    rule_text = "MUST send `init` as the first Lightning message for any connection."


class InitTwice(ConnectionFault):
    """A second `init`."""

    rule_text = "MUST send `init` as the first Lightning message for any connection."


class UnknownRequiredFeature(ConnectionFault):
    """The peer requires what we do not know."""

    rule_text = "upon receiving unknown _even_ feature bits that are non-zero: MUST close the connection."


class FeatureDependencyMissing(ConnectionFault):
    """The peer sets a feature without one that it needs."""

    rule_text = "if the feature vector does not set all known, transitive dependencies: MUST close the connection."


class NoCommonChain(ConnectionFault):
    """The peer is on other chains only."""

    rule_text = "upon receiving `networks` containing no common chains MAY close the connection."


class UnknownRequiredMessage(ConnectionFault):
    """An unknown message of even type."""

    rule_text = "upon receiving a message of _even_, unknown type: MUST close the connection."


class MessageUnreadable(ConnectionFault):
    """A message that cannot be decoded."""

    rule_text = "upon receiving a known message with insufficient length for the contents: MAY close the connection."


class PongNotAsked(ConnectionFault):
    """A pong of a length that no ping of ours asked for."""

    rule_text = "if `byteslen` does not correspond to any `ping`'s `num_pong_bytes` value it has sent: MAY close"


class PongMissing(ConnectionFault):
    """No pong came in time."""

    rule_text = "if it doesn't receive a corresponding `pong`: MAY close the network connection"


class InitMissing(ConnectionFault):
    """No `init` came in time."""

    rule_text = "MUST send `init` as the first Lightning message for any connection."


class TooManyPings(ConnectionFault):
    """More pings than a live connection needs."""

    rule_text = "Limited precautions are recommended against `ping` flooding"


class TooManyPeers(ConnectionFault):
    """Our places for peers without channels are taken."""


class PeerHasChannels(Refused):
    """There are channels with this peer; disconnect with force, or close them first."""


class NotConnected(Refused):
    """There is no connection to this peer."""


class CouldNotConnect(Refused):
    """None of the peer's addresses led to it."""


class NoAddress(Refused):
    """No address of this node is known."""
