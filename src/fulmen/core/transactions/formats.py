"""What kinds of commitment there are, as values: each number in which they differ, and nothing else.

A kind that differs in scripts (taproot) will bring its own builders behind the same functions.

Source: BOLT 3, "Commitment Transaction Outputs", "Fees", "HTLC-Timeout and HTLC-Success Transactions"; zero-fee
commitments: lightning/bolts #1228.
"""

from __future__ import annotations

import enum

from fulmen.core.base.record import Record
from fulmen.core.base.units import Sat, Weight
from fulmen.core.bitcoin.sighash import SIGHASH_ALL, SIGHASH_ANYONECANPAY, SIGHASH_SINGLE


class Anchors(enum.Enum):
    """Which outputs are there only to hang a fee on."""

    NONE = "none"
    EACH = "each"
    """One for each end, locked to its funding key."""
    SHARED = "shared"
    """One that anyone may spend (pay to anchor)."""


class Format(Record):
    """One kind of commitment transaction, with its HTLC transactions."""

    name: str
    """Stable: what stored states say. `format_named` gives the value back."""
    version: int
    """Of the commitment and HTLC transactions."""
    commitment_weight: Weight
    """Expected, without HTLCs; the opener pays for it."""
    htlc_timeout_weight: Weight
    htlc_success_weight: Weight
    htlc_tx_pays_fee: bool
    """HTLC transactions pay the commitment's feerate out of the HTLC; if not, their fee is 0."""
    anchors: Anchors
    csv: int
    """How many blocks all but the anchors and the revocation paths wait: 1 with option_anchors, else 0."""
    htlc_sighash_type: int
    """Of the other end's signatures of HTLC transactions."""

    @property
    def htlc_sequence(self) -> int:
        """nSequence of an HTLC transaction, and of whoever else spends an HTLC output."""
        return self.csv

    @property
    def anchors_cost_sat(self) -> Sat:
        """What the opener pays for anchors besides the fee."""
        return Sat(2 * ANCHOR_SAT) if self.anchors is Anchors.EACH else Sat(0)


HTLC_WEIGHT = Weight(172)
"""What each untrimmed HTLC adds to a commitment."""
ANCHOR_SAT = Sat(330)
SHARED_ANCHOR_MAX_SAT = Sat(240)

STATIC_REMOTEKEY = Format(
    name="static_remotekey",
    version=2,
    commitment_weight=Weight(724),
    htlc_timeout_weight=Weight(663),
    htlc_success_weight=Weight(703),
    htlc_tx_pays_fee=True,
    anchors=Anchors.NONE,
    csv=0,
    htlc_sighash_type=SIGHASH_ALL,
)
"""option_static_remotekey, without option_anchors."""

ANCHORS_ZERO_FEE_HTLC = Format(
    name="anchors_zero_fee_htlc",
    version=2,
    commitment_weight=Weight(1124),
    htlc_timeout_weight=Weight(666),
    htlc_success_weight=Weight(706),
    htlc_tx_pays_fee=False,
    anchors=Anchors.EACH,
    csv=1,
    htlc_sighash_type=SIGHASH_SINGLE | SIGHASH_ANYONECANPAY,
)
"""option_anchors."""

ZERO_FEE_COMMITMENTS = Format(
    name="zero_fee_commitments",
    version=3,
    commitment_weight=Weight(724 + 4 * 13),
    htlc_timeout_weight=Weight(663),
    htlc_success_weight=Weight(703),
    htlc_tx_pays_fee=False,
    anchors=Anchors.SHARED,
    csv=0,
    htlc_sighash_type=SIGHASH_SINGLE | SIGHASH_ANYONECANPAY,
)
"""zero_fee_commitments: version 3, feerate always 0, one shared anchor."""

FORMATS = (STATIC_REMOTEKEY, ANCHORS_ZERO_FEE_HTLC, ZERO_FEE_COMMITMENTS)


def format_named(name: str) -> Format:
    """The format that a stored state names.

    Raises:
        KeyError: there is none of this name.
    """
    return _BY_NAME[name]


_BY_NAME = {known.name: known for known in FORMATS}
