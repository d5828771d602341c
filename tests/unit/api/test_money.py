"""The commands about money against the real machines."""

import asyncio

import pytest
from tests.builders.channels import CHANNEL, CHANNEL_ID, born, keys_of
from tests.builders.handle import RunningNode, an_invoice_of
from tests.builders.normal_channels import a_normal_channel
from tests.builders.wallets import ELSEWHERE, a_block, a_payment, told

import fulmen.api.commands  # noqa: F401  (fills the registry)
from fulmen.api.commands.invoices import terms_of_peers
from fulmen.api.commands.shown import ChannelUnknown
from fulmen.api.dispatch import Dispatcher
from fulmen.api.errors import BadParameter, RpcError, code_of
from fulmen.core.base.faults import Fault
from fulmen.core.base.ids import OutPoint, ShortChannelId, Txid
from fulmen.core.base.machine import Disconnected
from fulmen.core.base.outer import OutputSpent, Send, TimeReached
from fulmen.core.base.policy import ForwardPolicy
from fulmen.core.bitcoin.address import address_of, script_of
from fulmen.core.bitcoin.networks import MAINNET, REGTEST
from fulmen.core.channel.faults import OpeningNotPossible
from fulmen.core.channel.state import Link, Phase
from fulmen.core.channel.table import view
from fulmen.core.commitments.close import EARNINGS, ChannelResolved, FeesHandedOver
from fulmen.core.crypto.hashes import sha256
from fulmen.core.gossip.graph import DirectionPolicy
from fulmen.core.invoices import bolt11
from fulmen.core.routing.words import Terms
from fulmen.core.wallet.machine import ADDRESS as WALLET
from fulmen.core.wire.features import Features
from fulmen.core.wire.messages.opening import OpenChannel

ELSEWHERE_ADDRESS = address_of(ELSEWHERE, REGTEST)
SHUTTING_DOWN = "CHANNELD_SHUTTING_DOWN"


def ask(node, method, params=None):
    return asyncio.run(Dispatcher(node).call(method, params))


def a_node_with(*amounts_sat):
    node = RunningNode()
    for n, amount in enumerate(amounts_sat):
        node.tell(WALLET, told(a_payment(n + 1, amount), a_block(100)))
    return node


def a_node_with_a_channel():
    node = RunningNode("alice")
    bob = keys_of("bob").node_id
    node.tell(CHANNEL, born("alice", "bob", bob, is_opener=False))
    return node


# -- on chain --


def test_every_address_is_a_new_one_of_the_form_asked_for():
    node = RunningNode()
    first, second = ask(node, "newaddr")["bech32"], ask(node, "newaddr")["bech32"]
    assert first != second
    assert first.startswith("bcrt1q")
    assert ask(node, "newaddr", ["p2tr"])["p2tr"].startswith("bcrt1p")


def test_listfunds_shows_each_coin_and_its_parts():
    funds = ask(a_node_with(50_000, 70_000), "listfunds")
    assert sorted(one["amount_msat"] for one in funds["outputs"]) == [50_000_000, 70_000_000]
    assert {one["status"] for one in funds["outputs"]} == {"confirmed"}
    assert funds["balances"]["spendable_msat"] == 120_000_000


def test_what_is_kept_for_anchors_is_a_sum_of_its_own_and_lies_on_no_output():
    node = a_node_with_a_channel()
    short = ask(node, "listfunds")["balances"]
    assert (short["anchor_reserve_msat"], short["anchor_reserve_missing_msat"]) == (0, 10_000_000)
    for n, amount in enumerate((4_000, 50_000)):
        node.tell(WALLET, told(a_payment(n + 1, amount), a_block(100)))
    funds = ask(node, "listfunds")
    balances = funds["balances"]
    assert (balances["anchor_reserve_msat"], balances["anchor_reserve_missing_msat"]) == (10_000_000, 0)
    assert balances["reserved_msat"] == balances["anchor_reserve_msat"]
    assert balances["spendable_msat"] == 44_000_000
    assert not any(one["reserved"] for one in funds["outputs"])


