"""What a key holder remembers of one channel, and what it refuses because of it. Pure: a record in, a record out.

It believes what it has seen itself: what it signed, which secrets it gave away, and what the peer proved by signatures
and secrets that were checked on its side. What an earlier life did comes from the journal, on which it stood before
anything left (law 1, `docs/decisions/why-the-signer-remembers.md`).

BOLT 2, "Completing the Transition to the Updated State"; law 9: n+1 is signed by the peer before n is revoked, and what
is revoked is never published.
"""

from __future__ import annotations

from fulmen.core.base.ids import OutPoint, Point
from fulmen.core.base.record import Record
from fulmen.core.base.units import FeeratePerKw, Msat, Sat, fee_for_weight, sat_floor
from fulmen.core.bitcoin.transaction import SEQUENCE_FINAL, parse_tx
from fulmen.core.commitments.commitment import LOCAL, REMOTE
from fulmen.core.commitments.params import ChannelParams
from fulmen.core.commitments.view import CommitmentView
from fulmen.core.signer.requests import SignClosing
from fulmen.core.signer.signing import WillNotSign
from fulmen.core.transactions.closing import closing_weight


class Signed(Record):
    """A commitment that bears the signatures of the end that cannot publish it."""

    number: int
    local_msat: Msat
    """Our balance in it, HTLCs apart."""
    pending: bool
    """It holds HTLCs."""
    point: Point = Point(b"")
    """Its owner's per-commitment point."""
    content: bytes = b""
    """What `content_of` makes of it; empty where it will not be signed again."""


class Remembered(Record):
    """One channel, as its key holder knows it."""

    params: ChannelParams
    funding: OutPoint
    local: Signed | None = None
    """Ours: the newest of which we have all of the peer's signatures."""
    remote: Signed | None = None
    """The peer's: the newest that we signed."""
    remote_before: Signed | None = None
    """The peer's: the one before it."""
    revoked: int = -1
    """The peer's newest commitment of which we have the secret."""
    revealed: int = -1
    """Our newest commitment whose secret we gave away."""
    published: int = -1
    """Our newest commitment that we signed to be published."""
    payout: bytes = b""
    """Where a mutual close pays our share, once we have said so."""


def begun(view: CommitmentView) -> Remembered:
    """A channel of which we see the first commitment."""
    return Remembered(view.params, view.funding.outpoint)


def content_of(view: CommitmentView, digest: bytes) -> bytes:
    """What makes two commitments of one number the same: the transaction, and the fees of its HTLC transactions."""
    return digest + view.feerate_per_kw.to_bytes(4, "big")


# -- what the peer has proven -----------------------------------------------------------------------------------------


def with_ours_signed(known: Remembered | None, view: CommitmentView) -> Remembered | None:
    """The peer's signatures on a commitment of ours and on all its HTLC transactions were found good."""
    known = begun(view) if known is None else known
    if view.side is not LOCAL or not _is_of(known, view):
        return known
    if known.local is not None and view.number < known.local.number:
        return known
    return known.but(local=Signed(view.number, view.local_msat, bool(view.htlcs), view.per_commitment_point))


def with_revoked(known: Remembered | None, number: int, point: Point) -> Remembered | None:
    """The peer showed the secret behind a per-commitment point: was it the one of that commitment?"""
    before = None if known is None else known.remote_before
    if known is None or before is None or (before.number, before.point) != (number, point):
        return known
    return known.but(revoked=max(known.revoked, number))


# -- what we are asked ------------------------------------------------------------------------------------------------


def to_sign(known: Remembered | None, view: CommitmentView, digest: bytes) -> Remembered:
    """Sign a commitment of the peer: the next one, or the newest once more.

    Raises:
        WillNotSign: it would be a second transaction of one number, or a third that the peer could publish.
    """
    if known is None:
        if view.number != 0:
            raise WillNotSign("a channel that we do not know begins with its first commitment", number=view.number)
        known = begun(view)
    _check_channel(known, view)
    if view.side is not REMOTE:
        raise WillNotSign("our own commitment is signed only to be published", number=view.number)
    newest, content = known.remote, content_of(view, digest)
    if newest is not None and view.number == newest.number:
        if content != newest.content:
            raise WillNotSign("another transaction was signed under this number", number=view.number)
        return known
    expected = 0 if newest is None else newest.number + 1
    if view.number != expected:
        raise WillNotSign("commitments are signed in their order", number=view.number, expected=expected)
    # The peer holds this one, and the one before until it revokes that.
    if view.number - 2 > known.revoked:
        raise WillNotSign("the peer has not revoked the last but one", number=view.number, revoked=known.revoked)
    signed = Signed(view.number, view.local_msat, bool(view.htlcs), view.per_commitment_point, content)
    return known.but(remote=signed, remote_before=newest)


