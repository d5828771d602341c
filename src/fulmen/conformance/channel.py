"""A fake peer's side of a channel: the same commitments, signatures and secrets as an honest peer's, and no rules.

It keeps books by folding the core's own facts of a channel; what it is told to send it sends, whether that is allowed
or not. Transactions and signatures are made by the core's rooms (BOLT 3).
"""

from __future__ import annotations

from fulmen.core.base.faults import Fault
from fulmen.core.base.ids import ChannelId, NodeId, OutPoint, Point, Secret, ShortChannelId, Signature, channel_id_of
from fulmen.core.base.machine import Fact, evolve
from fulmen.core.base.units import BlockHeight, FeeratePerKw, Msat, Sat
from fulmen.core.channel.closing import closing_tx, sign_closing, variants
from fulmen.core.channel.dance import remote_view
from fulmen.core.channel.facts import (
    CommitmentReceived,
    CommitmentSent,
    LinkChanged,
    LocalProposed,
    Opened,
    ReadyReceived,
    RemoteProposed,
    RevocationReceived,
    ShutdownReceived,
    ShutdownSent,
)
from fulmen.core.channel.opening.state import ANNOUNCE_CHANNEL
from fulmen.core.channel.state import Channel, Link
from fulmen.core.channel.terms import format_of, terms_of
from fulmen.core.commitments.commitment import Commitment
from fulmen.core.commitments.params import ChannelParams, Funding
from fulmen.core.commitments.updates import Add, FeeChange, Remove
from fulmen.core.commitments.view import CommitmentView, view_of
from fulmen.core.crypto.secp256k1 import point_of, sign_ecdsa
from fulmen.core.crypto.shachain import index_of, per_commitment_secret
from fulmen.core.signer.checks import CheckClosing, CheckCommitment
from fulmen.core.signer.signing import ChannelSecrets, sign_commitment
from fulmen.core.signer.signing import sign_closing as sign_closing_tx
from fulmen.core.wire.messages.closing import ClosingSigned
from fulmen.core.wire.messages.opening import AcceptChannel, OpenChannel
from fulmen.core.wire.messages.updates import CommitmentSigned, RevokeAndAck


class NodeIsWrong(Exception):
    """What the node sent is well formed and yet cannot be right: a signature, a secret."""


