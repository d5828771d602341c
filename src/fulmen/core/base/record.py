"""Record: the frozen, typed value that crosses every border of the house."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Self, dataclass_transform

import msgspec

if TYPE_CHECKING:
    # Type checkers do not see that msgspec lets `frozen` be inherited; this says so.
    @dataclass_transform(frozen_default=True, field_specifiers=(msgspec.field,))
    class _Frozen:
        def __init_subclass__(
            cls,
            *,
            frozen: bool = True,
            order: bool = False,
            tag: bool | str | int | None = None,
            kw_only: bool = False,
            dict: bool = False,
            omit_defaults: bool = False,
        ) -> None: ...

    class Record(_Frozen):
        """A frozen value, equal by content. Change is a new value."""

        __struct_fields__: ClassVar[tuple[str, ...]]

        def but(self, **changes: Any) -> Self: ...

else:

    class Record(msgspec.Struct, frozen=True):
        """A frozen value, equal by content. Change is a new value."""

        def but(self, **changes):
            """The same record with some fields replaced."""
            return msgspec.structs.replace(self, **changes)
