"""What nothing can be faster than, on this machine: C primitives, the disk's sync, a round trip over loopback."""

from __future__ import annotations

import hashlib
import os
import socket
import tempfile
import threading
from dataclasses import dataclass, fields
from pathlib import Path

from bench.measure import Figure, fastest_us, latencies_us, percentile
from fulmen.core.crypto.ciphers import Aead
from fulmen.core.crypto.secp256k1 import ffi, lib

COMPRESSED = 258


@dataclass(frozen=True)
class Floor:
    """Microseconds each."""

    sign: float
    verify: float
    """With the key already parsed."""
    parse_key: float
    ecdh: float
    multiply: float
    add_tweak: float
    create_key: float
    combine: float
    frame: float
    """Two AEAD operations of a 65-byte message: a BOLT 8 frame."""
    hash200: float
    """SHA-256 twice, of 200 bytes."""
    fdatasync: float
    round_trip: float

    def figures(self) -> list[Figure]:
        """As lines of the table."""
        names = {
            "sign": "ECDSA sign",
            "verify": "ECDSA verify, key parsed",
            "parse_key": "public key, parse",
            "ecdh": "ECDH",
            "multiply": "point times scalar",
            "add_tweak": "point plus scalar times G",
            "create_key": "public key of a secret",
            "combine": "sum of two points",
            "frame": "BOLT 8 frame of 65 bytes, encrypt",
            "hash200": "double SHA-256 of 200 bytes",
            "fdatasync": "4 KiB write and fdatasync, median",
            "round_trip": "loopback TCP round trip of 65 bytes, median",
        }
        return [Figure("floor", text, getattr(self, name)) for name, text in names.items()]


def measure(rounds: int = 3) -> Floor:
    """The least of some rounds, so that what else the machine does counts little: some twenty seconds."""
    taken = [_measure() for _ in range(rounds)]
    return Floor(**{field.name: min(getattr(each, field.name) for each in taken) for field in fields(Floor)})


def _measure() -> Floor:
    context = lib.secp256k1_context_create(1)
    secret, digest = b"\x11" * 32, b"\x22" * 32
    key, other = ffi.new("secp256k1_pubkey *"), ffi.new("secp256k1_pubkey *")
    lib.secp256k1_ec_pubkey_create(context, key, secret)
    lib.secp256k1_ec_pubkey_create(context, other, b"\x33" * 32)
    compressed, length = ffi.new("unsigned char[33]"), ffi.new("size_t *", 33)
    lib.secp256k1_ec_pubkey_serialize(context, compressed, length, key, COMPRESSED)
    signature = ffi.new("secp256k1_ecdsa_signature *")
    lib.secp256k1_ecdsa_sign(context, signature, digest, secret, ffi.NULL, ffi.NULL)
    scratch, out = ffi.new("secp256k1_pubkey *"), ffi.new("unsigned char[32]")
    pair = [key, other]
    aead, message, data = Aead(b"\x44" * 32), bytes(65), bytes(200)

    def frame() -> None:
        aead.seal(0, b"\x00\x41")
        aead.seal(1, message)

    return Floor(
        sign=fastest_us(lambda: lib.secp256k1_ecdsa_sign(context, signature, digest, secret, ffi.NULL, ffi.NULL)),
        verify=fastest_us(lambda: lib.secp256k1_ecdsa_verify(context, signature, digest, key)),
        parse_key=fastest_us(lambda: lib.secp256k1_ec_pubkey_parse(context, scratch, compressed, 33)),
        ecdh=fastest_us(lambda: lib.secp256k1_ecdh(context, out, key, secret, ffi.NULL, ffi.NULL)),
        multiply=fastest_us(lambda: lib.secp256k1_ec_pubkey_tweak_mul(context, other, secret)),
        add_tweak=fastest_us(lambda: lib.secp256k1_ec_pubkey_tweak_add(context, other, secret)),
        create_key=fastest_us(lambda: lib.secp256k1_ec_pubkey_create(context, scratch, secret)),
        combine=fastest_us(lambda: lib.secp256k1_ec_pubkey_combine(context, scratch, pair, 2)),
        frame=fastest_us(frame),
        hash200=fastest_us(lambda: hashlib.sha256(hashlib.sha256(data).digest()).digest()),
        fdatasync=fdatasync_us(),
        round_trip=round_trip_us(),
    )


def fdatasync_us(count: int = 300) -> float:
    """The median of writing a page over again and having it on disk."""
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        handle = os.open(Path(folder) / "page", os.O_RDWR | os.O_CREAT, 0o600)
        page = bytes(4096)
        # macOS has no fdatasync, and its fsync promises less; a figure from there says so by being small.
        sync = getattr(os, "fdatasync", os.fsync)

        def write() -> None:
            os.pwrite(handle, page, 0)
            sync(handle)

        try:
            return percentile(latencies_us(write for _ in range(count)), 0.5)
        finally:
            os.close(handle)


def round_trip_us(count: int = 2000) -> float:
    """The median of sending 65 bytes to another thread over loopback TCP and getting them back."""
    server = socket.create_server(("127.0.0.1", 0))
    client = socket.create_connection(server.getsockname())
    served, _ = server.accept()
    for end in (client, served):
        end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def echo() -> None:
        while data := served.recv(65):
            served.sendall(data)

    thread = threading.Thread(target=echo)
    thread.start()
    message = bytes(65)

    def there_and_back() -> None:
        client.sendall(message)
        client.recv(65)

    try:
        return percentile(latencies_us(there_and_back for _ in range(count)), 0.5)
    finally:
        client.close()
        thread.join()
        served.close()
        server.close()
