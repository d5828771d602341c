"""What the declaration of a parameter says: its plain type, its note, its choices, and why a value does not fit."""

from __future__ import annotations

import re
import types
import typing
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import msgspec


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


def why_not(wrong: Exception, annotation: Any) -> str:
    """Why a value is none for a parameter, in words for whoever wrote it."""
    said = str(wrong)
    if not isinstance(wrong, msgspec.ValidationError):
        return said
    if choices := choices_of(annotation):
        return f"it must be {' or '.join(choices)}"
    for pattern, words in _WORDS:
        if (matched := re.match(pattern, said)) is not None:
            return words.format(*matched.groups())
    return said


_WORDS = (
    (r"Expected `(?:int|float)` <= (\S+)", "it must be at most {0}"),
    (r"Expected `(?:int|float)` >= (\S+)", "it must be at least {0}"),
    (r"Expected `str` of length <= (\d+)", "it may have at most {0} characters"),
    (r"Expected `str` of length >= 1\b", "it must not be empty"),
    (r"Expected `int", "it must be a whole number"),
    (r"Expected `float", "it must be a number"),
    (r"Expected `bool", "it must be true or false"),
    (r"Expected `str", "it must be a text"),
)
"""What msgspec says of the types that parameters have, and what we say."""
