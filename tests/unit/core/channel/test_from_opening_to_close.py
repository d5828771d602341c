"""A channel's whole life between two nodes with real keys: opened, used, cut at every message, closed."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.laws import node_family as nodes
from tests.laws.world import Host, World

from fulmen.core.base.env import Env
from fulmen.core.base.ids import CommandId
from fulmen.core.base.machine import Address
from fulmen.core.base.outer import TimeReached, Want, WantPublished, WantTime
from fulmen.core.base.units import CltvDelta, Msat, Timestamp
from fulmen.core.bitcoin.script import p2wpkh
from fulmen.core.bitcoin.transaction import parse_tx
from fulmen.core.channel.commands import ChannelClosing, ChannelOpening, CloseChannel
from fulmen.core.channel.faults import ClosesElsewhere
from fulmen.core.channel.state import Channel, Phase
from fulmen.core.wallet.state import Wallet, WalletTx
from fulmen.core.wire.messages.setup import ErrorMessage


def the_channel(host: Host) -> Channel:
    (channel,) = nodes.channels(host)
    return channel


def an_open_channel(**changes: object) -> World:
    world = nodes.a_world()
    alice, bob = world.hosts.values()
    nodes.open_channel(alice, bob, zeroconf=True, **changes)
    nodes.quiesce(world)
    return world


def close(world: World, script: bytes = b"") -> CommandId:
    alice, _ = world.hosts.values()
    command_id = CommandId(b"close alice bob!")
    alice.run([(Address("channel", the_channel(alice).channel_id), CloseChannel(command_id, script))])
    return command_id


def test_a_zeroconf_channel_opens_and_its_caller_is_told() -> None:
    world = an_open_channel()
    alice, bob = world.hosts.values()
    assert the_channel(alice).phase is the_channel(bob).phase is Phase.NORMAL
    (answer,) = world.answers[b"t" * 16]
    assert isinstance(answer.result, ChannelOpening)
    assert answer.result.channel_id == the_channel(bob).channel_id


def test_a_channel_that_must_confirm_waits_for_its_blocks() -> None:
    world = nodes.a_world()
    alice, bob = world.hosts.values()
    nodes.open_channel(alice, bob)
    nodes.quiesce(world)
    assert the_channel(alice).phase is the_channel(bob).phase is Phase.AWAITING_READY
    assert the_channel(bob).terms.minimum_depth == 3


def test_an_empty_channel_closes_in_agreement() -> None:
    world = an_open_channel()
    alice, bob = world.hosts.values()
    command_id = close(world)
    nodes.quiesce(world)
    assert the_channel(alice).phase is the_channel(bob).phase is Phase.CLOSING
    assert the_channel(alice).agreed is not None
    (answer,) = world.answers[command_id]
    assert isinstance(answer.result, ChannelClosing)
    ours, theirs = the_channel(alice).agreed, the_channel(bob).agreed
    assert ours is not None and theirs is not None and ours.tx == theirs.tx


def with_one_payment_key(name: str) -> Env:
    """Alice has seen bob's `payment_basepoint` in another channel, for it comes again, and calls it hers."""
    env = nodes.env_of(name)
    copied = nodes.env_of("bob").basepoints(0).payment_basepoint
    return replace(env, basepoints=lambda index: env.basepoints(index).but(payment_basepoint=copied))


def test_an_opener_with_a_key_of_ours_is_refused() -> None:
    world = nodes.a_world(env=with_one_payment_key)
    alice, bob = world.hosts.values()
    nodes.open_channel(alice, bob, zeroconf=True)
    nodes.quiesce(world)
    assert not nodes.channels(bob)
    (answer,) = world.answers[b"t" * 16]
    assert answer.refused is not None and "one of ours" in str(answer.refused)


HOME = b"\x00\x14" + b"\x05" * 20


def at_home(name: str) -> Env:
    """Bob binds whoever opens a channel to him to one address."""
    env = nodes.env_of(name)
    opening = env.policy.opening.but(close_to=HOME if name == "bob" else b"")
    return replace(env, policy=env.policy.but(opening=opening))


