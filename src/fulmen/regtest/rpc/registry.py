"""The calls: their names, their parameters, and how a caller's values are read.

Numbers and words of errors are Bitcoin Core's (rpc/protocol.h, rpc/util.cpp).
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from fulmen.core.base.faults import Refused
from fulmen.core.base.units import MAX_MONEY_SAT, Sat
from fulmen.regtest.node import RegtestNode

JsonValue = Any


SAT_PER_BTC = 100_000_000


class Code(enum.IntEnum):
    """Bitcoin Core's error numbers."""

    INVALID_REQUEST = -32600
    METHOD_NOT_FOUND = -32601
    INTERNAL_ERROR = -32603
    PARSE_ERROR = -32700
    MISC_ERROR = -1
    TYPE_ERROR = -3
    INVALID_ADDRESS_OR_KEY = -5
    INSUFFICIENT_FUNDS = -6
    INVALID_PARAMETER = -8
    DESERIALIZATION_ERROR = -22
    VERIFY_ERROR = -25
    VERIFY_REJECTED = -26
    VERIFY_ALREADY_IN_UTXO_SET = -27


class RpcRefused(Refused):
    """A call is answered with an error: a number and Core's words."""

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Call:
    """One method."""

    name: str
    parameters: tuple[str, ...]
    types: tuple[str, ...]
    """What each parameter must be ("string", "number", "bool", "array", "object"); "any" is looked at by the call."""
    required: int
    run: Callable[[RegtestNode, Arguments], JsonValue]
    help: str

    @property
    def usage(self) -> str:
        """How it is called."""
        shown = [name if at < self.required else f"( {name} )" for at, name in enumerate(self.parameters)]
        return " ".join([self.name, *shown])


CALLS: dict[str, Call] = {}

_Run = Callable[[RegtestNode, "Arguments"], JsonValue]


def call(name: str, *parameters: str, required: int | None = None) -> Callable[[_Run], _Run]:
    """Declare a method, its parameters as "name: type" or "name". Without `required`, all of them are."""
    split = [parameter.partition(": ") for parameter in parameters]
    names, types = tuple([first for first, _, _ in split]), tuple([last or "any" for _, _, last in split])

    def declare(run: _Run) -> _Run:
        need = len(parameters) if required is None else required
        CALLS[name] = Call(name, names, types, need, run, (run.__doc__ or "").strip())
        return run

    return declare


class Arguments:
    """The values a caller gave, read with the types that a call expects."""

    def __init__(self, declared: Call, values: Sequence[JsonValue]) -> None:
        self._names = declared.parameters
        self._values = list(values) + [None] * (len(declared.parameters) - len(values))
        wrong = {
            f"Position {at + 1} ({declared.parameters[at]})": _not_expected(value, declared.types[at])
            for at, value in enumerate(self._values)
            if not (value is None and at >= declared.required) and declared.types[at] not in ("any", kind_of(value))
        }
        if wrong:
            lines = ",\n".join(f'    "{place}": "{why}"' for place, why in wrong.items())
            raise RpcRefused(Code.TYPE_ERROR, f"Wrong type passed:\n{{\n{lines}\n}}")

    def raw(self, at: int) -> JsonValue:
        """The value as it came; None when it was left out."""
        return self._values[at]

    def whole(self, at: int, default: int = 0, low: int = -(2**31), high: int = 2**31 - 1) -> int:
        """A whole number."""
        value = self._values[at]
        if value is None:
            return default
        if kind_of(value) != "number":
            raise RpcRefused(Code.TYPE_ERROR, _not_expected(value, "number"))
        widest = 1 << (63 if high >= 1 << 31 else 31)
        if not isinstance(value, int) or not -widest <= value < widest:
            raise RpcRefused(Code.MISC_ERROR, "JSON integer out of range")
        if not low <= value <= high:
            raise RpcRefused(Code.INVALID_PARAMETER, f"{self._names[at]} is out of range")
        return value

    def unsigned(self, at: int) -> int:
        """A number that fits 32 bits without a sign."""
        value = self.whole(at, high=2**32 - 1)
        if value < 0:
            raise RpcRefused(Code.MISC_ERROR, "JSON integer out of range")
        return value

    def flag(self, at: int, default: bool) -> bool:
        """A truth value."""
        value = self._values[at]
        if value is None:
            return default
        if not isinstance(value, bool):
            raise RpcRefused(Code.TYPE_ERROR, _not_expected(value, "bool"))
        return value

    def text(self, at: int, default: str = "") -> str:
        """A string."""
        value = self._values[at]
        if value is None:
            return default
        if not isinstance(value, str):
            raise RpcRefused(Code.TYPE_ERROR, _not_expected(value, "string"))
        return value

    def verbosity(self, at: int, default: int) -> int:
        """A number, or the truth value that older versions took."""
        value = self._values[at]
        return int(value) if isinstance(value, bool) else self.whole(at, default)

    def hash(self, at: int) -> bytes:
        """A hash as explorers print it, given back in internal byte order."""
        return hash_of(self.text(at), self._names[at])

    def items(self, at: int, most: int) -> list[JsonValue]:
        """An array of at most so many things."""
        value = self._values[at]
        if not isinstance(value, list):
            raise RpcRefused(Code.TYPE_ERROR, _not_expected(value, "array"))
        if len(value) > most:
            raise RpcRefused(Code.INVALID_PARAMETER, f"{self._names[at]} has more than {most} entries")
        return value

    def amount(self, at: int, default: Sat) -> Sat:
        """Bitcoins, as satoshis."""
        value = self._values[at]
        return default if value is None else amount_of(value)

    def feerate(self, at: int, default: Sat) -> Sat:
        """Bitcoins per 1000 virtual bytes, as satoshis; none that is surely a mistake."""
        given = self.amount(at, default)
        if given >= SAT_PER_BTC:
            raise RpcRefused(Code.INVALID_PARAMETER, "Fee rates larger than or equal to 1BTC/kvB are not accepted")
        return given


