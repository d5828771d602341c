"""From `init` to `channel_ready`: what an honest peer says until a channel stands."""

from __future__ import annotations

from fulmen.conformance.defaults.numbers import (
    DELAY,
    FEATURES,
    FEERATE_PER_KW,
    FUNDING_SAT,
    NO_BLOCK,
    PUSH_MSAT,
    RESERVE_SAT,
)
from fulmen.conformance.defaults.values import channel_of
from fulmen.conformance.peer import FakePeer
from fulmen.core.base.ids import ALL_CHANNELS, ChannelId, OutPoint, Point, Txid, scid
from fulmen.core.base.units import Msat, Sat
from fulmen.core.crypto.hashes import sha256
from fulmen.core.transactions.funding import funding_output
from fulmen.core.wire.features import OPTION_ANCHORS, OPTION_SCID_ALIAS, OPTION_STATIC_REMOTEKEY, Features
from fulmen.core.wire.messages.opening import AcceptChannel, ChannelReady, FundingCreated, FundingSigned, OpenChannel
from fulmen.core.wire.messages.setup import ErrorMessage, Init, WarningMessage


def init(peer: FakePeer) -> Init:
    return Init(b"", FEATURES.to_bytes(), (peer.cast.subject.network.chain_hash,))


def _channel_id(peer: FakePeer) -> ChannelId:
    return ALL_CHANNELS if peer.channel is None else peer.channel.channel_id


def error(peer: FakePeer) -> ErrorMessage:
    return ErrorMessage(_channel_id(peer), b"a fake peer says so")


def warning(peer: FakePeer) -> WarningMessage:
    return WarningMessage(_channel_id(peer), b"a fake peer says so")


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


def open_channel(peer: FakePeer) -> OpenChannel:
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


def accept_channel(peer: FakePeer) -> AcceptChannel:
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


def funding_created(peer: FakePeer) -> FundingCreated:
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


def funding_signed(peer: FakePeer) -> FundingSigned:
    channel = channel_of(peer)
    return FundingSigned(channel.channel_id, channel.first_signature())


def channel_ready(peer: FakePeer) -> ChannelReady:
    channel = channel_of(peer)
    alias = None
    # "if `option_scid_alias` was negotiated: MUST set `short_channel_id` `alias`." (BOLT 2, `channel_ready`)
    if peer.node_features.supports(OPTION_SCID_ALIAS):
        alias = scid(NO_BLOCK, *divmod(int.from_bytes(peer.derived("alias")[:4], "big"), 1 << 16))
    return ChannelReady(channel.channel_id, channel.point(1), alias=alias)
