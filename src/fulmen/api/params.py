"""Parameters: from what a caller wrote, in order or by name, to a request Record, or one clear sentence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from fulmen.api.declared import description_of, why_not
from fulmen.api.errors import BadParameter
from fulmen.api.registry import Command
from fulmen.api.values import Value
from fulmen.core.base.record import Record


def read_params(command: Command, params: object) -> Record:
    """The request that `params` asks for: a list in the order of the fields, an object by their names, or nothing.

    A null stands for a parameter left out, as Core Lightning's clients send it.

    Raises:
        BadParameter: which one, and why.
    """
    names = command.names
    if params is None:
        params = {}
    if isinstance(params, list | tuple):
        if len(params) > len(names):
            raise BadParameter(f"`{command.name}` takes at most {len(names)} parameters: {', '.join(names) or 'none'}.")
        params = dict(zip(names, params, strict=False))
    if not isinstance(params, Mapping):
        raise BadParameter("params must be a list or an object.")
    given = {name: value for name, value in params.items() if value is not None}
    for name in given:
        if name not in names:
            raise BadParameter(
                f"`{command.name}` knows no parameter {str(name)[:60]!r}; it takes {', '.join(names) or 'none'}."
            )
    for field in command.parameters:
        if field.required and field.encode_name not in given:
            note = f": {said}" if (said := description_of(field.type)) else ""
            raise BadParameter(f"`{command.name}` needs {field.encode_name!r}{note}.", parameter=field.encode_name)
    return _converted(command, given)


def _converted(command: Command, given: dict[str, Any]) -> Record:
    values = {}
    for field in command.parameters:
        if field.encode_name not in given:
            continue
        try:
            value = msgspec.convert(given[field.encode_name], field.type, dec_hook=_read_value)
            values[field.name] = value.plain() if isinstance(value, Value) else value
        except (msgspec.ValidationError, ValueError) as wrong:
            why = why_not(wrong, field.type)
            raise BadParameter(
                f"The parameter {field.encode_name!r} of {command.name} is wrong: {why}.", parameter=field.encode_name
            ) from None
    return command.request(**values)


def _read_value(wanted: type, value: object) -> object:
    if issubclass(wanted, Value):
        return wanted.from_json(value)
    raise TypeError(f"{wanted} is no type of a parameter")
