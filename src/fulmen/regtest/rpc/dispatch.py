"""From the bytes of a request to the bytes of its answer, JSON-RPC 1.0 and 2.0, one request or an array of them.

A request without a `jsonrpc` field is 1.0: `result` and `error` are both in the answer, and errors have an HTTP
status of their own. With `"jsonrpc": "2.0"` the status is 200, and a request without `id` gets no answer.

Source: Bitcoin Core, httprpc.cpp and rpc/request.cpp.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec

from fulmen.core.base.faults import Fault
from fulmen.regtest.node import RegtestNode
from fulmen.regtest.rpc import chain_calls, control_calls, mempool_calls, tx_calls
from fulmen.regtest.rpc.registry import CALLS, Arguments, Code, JsonValue, RpcRefused

MAX_BATCH = 10_000
_ENCODER = msgspec.json.Encoder(decimal_format="number")
_DECODER = msgspec.json.Decoder(Any, float_hook=Decimal)
_STATUS = {Code.INVALID_REQUEST: 400, Code.METHOD_NOT_FOUND: 404}

CALL_ROOMS = (chain_calls, mempool_calls, tx_calls, control_calls)
"""Importing them fills the registry."""


def answer(node: RegtestNode, body: bytes) -> tuple[int, bytes]:
    """The HTTP status and the body (empty when nothing is to be said)."""
    try:
        request = _DECODER.decode(body)
    except (msgspec.MsgspecError, RecursionError, ValueError):
        return 500, _ENCODER.encode(_error(Code.PARSE_ERROR, "Parse error", None)) + b"\n"
    if isinstance(request, dict):
        status, reply = _one(node, request)
        return status, b"" if reply is None else _ENCODER.encode(reply) + b"\n"
    if not isinstance(request, list):
        return 500, _ENCODER.encode(_error(Code.PARSE_ERROR, "Top-level object parse error", None)) + b"\n"
    if len(request) > MAX_BATCH:
        return 400, _ENCODER.encode(_error(Code.INVALID_REQUEST, "Batch too large", None)) + b"\n"
    replies = [reply for _, reply in (_one(node, each) for each in request) if reply is not None]
    if request and not replies:
        return 204, b""
    return 200, _ENCODER.encode(replies) + b"\n"


def run(node: RegtestNode, method: str, params: JsonValue) -> JsonValue:
    """Make one call.

    Raises:
        RpcRefused: with Core's number and words.
    """
    declared = CALLS.get(method)
    if declared is None:
        raise RpcRefused(Code.METHOD_NOT_FOUND, "Method not found")
    values = _in_order(declared.parameters, params)
    if not declared.required <= len(values) <= len(declared.parameters):
        raise RpcRefused(Code.MISC_ERROR, f"{declared.usage}\n\n{declared.help}")
    try:
        return declared.run(node, Arguments(declared, values))
    except RpcRefused:
        raise
    except Fault as fault:
        raise RpcRefused(Code.MISC_ERROR, str(fault)) from fault


def _one(node: RegtestNode, request: JsonValue) -> tuple[int, dict[str, Any] | None]:
    if not isinstance(request, dict):
        return 400, _error(Code.INVALID_REQUEST, "Invalid Request object", None)
    version = request.get("jsonrpc")
    modern = version == "2.0"
    status = 200
    try:
        if version is not None and not isinstance(version, str):
            raise RpcRefused(Code.INVALID_REQUEST, "jsonrpc field must be a string")
        if version not in (None, "1.0", "2.0"):
            raise RpcRefused(Code.INVALID_REQUEST, "JSON-RPC version not supported")
        method, params = request.get("method"), request.get("params")
        if not isinstance(method, str):
            raise RpcRefused(Code.INVALID_REQUEST, "Missing method" if method is None else "Method must be a string")
        if params is not None and not isinstance(params, (list, dict)):
            raise RpcRefused(Code.INVALID_REQUEST, "Params must be an array or object")
        reply: dict[str, Any] = {"result": run(node, method, params), "error": None, "id": None}
    except RpcRefused as refused:
        status = _STATUS.get(refused.code, 500)
        reply = _error(refused.code, refused.message, None)
    if "id" in request:
        reply["id"] = request["id"]
    else:
        del reply["id"]
    if not modern:
        return status, reply
    if "id" not in request:
        return 204, None
    reply = {"jsonrpc": "2.0"} | reply
    del reply["error" if reply["error"] is None else "result"]
    return 200, reply


def _in_order(parameters: tuple[str, ...], params: JsonValue) -> list[JsonValue]:
    if isinstance(params, list):
        return list(params)
    named = dict(params or {})
    values: list[JsonValue] = list(named.pop("args", []) or [])
    for name in parameters[: len(values)]:
        if name in named:
            raise RpcRefused(
                Code.INVALID_PARAMETER,
                f"Parameter {name} specified twice both as positional and named argument",
            )
    for name in parameters[len(values) :]:
        values.append(named.pop(name, None))
    while values and values[-1] is None:
        values.pop()
    if named:
        raise RpcRefused(Code.INVALID_PARAMETER, f"Unknown named parameter {next(iter(named))[:80]}")
    return values


def _error(code: Code, message: str, ident: JsonValue) -> dict[str, Any]:
    return {"result": None, "error": {"code": int(code), "message": message}, "id": ident}
