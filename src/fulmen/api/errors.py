"""Errors as callers see them: a code, one clear sentence, and data a program can read.

The codes are those of Core Lightning where it has one, so that its clients understand them.
"""

from __future__ import annotations

from typing import Any

from fulmen.core.base.faults import Fault, Malformed, Refused, in_words

PARSE_ERROR = -32700
INVALID_REQUEST = -32600
METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602
INTERNAL_ERROR = -32603
REFUSED = -1
PAY_IN_PROGRESS = 200
PAY_RHASH_ALREADY_USED = 201
PAY_DESTINATION_PERM_FAIL = 203
PAY_TRY_OTHER_ROUTE = 204
PAY_ROUTE_NOT_FOUND = 205
PAY_ROUTE_TOO_EXPENSIVE = 206
PAY_INVOICE_EXPIRED = 207
PAY_NO_SUCH_PAYMENT = 208
PAY_UNSPECIFIED_ERROR = 209
PAY_STOPPED_RETRYING = 210
FUND_MAX_EXCEEDED = 300
FUND_CANNOT_AFFORD = 301
FUND_OUTPUT_IS_DUST = 302
FUNDING_BROADCAST_FAIL = 303
FUNDING_STILL_SYNCING = 304
FUNDING_PEER_NOT_CONNECTED = 305
FUNDING_UNKNOWN_PEER = 306
CONNECT_NO_KNOWN_ADDRESS = 400
CONNECT_ALL_ADDRESSES_FAILED = 401
INVOICE_LABEL_ALREADY_EXISTS = 900
INVOICE_PREIMAGE_ALREADY_EXISTS = 901
INVOICE_EXPIRED_DURING_WAIT = 903
INVOICE_WAIT_TIMED_OUT = 904
INVOICE_NOT_FOUND = 905
NOT_BUILT_YET = 1900
"""Ours: the verb is declared, and what it needs of the node does not exist yet."""
NOT_PERMITTED = 1901
"""Ours: this caller may not ask that."""
TOO_BUSY = 1902
"""Ours: a bound on what callers may ask at once was reached; ask again later."""


class RpcError(Refused):
    """A refusal with a code of its own."""

    code = REFUSED

    def __init__(self, message: str = "", *, code: int | None = None, **details: Any) -> None:
        super().__init__(message, **details)
        if code is not None:
            self.code = code


class BadJson(RpcError):
    """The bytes are no JSON text, or are too large or too deep to be one of ours."""

    code = PARSE_ERROR


class BadRequest(RpcError):
    """JSON, but no JSON-RPC request."""

    code = INVALID_REQUEST


class UnknownCommand(RpcError):
    """No command has this name."""

    code = METHOD_NOT_FOUND


class BadParameter(RpcError):
    """A parameter is missing, unknown, or not what the command takes."""

    code = INVALID_PARAMS


class NotPermitted(RpcError):
    """The caller's permissions do not include this command."""

    code = NOT_PERMITTED


class NotBuiltYet(RpcError):
    """The command is declared, but this version of the node cannot do it."""

    code = NOT_BUILT_YET


class TooBusy(RpcError):
    """Too many calls at once."""

    code = TOO_BUSY


