"""The toy's machines, as a world knows them."""

from __future__ import annotations

from tests.builders import toy
from tests.laws.world import Family, Host, World

from fulmen.core.base.ids import CommandId
from fulmen.core.base.machine import Address, Disconnected

TOY = Family(
    mounts=toy.MOUNTS,
    keys=lambda _name: toy.ToyKeys(),
    verify=lambda keys: keys.verify,
    connected=lambda peer: [(Address("link", peer), toy.Linked())],
    parted=lambda peer: [(Address("link", peer), Disconnected())],
    heard=lambda peer, message: [(Address("link", peer), toy.Heard(message))],
)


def order(payer: Host, payee: Host, number: int, amount: int) -> CommandId:
    """A caller asks the payer for a payment; asking again with the same number is the same payment."""
    command_id = CommandId(payer.name.encode().ljust(8, b"-") + number.to_bytes(8, "big"))
    payer.run([(Address("order", command_id), toy.Order(command_id, payee.node_id, amount))])
    return command_id


def balance(host: Host, other: Host) -> int:
    """What a host's counter with another says."""
    assert host.node is not None
    state = host.node.state(Address("link", other.node_id))
    return toy.START_BALANCE if state is None else state.balance


def total(world: World) -> int:
    """All counters, and what is on its way between them: it never changes (law 4)."""
    sum_of_all = 0
    hosts = list(world.hosts.values())
    for host in hosts:
        for other in hosts:
            if host is other:
                continue
            assert host.node is not None
            state = host.node.state(Address("link", other.node_id)) or toy.LINK.initial(other.node_id)
            sum_of_all += state.balance
            assert other.node is not None
            mirror = other.node.state(Address("link", host.node_id)) or toy.LINK.initial(host.node_id)
            if state.unpaid is not None and mirror.received < state.unpaid.number:
                sum_of_all += sum(offer.amount for offer in state.unpaid.offers)
    return sum_of_all
