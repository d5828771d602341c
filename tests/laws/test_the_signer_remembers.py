"""What a key holder would be reminded of after a crash is what it knows, at every moment (laws 1 and 9)."""

from __future__ import annotations

import pytest
from tests.builders.channels import KEY_INDEX
from tests.laws.channel_family import a_world, channel_of, pay
from tests.laws.world import Host

from fulmen.core.channel.remembering import remembered
from fulmen.core.channel.state import Phase
from fulmen.core.signer.remembered import Signed


def check_memory(host: Host) -> bool:
    """Compare what it saw with its own eyes with what the journal would tell it; False where there is no channel."""
    told = remembered(channel_of(host))
    known = host.keys.guard.known(KEY_INDEX)
    if told is None or known is None or known.local is None:
        return False
    assert (known.revealed, known.published, known.payout) == (told.revealed, told.published, told.payout)
    assert known.revoked == told.revoked
    assert _numbers(known.local) == _numbers(told.local)
    assert _numbers(known.remote) == _numbers(told.remote)
    assert known.remote is not None and told.remote is not None and known.remote.point == told.remote.point
    if told.remote_before is not None:
        # The peer has yet to revoke the one before: what we signed last may have to be said again, to the bit.
        assert known.remote.content == told.remote.content
        assert known.remote_before is not None and known.remote_before.point == told.remote_before.point
    assert (known.params, known.funding) == (told.params, told.funding)
    return True


def _numbers(signed: Signed | None) -> tuple[int, int, bool]:
    assert signed is not None
    return signed.number, signed.local_msat, signed.pending


@pytest.mark.parametrize("seed", range(6))
def test_the_journal_tells_a_key_holder_what_it_knew(seed: int) -> None:
    world = a_world(seed)
    world.settle()
    compared = between = 0
    for turn in range(250):
        host = world.random.choice(list(world.hosts.values()))
        if host.node is not None and turn % 3 == 0:
            pay(host, turn, 1_000_000 + turn)
        world.step()
        for one in world.hosts.values():
            if one.node is not None and channel_of(one).phase is Phase.NORMAL:
                compared += check_memory(one)
                between += channel_of(one).remote_next is not None
    assert compared and between
    world.settle()
    assert all(not host.frozen for host in world.hosts.values())
