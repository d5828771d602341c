"""Whole nodes but for gossip and payments: peers, openings, channels, wallets and real keys, as a world knows them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from tests.builders.channels import TOYS, keys_of
from tests.builders.env import an_env
from tests.laws.world import Family, Host, World

from fulmen.core.base.env import Env
from fulmen.core.base.ids import BlockHash, ChainHash, ChannelId, CommandId, NodeId, OutPoint, Txid
from fulmen.core.base.machine import Address, CallerGone, Disconnected, Event, Lull
from fulmen.core.base.outer import Block, ScriptPaid
from fulmen.core.base.peers import Connected, MessageReceived
from fulmen.core.base.policy import OpeningPolicy, Policy
from fulmen.core.base.units import BlockHeight, Sat
from fulmen.core.bitcoin.accounts import RECEIVE, KeyPath, script_at
from fulmen.core.bitcoin.transaction import Tx, TxIn, TxOut
from fulmen.core.channel import opening, table
from fulmen.core.channel.commands import OpenTo
from fulmen.core.channel.state import Channel
from fulmen.core.peer import table as peer_table
from fulmen.core.wallet.machine import mount as wallet_mount

CHAIN = ChainHash(b"c" * 32)
TIP = Block(BlockHeight(100), BlockHash(bytes(32)))


def node_id_of(name: str) -> NodeId:
    """The id under which a world knows a host."""
    return NodeId(name.encode().rjust(33, b"\x02"))


def env_of(name: str, **changes: Any) -> Env:
    """Real keys, and everybody trusted with an unconfirmed funding."""
    keys = keys_of(name)
    policy = Policy(opening=OpeningPolicy(zeroconf_peers=(node_id_of("alice"), node_id_of("bob"))))
    fields: dict[str, Any] = {
        "ecdh": keys.ecdh,
        "basepoints": keys.basepoints,
        "per_commitment_point": keys.per_commitment_point,
        "chain_hash": CHAIN,
        "policy": policy,
        "tip": TIP,
    }
    return an_env(name.encode(), **(fields | changes))


def family() -> Family:
    """The machines of every host, each with the accounts of its own wallet."""
    toys = [toy for toy in TOYS if toy.kind not in ("peer", "wallet")]
    return Family(
        mounts=(peer_table.MOUNT, opening.MOUNT, table.MOUNT, *toys),
        mounts_of=lambda name: (wallet_mount(keys_of(name).accounts),),
        keys=keys_of,
        verify=lambda keys: keys.verify,
        connected=lambda peer: [(Address("peer", peer), Connected(False, "host:1"))],
        parted=lambda peer: [(Address("peer", peer), Disconnected())],
        heard=lambda peer, message: [(Address("peer", peer), MessageReceived(message))],
        env=env_of,
    )


def a_world(seed: int = 0, env: Callable[[str], Env] = env_of) -> World:
    """Alice has coins; she and Bob are connected."""
    world = World(replace(family(), env=env), ("alice", "bob"), seed)
    alice, bob = world.hosts.values()
    alice.run([(Address("wallet"), a_coin("alice", 5_000_000))])
    bob.run([(Address("wallet"), CallerGone())])
    world.connect(alice, bob)
    quiesce(world)
    return world


def a_coin(name: str, amount_sat: int) -> Event:
    """A confirmed payment to the first address of a host's wallet."""
    script = script_at(keys_of(name).accounts, KeyPath(86, RECEIVE, 0))
    source = TxIn(OutPoint(Txid(b"\x07" * 32), 0), b"", 0xFFFFFFFF)
    tx = Tx(2, (source,), (TxOut(Sat(amount_sat), script),), 0)
    return ScriptPaid(tx.txid, tx.serialize(), TIP)


def open_channel(host: Host, other: Host, temporary: bytes = b"t" * 32, **changes: Any) -> CommandId:
    """A caller asks for a channel."""
    command_id = CommandId(temporary[:16])
    wish = OpenTo(command_id, other.node_id, Sat(1_000_000), **changes)
    host.run([(Address("opening", other.node_id + temporary), wish)])
    return command_id


def quiesce(world: World) -> None:
    """Deliver and sync until nothing moves; nobody is brought back."""
    moved = True
    while moved:
        moved = False
        for sender, receiver in list(world.links):
            while world.deliver(sender, receiver):
                moved = True
        for host in world.hosts.values():
            moved = bool(host.disk.sync()) or moved
            if host.node is not None:
                host.run([Lull()])
                moved = bool(host.disk.sync()) or moved


def channels(host: Host) -> list[Channel]:
    """A host's channels that are in memory."""
    assert host.node is not None
    states = [host.node.state(address) for address in host.node.addresses("channel")]
    return [state for state in states if isinstance(state, Channel) and state.params is not None]


def channel_at(host: Host, channel_id: ChannelId) -> Channel:
    """One of them."""
    return next(channel for channel in channels(host) if channel.channel_id == channel_id)
