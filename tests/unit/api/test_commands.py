import asyncio
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.builders.env import FEERATES
from tests.builders.handle import SECRET, RunningNode

import fulmen.api.commands  # noqa: F401  (fills the registry)
from fulmen.adapters.chain.faults import ChainSourceFault, SourceRefused
from fulmen.api.commands.peers import read_target, written
from fulmen.api.commands.shown import FEERATE_WORDS, feerate_of
from fulmen.api.commands.signing import from_zbase32, to_zbase32
from fulmen.api.dispatch import Dispatcher
from fulmen.api.errors import INVALID_PARAMS, REFUSED, BadParameter, NotPermitted, RpcError, code_of
from fulmen.api.params import read_params
from fulmen.api.registry import REGISTRY, Command, Permission, Registry
from fulmen.core.base.faults import Fault, InvariantBroken
from fulmen.core.crypto.secp256k1 import point_of, sign_recoverable

OTHER = bytes(31) + b"\x22"
ADDRESS = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"


def ask(node, method, params=None, **options):
    return asyncio.run(Dispatcher(node).call(method, params, **options))


def test_counters_are_told_as_they_stand():
    assert ask(RunningNode(), "counters") == {"counters": {"batches": 3, "facts": 7, "syncs": 2}}


def test_getinfo_says_who_we_are():
    info = ask(RunningNode(), "getinfo")
    assert info["id"] == point_of(SECRET).hex()
    assert list(info["binding"]) == [{"type": "ipv4", "address": "127.0.0.1", "port": 9735}]
    assert list(info["address"]) == [{"type": "ipv4", "address": "203.0.113.7", "port": 9736}]
    assert info["blockheight"] == 101
    assert info["lightning-dir"] == "/nowhere"


def test_getinfo_says_what_is_wrong_with_the_chain_and_nothing_when_all_is_well():
    node = RunningNode()
    assert not {"warning_bitcoind_sync", "warning_lightningd_sync"} & {k for k, v in ask(node, "getinfo").items() if v}
    node.chain_trouble, node.reading_chain = "AnotherChain: none of our blocks", True
    info = ask(node, "getinfo")
    assert info["warning_bitcoind_sync"] == "AnotherChain: none of our blocks"
    assert "reading" in info["warning_lightningd_sync"]


def test_feerates_per_kilobyte_are_four_times_those_per_kiloweight():
    kw, kb = ask(RunningNode(), "feerates"), ask(RunningNode(), "feerates", ["perkb"])
    assert {name: 4 * rate for name, rate in kw["perkw"].items()} == kb["perkb"]


@pytest.mark.parametrize(
    ("text", "per_kw"),
    [
        (None, None),
        ("urgent", FEERATES.urgent_per_kw),
        ("normal", FEERATES.closing_per_kw),
        ("slow", FEERATES.slow_per_kw),
        ("minimum", FEERATES.floor_per_kw),
        ("2500perkw", 2500),
        ("10000perkb", 2500),
        ("10001", 2501),
    ],
)
def test_a_feerate_is_a_word_or_a_number(text, per_kw):
    assert feerate_of(RunningNode(), text) == per_kw


@pytest.mark.parametrize(
    "text", ["", "Urgent", "fast", "urgentperkw", "-5perkw", "5sat", "1.5perkw", "0", "0perkw", "9" * 12]
)
def test_what_is_no_feerate_is_told_all_that_is_one(text):
    with pytest.raises(BadParameter, match=r"urgent, normal, slow, minimum, or .*perkw"):
        feerate_of(RunningNode(), text)


def test_the_words_of_a_feerate_are_those_of_the_table():
    table = ask(RunningNode(), "feerates")["perkw"]
    assert table["urgent"] > table["normal"] > table["slow"] > table["floor"]
    for word in FEERATE_WORDS:
        assert feerate_of(RunningNode(), word) == table[{"minimum": "floor"}.get(word, word)]


def test_help_lists_all_and_explains_one():
    assert len(ask(RunningNode(), "help")["help"]) == len(list(REGISTRY))
    one = ask(RunningNode(), "help", ["pay"])["help"][0]
    assert one["schema"]["request"]["$ref"].endswith("PayRequest")


def test_stop_stops():
    node = RunningNode()
    ask(node, "stop")
    assert node.stopped


@pytest.mark.parametrize(
    ("params", "where"),
    [
        (["{id}@127.0.0.1:9999"], "127.0.0.1:9999"),
        (["{id}@[::1]:9999"], "[::1]:9999"),
        (["{id}@node.example"], "node.example:19846"),
        (["{id}", "127.0.0.1"], "127.0.0.1:19846"),
        (["{id}", "::1", 7], "[::1]:7"),
    ],
)
def test_connect_takes_an_address_however_it_is_written(params, where):
    request = read_params(REGISTRY.get("connect"), [params[0].format(id=point_of(OTHER).hex()), *params[1:]])
    identity, host, port = read_target(request)
    assert identity == point_of(OTHER)
    assert type(identity) is bytes, "the store takes no other"
    assert written(host, port or 19846) == where


