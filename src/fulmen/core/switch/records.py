"""What the switch shows: one row per forwarded HTLC, from the state of a live circuit or a cold one.

It is no view: those are for other machines, which look at all of them, and circuits are many.
"""

from __future__ import annotations

from fulmen.core.base.ids import ChannelId, HtlcKey, PaymentHash
from fulmen.core.base.record import Record
from fulmen.core.base.units import Msat, Timestamp
from fulmen.core.switch.circuit import Circuit, Phase


class ForwardRow(Record):
    """A forwarded HTLC as `listforwards` shows it."""

    incoming: HtlcKey
    out_channel: ChannelId
    payment_hash: PaymentHash
    in_msat: Msat
    out_msat: Msat
    status: str
    """`offered`, `settled`, `failed`, or `lost` (paid downstream after it had been failed upstream)."""
    received_at: Timestamp
    resolved_at: Timestamp | None
    failure: str = ""
    """The failure as BOLT 4 names it; `failed downstream` when only the origin can read it."""

    @property
    def fee_msat(self) -> Msat:
        """What we keep, if it settles."""
        return Msat(self.in_msat - self.out_msat)


def forward_row(circuit: Circuit) -> ForwardRow | None:
    """The row of a circuit, or None if its HTLC did not go out."""
    htlc, forward = circuit.htlc, circuit.forward
    if htlc is None or forward is None:
        return None
    status = {Phase.FORWARDING: "offered", Phase.FULFILLED: "settled", Phase.FAILED: "failed"}[circuit.phase]
    return ForwardRow(
        circuit.key,
        forward.channel_id,
        htlc.payment_hash,
        htlc.amount_msat,
        forward.amount_msat,
        "lost" if circuit.lost else status,
        circuit.opened_at,
        circuit.resolved_at or None,
        circuit.verdict.name if circuit.verdict is not None else "",
    )
