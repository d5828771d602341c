"""What there is, in four parts that add up: spendable, pending, reserved, immature."""

from __future__ import annotations

from collections.abc import Mapping

from fulmen.core.base.policy import WalletPolicy
from fulmen.core.base.record import Record
from fulmen.core.base.units import BlockHeight, Sat
from fulmen.core.commitments.htlcs import LinkView
from fulmen.core.wallet.change import spendable_change
from fulmen.core.wallet.state import Coin, Wallet


class Balance(Record):
    """All coins that are ours, by what they can do now."""

    spendable_sat: Sat
    """Free: confirmed, or change of a transaction that nobody but us can undo."""
    pending_sat: Sat
    """Unconfirmed: incoming, and such change of our own as cannot be spent yet."""
    reserved_sat: Sat
    """Promised to a transaction of ours or kept for the anchors of our channels."""
    immature_sat: Sat
    """Mined by us, less than a hundred blocks ago."""
    kept_sat: Sat = Sat(0)
    """The share of `reserved_sat` that is kept for anchors. It lies on no coin of its own: each may be spent while so
    much stays in others or comes back as change."""

    @property
    def total_sat(self) -> Sat:
        """All of it."""
        return Sat(self.spendable_sat + self.pending_sat + self.reserved_sat + self.immature_sat)


def available(wallet: Wallet, height: BlockHeight) -> tuple[Coin, ...]:
    """The coins that a transaction could spend now, confirmed ones first; some of it may be kept for anchors."""
    return (*confirmed(wallet, height), *spendable_change(wallet))


def confirmed(wallet: Wallet, height: BlockHeight, minconf: int = 1) -> tuple[Coin, ...]:
    """Those of them that are in a block, and at least so many deep: a coin in the tip is 1 deep."""
    return tuple(
        [
            coin
            for coin in wallet.unspent
            if coin.block is not None
            and coin.block.height <= height + 1 - minconf
            and coin.is_mature(height)
            and coin.outpoint not in wallet.reserved
        ]
    )


def balance(wallet: Wallet, height: BlockHeight, anchor_reserve_sat: Sat) -> Balance:
    """All coins in four parts.

    Args:
        height: of the chain's tip.
        anchor_reserve_sat: what has to stay for the fees of anchor channels (`anchor_reserve`).
    """
    now = {coin.outpoint: coin.amount_sat for coin in available(wallet, height)}
    free = sum(now.values())
    rest = [coin for coin in wallet.unspent if coin.outpoint not in now]
    promised = sum(c.amount_sat for c in rest if c.outpoint in wallet.reserved and c.is_mature(height))
    others = [coin for coin in rest if coin.outpoint not in wallet.reserved or not coin.is_mature(height)]
    pending = sum(coin.amount_sat for coin in others if coin.block is None)
    immature = sum(coin.amount_sat for coin in others if coin.block is not None)
    kept = min(free, anchor_reserve_sat)
    return Balance(Sat(free - kept), Sat(pending), Sat(promised + kept), Sat(immature), Sat(kept))


def channels_of(views: Mapping[str, object]) -> int:
    """How many channels we have, each of which may have to be closed with fees from this wallet.

    One that its opener has yet to fund costs nobody anything, and shall take nothing from what can be spent.
    """
    return sum(isinstance(view, LinkView) and not view.unfunded for view in views.values())


def anchor_reserve(policy: WalletPolicy, channels: int) -> Sat:
    """What has to stay in the wallet so that this many channels can be closed in time (BOLT 3, anchor outputs)."""
    return Sat(min(policy.anchor_reserve_sat * channels, policy.max_anchor_reserve_sat))
