"""What there is, in four parts that add up: spendable, pending, reserved, immature."""

from __future__ import annotations

from collections.abc import Mapping

from fulmen.core.base.policy import WalletPolicy
from fulmen.core.base.record import Record
from fulmen.core.base.units import BlockHeight, Sat
from fulmen.core.commitments.htlcs import LinkView
from fulmen.core.wallet.state import Coin, Wallet


class Balance(Record):
    """All coins that are ours, by what they can do now."""

    spendable_sat: Sat
    """Confirmed and free."""
    pending_sat: Sat
    """Unconfirmed: incoming, and our own change."""
    reserved_sat: Sat
    """Confirmed, and promised to a transaction of ours or kept for the anchors of our channels."""
    immature_sat: Sat
    """Mined by us, less than a hundred blocks ago."""

    @property
    def total_sat(self) -> Sat:
        """All of it."""
        return Sat(self.spendable_sat + self.pending_sat + self.reserved_sat + self.immature_sat)


def available(wallet: Wallet, height: BlockHeight) -> tuple[Coin, ...]:
    """The coins that a transaction could spend now; some of their value may be kept for anchors."""
    return tuple(
        [
            coin
            for coin in wallet.unspent
            if coin.block is not None and coin.is_mature(height) and coin.outpoint not in wallet.reserved
        ]
    )


def balance(wallet: Wallet, height: BlockHeight, anchor_reserve_sat: Sat) -> Balance:
    """All coins in four parts.

    Args:
        height: of the chain's tip.
        anchor_reserve_sat: what has to stay for the fees of anchor channels (`anchor_reserve`).
    """
    free = sum(coin.amount_sat for coin in available(wallet, height))
    pending = sum(coin.amount_sat for coin in wallet.unspent if coin.block is None)
    confirmed = [coin for coin in wallet.unspent if coin.block is not None]
    immature = sum(coin.amount_sat for coin in confirmed if not coin.is_mature(height))
    promised = sum(c.amount_sat for c in confirmed if c.is_mature(height) and c.outpoint in wallet.reserved)
    kept = min(free, anchor_reserve_sat)
    return Balance(Sat(free - kept), Sat(pending), Sat(promised + kept), Sat(immature))


def channels_of(views: Mapping[str, object]) -> int:
    """How many channels we have, each of which may have to be closed with fees from this wallet."""
    return sum(isinstance(view, LinkView) for view in views.values())


def anchor_reserve(policy: WalletPolicy, channels: int) -> Sat:
    """What has to stay in the wallet so that this many channels can be closed in time (BOLT 3, anchor outputs)."""
    return Sat(min(policy.anchor_reserve_sat * channels, policy.max_anchor_reserve_sat))