def test_an_unconfirmed_coin_is_pending():
    node = RunningNode()
    node.tell(WALLET, told(a_payment(1, 50_000)))
    funds = ask(node, "listfunds")
    assert [one["status"] for one in funds["outputs"]] == ["unconfirmed"]
    assert funds["balances"]["pending_msat"] == 50_000_000


def test_withdraw_sends_what_it_says():
    node = a_node_with(100_000)
    sent = ask(node, "withdraw", [ELSEWHERE_ADDRESS, "40k"])
    assert sent["amount_msat"] == 40_000_000
    left = ask(node, "listfunds")["balances"]
    assert left["spendable_msat"] == 60_000_000 - sent["fee_msat"]


def test_a_rescan_says_what_it_found():
    node = RunningNode()
    assert ask(node, "rescan", [7]) == {
        "start_height": 7,
        "stop_height": 101,
        "transactions": 3,
        "lost_outputs": 2,
        "lost_amount_msat": 1_234_000,
        "txids": (bytes(reversed(range(32))).hex(),),
    }
    ask(node, "rescan")
    assert node.rescanned == [7, 0]
    with pytest.raises(RpcError):
        ask(node, "rescan", [-1])
    with pytest.raises(RpcError, match="ends at block 101"):
        ask(node, "rescan", [102])


def test_the_operators_word_about_where_a_close_pays_reaches_the_key_holder():
    node = a_node_with_a_channel()
    ask(node, "close", {"id": CHANNEL_ID.hex(), "destination": ELSEWHERE_ADDRESS, "force": True})
    assert node.payouts == [script_of(ELSEWHERE_ADDRESS, REGTEST)]


def test_withdraw_all_leaves_nothing():
    node = a_node_with(100_000)
    sent = ask(node, "withdraw", [ELSEWHERE_ADDRESS, "all"])
    assert sent["amount_msat"] + sent["fee_msat"] == 100_000_000


def test_what_the_mempool_does_not_take_is_said_and_not_taken_back():
    node = a_node_with(100_000)
    node.mempool_says = "min relay fee not met"
    with pytest.raises(RpcError, match=r"not out yet: min relay fee not met\. It is tried again") as caught:
        ask(node, "withdraw", [ELSEWHERE_ADDRESS, "40k"])
    assert code_of(caught.value) == 303
    assert 0 < ask(node, "listfunds")["balances"]["spendable_msat"] < 60_000_000


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ([ELSEWHERE_ADDRESS, "200k"], 301),
        ([ELSEWHERE_ADDRESS, 1], 302),
        ([address_of(ELSEWHERE, MAINNET), 1000], -32602),
        (["nowhere", 1000], -32602),
        ([ELSEWHERE_ADDRESS, 1000, "fast"], -32602),
        ([ELSEWHERE_ADDRESS, 1000, "1perkw"], -1),
    ],
)
def test_withdraw_refuses_with_a_code(params, code):
    with pytest.raises(Fault) as caught:
        ask(a_node_with(100_000), "withdraw", params)
    assert code_of(caught.value) == code


# -- peers --


def test_a_peer_that_is_met_is_listed():
    node = RunningNode()
    bob = node.meet("bob")
    (shown,) = ask(node, "listpeers")["peers"]
    assert shown["id"] == bob.hex()
    assert shown["connected"]
    assert ask(node, "getinfo")["num_peers"] == 1
    again = ask(node, "connect", [f"{bob.hex()}@192.0.2.1"])
    assert (again["id"], again["already_connected"]) == (bob.hex(), True)
    assert (again["address"], again["direction"]) == ("127.0.0.1:9736", "out"), "those of the connection that stands"


def test_how_many_htlcs_of_a_peer_came_to_nothing_is_shown_with_it():
    node = RunningNode()
    bob, carol = node.meet("bob"), node.meet("carol")
    node.failed[bob] = (700, 61)
    failed = {
        one["id"]: (one["failed_htlcs"], one["failed_htlcs_per_minute"]) for one in ask(node, "listpeers")["peers"]
    }
    assert failed == {bob.hex(): (700, 61), carol.hex(): (0, 0)}


