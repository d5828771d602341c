"""Requests as bytes: what comes back for each form of JSON-RPC, and for what is none."""

from __future__ import annotations

import json
from typing import Any

from interop.twin.sides import Side

BODIES: tuple[str, ...] = (
    '{"id":1,"method":"getblockcount","params":[]}',
    '{"id":1,"method":"getblockcount"}',
    '{"id":null,"method":"getblockcount","params":{}}',
    '{"method":"getblockcount"}',
    '{"jsonrpc":"1.0","id":"a","method":"getblockcount","params":[]}',
    '{"jsonrpc":"1.1","id":"a","method":"getblockcount","params":[]}',
    '{"jsonrpc":"2.0","id":"a","method":"getblockcount","params":[]}',
    '{"jsonrpc":"2.0","id":"a","method":"nonsense"}',
    '{"jsonrpc":"2.0","method":"getblockcount"}',
    '{"jsonrpc":"2.0","method":"nonsense"}',
    '{"jsonrpc":"2.0","id":null,"method":"getblockcount"}',
    '{"jsonrpc":"3.0","id":1,"method":"getblockcount"}',
    '{"jsonrpc":2,"id":1,"method":"getblockcount"}',
    '{"id":1,"method":"nonsense"}',
    '{"id":1,"method":7}',
    '{"id":1}',
    '{"id":1,"method":"getblockcount","params":7}',
    '{"id":1,"method":"getblockcount","params":"x"}',
    '{"id":1,"method":"getblockcount","params":null}',
    '{"id":1,"method":"getblockhash","params":{"height":0}}',
    '{"id":1,"method":"getblockhash","params":{"args":[0]}}',
    '{"id":1,"method":"getblockhash","params":{"args":[0],"height":0}}',
    '{"id":1,"method":"getblockhash","params":{"depth":0}}',
    '{"id":1,"method":"getblockhash","params":{}}',
    '{"id":1,"method":"getblockhash","params":[1000000]}',
    '{"id":1,"method":"getblockhash","params":["0"]}',
    '{"id":{"a":1},"method":"getblockcount"}',
    '{"id":[1],"method":"getblockcount"}',
    '{"id":1.5,"method":"getblockcount"}',
    "[]",
    "[7]",
    "[[]]",
    '[{"id":1,"method":"getblockcount"},{"id":2,"method":"nonsense"},{"id":3}]',
    '[{"jsonrpc":"2.0","id":1,"method":"getblockcount"},{"jsonrpc":"2.0","method":"getblockcount"}]',
    '[{"jsonrpc":"2.0","method":"getblockcount"}]',
    '[{"jsonrpc":"2.0","id":1,"method":"getblockhash","params":[-1]},{"id":2,"method":"getblockhash","params":[-1]}]',
    "7",
    '"x"',
    "null",
    "true",
    "",
    " ",
    "{",
    "{}",
    '{"id":1,"method":"getblockcount"} x',
    '{"id":1,"method":"getblockcount","params":[]}\n',
    "not json",
)


def put(side: Side, body: str) -> list[Any]:
    """The status and the answer to a body; the words of errors of use are left out."""
    status, raw = side.put(body.encode())
    return [status, plain(raw)]


def plain(raw: bytes) -> Any:
    """An answer's JSON, or its text where it is none."""
    try:
        answer = json.loads(raw)
    except ValueError:
        return raw.decode(errors="replace").strip()
    for each in answer if isinstance(answer, list) else [answer]:
        if isinstance(each, dict) and (each.get("error") or {}).get("code") == -1:
            each["error"]["message"] = "usage"
    return answer
