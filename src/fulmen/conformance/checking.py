"""Holding what the node said to what a step expects."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fulmen.conformance import script
from fulmen.conformance.defaults.values import resolve
from fulmen.conformance.peer import FakePeer
from fulmen.core.base.record import Record
from fulmen.core.channel.scripts import is_shutdown_script
from fulmen.core.wire.features import OPTION_SHUTDOWN_ANYSEGWIT, Features


def why_not(peer: FakePeer, message: Record, fields: Mapping[str, Any]) -> str:
    """The first field that is not as expected, in words; empty when all are."""
    for name, expected in fields.items():
        value = getattr(message, name)
        if not _holds(peer, value, expected):
            return f"{name} is {shown(value)}, expected {described(peer, expected)}"
    return ""


def _holds(peer: FakePeer, value: Any, expected: Any) -> bool:
    match expected:
        case script.AtLeast():
            return bool(value >= resolve(peer, expected.number))
        case script.AtMost():
            return bool(value <= resolve(peer, expected.number))
        case script.Between():
            return bool(expected.least <= value <= expected.most)
        case script.HasBit():
            return value is not None and Features.from_bytes(value).has(expected.bit)
        case script.Lacks():
            mask = value if isinstance(value, int) else int.from_bytes(value or b"", "big")
            return not any(mask >> bit & 1 for bit in expected.bits)
        case script.Length():
            return value is not None and len(value) == expected.count
        case script.OneOf():
            return any(_holds(peer, value, each) for each in expected.values)
        case script.AllOf():
            return all(_holds(peer, value, each) for each in expected.conditions)
        case script.Contains():
            return value is not None and resolve(peer, expected.element) in value
        case script.Not():
            return not _holds(peer, value, expected.value)
        case script.Present():
            return value is not None
        case script.ShutdownScript():
            anysegwit = peer.node_features.supports(OPTION_SHUTDOWN_ANYSEGWIT)
            return value is not None and is_shutdown_script(value, anysegwit=anysegwit)
        case script.AgreedScript():
            return not (agreed := _agreed(peer, expected)) or bool(value == agreed)
    return bool(value == resolve(peer, expected))


def _agreed(peer: FakePeer, expected: script.AgreedScript) -> bytes:
    return peer.told[expected.message].upfront_shutdown_script or b""


def described(peer: FakePeer, expected: Any) -> str:
    """A condition, for people."""
    match expected:
        case script.AtLeast():
            return f"at least {shown(resolve(peer, expected.number))}"
        case script.AtMost():
            return f"at most {shown(resolve(peer, expected.number))}"
        case script.Between():
            return f"between {expected.least} and {expected.most}"
        case script.HasBit():
            return f"bit {expected.bit} set"
        case script.Lacks():
            return f"none of the bits {', '.join(map(str, expected.bits))}"
        case script.Length():
            return f"{expected.count} bytes"
        case script.OneOf():
            return " or ".join(described(peer, each) for each in expected.values)
        case script.AllOf():
            return " and ".join(described(peer, each) for each in expected.conditions)
        case script.Contains():
            return f"{shown(resolve(peer, expected.element))} among them"
        case script.Not():
            return f"anything but {described(peer, expected.value)}"
        case script.Present():
            return "it to be there"
        case script.ShutdownScript():
            return "a script of an allowed form"
        case script.AgreedScript():
            return f"{shown(_agreed(peer, expected))}, as its {expected.message} has it"
    return shown(resolve(peer, expected))


MAX_SHOWN = 40


def shown(value: Any) -> str:
    """A field, for people: short, and bytes in hex."""
    if isinstance(value, bytes):
        text = value.hex()
        return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}… ({len(value)} bytes)"
    if isinstance(value, tuple):
        return f"({', '.join(shown(each) for each in value[:4])}{', …' if len(value) > 4 else ''})"
    return str(value)
