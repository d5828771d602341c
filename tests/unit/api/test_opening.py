"""`fundchannel` with each of its wishes, up to what is said to the peer and asked of the wallet."""

import asyncio

import pytest
from tests.builders.channels import keys_of
from tests.builders.handle import RunningNode
from tests.builders.wallets import ELSEWHERE, TAPROOT_ELSEWHERE, a_block, a_payment, our_script, told

import fulmen.api.commands  # noqa: F401  (fills the registry)
from fulmen.api.dispatch import Dispatcher
from fulmen.api.errors import RpcError, code_of, error_object
from fulmen.core.base.faults import Fault
from fulmen.core.base.machine import Address
from fulmen.core.base.outer import Send
from fulmen.core.base.peers import Connected, MessageReceived
from fulmen.core.bitcoin.address import address_of
from fulmen.core.bitcoin.networks import REGTEST
from fulmen.core.bitcoin.transaction import parse_tx
from fulmen.core.wallet.balance import balance
from fulmen.core.wallet.machine import ADDRESS as WALLET
from fulmen.core.wire.features import OPTION_SUPPORT_LARGE_CHANNEL, OPTION_UPFRONT_SHUTDOWN_SCRIPT, Features
from fulmen.core.wire.messages.opening import AcceptChannel, FundingCreated, OpenChannel
from fulmen.core.wire.messages.setup import Init

FEE_OF_ONE_INPUT_SAT = 700
"""More than an opening with one coin costs at the builder's feerate."""


def a_node_with(*amounts_sat, without=()):
    """A rich node, and a peer that offers all that we do but these features."""
    node = RunningNode()
    for n, amount in enumerate(amounts_sat):
        node.tell(WALLET, told(a_payment(n + 1, amount), a_block(100)))
    address = Address("peer", keys_of("bob").node_id)
    said = node.tell(address, Connected(False, "127.0.0.1:9736"))
    ours = next(one.message for one in said if isinstance(getattr(one, "message", None), Init))
    mask = Features.from_bytes(ours.features).mask
    for bit in without:
        mask &= ~(0b11 << (bit & ~1))
    node.tell(address, MessageReceived(Init(b"", Features(mask).to_bytes())))
    return node


def begin(node, **params):
    """Ask, until nothing moves any more; the caller then leaves."""

    async def play():
        wish = {"id": keys_of("bob").node_id.hex(), **params}
        call = asyncio.create_task(Dispatcher(node).call("fundchannel", wish))
        for _ in range(5):
            await asyncio.sleep(0)
        if not call.done():
            opened = sent(node, OpenChannel)[-1]
            peer = Address("peer", keys_of("bob").node_id)
            node.tell(peer, MessageReceived(accepted(opened)))
        for _ in range(5):
            await asyncio.sleep(0)
        if call.done():
            return call.result()
        call.cancel()

    asyncio.run(play())


def sent(node, kind):
    return [one.message for one in node.actions if isinstance(one, Send) and isinstance(one.message, kind)]


def accepted(opened, minimum_depth=3):
    same = {name: getattr(opened, name) for name in AcceptChannel.__struct_fields__ if hasattr(opened, name)}
    keys = keys_of("bob").basepoints(1)
    same |= {name: getattr(keys, name) for name in keys.__struct_fields__}
    return AcceptChannel(**(same | {"minimum_depth": minimum_depth, "upfront_shutdown_script": b""}))


def channel_of(node):
    (channel,) = node.states("channel").values()
    return channel


def test_all_is_what_there_is_less_fee_and_the_reserve_for_a_close():
    node = a_node_with(600_000, 700_000)
    begin(node, amount="all")
    (opened,) = sent(node, OpenChannel)
    kept = node.policy.wallet.anchor_reserve_sat
    assert 1_300_000 - kept - 2 * FEE_OF_ONE_INPUT_SAT < opened.funding_satoshis < 1_300_000 - kept
    assert sent(node, FundingCreated)
    assert balance(node.state(WALLET), node.tip.height, kept).spendable_sat == 0


def test_all_is_no_more_than_the_peer_takes():
    node = a_node_with(10_000_000, 10_000_000, without=[OPTION_SUPPORT_LARGE_CHANNEL])
    begin(node, amount="all")
    assert sent(node, OpenChannel)[0].funding_satoshis == (1 << 24) - 1
    assert sent(node, FundingCreated)
    large = a_node_with(10_000_000, 10_000_000)
    begin(large, amount="all")
    assert sent(large, OpenChannel)[0].funding_satoshis > 19_900_000


def test_all_of_next_to_nothing_says_what_it_would_make():
    with pytest.raises(RpcError, match="the least is 20000 sat") as caught:
        begin(a_node_with(25_000), amount="all")
    assert code_of(caught.value) == 301


@pytest.mark.parametrize("amount", ["100btc", "7800000sat", "7795k"])
def test_a_channel_that_the_wallet_cannot_pay_for_is_refused_before_the_peer_hears_of_it(amount):
    node = a_node_with(7_800_000)
    with pytest.raises(RpcError, match=r"the wallet has 7,790,000 sat to spend\. See `listfunds`") as caught:
        begin(node, amount=amount)
    assert code_of(caught.value) == 301
    assert not sent(node, OpenChannel)


