"""What the switch shows: one row per forwarded HTLC, from the state of a live circuit or from a cold row.

It is no view: those are for other machines, which look at all of them, and circuits are many. What was forwarded stays,
in short, for its fee has paid for the row; what failed goes after a day, for a peer can make it happen for nothing, as
often as it likes (law 7). An HTLC that never went out leaves no row.
"""

from __future__ import annotations

from fulmen.core.base.env import Env
from fulmen.core.base.ids import ChannelId, HtlcKey, PaymentHash
from fulmen.core.base.machine import Address, Keep, Kept
from fulmen.core.base.record import Record
from fulmen.core.base.units import BlockHeight, Msat, Timestamp
from fulmen.core.commitments.htlcs import circuit_address
from fulmen.core.switch.circuit import Circuit, Phase, initial

PAST = "forward"
"""The kind of the rows of what is over; their keys are those of the circuits."""
FAILED_BLOCKS = 144
"""For how long a forward that failed is shown."""


class PastForward(Kept):
    """A forward that is over."""

    payment_hash: PaymentHash
    out_channel: ChannelId
    in_msat: Msat
    out_msat: Msat
    status: str
    received_at: Timestamp
    resolved_at: Timestamp
    failure: str


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


def kept_of(circuit: Circuit, env: Env) -> tuple[Keep, ...]:
    """The row of a circuit that is over; none if its HTLC never went out."""
    row = live_row(circuit)
    if row is None:
        return ()
    past = PastForward(
        row.payment_hash,
        row.out_channel,
        row.in_msat,
        row.out_msat,
        row.status,
        row.received_at,
        circuit.resolved_at,
        row.failure,
    )
    until = BlockHeight(env.height + FAILED_BLOCKS) if row.status == "failed" else None
    return (Keep(Address(PAST, circuit_address(circuit.key).key), past, until),)


def forward_row(key: bytes, state: object) -> ForwardRow | None:
    """The row of a circuit, live or over, or None if its HTLC did not go out."""
    if isinstance(state, Circuit):
        return live_row(state)
    if not isinstance(state, PastForward):
        return None
    return ForwardRow(
        initial(key).key,
        state.out_channel,
        state.payment_hash,
        state.in_msat,
        state.out_msat,
        state.status,
        state.received_at,
        state.resolved_at,
        state.failure,
    )


def live_row(circuit: Circuit) -> ForwardRow | None:
    """The row of a circuit as it stands."""
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
