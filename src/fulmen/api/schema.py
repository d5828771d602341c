"""JSON schema of every command, made from its request and answer."""

from __future__ import annotations

from typing import Any

import msgspec

from fulmen.api.registry import Command, Registry
from fulmen.api.values import Value

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schema_of(command: Command) -> dict[str, Any]:
    """One command: its permission, help, and the schemas of what it takes and answers."""
    (request, answer), definitions = msgspec.json.schema_components(
        [command.request, command.answer], schema_hook=_value_schema, ref_template="#/$defs/{name}"
    )
    return {
        "command": command.name,
        "group": command.group,
        "permission": command.permission.value,
        "description": command.help,
        "request": request,
        "answer": answer,
        "$defs": definitions,
    }


def schema_of_all(registry: Registry) -> dict[str, Any]:
    """The whole registry."""
    return {"$schema": DIALECT, "commands": {command.name: schema_of(command) for command in registry}}


def _value_schema(kind: type) -> dict[str, Any]:
    if issubclass(kind, Value):
        return dict(kind.schema)
    raise TypeError(f"{kind} has no JSON schema")
