"""Exit codes, and what to do about an error.

| code | meaning |
| --- | --- |
| 0 | done |
| 1 | the node refused, or what was asked for failed; nothing was changed |
| 2 | the command was written wrongly |
| 3 | no node answers |
| 4 | `pay`: the payment failed for good, and every msat is still here |
| 5 | nobody knows yet, and it may still happen: look before asking for it again |
| 6 | this version cannot do it yet |
| 7 | what was named does not exist |
| 130 | interrupted |
"""

from __future__ import annotations

import enum

from fulmen.api import errors
from fulmen.api.client import ConnectionLost, NodeUnreachable
from fulmen.core.base.faults import Fault


class Exit(enum.IntEnum):
    """How the process ends."""

    DONE = 0
    REFUSED = 1
    USAGE = 2
    UNREACHABLE = 3
    PAYMENT_FAILED = 4
    UNKNOWN_OUTCOME = 5
    NOT_BUILT_YET = 6
    NOT_FOUND = 7
    INTERRUPTED = 130


_BY_CODE = {
    errors.PARSE_ERROR: Exit.USAGE,
    errors.INVALID_REQUEST: Exit.USAGE,
    errors.METHOD_NOT_FOUND: Exit.USAGE,
    errors.INVALID_PARAMS: Exit.USAGE,
    errors.INTERNAL_ERROR: Exit.REFUSED,
    errors.REFUSED: Exit.REFUSED,
    errors.PAY_IN_PROGRESS: Exit.UNKNOWN_OUTCOME,
    errors.PAY_RHASH_ALREADY_USED: Exit.REFUSED,
    errors.PAY_DESTINATION_PERM_FAIL: Exit.PAYMENT_FAILED,
    errors.PAY_TRY_OTHER_ROUTE: Exit.PAYMENT_FAILED,
    errors.PAY_ROUTE_NOT_FOUND: Exit.PAYMENT_FAILED,
    errors.PAY_ROUTE_TOO_EXPENSIVE: Exit.PAYMENT_FAILED,
    errors.PAY_INVOICE_EXPIRED: Exit.PAYMENT_FAILED,
    errors.PAY_NO_SUCH_PAYMENT: Exit.NOT_FOUND,
    errors.PAY_UNSPECIFIED_ERROR: Exit.PAYMENT_FAILED,
    errors.PAY_STOPPED_RETRYING: Exit.PAYMENT_FAILED,
    errors.FUND_MAX_EXCEEDED: Exit.REFUSED,
    errors.FUND_CANNOT_AFFORD: Exit.REFUSED,
    errors.FUND_OUTPUT_IS_DUST: Exit.REFUSED,
    errors.FUNDING_BROADCAST_FAIL: Exit.UNKNOWN_OUTCOME,
    errors.FUNDING_STILL_SYNCING: Exit.REFUSED,
    errors.FUNDING_PEER_NOT_CONNECTED: Exit.REFUSED,
    errors.FUNDING_UNKNOWN_PEER: Exit.NOT_FOUND,
    errors.CONNECT_NO_KNOWN_ADDRESS: Exit.REFUSED,
    errors.CONNECT_ALL_ADDRESSES_FAILED: Exit.REFUSED,
    errors.INVOICE_LABEL_ALREADY_EXISTS: Exit.REFUSED,
    errors.INVOICE_PREIMAGE_ALREADY_EXISTS: Exit.REFUSED,
    errors.INVOICE_EXPIRED_DURING_WAIT: Exit.REFUSED,
    errors.INVOICE_WAIT_TIMED_OUT: Exit.UNKNOWN_OUTCOME,
    errors.INVOICE_NOT_FOUND: Exit.NOT_FOUND,
    errors.NOT_BUILT_YET: Exit.NOT_BUILT_YET,
    errors.NOT_PERMITTED: Exit.REFUSED,
    errors.TOO_BUSY: Exit.REFUSED,
}
"""Every code has its place here."""

_BY_NAME = {"ChannelUnknown": Exit.NOT_FOUND, "NotConnected": Exit.NOT_FOUND}
"""What the caller named is not there, though Core Lightning's code (-1) does not say so."""

_ADVICE = {
    errors.FUND_CANNOT_AFFORD: "`fulmen listfunds` shows what there is, `fulmen newaddr` where to pay more.",
    errors.FUNDING_BROADCAST_FAIL: "Do not ask again; see with `fulmen listfunds` what becomes of it.",
    errors.FUNDING_PEER_NOT_CONNECTED: "Connect first: `fulmen connect ID@HOST:PORT`.",
    errors.FUNDING_UNKNOWN_PEER: "Connect first: `fulmen connect ID@HOST:PORT`.",
    errors.CONNECT_NO_KNOWN_ADDRESS: "Write it as `fulmen connect ID@HOST:PORT`.",
    errors.CONNECT_ALL_ADDRESSES_FAILED: "Check the address, and whether that node is up.",
    errors.PAY_IN_PROGRESS: "See how it ends with `fulmen listpays`.",
    errors.PAY_RHASH_ALREADY_USED: "See what was paid with `fulmen listpays INVOICE`; ask the payee for a new invoice.",
    errors.PAY_ROUTE_NOT_FOUND: "See what your channels can carry with `fulmen listpeerchannels`.",
    errors.PAY_ROUTE_TOO_EXPENSIVE: "Allow more with --maxfee or --maxfeepercent.",
    errors.PAY_STOPPED_RETRYING: "Allow more time with --retry-for; `fulmen listpeerchannels` shows who is away.",
    errors.PAY_INVOICE_EXPIRED: "Ask the payee for a new invoice.",
    errors.INVOICE_LABEL_ALREADY_EXISTS: "Choose another label, or look at it with `fulmen listinvoices --label`.",
    errors.INVOICE_NOT_FOUND: "See them all with `fulmen listinvoices`.",
    errors.METHOD_NOT_FOUND: "See what there is with `fulmen --help`.",
    errors.NOT_BUILT_YET: "docs/bolts.md in the project says what works already.",
}


def exit_of(fault: Fault, command: str = "") -> Exit:
    """How the process ends after a fault that answers a command."""
    if isinstance(fault, ConnectionLost):
        return Exit.UNKNOWN_OUTCOME
    if isinstance(fault, NodeUnreachable):
        return Exit.UNREACHABLE
    found = _BY_NAME.get(fault.name) or _BY_CODE.get(errors.code_of(fault), Exit.REFUSED)
    # Who only looks for a way pays nothing, so no payment has failed.
    return Exit.REFUSED if found is Exit.PAYMENT_FAILED and command != "pay" else found


def advice_of(fault: Fault, command: str = "") -> str | None:
    """What to do about a fault, where there is something to do."""
    if isinstance(fault, ConnectionLost):
        return "Ask the node what happened, with `fulmen listpays` or `fulmen listpeerchannels`, before asking again."
    if isinstance(fault, NodeUnreachable):
        return "Start a node with `fulmen start`, or say where it is with --dir and --network."
    if command == "getroutes" and errors.code_of(fault) == errors.PAY_ROUTE_NOT_FOUND:
        return "Only announced channels are looked at; `fulmen pay` knows yours as well."
    return _ADVICE.get(errors.code_of(fault))
