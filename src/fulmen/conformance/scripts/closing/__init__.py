"""BOLT 2, "Channel Close": `shutdown`, and the legacy negotiation of the fee."""

from fulmen.conformance.script import Script
from fulmen.conformance.scripts.closing.fees import FEES
from fulmen.conformance.scripts.closing.shutdowns import SHUTDOWNS

SCRIPTS: tuple[Script, ...] = (*SHUTDOWNS, *FEES)
