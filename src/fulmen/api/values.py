"""Values as callers write them: amounts, ids, hex. Each knows its JSON form and refuses others by name.

In JSON an integer has the unit that its field names (`amount_msat`: millisatoshi). A text may carry its own unit:
`100msat`, `1sat`, `5k` (thousand satoshi), `0.1m` (million satoshi), `0.001btc`.
"""

from __future__ import annotations

import abc
import re
from decimal import Decimal
from typing import Any, ClassVar, Self

from fulmen.core.base.ids import OutPoint, Txid, scid_from_text
from fulmen.core.base.units import MAX_MONEY_SAT

_AMOUNT = re.compile(r"(\d{1,100})(?:\.(\d{1,100}))?\s?(msat|sats?|[kK]|ksat|m|btc|BTC|)", re.ASCII)
_MOST_DIGITS, _MOST_DECIMALS = 17, 11
"""Of all money there is, in millisatoshi; of a millisatoshi, in bitcoin."""
_OUTPOINT = re.compile(r"([0-9a-fA-F]{64}):(\d{1,5})", re.ASCII)
MAX_OUTPOINTS = 1000
_MSAT_PER = {
    "msat": 1,
    "sat": 1000,
    "sats": 1000,
    "k": 1_000_000,
    "K": 1_000_000,
    "ksat": 1_000_000,
    "m": 1_000_000_000,
    "btc": 100_000_000_000,
    "BTC": 100_000_000_000,
}
"""`M` and `Msat` are none of them: a million satoshi or a thousandth of one, nobody knows."""
_MAX_MSAT = MAX_MONEY_SAT * 1000


def parse_amount(text: str, *, default_unit: str) -> int:
    """Millisatoshi from a text such as `5k`, `0.001btc`, `100msat`; a number without a unit is in `default_unit`.

    Raises:
        ValueError: it is no amount, has a part below a millisatoshi, or is more money than there is.
    """
    match = _AMOUNT.fullmatch(text.strip())
    if match is None and _AMOUNT.fullmatch(text.strip().removeprefix("-")):
        raise ValueError(f"{text[:40]!r} is a negative amount")
    if match is None:
        raise ValueError(f"{text[:40]!r} is not an amount; write it like 5000sat, 5k, 100msat or 0.001btc")
    whole, decimals, unit = match[1].lstrip("0"), (match[2] or "").rstrip("0"), match[3]
    # Within these a Decimal multiplies without rounding.
    if len(whole) > _MOST_DIGITS:
        raise ValueError(f"{text[:40]!r} is more than all bitcoin")
    if len(decimals) > _MOST_DECIMALS:
        raise ValueError(f"{text[:40]!r} has a part smaller than a millisatoshi")
    msat = Decimal(f"{whole or 0}.{decimals}") * _MSAT_PER[unit or default_unit]
    if msat != msat.to_integral_value():
        raise ValueError(f"{text[:40]!r} has a part smaller than a millisatoshi")
    if msat > _MAX_MSAT:
        raise ValueError(f"{text[:40]!r} is more than all bitcoin")
    return int(msat)


class Value(abc.ABC):
    """A value with a JSON form of its own."""

    schema: ClassVar[dict[str, Any]] = {}

    @classmethod
    @abc.abstractmethod
    def from_json(cls, value: object) -> Self:
        """Read it. Raises: ValueError with a sentence for the caller."""

    def plain(self) -> object:
        """What the request holds: a plain number or plain bytes where that is all it is, as rooms below store it."""
        return self


class Amount(Value, int):
    """Millisatoshi. JSON: an integer (msat), or a text with a unit."""

    schema: ClassVar[dict[str, Any]] = {
        "type": ["integer", "string"],
        "description": "millisatoshi, or a text such as 5k, 1sat, 0.001btc",
    }

    @classmethod
    def from_json(cls, value: object) -> Self:
        if isinstance(value, str):
            return cls(parse_amount(value, default_unit="msat"))
        return cls(_whole(value, _MAX_MSAT))

    def plain(self) -> int:
        return int(self)


class AmountOrAny(Value):
    """Millisatoshi, or "any": whoever pays decides."""

    schema: ClassVar[dict[str, Any]] = {
        "type": ["integer", "string"],
        "description": 'millisatoshi, a text such as 5k or 1sat, or "any"',
    }

    def __init__(self, msat: int | None) -> None:
        self.msat = msat

    @classmethod
    def from_json(cls, value: object) -> Self:
        return cls(None if value == "any" else int(Amount.from_json(value)))


