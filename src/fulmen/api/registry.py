"""The registry: what each command is called, takes, answers and may do.

A command is an async function of a node and a request; its request and answer types are read off its annotations.
"""

from __future__ import annotations

import enum
import typing
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar, cast

import msgspec

from fulmen.api.errors import UnknownCommand
from fulmen.api.handle import NodeHandle
from fulmen.core.base.record import Record

Handler = TypeVar("Handler", bound=Callable[..., Awaitable[Record]])


class Permission(enum.Enum):
    """What a caller must be allowed to do, least first."""

    READ = "read"
    """Look, and change nothing."""
    INVOICE = "invoice"
    """Ask for money."""
    PAY = "pay"
    """Send money."""
    CHANNELS = "channels"
    """Peers, channels and fees."""
    ADMIN = "admin"
    """The node itself, and what its key signs."""
    DEV = "dev"
    """The embedded chain of a regtest."""


EVERYTHING = frozenset(Permission)


@dataclass(frozen=True)
class Command:
    """One verb."""

    name: str
    permission: Permission
    help: str
    group: str
    request: type[Record]
    answer: type[Record]
    run: Callable[[NodeHandle, Any], Awaitable[Record]]

    @cached_property
    def parameters(self) -> tuple[msgspec.structs.FieldInfo, ...]:
        """What it takes, in order. Reading it off the class costs more than most commands do, so it is done once."""
        return msgspec.structs.fields(cast("type[msgspec.Struct]", self.request))

    @cached_property
    def names(self) -> tuple[str, ...]:
        """What its parameters are called, in order."""
        return tuple(field.encode_name for field in self.parameters)


class Registry:
    """All commands, by name, in the order of their declaration."""

    def __init__(self) -> None:
        self._commands: dict[str, Command] = {}

    def command(self, name: str, *, permission: Permission, help: str, group: str) -> Callable[[Handler], Handler]:
        """Declare a command. `help` is one sentence; the function's docstring may say more."""

        def declare(run: Handler) -> Handler:
            if name in self._commands:
                raise TypeError(f"the command {name} is declared twice")
            hints = typing.get_type_hints(run)
            self._commands[name] = Command(name, permission, help, group, hints["request"], hints["return"], run)
            return run

        return declare

    def get(self, name: str) -> Command:
        """The command of a name.

        Raises:
            UnknownCommand
        """
        try:
            return self._commands[name]
        except KeyError:
            raise UnknownCommand(f"There is no command {name[:60]!r}; `help` lists what there is.") from None

    def __iter__(self) -> Iterator[Command]:
        return iter(self._commands.values())

    def __contains__(self, name: str) -> bool:
        return name in self._commands


REGISTRY = Registry()
command = REGISTRY.command
