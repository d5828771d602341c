"""Two ends of a channel that closes on an embedded chain.

Commitments are written down as a test needs them, and signed by the real keys of the other end; whatever the machines
publish has to pass the chain's mempool and its judge.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from functools import lru_cache
from typing import Any

from tests.builders.channels import CAPACITY_SAT, KEY_INDEX
from tests.builders.onchain import NAMES, Host, Plan, Planned, keys_of_end
from tests.builders.papers import Papers
from tests.builders.regtest import a_node

from fulmen.core.base.env import Env
from fulmen.core.base.ids import (
    BlockHash,
    OutPoint,
)
from fulmen.core.base.outer import Block
from fulmen.core.base.units import BlockHeight, Sat
from fulmen.core.bitcoin.accounts import KeyPath, script_at
from fulmen.core.bitcoin.transaction import TxOut
from fulmen.core.commitments.close import (
    ChannelSpent,
    ChannelUnspent,
    ClaimHtlc,
    CommitmentSeen,
)
from fulmen.core.node.watching import chain_block, chain_tx
from fulmen.core.transactions.funding import funding_output
from fulmen.regtest.node import RegtestNode

_MATURE = 101


class Court(Papers):
    """The chain and both ends."""

    def __init__(self, plan: Plan) -> None:
        prepared, funding = _prepared(plan.coin_sat)
        super().__init__(plan, funding, prepared.chain.tip.height)
        self.regtest: RegtestNode = deepcopy(prepared)
        self.hosts = {name: Host(self, name) for name in NAMES}
        self.alice.disk.cold.update({kept.at: kept.row for kept in self.kept()})
        for host in self.hosts.values():
            host.start()
        self.settle()

    @property
    def alice(self) -> Host:
        return self.hosts["alice"]

    @property
    def bob(self) -> Host:
        return self.hosts["bob"]

    @property
    def tip(self) -> Block:
        entry = self.regtest.chain.tip
        return Block(BlockHeight(entry.height), entry.hash)

    def block_at(self, height: int) -> Block:
        """The name of a block of the chain."""
        entry = self.regtest.chain.at(height)
        assert entry is not None
        return Block(BlockHeight(height), BlockHash(entry.hash))

    def block(self, height: int) -> Any:
        entry = self.regtest.chain.at(height)
        assert entry is not None
        return chain_block(BlockHeight(height), self.regtest.chain.block(entry))

    def env(self, name: str) -> Env:
        return replace(self.env_at(name, self.tip.height), tip=self.tip)

    # -- time --

    def close_by(self, name: str, *, knows: bool = False) -> None:
        """An end fails the channel: it publishes its commitment until the funding is spent.

        Args:
            knows: it says which preimages it knows, and so which HTLCs hurry.
        """
        host = self.hosts[name]
        host.publishes_commitment, host.says_claimable = True, knows
        host.tell_published()
        self.settle()

    def settle(self) -> None:
        """Until nobody has anything to say."""
        for _ in range(200):
            moved = [host.pump() for host in self.hosts.values()]
            if not any(moved):
                return
        raise AssertionError("the hosts do not come to rest")

    def publish(self) -> None:
        """Everybody publishes what it wants, and sees the mempool, and publishes what it wants then."""
        for _ in range(2):
            for host in self.hosts.values():
                host.publish()
            self.see_mempool()

    def see_mempool(self) -> None:
        found = [chain_tx(pooled.tx) for pooled in self.regtest.pool]
        spender = self.regtest.pool.spender(self.funding)
        for host in self.hosts.values():
            if host.matcher is not None:
                host.inbox += host.matcher.gone_from([seen.txid for seen in found])
                host.inbox += host.matcher.unconfirmed(found)
                if spender is not None:
                    host.inbox.append((self.address, CommitmentSeen(self.at_close(host.name), spender.raw)))
        self.settle()

    def mine(self, count: int = 1) -> None:
        """Blocks, each after everybody has published."""
        for _ in range(count):
            self.publish()
            self.regtest.mine(1)
            self.hear_of_block()

    def mine_empty(self, count: int = 1) -> None:
        """Blocks without anything of the mempool."""
        for _ in range(count):
            pooled = [one.tx for one in self.regtest.pool]
            for one in list(self.regtest.pool):
                if self.regtest.pool.get(one.txid) is not None:
                    self.regtest.pool.remove_with_descendants(one)
            self.regtest.mine(1)
            for tx in pooled:
                self.regtest.submit_tx(tx)
            self.hear_of_block()

    def hear_of_block(self) -> None:
        """Both ends hear of the block that is the tip now."""
        block = self.block(self.tip.height)
        for host in self.hosts.values():
            # The channel hears of a spend before anybody hears of the height.
            self.tell_of_the_funding(host)
            if host.matcher is not None:
                host.inbox += host.matcher.connect(block)
        self.settle()
        for host in self.hosts.values():
            host.rewound_to = None

    def tell_of_the_funding(self, host: Host) -> None:
        """What the channel would say: the funding is spent in a block, or no more."""
        txid = self.regtest.txs.spender(self.funding)
        if txid is None:
            if host.onchain.ending is not None:
                host.inbox.append((self.address, ChannelUnspent()))
            return
        host.publishes_commitment = False
        entry, index = self.regtest.txs.get(txid) or (None, 0)
        assert entry is not None
        tx = self.regtest.chain.block(entry).txs[index]
        block = Block(BlockHeight(entry.height), entry.hash)
        host.inbox.append((self.address, ChannelSpent(self.at_close(host.name), tx.serialize(), block)))

    def rewind(self, count: int) -> None:
        """Take blocks back; their transactions are in the mempool again."""
        height = self.tip.height - count
        entry = self.regtest.chain.at(height + 1)
        assert entry is not None
        self.regtest.invalidate(entry.hash)
        unspent = self.regtest.txs.spender(self.funding) is None
        for host in self.hosts.values():
            host.rewound_to = self.tip.height
            if host.matcher is not None:
                host.inbox += host.matcher.rewind(self.tip)
            if unspent:
                host.inbox.append((self.address, ChannelUnspent()))
        self.settle()

    def empty_mempool(self) -> None:
        """The mempool forgets everything."""
        for one in list(self.regtest.pool):
            if self.regtest.pool.get(one.txid) is not None:
                self.regtest.pool.remove_with_descendants(one)

    def claim(self, name: str, planned: Planned) -> None:
        """The preimage of a received HTLC becomes known to an end."""
        host = self.hosts[name]
        host.inbox.append((self.address, ClaimHtlc(planned.key(name, self.channel_id), planned.preimage)))
        self.settle()

    def mine_until_resolved(self, most: int = 80) -> None:
        for _ in range(most):
            if all(host.is_resolved for host in self.hosts.values()):
                return
            self.mine()
        states = {host.name: host.onchain for host in self.hosts.values()}
        raise AssertionError(f"not resolved after {most} blocks: {states}")

    # -- money --

    def fees_of(self, name: str) -> int:
        """What the transactions of an end in blocks have paid for the whole of them."""
        total = 0
        for txid in self.hosts[name].published:
            found = self.regtest.txs.get(txid)
            if found is None:
                continue
            tx = self.regtest.chain.block(found[0]).txs[found[1]]
            if tx.inputs[0].outpoint == self.funding:
                continue
            total += sum(self._output(i.outpoint).amount_sat for i in tx.inputs)
            total -= sum(out.amount_sat for out in tx.outputs)
        return total

    def taker_of(self, outpoint: OutPoint) -> str:
        """Whose transaction spends an output in a block; `nobody` if none does."""
        txid = self.regtest.txs.spender(outpoint)
        takers = [host.name for host in self.hosts.values() if txid is not None and txid in host.published]
        return takers[0] if takers else "nobody"

    def _output(self, outpoint: OutPoint) -> TxOut:
        found = self.regtest.txs.get(outpoint.txid)
        assert found is not None
        return self.regtest.chain.block(found[0]).txs[found[1]].outputs[outpoint.vout]

    def gain_of(self, name: str) -> int:
        """What an end has more in its wallet than in the beginning, its own fees added again."""
        return self.hosts[name].coins_sat - self.plan.coin_sat + self.fees_of(name)


@lru_cache(maxsize=8)
def _prepared(coin_sat: Sat) -> tuple[RegtestNode, OutPoint]:
    """A chain on which both wallets have coins and the channel its funding output."""
    regtest = a_node()
    regtest.mine(_MATURE)
    for name in NAMES:
        script = script_at(keys_of_end(name).accounts, KeyPath(86, 0, 0))
        for _ in range(4):
            if coin_sat:
                regtest.give(script, Sat(coin_sat // 4))
    points = [keys_of_end(name).basepoints(KEY_INDEX).funding_pubkey for name in NAMES]
    output = funding_output(points[0], points[1], CAPACITY_SAT)
    txid = regtest.give(output.script_pubkey, CAPACITY_SAT)
    regtest.mine(1)
    entry, index = regtest.txs.get(txid) or (None, 0)
    assert entry is not None
    vout = regtest.chain.block(entry).txs[index].find(output)
    assert vout is not None
    return regtest, OutPoint(txid, vout)