class FakeChannel:
    """One channel with the node under test."""

    def __init__(
        self,
        secrets: ChannelSecrets,
        node_id: NodeId,
        opened: OpenChannel,
        accepted: AcceptChannel,
        outpoint: OutPoint,
        *,
        is_opener: bool,
    ) -> None:
        assert accepted.channel_type is not None, "an accept_channel without a type is refused before"
        self._secrets = secrets
        ours, theirs = (opened, accepted) if is_opener else (accepted, opened)
        params = ChannelParams(
            channel_id_of(outpoint),
            node_id,
            0,
            is_opener,
            bool(opened.channel_flags & ANNOUNCE_CHANNEL),
            accepted.channel_type,
            format_of(accepted.channel_type),
            accepted.minimum_depth,
            terms_of(ours),
            terms_of(theirs),
        )
        funding = Funding(outpoint, opened.funding_satoshis, params.format)
        opener_msat = Msat(1000 * opened.funding_satoshis - opened.push_msat)
        balances = (opener_msat, opened.push_msat) if is_opener else (opened.push_msat, opener_msat)
        self.state = Channel()
        self.scid: ShortChannelId | None = None
        self.alias: ShortChannelId | None = None
        """The node's, from its `channel_ready`."""
        self._unrevoked: CommitmentSigned | None = None
        """The node's signature that our `revoke_and_ack` is owed for."""
        first = theirs.first_per_commitment_point
        self._now(Opened(params, funding, FeeratePerKw(opened.feerate_per_kw), *balances, first, BlockHeight(0)))
        self.online()

    @property
    def channel_id(self) -> ChannelId:
        """Its name."""
        return self.state.terms.channel_id

    @property
    def outpoint(self) -> OutPoint:
        """Its funding."""
        return self.state.funding.outpoint

    # ---- links -------------------------------------------------------------------------------------------------------

    def online(self) -> None:
        """Updates flow."""
        self._now(LinkChanged(Link.READY, b"\0", b"\0"))

    def offline(self) -> None:
        """What was in no signed commitment is forgotten, by both sides."""
        self._unrevoked = None
        self._now(LinkChanged(Link.OFFLINE))

    # ---- points and secrets ------------------------------------------------------------------------------------------

    def secret(self, number: int) -> Secret:
        """Our per-commitment secret of a number."""
        return per_commitment_secret(self._secrets.per_commitment_seed, index_of(number))

    def point(self, number: int) -> Point:
        """Our per-commitment point of a number."""
        return point_of(self.secret(number))

    # ---- what we say -------------------------------------------------------------------------------------------------

    def first_signature(self) -> Signature:
        """On the node's first commitment."""
        signature, _ = sign_commitment(self._remote(self.state.remote, self.state.remote_point), self._secrets)
        return signature

    def next_add(self) -> int:
        """The id of the next HTLC that we offer."""
        return self.state.local_log.next_id

    def proposed(self, update: Add | Remove | FeeChange) -> None:
        """We sent an update."""
        self._now(LocalProposed(update.but(index=self.state.local_log.next_index)))

    def signatures(self) -> tuple[Signature, tuple[Signature, ...]]:
        """On the node's next commitment, with all that it includes; of a commitment that cannot be, nonsense."""
        pending = self.state.remote_pending
        try:
            return sign_commitment(self._remote(pending, self.state.remote_next_point), self._secrets)
        except Fault:
            return self._nonsense(), ()

    def signed(self) -> None:
        """We sent `commitment_signed`."""
        last = self.state.last_signed
        updates = self.state.local_log.between(last.local_upto, self.state.local_log.next_index)
        self._now(CommitmentSent(last.number + 1, updates))

    def last_signatures(self) -> tuple[Signature, tuple[Signature, ...]]:
        """On the node's newest commitment, made again."""
        last = self.state.last_signed
        point = self.state.remote_next_point if self.state.remote_next is not None else self.state.remote_point
        return sign_commitment(self._remote(last, point), self._secrets)

    def revoked(self) -> None:
        """We sent `revoke_and_ack`."""
        message, self._unrevoked = self._unrevoked, None
        if message is None:
            return
        local = self.state.local
        updates = self.state.remote_log.between(local.remote_upto, self.state.remote_log.next_index)
        self._now(CommitmentReceived(local.number + 1, updates, message.signature, message.htlc_signature))

    @property
    def revocable(self) -> int:
        """The number of our commitment that the next `revoke_and_ack` gives up."""
        return self.state.local.number

    def shut(self, script: bytes) -> None:
        """We sent `shutdown`."""
        self._now(ShutdownSent(script))

    def closing_signature(self, fee_sat: Sat) -> Signature:
        """On the closing transaction with this fee; where there is none, nonsense."""
        if self.state.shutdown_sent is None or self.state.shutdown_received is None:
            return self._nonsense()
        try:
            return sign_closing_tx(sign_closing(self.state, closing_tx(self.state, fee_sat)), self._secrets)
        except Fault:
            return self._nonsense()

    # ---- what the node says ------------------------------------------------------------------------------------------

    def heard_first_signature(self, signature: Signature) -> None:
        """On our first commitment."""
        if not CheckCommitment(self._local(self.state.local), signature).holds():
            raise NodeIsWrong("the signature of our first commitment does not hold")
        funding = self.state.funding.but(peer_signature=signature)
        self.state = self.state.but(fundings=(funding,))

    def heard_ready(self, point: Point, alias: ShortChannelId | None) -> None:
        """The node's `channel_ready`."""
        self.alias = alias if alias is not None else self.alias
        self._now(ReadyReceived(point, alias))

    def heard_update(self, update: Add | Remove | FeeChange) -> None:
        """The node proposed an update."""
        if isinstance(update, Add) and update.id != self.state.remote_log.next_id:
            raise NodeIsWrong(f"the id of its HTLC is {update.id}, not {self.state.remote_log.next_id}")
        self._now(RemoteProposed(update.but(index=self.state.remote_log.next_index)))

    def heard_signature(self, message: CommitmentSigned) -> None:
        """The node signed our next commitment."""
        pending = self.state.local_pending
        if len(message.htlc_signature) != pending.totals.output_count:
            count = pending.totals.output_count
            raise NodeIsWrong(f"{len(message.htlc_signature)} HTLC signatures, where {count} are due")
        if not CheckCommitment(self._local(pending), message.signature, message.htlc_signature).holds():
            raise NodeIsWrong(f"the signature of our commitment {pending.number} does not hold")
        self._unrevoked = message

    def heard_revocation(self, message: RevokeAndAck) -> None:
        """The node revoked its last commitment."""
        if self.state.remote_next is None:
            raise NodeIsWrong("a revoke_and_ack that nobody waits for")
        if point_of(message.per_commitment_secret) != self.state.remote_point:
            raise NodeIsWrong("the secret is not that of its revoked commitment")
        self._now(RevocationReceived(message.per_commitment_secret, message.next_per_commitment_point))

    def heard_shutdown(self, script: bytes) -> None:
        """The node wants to close."""
        self._now(ShutdownReceived(script))

    def heard_closing(self, message: ClosingSigned) -> None:
        """The node signed a closing transaction."""
        requests = tuple(sign_closing(self.state, tx) for tx in variants(self.state, message.fee_satoshis))
        if not CheckClosing(requests, message.signature).holds():
            raise NodeIsWrong("the signature of the closing transaction does not hold")

    def _nonsense(self) -> Signature:
        return sign_ecdsa(self._secrets.funding, bytes(31) + b"\x01")

    # ---- in between --------------------------------------------------------------------------------------------------

    def _remote(self, commitment: Commitment, point: Point) -> CommitmentView:
        return remote_view(self.state, commitment, point)

    def _local(self, commitment: Commitment) -> CommitmentView:
        state = self.state
        point = self.point(commitment.number)
        return view_of(commitment, state.terms, state.funding, point, state.local_log, state.remote_log)

    def _now(self, fact: Fact) -> None:
        self.state = evolve(self.state, fact)
