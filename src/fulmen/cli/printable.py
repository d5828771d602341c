"""Words of strangers on a terminal: an invoice, an alias or a peer's refusal must not move its cursor."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from unicodedata import bidirectional, category

TURNS = frozenset({"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"})
"""What changes the direction of all letters that follow (Unicode TR 9): amounts could be read backwards."""
_SURROGATE = re.compile("[\ud800-\udfff]")


def printable(text: str) -> str:
    """The text with its control characters spelled out, as in `\\x1b`."""
    return "".join(_spelled(letter) if _commands(letter) else letter for letter in text)


def harmless(answer: Any) -> Any:
    """An answer with all its words printable."""
    if isinstance(answer, str):
        return printable(answer)
    if isinstance(answer, Mapping):
        return {name: harmless(value) for name, value in answer.items()}
    if isinstance(answer, list | tuple):
        return [harmless(value) for value in answer]
    return answer


def encodable(answer: Any) -> Any:
    """An answer that UTF-8 can hold. Bytes of a path that are no text come in as lone surrogates."""
    if isinstance(answer, str):
        return _SURROGATE.sub("\N{REPLACEMENT CHARACTER}", answer)
    if isinstance(answer, Mapping):
        return {name: encodable(value) for name, value in answer.items()}
    if isinstance(answer, list | tuple):
        return [encodable(value) for value in answer]
    return answer


def _commands(letter: str) -> bool:
    return category(letter) in ("Cc", "Cs") or bidirectional(letter) in TURNS


def _spelled(letter: str) -> str:
    return letter.encode("unicode_escape").decode()
