"""The terms of a new channel: ours, the peer's, and whether they can be accepted.

BOLT 2, "The `open_channel` Message" and "The `accept_channel` Message" (B2-11 … B2-14).
"""

from __future__ import annotations

from fulmen.core.base.env import Basepoints, Env
from fulmen.core.base.ids import Point
from fulmen.core.base.peers import PeerView
from fulmen.core.base.policy import OpeningPolicy
from fulmen.core.base.units import MAX_MONEY_SAT, FeeratePerKw, Msat, Sat, sat_floor, to_msat
from fulmen.core.channel.commands import OpenTo
from fulmen.core.channel.faults import OpeningNotPossible, OpeningRefused
from fulmen.core.channel.limits import fee_bound_sat, highest_feerate, most_htlcs
from fulmen.core.channel.scripts import is_shutdown_script
from fulmen.core.commitments.params import PartyParams
from fulmen.core.transactions.formats import ANCHORS_ZERO_FEE_HTLC, STATIC_REMOTEKEY, format_named
from fulmen.core.transactions.weights import commitment_fee, opener_cost
from fulmen.core.wire.features import (
    OPTION_ANCHORS,
    OPTION_DUAL_FUND,
    OPTION_SCID_ALIAS,
    OPTION_SHUTDOWN_ANYSEGWIT,
    OPTION_STATIC_REMOTEKEY,
    OPTION_SUPPORT_LARGE_CHANNEL,
    OPTION_UPFRONT_SHUTDOWN_SCRIPT,
    OPTION_ZEROCONF,
    Features,
    negotiated,
)
from fulmen.core.wire.messages.opening import AcceptChannel, OpenChannel

MAX_ACCEPTED_HTLCS = 483
MIN_DUST_LIMIT_SAT = 354
MAX_MINIMUM_DEPTH = 144
LARGE_FUNDING_SAT = 1 << 24

_BASIC_TYPES = {
    Features.of(OPTION_STATIC_REMOTEKEY).mask: STATIC_REMOTEKEY.name,
    Features.of(OPTION_STATIC_REMOTEKEY, OPTION_ANCHORS).mask: ANCHORS_ZERO_FEE_HTLC.name,
}
_VARIATIONS = Features.of(OPTION_SCID_ALIAS, OPTION_ZEROCONF).mask


# -- channel types ----------------------------------------------------------------------------------------------------


def channel_type(wish: OpenTo, ours: Features, theirs: Features, policy: OpeningPolicy) -> bytes:
    """The type we ask for: anchors where both can, with the variations that were wished for.

    "SHOULD NOT set it to a type containing a feature which was not negotiated."

    Raises:
        OpeningNotPossible: the wish and the peer's features do not go together.
    """
    bits = [OPTION_STATIC_REMOTEKEY]
    if wish.anchors and policy.anchors and negotiated(ours, theirs, OPTION_ANCHORS):
        bits.append(OPTION_ANCHORS)
    for wished, bit, name in (
        (wish.scid_alias, OPTION_SCID_ALIAS, "scid_alias"),
        (wish.zeroconf, OPTION_ZEROCONF, "zeroconf"),
    ):
        if wished and not negotiated(ours, theirs, bit):
            raise OpeningNotPossible(f"the peer does not offer {name}")
        if wished:
            bits.append(bit)
    # "if `announce_channel` is `true`: MUST NOT send `channel_type` with the `option_scid_alias` bit set."
    if wish.scid_alias and wish.announce:
        raise OpeningNotPossible("a channel that is announced cannot hide behind an alias")
    return Features.of(*bits).to_bytes()


def format_of(kind: bytes) -> str:
    """The commitment format of a channel type.

    Raises:
        OpeningRefused: it is none of the defined types.
    """
    mask = Features.from_bytes(kind).mask
    basic = _BASIC_TYPES.get(mask & ~_VARIATIONS)
    if basic is None:
        raise OpeningRefused(why="unknown channel_type", channel_type=kind)
    return basic


def has_feature(kind: bytes, bit: int) -> bool:
    """Whether a channel type has a bit."""
    return Features.from_bytes(kind).has(bit)