def test_disconnect_of_nobody_is_refused():
    with pytest.raises(Fault, match=r"[Nn]o connection|not connected"):
        ask(RunningNode(), "disconnect", [keys_of("bob").node_id.hex()])


def test_connect_without_an_address_is_refused_with_its_code():
    with pytest.raises(Fault) as caught:
        ask(RunningNode(), "connect", [keys_of("bob").node_id.hex()])
    assert code_of(caught.value) == 400


# -- channels --


def test_fundchannel_begins_with_open_channel():
    node = a_node_with(1_000_000)
    bob = node.meet("bob")

    async def begin():
        call = asyncio.create_task(Dispatcher(node).call("fundchannel", [bob.hex(), "500k", None, False]))
        for _ in range(5):
            await asyncio.sleep(0)
        call.cancel()

    asyncio.run(begin())
    (sent,) = [one.message for one in node.actions if isinstance(one, Send) and isinstance(one.message, OpenChannel)]
    assert sent.funding_satoshis == 500_000
    assert sent.channel_flags == 0


def test_fundchannel_refuses_what_is_no_channel():
    node = a_node_with(1_000_000)
    bob = node.meet("bob")
    with pytest.raises(OpeningNotPossible):
        ask(node, "fundchannel", [bob.hex(), 10])


def test_fundchannel_with_a_stranger_says_connect_first():
    with pytest.raises(RpcError) as caught:
        ask(a_node_with(1_000_000), "fundchannel", [keys_of("bob").node_id.hex(), 500_000])
    assert code_of(caught.value) == 306


def test_a_channel_is_shown_with_what_it_holds():
    node = a_node_with_a_channel()
    (shown,) = ask(node, "listpeerchannels")["channels"]
    assert shown["channel_id"] == CHANNEL_ID.hex()
    assert shown["state"] == "CHANNELD_AWAITING_LOCKIN"
    assert (shown["total_msat"], shown["to_us_msat"]) == (1_000_000_000, 400_000_000)
    assert shown["opener"] == "remote"
    (funds,) = ask(node, "listfunds")["channels"]
    assert funds["our_amount_msat"] == 400_000_000
    assert ask(node, "getinfo")["num_pending_channels"] == 1


@pytest.mark.parametrize(
    ("features", "names"),
    [
        ((12,), ("static_remotekey/even",)),
        ((12, 22), ("static_remotekey/even", "anchors/even")),
        ((12, 22, 46, 50), ("static_remotekey/even", "anchors/even", "scid_alias/even", "zeroconf/even")),
    ],
)
def test_a_channel_says_of_which_type_it_is_as_core_lightning_does(features, names):
    class Typed(RunningNode):
        def states(self, kind):
            channel = a_normal_channel("bob")
            params = channel.terms.but(channel_type=Features.of(*features).to_bytes())
            return {CHANNEL_ID: channel.but(params=params)} if kind == "channel" else super().states(kind)

    (shown,) = ask(Typed("alice"), "listpeerchannels")["channels"]
    assert (shown["channel_type"]["bits"], shown["channel_type"]["names"]) == (features, names)


@pytest.mark.parametrize(
    ("changes", "counted"),
    [
        ({}, "active"),
        ({"link": Link.OFFLINE}, "active"),
        ({"phase": Phase.AWAITING_READY}, "pending"),
        ({"phase": Phase.SHUTDOWN}, "inactive"),
        ({"phase": Phase.SPENT}, "inactive"),
        ({"frozen": True}, "inactive"),
    ],
)
def test_a_channel_counts_as_what_it_is_whether_its_peer_is_here_or_away(changes, counted):
    class Standing(RunningNode):
        def states(self, kind):
            return {CHANNEL_ID: a_normal_channel("bob").but(**changes)} if kind == "channel" else super().states(kind)

    info = ask(Standing(), "getinfo")
    names = ("pending", "active", "inactive")
    assert {name: info[f"num_{name}_channels"] for name in names} == {name: int(name == counted) for name in names}


