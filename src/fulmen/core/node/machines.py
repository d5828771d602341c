"""All machines of a Lightning node, as they are mounted."""

from __future__ import annotations

from fulmen.core.base.mount import Mount
from fulmen.core.bitcoin.accounts import Accounts
from fulmen.core.channel import opening
from fulmen.core.channel import table as channel
from fulmen.core.node import retention, tips
from fulmen.core.onchain import machine as onchain
from fulmen.core.payments import invoice, payments, register
from fulmen.core.peer import table as peer
from fulmen.core.switch import circuits, earnings
from fulmen.core.wallet import machine as wallet


def mounts(accounts: Accounts) -> tuple[Mount, ...]:
    """Every kind of machine, in the order in which they hear of a restart. Of `accounts` the public halves are kept."""
    return (
        tips.MOUNT,
        retention.MOUNT,
        wallet.mount(accounts),
        peer.MOUNT,
        opening.MOUNT,
        channel.MOUNT,
        onchain.MOUNT,
        circuits.MOUNT,
        earnings.MOUNT,
        invoice.MOUNT,
        register.MOUNT,
        payments.MOUNT,
    )
