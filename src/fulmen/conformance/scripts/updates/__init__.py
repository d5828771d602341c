"""BOLT 2, "Normal Operation": adding and removing HTLCs, forwarding them, signing, revoking, and the feerate."""

from fulmen.conformance.script import Script
from fulmen.conformance.scripts.updates.adds import ADDS
from fulmen.conformance.scripts.updates.dance import DANCE
from fulmen.conformance.scripts.updates.fees import FEES
from fulmen.conformance.scripts.updates.passing_on import DEADLINES, FORWARDS, PIPELINE, ROOM
from fulmen.conformance.scripts.updates.removals import REMOVALS

SCRIPTS: tuple[Script, ...] = (*ADDS, *PIPELINE, *ROOM, *DEADLINES, *REMOVALS, *DANCE, *FEES, *FORWARDS)
"""Every way of the normal operation."""