def test_fees_are_those_of_channels_that_are_and_of_those_that_are_no_more():
    class Earning(RunningNode):
        def states(self, kind):
            earned = a_normal_channel("bob").but(fees_earned_msat=30)
            return {CHANNEL_ID: earned} if kind == "channel" else super().states(kind)

    node = Earning()
    assert ask(node, "getinfo")["fees_collected_msat"] == 30
    node.tell(EARNINGS, FeesHandedOver(b"1" * 32, 7), FeesHandedOver(b"2" * 32, 5), FeesHandedOver(b"1" * 32, 7))
    assert ask(node, "getinfo")["fees_collected_msat"] == 42


def test_a_channel_is_found_by_each_of_its_names():
    node = a_node_with_a_channel()
    for name in (CHANNEL_ID.hex(), keys_of("bob").node_id.hex()):
        (set_,) = ask(node, "setchannel", [name, 7, 70])["channels"]
        assert (set_["fee_base_msat"], set_["fee_proportional_millionths"]) == (7, 70)
    assert len(ask(node, "setchannel", ["all", 8])["channels"]) == 1
    (shown,) = ask(node, "listpeerchannels")["channels"]
    assert (shown["fee_base_msat"], shown["fee_proportional_millionths"]) == (8, 70)


@pytest.mark.parametrize("name", ["00" * 32, "02" + "00" * 32, "1x2x3", "spoon", "1x2", ""])
def test_a_channel_that_is_not_there_is_refused(name):
    with pytest.raises(RpcError):
        ask(a_node_with_a_channel(), "setchannel", [name, 7])


def test_a_peer_with_two_channels_is_told_apart_by_their_names():
    class Twice(RunningNode):
        def states(self, kind):
            first = a_normal_channel("bob").but(scid=ShortChannelId(1 << 40))
            second = first.but(channel_id=b"2" * 32, scid=None)
            return {CHANNEL_ID: first, b"2" * 32: second} if kind == "channel" else super().states(kind)

    node = Twice()
    peer = a_normal_channel("bob").terms.node_id.hex()
    with pytest.raises(RpcError, match=f"with this peer: 1x0x0, {b'2'.hex() * 32}. Name one") as caught:
        ask(node, "close", [peer])
    assert caught.value.name == "ChannelAmbiguous"


def test_limits_that_contradict_each_other_are_refused():
    with pytest.raises(BadParameter, match="htlcmin"):
        ask(a_node_with_a_channel(), "setchannel", {"id": CHANNEL_ID.hex(), "htlcmin": 5000, "htlcmax": 4000})


@pytest.mark.parametrize("feebase", [1 << 32, "1btc"])
def test_a_base_fee_that_no_channel_update_can_say_is_refused(feebase):
    node = a_node_with_a_channel()
    with pytest.raises(BadParameter, match="4294967295msat"):
        ask(node, "setchannel", {"id": "all", "feebase": feebase})
    assert ask(node, "setchannel", ["all", (1 << 32) - 1])["channels"][0]["fee_base_msat"] == (1 << 32) - 1


def test_a_forced_close_names_its_transaction():
    closed = ask(a_node_with_a_channel(), "close", {"id": CHANNEL_ID.hex(), "force": True})
    assert closed["type"] == "unilateral"
    assert len(closed["txid"]) == 64


def test_a_channel_that_is_spent_names_the_spend_and_counts_no_more():
    node = a_node_with_a_channel()
    (before,) = ask(node, "listpeerchannels")["channels"]
    assert "close_txid" not in before
    assert ask(node, "listfunds")["balances"]["channels_msat"] == 400_000_000
    closed = ask(node, "close", {"id": CHANNEL_ID.hex(), "force": True})
    funding = OutPoint(Txid(bytes.fromhex(before["funding_txid"])[::-1]), before["funding_outnum"])
    node.tell(CHANNEL, OutputSpent(funding, bytes.fromhex(closed["tx"]), node.tip))
    (after,) = ask(node, "listpeerchannels")["channels"]
    assert (after["state"], after["close_txid"], after["htlcs"]) == ("ONCHAIN", closed["txid"], ())
    assert after["closing"] == {"kind": "resolved", "txid": closed["txid"], "blockheight": 101, "outputs": ()}
    assert ask(node, "listfunds")["balances"]["channels_msat"] == 0


