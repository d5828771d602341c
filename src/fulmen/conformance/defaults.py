"""What an honest peer would say: the default of every message, and the values that steps put in its place."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from fulmen.conformance import script
from fulmen.conformance.channel import FakeChannel
from fulmen.conformance.peer import CLASSES, FakePeer
from fulmen.core.base.faults import InvariantBroken
from fulmen.core.base.ids import (
    ALL_CHANNELS,
    ChannelId,
    NodeId,
    OutPoint,
    PaymentHash,
    PaymentSecret,
    Point,
    Secret,
    ShortChannelId,
    Signature,
    Txid,
    scid,
)
from fulmen.core.base.record import Record
from fulmen.core.base.units import BlockHeight, CltvDelta, FeeratePerKw, Msat, Sat, Timestamp
from fulmen.core.crypto.hashes import sha256
from fulmen.core.crypto.secp256k1 import ORDER, sign_ecdsa
from fulmen.core.crypto.shachain import index_of
from fulmen.core.gossip.encodings import encode_scids
from fulmen.core.gossip.graph import DISABLE
from fulmen.core.gossip.signatures import NO_SIGNATURE
from fulmen.core.onion.payload import Payload, PaymentData, encode_payload
from fulmen.core.onion.sphinx import OnionHop, build_onion
from fulmen.core.signer.announcing import announcement_digest, message_digest
from fulmen.core.transactions.funding import funding_output
from fulmen.core.wire import encode
from fulmen.core.wire.features import (
    BASIC_MPP,
    GOSSIP_QUERIES,
    OPTION_ANCHORS,
    OPTION_CHANNEL_TYPE,
    OPTION_DATA_LOSS_PROTECT,
    OPTION_SCID_ALIAS,
    OPTION_SHUTDOWN_ANYSEGWIT,
    OPTION_STATIC_REMOTEKEY,
    OPTION_SUPPORT_LARGE_CHANNEL,
    OPTION_UPFRONT_SHUTDOWN_SCRIPT,
    PAYMENT_SECRET,
    VAR_ONION_OPTIN,
    Features,
    optional,
)
from fulmen.core.wire.messages.closing import ClosingSigned, Shutdown
from fulmen.core.wire.messages.gossip import (
    AnnouncementSignatures,
    ChannelAnnouncement,
    ChannelUpdate,
    GossipTimestampFilter,
    NodeAnnouncement,
    QueryChannelRange,
    QueryShortChannelIds,
)
from fulmen.core.wire.messages.opening import AcceptChannel, ChannelReady, FundingCreated, FundingSigned, OpenChannel
from fulmen.core.wire.messages.setup import ErrorMessage, Init, Ping, Pong, WarningMessage
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

FEATURES = optional(
    OPTION_DATA_LOSS_PROTECT,
    OPTION_UPFRONT_SHUTDOWN_SCRIPT,
    GOSSIP_QUERIES,
    VAR_ONION_OPTIN,
    OPTION_STATIC_REMOTEKEY,
    PAYMENT_SECRET,
    BASIC_MPP,
    OPTION_SUPPORT_LARGE_CHANNEL,
    OPTION_ANCHORS,
    OPTION_SHUTDOWN_ANYSEGWIT,
    OPTION_CHANNEL_TYPE,
    OPTION_SCID_ALIAS,
)
"""What a fake peer offers."""
FUNDING_SAT = Sat(1_000_000)
PUSH_MSAT = Msat(400_000_000)
"""What the node gets, so that it can offer HTLCs, too."""
FEERATE_PER_KW = FeeratePerKw(2500)
RESERVE_SAT = Sat(10_000)
DELAY = CltvDelta(144)
HTLC_MSAT = Msat(50_000_000)
FEE_MSAT = Msat(2_000_000)
"""More than any node asks for forwarding an HTLC of that size."""
EXPIRY_DELTA = 300
"""Of an HTLC from now: room for the node's own delta, and no longer than nodes take."""
FINAL_DELTA = 100
CLOSING_FEE_SAT = Sat(2_000)
FAILURE_REASON = bytes(292)
INVALID_ONION_HMAC = 0xC005
MUST_BE_ONE = 1
NO_BLOCK = 16_000_000
"""The first of the blocks that will not be found for centuries: where aliases lie."""
PAYMENTS = 100
"""The numbers of payments that a script may use."""
NO_ONION = bytes(1366)
_MADE_LAST = (
    "onion_routing_packet",
    "signature",
    "node_signature_1",
    "node_signature_2",
    "bitcoin_signature_1",
    "bitcoin_signature_2",
)
"""Fields that cover the others of their message."""


