"""A chain daemon's RPC seen through a proxy: it answers late, or estimates other feerates, when a scenario says so."""

from __future__ import annotations

import http.client
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

ESTIMATE = b"estimatesmartfee"


class ChainProxy:
    """Passes each request on to another port of this machine."""

    def __init__(self, port: int, target: int) -> None:
        self.target = target
        self.delay_s = 0.0
        """How long each answer waits."""
        self.sat_per_kvb = 0
        """What every estimate is; 0: what the daemon says."""
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
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: Any) -> None:
        """Nobody reads it."""
