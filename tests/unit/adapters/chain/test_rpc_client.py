"""Answers of a server that is slow, mad, or gone: named faults, bounded memory, never a traceback."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
from datetime import UTC, datetime
from ipaddress import ip_address

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.builders.chain_source import a_server, an_embedded_chain, http

from fulmen.adapters.chain import (
    ChainSourceFault,
    Endpoint,
    RpcClient,
    SourceGarbage,
    SourceRefused,
    SourceTimedOut,
    SourceUnauthorized,
    SourceUnreachable,
    SourceUntrusted,
    SourceWarmingUp,
)
from fulmen.adapters.chain.rpc_client import EndpointUnreadable


def ask(answer, method="x", type_=int, timeout_s=5.0):
    """What a client makes of one answer."""

    async def play():
        async with a_server(answer) as url:
            client = RpcClient(Endpoint.from_url(url), timeout_s)
            try:
                return await client.call(type_, method)
            finally:
                await client.close()

    return asyncio.run(play())


def test_a_result_is_read_as_its_type():
    assert ask(lambda _: http(b'{"result":5,"error":null,"id":0}')) == 5


def test_the_request_names_its_version_for_servers_that_ask():
    seen = []

    def answer(body):
        seen.append(json.loads(body))
        return http(b'{"result":5,"error":null,"id":0}')

    ask(answer)
    assert seen == [{"jsonrpc": "1.0", "id": 0, "method": "x", "params": []}]


def test_chunks_are_put_together():
    body = b'{"result":5,"error":null,"id":0}'
    chunks = b"1\r\n" + body[:1] + b"\r\n1F;note=x\r\n" + body[1:] + b"\r\n0\r\n\r\n"
    assert ask(lambda _: b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks) == 5


def test_a_body_without_length_ends_with_the_connection():
    async def play():
        async def serve_one(reader, writer):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b'HTTP/1.1 200 OK\r\n\r\n{"result":5,"error":null,"id":0}')
            writer.close()

        server = await asyncio.start_server(serve_one, "127.0.0.1", 0)
        client = RpcClient(Endpoint("127.0.0.1", server.sockets[0].getsockname()[1]))
        try:
            return await client.call(int, "x")
        finally:
            await client.close()
            server.close()
            await server.wait_closed()

    assert asyncio.run(play()) == 5


@pytest.mark.parametrize(
    ("raw", "fault"),
    [
        (http(b"not json"), SourceGarbage),
        (http(b"\n"), SourceGarbage),
        (http(b"[" * 100_000), SourceGarbage),
        (http(b'{"result":"five","error":null}'), SourceGarbage),
        (http(b'{"result":null,"error":null}'), SourceGarbage),
        (http(b'{"error":{"code":"x"}}'), SourceGarbage),
        (http(b'{"error":"plain words"}'), SourceGarbage),
        (http(b'{"result":null,"error":{"code":-8,"message":"no"}}', 500), SourceRefused),
        (http(b'{"result":null,"error":{"code":-28,"message":"Loading"}}', 500), SourceWarmingUp),
        (http(b"", 401), SourceUnauthorized),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", SourceGarbage),
        (b"HTTP/1.1 abc\r\n\r\n", SourceGarbage),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n", SourceGarbage),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n", SourceGarbage),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", SourceGarbage),
        (b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 50_000 + b"\r\n", SourceGarbage),
        (None, SourceUnreachable),
    ],
)
def test_every_madness_has_a_name(raw, fault):
    with pytest.raises(fault):
        ask(lambda _: raw)


@settings(suppress_health_check=list(HealthCheck), deadline=None, max_examples=60)
@given(st.binary(max_size=300))
def test_no_bytes_are_a_traceback(body):
    try:
        ask(lambda _: http(body))
    except ChainSourceFault as fault:
        assert fault.name


def test_a_server_that_says_nothing_is_given_up():
    with pytest.raises(SourceTimedOut):
        ask(lambda _: b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n", timeout_s=0.05)


@pytest.mark.parametrize("host", ["a..b", "a" * 70])
def test_a_name_that_no_host_can_have_is_unreachable(host: str) -> None:
    with pytest.raises(SourceUnreachable):
        asyncio.run(RpcClient(Endpoint(host, 1)).call(int, "x"))


def test_nobody_there_is_unreachable():
    async def play():
        async with a_server(lambda _: None) as url:
            gone = url
        client = RpcClient(Endpoint.from_url(gone))
        with pytest.raises(SourceUnreachable):
            await client.call(int, "x")

    asyncio.run(play())


def test_a_kept_connection_that_was_closed_is_opened_again():
    answers = iter([http(b'{"result":1,"error":null}'), None, http(b'{"result":2,"error":null}')])

    async def play():
        async with a_server(lambda _: next(answers)) as url:
            client = RpcClient(Endpoint.from_url(url))
            got = [await client.call(int, "x"), await client.call(int, "x")]
            await client.close()
            return got

    assert asyncio.run(play()) == [1, 2]


def test_an_array_is_answered_in_the_order_of_its_calls():
    raw = b'[{"result":2,"error":null,"id":1},{"result":null,"error":{"code":-5,"message":"no"},"id":0}]'

    async def play():
        async with a_server(lambda _: http(raw)) as url:
            client = RpcClient(Endpoint.from_url(url))
            answers = await client.batch(int, [("a", ()), ("b", ())])
            with pytest.raises(SourceGarbage):
                await client.batch(int, [("a", ()), ("b", ()), ("c", ())])
            assert await client.batch(int, []) == []
            await client.close()
            return answers

    first, second = asyncio.run(play())
    assert isinstance(first, SourceRefused)
    assert second == 2


def test_a_new_cookie_is_read_when_the_old_one_is_refused(tmp_path):
    async def play():
        async with an_embedded_chain() as (chain, _):
            cookie = tmp_path / ".cookie"
            cookie.write_text("__cookie__:of yesterday")
            client = RpcClient(Endpoint("127.0.0.1", chain.port, cookie=cookie))
            with pytest.raises(SourceUnauthorized):
                await client.call(int, "getblockcount")
            cookie.write_text(chain.url.split("//")[1].split("@")[0])
            assert await client.call(int, "getblockcount") == 0
            await client.close()

    asyncio.run(play())


def test_a_missing_cookie_is_unreachable(tmp_path):
    async def play():
        client = RpcClient(Endpoint("127.0.0.1", 1, cookie=tmp_path / "nothing"))
        with pytest.raises(SourceUnreachable, match="cookie"):
            await client.call(int, "x")

    asyncio.run(play())


@pytest.mark.parametrize("url", ["", "host:80", "ftp://x:1/", "http://:1/", "http://host/", "http://h:99999/"])
def test_an_address_that_is_none_is_refused(url):
    with pytest.raises(EndpointUnreadable):
        Endpoint.from_url(url)


def test_an_address_may_hold_a_name_and_a_password():
    endpoint = Endpoint.from_url("https://al%40ice:p%3Aw@example.com:8332/wallet")
    assert (endpoint.user, endpoint.password, endpoint.tls, endpoint.path) == ("al@ice", "p:w", True, "/wallet")


def test_a_server_with_its_own_certificate_is_trusted_by_that_certificate_alone(tmp_path):
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "btcd")])
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), 1)
        .not_valid_before(datetime(2020, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2099, 1, 1, tzinfo=UTC))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .add_extension(x509.KeyUsage(True, False, False, False, False, True, False, False, False), True)
        .sign(key, hashes.SHA256())
    )
    pem = tmp_path / "rpc.cert"
    pem.write_bytes(certificate.public_bytes(Encoding.PEM))
    secret = tmp_path / "rpc.key"
    secret.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem, secret)

    async def play():
        async def serve_one(reader, writer):
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
                await reader.readuntil(b"\r\n\r\n")
                writer.write(http(b'{"result":5,"error":null,"id":0}'))
                await writer.drain()
            writer.close()

        server = await asyncio.start_server(serve_one, "127.0.0.1", 0, ssl=context)
        port = server.sockets[0].getsockname()[1]
        trusting = RpcClient(Endpoint("127.0.0.1", port, tls=True, certificate=pem))
        assert await trusting.call(int, "x") == 5
        with pytest.raises(SourceUntrusted, match="certificate"):
            await RpcClient(Endpoint("127.0.0.1", port, tls=True)).call(int, "x")
        await trusting.close()
        server.close()
        await server.wait_closed()

    asyncio.run(play())
    with pytest.raises(EndpointUnreadable):
        RpcClient(Endpoint("127.0.0.1", 1, tls=True, certificate=tmp_path / "nothing"))
