"""Channels on their way to a mutual close."""

from __future__ import annotations

from typing import Any

from tests.builders.channels import keys_of
from tests.builders.normal_channels import ALICE, a_normal_channel

from fulmen.core.base.ids import Signature
from fulmen.core.base.machine import Step, fold
from fulmen.core.base.peers import MessageReceived
from fulmen.core.base.units import Sat
from fulmen.core.channel.closing import drained, sign_closing, variants
from fulmen.core.channel.facts import ShutdownExchanged, ShutdownReceived, ShutdownSeen, ShutdownSent
from fulmen.core.channel.state import Channel
from fulmen.core.channel.table import checks, decide
from fulmen.core.signer import signing

OURS, THEIRS = b"\x00\x14" + b"\x01" * 20, b"\x00\x14" + b"\x02" * 20


def drained_channel(name: str = "alice") -> Channel:
    """One end, with both `shutdown`s said and nothing left."""
    facts = (ShutdownSent(OURS), ShutdownExchanged(), ShutdownReceived(THEIRS), ShutdownSeen())
    channel = fold(a_normal_channel(name), facts)
    assert drained(channel)
    return channel


def signed_by(name: str, channel: Channel, fee: int, *, which: int = 0) -> Signature:
    """The other end's signature on one of the variants at a fee."""
    request = sign_closing(channel, variants(channel, Sat(fee))[which])
    return signing.sign_closing(request, keys_of(name)._of(7))


def heard(channel: Channel, message: Any, env: Any = ALICE) -> Step[Channel]:
    """What follows from a message whose signatures are good."""
    event = MessageReceived(message)
    assert all(check.holds() for check in checks(channel, event, env))
    return decide(channel, event, env)
