"""Whatever commitment a peer has revoked: from what is on disk, every HTLC output of it can be named and spent."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.builders.channels import CHANNEL_ID, KEY_INDEX, env_of, keys_of
from tests.laws.channel_family import FAMILY, a_world, channel_of, pay
from tests.laws.world import Host, World

from fulmen.adapters.store.codec import Codec
from fulmen.core.base.env import Env
from fulmen.core.base.machine import Event, Lull, Step
from fulmen.core.base.mount import Mount
from fulmen.core.base.stretch import found
from fulmen.core.channel.chain import at_close
from fulmen.core.channel.dance import local_view
from fulmen.core.channel.state import Channel, Phase
from fulmen.core.channel.table import MOUNT
from fulmen.core.commitments.building import build
from fulmen.core.commitments.htlcs import Htlc
from fulmen.core.commitments.revoked import kept_of, revoked_htlcs
from fulmen.core.commitments.view import CommitmentView
from fulmen.core.crypto.shachain import index_of
from fulmen.core.onchain.matters import htlcs_of
from fulmen.core.transactions.formats import ANCHORS_ZERO_FEE_HTLC, STATIC_REMOTEKEY

FORMATS = (ANCHORS_ZERO_FEE_HTLC.name, STATIC_REMOTEKEY.name)


def remembered(host: Host, number: int) -> set[tuple[int, bytes, int]]:
    """The HTLCs that an end can name of a commitment of its peer, after a crash at this instant."""
    wanted = kept_of(CHANNEL_ID, number)
    kept = revoked_htlcs(CHANNEL_ID, found(wanted, host.disk.read_stretch(wanted)))
    assert len({htlc.key for htlc in kept}) == len(kept)
    living = htlcs_of(at_close(channel_of(host), env_of(host.name)))
    return {_name(htlc) for htlc in (*kept, *living)}


def _name(htlc: Htlc) -> tuple[int, bytes, int]:
    return htlc.amount_msat, htlc.payment_hash, htlc.cltv_expiry


def check_memory(host: Host, views: dict[int, CommitmentView]) -> int:
    """Every revoked commitment of the peer is known to the last output; gives how many HTLC outputs that were."""
    channel, outputs = channel_of(host), 0
    for number in range(channel.remote.number):
        assert channel.revoked.lookup(index_of(number))
        held = [
            _name(htlc)
            for htlc in views[number].htlcs
            if any(output.key == htlc.key for output in build(views[number]).outputs)
        ]
        assert set(held) <= remembered(host, number), number
        outputs += len(held)
    return outputs


def writing_down(views: dict[str, dict[int, CommitmentView]]) -> Mount:
    """The channel's machine, each of whose own commitments is written down."""

    def decide(state: Channel, event: Event, env: Env) -> Step[Channel]:
        step = MOUNT.decide(state, event, env)
        channel: Channel = step.state
        if channel.params is not None:
            name = "alice" if channel.params.is_opener else "bob"
            if channel.local.number not in views[name]:
                views[name][channel.local.number] = local_view(channel, channel.local, env)
        return step

    return replace(MOUNT, decide=decide)


def walk(world: World) -> None:
    """Payments both ways, of which some fail, in any order, with crashes."""
    first = world.random.randrange(1 << 40)
    for number in range(first, first + 6):
        payer = world.random.choice(list(world.hosts.values()))
        if payer.node is not None and channel_of(payer).phase is Phase.NORMAL:
            pay(payer, number, world.random.choice((2_000_000, 4_000_000, 999)))
        if world.random.random() < 0.3:
            world.settle()
        for _ in range(25):
            world.step(crashes=world.random.random() < 0.2)


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("seed", range(3))
def test_every_revoked_commitment_is_known_after_any_walk(seed: int, format: str) -> None:
    codec = Codec()
    views: dict[str, dict[int, CommitmentView]] = {"alice": {}, "bob": {}}
    mounts = (writing_down(views), *FAMILY.mounts[1:])
    world = a_world(seed, format, replace(FAMILY, mounts=mounts, rewrite=lambda value: codec.unpack(codec.pack(value))))
    world.settle()
    alice, bob = world.hosts.values()
    for _ in range(3):
        walk(world)
        for host, other in ((alice, "bob"), (bob, "alice")):
            if host.node is None:
                host.start()
            host.disk.sync()
            check_memory(host, views[other])
    world.settle()
    assert check_memory(alice, views["bob"]) + check_memory(bob, views["alice"]) > 4


def test_the_secret_of_a_remembered_state_is_the_peers() -> None:
    world = a_world()
    world.settle()
    alice = world.hosts["alice"]
    pay(alice, 2, 5_000_000)
    world.settle()
    revoked = channel_of(alice).revoked
    assert channel_of(alice).remote.number >= 2
    for number in range(channel_of(alice).remote.number):
        assert revoked.lookup(index_of(number)) == keys_of("bob")._per_commitment_secret(KEY_INDEX, number)


def test_an_htlc_that_never_had_an_output_leaves_nothing() -> None:
    world = a_world()
    world.settle()
    alice, bob = world.hosts.values()
    pay(alice, 2, 300_000)
    world.settle()
    alice.run([Lull()])
    for host in (alice, bob):
        assert not [address for address in host.disk.cold if address.kind == "revoked"]