class CannotCompose(InvariantBroken):
    """A script asks for a message whose default follows from what has not happened yet."""


# -- the message that a step wants -------------------------------------------------------------------------------------


def compose(peer: FakePeer, message: str, fields: Mapping[str, Any]) -> Record:
    """The message: an honest peer's, with these fields instead; onions and signatures of its own cover them."""
    kind = CLASSES[message]
    composed: Record = _DEFAULTS[kind](peer)
    finish = _FINISHED.get(kind)
    if finish is None:
        return composed.but(**_resolved(peer, composed, fields))
    late = {name: value for name, value in fields.items() if name in _MADE_LAST}
    early = {name: value for name, value in fields.items() if name not in _MADE_LAST}
    composed = finish(peer, composed.but(**_resolved(peer, composed, early)), fields)
    late = {name: value for name, value in late.items() if not isinstance(value, script.Onion)}
    return composed.but(**_resolved(peer, composed, late))


def _resolved(peer: FakePeer, default: Record, fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: resolve(peer, value, getattr(default, name)) for name, value in fields.items()}


def resolve(peer: FakePeer, value: Any, default: Any = None) -> Any:
    """What a value of a step stands for now."""
    cast = peer.cast
    match value:
        case script.Plus():
            return default + value.by
        case script.Flipped():
            return _flipped(default)
        case script.HighS():
            return _high_s(default)
        case script.Said():
            speaker = cast.peers[value.peer] if value.peer else peer
            return _plus(getattr(speaker.told[value.message], value.field), value.plus)
        case script.Ours():
            return _plus(getattr(peer.said[value.message], value.field), value.plus)
        case script.PreimageOf():
            return cast.preimage(value.number)
        case script.HashOf():
            return cast.payment_hash(value.number)
        case script.Height():
            return _height(peer) + value.plus
        case script.Now():
            return int(cast.subject.now()) + value.plus
        case script.OnionHash():
            return sha256(peer.said["update_add_htlc"].onion_routing_packet)
        case script.Script22():
            return peer.script(value.number)
        case script.Disabled():
            return default | DISABLE
        case script.NewChannelId():
            return _channel(peer).channel_id
        case script.Scid():
            return _scid(peer, value) + value.plus
        case script.Scids():
            return encode_scids([_scid(peer, script.Scid())])
    return value


def _plus(value: Any, plus: int) -> Any:
    return value + plus if plus else value


def _flipped(value: Any) -> Any:
    if isinstance(value, tuple):
        return (*value[:-1], _flipped(value[-1]))
    return value[:-1] + bytes([value[-1] ^ 1])


def _high_s(signature: Any) -> Any:
    if isinstance(signature, tuple):
        return (*signature[:-1], _high_s(signature[-1]))
    s = int.from_bytes(signature[32:], "big")
    return Signature(signature[:32] + (ORDER - s).to_bytes(32, "big"))


def _scid(peer: FakePeer, value: script.Scid) -> ShortChannelId:
    if not value.peer:
        announced = peer.cast.announced
        if announced is not None:
            return announced.scid
    channel = _channel(peer.cast.peers[value.peer] if value.peer else peer)
    found = channel.scid if value.real or channel.alias is None else channel.alias
    if found is None:
        raise CannotCompose("the channel has no short channel id yet")
    return found


def _channel(peer: FakePeer) -> FakeChannel:
    if peer.channel is None:
        raise CannotCompose("there is no channel yet", peer=peer.name)
    return peer.channel


def _height(peer: FakePeer) -> int:
    coins = peer.cast.subject.coins
    return coins.chain.height() if coins is not None else 0


# -- setup -------------------------------------------------------------------------------------------------------------


def _init(peer: FakePeer) -> Init:
    return Init(b"", FEATURES.to_bytes(), (peer.cast.subject.network.chain_hash,))


def _channel_id(peer: FakePeer) -> ChannelId:
    return ALL_CHANNELS if peer.channel is None else peer.channel.channel_id


def _error(peer: FakePeer) -> ErrorMessage:
    return ErrorMessage(_channel_id(peer), b"a fake peer says so")


def _warning(peer: FakePeer) -> WarningMessage:
    return WarningMessage(_channel_id(peer), b"a fake peer says so")


# -- opening -----------------------------------------------------------------------------------------------------------


def _points(peer: FakePeer) -> tuple[Point, Point, Point, Point, Point]:
    points = peer.basepoints
    return (
        points.funding_pubkey,
        points.revocation_basepoint,
        points.payment_basepoint,
        points.delayed_payment_basepoint,
        points.htlc_basepoint,
    )


def _first_point(peer: FakePeer) -> Point:
    return peer.point(0)