def minimum_depth(kind: bytes, funding_sat: Sat, policy: OpeningPolicy) -> int:
    """Confirmations we wait for: none for a trusted opener, more for more money."""
    # "if `channel_type` includes `option_zeroconf`: MUST set `minimum_depth` to zero."
    if has_feature(kind, OPTION_ZEROCONF):
        return 0
    # A reorg that undoes the funding has to cost more than it gains: one block more for each 0.5 BTC, up to six.
    return max(policy.minimum_depth, min(6, funding_sat // 50_000_000))


# -- ours -------------------------------------------------------------------------------------------------------------


def our_terms(env: Env, funding_sat: Sat, key_index: int) -> PartyParams:
    """What we announce for a channel of this size."""
    policy = env.policy.opening
    reserve = Sat(max(policy.dust_limit_sat, funding_sat * policy.reserve_ppm // 1_000_000))
    return PartyParams(
        policy.dust_limit_sat,
        Msat(to_msat(funding_sat) * policy.max_htlc_value_in_flight_ppm // 1_000_000),
        reserve,
        policy.htlc_minimum_msat,
        policy.to_self_delay,
        min(policy.max_accepted_htlcs, most_htlcs(funding_sat, env.policy.commitment)),
        env.basepoints(key_index),
    )


def largest_funding(peer: PeerView) -> Sat:
    """How large a channel with this peer may be.

    Source: BOLT 2, `open_channel`: "otherwise: MUST set `funding_satoshis` to less than 2^24 satoshi."
    """
    ours, theirs = Features.from_bytes(peer.local_features), Features.from_bytes(peer.remote_features)
    large = negotiated(ours, theirs, OPTION_SUPPORT_LARGE_CHANNEL)
    return MAX_MONEY_SAT if large else Sat(LARGE_FUNDING_SAT - 1)


def check_close_to(script: bytes, upfront: bool, *, anysegwit: bool) -> None:
    """Refuse a wish for the close that the peer would not keep, or not accept.

    Raises:
        OpeningNotPossible
    """
    if script and not upfront:
        raise OpeningNotPossible("the peer does not offer upfront_shutdown_script, so close_to would not bind it")
    if script and not is_shutdown_script(script, anysegwit=anysegwit):
        raise OpeningNotPossible("close_to is not an address that this peer lets a channel close to", script=script)


def upfront_script(env: Env, peer: PeerView) -> bytes:
    """The script to which a channel that the peer opens is bound, as far as this peer can be bound to it; or empty.

    Source: BOLT 2, `accept_channel`.
    """
    script = env.policy.opening.close_to
    ours, theirs = Features.from_bytes(peer.local_features), Features.from_bytes(peer.remote_features)
    anysegwit = negotiated(ours, theirs, OPTION_SHUTDOWN_ANYSEGWIT)
    if not negotiated(ours, theirs, OPTION_UPFRONT_SHUTDOWN_SCRIPT):
        return b""
    return script if is_shutdown_script(script, anysegwit=anysegwit) else b""


def terms_of(message: OpenChannel | AcceptChannel) -> PartyParams:
    """What a message announces."""
    return PartyParams(
        message.dust_limit_satoshis,
        message.max_htlc_value_in_flight_msat,
        message.channel_reserve_satoshis,
        message.htlc_minimum_msat,
        message.to_self_delay,
        message.max_accepted_htlcs,
        Basepoints(
            message.funding_pubkey,
            message.revocation_basepoint,
            message.payment_basepoint,
            message.delayed_payment_basepoint,
            message.htlc_basepoint,
        ),
        message.upfront_shutdown_script or b"",
    )


def check_basepoints(ours: Basepoints, theirs: Basepoints) -> None:
    """Refuse a peer that announces a key of ours as its own, of which it can have no good in mind.

    Nothing in BOLT 2 forbids it. With our `payment_basepoint` on both ends, its balance and ours have one script, and
    nobody can tell by it whose commitment a transaction is.

    Raises:
        OpeningRefused: with the reason.
    """
    if _points(ours) & _points(theirs):
        raise OpeningRefused(why="a basepoint or funding_pubkey is one of ours")


def _points(keys: Basepoints) -> frozenset[Point]:
    return frozenset(
        (
            keys.funding_pubkey,
            keys.revocation_basepoint,
            keys.payment_basepoint,
            keys.delayed_payment_basepoint,
            keys.htlc_basepoint,
        )
    )


# -- theirs -----------------------------------------------------------------------------------------------------------


def check_open(msg: OpenChannel, env: Env, peer: PeerView) -> None:
    """Refuse an `open_channel` that breaks BOLT 2 or our policy.

    Raises:
        OpeningRefused: with the reason, in the order of the BOLT's list.
    """
    policy = env.policy.opening
    ours, theirs = Features.from_bytes(peer.local_features), Features.from_bytes(peer.remote_features)
    # "if the message doesn't include a `channel_type`: fail the channel."
    if msg.channel_type is None:
        raise OpeningRefused(why="channel_type is missing")
    # "if `option_dual_fund` has been negotiated: fail the channel."
    if negotiated(ours, theirs, OPTION_DUAL_FUND):
        raise OpeningRefused(why="open_channel2 was negotiated")
    if msg.chain_hash != env.chain_hash:
        raise OpeningRefused(why="unknown chain", chain_hash=msg.chain_hash)
    if msg.push_msat > to_msat(msg.funding_satoshis):
        raise OpeningRefused(why="push_msat above funding_satoshis", push_msat=msg.push_msat)
    # Terms in proportion to a channel that is too small anyway would hide that from its opener.
    _check_size(msg, ours, theirs, policy)
    anysegwit = negotiated(ours, theirs, OPTION_SHUTDOWN_ANYSEGWIT)
    _check_common(terms_of(msg), msg.funding_satoshis, policy, anysegwit=anysegwit)
    _check_feerate(msg, env)
    _check_first_commitment(msg, format_of(msg.channel_type), our_terms(env, msg.funding_satoshis, 0))
    _check_type(msg, ours, theirs, policy, peer)


def _check_common(terms: PartyParams, funding_sat: Sat, policy: OpeningPolicy, *, anysegwit: bool) -> None:
    """What holds of the terms of either side: "Other fields have the same requirements as their counterparts"."""
    if terms.to_self_delay > policy.max_to_self_delay:
        raise OpeningRefused(why="to_self_delay is unreasonably large", to_self_delay=terms.to_self_delay)
    if not 1 <= terms.max_accepted_htlcs <= MAX_ACCEPTED_HTLCS:
        raise OpeningRefused(why="max_accepted_htlcs out of range", max_accepted_htlcs=terms.max_accepted_htlcs)
    if not MIN_DUST_LIMIT_SAT <= terms.dust_limit_sat <= policy.max_dust_limit_sat:
        raise OpeningRefused(why="dust_limit_satoshis out of range", dust_limit_satoshis=terms.dust_limit_sat)
    # "`dust_limit_satoshis` is greater than `channel_reserve_satoshis`."
    if terms.dust_limit_sat > terms.channel_reserve_sat:
        raise OpeningRefused(why="dust_limit_satoshis above channel_reserve_satoshis")
    most = max(terms.dust_limit_sat, policy.dust_limit_sat, funding_sat * policy.max_reserve_ppm // 1_000_000)
    if terms.channel_reserve_sat > most:
        raise OpeningRefused(why="channel_reserve_satoshis is too large", reserve_sat=terms.channel_reserve_sat)
    if terms.htlc_minimum_msat > to_msat(funding_sat) // 100:
        raise OpeningRefused(why="htlc_minimum_msat is too large", htlc_minimum_msat=terms.htlc_minimum_msat)
    if terms.max_htlc_value_in_flight_msat < to_msat(funding_sat) // 100:
        raise OpeningRefused(why="max_htlc_value_in_flight_msat is too small")
    # "either a valid `shutdown_scriptpubkey` as required by `shutdown` `scriptpubkey`, or a zero-length" one
    script = terms.upfront_shutdown_script
    if script and not is_shutdown_script(script, anysegwit=anysegwit):
        raise OpeningRefused(why="the upfront shutdown script has none of the allowed forms", script=script)


def _check_feerate(msg: OpenChannel, env: Env) -> None:
    limits = env.policy.commitment
    assert msg.channel_type is not None
    form = format_named(format_of(msg.channel_type))
    # "it considers `feerate_per_kw` too small for timely processing or unreasonably large."
    if not limits.feerate_min_per_kw <= msg.feerate_per_kw <= highest_feerate(form, limits):
        raise OpeningRefused(why="feerate_per_kw out of range", feerate_per_kw=msg.feerate_per_kw)
    # Without anchors nothing can be added to the fee later: what the estimate calls hopeless is too small.
    if form == STATIC_REMOTEKEY and 2 * msg.feerate_per_kw < env.feerates.floor_per_kw:
        raise OpeningRefused(why="feerate_per_kw is too small", feerate_per_kw=msg.feerate_per_kw)
    if commitment_fee(form, msg.feerate_per_kw, 0) > fee_bound_sat(msg.funding_satoshis, limits):
        raise OpeningRefused(why="feerate_per_kw is too large for this channel", feerate_per_kw=msg.feerate_per_kw)


def _check_size(msg: OpenChannel, ours: Features, theirs: Features, policy: OpeningPolicy) -> None:
    if not policy.min_funding_sat <= msg.funding_satoshis <= policy.max_funding_sat:
        raise OpeningRefused(why="funding_satoshis out of range", funding_satoshis=msg.funding_satoshis)
    # "`funding_satoshis` is greater than or equal to 2^24 and the receiver does not support
    # `option_support_large_channel`."
    if msg.funding_satoshis >= LARGE_FUNDING_SAT and not negotiated(ours, theirs, OPTION_SUPPORT_LARGE_CHANNEL):
        raise OpeningRefused(why="a large channel was not negotiated", funding_satoshis=msg.funding_satoshis)


def _check_first_commitment(msg: OpenChannel, format_name: str, ours: PartyParams) -> None:
    # "the funder's amount for the initial commitment transaction is not sufficient for full fee payment."
    cost = opener_cost(format_named(format_name), FeeratePerKw(msg.feerate_per_kw), 0)
    opener_sat = msg.funding_satoshis - -(-msg.push_msat // 1000)
    if opener_sat < cost:
        raise OpeningRefused(why="the opener cannot pay the first commitment's fee", cost_sat=cost)
    # "both `to_local` and `to_remote` amounts for the initial commitment transaction are less than or equal to
    # `channel_reserve_satoshis`"
    reserve = max(msg.channel_reserve_satoshis, ours.channel_reserve_sat)
    if opener_sat - cost <= reserve and sat_floor(msg.push_msat) <= reserve:
        raise OpeningRefused(why="neither side would have more than the reserve", reserve_sat=reserve)


def _check_type(msg: OpenChannel, ours: Features, theirs: Features, policy: OpeningPolicy, peer: PeerView) -> None:
    assert msg.channel_type is not None
    kind = Features.from_bytes(msg.channel_type)
    if kind.has(OPTION_ANCHORS) and not (policy.anchors and negotiated(ours, theirs, OPTION_ANCHORS)):
        raise OpeningRefused(why="anchors were not negotiated")
    if kind.has(OPTION_SCID_ALIAS) and (msg.channel_flags & 1 or not negotiated(ours, theirs, OPTION_SCID_ALIAS)):
        raise OpeningRefused(why="scid_alias does not fit an announced channel, or was not negotiated")
    # "the `channel_type` includes `option_zeroconf` and it does not trust the sender to open an unconfirmed channel."
    if kind.has(OPTION_ZEROCONF) and peer.node_id not in policy.zeroconf_peers:
        raise OpeningRefused(why="the opener is not trusted with an unconfirmed funding")


def check_accept(ours: OpenChannel, msg: AcceptChannel, policy: OpeningPolicy, *, anysegwit: bool) -> None:
    """Refuse an `accept_channel` that breaks BOLT 2 or our policy.

    Args:
        anysegwit: option_shutdown_anysegwit was negotiated.

    Raises:
        OpeningRefused: with the reason.
    """
    # "if the message doesn't include a `channel_type`" / "does not match […]: MUST fail the channel."
    if msg.channel_type is None or msg.channel_type.lstrip(b"\0") != (ours.channel_type or b"").lstrip(b"\0"):
        raise OpeningRefused(why="channel_type is missing or not what we asked for", got=msg.channel_type or b"")
    if msg.minimum_depth > MAX_MINIMUM_DEPTH:
        raise OpeningRefused(why="minimum_depth is unreasonably large", minimum_depth=msg.minimum_depth)
    if has_feature(msg.channel_type, OPTION_ZEROCONF) and msg.minimum_depth:
        raise OpeningRefused(why="a zeroconf channel has a minimum_depth of zero", minimum_depth=msg.minimum_depth)
    # "if `channel_reserve_satoshis` is less than `dust_limit_satoshis` within the `open_channel` message: MUST fail"
    if msg.channel_reserve_satoshis < ours.dust_limit_satoshis:
        raise OpeningRefused(why="channel_reserve_satoshis below our dust_limit_satoshis")
    # "if `channel_reserve_satoshis` from the `open_channel` message is less than `dust_limit_satoshis`: MUST fail"
    if ours.channel_reserve_satoshis < msg.dust_limit_satoshis:
        raise OpeningRefused(why="dust_limit_satoshis above our channel_reserve_satoshis")
    _check_common(terms_of(msg), ours.funding_satoshis, policy, anysegwit=anysegwit)
    check_basepoints(terms_of(ours).basepoints, terms_of(msg).basepoints)
