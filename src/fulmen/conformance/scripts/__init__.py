"""The scripts, by the BOLT they hold a node to."""

from fulmen.conformance.script import Script
from fulmen.conformance.scripts.messaging import SCRIPTS as MESSAGING

ALL: tuple[Script, ...] = (*MESSAGING,)
"""Every script, in the order of the BOLTs."""