def test_a_channel_that_others_open_closes_to_where_the_operator_said() -> None:
    world = nodes.a_world(env=at_home)
    alice, bob = world.hosts.values()
    nodes.open_channel(alice, bob, zeroconf=True, push_msat=Msat(400_000_000))
    nodes.quiesce(world)
    assert the_channel(bob).terms.local.upfront_shutdown_script == HOME
    assert the_channel(alice).terms.remote.upfront_shutdown_script == HOME
    elsewhere = CommandId(b"close elsewhere!")
    close_to = CloseChannel(elsewhere, b"\x00\x14" + b"\x06" * 20)
    bob.run([(Address("channel", the_channel(bob).channel_id), close_to)])
    nodes.quiesce(world)
    (refusal,) = world.answers[elsewhere]
    assert isinstance(refusal.refused, ClosesElsewhere)
    answered = close(world)
    nodes.quiesce(world)
    (answer,) = world.answers[answered]
    assert isinstance(answer.result, ChannelClosing)
    amounts = {output.script_pubkey: output.amount_sat for output in parse_tx(answer.result.tx).outputs}
    assert amounts[HOME] == 400_000


ELSEWHERE = p2wpkh(b"\x0e" * 20)


def test_a_close_to_a_script_that_the_operator_never_named_freezes_the_channel() -> None:
    """The machine alone cannot send our share away: the operator tells the key holder past it."""
    world = an_open_channel()
    alice, bob = world.hosts.values()
    close(world, ELSEWHERE)
    nodes.quiesce(world)
    assert the_channel(alice).phase is the_channel(bob).phase is Phase.SHUTDOWN
    (alarm,) = alice.frozen
    assert "our share would go to a script that is not ours" in alarm.about["reason"]
    assert not bob.frozen and the_channel(alice).frozen


@pytest.mark.parametrize("crash_after", [None, 1, 2, 3])
def test_a_close_to_a_script_that_the_operator_named_goes_on_after_a_crash(crash_after: int | None) -> None:
    world = an_open_channel()
    alice, bob = world.hosts.values()
    alice.keys.allow_payout(ELSEWHERE)
    close(world, ELSEWHERE)
    if crash_after is not None:
        alice.disk.sync(10)
        _deliver_some(world, crash_after)
        alice.crash()
    world.settle()
    # Who lost the last message sees the close in a block.
    assert the_channel(alice).phase in (Phase.CLOSING, Phase.SHUTDOWN) and the_channel(bob).phase is Phase.CLOSING
    agreed = the_channel(bob).agreed
    assert agreed is not None and ELSEWHERE in [out.script_pubkey for out in parse_tx(agreed.tx).outputs]
    assert not alice.frozen and not bob.frozen


def test_both_ends_know_from_birth_when_their_operator_wants_to_be_woken() -> None:
    def patient(name: str) -> Env:
        env = nodes.env_of(name)
        deadlines = env.policy.deadlines.but(fulfilled_deadline=CltvDelta(40 if name == "alice" else 50))
        return replace(env, policy=env.policy.but(deadlines=deadlines))

    world = nodes.a_world(env=patient)
    alice, bob = world.hosts.values()
    nodes.open_channel(alice, bob, zeroconf=True)
    nodes.quiesce(world)
    assert (the_channel(alice).fulfilled_deadline, the_channel(bob).fulfilled_deadline) == (40, 50)


@pytest.mark.parametrize("cut_after", range(12))
def test_an_opening_cut_at_any_message_leaves_both_with_the_channel_or_the_opener_without(cut_after: int) -> None:
    world = nodes.a_world()
    alice, bob = world.hosts.values()
    nodes.open_channel(alice, bob, zeroconf=True)
    _deliver_some(world, cut_after)
    world.cut(alice, bob)
    world.settle()
    ours, theirs = nodes.channels(alice), nodes.channels(bob)
    # "the other node will eventually forget": only the accepter may remember a channel that the opener does not.
    assert not ours or len(theirs) == len(ours) == 1
    (answer,) = world.answers[b"t" * 16]
    assert (answer.refused is None) is bool(ours)
    assert alice.node is not None
    wallet = alice.node.state(Address("wallet"))
    assert isinstance(wallet, Wallet) and not wallet.reservations
    if ours:
        assert ours[0].phase is theirs[0].phase is Phase.NORMAL
    for host in (alice, bob):
        assert not host.frozen


