"""Why a peer does not keep to a script: what it does instead, in a sentence. Seen on the wire, and in its source.

What is not listed here and not kept either is something to look into: a change of the peer's, or a fault of ours.
"""

from __future__ import annotations

from fulmen.conformance.script import Script

LND: dict[str, tuple[str, ...]] = {}
"""A reason, and the names of the scripts that fail for it."""

LDK: dict[str, tuple[str, ...]] = {}

DEVIATIONS = {"lnd": LND, "ldk": LDK}


def reason_of(key: str, script: Script) -> str:
    """Why this peer does not keep to this script; empty when nobody knows, or when it does."""
    return next((reason for reason, names in DEVIATIONS[key].items() if script.name in names), "")