def _open_channel(peer: FakePeer) -> OpenChannel:
    kind = Features.of(OPTION_STATIC_REMOTEKEY)
    if peer.node_features.supports(OPTION_ANCHORS):
        kind |= Features.of(OPTION_ANCHORS)
    return OpenChannel(
        peer.cast.subject.network.chain_hash,
        ChannelId(peer.temporary_channel_id),
        FUNDING_SAT,
        PUSH_MSAT,
        Sat(354),
        Msat(1000 * FUNDING_SAT),
        RESERVE_SAT,
        Msat(1),
        FEERATE_PER_KW,
        DELAY,
        483,
        *_points(peer),
        _first_point(peer),
        0,
        upfront_shutdown_script=b"",
        channel_type=kind.to_bytes(),
    )


def _accept_channel(peer: FakePeer) -> AcceptChannel:
    opened: OpenChannel = peer.told["open_channel"]
    return AcceptChannel(
        opened.temporary_channel_id,
        Sat(354),
        Msat(1000 * opened.funding_satoshis),
        Sat(max(opened.funding_satoshis // 100, opened.dust_limit_satoshis)),
        Msat(1),
        3,
        DELAY,
        483,
        *_points(peer),
        _first_point(peer),
        upfront_shutdown_script=b"",
        channel_type=opened.channel_type,
    )


def _funding_created(peer: FakePeer) -> FundingCreated:
    opened: OpenChannel = peer.said["open_channel"]
    accepted: AcceptChannel = peer.told["accept_channel"]
    output = funding_output(opened.funding_pubkey, accepted.funding_pubkey, opened.funding_satoshis)
    coins = peer.cast.subject.coins
    if coins is not None and peer.funds_for_real:
        peer.funding_tx = coins.pay([output.but(amount_sat=Sat(output.amount_sat + peer.funding_off_by))])
        outpoint = peer.funding_tx.outpoint(0)
    else:
        outpoint = OutPoint(Txid(sha256(peer.cast.seed + b"no such transaction")), 0)
    channel = peer.open_as(outpoint, is_opener=True)
    return FundingCreated(opened.temporary_channel_id, outpoint.txid, outpoint.vout, channel.first_signature())


def _funding_signed(peer: FakePeer) -> FundingSigned:
    channel = _channel(peer)
    return FundingSigned(channel.channel_id, channel.first_signature())


def _channel_ready(peer: FakePeer) -> ChannelReady:
    channel = _channel(peer)
    alias = None
    # "if `option_scid_alias` was negotiated: MUST set `short_channel_id` `alias`." (BOLT 2, `channel_ready`)
    if peer.node_features.supports(OPTION_SCID_ALIAS):
        alias = scid(NO_BLOCK, *divmod(int.from_bytes(peer.derived("alias")[:4], "big"), 1 << 16))
    return ChannelReady(channel.channel_id, channel.point(1), alias=alias)


# -- updates -----------------------------------------------------------------------------------------------------------


def _update_add_htlc(peer: FakePeer) -> UpdateAddHtlc:
    channel = _channel(peer)
    expiry = BlockHeight(_height(peer) + EXPIRY_DELTA)
    number = channel.next_add()
    return UpdateAddHtlc(channel.channel_id, number, HTLC_MSAT, peer.cast.payment_hash(number), expiry, NO_ONION)


def _with_onion(peer: FakePeer, message: Record, fields: Mapping[str, Any]) -> Record:
    """An onion that fits the HTLC, unless the step brings bytes of its own."""
    assert isinstance(message, UpdateAddHtlc)
    wanted = fields.get("onion_routing_packet")
    if isinstance(wanted, bytes):
        return message
    if not isinstance(wanted, script.Onion):
        wanted = script.Onion()
    node_id = peer.cast.subject.node_id
    final_expiry = BlockHeight(_height(peer) + FINAL_DELTA)
    secret = PaymentSecret(sha256(peer.cast.seed + b"payment secret"))
    if wanted.to:
        receiver = peer.cast.peers[wanted.to]
        amount = Msat(message.amount_msat - FEE_MSAT)
        if wanted.fee_off_by is not None:
            message = message.but(amount_msat=Msat(amount + _fee_told(receiver, amount) + wanted.fee_off_by))
        forward = Payload(amount, final_expiry, short_channel_id=_scid(peer, script.Scid(wanted.to)))
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
    return UpdateAddHtlc(_channel(peer).channel_id, 0, Msat(0), PaymentHash(bytes(32)), BlockHeight(0), NO_ONION)


def _update_fulfill_htlc(peer: FakePeer) -> UpdateFulfillHtlc:
    add = _received(peer)
    numbers = (number for number in range(PAYMENTS) if peer.cast.payment_hash(number) == add.payment_hash)
    return UpdateFulfillHtlc(add.channel_id, add.id, peer.cast.preimage(next(numbers, 0)))


def _update_fail_htlc(peer: FakePeer) -> UpdateFailHtlc:
    add = _received(peer)
    return UpdateFailHtlc(add.channel_id, add.id, FAILURE_REASON)


def _update_fail_malformed_htlc(peer: FakePeer) -> UpdateFailMalformedHtlc:
    add = _received(peer)
    return UpdateFailMalformedHtlc(add.channel_id, add.id, sha256(add.onion_routing_packet), INVALID_ONION_HMAC)


def _update_fee(peer: FakePeer) -> UpdateFee:
    return UpdateFee(_channel(peer).channel_id, FeeratePerKw(FEERATE_PER_KW + 500))


def _commitment_signed(peer: FakePeer) -> CommitmentSigned:
    channel = _channel(peer)
    signature, htlcs = channel.signatures() if channel.state.remote_next is None else channel.last_signatures()
    return CommitmentSigned(channel.channel_id, signature, htlcs)


def _revoke_and_ack(peer: FakePeer) -> RevokeAndAck:
    channel = _channel(peer)
    number = channel.revocable
    return RevokeAndAck(channel.channel_id, channel.secret(number), channel.point(number + 2))


def _channel_reestablish(peer: FakePeer) -> ChannelReestablish:
    channel = _channel(peer)
    state = channel.state
    remote = state.remote.number
    return ChannelReestablish(
        channel.channel_id,
        state.local.number + 1,
        remote,
        state.revoked.lookup(index_of(remote - 1)) if remote else Secret(bytes(32)),
        channel.point(state.local.number),
    )


# -- closing -----------------------------------------------------------------------------------------------------------


def _shutdown(peer: FakePeer) -> Shutdown:
    return Shutdown(_channel(peer).channel_id, peer.script())


def _closing_signed(peer: FakePeer) -> ClosingSigned:
    channel = _channel(peer)
    theirs: ClosingSigned | None = peer.told.get("closing_signed")
    fee = CLOSING_FEE_SAT if theirs is None else theirs.fee_satoshis
    return ClosingSigned(channel.channel_id, fee, NO_SIGNATURE)


def _sign_closing(peer: FakePeer, message: Record, _fields: Mapping[str, Any]) -> Record:
    assert isinstance(message, ClosingSigned)
    return message.but(signature=_channel(peer).closing_signature(message.fee_satoshis))


# -- gossip ------------------------------------------------------------------------------------------------------------


def _ends(peer: FakePeer) -> list[tuple[NodeId, FakePeer]]:
    """Alice and bob, the lesser node id first."""
    peers = peer.cast.peers
    return sorted(((peers[name].node_id, peers[name]) for name in (script.ALICE, script.BOB)), key=lambda end: end[0])


def _channel_announcement(peer: FakePeer) -> ChannelAnnouncement:
    first, second = _ends(peer)
    return ChannelAnnouncement(
        NO_SIGNATURE,
        NO_SIGNATURE,
        NO_SIGNATURE,
        NO_SIGNATURE,
        b"",
        peer.cast.subject.network.chain_hash,
        _scid(peer, script.Scid()),
        first[0],
        second[0],
        first[1].basepoints.funding_pubkey,
        second[1].basepoints.funding_pubkey,
    )


def _sign_announcement(peer: FakePeer, message: Record, _fields: Mapping[str, Any]) -> Record:
    """Each key signs that stands in it, whoever's it is; a key of nobody's signs nothing."""
    assert isinstance(message, ChannelAnnouncement)
    digest = announcement_digest(encode(message))
    secrets: dict[bytes, Secret] = {}
    for _, end in _ends(peer):
        secrets |= {end.node_id: end.secret, end.basepoints.funding_pubkey: end.secrets.funding}
    return message.but(
        node_signature_1=_by(secrets, message.node_id_1, digest),
        node_signature_2=_by(secrets, message.node_id_2, digest),
        bitcoin_signature_1=_by(secrets, message.bitcoin_key_1, digest),
        bitcoin_signature_2=_by(secrets, message.bitcoin_key_2, digest),
    )


def _by(secrets: Mapping[bytes, Secret], key: bytes, digest: bytes) -> Signature:
    secret = secrets.get(key)
    return NO_SIGNATURE if secret is None else sign_ecdsa(secret, digest)


def _channel_update(peer: FakePeer) -> ChannelUpdate:
    """Alice's, or bob's when he sends it."""
    return ChannelUpdate(
        NO_SIGNATURE,
        peer.cast.subject.network.chain_hash,
        _scid(peer, script.Scid()),
        Timestamp(int(peer.cast.subject.now())),
        MUST_BE_ONE,
        0 if _ends(peer)[0][1] is peer else 1,
        CltvDelta(40),
        Msat(1),
        Msat(1000),
        1,
        Msat(1000 * FUNDING_SAT),
    )


def _node_announcement(peer: FakePeer) -> NodeAnnouncement:
    alias = b"fake peer".ljust(32, b"\0")
    return NodeAnnouncement(
        NO_SIGNATURE, b"", Timestamp(int(peer.cast.subject.now())), peer.node_id, b"\xff\x99\x00", alias, b""
    )


def _sign_gossip(peer: FakePeer, message: Record, _fields: Mapping[str, Any]) -> Record:
    return message.but(signature=sign_ecdsa(peer.secret, message_digest(encode(message))))


def _announcement_signatures(peer: FakePeer) -> AnnouncementSignatures:
    channel = _channel(peer)
    theirs: AnnouncementSignatures = peer.told["announcement_signatures"]
    state = channel.state
    ends = sorted(
        (
            (peer.node_id, peer.basepoints.funding_pubkey),
            (peer.cast.subject.node_id, state.terms.remote.basepoints.funding_pubkey),
        )
    )
    unsigned = ChannelAnnouncement(
        NO_SIGNATURE,
        NO_SIGNATURE,
        NO_SIGNATURE,
        NO_SIGNATURE,
        b"",
        peer.cast.subject.network.chain_hash,
        theirs.short_channel_id,
        ends[0][0],
        ends[1][0],
        ends[0][1],
        ends[1][1],
    )
    digest = announcement_digest(encode(unsigned))
    return AnnouncementSignatures(
        channel.channel_id,
        theirs.short_channel_id,
        sign_ecdsa(peer.secret, digest),
        sign_ecdsa(peer.secrets.funding, digest),
    )


def _gossip_timestamp_filter(peer: FakePeer) -> GossipTimestampFilter:
    return GossipTimestampFilter(peer.cast.subject.network.chain_hash, 0, 0xFFFFFFFF)


def _query_channel_range(peer: FakePeer) -> QueryChannelRange:
    return QueryChannelRange(peer.cast.subject.network.chain_hash, 0, 0xFFFFFFFF)


def _query_short_channel_ids(peer: FakePeer) -> QueryShortChannelIds:
    scids = [] if peer.cast.announced is None else [peer.cast.announced.scid]
    return QueryShortChannelIds(peer.cast.subject.network.chain_hash, encode_scids(scids))


# -- all of them -------------------------------------------------------------------------------------------------------

_DEFAULTS: Mapping[type[Record], Callable[[FakePeer], Any]] = {
    Init: _init,
    ErrorMessage: _error,
    WarningMessage: _warning,
    Ping: lambda _peer: Ping(8, b""),
    Pong: lambda _peer: Pong(b""),
    OpenChannel: _open_channel,
    AcceptChannel: _accept_channel,
    FundingCreated: _funding_created,
    FundingSigned: _funding_signed,
    ChannelReady: _channel_ready,
    UpdateAddHtlc: _update_add_htlc,
    UpdateFulfillHtlc: _update_fulfill_htlc,
    UpdateFailHtlc: _update_fail_htlc,
    UpdateFailMalformedHtlc: _update_fail_malformed_htlc,
    UpdateFee: _update_fee,
    CommitmentSigned: _commitment_signed,
    RevokeAndAck: _revoke_and_ack,
    ChannelReestablish: _channel_reestablish,
    Shutdown: _shutdown,
    ClosingSigned: _closing_signed,
    ChannelAnnouncement: _channel_announcement,
    ChannelUpdate: _channel_update,
    NodeAnnouncement: _node_announcement,
    AnnouncementSignatures: _announcement_signatures,
    GossipTimestampFilter: _gossip_timestamp_filter,
    QueryChannelRange: _query_channel_range,
    QueryShortChannelIds: _query_short_channel_ids,
}
"""What an honest peer says, as far as the script has come."""

_FINISHED: Mapping[type[Record], Callable[[FakePeer, Record, Mapping[str, Any]], Record]] = {
    UpdateAddHtlc: _with_onion,
    ClosingSigned: _sign_closing,
    ChannelAnnouncement: _sign_announcement,
    ChannelUpdate: _sign_gossip,
    NodeAnnouncement: _sign_gossip,
}
"""What is made from the fields that a step chose: onions, and signatures that cover them."""