class SatOrAll(Value):
    """Satoshi, or "all": whatever there is, less fees."""

    schema: ClassVar[dict[str, Any]] = {
        "type": ["integer", "string"],
        "description": 'satoshi, a text such as 5k or 0.001btc, or "all"',
    }

    def __init__(self, sat: int | None) -> None:
        self.sat = sat

    @classmethod
    def from_json(cls, value: object) -> Self:
        if value == "all":
            return cls(None)
        if not isinstance(value, str):
            return cls(_whole(value, MAX_MONEY_SAT))
        msat = parse_amount(value, default_unit="sat")
        if msat % 1000:
            raise ValueError(f"{value!r} is not a whole number of satoshi, as an output on chain must be")
        return cls(msat // 1000)


class Hex(Value, bytes):
    """Bytes. JSON: hexadecimal digits."""

    length: ClassVar[int | None] = None
    schema: ClassVar[dict[str, Any]] = {"type": "string", "pattern": "^([0-9a-fA-F]{2})*$"}

    @classmethod
    def from_json(cls, value: object) -> Self:
        if not isinstance(value, str) or not re.fullmatch(r"(?:[0-9a-fA-F]{2})*", value, re.ASCII):
            raise ValueError(f"it must be {cls._digits()}")
        if cls.length is not None and len(value) != 2 * cls.length:
            raise ValueError(f"it must be {cls._digits()}, not {len(value)}")
        return cls(bytes.fromhex(value))

    @classmethod
    def _digits(cls) -> str:
        return "hexadecimal digits" if cls.length is None else f"{2 * cls.length} hexadecimal digits"

    def plain(self) -> bytes:
        return bytes(self)


class Hash32(Hex):
    """32 bytes: a payment hash, a preimage, a channel id."""

    length = 32
    schema: ClassVar[dict[str, Any]] = {"type": "string", "pattern": "^[0-9a-fA-F]{64}$"}


class PubKey(Hex):
    """33 bytes: a node id."""

    length = 33
    schema: ClassVar[dict[str, Any]] = {"type": "string", "pattern": "^0[23][0-9a-fA-F]{64}$"}

    @classmethod
    def from_json(cls, value: object) -> Self:
        key = super().from_json(value)
        if key[0] not in (2, 3):
            raise ValueError("a node id begins with 02 or 03")
        return key


class OutPoints(Value):
    """Outputs of transactions. JSON: a list of TXID:OUTPUT, or all of them in one text with commas between."""

    schema: ClassVar[dict[str, Any]] = {
        "type": ["array", "string"],
        "items": {"type": "string", "pattern": "^[0-9a-fA-F]{64}:[0-9]{1,5}$"},
        "description": "TXID:OUTPUT, …",
    }

    def __init__(self, outpoints: tuple[OutPoint, ...]) -> None:
        self.outpoints = outpoints

    @classmethod
    def from_json(cls, value: object) -> Self:
        texts = value.split(",") if isinstance(value, str) else value
        if not isinstance(texts, list) or not texts or len(texts) > MAX_OUTPOINTS:
            raise ValueError(f"it must be 1 to {MAX_OUTPOINTS} coins, each TXID:OUTPUT")
        return cls(tuple(map(_outpoint, texts)))


def _outpoint(text: object) -> OutPoint:
    matched = _OUTPOINT.fullmatch(text.strip()) if isinstance(text, str) else None
    if matched is None or int(matched[2]) > 0xFFFF:
        raise ValueError(f"{str(text)[:70]!r} is no coin; write it as TXID:OUTPUT, as `listfunds` shows it")
    return OutPoint(Txid(bytes.fromhex(matched[1])[::-1]), int(matched[2]))


class Scid(Value, int):
    """A short channel id. JSON: BLOCKxTXxOUTPUT."""

    schema: ClassVar[dict[str, Any]] = {"type": "string", "pattern": "^[0-9]+x[0-9]+x[0-9]+$"}

    @classmethod
    def from_json(cls, value: object) -> Self:
        if not isinstance(value, str):
            raise ValueError("a short channel id looks like 700000x12x1")
        return cls(scid_from_text(value))

    def plain(self) -> int:
        return int(self)


def _whole(value: object, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError("it must be a whole number, or a text with a unit")
    if not 0 <= value <= most:
        raise ValueError(f"it must be from 0 to {most}")
    return value
