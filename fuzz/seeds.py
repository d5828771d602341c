"""Inputs to begin with: texts and bytes that stand in the published vectors."""

from __future__ import annotations

import json
import lzma
from collections.abc import Iterator
from pathlib import Path
from typing import Any

VECTORS = Path(__file__).parent.parent / "tests" / "vectors"


def texts_in(name: str) -> Iterator[str]:
    """All texts of a JSON file, by its path under tests/vectors."""
    raw = (VECTORS / name).read_bytes()
    yield from _texts(json.loads(lzma.decompress(raw) if name.endswith(".xz") else raw))


def bytes_in(name: str) -> Iterator[bytes]:
    """All texts of a JSON file that are hex."""
    for text in texts_in(name):
        try:
            yield bytes.fromhex(text)
        except ValueError:
            continue


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _texts(inner)
