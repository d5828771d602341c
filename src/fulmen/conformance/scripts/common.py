"""What many scripts begin with."""

from __future__ import annotations

from typing import Any

from fulmen.conformance.defaults.numbers import FEATURES
from fulmen.conformance.script import (
    ALICE,
    BOB,
    Ask,
    Connect,
    Disconnect,
    Expect,
    ExpectBroadcast,
    FundChannel,
    Mine,
    Onion,
    Send,
    ShutdownScript,
    Step,
)
from fulmen.core.wire.features import Features


def hello(peer: str = ALICE) -> tuple[Step, ...]:
    """Connected, and `init` exchanged."""
    return Connect(peer=peer), Expect("init", peer=peer), Send("init", peer=peer)


def hello_without(*bits: int) -> tuple[Step, ...]:
    """Connected to a peer that does not offer some features."""
    lacking = sum(3 << bit for bit in bits)
    return Connect(), Expect("init"), Send("init", {"features": Features(FEATURES.mask & ~lacking).to_bytes()})


def asked(*lacking: int, **fields: Any) -> tuple[Step, ...]:
    """The node opens a channel to the fake peer, which does not offer some features."""
    return *hello_without(*lacking), Ask("open", fields), Expect("open_channel", within_s=30.0)


def accepted(peer: str = ALICE, **fields: Any) -> tuple[Step, ...]:
    """The node has accepted a channel that the fake peer offered."""
    return *hello(peer), Send("open_channel", fields, peer=peer), Expect("accept_channel", peer=peer)


def opened(peer: str = ALICE, depth: int = 6, **fields: Any) -> tuple[Step, ...]:
    """A channel that the fake peer has opened is ready on both sides."""
    return *accepted(peer, **fields), *funded(peer, depth)


def funded(peer: str = ALICE, depth: int = 6) -> tuple[Step, ...]:
    """A channel that the node has accepted becomes ready on both sides."""
    return (
        Send("funding_created", peer=peer),
        Expect("funding_signed", peer=peer),
        FundChannel(depth=depth, peer=peer),
        Send("channel_ready", peer=peer),
        Expect("channel_ready", peer=peer, within_s=30.0),
    )


def commit(peer: str = ALICE) -> tuple[Step, ...]:
    """What the fake peer proposed becomes irrevocable on both sides."""
    return (
        Send("commitment_signed", peer=peer),
        Expect("revoke_and_ack", peer=peer),
        Expect("commitment_signed", peer=peer),
        Send("revoke_and_ack", peer=peer),
    )


def take(message: str, peer: str = ALICE, **fields: Any) -> tuple[Step, ...]:
    """The node proposes something, and it becomes irrevocable on both sides."""
    return (
        Expect(message, fields, peer=peer, within_s=20.0),
        Expect("commitment_signed", peer=peer),
        Send("revoke_and_ack", peer=peer),
        Send("commitment_signed", peer=peer),
        Expect("revoke_and_ack", peer=peer),
    )


def offered(**fields: Any) -> tuple[Step, ...]:
    """Alice offers the node an HTLC, and it is irrevocable."""
    return Send("update_add_htlc", fields), *commit()


def used(**fields: Any) -> tuple[Step, ...]:
    """A channel on which something has happened: nobody says `channel_ready` again, and it is ready for everything.

    Some nodes are not so in the moment of their `channel_ready`.
    """
    return *opened(**fields), *offered(), *take("update_fail_htlc")


def reconnected(peer: str = ALICE) -> tuple[Step, ...]:
    """A new connection, and `channel_reestablish` both ways."""
    return *hello(peer), Expect("channel_reestablish", peer=peer), Send("channel_reestablish", peer=peer)


HELLO = hello()
ACCEPTED = accepted()
FUNDED = funded()
OPENED = opened()
OPENED_BY_NODE = (
    *asked(),
    Send("accept_channel"),
    Expect("funding_created"),
    Send("funding_signed"),
    ExpectBroadcast(within_s=30.0),
    Mine(6),
    Send("channel_ready"),
    Expect("channel_ready", within_s=30.0),
)
"""A channel that the node has opened is ready on both sides."""
BETWEEN = (*opened(ALICE), *opened(BOB))
"""Alice and bob each have a channel with the node."""
FORWARDED = (*BETWEEN, *offered(onion_routing_packet=Onion(BOB)), *take("update_add_htlc", BOB))
"""The node has passed an HTLC on from alice to bob."""
USED = used()
AGAIN: tuple[Step, ...] = (Disconnect(), *HELLO)
"""And that peer comes again."""
SHUT: tuple[Step, ...] = (Send("shutdown"), Expect("shutdown", {"scriptpubkey": ShutdownScript()}))
"""Both sides have said `shutdown`."""
