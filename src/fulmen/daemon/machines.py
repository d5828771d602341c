"""All machines of a Lightning node, as they are mounted."""

from __future__ import annotations

from fulmen.adapters.keys.in_process import InProcessKeys
from fulmen.core.base.mount import Check, Mount
from fulmen.core.channel import opening
from fulmen.core.channel import table as channel
from fulmen.core.node import tips
from fulmen.core.onchain import machine as onchain
from fulmen.core.payments import invoice, payments, register
from fulmen.core.peer import table as peer
from fulmen.core.switch import circuits
from fulmen.core.wallet import machine as wallet


def mounts(keys: InProcessKeys) -> tuple[Mount, ...]:
    """Every kind of machine. The order is that in which they hear of a restart."""
    return (
        tips.MOUNT,
        wallet.mount(keys.accounts),
        peer.MOUNT,
        opening.MOUNT,
        channel.MOUNT,
        onchain.MOUNT,
        circuits.MOUNT,
        invoice.MOUNT,
        register.MOUNT,
        payments.MOUNT,
    )


def verify(checks: tuple[Check, ...]) -> Check | None:
    """The first check that does not hold, or None."""
    return next((check for check in checks if not check.holds()), None)
