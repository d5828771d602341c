"""Coins under blocks, reorganisations and contradictions."""

from __future__ import annotations

import pytest
from tests.builders.wallets import (
    ACCOUNTS,
    ELSEWHERE,
    NEW,
    a_block,
    a_coinbase,
    a_command,
    a_payment,
    a_wallet,
    an_outpoint,
    our_script,
    step_of,
    told,
)

from fulmen.core.base.ids import Txid
from fulmen.core.base.machine import CallerGone
from fulmen.core.base.outer import (
    ChainRewound,
    Notify,
    OutputSpent,
    PublishFailed,
    ScriptPaid,
    TxConfirmed,
    TxGone,
    WantMempoolWatch,
    WantPublished,
    WantSpendWatch,
)
from fulmen.core.base.policy import Policy, WalletPolicy
from fulmen.core.base.units import BlockHeight, Sat
from fulmen.core.bitcoin.accounts import KeyPath
from fulmen.core.bitcoin.transaction import Tx, TxIn, TxOut, parse_tx
from fulmen.core.wallet.balance import Balance, balance
from fulmen.core.wallet.commands import Withdraw
from fulmen.core.wallet.facts import forget
from fulmen.core.wallet.faults import AlreadyPaid, ChainSaidNonsense, InsufficientFunds
from fulmen.core.wallet.machine import wants
from fulmen.core.wallet.state import Wallet


def parts(wallet: Wallet, height: int = 100) -> Balance:
    return balance(wallet, BlockHeight(height), Sat(0))


def published(wallet: Wallet) -> list[Txid]:
    return [parse_tx(want.tx).txid for want in wants(wallet) if isinstance(want, WantPublished)]


def after(wallet: Wallet, *events: object) -> Wallet:
    for event in events:
        assert isinstance(event, ScriptPaid | TxConfirmed | TxGone | OutputSpent | ChainRewound | CallerGone)
        wallet = step_of(wallet, event).state
    return wallet


def rewound(to: int) -> ChainRewound:
    return ChainRewound(BlockHeight(to))


CHANGED = KeyPath(86, 1, 0)
PAYMENT = a_payment(1, 40_000)
WITHDRAWAL = Withdraw(a_command(1), ELSEWHERE, Sat(25_000))


def test_a_payment_is_pending_until_its_block() -> None:
    waiting = after(Wallet(ACCOUNTS), told(PAYMENT))
    assert parts(waiting) == Balance(Sat(0), Sat(40_000), Sat(0), Sat(0))
    confirmed = after(waiting, told(PAYMENT, a_block(100)))
    assert parts(confirmed) == Balance(Sat(40_000), Sat(0), Sat(0), Sat(0))


def test_a_payment_that_left_the_mempool_is_pending_no_longer() -> None:
    waiting = after(Wallet(ACCOUNTS), told(PAYMENT))
    assert WantMempoolWatch(PAYMENT.txid, (PAYMENT.inputs[0].outpoint,)) in wants(waiting)
    gone = after(waiting, TxGone(PAYMENT.txid))
    assert parts(gone) == Balance(Sat(0), Sat(0), Sat(0), Sat(0))
    assert not any(isinstance(want, WantMempoolWatch) for want in wants(gone))
    assert parts(after(gone, told(PAYMENT))).pending_sat == 40_000, "and pending again when it comes back"


def test_what_hangs_on_a_payment_that_left_goes_with_it() -> None:
    child = a_payment(2, 30_000, spends=PAYMENT.outpoint(1))
    grandchild = a_payment(3, 20_000, spends=child.outpoint(1))
    other = a_payment(4, 5_000)
    waiting = after(Wallet(ACCOUNTS), told(PAYMENT), told(child), told(grandchild), told(other))
    assert parts(after(waiting, TxGone(PAYMENT.txid))).total_sat == 5_000
    assert parts(after(waiting, TxGone(grandchild.txid))).total_sat == 35_000


def test_what_is_in_a_block_or_of_our_making_does_not_leave_with_the_mempool() -> None:
    wallet = after(Wallet(ACCOUNTS), told(PAYMENT, a_block(100)))
    assert step_of(wallet, TxGone(PAYMENT.txid)).facts == []
    spent = step_of(wallet, WITHDRAWAL).state
    (ours,) = published(spent)
    assert step_of(spent, TxGone(ours)).facts == []
    assert step_of(wallet, TxGone(Txid(bytes(32)))).facts == []
    assert not any(isinstance(want, WantMempoolWatch) for want in wants(spent))


@pytest.mark.parametrize("block", [None, a_block(100)])
def test_being_told_twice_changes_nothing(block: object) -> None:
    event = told(PAYMENT, block)  # type: ignore[arg-type]
    once = after(Wallet(ACCOUNTS), event)
    assert step_of(once, event).facts == []
    assert step_of(once, told(PAYMENT)).facts == []


