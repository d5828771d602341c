"""What can be wrong with a store, by name. None of it fails a channel: the process stops, or never starts."""

from __future__ import annotations

from fulmen.core.base.faults import Fault


class StoreFault(Fault):
    """The store cannot go on."""


class DiskFull(StoreFault):
    """The disk is full. Nothing of the batch was let go; make room and start again."""


class DiskFailed(StoreFault):
    """The disk could not be written or read. Nothing of the batch was let go."""


class CorruptDatabase(StoreFault):
    """The database is damaged. Restore a copy; do not start from this one."""


class ForeignDatabase(StoreFault):
    """This file is no database of fulmen's, or one of another network or node."""


class NewerDatabase(StoreFault):
    """A newer version of fulmen wrote this database. Run that version, or a newer one."""


class DirectoryInUse(StoreFault):
    """Another daemon runs in this directory."""


class NotStorable(TypeError):
    """A type whose values cannot be stored: a bug of ours, found when the codec meets it first."""
