"""The proxy in front of a chain's RPC passes calls on, late where it is told to, and says its own feerates."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest
from interop.chain_proxy import ChainProxy

from fulmen.core.base.ids import OutPoint, Txid
from fulmen.core.base.units import Sat
from fulmen.core.bitcoin.transaction import Tx, TxIn, TxOut
from fulmen.lab.http_json import Unanswered, ask


@pytest.fixture
def proxy() -> Iterator[ChainProxy]:
    proxy = ChainProxy(0, 1)
    yield proxy
    proxy.close()


def test_estimates_are_its_own_alone_and_in_a_batch() -> None:
    proxy = ChainProxy(0, 1)
    proxy.sat_per_kvb = 20_000
    call = {"method": "estimatesmartfee", "params": [6], "id": 1}
    said = {"result": None, "error": {"code": -1}, "id": 1}
    own = {"result": {"feerate": 0.0002, "blocks": 2}, "error": None, "id": 1}
    other = {"result": 7, "error": None, "id": 2}
    alone = proxy.answer(json.dumps(call).encode(), json.dumps(said).encode())
    assert json.loads(alone) == own
    batch = [call, {"method": "getblockcount", "id": 2}]
    assert json.loads(proxy.answer(json.dumps(batch).encode(), json.dumps([said, other]).encode())) == [own, other]
    proxy.close()


def test_what_it_is_not_told_to_change_it_leaves(proxy: ChainProxy) -> None:
    proxy.sat_per_kvb = 20_000
    assert proxy.answer(b'{"method": "getblockcount"}', b"not even JSON") == b"not even JSON"


def test_what_is_sent_is_kept_only_while_it_is_told_to(proxy: ChainProxy) -> None:
    tx = Tx(2, (TxIn(OutPoint(Txid(bytes(32)), 1), b"", 0, ()),), (TxOut(Sat(1000), b"\x51"),), 0)
    raw = tx.serialize().hex()
    call = {"method": "sendrawtransaction", "params": [raw, 0], "id": 7}
    assert proxy.keep(json.dumps(call).encode()) is None
    proxy.keeps = True
    assert ask(proxy.port, "POST", "/", call) == {"result": tx.txid[::-1].hex(), "error": None, "id": 7}
    assert proxy.kept == [raw]
    assert proxy.keep(b'{"method": "getblockcount"}') is None
    assert proxy.keep(b'[{"method": "getblockcount"}]') is None


def test_a_daemon_that_is_gone_answers_nothing_and_late(proxy: ChainProxy) -> None:
    proxy.delay_s = 0.05
    began = time.monotonic()
    with pytest.raises(Unanswered):
        ask(proxy.port, "POST", "/", {"method": "getblockcount"})
    assert time.monotonic() - began >= 0.05 and proxy.asked == 1


def test_a_call_and_its_answer_pass() -> None:
    inner = ChainProxy(0, 1)
    outer = ChainProxy(0, inner.port)
    with pytest.raises(Unanswered):
        ask(outer.port, "POST", "/", {"method": "getblockcount"})
    assert (outer.asked, inner.asked) == (1, 1)
    outer.close()
    inner.close()