def to_reveal(known: Remembered | None, number: int) -> Remembered:
    """Give away the secret of a commitment of ours: the next one whose successor the peer has signed, or an old one.

    Raises:
        WillNotSign: it would leave us without a commitment, or make punishable what we publish.
    """
    if known is None or known.local is None:
        raise WillNotSign("no commitment of this channel is known to be signed", number=number)
    if 0 <= number <= known.revealed:
        return known
    if number != known.revealed + 1:
        raise WillNotSign("secrets are given away in their order", number=number, revealed=known.revealed)
    if number >= known.local.number:
        raise WillNotSign("the peer has not signed the commitment after it", number=number, signed=known.local.number)
    if number <= known.published:
        raise WillNotSign("this commitment was signed to be published", number=number)
    return known.but(revealed=number)


def to_publish(known: Remembered | None, view: CommitmentView, own_point: Point) -> Remembered:
    """Sign a commitment of ours to be published: one that we have not revoked.

    Args:
        own_point: our per-commitment point of the number that the view claims to have.

    Raises:
        WillNotSign: the peer could punish us for it, or never signed it.
    """
    if known is None or known.local is None:
        raise WillNotSign("no commitment of this channel is known to be signed", number=view.number)
    _check_channel(known, view)
    # Law 9: what is revoked is never published.
    if view.number <= known.revealed:
        raise WillNotSign("this commitment is revoked", number=view.number, revealed=known.revealed)
    if view.number > known.local.number:
        raise WillNotSign("the peer has not signed this commitment", number=view.number, signed=known.local.number)
    if view.per_commitment_point != own_point:
        raise WillNotSign("this point is of another commitment", number=view.number)
    return known.but(published=max(known.published, view.number))


def to_close(known: Remembered | None, closing: SignClosing, *, allowed: bool, cap_per_kw: FeeratePerKw) -> Remembered:
    """Sign a mutual close: all of our balance, less the agreed fee where we pay it, goes where it should.

    Args:
        allowed: the script is one of our wallet, or the operator named it.
        cap_per_kw: no fee is higher, whatever was agreed.

    Raises:
        WillNotSign: it pays us less, or somebody else, or HTLCs hang in the channel.
    """
    if known is None or known.local is None or known.remote is None:
        raise WillNotSign("no commitment of this channel is known to be signed")
    local, remote = known.local, known.remote
    # BOLT 2: "MUST NOT send a `closing_signed`" before all HTLCs are gone from both commitments; then they agree.
    if local.pending or remote.pending or local.local_msat != remote.local_msat:
        raise WillNotSign("something is under way in this channel", local=local.number, remote=remote.number)
    ours = known.params.local
    if closing.payout not in (known.payout, ours.upfront_shutdown_script) and not allowed:
        raise WillNotSign("our share would go to a script that is not ours", payout=closing.payout)
    if not closing.payout:
        raise WillNotSign("our share would go nowhere")
    tx = parse_tx(closing.tx)
    # A commitment transaction has other numbers there (BOLT 3): it cannot be passed off as a mutual close.
    if len(tx.inputs) != 1 or tx.inputs[0].sequence != SEQUENCE_FINAL or tx.locktime:
        raise WillNotSign("this is no closing transaction")
    if tx.inputs[0].outpoint != known.funding:
        raise WillNotSign("this spends something else", outpoint=tx.inputs[0].outpoint)
    cap = fee_for_weight(cap_per_kw, closing_weight(*(output.script_pubkey for output in tx.outputs)))
    fee = min(closing.highest_fee_sat, cap) if known.params.is_opener else Sat(0)
    due = sat_floor(local.local_msat) - fee
    paid = max((out.amount_sat for out in tx.outputs if out.script_pubkey == closing.payout), default=0)
    # BOLT 3: "MUST remove any output below its own `dust_limit_satoshis`."
    dust = max(ours.dust_limit_sat, known.params.remote.dust_limit_sat)
    if paid < due and (paid or due >= dust):
        raise WillNotSign("it pays us less than what is ours", paid_sat=paid, due_sat=due)
    return known.but(payout=closing.payout)


def _check_channel(known: Remembered, view: CommitmentView) -> None:
    if not _is_of(known, view):
        raise WillNotSign("the keys are those of another channel", channel_id=view.params.channel_id)


def _is_of(known: Remembered, view: CommitmentView) -> bool:
    return view.params == known.params and view.funding.outpoint == known.funding
