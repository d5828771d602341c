"""Logs name things and never tell secrets."""

from __future__ import annotations

import io
import json

import pytest
import structlog

from fulmen.core.base.faults import Refused
from fulmen.daemon import logs


@pytest.fixture
def out():
    stream = io.StringIO()
    before = structlog.get_config()
    logs.set_up("info", stream, json=True)
    yield stream
    structlog.configure(**before)
    logs.Detail.messages = False


def test_a_line_names_channel_peer_and_payment(out):
    structlog.get_logger().info("forwarded", channel=b"\x01\x02", peer=b"\x03", payment_hash=b"\x04", amount_msat=5)
    line = json.loads(out.getvalue())
    assert line["event"] == "forwarded"
    assert (line["channel"], line["peer"], line["payment_hash"], line["amount_msat"]) == ("0102", "03", "04", 5)
    assert line["level"] == "info"


def test_secrets_are_never_written(out):
    secret = b"\xaa" * 32
    structlog.get_logger().info(
        "x", preimage=secret, seed=secret, Password="hunter2", about={"payment_preimage": secret, "ok": 1}
    )
    assert "aaaa" not in out.getvalue()
    assert "hunter2" not in out.getvalue()
    assert json.loads(out.getvalue())["about"]["ok"] == 1


def test_a_peer_cannot_write_lines_of_its_own(out):
    structlog.get_logger().info("warning from peer", text='ok\n{"event":"paid"}\x1b[31m\u2028')
    assert out.getvalue().count("\n") == 1
    assert json.loads(out.getvalue())["text"] == 'ok\\x0a{"event":"paid"}\\x1b[31m\\x2028'


def test_faults_are_shown_by_name(out):
    structlog.get_logger().info("x", fault=Refused("not now", height=5), thing=object())
    assert json.loads(out.getvalue())["fault"] == "Refused: not now (height=5)"
    assert json.loads(out.getvalue())["thing"] == "<object>"


def test_what_is_too_detailed_is_left_out(out):
    structlog.get_logger().debug("each message")
    assert out.getvalue() == ""
    logs.set_up("debug", out, json=True)
    assert logs.Detail.messages
    structlog.get_logger().debug("each message")
    assert "each message" in out.getvalue()


@pytest.mark.parametrize("closed", [False, True])
def test_a_log_that_cannot_be_written_ends_nothing(closed):
    """Its disk is full, its reader is gone, or it was closed."""

    class Full(io.StringIO):
        def write(self, _text):
            raise OSError(28, "No space left on device")

        def flush(self):
            raise BrokenPipeError(32, "Broken pipe")

    stream = io.StringIO() if closed else Full()
    before = structlog.get_config()
    try:
        logs.set_up("info", stream, json=True)
        if closed:
            stream.close()
        structlog.get_logger().info("a line", height=5)
        structlog.get_logger().error("another")
    finally:
        structlog.configure(**before)


def test_a_level_that_is_none_is_refused_by_name():
    with pytest.raises(logs.BadLogLevel):
        logs.set_up("loud")
