"""From two living channels to their ends on the chain: what the channel hands over is what onchain needs.

Real channel machines make the commitments and sign them; a foreign script engine judges every transaction.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache

import pytest
from tests.builders.channels import CAPACITY_SAT, CHANNEL, FUNDING, KEY_INDEX, TOYS, Outcome, env_of, keys_of
from tests.builders.judge import verify_spend
from tests.laws.channel_family import FAMILY, channel_of, outcome, pay
from tests.laws.channel_family import a_world as a_channel_world
from tests.laws.world import Host, World

from fulmen.core.base.env import Env
from fulmen.core.base.ids import BlockHash, CommandId, OutPoint
from fulmen.core.base.machine import Address, Lull
from fulmen.core.base.outer import Block, ChainRewound, HeightReached, OutputSpent, ScriptPaid, WantPublished
from fulmen.core.base.units import BlockHeight, Sat
from fulmen.core.bitcoin.accounts import KeyPath, script_at
from fulmen.core.bitcoin.transaction import Tx, TxIn, TxOut, parse_tx
from fulmen.core.channel.commands import CloseChannel
from fulmen.core.channel.state import Phase
from fulmen.core.onchain.classify import Kind
from fulmen.core.onchain.machine import MOUNT
from fulmen.core.onchain.state import Onchain
from fulmen.core.transactions.formats import ANCHORS_ZERO_FEE_HTLC, STATIC_REMOTEKEY
from fulmen.core.transactions.funding import funding_output
from fulmen.core.wallet.machine import ADDRESS as WALLET
from fulmen.core.wallet.machine import mount as wallet_mount

FORMATS = (ANCHORS_ZERO_FEE_HTLC.name, STATIC_REMOTEKEY.name)
ONCHAIN = Address("onchain", CHANNEL.key)
EXPIRY = 500
"""Of the toy payments."""


class Ends:
    """Both ends of a channel, a height that they see, and all outputs that exist."""

    def __init__(self, format: str) -> None:
        self.height = 101
        points = [keys_of(name).basepoints(KEY_INDEX).funding_pubkey for name in ("alice", "bob")]
        self.outputs: dict[OutPoint, TxOut] = {FUNDING: funding_output(points[0], points[1], CAPACITY_SAT)}
        self.world: World = a_channel_world(format=format)
        for host in self.world.hosts.values():
            host.crash()
        toys = tuple(toy for toy in TOYS if toy.kind not in ("onchain", "wallet"))
        self.world.family = replace(FAMILY, env=self.env)
        for host in self.world.hosts.values():
            mounts = (*FAMILY.mounts[:1], MOUNT, wallet_mount(keys_of(host.name).accounts), *toys)
            self.world.family = replace(self.world.family, mounts=mounts)
            host.start()
            self._give_a_coin(host)

    def env(self, name: str) -> Env:
        return replace(_env_of(name), tip=self.block(self.height))

    def block(self, height: int) -> Block:
        return Block(BlockHeight(height), BlockHash(height.to_bytes(32, "big")))

    @property
    def alice(self) -> Host:
        return self.world.hosts["alice"]

    @property
    def bob(self) -> Host:
        return self.world.hosts["bob"]

    def _give_a_coin(self, host: Host) -> None:
        script = script_at(keys_of(host.name).accounts, KeyPath(86, 0, 0))
        tx = Tx(2, (TxIn(OutPoint(FUNDING.txid, 7)),), (TxOut(Sat(100_000), script),))
        self.outputs[tx.outpoint(0)] = tx.outputs[0]
        host.run([(WALLET, ScriptPaid(tx.txid, tx.serialize(), self.block(100)))])

    def under_way(self, payer: Host, number: int) -> CommandId:
        """A payment that is locked in at the payee, whose answer the payer never hears."""
        self.world.settle()
        payee = self.bob if payer is self.alice else self.alice
        command = pay(payer, number, 50_000_000)
        assert payee.node is not None
        while not payee.node.addresses("circuit"):
            for sender, receiver in ((payer, payee), (payee, payer)):
                sender.run([Lull()])
                sender.disk.sync()
                if not payee.node.addresses("circuit"):
                    self.world.deliver(sender.name, receiver.name)
        self.world.cut(self.alice, self.bob)
        self.sync()
        return command

    def sync(self) -> None:
        for host in self.world.hosts.values():
            while host.disk.sync():
                pass

    def wanted(self, host: Host) -> Iterator[Tx]:
        """What a host wants to have published, complete, each judged by the engine."""
        assert host.node is not None
        for _, want in host.node.wants():
            if isinstance(want, WantPublished):
                tx = parse_tx(host.keys.complete(want))
                spent = [self.outputs[i.outpoint] for i in tx.inputs]
                for index in range(len(spent)):
                    verify_spend(tx, spent, index)
                yield tx

    def confirm(self, tx: Tx) -> None:
        """It is in the next block; both ends hear of it."""
        self.advance(1)
        for vout, output in enumerate(tx.outputs):
            self.outputs[tx.outpoint(vout)] = output
        for host in self.world.hosts.values():
            for spent in tx.inputs:
                address = CHANNEL if spent.outpoint == FUNDING else ONCHAIN
                host.run([(address, OutputSpent(spent.outpoint, tx.serialize(), self.block(self.height)))])
            host.run([(WALLET, ScriptPaid(tx.txid, tx.serialize(), self.block(self.height)))])
        self.advance(0)

    def advance(self, blocks: int) -> None:
        """So many blocks pass."""
        self.height += blocks
        for host in self.world.hosts.values():
            host.env = replace(host.env, tip=self.block(self.height))
            host.run([(ONCHAIN, HeightReached(self.block(self.height)))])
        self.sync()

    def force_close(self, host: Host) -> Tx:
        """An end publishes its commitment, perhaps with a child, and both confirm."""
        host.run([(CHANNEL, CloseChannel(CommandId(b"c" * 16), force=True))])
        self.sync()
        wanted = self.wanted_first(host)
        [commitment] = [tx for tx in wanted if tx.inputs[0].outpoint == FUNDING]
        self.confirm(commitment)
        for child in wanted:
            if child is not commitment:
                self.confirm(child)
        return commitment

    def wanted_first(self, host: Host) -> list[Tx]:
        """As `wanted`, where the outputs of a wanted parent may be spent by a wanted child."""
        assert host.node is not None
        for _, want in host.node.wants():
            if isinstance(want, WantPublished):
                parent = parse_tx(want.tx)
                self.outputs |= {parent.outpoint(vout): output for vout, output in enumerate(parent.outputs)}
        return list(self.wanted(host))


@lru_cache(maxsize=4)
def _env_of(name: str) -> Env:
    return env_of(name)


def onchain_of(host: Host) -> Onchain:
    assert host.node is not None
    state = host.node.state(ONCHAIN)
    assert isinstance(state, Onchain)
    return state


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("closer", ["alice", "bob"])
def test_a_payment_under_way_is_claimed_on_the_chain_and_told_to_its_payer(closer: str, format: str) -> None:
    ends = Ends(format)
    payment = ends.under_way(ends.alice, 2)
    assert channel_of(ends.bob).held_preimages, "bob knows the preimage, and alice has not heard of it"
    assert outcome(ends.alice, payment) is Outcome.PENDING
    commitment = ends.force_close(ends.world.hosts[closer])
    for host in (ends.alice, ends.bob):
        ending = onchain_of(host).ending
        assert ending is not None and ending.txid == commitment.txid
        assert ending.kind is (Kind.LOCAL if host.name == closer else Kind.REMOTE)
        assert channel_of(host).phase is Phase.SPENT
    claims = [tx for tx in ends.wanted(ends.bob) if any(len(i) == 32 for i in tx.inputs[0].witness)]
    assert len(claims) == 1
    ends.confirm(claims[0])
    assert outcome(ends.alice, payment) is Outcome.PAID


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("closer", ["alice", "bob"])
def test_a_payment_that_nobody_claims_comes_back_and_fails(closer: str, format: str) -> None:
    ends = Ends(format)
    payment = ends.under_way(ends.alice, 3)
    ends.force_close(ends.world.hosts[closer])
    ends.advance(EXPIRY - ends.height)
    taken_back = [tx for tx in ends.wanted(ends.alice) if tx.locktime == EXPIRY]
    assert len(taken_back) == 1
    ends.confirm(taken_back[0])
    ends.advance(4)
    assert outcome(ends.alice, payment) is Outcome.PENDING
    ends.advance(1)
    assert outcome(ends.alice, payment) is Outcome.FAILED


@pytest.mark.parametrize("format", FORMATS)
def test_a_close_undone_is_published_again(format: str) -> None:
    ends = Ends(format)
    ends.world.settle()
    first = ends.force_close(ends.alice)
    for host in (ends.alice, ends.bob):
        for address in (CHANNEL, ONCHAIN):
            host.run([(address, ChainRewound(BlockHeight(ends.height - 1)))])
    ends.sync()
    assert onchain_of(ends.alice).ending is None and channel_of(ends.alice).phase is Phase.FAILED
    ends.wanted_first(ends.alice)
    assert [tx.txid for tx in ends.wanted(ends.alice) if tx.inputs[0].outpoint == FUNDING] == [first.txid]
    ends.confirm(first)
    assert onchain_of(ends.bob).ending is not None


def kept(host: Host) -> int:
    return sum(address.kind == "revoked" for address in host.disk.cold)


def settled_payments(ends: Ends) -> None:
    for payer in (ends.alice, ends.bob):
        for number in (2, 4):
            pay(payer, number, 5_000_000)
            ends.world.settle()
    ends.sync()


def test_what_is_kept_for_penalties_goes_when_a_unilateral_close_is_deep() -> None:
    ends = Ends(ANCHORS_ZERO_FEE_HTLC.name)
    settled_payments(ends)
    assert kept(ends.alice) >= 3
    ends.force_close(ends.alice)
    for _ in range(300):
        if channel_phase(ends.alice) is not Phase.SPENT:
            break
        before = kept(ends.alice)
        for host in (ends.alice, ends.bob):
            for tx in list(ends.wanted(host)):
                if all(spent.outpoint in ends.outputs for spent in tx.inputs):
                    ends.confirm(tx)
        ends.advance(1)
    assert before >= 3, "for as long as the close was not deep they were there"
    assert kept(ends.alice) == 0


def test_what_is_kept_for_penalties_goes_when_a_mutual_close_is_deep() -> None:
    ends = Ends(ANCHORS_ZERO_FEE_HTLC.name)
    settled_payments(ends)
    ends.alice.run([(CHANNEL, CloseChannel(CommandId(b"c" * 16)))])
    ends.world.settle()
    [closing] = list(ends.wanted(ends.alice))
    ends.confirm(closing)
    height = ends.height
    for host in (ends.alice, ends.bob):
        assert kept(host) >= 3
        host.env = replace(host.env, tip=ends.block(height + 98))
        host.run([(CHANNEL, HeightReached(ends.block(height + 98)))])
        host.disk.sync()
        assert kept(host) >= 3
        host.env = replace(host.env, tip=ends.block(height + 99))
        host.run([(CHANNEL, HeightReached(ends.block(height + 99)))])
        host.disk.sync()
        assert channel_phase(host) is None
        assert kept(host) == 0


def channel_phase(host: Host) -> Phase | None:
    assert host.node is not None
    state = host.node.state(CHANNEL)
    return None if state is None else state.phase
