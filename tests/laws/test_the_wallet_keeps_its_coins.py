"""The wallet under anything that chain, callers and crashes can do: its balance is what a naive reckoning says.

The model knows blocks, what waits in the mempool, and what the wallet was told and answered; from these it reckons
every coin anew. Every event is given twice, and the second time must change nothing.
"""

from __future__ import annotations

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from tests.builders.env import an_env
from tests.builders.wallets import (
    ACCOUNTS,
    ELSEWHERE,
    TAPROOT_ELSEWHERE,
    a_block,
    a_coinbase,
    a_command,
    a_payment,
    an_outpoint,
    told,
)
from tests.laws.audits import audit

from fulmen.core.base.faults import Refused
from fulmen.core.base.funds import (
    AttachFee,
    DetachFee,
    FeeAttached,
    ForeignInput,
    Funded,
    FundTransaction,
    Output,
    ReleaseFunding,
    SpendFunding,
)
from fulmen.core.base.ids import OutPoint, Txid
from fulmen.core.base.machine import Address, CallerGone, Event, Fact, Step, Tell, fold
from fulmen.core.base.outer import Answer, Block, ChainRewound, WantPublished
from fulmen.core.base.units import BlockHeight, FeeratePerKw, Sat, Weight
from fulmen.core.bitcoin.accounts import KeyPath, script_at
from fulmen.core.bitcoin.transaction import Tx, TxIn, TxOut, parse_tx
from fulmen.core.wallet.balance import Balance, balance
from fulmen.core.wallet.commands import NewAddress, Withdraw, Withdrawn
from fulmen.core.wallet.facts import forget
from fulmen.core.wallet.machine import decide, mount, wants
from fulmen.core.wallet.state import Wallet

MOUNT = mount(ACCOUNTS)
OPENING = Address("opening", b"\x02" * 65)
NOBODYS = Tx(2, (), ())
OURS = {
    script_at(ACCOUNTS, KeyPath(purpose, change, index))
    for purpose in (84, 86)
    for change in (0, 1)
    for index in range(120)
}
paths = st.builds(KeyPath, st.sampled_from([84, 86]), st.just(0), st.integers(0, 15))
amounts = st.integers(2_000, 400_000)
rates = st.sampled_from([253, 1000, 5000]).map(FeeratePerKw)


def parents_first(txs: list[Tx]) -> list[Tx]:
    """As a mempool tells them."""
    ordered: list[Tx] = []
    left = list(txs)
    while left:
        waiting = {tx.txid for tx in left}
        ready = [tx for tx in left if not any(i.outpoint.txid in waiting for i in tx.inputs)]
        ordered += ready
        left = [tx for tx in left if tx not in ready]
    return ordered


