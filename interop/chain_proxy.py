"""A chain daemon's RPC seen through a proxy, when a scenario says so: it answers late, or estimates other feerates, or
keeps to itself what it is told to send."""

from __future__ import annotations

import http.client
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from fulmen.core.bitcoin.transaction import parse_tx

ESTIMATE = b"estimatesmartfee"
SEND = "sendrawtransaction"


class ChainProxy:
    """Passes each request on to another port of this machine."""

    def __init__(self, port: int, target: int) -> None:
        self.target = target
        self.delay_s = 0.0
        """How long each answer waits."""
        self.sat_per_kvb = 0
        """What every estimate is; 0: what the daemon says."""
        self.keeps = False
        """Whether transactions are taken, and go no further."""
        self.kept: list[str] = []
        """Those, as they were sent."""
        self.asked = 0
        """How many requests came."""
        proxy = self

        class Handler(_Handler):
            owner = proxy

        self._server = _Server(("127.0.0.1", port), Handler)
        self.port: int = self._server.server_port
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.port}"

    def close(self) -> None:
        """Take no more requests."""
        self._server.shutdown()
        self._server.server_close()

    def keep(self, request: bytes) -> bytes | None:
        """The answer to a transaction that goes no further."""
        if not self.keeps:
            return None
        call = json.loads(request)
        if not isinstance(call, dict) or call["method"] != SEND:
            return None
        raw = call["params"][0]
        self.kept.append(raw)
        txid = parse_tx(bytes.fromhex(raw)).txid[::-1].hex()
        return json.dumps({"result": txid, "error": None, "id": call.get("id")}).encode()

    def answer(self, request: bytes, answer: bytes) -> bytes:
        """What is said in the place of an answer."""
        if not self.sat_per_kvb or ESTIMATE not in request:
            return answer
        asked, said = json.loads(request), json.loads(answer)
        pairs = zip(asked, said, strict=True) if isinstance(asked, list) else ((asked, said),)
        for call, row in pairs:
            if call["method"].encode() == ESTIMATE:
                row["result"] = {"feerate": self.sat_per_kvb / 100_000_000, "blocks": 2}
                row["error"] = None
        return json.dumps(said).encode()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Who hangs up while he waits is no news."""


class _Handler(BaseHTTPRequestHandler):
    owner: ChainProxy
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        proxy = self.owner
        proxy.asked += 1
        request = self.rfile.read(int(self.headers["Content-Length"]))
        headers = {name: self.headers[name] for name in ("Authorization", "Content-Type") if self.headers[name]}
        time.sleep(proxy.delay_s)
        if (kept := proxy.keep(request)) is not None:
            self._say(200, kept)
            return
        connection = http.client.HTTPConnection("127.0.0.1", proxy.target, timeout=60)
        try:
            connection.request("POST", self.path, request, headers)
            response = connection.getresponse()
            status, answer = response.status, proxy.answer(request, response.read())
        except (OSError, http.client.HTTPException):
            # As a daemon that is gone: no answer at all.
            self.close_connection = True
            return
        finally:
            connection.close()
        self._say(status, answer)

    def _say(self, status: int, answer: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: Any) -> None:
        """Nobody reads it."""
