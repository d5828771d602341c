"""What the wallet is asked, and what it answers."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.builders.env import an_env
from tests.builders.judge import verify_spend
from tests.builders.wallets import (
    ACCOUNTS,
    ELSEWHERE,
    NEW,
    OLD,
    SECRET_ACCOUNTS,
    TAPROOT_ELSEWHERE,
    a_block,
    a_coinbase,
    a_command,
    a_payment,
    a_wallet,
    our_script,
    step_of,
    told,
)

from fulmen.core.base.faults import Fault, Refused
from fulmen.core.base.feerates import FeerateOutOfRange
from fulmen.core.base.funds import (
    Funded,
    FundingRefused,
    FundTransaction,
    Output,
    ReleaseFunding,
    SpendFunding,
    WalletView,
)
from fulmen.core.base.ids import ChannelId, OutPoint, Txid
from fulmen.core.base.machine import Address, Faulted, Lull, Step, Tell, Undelivered
from fulmen.core.base.outer import Answer, Notify, TimeReached, WantPublished, WantScriptWatch
from fulmen.core.base.policy import Policy, WalletPolicy
from fulmen.core.base.units import BlockHeight, FeeratePerKw, Msat, Sat, Timestamp
from fulmen.core.bitcoin.accounts import KeyPath, SignWalletInputs, sign_wallet_inputs
from fulmen.core.bitcoin.script import nulldata
from fulmen.core.bitcoin.transaction import SEQUENCE_RBF, Tx, parse_tx
from fulmen.core.commitments.htlcs import LinkView
from fulmen.core.wallet import faults
from fulmen.core.wallet.balance import Balance, balance, channels_of
from fulmen.core.wallet.commands import AddressGiven, NewAddress, Withdraw, Withdrawn
from fulmen.core.wallet.facts import SpendDecided, forget
from fulmen.core.wallet.machine import NotForTheWallet, mount, view, wants
from fulmen.core.wallet.spending import most_to_pay, pay
from fulmen.core.wallet.state import Wallet

OPENING = Address("opening", b"\x02" * 65)
RATE = FeeratePerKw(1000)
REF = b"opening 1"


def answer_of(step: Step[Wallet]) -> Any:
    (action,) = step.actions
    assert isinstance(action, Answer)
    return action.result


def a_withdrawal(n: int = 1, amount: int | None = 50_000, script: bytes = ELSEWHERE, **changes: Any) -> Withdraw:
    return Withdraw(a_command(n), script, None if amount is None else Sat(amount), **changes)


def a_funding(*amounts: int, ref: bytes = REF, rate: int = RATE, **changes: Any) -> FundTransaction:
    outputs = tuple(Output(Sat(amount), TAPROOT_ELSEWHERE) for amount in amounts)
    return FundTransaction(ref, OPENING, outputs, FeeratePerKw(rate), **changes)


def a_link(n: int) -> LinkView:
    zero = Msat(0)
    fields: dict[str, Any] = dict.fromkeys(LinkView.__struct_fields__)
    fields |= {"channel_id": ChannelId(bytes([n]) * 32), "node_id": b"\x02" * 33, "usable": True, "announced": False}
    fields |= dict.fromkeys(("spendable_msat", "receivable_msat", "capacity_msat", "htlc_minimum_msat"), zero)
    return LinkView(**fields)


def views(channels: int) -> dict[str, object]:
    return {f"channel:{n}": a_link(n) for n in range(channels)}


def test_channels_that_their_openers_have_yet_to_fund_keep_nothing_back() -> None:
    """A stranger opens fifty for nothing."""
    invented = {name: link.but(unfunded=True) for name, link in views(50).items() if isinstance(link, LinkView)}
    assert channels_of(invented) == 0
    assert channels_of(invented | {"channel:51": a_link(51)}) == 1


def in_four_parts(wallet: Wallet, reserve: int = 0, height: int = 100) -> Balance:
    return balance(wallet, BlockHeight(height), Sat(reserve))


# -- addresses --------------------------------------------------------------------------------------------------------


def test_every_command_gets_an_address_of_its_own_and_the_same_command_the_same() -> None:
    first = step_of(Wallet(ACCOUNTS), NewAddress(a_command(1)))
    second = step_of(first.state, NewAddress(a_command(2)))
    again = step_of(second.state, NewAddress(a_command(1)))
    assert answer_of(first) == AddressGiven(our_script(KeyPath(86, 0, 0)), KeyPath(86, 0, 0)) == answer_of(again)
    assert answer_of(second).path == KeyPath(86, 0, 1)
    assert again.facts == []
    assert answer_of(step_of(second.state, NewAddress(a_command(3), purpose=84))).path == KeyPath(84, 0, 0)


def test_an_address_of_no_known_kind_is_refused() -> None:
    with pytest.raises(faults.PurposeUnknown):
        step_of(Wallet(ACCOUNTS), NewAddress(a_command(1), purpose=49))


def test_a_paid_address_is_not_given_out_again() -> None:
    wallet = step_of(Wallet(ACCOUNTS), told(a_payment(1, 5_000, KeyPath(86, 0, 7)), a_block(100))).state
    assert answer_of(step_of(wallet, NewAddress(a_command(1)))).path == KeyPath(86, 0, 8)


def test_twenty_addresses_beyond_the_last_are_watched_on_every_branch() -> None:
    watched = [want for want in wants(Wallet(ACCOUNTS)) if isinstance(want, WantScriptWatch)]
    assert len(watched) == 4 * 20
    wallet = step_of(Wallet(ACCOUNTS), NewAddress(a_command(1))).state
    assert WantScriptWatch(our_script(KeyPath(86, 0, 20))) in wants(wallet)
    assert WantScriptWatch(our_script(KeyPath(86, 0, 20))) not in watched


def test_what_the_wallet_shows_is_a_script_that_nobody_was_given() -> None:
    wallet = a_wallet(200_000)
    shown = view(wallet)
    assert shown == WalletView(our_script(KeyPath(86, 1, 0)), KeyPath(86, 1, 0))
    spent = step_of(wallet, a_withdrawal()).state
    assert view(spent) != shown


# -- withdrawals ------------------------------------------------------------------------------------------------------


def test_a_withdrawal_is_durable_published_and_answered_once() -> None:
    wallet = a_wallet(200_000)
    step = step_of(wallet, a_withdrawal(), height=700)
    (fact,) = step.facts
    assert isinstance(fact, SpendDecided) and not fact.passing
    result = answer_of(step)
    assert isinstance(result, Withdrawn) and result.amount_sat == 50_000
    tx = parse_tx(result.tx)
    assert tx.txid == result.txid
    assert {i.sequence for i in tx.inputs} == {SEQUENCE_RBF}
    assert 600 <= tx.locktime <= 700
    again = step_of(step.state, a_withdrawal())
    assert again.facts == [] and answer_of(again) == result
    assert [want.tx for want in wants(step.state) if isinstance(want, WantPublished)] == [result.tx]
    assert forget(step.state) == step.state


def signed(wallet: Wallet) -> tuple[Tx, SignWalletInputs]:
    (want,) = [want for want in wants(wallet) if isinstance(want, WantPublished)]
    (request,) = want.sign
    assert isinstance(request, SignWalletInputs)
    return sign_wallet_inputs(SECRET_ACCOUNTS, parse_tx(want.tx), request), request


@pytest.mark.parametrize("rate", [253, 1000, 12_345])
def test_what_the_key_holder_signs_is_valid_and_pays_the_feerate(rate: int) -> None:
    wallet = step_of(a_wallet(90_000, 80_000), told(a_payment(5, 70_000, OLD), a_block(100))).state
    step = step_of(wallet, a_withdrawal(amount=200_000, feerate_per_kw=FeeratePerKw(rate)))
    tx, request = signed(step.state)
    for index in range(len(tx.inputs)):
        verify_spend(tx, list(request.spent), index)
    fee = sum(o.amount_sat for o in request.spent) - sum(o.amount_sat for o in tx.outputs)
    assert fee == answer_of(step).fee_sat
    assert rate * tx.weight / 1000 <= fee <= rate * (tx.weight + 20) / 1000 + 4


def test_everything_can_be_withdrawn_and_leaves_nothing() -> None:
    wallet = a_wallet(90_000, 80_000)
    step = step_of(wallet, a_withdrawal(amount=None))
    result = answer_of(step)
    assert result.amount_sat + result.fee_sat == 170_000
    assert in_four_parts(step.state).total_sat == 0
    assert len(parse_tx(result.tx).outputs) == 1


def test_everything_but_the_anchors_reserve_is_withdrawn_while_there_are_channels() -> None:
    step = step_of(a_wallet(90_000, 80_000), a_withdrawal(amount=None), views=views(2))
    assert in_four_parts(step.state, 20_000) == Balance(Sat(0), Sat(0), Sat(20_000), Sat(0), kept_sat=Sat(20_000))


def test_a_payment_to_ourselves_stays_ours() -> None:
    step = step_of(a_wallet(90_000), a_withdrawal(script=our_script(OLD)))
    assert in_four_parts(step.state).total_sat == 90_000 - answer_of(step).fee_sat


def test_named_coins_are_the_ones_that_are_spent() -> None:
    wallet = a_wallet(90_000, 80_000, 70_000)
    coin = wallet.unspent[1].outpoint
    tx = parse_tx(answer_of(step_of(wallet, a_withdrawal(inputs=(coin,)))).tx)
    assert [i.outpoint for i in tx.inputs] == [coin]
    alone = answer_of(step_of(wallet, a_withdrawal(amount=None, inputs=(coin,))))
    assert alone.amount_sat + alone.fee_sat == 80_000


@pytest.mark.parametrize(("minconf", "depths"), [(1, [1, 6]), (0, [1, 6]), (6, [6])])
def test_only_coins_of_the_wanted_depth_are_chosen(minconf: int, depths: list[int]) -> None:
    wallet = step_of(a_wallet(90_000, height=95), told(a_payment(7, 80_000), a_block(100))).state
    everything = parse_tx(answer_of(step_of(wallet, a_withdrawal(amount=None, minconf=minconf))).tx)
    depth = {coin.outpoint: 101 - coin.block.height for coin in wallet.unspent if coin.block is not None}
    assert sorted(depth[i.outpoint] for i in everything.inputs) == depths
    some = parse_tx(answer_of(step_of(wallet, a_withdrawal(amount=60_000, minconf=6))).tx)
    assert [depth[i.outpoint] for i in some.inputs] == [6]
    with pytest.raises(faults.InsufficientFunds):
        step_of(wallet, a_withdrawal(amount=100_000, minconf=6))


def test_a_coin_that_is_not_deep_enough_may_still_hold_the_reserve() -> None:
    wallet = step_of(a_wallet(90_000, height=95), told(a_payment(7, 80_000), a_block(100))).state
    paid = answer_of(step_of(wallet, a_withdrawal(amount=None, minconf=6), views=views(2)))
    assert paid.amount_sat + paid.fee_sat == 90_000


@given(
    amounts=st.lists(st.integers(700, 200_000), min_size=1, max_size=8),
    rate=st.integers(253, 5_000),
    channels=st.integers(0, 3),
    named=st.booleans(),
)
def test_the_most_that_can_be_paid_is_what_pay_can_pay(
    amounts: list[int], rate: int, channels: int, named: bool
) -> None:
    wallet, reserve = a_wallet(*amounts), Sat(10_000 * channels)
    named_coins = tuple(coin.outpoint for coin in wallet.unspent[:2]) if named else ()
    feerate = FeeratePerKw(rate)
    most, coins = most_to_pay(
        wallet, TAPROOT_ELSEWHERE, feerate, BlockHeight(100), reserve_sat=reserve, inputs=named_coins
    )
    if most < 20_000:
        return
    env = an_env(height=BlockHeight(100))
    output = Output(most, TAPROOT_ELSEWHERE)
    tx = pay(wallet, (output,), feerate, env, ref=b"r", name="n", reserve_sat=reserve, inputs=coins)
    left = sum(coin.amount_sat for coin in wallet.unspent if coin.outpoint not in coins) + sum(
        coin.amount_sat for coin in tx.coins
    )
    assert left >= reserve
    one_more = Output(Sat(most + 600), TAPROOT_ELSEWHERE)
    with pytest.raises(faults.InsufficientFunds):
        pay(wallet, (one_more,), feerate, env, ref=b"r", name="n", reserve_sat=reserve, inputs=coins)


def test_equal_entropy_gives_equal_transactions() -> None:
    wallet = a_wallet(*(10_000 * n for n in range(3, 12)))
    one, two = (answer_of(step_of(wallet, a_withdrawal(amount=100_000), an_env(b"dice"))) for _ in range(2))
    assert one == two


@pytest.mark.parametrize(
    ("event", "fault"),
    [
        (a_withdrawal(amount=293), faults.DustOutput),
        (a_withdrawal(amount=329, script=TAPROOT_ELSEWHERE), faults.DustOutput),
        (a_withdrawal(amount=-1), faults.DustOutput),
        (a_withdrawal(amount=21_000_001 * 10**8), faults.AmountTooLarge),
        (a_withdrawal(amount=-1, script=nulldata(b"x")), faults.DustOutput),
        (a_withdrawal(feerate_per_kw=FeeratePerKw(252)), FeerateOutOfRange),
        (a_withdrawal(feerate_per_kw=FeeratePerKw(250_001)), FeerateOutOfRange),
        (a_withdrawal(amount=None, feerate_per_kw=FeeratePerKw(0)), FeerateOutOfRange),
        (a_withdrawal(amount=90_000), faults.InsufficientFunds),
        (a_withdrawal(amount=None, feerate_per_kw=FeeratePerKw(250_000)), faults.InsufficientFunds),
        (a_withdrawal(inputs=(OutPoint(Txid(bytes(32)), 0),)), faults.CoinUnavailable),
    ],
)
def test_what_cannot_be_paid_is_refused_by_name(event: Withdraw, fault: type[Refused]) -> None:
    with pytest.raises(fault):
        step_of(a_wallet(50_000), event)


def test_a_coin_named_twice_is_refused() -> None:
    wallet = a_wallet(90_000)
    with pytest.raises(faults.CoinUnavailable):
        step_of(wallet, a_withdrawal(inputs=(wallet.unspent[0].outpoint,) * 2))


def test_a_refusal_says_what_there_is() -> None:
    wallet = step_of(a_wallet(50_000), told(a_payment(9, 30_000))).state
    wallet = step_of(wallet, told(a_coinbase(1, 5_000), a_block(100))).state
    with pytest.raises(faults.InsufficientFunds) as caught:
        step_of(wallet, a_withdrawal(amount=60_000), views=views(1))
    said = caught.value.details
    assert said["needed_sat"] > 60_000
    assert (said["spendable_sat"], said["reserved_sat"]) == (40_000, 10_000)
    assert (said["pending_sat"], said["immature_sat"]) == (30_000, 5_000)


def test_a_transaction_of_more_inputs_than_nodes_relay_is_refused() -> None:
    coins = tuple(a_wallet(1_000).unspent[0].but(outpoint=OutPoint(Txid(bytes(32)), n)) for n in range(1800))
    with pytest.raises(faults.TransactionTooHeavy):
        step_of(Wallet(ACCOUNTS, settled=coins), a_withdrawal(amount=None, feerate_per_kw=FeeratePerKw(253)))


# -- openings ---------------------------------------------------------------------------------------------------------


def funded(step: Step[Wallet]) -> Funded:
    (tell,) = step.actions
    assert isinstance(tell, Tell) and tell.to == OPENING
    assert isinstance(tell.event, Funded)
    return tell.event


def test_an_opening_is_funded_and_its_coins_are_reserved() -> None:
    wallet = a_wallet(200_000, 300_000)
    step = step_of(wallet, a_funding(100_000))
    promise = funded(step)
    tx = parse_tx(promise.tx)
    assert 100_000 in [o.amount_sat for o in tx.outputs]
    assert not [want for want in wants(step.state) if isinstance(want, WantPublished)]
    assert in_four_parts(step.state).reserved_sat in (200_000, 300_000)
    assert all(fact.passing for fact in step.facts)
    assert forget(step.state) == wallet
    again = step_of(step.state, a_funding(100_000))
    assert again.facts == [] and funded(again) == promise


def test_two_openings_never_share_a_coin_or_a_change_key() -> None:
    first = step_of(a_wallet(200_000, 300_000), a_funding(100_000))
    second = step_of(first.state, a_funding(90_000, ref=b"opening 2"))
    one, two = parse_tx(funded(first).tx), parse_tx(funded(second).tx)
    assert not {i.outpoint for i in one.inputs} & {i.outpoint for i in two.inputs}
    assert not {o.script_pubkey for o in one.outputs} & {o.script_pubkey for o in two.outputs} - {TAPROOT_ELSEWHERE}


def test_a_spent_funding_is_durable_and_released_ones_are_free_again() -> None:
    wallet = a_wallet(200_000)
    promised = step_of(wallet, a_funding(100_000)).state
    spent = step_of(promised, SpendFunding(REF))
    assert step_of(spent.state, SpendFunding(REF)).facts == []
    assert step_of(spent.state, ReleaseFunding(REF)).facts == []
    assert [want.name for want in wants(spent.state) if isinstance(want, WantPublished)] == ["funding"]
    assert forget(spent.state) == spent.state
    assert spent.state.reservations == ()
    released = step_of(promised, ReleaseFunding(REF))
    assert released.state == wallet
    assert step_of(released.state, ReleaseFunding(REF)).facts == []
    with pytest.raises(faults.ReservationUnknown):
        step_of(released.state, SpendFunding(REF))


def test_coins_of_an_opening_that_is_gone_are_free_again() -> None:
    wallet = a_wallet(200_000)
    step = step_of(wallet, a_funding(100_000))
    (tell,) = step.actions
    assert isinstance(tell, Tell)
    assert step_of(step.state, Undelivered(tell, Refused())).state == wallet


def test_an_opening_that_cannot_be_paid_is_told_why() -> None:
    for event, name in (
        (a_funding(500_000), "InsufficientFunds"),
        (a_funding(195_000), "InsufficientFunds"),  # the new channel's anchor reserve has to stay
        (a_funding(100), "DustOutput"),
        (a_funding(100_000, rate=1), "FeerateOutOfRange"),
        (a_funding(), "NothingToPay"),
        (a_funding(100_000, inputs=(OutPoint(Txid(bytes(32)), 0),)), "CoinUnavailable"),
    ):
        step = step_of(a_wallet(200_000), event)
        (tell,) = step.actions
        assert step.facts == []
        assert isinstance(tell, Tell) and isinstance(tell.event, FundingRefused)
        assert (tell.event.ref, tell.event.why) == (REF, name)
        assert tell.event.text


def test_reservations_have_a_bound() -> None:
    policy = Policy(wallet=WalletPolicy(max_reservations=1))
    first = step_of(a_wallet(200_000, 200_000), a_funding(100_000), policy=policy)
    (tell,) = step_of(first.state, a_funding(50_000, ref=b"2"), policy=policy).actions
    assert isinstance(tell, Tell) and isinstance(tell.event, FundingRefused)


# -- the machine ------------------------------------------------------------------------------------------------------


def test_a_caller_hears_of_a_fault_and_nobody_else_is_bothered() -> None:
    fault: Fault = faults.InsufficientFunds(needed_sat=1)
    (answer,) = step_of(Wallet(ACCOUNTS), Faulted(a_withdrawal(), fault)).actions
    assert answer == Answer(a_command(1), refused=fault)
    (notice,) = step_of(Wallet(ACCOUNTS), Faulted(SpendFunding(REF), fault)).actions
    assert isinstance(notice, Notify)


def test_what_the_wallet_has_no_use_for_is_refused_by_name() -> None:
    with pytest.raises(NotForTheWallet):
        step_of(Wallet(ACCOUNTS), TimeReached(Timestamp(1)))
    assert step_of(Wallet(ACCOUNTS), Lull()).facts == []


def test_the_mount_keeps_no_secret() -> None:
    assert mount(SECRET_ACCOUNTS).initial(b"") == Wallet(ACCOUNTS)
    assert not ACCOUNTS.of(NEW.purpose).is_private
