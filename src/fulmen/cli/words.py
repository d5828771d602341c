"""From words on a command line to parameters of a command."""

from __future__ import annotations

from typing import Any

import msgspec

from fulmen.api.declared import bare, why_not
from fulmen.api.errors import BadParameter
from fulmen.api.registry import Command
from fulmen.api.values import Amount, AmountOrAny, parse_amount


def value_of(command: Command, name: str, annotation: Any, word: str) -> Any:
    """The JSON value that a word stands for. On a command line an amount without a unit is in satoshi.

    Raises:
        BadParameter
    """
    wanted = bare(annotation)
    if not _is_text(word):
        raise BadParameter(f"The parameter {name!r} of {command.name} is no UTF-8 text.", parameter=name)
    try:
        if wanted in (bool, int, float):
            return msgspec.convert(word.lower(), wanted, strict=False)
        if wanted is Amount or (wanted is AmountOrAny and word != "any"):
            return parse_amount(word, default_unit="sat")
    except (msgspec.ValidationError, ValueError) as wrong:
        why = why_not(wrong, annotation)
        raise BadParameter(f"The parameter {name!r} of {command.name} is wrong: {why}.", parameter=name) from None
    return word


def params_of(command: Command, words: list[str], options: dict[str, str | bool]) -> dict[str, Any]:
    """Parameters by name, from words in order and from options.

    Raises:
        BadParameter: too many words, or one parameter said twice.
    """
    fields = command.parameters
    if len(words) > len(fields):
        names = " ".join(field.encode_name.upper() for field in fields)
        raise BadParameter(
            f"`{command.name}` takes at most {len(fields)} words ({names}), and {len(words)} were given."
        )
    said: dict[str, Any] = {}
    for field, word in zip(fields, words, strict=False):
        said[field.encode_name] = value_of(command, field.encode_name, field.type, word)
    for field in fields:
        option = options.get(field.name)
        if option is None:
            continue
        if field.encode_name in said:
            raise BadParameter(f"{field.encode_name!r} was said twice.", parameter=field.encode_name)
        said[field.encode_name] = (
            option if isinstance(option, bool) else value_of(command, field.encode_name, field.type, option)
        )
    return said


def _is_text(word: str) -> bool:
    """Bytes of a command line that are no UTF-8 come in as lone surrogates."""
    return not any("\ud800" <= letter <= "\udfff" for letter in word)
