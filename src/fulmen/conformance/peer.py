"""A fake peer: a node id, keys, one connection, and what has been said on it.

`compose` makes the message that a step wants, from the defaults of an honest peer (`defaults`) and the step's own
fields; `sent` and `heard` keep the books of its channel.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from fulmen.adapters.keys.derivation import basepoints_of, channel_secrets, derive
from fulmen.conformance.channel import FakeChannel
from fulmen.conformance.links import Link, Subject
from fulmen.core.base.ids import (
    NodeId,
    OutPoint,
    PaymentHash,
    Point,
    Preimage,
    Secret,
    ShortChannelId,
)
from fulmen.core.base.record import Record
from fulmen.core.bitcoin.script import p2wpkh
from fulmen.core.bitcoin.transaction import Tx
from fulmen.core.commitments.updates import Add, FeeChange, Remove
from fulmen.core.crypto.hashes import hash160, sha256
from fulmen.core.crypto.secp256k1 import point_of
from fulmen.core.crypto.shachain import index_of, per_commitment_secret
from fulmen.core.wire import name_of
from fulmen.core.wire.features import Features
from fulmen.core.wire.messages.closing import ClosingSigned, Shutdown
from fulmen.core.wire.messages.opening import ChannelReady, FundingCreated, FundingSigned
from fulmen.core.wire.messages.setup import Init
from fulmen.core.wire.messages.updates import (
    ChannelReestablish,
    CommitmentSigned,
    RevokeAndAck,
    UpdateAddHtlc,
    UpdateFailHtlc,
    UpdateFailMalformedHtlc,
    UpdateFee,
    UpdateFulfillHtlc,
)


@dataclass
class Announced:
    """An output between alice and bob that gossip speaks of."""

    tx: Tx
    scid: ShortChannelId


@dataclass
class Cast:
    """All who play in one script, and what they share."""

    subject: Subject
    seed: bytes
    peers: dict[str, FakePeer] = field(default_factory=dict)
    announced: Announced | None = None

    def preimage(self, number: int) -> Preimage:
        """Of a payment with this number."""
        return Preimage(sha256(self.seed + b"preimage" + number.to_bytes(8, "big")))

    def payment_hash(self, number: int) -> PaymentHash:
        """Of a payment with this number."""
        return PaymentHash(sha256(self.preimage(number)))


class FakePeer:
    """One of them."""

    def __init__(self, name: str, cast: Cast) -> None:
        self.name = name
        self.cast = cast
        seed = sha256(cast.seed + name.encode())
        self.secret: Secret = derive(seed, "node")
        self.node_id = NodeId(point_of(self.secret))
        self.secrets = channel_secrets(seed, 0)
        self.basepoints = basepoints_of(self.secrets)
        self.link: Link | None = None
        self.channel: FakeChannel | None = None
        self.funding_tx: Tx | None = None
        """What `funding_created` spoke of, not yet broadcast."""
        self.funds_for_real = False
        """The script broadcasts it, so it has to be a transaction."""
        self.funding_off_by = 0
        self.node_features = Features()
        """What the node offers on this connection."""
        self.said: dict[str, Any] = {}
        """Our last message of each name."""
        self.told: dict[str, Any] = {}
        """The node's last message of each name."""

    def derived(self, purpose: str) -> Secret:
        """A secret of this peer for one purpose."""
        return derive(sha256(self.cast.seed + self.name.encode()), purpose)

    def script(self, number: int = 0) -> bytes:
        """A P2WPKH script that pays us."""
        return p2wpkh(hash160(point_of(self.derived(f"script/{number}"))))

    @property
    def temporary_channel_id(self) -> bytes:
        """What we call a channel before it has a name."""
        return sha256(self.cast.seed + self.name.encode() + b"temporary")

    def point(self, number: int) -> Point:
        """Our per-commitment point of a number."""
        return point_of(per_commitment_secret(self.secrets.per_commitment_seed, index_of(number)))

    # ---- books -------------------------------------------------------------------------------------------------------

    def sent(self, message: Record) -> None:
        """We sent a message as it should be."""
        self.said[name_of(message)] = message
        handler = _SENT.get(type(message))
        if handler is not None:
            handler(self, message)

    def heard(self, message: Record) -> None:
        """The node sent a message.

        Raises:
            NodeIsWrong: it cannot be right.
        """
        self.told[name_of(message)] = message
        handler = _HEARD.get(type(message))
        if handler is not None:
            handler(self, message)

    def parted(self) -> None:
        """The connection is gone, at both ends."""
        if self.link is not None:
            self.link.close()
        self.link = None
        if self.channel is not None:
            self.channel.offline()

    def open_as(self, outpoint: OutPoint, *, is_opener: bool) -> FakeChannel:
        """The channel that both have agreed on, over this outpoint."""
        opened, accepted = (self.said, self.told) if is_opener else (self.told, self.said)
        self.channel = FakeChannel(
            self.secrets,
            self.cast.subject.node_id,
            opened["open_channel"],
            accepted["accept_channel"],
            outpoint,
            is_opener=is_opener,
        )
        return self.channel


