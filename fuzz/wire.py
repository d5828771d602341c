"""Messages of the wire, a target for each family: what can be read is written back as it came.

The first two bytes name the message; other numbers than those of the family stand for one of them, so that no input is
lost on messages of other targets.
"""

from __future__ import annotations

import json
import lzma
import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from fulmen.core.base.faults import Malformed
from fulmen.core.wire import decode, encode
from fulmen.core.wire.declare import KINDS
from fulmen.core.wire.features import Features
from fulmen.core.wire.tlv import join_tlvs, split_tlvs
from fuzz.target import Target

ROOT = Path(__file__).parent.parent
SAMPLE = ROOT / "tests" / "vectors" / "wire" / "cln_fuzz_messages.jsonl.xz"
WHOLE = Path(os.environ.get("FULMEN_DATA", ROOT.parent / "shared" / "data"))
WHOLE = WHOLE / "vectors" / "wire" / "cln_fuzz_messages_sample.jsonl.xz"
MAINNET = ROOT / "tests" / "vectors" / "gossip" / "mainnet_2025-06_raw_messages.jsonl.xz"


def families() -> dict[str, list[int]]:
    """The numbers of the messages, by the file that declares them."""
    found: dict[str, list[int]] = {}
    for number in sorted(KINDS):
        found.setdefault(KINDS[number].cls.__module__.rpartition(".")[2], []).append(number)
    return found


def frames() -> Iterator[bytes]:
    """Messages that others have made."""
    for corpus in (SAMPLE, WHOLE, MAINNET):
        if corpus.exists():
            for row in lzma.decompress(corpus.read_bytes()).decode().splitlines():
                yield bytes.fromhex(json.loads(row)["hex"])


def targets() -> Iterator[Target]:
    """One for each family, and one for what stands in many messages."""
    for family, numbers in families().items():
        yield Target(f"wire_{family}", partial(_message, numbers), partial(_seeds, numbers))
    yield Target("tlv", _tlv, lambda: [b"", b"\1\1\0", b"\xfd\1\0\0"])


def _message(numbers: list[int], data: bytes) -> None:
    number = int.from_bytes(data[:2], "big")
    if number not in numbers:
        number = numbers[number % len(numbers)]
    frame = number.to_bytes(2, "big") + data[2:]
    try:
        message = decode(frame)
    except Malformed as fault:
        assert fault.details["message"] == KINDS[number].name
        return
    assert encode(message) == frame


def _seeds(numbers: list[int]) -> Iterator[bytes]:
    for frame in frames():
        if int.from_bytes(frame[:2], "big") in numbers:
            yield frame
    for number in numbers:
        yield number.to_bytes(2, "big") + bytes(200)


def _tlv(data: bytes) -> None:
    try:
        records = split_tlvs(data)
    except Malformed:
        return
    assert join_tlvs((kind, data[begin:end]) for kind, begin, end in records) == data
    for _, begin, end in records:
        features = Features.from_bytes(data[begin:end])
        assert Features.from_bytes(features.to_bytes()) == features
        features.names()
        features.missing_dependencies()
