"""The calls of Lightning nodes, and the words they wait for."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.builders.regtest import P2A, Wallet, a_funded_node, a_node, output_of

from fulmen.core.base.units import Sat
from fulmen.core.bitcoin.address import address_of
from fulmen.core.bitcoin.block import parse_block
from fulmen.core.bitcoin.networks import REGTEST
from fulmen.core.bitcoin.script import nulldata
from fulmen.core.bitcoin.transaction import TxOut
from fulmen.regtest.rpc.dispatch import answer
from fulmen.regtest.rpc.registry import CALLS

GENESIS = "0f9188f13cb7b2c71f2a335e3a4fc328bf5beb436012afca590b1a11466e2206"
ADDRESS = address_of(Wallet().script, REGTEST)


def ask(node, method, *params):
    """The result of a call, or (code, message) of its error."""
    _, body = answer(node, json.dumps({"id": 7, "method": method, "params": list(params)}).encode())
    reply = json.loads(body)
    assert reply["id"] == 7
    if reply["error"] is not None:
        assert reply["result"] is None
        return reply["error"]["code"], reply["error"]["message"]
    return reply["result"]


def shown(txid: bytes) -> str:
    return txid[::-1].hex()


def test_what_lnd_asks_at_start_is_answered():
    node = a_node()
    assert ask(node, "getblockhash", 0) == GENESIS
    info = ask(node, "getblockchaininfo")
    assert (info["chain"], info["blocks"], info["initialblockdownload"]) == ("regtest", 0, False)
    assert ask(node, "getnetworkinfo")["subversion"].startswith("/Satoshi:")
    assert float(ask(node, "getmempoolinfo")["mempoolminfee"]) == 0.000001
    assert len(ask(node, "getblockheader", GENESIS, False)) == 160
    assert ask(node, "getblockheader", GENESIS, True)["height"] == 0
    assert ask(node, "getblock", GENESIS, 0).startswith("01000000")
    assert ask(node, "getinfo")[0] == -32601
    assert ask(node, "uptime") == 0
    assert ask(node, "getdeploymentinfo")["deployments"]["segwit"]["active"] is True
    assert "TAPROOT" in ask(node, "getdeploymentinfo")["script_flags"]
    assert ask(node, "getindexinfo")["txindex"] == {"synced": True, "best_block_height": 0}
    assert ask(node, "getindexinfo", "nothing") == {}


def test_a_batch_is_answered_in_order_with_its_errors():
    node = a_node()
    requests = [{"id": 1, "method": "getrawmempool", "params": [False]}, {"id": 2, "method": "getinfo", "params": []}]
    status, body = answer(node, json.dumps(requests).encode())
    first, second = json.loads(body)
    assert status == 200
    assert first == {"result": [], "error": None, "id": 1}
    assert second["error"] == {"code": -32601, "message": "Method not found"}


def test_blocks_look_as_they_should_at_every_verbosity():
    node, wallet, [coin] = a_funded_node()
    tx = wallet.pay(coin, fee=1000)
    ask(node, "sendrawtransaction", tx.serialize().hex())
    [block_hash] = ask(node, "generatetoaddress", 1, ADDRESS)
    raw = ask(node, "getblock", block_hash, 0)
    assert parse_block(bytes.fromhex(raw)).txs[1] == tx
    one = ask(node, "getblock", block_hash)
    assert one["tx"][1] == shown(tx.txid)
    assert (one["height"], one["confirmations"], one["nTx"]) == (102, 1, 2)
    assert one["previousblockhash"] == ask(node, "getblockhash", 101)
    two = ask(node, "getblock", block_hash, 2)
    assert two["tx"][1]["fee"] == 0.00001
    assert two["tx"][1]["hex"] == tx.serialize().hex()
    three = ask(node, "getblock", block_hash, 3)
    assert three["tx"][1]["vin"][0]["prevout"]["value"] == 50
    assert ask(node, "getblockheader", GENESIS)["nextblockhash"] == ask(node, "getblockhash", 1)


def test_a_block_off_the_chain_has_minus_one_confirmations():
    node = a_node()
    [lost] = ask(node, "mine", 1)
    ask(node, "invalidateblock", lost)
    assert ask(node, "getblockheader", lost)["confirmations"] == -1
    assert ask(node, "getblockcount") == 0
    assert ask(node, "getchaintips")[0]["status"] == "invalid"
    ask(node, "reconsiderblock", lost)
    assert ask(node, "getbestblockhash") == lost


class TestSending:
    def test_a_new_transaction_gives_its_txid_and_so_does_the_same_again(self):
        node, wallet, [coin] = a_funded_node()
        tx = wallet.pay(coin, fee=1000)
        for _ in range(2):
            assert ask(node, "sendrawtransaction", tx.serialize().hex()) == shown(tx.txid)
        assert ask(node, "getrawmempool") == [shown(tx.txid)]

    def test_a_confirmed_one_is_minus_27(self):
        node, wallet, [coin] = a_funded_node()
        tx = wallet.pay(coin, fee=1000)
        ask(node, "sendrawtransaction", tx.serialize().hex())
        ask(node, "mine")
        assert ask(node, "sendrawtransaction", tx.serialize().hex(), 0) == (
            -27,
            "Transaction outputs already in utxo set",
        )

    def test_missing_inputs_are_minus_25(self):
        node, wallet, [coin] = a_funded_node()
        tx = wallet.pay(output_of(wallet.pay(coin, fee=1000)), fee=1000)
        assert ask(node, "sendrawtransaction", tx.serialize().hex()) == (-25, "bad-txns-inputs-missingorspent")

    def test_policy_is_minus_26_with_the_reason(self):
        node, wallet, [coin] = a_funded_node()
        tx = wallet.pay(coin, fee=10)
        assert ask(node, "sendrawtransaction", tx.serialize().hex(), 0) == (-26, "min relay fee not met, 10 < 11")

    def test_a_huge_fee_is_taken_for_a_mistake_unless_allowed(self):
        node, wallet, [coin] = a_funded_node()
        tx = wallet.pay(coin, fee=10_000_000)
        assert ask(node, "sendrawtransaction", tx.serialize().hex()) == (
            -25,
            "Fee exceeds maximum configured by user (e.g. -maxtxfee, maxfeerate)",
        )
        assert ask(node, "sendrawtransaction", tx.serialize().hex(), 0) == shown(tx.txid)

    def test_burning_money_needs_permission(self):
        node, wallet, [coin] = a_funded_node()
        outputs = [TxOut(Sat(coin[1] - 2000), wallet.script), TxOut(Sat(1000), nulldata(b"gone"))]
        tx = wallet.spend([coin], outputs).serialize().hex()
        assert ask(node, "sendrawtransaction", tx)[0] == -25
        assert ask(node, "sendrawtransaction", tx, 0, "0.00001") != -25

    @pytest.mark.parametrize("junk", ["", "00", "zz", "0200000000010000000000", "ff" * 1000])
    def test_what_does_not_parse_is_minus_22(self, junk):
        assert ask(a_node(), "sendrawtransaction", junk) == (
            -22,
            "TX decode failed. Make sure the tx has at least one input.",
        )


class TestTrying:
    def test_an_acceptable_transaction_shows_its_fees(self):
        node, wallet, [coin] = a_funded_node()
        tx = wallet.pay(coin, fee=1100)
        [result] = ask(node, "testmempoolaccept", [tx.serialize().hex()], 0)
        assert (result["allowed"], result["vsize"], result["fees"]["base"]) == (True, 110, 0.000011)
        assert result["fees"]["effective-feerate"] == 0.0001
        assert result["fees"]["effective-includes"] == [shown(tx.wtxid)]

    def test_reject_reasons_are_cores(self):
        node, wallet, [coin] = a_funded_node()
        tx = wallet.pay(coin, fee=1000)
        orphan = wallet.pay(output_of(tx), fee=1000)
        assert ask(node, "testmempoolaccept", [orphan.serialize().hex()])[0]["reject-reason"] == "missing-inputs"
        ask(node, "sendrawtransaction", tx.serialize().hex())
        [again] = ask(node, "testmempoolaccept", [tx.serialize().hex()])
        assert (again["allowed"], again["reject-reason"]) == (False, "txn-already-in-mempool")
        [costly] = ask(node, "testmempoolaccept", [wallet.pay(coin, fee=9_000_000).serialize().hex()])
        assert costly["reject-reason"] == "max-fee-exceeded"

    def test_several_are_tried_in_order(self):
        node, wallet, [coin] = a_funded_node()
        tx = wallet.pay(coin, fee=1000)
        child = wallet.pay(output_of(tx), fee=1000)
        both = [each.serialize().hex() for each in (tx, child)]
        assert [each["allowed"] for each in ask(node, "testmempoolaccept", both)] == [True, True]
        wrong = ask(node, "testmempoolaccept", both[::-1])
        assert [each["package-error"] for each in wrong] == ["package-not-sorted"] * 2
        assert ask(node, "testmempoolaccept", [])[0] == -8


def test_a_package_is_submitted_with_its_effective_feerate():
    node, wallet, [coin, spare] = a_funded_node(coins=2)
    parent = wallet.spend([coin], [TxOut(coin[1], wallet.script), TxOut(Sat(0), P2A)], version=3)
    child = wallet.spend([(parent.outpoint(1), Sat(0)), spare], [TxOut(Sat(spare[1] - 5000), wallet.script)], version=3)
    answer_ = ask(node, "submitpackage", [tx.serialize().hex() for tx in (parent, child)])
    assert answer_["package_msg"] == "success"
    assert answer_["replaced-transactions"] == []
    results = answer_["tx-results"]
    assert results[shown(parent.wtxid)]["fees"]["base"] == 0
    assert sorted(results[shown(child.wtxid)]["fees"]["effective-includes"]) == sorted(
        [shown(parent.wtxid), shown(child.wtxid)]
    )
    entry = ask(node, "getmempoolentry", shown(parent.txid))
    assert (entry["spentby"], entry["descendantcount"]) == ([shown(child.txid)], 2)
    assert entry["fees"]["chunk"] == 0.00005
    assert ask(node, "getmempoolancestors", shown(child.txid)) == [shown(parent.txid)]
    assert list(ask(node, "getmempooldescendants", shown(parent.txid), True)) == [shown(child.txid)]


def test_a_package_of_strangers_is_refused():
    node, wallet, [coin, spare] = a_funded_node(coins=2)
    txs = [wallet.pay(each, fee=1000).serialize().hex() for each in (coin, spare)]
    assert ask(node, "submitpackage", txs)[0] == -25


def test_an_output_is_shown_until_it_is_spent():
    node, wallet, [coin] = a_funded_node()
    txid = shown(coin[0].txid)
    assert ask(node, "gettxout", txid, 0)["confirmations"] == 101
    tx = wallet.pay(coin, fee=1000)
    ask(node, "sendrawtransaction", tx.serialize().hex())
    assert ask(node, "gettxout", txid, 0) is None
    assert ask(node, "gettxout", txid, 0, True) is None
    assert ask(node, "gettxout", txid, 0, False)["value"] == 50
    assert ask(node, "gettxout", shown(tx.txid), 0)["confirmations"] == 0
    assert ask(node, "gettxout", shown(tx.txid), 0, False) is None
    assert ask(node, "gettxout", shown(tx.txid), 9) is None


def test_who_spends_an_output_is_known_in_the_mempool_and_in_a_block():
    node, wallet, [coin] = a_funded_node()
    wanted = {"txid": shown(coin[0].txid), "vout": 0}
    assert ask(node, "gettxspendingprevout", [wanted]) == [wanted]
    tx = wallet.pay(coin, fee=1000)
    ask(node, "sendrawtransaction", tx.serialize().hex())
    assert ask(node, "gettxspendingprevout", [wanted]) == [wanted | {"spendingtxid": shown(tx.txid)}]
    [block_hash] = ask(node, "mine")
    [found] = ask(node, "gettxspendingprevout", [wanted], {"return_spending_tx": True})
    assert (found["blockhash"], found["spendingtx"]) == (block_hash, tx.serialize().hex())
    assert ask(node, "gettxspendingprevout", [wanted], {"mempool_only": True}) == [wanted]
    assert ask(node, "gettxspendingprevout", [])[0] == -8
    assert ask(node, "gettxspendingprevout", ["x"])[0] == -3


def test_transactions_are_found_in_mempool_and_chain():
    node, wallet, [coin] = a_funded_node()
    tx = wallet.pay(coin, fee=1000)
    assert ask(node, "getrawtransaction", shown(tx.txid))[0] == -5
    ask(node, "sendrawtransaction", tx.serialize().hex())
    assert ask(node, "getrawtransaction", shown(tx.txid), False) == tx.serialize().hex()
    [block_hash] = ask(node, "mine")
    found = ask(node, "getrawtransaction", shown(tx.txid), 1)
    assert (found["blockhash"], found["confirmations"], found["txid"]) == (block_hash, 1, shown(tx.txid))
    assert ask(node, "getrawtransaction", shown(tx.txid), 2)["fee"] == 0.00001
    assert ask(node, "getrawtransaction", shown(tx.txid), 1, block_hash)["in_active_chain"] is True
    assert ask(node, "getrawtransaction", shown(tx.txid), 1, GENESIS)[0] == -5
    assert ask(node, "decoderawtransaction", tx.serialize().hex())["vsize"] == tx.vsize


def test_a_block_can_be_mined_with_exactly_what_is_named():
    node, wallet, [one, two] = a_funded_node(2)
    named, raw = wallet.pay(one, fee=1000), wallet.pay(two, fee=1000)
    for tx in (named, raw):
        ask(node, "sendrawtransaction", tx.serialize().hex())
    empty = ask(node, "generateblock", ADDRESS, [])["hash"]
    assert ask(node, "getblock", empty)["nTx"] == 1
    full = ask(node, "generateblock", "raw(51)", [shown(named.txid), raw.serialize().hex()])["hash"]
    assert ask(node, "getblock", full)["tx"][1:] == [shown(named.txid), shown(raw.txid)]
    assert ask(node, "getrawmempool") == []
    assert ask(node, "generateblock", ADDRESS, ["00" * 32])[0] == -5
    assert ask(node, "generateblock", ADDRESS, ["00"])[0] == -22
    assert ask(node, "generateblock", ADDRESS, [raw.serialize().hex()])[0] == -25
    assert ask(node, "generateblock", ADDRESS, [], False)[0] == -8


def test_the_faucet_and_the_scan_agree():
    node = a_node()
    txid = ask(node, "faucet", ADDRESS, 1.25)
    ask(node, "generatetodescriptor", 1, f"addr({ADDRESS})#00000000")
    found = ask(node, "scantxoutset", "start", [f"addr({ADDRESS})", {"desc": "raw(51)"}])
    assert found["success"] is True
    assert {each["txid"] for each in found["unspents"] if not each["coinbase"]} == {txid}
    assert found["total_amount"] == pytest.approx(51.25, abs=0.01)
    assert ask(node, "faucet", ADDRESS, 0.000001) == (-26, "dust, tx with dust output must be 0-fee")
    assert ask(node, "faucet", ADDRESS, 20_000_000)[0] == -6
    assert ask(node, "faucet", "nonsense", 1) == (-5, "Invalid address")


def test_addresses_are_explained():
    assert ask(a_node(), "validateaddress", ADDRESS)["witness_version"] == 0
    assert ask(a_node(), "validateaddress", "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4")["isvalid"] is False


def test_filters_chain_from_the_genesis_block():
    node = a_node()
    first = ask(node, "getblockfilter", GENESIS)
    assert first["filter"].startswith("01")
    [block_hash] = ask(node, "mine")
    assert ask(node, "getblockfilter", block_hash)["header"] != first["header"]
    ask(node, "invalidateblock", block_hash)
    assert ask(node, "getblockfilter", block_hash) == (-5, "Block was not connected to active chain.")


def test_fees_rise_when_better_payers_fill_the_block():
    node = a_node()
    assert ask(node, "estimatesmartfee", 6, "CONSERVATIVE") == {"feerate": 0.00001, "blocks": 6}
    assert ask(node, "estimatesmartfee", 0)[0] == -8


@pytest.mark.parametrize(
    ("call", "code"),
    [
        (("getblockhash", 10), -8),
        (("getblockhash", "1"), -3),
        (("getblockhash",), -1),
        (("getblockhash", 1, 2, 3), -1),
        (("getblock", "00"), -8),
        (("getblock", "zz" * 32), -8),
        (("getblock", "11" * 32), -5),
        (("invalidateblock", "11" * 32), -5),
        (("invalidateblock", GENESIS), -1),
        (("reconsiderblock", "11" * 32), -5),
        (("generatetoaddress", 10**9, ADDRESS), -8),
        (("generatetodescriptor", 1, "wpkh(xpub)"), -5),
        (("getmempoolentry", "11" * 32), -5),
        (("setmocktime", -1), -8),
        (("submitblock", "00"), -22),
        (("faucet", ADDRESS, True), -3),
        (("faucet", ADDRESS, 0.000000001), -3),
        (("prioritisetransaction", "11" * 32, 5, 0), -8),
        (("scantxoutset", "dance"), -8),
        (("getblockfilter", GENESIS, "extended"), -5),
    ],
)
def test_bad_calls_are_refused_with_cores_numbers(call, code):
    assert ask(a_node(), *call)[0] == code


def test_named_parameters_are_understood():
    node = a_node()
    body = {"id": 1, "method": "getblock", "params": {"blockhash": GENESIS, "verbosity": 0}}
    assert json.loads(answer(node, json.dumps(body).encode())[1])["result"].startswith("01000000")
    body["params"] = {"blockhash": GENESIS, "speed": 3}
    assert json.loads(answer(node, json.dumps(body).encode())[1])["error"]["code"] == -8


def test_version_2_of_json_rpc_says_one_thing_only():
    node = a_node()
    status, body = answer(node, b'{"jsonrpc":"2.0","id":1,"method":"nothing"}')
    assert (status, json.loads(body)) == (
        200,
        {"jsonrpc": "2.0", "error": {"code": -32601, "message": "Method not found"}, "id": 1},
    )
    assert answer(node, b'{"jsonrpc":"2.0","method":"getblockcount"}') == (204, b"")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.just("11" * 32),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
HARMLESS = sorted(set(CALLS) - {"generatetoaddress", "generatetodescriptor", "generateblock", "mine"})
NODE = a_node()


@given(st.sampled_from(HARMLESS), st.lists(json_values, max_size=4))
def test_no_values_break_a_call(method, params):
    status, body = answer(NODE, json.dumps({"method": method, "params": params}).encode())
    assert status in (200, 400, 404, 500)
    reply = json.loads(body)
    assert reply["error"] is None or reply["error"]["code"] != -32603


@given(st.binary(max_size=200) | json_values.map(lambda value: json.dumps(value).encode()))
def test_no_bytes_break_the_server(body):
    status, _ = answer(NODE, body)
    assert status in (200, 204, 400, 404, 500)


def test_deep_nesting_is_a_parse_error():
    assert answer(NODE, b"[" * 100_000)[0] == 500