@pytest.mark.parametrize(
    "params",
    [
        ["02@x:1"],
        ["{id}@x:0"],
        ["{id}@x:99999"],
        ["{id}@x:1", "y"],
        ["{id}@x:1", None, 2],
        ["{id}@a b"],
        ["03" * 33],  # no point has this x
        ["{id}@[x"],
        ["{id}", "-x-"],
        ["{id}", "a" * 64],
        ["{id}@b." + "a" * 64 + ":1"],
    ],
)
def test_connect_refuses_what_is_no_address(params):
    with pytest.raises(RpcError):
        ask(RunningNode(), "connect", [params[0].format(id=point_of(OTHER).hex()), *params[1:]])


def test_the_regtest_obeys():
    node = RunningNode()
    assert len(ask(node, "mine", [3])["hashes"]) == 3
    assert ask(node, "faucet", [ADDRESS])["txid"] == "11" * 32
    assert len(ask(node, "reorg", {"depth": 2})["hashes"]) == 3
    assert node.chain_control.told == [("mine", 3, None), ("faucet", ADDRESS, 100_000_000), ("reorg", 2)]


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("faucet", ["addr"]),
        ("faucet", ["bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"]),
        ("faucet", [ADDRESS, "all"]),
        ("mine", [1, "addr"]),
    ],
)
def test_the_regtest_is_not_bothered_with_what_it_cannot_do(method, params):
    node = RunningNode()
    with pytest.raises(BadParameter) as caught:
        ask(node, method, params)
    assert code_of(caught.value) == INVALID_PARAMS
    assert node.chain_control.told == []


def test_a_chain_source_that_fails_is_no_bug_of_ours():
    faults = [kind(-5, "no") if kind is SourceRefused else kind() for kind in ChainSourceFault.__subclasses__()]
    assert {fault.name: code_of(fault) for fault in faults} == {fault.name: REFUSED for fault in faults}


def test_any_other_chain_obeys_nobody():
    node = RunningNode()
    node.chain_control = None
    with pytest.raises(RpcError, match="cannot be told"):
        ask(node, "mine")


def test_a_caller_without_the_permission_is_refused():
    with pytest.raises(NotPermitted, match="'admin'"):
        ask(RunningNode(), "stop", granted=frozenset({Permission.READ}))


def test_a_bug_of_ours_is_told_in_one_line():
    async def broken(node, request):
        raise ZeroDivisionError("inside")

    registry = Registry()
    getinfo = REGISTRY.get("getinfo")
    registry._commands["getinfo"] = Command("getinfo", Permission.READ, "", "", getinfo.request, getinfo.answer, broken)
    with pytest.raises(InvariantBroken, match="bug of ours") as caught:
        asyncio.run(Dispatcher(RunningNode(), registry).call("getinfo"))
    assert "inside" not in str(caught.value)


def test_a_signed_message_is_recognised():
    node = RunningNode()
    made = ask(node, "signmessage", ["hello"])
    assert ask(node, "checkmessage", ["hello", made["zbase"]]) == {"verified": True, "pubkey": node.node_id.hex()}
    told = ask(node, "checkmessage", ["hello", made["zbase"], point_of(OTHER).hex()])
    assert told == {"verified": False, "pubkey": node.node_id.hex()}


def test_the_signature_is_over_the_prefixed_double_hash():
    digest = hashlib.sha256(hashlib.sha256(b"Lightning Signed Message:hello").digest()).digest()
    raw = from_zbase32(ask(RunningNode(), "signmessage", ["hello"])["zbase"])
    assert raw[1:] + bytes([raw[0] - 31]) == sign_recoverable(SECRET, digest)


def test_a_stranger_who_signed_is_no_node_we_know():
    node = RunningNode()
    made = ask(node, "signmessage", ["hello"])
    with pytest.raises(RpcError) as caught:
        ask(node, "checkmessage", ["bye", made["zbase"]])
    assert code_of(caught.value) == 1301


@given(st.binary(max_size=80))
def test_zbase32_survives_the_way_there_and_back(data):
    assert from_zbase32(to_zbase32(data)) == data


@given(st.text(max_size=120))
def test_no_text_makes_checkmessage_stumble(text):
    with pytest.raises(Fault):
        ask(RunningNode(), "checkmessage", ["hello", text])


def test_zbase32_with_letters_outside_the_alphabet_is_refused():
    with pytest.raises(BadParameter, match="zbase32"):
        from_zbase32("l2v0")