@pytest.mark.parametrize("feerate", ["1perkw", "252perkw", "250001perkw"])
@pytest.mark.parametrize("amount", ["all", 500_000])
def test_a_feerate_out_of_range_is_refused_in_the_words_of_a_withdrawal(feerate, amount):
    node = a_node_with(7_800_000)
    with pytest.raises(Fault) as caught:
        begin(node, amount=amount, feerate=feerate)
    address = address_of(ELSEWHERE, REGTEST)
    with pytest.raises(Fault) as withdrawn:
        asyncio.run(Dispatcher(node).call("withdraw", [address, 50_000, feerate]))
    assert error_object(caught.value) == error_object(withdrawn.value)
    assert caught.value.name == "FeerateOutOfRange"
    assert not sent(node, OpenChannel)


def test_a_channel_that_this_peer_cannot_take_is_refused_before_it_hears_of_it():
    node = a_node_with(20_000_000, without=[OPTION_SUPPORT_LARGE_CHANNEL])
    with pytest.raises(RpcError, match="takes no channel of more than 16777215 sat") as caught:
        begin(node, amount=1 << 24)
    assert code_of(caught.value) == 300
    assert not sent(node, OpenChannel)
    begin(node, amount=(1 << 24) - 1)
    assert sent(node, FundingCreated)


def test_a_coin_that_is_kept_for_closes_may_be_left_where_it_is():
    node = a_node_with(600_000, 10_000)
    begin(node, amount=600_000 - FEE_OF_ONE_INPUT_SAT)
    assert sent(node, FundingCreated)


def test_named_coins_are_the_ones_that_fund_it():
    node = a_node_with(600_000, 700_000, 800_000)
    coin = next(coin for coin in node.state(WALLET).unspent if coin.amount_sat == 700_000)
    begin(node, amount="300k", utxos=[f"{coin.outpoint.txid[::-1].hex()}:{coin.outpoint.vout}"])
    (reserved,) = node.state(WALLET).reservations
    assert [one.outpoint for one in parse_tx(reserved.own.tx).inputs] == [coin.outpoint]
    alone = a_node_with(600_000, 700_000, 800_000)
    begin(alone, amount="all", utxos=f"{coin.outpoint.txid[::-1].hex()}:{coin.outpoint.vout}")
    assert 699_000 < sent(alone, OpenChannel)[0].funding_satoshis < 700_000


def test_coins_that_are_not_deep_enough_are_left_alone():
    node = a_node_with(600_000)
    with pytest.raises(Fault) as caught:
        begin(node, amount="300k", minconf=3)
    assert code_of(caught.value) == 301
    begin(node, amount="300k", minconf=2)


def test_the_address_of_the_close_is_said_to_the_peer_and_kept():
    node = a_node_with(600_000)
    begin(node, amount="300k", close_to=address_of(ELSEWHERE, REGTEST))
    assert sent(node, OpenChannel)[0].upfront_shutdown_script == ELSEWHERE
    assert channel_of(node).terms.local.upfront_shutdown_script == ELSEWHERE


def test_an_address_that_would_not_bind_the_peer_is_refused():
    node = a_node_with(600_000, without=[OPTION_UPFRONT_SHUTDOWN_SCRIPT])
    with pytest.raises(Fault, match="close_to would not bind it"):
        begin(node, amount="300k", close_to=address_of(ELSEWHERE, REGTEST))
    begin(node, amount="300k", close_to=None)
    assert sent(node, OpenChannel)[0].upfront_shutdown_script is None


def test_a_form_that_the_peer_does_not_know_is_refused():
    node = a_node_with(600_000, without=[26])
    with pytest.raises(Fault, match="not an address that this peer"):
        begin(node, amount="300k", close_to=address_of(TAPROOT_ELSEWHERE, REGTEST))


@pytest.mark.parametrize(("wanted", "depth"), [(None, 3), (1, 3), (6, 6)])
def test_more_confirmations_than_the_peer_asks_are_waited_for(wanted, depth):
    node = a_node_with(600_000)
    begin(node, amount="300k", mindepth=wanted)
    assert channel_of(node).terms.minimum_depth == depth


def test_no_confirmation_at_all_is_zeroconf():
    node = a_node_with(600_000)
    with pytest.raises(Fault, match="does not offer zeroconf"):
        begin(node, amount="300k", mindepth=0)
    with pytest.raises(RpcError, match="leave mindepth away"):
        begin(node, amount="300k", mindepth=2, zeroconf=True)


@pytest.mark.parametrize("utxos", ["", [], ["spoon"], ["00" * 32], [f"{'00' * 32}:70000"], 7, [7], {"a": 1}])
def test_what_is_no_coin_is_refused_by_name(utxos):
    with pytest.raises(RpcError, match="'utxos' of fundchannel is wrong") as caught:
        begin(a_node_with(600_000), amount="300k", utxos=utxos)
    assert code_of(caught.value) == -32602


def test_a_withdrawal_takes_named_or_deep_coins_as_well():
    node = a_node_with(600_000, 700_000)
    coin = next(coin for coin in node.state(WALLET).unspent if coin.amount_sat == 700_000)
    ask = {"destination": address_of(our_script(), REGTEST), "satoshi": "50k"}
    name = f"{coin.outpoint.txid[::-1].hex()}:{coin.outpoint.vout}"
    made = asyncio.run(Dispatcher(node).call("withdraw", {**ask, "utxos": [name]}))
    assert [one.outpoint for one in parse_tx(bytes.fromhex(made["tx"])).inputs] == [coin.outpoint]
    with pytest.raises(Fault) as caught:
        asyncio.run(Dispatcher(node).call("withdraw", {**ask, "minconf": 3}))
    assert code_of(caught.value) == 301
