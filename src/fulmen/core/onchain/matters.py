"""The outputs that matter to us, and how we take each: what the kinds of close have in common."""

from __future__ import annotations

import enum

from fulmen.core.base.ids import HtlcKey, OutPoint, Point, Preimage, Secret, Signature
from fulmen.core.base.outer import Block
from fulmen.core.base.record import Record
from fulmen.core.base.units import BlockHeight, Sat
from fulmen.core.bitcoin.script import p2wsh
from fulmen.core.bitcoin.transaction import Tx
from fulmen.core.commitments.close import ChannelAtClose
from fulmen.core.commitments.htlcs import Htlc
from fulmen.core.transactions.commitment import CommitmentOutput
from fulmen.core.transactions.spending import Spend, claim_offered_htlc

LONGEST_RELATIVE_LOCK = 0xFFFF
"""BIP 68: a larger nSequence is no number of blocks to wait."""


class Purpose(enum.Enum):
    """Why an output matters."""

    TO_LOCAL = "to_local"
    """Our balance on our commitment, after a delay."""
    TO_REMOTE = "to_remote"
    """Our balance on the peer's commitment."""
    HTLC_TIMEOUT = "HTLC-timeout"
    """We offered it, on our commitment: ours after its expiry, by a transaction that the peer signed in advance."""
    HTLC_SUCCESS = "HTLC-success"
    """We received it, on our commitment: ours with the preimage, by a transaction that the peer signed in advance."""
    TAKE_BACK = "offered HTLC"
    """We offered it, on the peer's commitment: ours after its expiry."""
    CLAIM = "received HTLC"
    """We received it, on the peer's commitment: ours with the preimage."""
    SECOND_STAGE = "second stage"
    """The output of an HTLC transaction of ours, after a delay."""
    PUNISH_TO_LOCAL = "to_local of a revoked commitment"
    """The balance of a cheater, ours by the revocation key."""
    PUNISH_HTLC = "HTLC of a revoked commitment"
    """Offered or received, ours by the revocation key."""
    PUNISH_SECOND_STAGE = "second stage of a revoked commitment"
    """The output of an HTLC transaction of a cheater, ours by the revocation key."""
    ANCHOR = "anchor"
    """Ours, by which we lift the fee of our commitment."""
    WATCH = "watched"
    """Not ours to take, or we do not know what it is; its spender may show a preimage."""

    @property
    def needs_preimage(self) -> bool:
        """Whether it is ours only with a preimage."""
        return self in (Purpose.HTLC_SUCCESS, Purpose.CLAIM)

    @property
    def is_offered(self) -> bool:
        """Whether it is an HTLC that we offered."""
        return self in (Purpose.HTLC_TIMEOUT, Purpose.TAKE_BACK)


class HtlcTx(Record):
    """An HTLC transaction of our own commitment."""

    tx: Tx
    htlc: CommitmentOutput
    """What it takes."""
    peer_signature: Signature
    second_stage_script: bytes
    to_self_delay: int


class Punished(Record):
    """What takes an output of a commitment that the peer has revoked."""

    per_commitment_secret: Secret
    """As the peer revealed it."""
    delayed_script: bytes
    """Of `to_local` and of the second stages."""
    to_self_delay: int
    """How long the cheater has to wait for either."""


class Matter(Record):
    """An output that matters."""

    purpose: Purpose
    outpoint: OutPoint
    amount_sat: Sat
    script_pubkey: bytes
    height: BlockHeight
    """Of the block in which it stands."""
    per_commitment_point: Point = Point(b"")
    """What the key that takes it is derived with; empty where none is needed."""
    output: CommitmentOutput | None = None
    """Where it is one of a commitment that we can read."""
    spend: Spend | None = None
    """How one signature of ours takes it; with a preimage, see `spend_with`."""
    csv: int = 0
    """For `CLAIM`: how many blocks it waits."""
    htlc_tx: HtlcTx | None = None
    punished: Punished | None = None

    @property
    def key(self) -> HtlcKey | None:
        """The HTLC that it is, if we can read that."""
        return None if self.output is None else self.output.key

    def spend_with(self, preimage: Preimage | None) -> Spend | None:
        """How one signature of ours takes it, now that we know this preimage; None if that is not the way."""
        if self.purpose is Purpose.CLAIM:
            assert self.output is not None
            return None if preimage is None else claim_offered_htlc(self.output, preimage, self.csv)
        return self.spend

    @property
    def second_stage_script(self) -> bytes | None:
        """The script in the output of the HTLC transaction that may take it, of ours or of a cheater; else None."""
        if self.htlc_tx is not None:
            return self.htlc_tx.second_stage_script
        if self.purpose is not Purpose.PUNISH_HTLC:
            return None
        assert self.punished is not None
        return self.punished.delayed_script

    @property
    def ripe_at(self) -> BlockHeight:
        """The height of the tip at which the next block may hold our transaction."""
        if self.htlc_tx is not None:
            tx = self.htlc_tx.tx
            return self._ripe(tx.inputs[0].sequence, tx.locktime)
        if self.spend is not None:
            return self._ripe(self.spend.sequence, self.spend.locktime)
        return self._ripe(self.csv, 0)

    def _ripe(self, sequence: int, locktime: int) -> BlockHeight:
        # BIP 68: n blocks after the one it stands in. BIP 65 and nLockTime: in a block above that height.
        waits = sequence if sequence <= LONGEST_RELATIVE_LOCK else 0
        return BlockHeight(max(self.height + waits - 1, locktime))


class Spent(Record):
    """The funding output as a block shows it spent."""

    close: ChannelAtClose
    tx: Tx
    block: Block
    revoked: tuple[Htlc, ...] = ()
    """What was kept of its HTLCs, if it is a commitment that the peer has revoked."""


def second_stage_in(matter: Matter, tx: Tx) -> tuple[int, Sat] | None:
    """Place and amount of the output that is the second stage of an HTLC, if it is an HTLC transaction that took it.

    The other end's signature binds an HTLC transaction's one output to the place of its input (SIGHASH_SINGLE).
    """
    script = matter.second_stage_script
    if script is None:
        return None
    for place, (spent, output) in enumerate(zip(tx.inputs, tx.outputs, strict=False)):
        if spent.outpoint == matter.outpoint and output.script_pubkey == p2wsh(script):
            return place, output.amount_sat
    return None


def htlcs_of(close: ChannelAtClose) -> tuple[Htlc, ...]:
    """Every HTLC of the commitments that are not revoked, each once."""
    views = [view for view in (close.local, close.remote, close.remote_next) if view is not None]
    return tuple({htlc.key: htlc for view in views for htlc in view.htlcs}.values())
