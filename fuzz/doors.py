"""Files of ours that somebody may have touched, sockets, settings: gossip, stored records, handshakes, RPC, TOML."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.builders.handle import RunningNode
from tests.builders.stored_forms import read_lines

import fulmen.api.commands  # noqa: F401  (fills the registry)
from fulmen.adapters.store.codec import Codec
from fulmen.adapters.store.faults import StoreFault
from fulmen.adapters.store.names import Numbers
from fulmen.api.dispatch import Dispatcher
from fulmen.api.jsonrpc import Objects, error_text, parse_call
from fulmen.api.registry import REGISTRY
from fulmen.core.base.faults import Fault, InvariantBroken, Malformed, PeerFault, Refused
from fulmen.core.base.ids import NodeId, Secret
from fulmen.core.base.record import Record
from fulmen.core.bitcoin.networks import MAINNET
from fulmen.core.crypto.secp256k1 import ecdh, point_of
from fulmen.core.gossip import cache
from fulmen.core.gossip.addresses import encode_address, encode_addresses, hostnames, parse_addresses
from fulmen.core.gossip.encodings import decode_flags, decode_scids, decode_timestamps, encode_scids
from fulmen.core.transport.faults import TransportFault
from fulmen.core.transport.session import Session
from fulmen.daemon.settings import load
from fuzz.seeds import bytes_in
from fuzz.target import Target
from fuzz.wire import frames

SECRET = Secret(b"\x07" * 32)
EPHEMERAL = Secret(b"\x02" * 32)
WAITS = {"connect", "waitinvoice", "close", "fundchannel", "pay"}
"""What may wait for others: that it waits is an answer as well."""


def targets() -> Iterator[Target]:
    """All of them."""
    yield Target("gossip_file", _gossip_file, _gossip_pieces)
    yield Target(
        "gossip_fields", _gossip_fields, lambda: [b"\x01\x7f\0\0\1\x26\x07", b"\0" + bytes(16), b"\x05\x03a.b\0\1"]
    )
    yield Target("stored_record", _stored, _stored_lines)
    yield Target("handshake", _handshake, lambda: [*bytes_in("bolt08/transport.json"), bytes(50) + b"\1" * 66])
    yield Target("rpc_stream", _stream, lambda: [b'{"id":1,"method":"getinfo","params":{}}', b"[[[[", b'{"a":"\\"}"}'])
    yield Target("rpc_call", _call, _calls)
    yield Target("settings", _settings, lambda: [b'network = "regtest"\n[chain]\nurl = "http://x"\n', b"a.b.c = [1]"])


def _gossip_file(data: bytes) -> None:
    """As it came; and cut into records with right checksums: a length of two bytes, a kind, and so much of the rest."""
    head = cache.MAGIC + MAINNET.chain_hash
    cache.load(data, MAINNET.chain_hash)
    pieces, at = [], 0
    while at + 3 <= len(data):
        length = int.from_bytes(data[at : at + 2], "big")
        pieces.append(cache._record(data[at + 2], data[at + 3 : at + 3 + length]))
        at += 3 + length
    graph = cache.load(head + b"".join(pieces), MAINNET.chain_hash)
    again = cache.load(b"".join(cache.dump(graph, MAINNET.chain_hash)), MAINNET.chain_hash)
    assert sorted(again.node_ids()) == sorted(graph.node_ids())


def _gossip_pieces() -> Iterator[bytes]:
    for frame in frames():
        kind = int.from_bytes(frame[:2], "big")
        if kind == 257:
            yield len(frame).to_bytes(2, "big") + b"\2" + frame
        if kind == 256:
            body = cache._CHANNEL.pack(1, 0, 1000, False) + len(frame).to_bytes(2, "big") + frame + bytes(4)
            yield len(body).to_bytes(2, "big") + b"\1" + body


def _gossip_fields(data: bytes) -> None:
    try:
        found = parse_addresses(data)
        assert parse_addresses(encode_addresses(found)) == tuple(sorted(found, key=encode_address))
        assert hostnames(data) >= 0
    except (Malformed, PeerFault, Refused):
        pass
    try:
        scids = decode_scids(data)
        assert decode_scids(encode_scids(scids)) == scids
    except (Malformed, PeerFault, Refused):
        pass
    count = data[0] if data else 0
    for decode, each in ((decode_flags, 1), (decode_timestamps, 2)):
        with contextlib.suppress(Malformed, PeerFault, Refused):
            assert len(decode(data[1:], count)) == each * count


_LINES = [line for line in read_lines() if not line.name.startswith("enum:")]


def _stored(data: bytes) -> None:
    """The first two bytes say which type's numbers are in force."""
    line = _LINES[int.from_bytes(data[:2], "big") % len(_LINES)]
    codec = Codec(Numbers(enumerate(line.names.split(","), start=1)))
    try:
        value = codec.unpack(data[2:])
    except StoreFault:
        return
    if isinstance(value, Record):
        assert codec.unpack(codec.pack(value)) == value


def _stored_lines() -> Iterator[bytes]:
    for number, line in enumerate(_LINES):
        yield number.to_bytes(2, "big") + bytes.fromhex(line.packed)


def _handshake(data: bytes) -> None:
    us, them = NodeId(point_of(SECRET)), NodeId(point_of(b"\x03" * 32))
    answering = Session.answer(us, EPHEMERAL, lambda point: ecdh(SECRET, point))
    dialling = Session.dial(us, them, EPHEMERAL, lambda point: ecdh(SECRET, point))
    for session in (answering, dialling):
        for cut in (data[:50], data[50:]):
            try:
                session.feed(cut)
            except TransportFault:
                break


def _stream(data: bytes) -> None:
    objects = Objects()
    for cut in (data[:7], data[7:]):
        try:
            for text in objects.feed(cut):
                parse_call(text)
        except Refused as fault:
            error_text(None, fault)
            return


def _call(data: bytes) -> None:
    """A request, as the node would get it; the command may be named by its number."""
    try:
        call = parse_call(data)
    except Refused:
        return
    names = [command.name for command in REGISTRY]
    name = names[int(call.method) % len(names)] if call.method.isascii() and call.method.isdigit() else call.method
    if name in WAITS:
        return
    try:
        answer = asyncio.run(Dispatcher(RunningNode()).call(name, call.params))
    except InvariantBroken:
        raise
    except Fault as fault:
        error_text(call.id, fault)
        return
    json.dumps(answer, default=str)


def _calls() -> Iterator[bytes]:
    for command in REGISTRY:
        params = {field.encode_name: "1" for field in command.parameters}
        yield json.dumps({"id": 1, "method": command.name, "params": params}).encode()


_FILE = Path(tempfile.gettempdir()) / f"fulmen-fuzz-settings-{os.getpid()}.toml"


def _settings(data: bytes) -> None:
    _FILE.write_bytes(data)
    try:
        load({}, {}, _FILE)
    except Refused:
        return
    finally:
        _FILE.unlink()
