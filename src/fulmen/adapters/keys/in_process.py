"""The key holder of a node that keeps its keys in its own process.

It answers requests one by one from what stands in them, if its guard (`core.signer.guard`) lets them pass.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache, partial
from typing import Any

from fulmen.adapters.keys.derivation import PAYMENT_KEYS, basepoints_of, channel_secrets, derive, payment_secret
from fulmen.core.base.env import Basepoints
from fulmen.core.base.ids import NodeId, Point, Secret, Signature
from fulmen.core.base.machine import Action
from fulmen.core.base.mount import Check
from fulmen.core.base.outer import Answer, Send, SignRequest, WantPublished
from fulmen.core.base.policy import FeeratePolicy
from fulmen.core.base.record import Record
from fulmen.core.base.units import FeeratePerKw
from fulmen.core.bitcoin.accounts import SignWalletInputs, accounts_of, public_accounts, sign_wallet_inputs
from fulmen.core.bitcoin.bip32 import from_seed
from fulmen.core.bitcoin.transaction import parse_tx
from fulmen.core.commitments.building import build
from fulmen.core.crypto.secp256k1 import ecdh, point_of, sign_recoverable
from fulmen.core.crypto.shachain import SecretTree, index_of
from fulmen.core.invoices.signing import SignInvoice, sign_invoice
from fulmen.core.signer.announcing import SignAnnouncement, sign_announcement
from fulmen.core.signer.guard import Guard
from fulmen.core.signer.remembered import Remembered
from fulmen.core.signer.requests import (
    RevealSecret,
    SignClosing,
    SignCommitment,
    SignFundingSpend,
    SignHtlcTx,
    SignMutualClose,
    SignSpend,
)
from fulmen.core.signer.signing import (
    ChannelSecrets,
    WillNotSign,
    sign_closing,
    sign_commitment,
    sign_htlc_tx,
    sign_mutual_close,
    sign_our_commitment,
    sign_spend,
)

CAP_PER_KW = FeeratePolicy().cap_per_kw
"""No mutual close pays more."""


class InProcessKeys:
    """Holds the seed (16 to 64 bytes, BIP 32). Signatures, revealed secrets and public points are all it gives away."""

    def __init__(self, seed: bytes, coin_type: int = 1, cap_per_kw: FeeratePerKw = CAP_PER_KW) -> None:
        self._accounts = accounts_of(from_seed(seed), coin_type)
        self.accounts = public_accounts(self._accounts)
        self._node_secret = derive(seed, "node")
        self.node_id = NodeId(point_of(self._node_secret))
        self._payment_secret = partial(payment_secret, seed)
        self._secrets = lru_cache(maxsize=4096)(lambda key_index: channel_secrets(seed, key_index))
        self._trees = lru_cache(maxsize=4096)(lambda key_index: SecretTree(self._of(key_index).per_commitment_seed))
        self.basepoints = lru_cache(maxsize=4096)(self._basepoints)
        self.per_commitment_point = lru_cache(maxsize=16384)(self._point)
        self.guard = Guard(self.accounts, self.per_commitment_point, cap_per_kw)

    def __repr__(self) -> str:
        return f"InProcessKeys(node_id={self.node_id.hex()})"

    # -- public points, which decisions may use freely --

    def ecdh(self, point: Point) -> bytes:
        """SHA-256 of the compressed product of the node key and a point."""
        return ecdh(self._node_secret, point)

    def payment_points(self) -> Iterator[Point]:
        """The public halves of all payment keys, by key index: whatever peers paid to channels of this seed."""
        for key_index in range(PAYMENT_KEYS):
            yield point_of(self._payment_secret(key_index))

    def _basepoints(self, key_index: int) -> Basepoints:
        return basepoints_of(self._secrets(key_index))

    def _point(self, key_index: int, number: int) -> Point:
        return point_of(self._per_commitment_secret(key_index, number))

    def _per_commitment_secret(self, key_index: int, number: int) -> Secret:
        tree: SecretTree = self._trees(key_index)
        return tree.secret(index_of(number))

    # -- what the guard remembers --

    def remember(self, known: Record) -> None:
        """What an earlier life has done with a channel."""
        assert isinstance(known, Remembered)
        self.guard.resume(known)

    def verify(self, checks: tuple[Check, ...]) -> Check | None:
        """The first check that does not hold, or None; what the peer has proven is remembered."""
        failed = next((check for check in checks if not check.holds()), None)
        if failed is None:
            self.guard.note(checks)
        return failed

    def allow_payout(self, script_pubkey: bytes) -> None:
        """The operator names a script to which a mutual close may pay our share."""
        self.guard.allow_payout(script_pubkey)

    # -- requests --

    def announce(self, request: SignAnnouncement) -> tuple[Signature, Signature | None]:
        """The node key's signature on gossip of ours, and the funding key's on an announcement of a channel.

        Raises:
            WillNotSign: it is not ours, or no gossip.
        """
        funding = None if request.key_index is None else self._of(request.key_index).funding
        return sign_announcement(request, self._node_secret, funding)

    def fill(self, action: Action) -> Action:
        """The same action with its signatures and secrets filled in, and no request left.

        Raises:
            WillNotSign: the request asks for what would lose money, or is none we know.
        """
        if isinstance(action, Send):
            message = action.message
            for request in action.sign:
                message = message.but(**self._fields(request))
            return action.but(message=message, sign=())
        if isinstance(action, Answer):
            result = action.result
            for request in action.sign:
                result = self._answered(request, result)
            return action.but(result=result, sign=())
        raise WillNotSign("nothing in this action can be signed", action=type(action).__name__)

    def sign_message(self, digest: bytes) -> bytes:
        """A recoverable signature of the node key over a 32-byte digest of text: r 32, s 32, recovery id 1 byte."""
        return sign_recoverable(self._node_secret, digest)

    def sign_invoice(self, request: SignInvoice) -> str:
        """The text of an invoice of ours, signed by the node key."""
        return sign_invoice(request, self._node_secret)

    def complete(self, want: WantPublished) -> bytes:
        """The transaction of a want with its witnesses, ready for the mempool.

        Raises:
            WillNotSign: a request that is none we know.
        """
        raw = want.tx
        for request in want.sign:
            raw = self._transaction(request, raw)
        return raw

    def _fields(self, request: SignRequest) -> dict[str, Any]:
        if isinstance(request, SignCommitment):
            view = request.view
            built = build(view)
            self.guard.sign(view, built.digest)
            signature, htlcs = sign_commitment(view, self._of(view.params.key_index), built)
            return {"signature": signature, "htlc_signature": htlcs} if request.with_htlcs else {"signature": signature}
        if isinstance(request, RevealSecret):
            self.guard.reveal(request)
            return {"per_commitment_secret": self._per_commitment_secret(request.key_index, request.number)}
        if isinstance(request, SignClosing):
            self.guard.close(request)
            return {"signature": sign_closing(request, self._of(request.key_index))}
        raise WillNotSign("an unknown request", request=type(request).__name__)

    def _answered(self, request: SignRequest, result: Record) -> Record:
        if isinstance(request, SignInvoice):
            return result.but(bolt11=sign_invoice(request, self._node_secret))
        raise WillNotSign("an unknown request", request=type(request).__name__)

    def _transaction(self, request: SignRequest, raw: bytes) -> bytes:
        if isinstance(request, SignFundingSpend):
            self.guard.publish(request.view)
            return sign_our_commitment(request.view, self._of(request.view.params.key_index)).serialize()
        if isinstance(request, SignMutualClose):
            closing = request.closing
            self.guard.close(closing)
            return sign_mutual_close(closing, request.peer_signature, self._of(closing.key_index)).serialize()
        if isinstance(request, SignWalletInputs):
            return sign_wallet_inputs(self._accounts, parse_tx(raw), request).serialize()
        if isinstance(request, SignSpend):
            return sign_spend(request, parse_tx(raw), self._of(request.key_index)).serialize()
        if isinstance(request, SignHtlcTx):
            return sign_htlc_tx(request, parse_tx(raw), self._of(request.key_index)).serialize()
        raise WillNotSign("an unknown request", request=type(request).__name__)

    def _of(self, key_index: int) -> ChannelSecrets:
        return self._secrets(key_index)