def test_the_close_of_a_closed_channel_says_how_it_was_closed():
    node = a_node_with_a_channel()
    (row,) = ask(node, "listpeerchannels")["channels"]
    closed = ask(node, "close", {"id": CHANNEL_ID.hex(), "force": True})
    assert "closed_in_block" not in closed
    funding = OutPoint(Txid(bytes.fromhex(row["funding_txid"])[::-1]), row["funding_outnum"])
    node.tell(CHANNEL, OutputSpent(funding, bytes.fromhex(closed["tx"]), node.tip))
    before = {**closed, "closed_in_block": node.tip.height}
    assert ask(node, "close", [CHANNEL_ID.hex()]) == before
    node.tell(CHANNEL, ChannelResolved())
    assert ask(node, "listpeerchannels")["channels"] == ()
    for name in (CHANNEL_ID.hex(), row["peer_id"]):
        assert ask(node, "close", [name]) == before
    for name in ("33" * 32, "1x1x1"):
        with pytest.raises(ChannelUnknown):
            ask(node, "close", [name])


def test_an_absent_peer_is_waited_for_until_the_close_is_made_alone():
    node = a_node_with_a_channel()
    node.tell(CHANNEL, Disconnected())
    assert closed_after(node, 60)["type"] == "unilateral"


def test_a_close_that_the_peer_does_not_help_with_is_made_alone_in_the_end():
    assert closed_after(a_node_with_a_channel(), 60)["type"] == "unilateral"


def closed_after(node, seconds):
    """The answer to a close whose patience ends."""

    async def closes():
        asked = asyncio.ensure_future(Dispatcher(node).call("close", [CHANNEL_ID.hex(), seconds]))
        while (row := (await Dispatcher(node).call("listpeerchannels", None))["channels"][0])["state"] != SHUTTING_DOWN:
            await asyncio.sleep(0)
        assert row["closes_alone_at"] == node.now + seconds
        assert not asked.done()
        node.at(node.now + seconds)
        node.tell(CHANNEL, TimeReached(node.now))
        return await asked

    return asyncio.run(closes())


def test_a_close_that_nobody_asked_to_be_made_alone_is_not():
    node = a_node_with_a_channel()
    node.tell(CHANNEL, Disconnected())

    async def asks():
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await Dispatcher(node).call("close", [CHANNEL_ID.hex(), 0])

    asyncio.run(asks())
    (row,) = ask(node, "listpeerchannels")["channels"]
    assert row["state"] == SHUTTING_DOWN
    assert "closes_alone_at" not in row
    assert ask(node, "getinfo")["num_active_channels"] == 0


# -- invoices --


def test_an_invoice_reads_back_as_it_was_asked_for():
    node = RunningNode()
    made = ask(node, "invoice", ["5k", "tea", "a cup of tea", 600])
    read = ask(node, "decode", [made["bolt11"]])
    assert read["amount_msat"] == 5_000_000
    assert read["description"] == "a cup of tea"
    assert read["expiry"] == 600
    assert read["payee"] == node.node_id.hex()
    assert read["payment_hash"] == made["payment_hash"]
    assert "No channel of ours" in made["warning_capacity"]


class Acquainted(RunningNode):
    """A node whose one private channel is in the middle of life, and whose peer has said what it asks."""

    @property
    def views(self):
        channel = a_normal_channel("bob")
        return {"channel:1": view(channel.but(params=channel.terms.but(announce=False)))}

    async def ask_network(self, question, kind):
        assert question.channel_id == CHANNEL_ID
        return Terms(1, DirectionPolicy(7, 70, 34, 1, 10**9, True, 0))


def test_route_hints_are_made_of_what_peers_ask():
    (asks,) = asyncio.run(terms_of_peers(Acquainted(), 1000, None))
    assert (asks.channel_id, asks.policy) == (CHANNEL_ID, ForwardPolicy(7, 70, 34))
    assert asyncio.run(terms_of_peers(Acquainted(), 1000, False)) == ()
    assert asyncio.run(terms_of_peers(RunningNode(), 1000, None)) == ()


