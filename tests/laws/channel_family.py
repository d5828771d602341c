"""Two nodes with a channel between them, as a world knows them."""

from __future__ import annotations

from typing import Any

from tests.builders.channels import CAPACITY_SAT, CHANNEL, FEATURES, TOYS, Outcome, PayToy, born, env_of, keys_of
from tests.laws.world import Family, Host, World

from fulmen.core.base.ids import CommandId, NodeId
from fulmen.core.base.machine import Address, Disconnected
from fulmen.core.base.peers import MessageReceived, PeerReady
from fulmen.core.base.units import Msat
from fulmen.core.channel.state import Channel, Phase
from fulmen.core.channel.table import MOUNT
from fulmen.core.commitments.commitment import recount
from fulmen.core.transactions.formats import ANCHORS_ZERO_FEE_HTLC

FAMILY = Family(
    mounts=(MOUNT, *TOYS),
    keys=keys_of,
    verify=lambda keys: keys.verify,
    connected=lambda peer: [(CHANNEL, PeerReady(peer, FEATURES, FEATURES))],
    parted=lambda _peer: [(CHANNEL, Disconnected())],
    heard=lambda _peer, message: [(CHANNEL, MessageReceived(message))],
    env=env_of,
)


def a_world(seed: int = 0, format: str = ANCHORS_ZERO_FEE_HTLC.name, family: Family = FAMILY, **changes: Any) -> World:
    """Alice opened a channel to Bob; both have money in it, and both remember it."""
    world = World(family, ("alice", "bob"), seed)
    alice, bob = world.hosts.values()
    for host, other, opens in ((alice, bob, True), (bob, alice, False)):
        birth = born(host.name, other.name, NodeId(other.node_id), is_opener=opens, format=format, **changes)
        host.run([(CHANNEL, birth), (CHANNEL, Disconnected())])
        while host.disk.sync():
            pass
    return world


def channel_of(host: Host) -> Channel:
    """A host's end of the channel."""
    assert host.node is not None
    state = host.node.state(CHANNEL)
    assert isinstance(state, Channel)
    return state


def pay(host: Host, number: int, amount_msat: int) -> CommandId:
    """A caller asks for a payment; asking again with the same number is the same payment."""
    command_id = CommandId(host.name.encode().ljust(8, b"-") + number.to_bytes(8, "big"))
    host.run([(Address("payer", command_id), PayToy(command_id, number, Msat(amount_msat)))])
    return command_id


def outcome(host: Host, command_id: CommandId) -> Outcome:
    """How a payment stands."""
    assert host.node is not None
    state = host.node.state(Address("payer", command_id))
    return Outcome.NEW if state is None else state.outcome


def check_commitments(channel: Channel) -> None:
    """Every commitment balances to the msat, and its totals are those that its logs give (law 4)."""
    commitments = [channel.local, channel.remote, channel.local_pending, channel.remote_pending]
    if channel.remote_next is not None:
        commitments.append(channel.remote_next)
    for commitment in commitments:
        totals = commitment.totals
        everything = totals.local_msat + totals.remote_msat + totals.offered_msat + totals.received_msat
        assert everything == CAPACITY_SAT * 1000
        assert recount(commitment, channel.terms, channel.local_log, channel.remote_log) == totals
        assert totals.local_msat >= 0 and totals.remote_msat >= 0


def check_mirror(one: Channel, other: Channel) -> None:
    """At rest both ends see the same two commitments, each from its side."""
    for ours, theirs in ((one.local, other.remote), (one.remote, other.local)):
        assert ours.number == theirs.number
        assert ours.feerate_per_kw == theirs.feerate_per_kw
        assert ours.totals.local_msat == theirs.totals.remote_msat
        assert ours.totals.remote_msat == theirs.totals.local_msat
        assert ours.totals.offered_msat == theirs.totals.received_msat
        assert ours.totals.output_count == theirs.totals.output_count


def check_at_rest(world: World) -> None:
    """Nothing is under way, and both ends agree."""
    alice, bob = map(channel_of, world.hosts.values())
    check_commitments(alice)
    check_commitments(bob)
    check_mirror(alice, bob)
    for channel in (alice, bob):
        assert channel.phase in (Phase.NORMAL, Phase.CLOSING)
        assert not channel.local_log.adds and not channel.local_log.removes
        assert channel.remote_next is None
    for host in world.hosts.values():
        assert not host.frozen, host.frozen