def test_the_same_fact_may_come_as_any_of_the_three_events() -> None:
    block = a_block(100)
    wallet = after(Wallet(ACCOUNTS), TxConfirmed(PAYMENT.txid, PAYMENT.serialize(), block, 3))
    assert wallet == after(Wallet(ACCOUNTS), told(PAYMENT, block))
    coin = wallet.unspent[0].outpoint
    spend = Tx(2, (TxIn(coin),), (TxOut(Sat(39_000), ELSEWHERE),))
    assert parts(after(wallet, OutputSpent(coin, spend.serialize(), block))).total_sat == 0


def test_every_confirmed_coin_is_watched_until_a_block_spends_it() -> None:
    wallet = a_wallet(40_000)
    coin = wallet.unspent[0]
    watch = WantSpendWatch(coin.outpoint, coin.script_pubkey, BlockHeight(100))
    assert watch in wants(wallet)
    assert watch not in wants(after(wallet, rewound(99)))
    step = step_of(wallet, WITHDRAWAL)
    assert watch in wants(step.state)
    tx = parse_tx(step.actions[0].result.tx)
    assert watch not in wants(after(step.state, OutputSpent(coin.outpoint, tx.serialize(), a_block(101))))


def test_what_is_not_ours_leaves_no_trace() -> None:
    foreign = Tx(2, (TxIn(an_outpoint(1)),), (TxOut(Sat(5_000), ELSEWHERE),))
    assert step_of(Wallet(ACCOUNTS), told(foreign, a_block(100))).facts == []
    far = a_payment(1, 5_000, KeyPath(86, 0, 20))  # beyond the gap
    assert step_of(Wallet(ACCOUNTS), told(far, a_block(100))).facts == []


def test_nonsense_of_the_chain_source_is_refused_by_name() -> None:
    for event in (
        ScriptPaid(PAYMENT.txid, b"\x00", None),
        ScriptPaid(Txid(bytes(32)), PAYMENT.serialize(), None),
        OutputSpent(an_outpoint(1), PAYMENT.serialize()[:-1], None),
    ):
        with pytest.raises(ChainSaidNonsense):
            step_of(Wallet(ACCOUNTS), event)


def test_a_reorganisation_makes_a_payment_pending_and_a_crash_forgets_it() -> None:
    undone = after(a_wallet(40_000), rewound(99))
    assert parts(undone) == Balance(Sat(0), Sat(40_000), Sat(0), Sat(0))
    assert parts(after(undone, CallerGone())).total_sat == 0
    assert step_of(a_wallet(40_000), rewound(100)).facts == []


def test_our_own_transaction_is_published_again_after_a_reorganisation() -> None:
    step = step_of(a_wallet(40_000), WITHDRAWAL)
    tx = parse_tx(step.actions[0].result.tx)
    confirmed = after(step.state, told(tx, a_block(101)))
    assert published(confirmed) == []
    assert published(after(confirmed, rewound(100))) == [tx.txid]
    assert published(after(confirmed, rewound(100), told(tx, a_block(101, fork=1)))) == []


def test_our_own_transaction_is_published_even_if_what_it_spends_was_undone() -> None:
    step = step_of(a_wallet(40_000), WITHDRAWAL)
    undone = after(step.state, rewound(50), CallerGone())
    assert len(published(undone)) == 1
    assert parts(undone).spendable_sat == 0


def test_a_spend_that_a_block_contradicts_is_not_published_until_that_block_is_undone() -> None:
    step = step_of(a_wallet(40_000), WITHDRAWAL)
    coin = parse_tx(step.actions[0].result.tx).inputs[0].outpoint
    thief = Tx(2, (TxIn(coin),), (TxOut(Sat(39_000), ELSEWHERE),))
    robbed = after(step.state, told(thief, a_block(101)))
    assert published(robbed) == []
    assert parts(robbed).total_sat == 0
    assert len(published(after(robbed, rewound(100)))) == 1
    assert step_of(step.state, told(thief)).facts == []  # only in the mempool: not believed


def test_what_a_contradicted_spend_of_ours_would_take_besides_stays_promised_until_that_is_settled() -> None:
    """Were the block undone, both could be mined: ours, and whatever else had spent that coin."""
    both = step_of(a_wallet(20_000, 20_000), WITHDRAWAL).state
    (ours,) = [tx for tx in both.txs if tx.own is not None]
    taken, left = ours.spends
    thief = Tx(2, (TxIn(taken),), (TxOut(Sat(19_000), ELSEWHERE),))
    robbed = after(both, told(thief, a_block(101)))
    assert parts(robbed) == Balance(Sat(0), Sat(0), Sat(20_000), Sat(0))
    with pytest.raises(InsufficientFunds):
        step_of(robbed, Withdraw(a_command(2), ELSEWHERE, Sat(1_000)))
    assert robbed.reserved == {left: WITHDRAWAL.command_id, taken: WITHDRAWAL.command_id}
    settled = after(robbed, told(a_payment(9, 1_000), a_block(201)))
    assert parts(settled, 201).spendable_sat == 21_000


