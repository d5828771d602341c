"""The durable store: SQLite through apsw, one writer thread, journal, snapshots, cold rows and story.

Architecture, section 3. `core.node.storage.Store` says what a store promises.
"""

from fulmen.adapters.store.codec import Codec
from fulmen.adapters.store.faults import (
    CorruptDatabase,
    DirectoryInUse,
    DiskFailed,
    DiskFull,
    ForeignDatabase,
    NewerDatabase,
    NotStorable,
    StoreFault,
)
from fulmen.adapters.store.lock import DirectoryLock
from fulmen.adapters.store.reader import ColdPage, Reader, StoryLine
from fulmen.adapters.store.sqlite import SqliteStore

__all__ = [
    "Codec",
    "ColdPage",
    "CorruptDatabase",
    "DirectoryInUse",
    "DirectoryLock",
    "DiskFailed",
    "DiskFull",
    "ForeignDatabase",
    "NewerDatabase",
    "NotStorable",
    "Reader",
    "SqliteStore",
    "StoreFault",
    "StoryLine",
]
