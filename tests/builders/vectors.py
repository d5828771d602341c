"""Reading the published values under tests/vectors."""

import csv
import json
import lzma
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent / "vectors"


def vector_json(name: str) -> Any:
    """A JSON file, packed with xz or not, by its path under tests/vectors."""
    path = ROOT / name
    if path.suffix == ".xz":
        return json.loads(lzma.decompress(path.read_bytes()))
    return json.loads(path.read_text(encoding="utf-8"))


def vector_rows(name: str) -> list[dict[str, str]]:
    """A CSV file with a header line, by its path under tests/vectors."""
    with (ROOT / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def wycheproof(name: str) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Every (group, test) of a Wycheproof file."""
    groups = vector_json(f"wycheproof/wycheproof_{name}_test.json.xz")["testGroups"]
    return [(group, test) for group in groups for test in group["tests"]]