_OF_THE_CHAIN = (
    *("AnotherChain", "BlockUnreadable", "SourceGarbage", "SourceLied", "SourceRefused"),
    *("SourceTimedOut", "SourceUnauthorized", "SourceUnreachable", "SourceUntrusted", "SourceWarmingUp"),
)
"""What the chain source may do to a call: nothing of it is a bug of ours."""
CODES: dict[str, int] = {
    **dict.fromkeys(_OF_THE_CHAIN, REFUSED),
    "AmountNeeded": INVALID_PARAMS,
    "AmountNotAsked": INVALID_PARAMS,
    "AnotherAmountPaid": PAY_RHASH_ALREADY_USED,
    "AmountTooLarge": FUND_MAX_EXCEEDED,
    "CannotConnect": CONNECT_ALL_ADDRESSES_FAILED,
    "CouldNotConnect": CONNECT_ALL_ADDRESSES_FAILED,
    "DustOutput": FUND_OUTPUT_IS_DUST,
    "InsufficientFunds": FUND_CANNOT_AFFORD,
    "InvoiceCanceled": INVOICE_EXPIRED_DURING_WAIT,
    "InvoiceExists": INVOICE_PREIMAGE_ALREADY_EXISTS,
    "InvoiceExpired": PAY_INVOICE_EXPIRED,
    "InvoiceLapsed": INVOICE_EXPIRED_DURING_WAIT,
    "InvoiceUnfit": INVALID_PARAMS,
    "InvoiceUnknown": INVOICE_NOT_FOUND,
    "LabelTaken": INVOICE_LABEL_ALREADY_EXISTS,
    "NoAddress": CONNECT_NO_KNOWN_ADDRESS,
    "NoRouteFound": PAY_ROUTE_NOT_FOUND,
    "NothingToPay": INVALID_PARAMS,
    "PayeeRefused": PAY_DESTINATION_PERM_FAIL,
    "PaymentStillPending": PAY_IN_PROGRESS,
    "PaymentUnsuccessful": PAY_UNSPECIFIED_ERROR,
    "RetriesUsedUp": PAY_STOPPED_RETRYING,
    "RouteTooExpensive": PAY_ROUTE_TOO_EXPENSIVE,
    "TransactionTooHeavy": FUND_MAX_EXCEEDED,
    "WrongChain": INVALID_PARAMS,
}
"""Fault name -> code, for the faults of the rooms below that callers know by a number."""


WHY = "why"
"""The detail that is the reason: it is said behind a colon, and the others in brackets."""


def code_of(fault: Fault) -> int:
    """The number of a fault."""
    if isinstance(fault, RpcError):
        return fault.code
    if isinstance(fault, Malformed):
        return CODES.get(fault.name, INVALID_PARAMS)
    return CODES.get(fault.name, REFUSED if isinstance(fault, Refused) else INTERNAL_ERROR)


def error_object(fault: Fault) -> dict[str, Any]:
    """The `error` member of a JSON-RPC response."""
    return {
        "code": code_of(fault),
        "message": sentence_of(fault),
        "data": {"name": fault.name, **{key: _plain(value) for key, value in fault.details.items()}},
    }


def sentence_of(fault: Fault) -> str:
    """What is wrong, in a sentence: the fault's own, or what its class says of itself, with the details that help.

    The details of an `RpcError` are for programs; its message says all.
    """
    said = fault.message
    if said == in_words(fault.name):
        said = (type(fault).__doc__ or said).partition("\n\n")[0].replace("\n    ", " ").strip()
    if said.partition(" ")[0].isalpha():
        said = said[:1].upper() + said[1:]
    if isinstance(fault, RpcError) or not fault.details:
        return said if said[-1:] in ".!?)" else f"{said}."
    said = said.rstrip(".")
    if fault.details.get(WHY):
        said = f"{said}: {_shown(fault.details[WHY]).rstrip('.')}"
    details = ", ".join(_detail(name, value) for name, value in fault.details.items() if name != WHY)
    return f"{said} ({details})." if details else f"{said}."


def _detail(name: str, value: Any) -> str:
    """One detail for people: amounts with their unit, and no underscores."""
    for unit in ("sat", "msat"):
        if name.endswith(f"_{unit}") and isinstance(value, int):
            return f"{name.removesuffix(f'_{unit}').replace('_', ' ')} {value:,} {unit}"
    return f"{name.replace('_', ' ')} {_shown(value)}"


def _shown(value: Any) -> str:
    plain = _plain(value)
    return ", ".join(map(str, plain)) if isinstance(plain, list) else str(plain)


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.hex()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return str(value)
