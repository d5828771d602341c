"""Embedded chains, wallets of one key, and transactions for tests of the chain."""

from __future__ import annotations

from fulmen.core.base.ids import OutPoint, Secret
from fulmen.core.base.units import Sat
from fulmen.core.bitcoin.script import p2pkh, p2wpkh
from fulmen.core.bitcoin.sighash import SIGHASH_ALL, sighash_segwit_v0
from fulmen.core.bitcoin.transaction import SEQUENCE_RBF, Tx, TxIn, TxOut
from fulmen.core.crypto.hashes import hash160, sha256
from fulmen.core.crypto.secp256k1 import point_of, sign_ecdsa, signature_to_der
from fulmen.regtest.judges import kernel_installed, open_judge
from fulmen.regtest.node import RegtestNode
from fulmen.regtest.relaypolicy import RelayPolicy

NOW = 1_800_000_000
"""Where the clock of tests stands: ahead of the kernel's own, it would refuse blocks, so tests of it use less."""
JUDGES = ("kernel", "btclib") if kernel_installed() else ("btclib",)
P2A = bytes.fromhex("51024e73")


class Wallet:
    """One key and the coins that pay it."""

    def __init__(self, name: bytes = b"test wallet") -> None:
        self.secret = Secret(sha256(name))
        self.point = point_of(self.secret)
        self.script = p2wpkh(hash160(self.point))

    def spend(
        self,
        coins: list[tuple[OutPoint, Sat]],
        outputs: list[TxOut],
        *,
        sequence: int = SEQUENCE_RBF,
        locktime: int = 0,
        version: int = 2,
    ) -> Tx:
        """A signed transaction; coins of other scripts than ours get no witness."""
        tx = Tx(version, tuple(TxIn(coin, b"", sequence) for coin, _ in coins), tuple(outputs), locktime)
        return self.sign(tx, [amount for _, amount in coins])

    def sign(self, tx: Tx, amounts: list[Sat]) -> Tx:
        """Witnesses for all inputs with an amount above 0 (a pay-to-anchor output takes none)."""
        for index, amount_sat in enumerate(amounts):
            if amount_sat:
                digest = sighash_segwit_v0(tx, index, p2pkh(hash160(self.point)), amount_sat, SIGHASH_ALL)
                signature = signature_to_der(sign_ecdsa(self.secret, digest)) + bytes([SIGHASH_ALL])
                tx = tx.with_witness(index, signature, self.point)
        return tx

    def pay(
        self, coin: tuple[OutPoint, Sat], *, fee: int, to: bytes | None = None, version: int = 2, parts: int = 1
    ) -> Tx:
        """Spend one coin to a script in equal parts, less the fee."""
        each = (coin[1] - fee) // parts
        first = coin[1] - fee - each * (parts - 1)
        script = self.script if to is None else to
        return self.spend(
            [coin], [TxOut(Sat(amount), script) for amount in (first, *[each] * (parts - 1))], version=version
        )


def output_of(tx: Tx, vout: int = 0) -> tuple[OutPoint, Sat]:
    """An output as a coin to spend."""
    return tx.outpoint(vout), tx.outputs[vout].amount_sat


class Clock:
    """A clock that goes when it is told."""

    def __init__(self, now: int) -> None:
        self.now = now

    def __call__(self) -> int:
        return self.now


def a_node(judge: str = "btclib", policy: RelayPolicy | None = None, now: int = NOW) -> RegtestNode:
    """An empty embedded chain."""
    return RegtestNode(open_judge(judge), Clock(now), policy=policy)


def a_funded_node(
    coins: int = 1, judge: str = "btclib", policy: RelayPolicy | None = None, now: int = NOW
) -> tuple[RegtestNode, Wallet, list[tuple[OutPoint, Sat]]]:
    """A chain, a wallet, and that many ripe coins of 50 bitcoins."""
    node, wallet = a_node(judge, policy, now), Wallet()
    mined = node.mine(coins, wallet.script)
    node.mine(100)
    ripe = [output_of(node.chain.block(entry).txs[0]) for entry in mined]
    return node, wallet, ripe
