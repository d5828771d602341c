"""BOLT 2, "Channel Establishment v1": what may be asked, how the answer has to look, when a channel is ready."""

from fulmen.conformance.script import Script
from fulmen.conformance.scripts.opening.answers import ANSWERS
from fulmen.conformance.scripts.opening.by_the_node import AS_FUNDEE
from fulmen.conformance.scripts.opening.funding import FORGOTTEN, FUNDING
from fulmen.conformance.scripts.opening.offers import REFUSALS

SCRIPTS: tuple[Script, ...] = (*REFUSALS, *ANSWERS, *FUNDING, *AS_FUNDEE, *FORGOTTEN)