def test_a_replaced_payment_is_gone_with_what_hung_on_it() -> None:
    replaced = a_payment(1, 40_000)
    child = a_payment(2, 9_000, KeyPath(86, 0, 1), spends=replaced.outpoint(0))
    bumped = a_payment(1, 38_000, salt=1)
    wallet = after(Wallet(ACCOUNTS), told(replaced), told(child))
    assert parts(wallet).pending_sat == 49_000
    for block in (None, a_block(100)):
        assert parts(after(wallet, told(bumped, block))).total_sat == 38_000


def test_a_coinbase_is_immature_for_a_hundred_blocks() -> None:
    wallet = after(Wallet(ACCOUNTS), told(a_coinbase(1, 50_000), a_block(100)))
    assert parts(wallet, 198) == Balance(Sat(0), Sat(0), Sat(0), Sat(50_000))
    assert parts(wallet, 199) == Balance(Sat(50_000), Sat(0), Sat(0), Sat(0))
    with pytest.raises(InsufficientFunds):
        step_of(wallet, WITHDRAWAL, height=198)
    assert step_of(wallet, WITHDRAWAL, height=199).facts
    assert parts(after(wallet, rewound(99))).total_sat == 0  # a coinbase cannot wait in a mempool


def test_what_is_deep_takes_no_room_and_is_not_believed_twice() -> None:
    step = step_of(a_wallet(40_000), WITHDRAWAL)
    tx = parse_tx(step.actions[0].result.tx)
    wallet = after(step.state, told(tx, a_block(101)), told(a_payment(7, 1_000), a_block(201)))
    change = 40_000 - 25_000 - step.actions[0].result.fee_sat
    assert parts(wallet, 201) == Balance(Sat(change + 1_000), Sat(0), Sat(0), Sat(0))
    assert len(wallet.txs) == 1 and len(wallet.settled) == 1
    for old in (told(tx, a_block(101)), told(tx), told(a_payment(1000, 40_000), a_block(100))):
        assert step_of(wallet, old).facts == []
    with pytest.raises(AlreadyPaid):
        step_of(wallet, WITHDRAWAL)


def test_a_coin_that_is_found_again_is_spent_though_its_spend_was_settled_long_ago() -> None:
    """Restored from words, and rescanned only after a last payment of the old node had been seen and forgotten."""
    paid = a_payment(1, 50_000)
    spend = Tx(2, (TxIn(paid.outpoint(1)),), (TxOut(Sat(9_000), ELSEWHERE), TxOut(Sat(40_000), our_script(CHANGED))))
    wallet = after(Wallet(ACCOUNTS), told(spend, a_block(100)), told(a_payment(7, 1_000), a_block(201)))
    assert not wallet.by_txid.get(spend.txid) and parts(wallet, 201).spendable_sat == 41_000
    rescanned = after(wallet, told(paid, a_block(90)), told(spend, a_block(100)))
    assert parts(rescanned, 201).total_sat == 41_000
    assert [coin.amount_sat for coin in rescanned.unspent].count(40_000) == 1
    later = after(rescanned, told(a_payment(8, 2_000), a_block(310)))
    assert parts(later, 310).total_sat == 43_000
    assert step_of(later, told(spend, a_block(100))).facts == []


def test_a_reorganisation_deeper_than_anything_settled_is_alarming() -> None:
    wallet = after(a_wallet(40_000), told(a_payment(7, 1_000), a_block(201)))
    (alarm,) = step_of(wallet, rewound(50)).actions
    assert isinstance(alarm, Notify)


def test_strangers_in_the_mempool_have_a_bound_and_blocks_have_none() -> None:
    policy = Policy(wallet=WalletPolicy(max_unconfirmed=2))
    wallet = Wallet(ACCOUNTS)
    for n in range(4):
        wallet = step_of(wallet, told(a_payment(n, 10_000)), policy=policy).state
    assert parts(wallet).pending_sat == 20_000
    for n in range(4):
        wallet = step_of(wallet, told(a_payment(n, 10_000), a_block(100)), policy=policy).state
    assert parts(wallet).spendable_sat == 40_000


def test_the_operator_hears_when_nobody_takes_our_transaction() -> None:
    step = step_of(a_wallet(40_000), WITHDRAWAL)
    (txid,) = published(step.state)
    failed = step_of(step.state, PublishFailed("withdrawal", txid, "min relay fee not met"))
    (notice,) = failed.actions
    assert isinstance(notice, Notify) and notice.about["reason"] == "min relay fee not met"
    assert published(failed.state) == [txid]
    assert step_of(step.state, PublishFailed("x", Txid(bytes(32)), "x")).actions == []


def test_a_crash_forgets_what_passes_and_nothing_else() -> None:
    wallet = after(a_wallet(40_000), told(PAYMENT))
    gone = step_of(wallet, CallerGone())
    assert gone.state == forget(wallet) == a_wallet(40_000)
    assert step_of(gone.state, CallerGone()).facts == []
    assert NEW in [coin.path for coin in gone.state.unspent]
