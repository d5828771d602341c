"""A peer that lives but never acknowledges: after a while the connection is made anew."""

from __future__ import annotations

import pytest
from tests.builders.normal_channels import ALICE, a_normal_channel, a_settled_world
from tests.laws.channel_family import channel_of, pay

from fulmen.core.base.machine import Disconnected, Faulted, Lull
from fulmen.core.base.outer import HangUp, Send
from fulmen.core.base.peers import PeerAlive
from fulmen.core.channel.faults import RevocationMissing
from fulmen.core.channel.state import Channel, Phase
from fulmen.core.channel.table import decide
from fulmen.core.wire.messages.setup import WarningMessage


def a_channel_that_signed() -> Channel:
    """Alice has signed for a new HTLC; Bob has not heard of it yet."""
    alice = a_settled_world().hosts["alice"]
    pay(alice, 2, 5_000_000)
    channel = decide(channel_of(alice), Lull(), ALICE).state
    assert channel.remote_next is not None
    return channel


def test_a_peer_that_answers_two_pings_but_not_our_signature_is_left() -> None:
    waiting = decide(a_channel_that_signed(), PeerAlive(), ALICE).state
    with pytest.raises(RevocationMissing) as caught:
        decide(waiting, PeerAlive(), ALICE)
    step = decide(waiting, Faulted(PeerAlive(), caught.value), ALICE)
    warning, hang_up = step.actions
    assert isinstance(warning, Send) and isinstance(warning.message, WarningMessage)
    assert isinstance(hang_up, HangUp)
    assert step.state.phase is Phase.NORMAL


def test_a_signature_that_is_younger_than_the_last_ping_may_wait() -> None:
    alive = decide(a_normal_channel("alice"), PeerAlive(), ALICE).state
    signed = a_channel_that_signed().but(awaited=alive.awaited)
    assert decide(signed, PeerAlive(), ALICE).actions == []
    older = signed.but(awaited=signed.remote.number)
    assert decide(older, PeerAlive(), ALICE).actions == []


def test_a_new_connection_starts_the_wait_anew() -> None:
    waiting = decide(a_channel_that_signed(), PeerAlive(), ALICE).state
    assert decide(waiting, Disconnected(), ALICE).state.awaited is None


def test_where_nothing_is_owed_nothing_changes() -> None:
    channel = a_normal_channel("alice")
    step = decide(channel, PeerAlive(), ALICE)
    assert step.state is channel and step.facts == [] and step.actions == []
