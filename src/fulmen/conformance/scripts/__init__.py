"""The scripts, by the BOLT they hold a node to."""

from fulmen.conformance.script import Script
from fulmen.conformance.scripts.messaging import SCRIPTS as MESSAGING
from fulmen.conformance.scripts.opening import SCRIPTS as OPENING

ALL: tuple[Script, ...] = (*MESSAGING, *OPENING)
"""Every script, in the order of the BOLTs."""
