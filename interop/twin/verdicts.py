"""When two answers are the same.

Reasons are compared up to the first ' (', as what follows it may name what only one side knows. Which script rule was
broken is not compared: all failures of scripts are one class. What has no order is sorted.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

SCRIPT_FAILED = "script-verify-flag-failed"

UNORDERED = {"getrawmempool", "getmempoolancestors", "getmempooldescendants"}
FREE_KEYS = {"usage", "size_on_disk", "disk_size", "warnings", "mempool_sequence"}
"""Not compared: memory, disk, warnings (an unreleased Core warns of itself), how often the mempool changed."""
SHAPE_ONLY = {"getnetworkinfo", "uptime", "getindexinfo", "estimatesmartfee"}
"""What these answer is true of one node: only keys and types are compared."""
OURS_ALONE = {"judge"}
"""Keys that Core does not have."""
CORE_ALONE = {"testdummy", "errors", "feerate"}
"""Keys that embedded chains do not have (a deployment for Core's own tests), or not always (estimates)."""


def normal(method: str, answer: dict[str, Any]) -> Any:
    """What counts of an answer: its result, or its error's number and words."""
    error = answer["error"]
    if error is not None:
        usage = error["code"] == -1 and error["message"].startswith(method)
        return ["error", error["code"], "usage" if usage else reason(error["message"])]
    result = answer["result"]
    if method in UNORDERED and isinstance(result, list):
        return sorted(result)
    if method == "submitblock" and isinstance(result, str):
        return reason(result)
    if method == "submitpackage":
        result = {**result, "replaced-transactions": sorted(result["replaced-transactions"])}
    if method == "getchaintips":
        # Headers whose blocks were refused for their witnesses are kept by Core, and by no embedded chain.
        known = [tip for tip in result if tip["status"] != "headers-only"]
        result = sorted(known, key=lambda tip: str(tip["hash"]))
    if method == "validateaddress":
        result = {name: each for name, each in result.items() if name not in ("error", "error_locations")}
    if method in SHAPE_ONLY:
        return _shape(result)
    return _plain(result)


def reason(words: str) -> str:
    """The part of a reason that is compared."""
    if SCRIPT_FAILED in words:
        return SCRIPT_FAILED
    return words.partition(" (")[0]


def reasons_in(method: str, answer: Any) -> Iterator[str]:
    """What an answer says of transactions or blocks, shortly; to count by."""
    match answer:
        case ["error", code, words]:
            yield f"{code} {words.partition(',')[0].partition(':')[0]}"
        case list() if method == "testmempoolaccept":
            for shape in answer:
                verdict = "allowed" if shape.get("allowed") else "not finished"
                yield (shape.get("reject-reason") or shape.get("package-error") or verdict).partition(",")[0]
        case dict() if method == "submitpackage":
            yield f"package: {answer['package_msg'].partition(',')[0]}"
        case str() | None if method == "submitblock":
            yield f"block: {answer or 'taken'}"


def _shape(value: Any) -> Any:
    match value:
        case dict():
            return {name: _shape(each) for name, each in value.items() if name not in OURS_ALONE | CORE_ALONE}
        case bool() | str() | None:
            return type(value).__name__
        case list():
            return "list"
    return "number"


def _plain(value: Any, key: str = "") -> Any:
    match value:
        case dict():
            return {name: _plain(each, name) for name, each in value.items() if name not in FREE_KEYS | CORE_ALONE}
        case list() if key in ("depends", "spentby", "txids"):
            return sorted(value)
        case list():
            return [_plain(each) for each in value]
        case str() if key in ("reject-reason", "reject-details", "error", "package_msg", "package-error"):
            return reason(value)
        case Decimal() | int() if not isinstance(value, bool):
            return format(Decimal(value).normalize(), "f")
    return value