Handler = Callable[[FakePeer, Any], None]
_SENT: dict[type[Record], Handler] = {}
_HEARD: dict[type[Record], Handler] = {}


def _when_sent(*kinds: type[Record]) -> Callable[[Handler], Handler]:
    def register(handler: Handler) -> Handler:
        _SENT.update(dict.fromkeys(kinds, handler))
        return handler

    return register


def _when_heard(*kinds: type[Record]) -> Callable[[Handler], Handler]:
    def register(handler: Handler) -> Handler:
        _HEARD.update(dict.fromkeys(kinds, handler))
        return handler

    return register


# -- opening -----------------------------------------------------------------------------------------------------------


@_when_heard(Init)
def _heard_init(peer: FakePeer, message: Init) -> None:
    peer.node_features = Features.from_bytes(message.globalfeatures) | Features.from_bytes(message.features)


@_when_heard(FundingCreated)
def _heard_funding_created(peer: FakePeer, message: FundingCreated) -> None:
    channel = peer.open_as(OutPoint(message.funding_txid, message.funding_output_index), is_opener=False)
    channel.heard_first_signature(message.signature)


@_when_heard(FundingSigned)
def _heard_funding_signed(peer: FakePeer, message: FundingSigned) -> None:
    if peer.channel is not None:
        peer.channel.heard_first_signature(message.signature)


@_when_heard(ChannelReady)
def _heard_ready(peer: FakePeer, message: ChannelReady) -> None:
    if peer.channel is not None:
        peer.channel.heard_ready(message.second_per_commitment_point, message.alias)


@_when_sent(ChannelReestablish)
def _sent_reestablish(peer: FakePeer, _message: ChannelReestablish) -> None:
    if peer.channel is not None:
        peer.channel.online()


# -- updates -----------------------------------------------------------------------------------------------------------


def _update_of(message: Any) -> Add | Remove | FeeChange:
    """A message as an entry of the log; its place in it is the log's to say."""
    if isinstance(message, UpdateAddHtlc):
        return Add(0, message.id, message.amount_msat, message.payment_hash, message.cltv_expiry)
    if isinstance(message, UpdateFulfillHtlc):
        return Remove(0, message.id, preimage=message.payment_preimage)
    if isinstance(message, UpdateFailHtlc):
        return Remove(0, message.id, reason=message.reason)
    if isinstance(message, UpdateFailMalformedHtlc):
        return Remove(0, message.id, failure_code=message.failure_code, sha256_of_onion=message.sha256_of_onion)
    assert isinstance(message, UpdateFee)
    return FeeChange(0, message.feerate_per_kw)


_UPDATES = (UpdateAddHtlc, UpdateFulfillHtlc, UpdateFailHtlc, UpdateFailMalformedHtlc, UpdateFee)


@_when_sent(*_UPDATES)
def _sent_update(peer: FakePeer, message: Record) -> None:
    update = _update_of(message)
    # What cannot be in a commitment is left out of our books: the node has to refuse it anyway.
    if peer.channel is not None and not (isinstance(update, Remove) and _unknown(peer.channel, update)):
        peer.channel.proposed(update)


def _unknown(channel: FakeChannel, update: Remove) -> bool:
    state = channel.state
    return state.remote_log.add(update.id) is None or state.local_log.removal(update.id) is not None


@_when_heard(*_UPDATES)
def _heard_update(peer: FakePeer, message: Record) -> None:
    if peer.channel is not None:
        peer.channel.heard_update(_update_of(message))


@_when_sent(CommitmentSigned)
def _sent_signature(peer: FakePeer, _message: CommitmentSigned) -> None:
    if peer.channel is not None and peer.channel.state.remote_next is None:
        peer.channel.signed()


@_when_heard(CommitmentSigned)
def _heard_signature(peer: FakePeer, message: CommitmentSigned) -> None:
    if peer.channel is not None:
        peer.channel.heard_signature(message)


@_when_sent(RevokeAndAck)
def _sent_revocation(peer: FakePeer, _message: RevokeAndAck) -> None:
    if peer.channel is not None:
        peer.channel.revoked()


@_when_heard(RevokeAndAck)
def _heard_revocation(peer: FakePeer, message: RevokeAndAck) -> None:
    if peer.channel is not None:
        peer.channel.heard_revocation(message)


# -- closing -----------------------------------------------------------------------------------------------------------


@_when_sent(Shutdown)
def _sent_shutdown(peer: FakePeer, message: Shutdown) -> None:
    if peer.channel is not None:
        peer.channel.shut(message.scriptpubkey)


@_when_heard(Shutdown)
def _heard_shutdown(peer: FakePeer, message: Shutdown) -> None:
    if peer.channel is not None:
        peer.channel.heard_shutdown(message.scriptpubkey)


@_when_heard(ClosingSigned)
def _heard_closing(peer: FakePeer, message: ClosingSigned) -> None:
    if peer.channel is not None:
        peer.channel.heard_closing(message)