def check_fields(value: JsonValue, expected: dict[str, str], *, all_of_them: bool) -> dict[str, JsonValue]:
    """An object with fields of these types, and no others.

    Raises:
        RpcRefused: it is none.
    """
    if not isinstance(value, dict):
        raise RpcRefused(Code.TYPE_ERROR, _not_expected(value, "object"))
    for name, kind in sorted(expected.items()):
        given = value.get(name)
        if given is None and all_of_them:
            raise RpcRefused(Code.TYPE_ERROR, f"Missing {name}")
        if given is not None and kind_of(given) != kind:
            raise RpcRefused(
                Code.TYPE_ERROR,
                f"JSON value of type {kind_of(given)} for field {name} is not of expected type {kind}",
            )
    for name in value:
        if name not in expected:
            raise RpcRefused(Code.TYPE_ERROR, f"Unexpected key {name[:80]}")
    return value


def kind_of(value: JsonValue) -> str:
    """What Core calls a JSON type."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, str):
        return "string"
    if isinstance(value, list):
        return "array"
    return "object" if isinstance(value, dict) else "number"


def _not_expected(value: JsonValue, expected: str) -> str:
    return f"JSON value of type {kind_of(value)} is not of expected type {expected}"


def hash_of(text: str, name: str) -> bytes:
    """32 bytes from 64 hex digits, reversed."""
    if len(text) != 64:
        raise RpcRefused(Code.INVALID_PARAMETER, f"{name} must be of length 64 (not {len(text)}, for '{text[:80]}')")
    return hex_of(text, name)[::-1]


def hex_of(text: JsonValue, name: str) -> bytes:
    """Bytes from hex digits, without spaces."""
    if isinstance(text, str) and text.isascii() and text.isalnum():
        try:
            return bytes.fromhex(text)
        except ValueError:
            pass
    shown = text[:80] if isinstance(text, str) else kind_of(text)
    raise RpcRefused(Code.INVALID_PARAMETER, f"{name} must be hexadecimal string (not '{shown}')")


def amount_of(value: JsonValue) -> Sat:
    """Satoshis from bitcoins, a number or a string."""
    if isinstance(value, bool) or not isinstance(value, (int, str, Decimal)):
        raise RpcRefused(Code.TYPE_ERROR, "Amount is not a number or string")
    try:
        satoshis = Decimal(value) * SAT_PER_BTC
        whole = int(satoshis)
    except (InvalidOperation, ValueError, OverflowError):
        raise RpcRefused(Code.TYPE_ERROR, "Invalid amount") from None
    if whole != satoshis:
        raise RpcRefused(Code.TYPE_ERROR, "Invalid amount")
    if not 0 <= whole <= MAX_MONEY_SAT:
        raise RpcRefused(Code.TYPE_ERROR, "Amount out of range")
    return Sat(whole)
