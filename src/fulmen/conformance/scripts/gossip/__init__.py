"""BOLT 7: announcements of channels and nodes, updates, queries, filters, and who is told what when.

Alice tells the node of a channel between her and bob; bob asks it what it knows. So a bad message that costs alice her
connection is still seen to be ignored.
"""

from fulmen.conformance.script import Script
from fulmen.conformance.scripts.gossip.announcements import CHANNELS, NODES
from fulmen.conformance.scripts.gossip.asking import QUERIES, RELAY
from fulmen.conformance.scripts.gossip.own import OWN
from fulmen.conformance.scripts.gossip.updates import UPDATES

SCRIPTS: tuple[Script, ...] = (*OWN, *CHANNELS, *UPDATES, *NODES, *QUERIES, *RELAY)
