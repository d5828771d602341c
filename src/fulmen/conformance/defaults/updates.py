"""HTLCs, fees, commitments and reconnection: what an honest peer says on a channel that stands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fulmen.conformance import script
from fulmen.conformance.defaults.numbers import (
    EXPIRY_DELTA,
    FAILURE_REASON,
    FEE_MSAT,
    FEERATE_PER_KW,
    FINAL_DELTA,
    HTLC_MSAT,
    INVALID_ONION_HMAC,
    NO_ONION,
    PAYMENTS,
)
from fulmen.conformance.defaults.values import channel_of, height_of, scid_of
from fulmen.conformance.peer import FakePeer
from fulmen.core.base.ids import PaymentHash, PaymentSecret, Secret
from fulmen.core.base.record import Record
from fulmen.core.base.units import BlockHeight, FeeratePerKw, Msat
from fulmen.core.crypto.hashes import sha256
from fulmen.core.crypto.shachain import index_of
from fulmen.core.onion.payload import Payload, PaymentData, encode_payload
from fulmen.core.onion.sphinx import OnionHop, build_onion
from fulmen.core.wire.messages.gossip import ChannelUpdate
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


def update_add_htlc(peer: FakePeer) -> UpdateAddHtlc:
    channel = channel_of(peer)
    expiry = BlockHeight(height_of(peer) + EXPIRY_DELTA)
    number = channel.next_add()
    return UpdateAddHtlc(channel.channel_id, number, HTLC_MSAT, peer.cast.payment_hash(number), expiry, NO_ONION)


def with_onion(peer: FakePeer, message: Record, fields: Mapping[str, Any]) -> Record:
    """An onion that fits the HTLC, unless the step brings bytes of its own."""
    assert isinstance(message, UpdateAddHtlc)
    wanted = fields.get("onion_routing_packet")
    if isinstance(wanted, bytes):
        return message
    if not isinstance(wanted, script.Onion):
        wanted = script.Onion()
    node_id = peer.cast.subject.node_id
    final_expiry = BlockHeight(height_of(peer) + FINAL_DELTA)
    secret = PaymentSecret(sha256(peer.cast.seed + b"payment secret"))
    if wanted.to:
        receiver = peer.cast.peers[wanted.to]
        amount = Msat(message.amount_msat - FEE_MSAT)
        if wanted.fee_off_by is not None:
            message = message.but(amount_msat=Msat(amount + _fee_told(receiver, amount) + wanted.fee_off_by))
        forward = Payload(amount, final_expiry, short_channel_id=scid_of(peer, script.Scid(wanted.to)))
        final = Payload(amount, final_expiry, payment_data=PaymentData(secret, amount))
        hops = [OnionHop(node_id, encode_payload(forward)), OnionHop(receiver.node_id, encode_payload(final))]
    else:
        amount = message.amount_msat
        final = Payload(amount, message.cltv_expiry, payment_data=PaymentData(secret, amount))
        hops = [OnionHop(node_id, encode_payload(final))]
    session = peer.derived(f"session/{message.id}/{message.payment_hash.hex()}")
    return message.but(onion_routing_packet=build_onion(session, hops, message.payment_hash).packet)


def _fee_told(receiver: FakePeer, amount: Msat) -> int:
    """What the node asks for forwarding this amount to a peer, by its last word to that peer."""
    update: ChannelUpdate = receiver.told["channel_update"]
    return update.fee_base_msat + amount * update.fee_proportional_millionths // 1_000_000


def _received(peer: FakePeer) -> UpdateAddHtlc:
    """The node's last HTLC; for a peer that has none, one that never was."""
    found: UpdateAddHtlc | None = peer.told.get("update_add_htlc")
    if found is not None:
        return found
    return UpdateAddHtlc(channel_of(peer).channel_id, 0, Msat(0), PaymentHash(bytes(32)), BlockHeight(0), NO_ONION)


def update_fulfill_htlc(peer: FakePeer) -> UpdateFulfillHtlc:
    add = _received(peer)
    numbers = (number for number in range(PAYMENTS) if peer.cast.payment_hash(number) == add.payment_hash)
    return UpdateFulfillHtlc(add.channel_id, add.id, peer.cast.preimage(next(numbers, 0)))


def update_fail_htlc(peer: FakePeer) -> UpdateFailHtlc:
    add = _received(peer)
    return UpdateFailHtlc(add.channel_id, add.id, FAILURE_REASON)


def update_fail_malformed_htlc(peer: FakePeer) -> UpdateFailMalformedHtlc:
    add = _received(peer)
    return UpdateFailMalformedHtlc(add.channel_id, add.id, sha256(add.onion_routing_packet), INVALID_ONION_HMAC)


def update_fee(peer: FakePeer) -> UpdateFee:
    return UpdateFee(channel_of(peer).channel_id, FeeratePerKw(FEERATE_PER_KW + 500))


def commitment_signed(peer: FakePeer) -> CommitmentSigned:
    channel = channel_of(peer)
    signature, htlcs = channel.signatures() if channel.state.remote_next is None else channel.last_signatures()
    return CommitmentSigned(channel.channel_id, signature, htlcs)


def revoke_and_ack(peer: FakePeer) -> RevokeAndAck:
    channel = channel_of(peer)
    number = channel.revocable
    return RevokeAndAck(channel.channel_id, channel.secret(number), channel.point(number + 2))


def channel_reestablish(peer: FakePeer) -> ChannelReestablish:
    channel = channel_of(peer)
    state = channel.state
    remote = state.remote.number
    return ChannelReestablish(
        channel.channel_id,
        state.local.number + 1,
        remote,
        state.revoked.lookup(index_of(remote - 1)) if remote else Secret(bytes(32)),
        channel.point(state.local.number),
    )
