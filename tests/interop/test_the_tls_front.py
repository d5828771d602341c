"""What is behind the front is reached by TLS, and sees plain bytes."""

from __future__ import annotations

import socket
import ssl
import threading
from pathlib import Path

from interop.tls_front import HOST, TlsFront


def test_bytes_pass_both_ways_and_the_end_of_one_is_the_end_of_both(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            plain, _ = listener.accept()
            with plain:
                plain.sendall(plain.recv(100).upper())

        behind = threading.Thread(target=answer)
        behind.start()
        front = TlsFront(0, listener.getsockname()[1], tmp_path)
        context = ssl.create_default_context(cafile=front.certificate)
        with (
            socket.create_connection(("127.0.0.1", front.port), timeout=10) as raw,
            context.wrap_socket(raw, server_hostname=HOST) as line,
        ):
            line.sendall(b"who is there")
            assert line.recv(100) == b"WHO IS THERE"
            assert line.recv(100) == b""
        behind.join()
        front.close()