@pytest.mark.parametrize("heard", [1, 3])
def test_a_peer_that_stays_connected_and_silent_is_not_waited_for_for_ever(heard: int) -> None:
    """It has heard `open_channel`, or `funding_created` as well; our coins are promised to it in the second case."""
    world = nodes.a_world()
    alice, bob = world.hosts.values()
    nodes.open_channel(alice, bob, zeroconf=True)
    _deliver_some(world, heard)
    silent = world.links["bob", "alice"]
    unsaid = tuple(silent)
    silent.clear()
    (wanted,) = [want for want in wants_of(alice) if isinstance(want, WantTime) and want.at > 1_700_000_500]
    for world.seconds in (599, 600):
        assert not world.answers[b"t" * 16]
        alice.run([(whose(alice, wanted), TimeReached(wanted.at))])
        while alice.disk.sync():
            pass
    (answer,) = world.answers[b"t" * 16]
    assert answer.refused is not None and "in time" in str(answer.refused)
    assert not reserved(alice)
    assert isinstance(world.links["alice", "bob"][-1], ErrorMessage)
    # What it says now comes too late: nothing is funded.
    silent.extend(unsaid)
    nodes.quiesce(world)
    assert not nodes.channels(alice) and not reserved(alice)
    assert not [want for want in wants_of(alice) if isinstance(want, WantPublished)]


def test_an_opener_that_stays_connected_and_silent_is_not_waited_for_either() -> None:
    world = nodes.a_world()
    alice, bob = world.hosts.values()
    nodes.open_channel(alice, bob, zeroconf=True)
    _deliver_some(world, 1)
    (opening,) = bob.node.addresses("opening") if bob.node is not None else ()
    assert WantTime(Timestamp(1_700_000_600)) in wants_of(bob)
    world.seconds = 600
    bob.run([(opening, TimeReached(Timestamp(0)))])
    while bob.disk.sync():
        pass
    assert bob.node is not None and not bob.node.addresses("opening")
    assert isinstance(world.links["bob", "alice"][-1], ErrorMessage)


def wants_of(host: Host) -> list[Want]:
    assert host.node is not None
    return [want for _, want in host.node.wants()]


def whose(host: Host, wanted: Want) -> Address:
    assert host.node is not None
    return next(address for address, want in host.node.wants() if want == wanted)


def reserved(host: Host) -> tuple[WalletTx, ...]:
    assert host.node is not None
    wallet = host.node.state(Address("wallet"))
    assert isinstance(wallet, Wallet)
    return wallet.reservations


@pytest.mark.parametrize("cut_after", range(10))
def test_a_close_cut_at_any_message_is_taken_up_again(cut_after: int) -> None:
    world = an_open_channel()
    alice, bob = world.hosts.values()
    close(world)
    _deliver_some(world, cut_after)
    world.cut(alice, bob)
    world.settle()
    phases = {the_channel(alice).phase, the_channel(bob).phase}
    # A wish whose `shutdown` never left is answered with a refusal; all else goes on to the agreed close.
    if the_channel(alice).shutdown_sent is None:
        assert phases == {Phase.NORMAL}
    else:
        assert Phase.CLOSING in phases and phases <= {Phase.CLOSING, Phase.SHUTDOWN}


def _deliver_some(world: World, count: int) -> None:
    """Deliver this many messages, one at a time and in turn, with all disks in sync."""
    delivered = 0
    idle = 0
    turns = [("alice", "bob"), ("bob", "alice")]
    while delivered < count and idle < 6:
        for host in world.hosts.values():
            while host.disk.sync():
                pass
        turns.reverse()
        if world.deliver(*turns[0]):
            delivered += 1
            idle = 0
        else:
            idle += 1
    for host in world.hosts.values():
        while host.disk.sync():
            pass
