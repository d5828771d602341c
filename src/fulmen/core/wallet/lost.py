"""What lost channels pay to us: our balance on commitments of their peers, found again with nothing but the seed.

Payment keys come from a small set (`docs/decisions/why-payment-keys-repeat.md`), so all scripts that can ever pay us
this way are known. The outputs are swept to the wallet as they are found; those of channels that we still know are
left to them. BOLT 3, "`to_remote` Output".
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping

from fulmen.core.base.env import Env
from fulmen.core.base.ids import CommandId, OutPoint, Point, Txid
from fulmen.core.base.machine import Event, Step, Topic
from fulmen.core.base.outer import Answer, Notify
from fulmen.core.base.record import Record
from fulmen.core.base.units import FeeratePerKw, Sat
from fulmen.core.bitcoin.accounts import CHANGE, P2TR_ACCOUNT, SignWalletInputs, script_at
from fulmen.core.bitcoin.script import dust_limit, p2wpkh, p2wsh
from fulmen.core.bitcoin.transaction import Tx, TxOut, fee_at
from fulmen.core.crypto.hashes import hash160
from fulmen.core.signer.requests import SignSpend
from fulmen.core.transactions.commitment import CommitmentOutput, Role
from fulmen.core.transactions.formats import FORMATS
from fulmen.core.transactions.scripts import to_remote_script
from fulmen.core.transactions.spending import INPUT_WEIGHT, Spend, spend_to_remote, sweep_tx
from fulmen.core.wallet.facts import BranchesFound, SpendDecided
from fulmen.core.wallet.scripts import next_path
from fulmen.core.wallet.state import Coin, Wallet, WalletTx
from fulmen.core.wallet.state import Spend as OwnSpend

NAME = "balance of a lost channel"
SWEPT_AT_ONCE = 100
SEGWIT_WEIGHT = 2
NO_POINT = Point(b"")

lost = Topic()


class Payee(Record):
    """Whom a `to_remote` script pays: one of our payment keys, at once or after `csv` blocks."""

    key_index: int
    pubkey: Point
    csv: int

    @property
    def witness_script(self) -> bytes:
        """Empty where the key alone is paid."""
        return to_remote_script(self.pubkey, self.csv) if self.csv else b""

    @property
    def script_pubkey(self) -> bytes:
        """What stands in the output."""
        return p2wsh(self.witness_script) if self.csv else p2wpkh(hash160(self.pubkey))


class LostOutput(Record):
    """An unspent output that pays one of our payment keys."""

    outpoint: OutPoint
    amount_sat: Sat
    payee: Payee

    @property
    def spend(self) -> Spend:
        """How we take it."""
        payee = self.payee
        output = CommitmentOutput(
            Role.TO_REMOTE, self.outpoint.vout, self.amount_sat, payee.script_pubkey, payee.witness_script
        )
        return spend_to_remote(output, payee.pubkey, payee.csv)


class LostFound(Event):
    """From the shell: these outputs stand unspent in blocks."""

    outputs: tuple[LostOutput, ...]


class ScanEnded(Event):
    """From the shell: blocks were looked through for all that our seed can spend.

    Events for what was found in them came before this one; the answer is what is taken home.
    """

    command_id: CommandId
    outputs: tuple[LostOutput, ...]


class ScanBegun(Event):
    """From the shell: this is how far the branches of the wallet are in use, before the payments to them are told."""

    issued: tuple[int, int, int, int]


class TakenHome(Record):
    """The answer to `ScanEnded`."""

    txids: tuple[Txid, ...]
    outputs: int
    amount_sat: Sat
    """What arrives, less the fees."""


def payees(pubkeys: Iterable[Point]) -> Mapping[bytes, Payee]:
    """All scripts that pay one of these keys, which are those of the key indexes from 0 on."""
    delays = dict.fromkeys(format.csv for format in FORMATS)
    every = (Payee(index, pubkey, csv) for index, pubkey in enumerate(pubkeys) for csv in delays)
    return {payee.script_pubkey: payee for payee in every}


def lost_in(tx: Tx, known: Mapping[bytes, Payee], living: Collection[OutPoint]) -> Iterator[LostOutput]:
    """The outputs of a transaction that pay one of our payment keys.

    Args:
        living: the funding outputs of channels that we know; what is made of them is theirs.
    """
    for vout, output in enumerate(tx.outputs):
        payee = known.get(output.script_pubkey)
        if payee is not None and not any(spent.outpoint in living for spent in tx.inputs):
            yield LostOutput(tx.outpoint(vout), output.amount_sat, payee)


@lost.on(ScanBegun)
def on_scan_begun(wallet: Wallet, event: ScanBegun, _env: Env) -> Step[Wallet]:
    """Watch as far as a gap beyond what is in use, and look out for lost channels in every block from now on."""
    issued = tuple(map(max, wallet.issued, event.issued))
    if issued == wallet.issued and wallet.lookout:
        return Step(wallet)
    first, second, third, fourth = issued
    return Step(wallet).fact(BranchesFound((first, second, third, fourth)))


@lost.on(LostFound)
def on_lost_found(wallet: Wallet, event: LostFound, env: Env) -> Step[Wallet]:
    """Take them home."""
    return _take(wallet, event.outputs, env)


@lost.on(ScanEnded)
def on_scan_ended(wallet: Wallet, event: ScanEnded, env: Env) -> Step[Wallet]:
    """Take them home, and say so."""
    step = _take(wallet, event.outputs, env)
    taken = [fact.tx for fact in step.facts if isinstance(fact, SpendDecided)]
    amount = Sat(sum(coin.amount_sat for tx in taken for coin in tx.coins))
    outputs = sum(len(tx.spends) for tx in taken)
    return step.act(Answer(event.command_id, TakenHome(tuple([tx.txid for tx in taken]), outputs, amount)))


def _take(wallet: Wallet, outputs: tuple[LostOutput, ...], env: Env) -> Step[Wallet]:
    step = Step(wallet)
    floor = max(env.policy.feerates.floor_per_kw, env.feerates.floor_per_kw)
    feerate = max(floor, min(env.feerates.closing_per_kw, env.policy.feerates.cap_per_kw))
    taken = {outpoint: True for tx in wallet.txs for outpoint in tx.spends}
    there = [one for one in outputs if one.outpoint not in taken]
    worth = [one for one in there if one.amount_sat > fee_at(feerate, one.spend.weight)]
    for start in range(0, len(worth), SWEPT_AT_ONCE):
        tx = _sweep(step.state, worth[start : start + SWEPT_AT_ONCE], feerate)
        if tx is not None:
            step.fact(SpendDecided(tx))
            about = {"outputs": len(tx.spends), "amount_sat": tx.coins[0].amount_sat, "txid": tx.txid[::-1].hex()}
            step.act(Notify("lost_channels", about))
    return step


def _sweep(wallet: Wallet, outputs: list[LostOutput], feerate: FeeratePerKw) -> WalletTx | None:
    path = next_path(wallet, P2TR_ACCOUNT, CHANGE)
    script = script_at(wallet.accounts, path)
    spends = tuple([(one.outpoint, one.spend) for one in outputs])
    empty = sweep_tx(spends, (TxOut(Sat(0), script),))
    weight = 4 * len(empty.base) + SEGWIT_WEIGHT + sum(spend.weight - INPUT_WEIGHT for _, spend in spends)
    fee = fee_at(feerate, weight)
    left = Sat(sum(one.amount_sat for one in outputs) - fee)
    if left < dust_limit(script):
        return None
    tx = sweep_tx(spends, (TxOut(left, script),))
    spent = tuple([TxOut(one.amount_sat, one.payee.script_pubkey) for one in outputs])
    sign = tuple([SignSpend(one.payee.key_index, NO_POINT, one.spend, index) for index, one in enumerate(outputs)])
    own = OwnSpend(b"lost" + tx.txid, NAME, tx.serialize(), fee, SignWalletInputs(spent, ()), others=sign)
    coin = Coin(tx.outpoint(0), left, script, path)
    return WalletTx(tx.txid, tuple([outpoint for outpoint, _ in spends]), (coin,), own=own)
