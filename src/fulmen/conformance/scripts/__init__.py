"""The scripts, by the BOLT they hold a node to."""

from fulmen.conformance.script import Script
from fulmen.conformance.scripts.closing import SCRIPTS as CLOSING
from fulmen.conformance.scripts.gossip import SCRIPTS as GOSSIP
from fulmen.conformance.scripts.messaging import SCRIPTS as MESSAGING
from fulmen.conformance.scripts.opening import SCRIPTS as OPENING
from fulmen.conformance.scripts.reconnecting import SCRIPTS as RECONNECTING
from fulmen.conformance.scripts.updates import SCRIPTS as UPDATES

ALL: tuple[Script, ...] = (*MESSAGING, *OPENING, *CLOSING, *UPDATES, *RECONNECTING, *GOSSIP)
"""Every script, in the order of the BOLTs."""
