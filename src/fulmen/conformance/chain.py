"""The chain that scripts need: blocks on demand, coins to fund channels with, and whether an output is spent.

Two of them: the embedded chain in this process, and any server with Bitcoin Core's RPC.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from fulmen.adapters.chain.faults import SourceRefused
from fulmen.adapters.chain.rpc_client import RpcClient
from fulmen.core.base.faults import Refused
from fulmen.core.base.ids import OutPoint, Secret
from fulmen.core.base.units import Sat
from fulmen.core.bitcoin.address import address_of
from fulmen.core.bitcoin.block import COINBASE_MATURITY, WholeBlock, parse_block
from fulmen.core.bitcoin.networks import Network
from fulmen.core.bitcoin.script import p2pkh, p2wpkh
from fulmen.core.bitcoin.sighash import SIGHASH_ALL, sighash_segwit_v0
from fulmen.core.bitcoin.transaction import Tx, TxIn, TxOut
from fulmen.core.crypto.hashes import hash160, sha256
from fulmen.core.crypto.secp256k1 import point_of, sign_ecdsa, signature_to_der
from fulmen.regtest.node import RegtestNode

FEE_SAT = 2_000
"""Of each transaction of ours: enough for its few hundred bytes."""
FIRST_COINS = 10


class NoCoins(Refused):
    """No block that we mined has ripened: is this a regtest chain?"""


class NodeLags(Refused):
    """The node under test did not read new blocks in time."""


class Chain(Protocol):
    """A chain that mines when it is told to."""

    def height(self) -> int:
        """Of the tip."""

    def mine(self, count: int, script_pubkey: bytes) -> Sequence[WholeBlock]:
        """Mine blocks whose reward pays a script."""

    def broadcast(self, tx: Tx) -> None:
        """Put a transaction into the mempool."""

    def is_spent(self, outpoint: OutPoint) -> bool:
        """Whether a confirmed output is spent, in the mempool at least."""

    def is_there(self, outpoint: OutPoint) -> bool:
        """Whether an output is unspent, in the mempool at least."""


class Coins:
    """A wallet of one key over a chain: it lives on the blocks that it mines itself."""

    def __init__(self, chain: Chain, seed: bytes) -> None:
        self.chain = chain
        self._secret = Secret(sha256(b"fulmen conformance coins " + seed))
        self._point = point_of(self._secret)
        self._script = p2wpkh(hash160(self._point))
        self._coins: list[tuple[OutPoint, Sat, int]] = []
        """Outpoint, amount, and the height from which it may be spent."""

    def mine(self, count: int) -> Sequence[WholeBlock]:
        """Mine blocks, and earn them."""
        blocks = self.chain.mine(count, self._script)
        first = self.chain.height() - len(blocks) + 1
        for at, block in enumerate(blocks):
            coinbase = block.txs[0]
            for vout, output in enumerate(coinbase.outputs):
                if output.script_pubkey == self._script and output.amount_sat:
                    coin = (OutPoint(coinbase.txid, vout), output.amount_sat, first + at + COINBASE_MATURITY)
                    self._coins.append(coin)
        return blocks

    def pay(self, outputs: Sequence[TxOut]) -> Tx:
        """A signed transaction whose first outputs are these. Nobody is told of it yet.

        Raises:
            NoCoins: nothing is ripe, even after mining for it.
        """
        needed = sum(output.amount_sat for output in outputs) + FEE_SAT
        coin = self._ripe(needed)
        if coin is None:
            self.mine(COINBASE_MATURITY + FIRST_COINS)
            coin = self._ripe(needed)
        if coin is None:
            raise NoCoins(needed_sat=needed)
        self._coins.remove(coin)
        outpoint, amount_sat, _ = coin
        change = TxOut(Sat(amount_sat - needed), self._script)
        tx = self._signed(Tx(2, (TxIn(outpoint),), (*outputs, change)), amount_sat)
        self._coins.append((tx.outpoint(len(outputs)), change.amount_sat, 0))
        return tx

    def _ripe(self, needed: int) -> tuple[OutPoint, Sat, int] | None:
        height = self.chain.height()
        return next((coin for coin in self._coins if coin[2] <= height and coin[1] > needed + 1_000), None)

    def _signed(self, tx: Tx, amount_sat: Sat) -> Tx:
        digest = sighash_segwit_v0(tx, 0, p2pkh(hash160(self._point)), amount_sat, SIGHASH_ALL)
        return tx.with_witness(
            0, signature_to_der(sign_ecdsa(self._secret, digest)) + bytes([SIGHASH_ALL]), self._point
        )


class EmbeddedChain:
    """The embedded chain of this process; `mined` is told after blocks came."""

    def __init__(self, node: RegtestNode, mined: Callable[[], None] = lambda: None) -> None:
        self.node = node
        self.mined = mined

    def height(self) -> int:
        """Of the tip."""
        return self.node.chain.height

    def mine(self, count: int, script_pubkey: bytes) -> Sequence[WholeBlock]:
        """Mine blocks whose reward pays a script."""
        blocks = [self.node.chain.block(entry) for entry in self.node.mine(count, script_pubkey)]
        self.mined()
        return blocks

    def broadcast(self, tx: Tx) -> None:
        """Put a transaction into the mempool."""
        self.node.submit_tx(tx)

    def is_spent(self, outpoint: OutPoint) -> bool:
        """Whether a confirmed output is spent, in the mempool at least."""
        return self.node.pool.spender(outpoint) is not None or self.node.chain.coins.get(outpoint) is None

    def is_there(self, outpoint: OutPoint) -> bool:
        """Whether an output is unspent, in the mempool at least."""
        if self.node.pool.spender(outpoint) is not None:
            return False
        coins, height = self.node.chain.coins, self.node.chain.height
        return coins.get(outpoint) is not None or self.node.pool.coin(outpoint, height + 1) is not None


class RpcChain:
    """A regtest server with Bitcoin Core's RPC. `synced` waits until the node under test has seen the new blocks."""

    def __init__(
        self, client: RpcClient, network: Network, synced: Callable[[int], None] = lambda _height: None
    ) -> None:
        self._client = client
        self._network = network
        self._synced = synced
        self._loop = asyncio.Runner()

    def height(self) -> int:
        """Of the tip."""
        height: int = self._call(int, "getblockcount")
        return height

    def mine(self, count: int, script_pubkey: bytes) -> Sequence[WholeBlock]:
        """Mine blocks whose reward pays a script."""
        hashes = self._call(list[str], "generatetoaddress", count, address_of(script_pubkey, self._network))
        blocks = [parse_block(bytes.fromhex(self._call(str, "getblock", each, 0))) for each in hashes]
        self._synced(self.height())
        return blocks

    def broadcast(self, tx: Tx) -> None:
        """Put a transaction into the mempool."""
        self._call(str, "sendrawtransaction", tx.serialize().hex())

    def is_spent(self, outpoint: OutPoint) -> bool:
        """Whether a confirmed output is spent, in the mempool at least."""
        try:
            return not self.is_there(outpoint)
        except SourceRefused:
            return False

    def is_there(self, outpoint: OutPoint) -> bool:
        """Whether an output is unspent, in the mempool at least."""
        txid = outpoint.txid[::-1].hex()
        asked = self._client.call_or_null(dict[str, Any], "gettxout", txid, outpoint.vout, True)
        return self._loop.run(asked) is not None

    def close(self) -> None:
        """Give the connection back."""
        self._loop.run(self._client.close())
        self._loop.close()

    def _call(self, type_: Any, method: str, *params: Any) -> Any:
        return self._loop.run(self._client.call(type_, method, *params))