def test_an_invoice_may_carry_only_the_hash_of_a_long_description():
    made = ask(
        RunningNode(), "invoice", {"amount_msat": "any", "label": "a", "description": "x" * 900, "deschashonly": True}
    )
    assert bolt11.decode(made["bolt11"]).description_hash == sha256(b"x" * 900)


@pytest.mark.parametrize(
    ("params", "code"),
    [
        (["5k", "tea", "x"], 900),
        ([0, "other", "x"], -32602),
        (["any", "other", "x" * 700], -32602),
        ({"amount_msat": 1, "label": "other", "description": "x", "preimage": "11" * 32}, 901),
    ],
)
def test_invoice_refuses_with_a_code(params, code):
    node = RunningNode()
    ask(node, "invoice", {"amount_msat": 1, "label": "tea", "description": "", "preimage": "11" * 32})
    with pytest.raises(Fault) as caught:
        ask(node, "invoice", params)
    assert code_of(caught.value) == code


def test_invoices_are_listed_and_found():
    node = RunningNode()
    made = [ask(node, "invoice", [1000 + n, f"label {n}", "x"]) for n in range(3)]
    assert [row["label"] for row in ask(node, "listinvoices")["invoices"]] == ["label 0", "label 1", "label 2"]
    for how in (
        {"label": "label 1"},
        {"payment_hash": made[1]["payment_hash"]},
        {"invstring": made[1]["bolt11"]},
    ):
        (row,) = ask(node, "listinvoices", how)["invoices"]
        assert row["bolt11"] == made[1]["bolt11"]
        assert row["status"] == "unpaid"
    assert ask(node, "listinvoices", {"label": "none"})["invoices"] == ()


def test_waiting_ends_with_a_timeout_or_a_name():
    node = RunningNode()
    ask(node, "invoice", [1000, "tea", "x"])
    for params, code in [(["tea", 1], 904), (["coffee"], 905)]:
        with pytest.raises(Fault) as caught:
            ask(node, "waitinvoice", params)
        assert code_of(caught.value) == code


@pytest.mark.parametrize("text", ["", "lnbc", "lightning:", "lnbc1qqq", "x" * 8000, "LNbc1"])
def test_decode_refuses_what_is_no_invoice(text):
    with pytest.raises(Fault) as caught:
        ask(RunningNode(), "decode", [text])
    assert code_of(caught.value) == -32602


def test_script_and_address_agree():
    assert script_of(ELSEWHERE_ADDRESS, REGTEST) == ELSEWHERE


# -- payments --


def test_a_payment_that_finds_no_way_fails_with_a_reason_and_stays_in_the_list():
    node = RunningNode()
    text = an_invoice_of("bob", RunningNode.now)
    with pytest.raises(Fault) as caught:
        ask(node, "pay", [text])
    assert code_of(caught.value) == 205
    (row,) = ask(node, "listpays")["pays"]
    assert (row["status"], row["bolt11"], row["amount_msat"]) == ("failed", text, 5000)
    assert row["failure"]
    assert ask(node, "listpays", {"bolt11": text})["pays"] == (row,)
    assert ask(node, "listpays", {"status": "complete"})["pays"] == ()


@pytest.mark.parametrize(
    ("asked", "params", "code"),
    [
        ({"amount_msat": None}, {}, -32602),
        ({}, {"amount_msat": 4000}, -32602),
        ({"expiry_s": 0}, {}, 207),
        ({}, {"maxfee": 1, "maxfeepercent": 1}, -32602),
    ],
)
def test_pay_refuses_with_a_code(asked, params, code):
    with pytest.raises(Fault) as caught:
        ask(RunningNode(), "pay", {"bolt11": an_invoice_of("bob", RunningNode.now, **asked), **params})
    assert code_of(caught.value) == code


def test_nobody_pays_himself():
    node = RunningNode()
    node.node_id = keys_of("me").node_id
    made = ask(node, "invoice", [1000, "tea", "x"])
    with pytest.raises(Fault):
        ask(node, "pay", [made["bolt11"]])