class WalletAndChain(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.wallet = Wallet(ACCOUNTS)
        self.durable: list[Fact] = []
        self.all: list[Fact] = []
        self.tip = 200
        self.fork = 0
        self.chain: list[tuple[Block, list[Tx]]] = []
        self.waiting: list[Tx] = []
        """Strangers' transactions that the wallet heard of in the mempool, since its last crash."""
        self.own: dict[Txid, Tx] = {}
        self.promised: dict[bytes, Tx] = {}
        self.lent: dict[bytes, Tx] = {}
        self.given_up: list[Tx] = []
        self.count = 0
        self.dice = 0

    # -- how events reach the wallet ----------------------------------------------------------------------------------

    def give(self, event: Event) -> Step[Wallet]:
        step = self.once(event)
        again = self.once(event)
        assert again.facts == [], (event, again.facts)
        assert [type(a) for a in again.actions] in ([], [type(a) for a in step.actions])
        return step

    def once(self, event: Event) -> Step[Wallet]:
        self.dice += 1
        step = decide(self.wallet, event, an_env(b"%d" % self.dice, height=self.tip))
        audit(MOUNT, self.wallet, step)
        self.wallet = step.state
        self.all += step.facts
        self.durable += [fact for fact in step.facts if not fact.passing]
        return step

    def fresh(self) -> int:
        self.count += 1
        return self.count

    # -- the naive reckoning ------------------------------------------------------------------------------------------

    def confirmed(self) -> dict[Txid, tuple[Tx, Block]]:
        return {tx.txid: (tx, block) for block, txs in self.chain for tx in txs}

    def living(self) -> list[tuple[Tx, Block | None]]:
        confirmed = self.confirmed()
        taken = {i.outpoint for tx, _ in confirmed.values() for i in tx.inputs}
        living: list[tuple[Tx, Block | None]] = list(confirmed.values())
        alive = set(confirmed)
        unconfirmed = [tx for tx in (*self.own.values(), *self.waiting) if tx.txid not in confirmed]
        dead: set[Txid] = set()
        for _ in unconfirmed:
            for tx in unconfirmed:
                if any(i.outpoint in taken or i.outpoint.txid in dead for i in tx.inputs):
                    dead.add(tx.txid)
        for tx in unconfirmed:
            if tx.txid not in dead | alive:
                living.append((tx, None))
                alive.add(tx.txid)
        return living

    def reckoned(self) -> Balance:
        living = self.living()
        spent = {i.outpoint for tx, _ in living for i in tx.inputs}
        promised = {i.outpoint for tx in self.promised.values() for i in tx.inputs}
        alive = {tx.txid for tx, _ in living}
        promised |= {i.outpoint for tx in self.own.values() if tx.txid not in alive for i in tx.inputs}
        parts = dict.fromkeys(("spendable", "pending", "reserved", "immature"), 0)
        for tx, block in living:
            for vout, output in enumerate(tx.outputs):
                outpoint = OutPoint(tx.txid, vout)
                if output.script_pubkey not in OURS or outpoint in spent:
                    continue
                if block is not None and tx.is_coinbase and self.tip + 1 < block.height + 100:
                    part = "immature"  # again, where blocks were undone after it was promised
                elif outpoint in promised:
                    part = "reserved"
                elif block is None:
                    part = "spendable" if self.is_safe(tx) else "pending"
                else:
                    part = "spendable"
                parts[part] += output.amount_sat
        return Balance(*(Sat(value) for value in parts.values()))

    def is_safe(self, tx: Tx) -> bool:
        """Nobody but us can undo it: all that it spends is in a block, or change of a transaction like it."""
        if tx.txid not in self.own or tx.txid in {lent.txid for lent in self.lent.values()}:
            return False
        confirmed = self.confirmed()
        parents = [i.outpoint.txid for i in tx.inputs]
        return all(parent in confirmed or self.is_safe(self.own.get(parent, NOBODYS)) for parent in parents)

    def free_coins(self) -> list[OutPoint]:
        living = self.living()
        spent = {i.outpoint for tx, _ in living for i in tx.inputs}
        return [
            OutPoint(tx.txid, vout)
            for tx, block in living
            for vout, output in enumerate(tx.outputs)
            if block is not None and output.script_pubkey in OURS and OutPoint(tx.txid, vout) not in spent
        ]

    def replaced_by(self, tx: Tx) -> None:
        """Strangers that wait and contradict this transaction are gone, with what hangs on them."""
        gone: set[Txid] = set()
        taken = {i.outpoint for i in tx.inputs}
        for other in self.waiting:
            if other.txid != tx.txid and any(i.outpoint in taken or i.outpoint.txid in gone for i in other.inputs):
                gone.add(other.txid)
        self.waiting = [other for other in self.waiting if other.txid not in gone]

    def wait(self, tx: Tx) -> None:
        taken = {i.outpoint for other, _ in self.confirmed().values() for i in other.inputs}
        taken |= {i.outpoint for other in self.own.values() for i in other.inputs}
        if not any(i.outpoint in taken for i in tx.inputs):
            self.replaced_by(tx)
            self.waiting.append(tx)

    # -- what strangers and miners do ---------------------------------------------------------------------------------

    def mine(self, txs: list[Tx]) -> None:
        self.tip += 1
        block = a_block(self.tip, self.fork)
        for tx in txs:
            self.waiting = [other for other in self.waiting if other.txid != tx.txid]
            self.replaced_by(tx)
        self.chain.append((block, txs))
        for tx in txs:
            self.give(told(tx, block))
        self.forget_the_impossible()

    def forget_the_impossible(self) -> None:
        """What contradicts a block a hundred deep is forgotten with what hangs on it; its other coins are free."""
        settled = {tx.txid: tx for tx, block in self.confirmed().values() if block.height <= self.tip - 100}
        taken = {i.outpoint for tx in settled.values() for i in tx.inputs}
        confirmed = self.confirmed()
        gone: set[Txid] = set()
        for tx in self.own.values():
            if tx.txid not in confirmed and any(i.outpoint in taken or i.outpoint.txid in gone for i in tx.inputs):
                gone.add(tx.txid)
        self.own = {txid: tx for txid, tx in self.own.items() if txid not in gone}
        self.promised = {
            ref: tx
            for ref, tx in self.promised.items()
            if not any(i.outpoint in taken or i.outpoint.txid in gone for i in tx.inputs)
        }

    @rule(amount=amounts, path=paths)
    def a_stranger_pays(self, amount: int, path: KeyPath) -> None:
        tx = a_payment(self.fresh(), amount, path)
        self.wait(tx)
        self.give(told(tx))

    @precondition(lambda self: self.waiting)
    @rule(data=st.data(), amount=amounts, path=paths)
    def a_stranger_replaces_a_payment(self, data: st.DataObject, amount: int, path: KeyPath) -> None:
        old = data.draw(st.sampled_from(self.waiting))
        tx = a_payment(0, amount, path, spends=old.inputs[0].outpoint, salt=self.fresh())
        self.wait(tx)
        self.give(told(tx))

    @rule(data=st.data(), amount=amounts, path=paths, reward=st.booleans())
    def a_block_is_found(self, data: st.DataObject, amount: int, path: KeyPath, reward: bool) -> None:
        unconfirmed = [tx for tx, block in self.living() if block is None]
        count = data.draw(st.integers(0, len(unconfirmed)))
        known = {tx.txid for tx in unconfirmed}
        taken: set[OutPoint] = set()
        txs = [a_coinbase(self.fresh(), amount, path)] if reward else [a_payment(self.fresh(), amount, path)]
        in_chain = self.confirmed()
        for tx in unconfirmed[:count]:
            parents = {i.outpoint.txid for i in tx.inputs}
            ready = all(p in in_chain or p not in known | set(self.own) or p in {t.txid for t in txs} for p in parents)
            if ready and not any(i.outpoint in taken for i in tx.inputs):
                txs.append(tx)
                taken |= {i.outpoint for i in tx.inputs}
        self.mine(txs)

    @precondition(lambda self: self.free_coins())
    @rule(data=st.data(), confirmed=st.booleans())
    def the_same_seed_spends_elsewhere(self, data: st.DataObject, confirmed: bool) -> None:
        coin = data.draw(st.sampled_from(self.free_coins()))
        thief = Tx(2, (TxIn(coin),), (TxOut(Sat(1_000 + self.fresh()), ELSEWHERE),))
        if confirmed:
            self.mine([thief])
        else:
            self.wait(thief)
            self.give(told(thief))

    @precondition(lambda self: self.own)
    @rule(data=st.data())
    def the_same_seed_beats_our_transaction_to_a_block(self, data: st.DataObject) -> None:
        pending = [tx for tx, block in self.living() if block is None and tx.txid in self.own]
        confirmed = self.confirmed()
        inputs = [i.outpoint for tx in pending for i in tx.inputs if i.outpoint.txid in confirmed]
        if inputs:
            coin = data.draw(st.sampled_from(inputs))
            self.mine([Tx(2, (TxIn(coin),), (TxOut(Sat(1_000 + self.fresh()), ELSEWHERE),))])

    @rule(depth=st.integers(1, 5))
    def blocks_are_undone(self, depth: int) -> None:
        self.tip -= depth
        self.fork += 1
        undone = [tx for block, txs in self.chain if block.height > self.tip for tx in txs]
        self.chain = [(block, txs) for block, txs in self.chain if block.height <= self.tip]
        for tx in undone:
            if not tx.is_coinbase and tx.txid not in self.own:
                self.wait(tx)
        self.give(ChainRewound(BlockHeight(self.tip)))

    @rule()
    def a_hundred_blocks_without_us_are_found(self) -> None:
        self.tip += 100

    @rule()
    def everything_is_told_again(self) -> None:
        for block, txs in self.chain:
            for tx in txs:
                assert self.once(told(tx, block)).facts == []

    # -- what callers do ----------------------------------------------------------------------------------------------

    @rule(purpose=st.sampled_from([84, 86]))
    def an_address_is_asked_for(self, purpose: int) -> None:
        if max(self.wallet.issued) < 90:
            self.give(NewAddress(a_command(self.fresh()), purpose))

    @rule(amount=st.one_of(st.none(), amounts), rate=rates, to_us=st.booleans())
    def a_withdrawal_is_asked_for(self, amount: int | None, rate: FeeratePerKw, to_us: bool) -> None:
        script = script_at(ACCOUNTS, KeyPath(86, 0, 0)) if to_us else ELSEWHERE
        before = self.reckoned()
        event = Withdraw(a_command(self.fresh()), script, None if amount is None else Sat(amount), rate)
        try:
            step = self.give(event)
        except Refused:
            assert amount is None or before.spendable_sat < amount * 2 + 50_000
            return
        (answer,) = step.actions
        assert isinstance(answer, Answer) and isinstance(answer.result, Withdrawn)
        tx = parse_tx(answer.result.tx)
        self.decided(tx)

    @rule(amount=amounts, rate=rates)
    def an_opening_asks_for_coins(self, amount: int, rate: FeeratePerKw) -> None:
        ref = b"%d" % self.fresh()
        step = self.give(FundTransaction(ref, OPENING, (Output(Sat(amount), TAPROOT_ELSEWHERE),), rate))
        (tell,) = step.actions
        assert isinstance(tell, Tell)
        if isinstance(tell.event, Funded):
            self.promised[ref] = parse_tx(tell.event.tx)

    @precondition(lambda self: self.promised)
    @rule(data=st.data(), goes_out=st.booleans())
    def an_opening_ends(self, data: st.DataObject, goes_out: bool) -> None:
        ref = data.draw(st.sampled_from(sorted(self.promised)))
        self.give(SpendFunding(ref) if goes_out else ReleaseFunding(ref))
        tx = self.promised.pop(ref)
        if goes_out:
            self.decided(tx)

    @rule(amount=amounts, rate=rates)
    def a_close_borrows_a_fee(self, amount: int, rate: FeeratePerKw) -> None:
        n = self.fresh()
        foreign = ForeignInput(an_outpoint(n), 1, Output(Sat(amount), TAPROOT_ELSEWHERE), Weight(700))
        paid = (Output(Sat(amount), ELSEWHERE),)
        step = self.give(AttachFee(b"fee %d" % n, OPENING, "htlc", (foreign,), paid, 0, 2, rate))
        (tell,) = step.actions
        assert isinstance(tell, Tell)
        if isinstance(tell.event, FeeAttached):
            tx = self.lent[b"fee %d" % n] = parse_tx(tell.event.tx)
            self.decided(tx)

    @precondition(lambda self: self.lent)
    @rule(data=st.data())
    def a_close_gives_a_fee_back(self, data: st.DataObject) -> None:
        ref = data.draw(st.sampled_from(sorted(self.lent)))
        tx = self.lent[ref]
        self.give(DetachFee(ref))
        if tx.txid not in self.confirmed():
            self.own.pop(tx.txid, None)
            self.given_up.append(self.lent.pop(ref))

    @precondition(lambda self: self.given_up)
    @rule(data=st.data())
    def what_was_given_up_is_mined_all_the_same(self, data: st.DataObject) -> None:
        tx = data.draw(st.sampled_from(self.given_up))
        self.given_up.remove(tx)
        confirmed = self.confirmed()
        taken = {i.outpoint for other, _ in confirmed.values() for i in other.inputs}
        known = {i.outpoint.txid for i in tx.inputs[1:]} <= set(confirmed)
        if known and not any(i.outpoint in taken for i in tx.inputs):
            self.mine([tx])

    def decided(self, tx: Tx) -> None:
        self.replaced_by(tx)
        self.own[tx.txid] = tx

    # -- crashes ------------------------------------------------------------------------------------------------------

    @rule(told_again=st.booleans())
    def the_process_dies(self, told_again: bool) -> None:
        self.wallet = fold(Wallet(ACCOUNTS), self.durable)
        self.all = list(self.durable)
        lost, self.waiting = self.waiting, []
        self.promised = {}
        self.give(CallerGone())
        self.give(ChainRewound(BlockHeight(self.tip)))
        for tx in parents_first(lost) if told_again else ():
            self.wait(tx)
            self.give(told(tx))

    # -- what always holds --------------------------------------------------------------------------------------------

    @invariant()
    def the_balance_is_what_a_naive_reckoning_says(self) -> None:
        assert balance(self.wallet, BlockHeight(self.tip), Sat(0)) == self.reckoned()

    @invariant()
    def forgetting_leaves_what_is_durable(self) -> None:
        assert forget(self.wallet) == fold(Wallet(ACCOUNTS), self.durable)
        assert self.wallet == fold(Wallet(ACCOUNTS), self.all)

    @invariant()
    def no_coin_is_used_twice(self) -> None:
        living = [tx for tx, _ in self.living()]
        ours = [tx for tx in living if tx.txid in self.own]
        used = [i.outpoint for tx in (*ours, *self.promised.values()) for i in tx.inputs]
        # A promise made before a block or a reorganisation took its coin cannot know; it is not ours to spend twice.
        assert len(used) == len(set(used))

    @invariant()
    def what_waits_for_a_block_is_published_and_nothing_else(self) -> None:
        published: list[Any] = [want for want in wants(self.wallet) if isinstance(want, WantPublished)]
        lent = {tx.txid for tx in self.lent.values()}
        waiting = {tx.txid for tx, block in self.living() if block is None and tx.txid in self.own} - lent
        assert {parse_tx(want.tx).txid for want in published} == waiting


TestTheWalletKeepsItsCoins = WalletAndChain.TestCase
TestTheWalletKeepsItsCoins.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
