"""From words on a command line to parameters of a command."""

from __future__ import annotations

import types
import typing
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import msgspec

from fulmen.api.errors import BadParameter
from fulmen.api.registry import Command
from fulmen.api.values import Amount, AmountOrAny, parse_amount


def bare(annotation: Any) -> Any:
    """A parameter's type without its notes and without None."""
    if get_origin(annotation) is Annotated:
        return bare(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        return bare(next(arm for arm in get_args(annotation) if arm is not type(None)))
    return annotation


def description_of(annotation: Any) -> str:
    """What a parameter's note says about it."""
    if get_origin(annotation) is not Annotated:
        return ""
    notes = [note.description for note in annotation.__metadata__ if getattr(note, "description", None)]
    return str(notes[0]) if notes else ""


def choices_of(annotation: Any) -> tuple[str, ...]:
    """The words that a parameter may be, if they are few."""
    inner = bare(annotation)
    return typing.cast("tuple[str, ...]", get_args(inner)) if get_origin(inner) is Literal else ()


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
        raise BadParameter(f"The parameter {name!r} of {command.name} is wrong: {wrong}.", parameter=name) from None
    return word


def params_of(command: Command, words: list[str], options: dict[str, str | bool]) -> dict[str, Any]:
    """Parameters by name, from words in order and from options.

    Raises:
        BadParameter: too many words, or one parameter said twice.
    """
    fields = command.parameters
    if len(words) > len(fields):
        names = " ".join(field.encode_name for field in fields) or "nothing"
        raise BadParameter(f"{command.name} takes {names}, and {len(words)} words were given.")
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
