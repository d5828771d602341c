"""The policy of a key holder: every request is held against what is remembered of its channel.

It holds no key and does no I/O. What it is told at a start (`resume`), what it sees proven (`note`) and what it lets
pass make its memory; the rules themselves are in `remembered`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from fulmen.core.base.ids import Point
from fulmen.core.base.mount import Check
from fulmen.core.base.units import FeeratePerKw
from fulmen.core.bitcoin.accounts import Accounts, script_at
from fulmen.core.commitments.view import CommitmentView
from fulmen.core.signer import remembered
from fulmen.core.signer.checks import CheckCommitment, CheckRevocation
from fulmen.core.signer.remembered import Remembered
from fulmen.core.signer.requests import RevealSecret, SignClosing


class Guard:
    """All channels of one key holder.

    `accounts` are the public halves of our wallet, `own_point` gives our per-commitment points.
    """

    def __init__(self, accounts: Accounts, own_point: Callable[[int, int], Point], cap_per_kw: FeeratePerKw) -> None:
        self._accounts = accounts
        self._own_point = own_point
        self._cap_per_kw = cap_per_kw
        self._known: dict[int, Remembered] = {}
        self._payouts: dict[bytes, None] = {}

    def known(self, key_index: int) -> Remembered | None:
        """What is remembered of a channel."""
        return self._known.get(key_index)

    def resume(self, known: Remembered) -> None:
        """What an earlier life has done with a channel."""
        self._known[known.params.key_index] = known

    def allow_payout(self, script_pubkey: bytes) -> None:
        """The operator names a script to which a mutual close may pay our share."""
        self._payouts[script_pubkey] = None

    def note(self, checks: Iterable[Check]) -> None:
        """The peer has proven this: every one of these checks holds."""
        for check in checks:
            if isinstance(check, CheckCommitment):
                index = check.view.params.key_index
                self._put(index, remembered.with_ours_signed(self._known.get(index), check.view))
            elif isinstance(check, CheckRevocation):
                index = check.key_index
                self._put(index, remembered.with_revoked(self._known.get(index), check.number, check.point))

    # -- requests: each raises WillNotSign --

    def sign(self, view: CommitmentView, digest: bytes) -> None:
        """A commitment of the peer."""
        index = view.params.key_index
        self._put(index, remembered.to_sign(self._known.get(index), view, digest))

    def reveal(self, request: RevealSecret) -> None:
        """A per-commitment secret of ours."""
        index = request.key_index
        self._put(index, remembered.to_reveal(self._known.get(index), request.number))

    def publish(self, view: CommitmentView) -> None:
        """A commitment of ours."""
        index = view.params.key_index
        point = self._own_point(index, view.number)
        self._put(index, remembered.to_publish(self._known.get(index), view, point))

    def close(self, closing: SignClosing) -> None:
        """A mutual close."""
        path, index = closing.path, closing.key_index
        allowed = closing.payout in self._payouts
        if path is not None and not allowed:
            allowed = script_at(self._accounts, path) == closing.payout
        known = self._known.get(index)
        self._put(index, remembered.to_close(known, closing, allowed=allowed, cap_per_kw=self._cap_per_kw))

    def _put(self, key_index: int, known: Remembered | None) -> None:
        if known is not None:
            self._known[key_index] = known
