"""Record: the frozen, typed value that crosses every border of the house."""

from __future__ import annotations

from typing import Any, Self

import msgspec


class Record(msgspec.Struct, frozen=True):
    """A frozen value, equal by content. Change is a new value."""

    def but(self, **changes: Any) -> Self:
        """The same record with some fields replaced."""
        return msgspec.structs.replace(self, **changes)
