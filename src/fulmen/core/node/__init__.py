"""The node: runs machines to rest, makes one batch of what they decided, and resumes them from what was stored.

Pure like the rest of the core: disk, sockets and clocks are the shell's. Architecture: sections 2, 3 and 6.
"""

from fulmen.core.node.batch import (
    Batch,
    ColdRow,
    Ended,
    Freeze,
    Frozen,
    JournalRow,
    MachineFrozen,
    NotAtRest,
    NotMounted,
    Snapshot,
    StoryRow,
    Thaw,
    Thawed,
    WantsChanged,
)
from fulmen.core.node.cold import ColdReader, NothingCold
from fulmen.core.node.delivery import Audit, Limits, Verifier
from fulmen.core.node.gate import Gate, KeyHolder
from fulmen.core.node.node import Node
from fulmen.core.node.storage import Store, Stored

__all__ = [
    "Audit",
    "Batch",
    "ColdReader",
    "ColdRow",
    "Ended",
    "Freeze",
    "Frozen",
    "Gate",
    "JournalRow",
    "KeyHolder",
    "Limits",
    "MachineFrozen",
    "Node",
    "NotAtRest",
    "NotMounted",
    "NothingCold",
    "Snapshot",
    "Store",
    "Stored",
    "StoryRow",
    "Thaw",
    "Thawed",
    "Verifier",
    "WantsChanged",
]
