"""What a close shows of itself: each output that is ours or may become so, and how far it has come."""

from __future__ import annotations

from fulmen.core.commitments.close import CloseView, OutputView
from fulmen.core.onchain.matters import Matter, Purpose
from fulmen.core.onchain.state import Onchain

_NOT_MONEY = (Purpose.WATCH, Purpose.ANCHOR)


def view(state: Onchain) -> CloseView | None:
    """A close that is not resolved yet."""
    ending = state.ending
    if ending is None or state.resolved:
        return None
    shown = tuple(_shown(state, matter) for matter in state.matters.values() if matter.purpose not in _NOT_MONEY)
    return CloseView(state.channel_id, ending.kind.value, ending.txid, ending.block.height, shown)


def _shown(state: Onchain, matter: Matter) -> OutputView:
    claim, taken = state.claim_on.get(matter.outpoint), state.taken_by.get(matter.outpoint)
    return OutputView(
        matter.purpose.value,
        matter.outpoint,
        matter.amount_sat,
        matter.ripe_at,
        None if claim is None else claim.txid,
        None if taken is None else taken.txid,
        matter.outpoint in state.is_given_up,
    )
