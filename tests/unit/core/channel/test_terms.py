"""Which terms of a new channel are refused, each by its reason (B2-12, B2-13, B2-14)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.builders.channels import keys_of
from tests.builders.openings import an_accept
from tests.laws.node_family import CHAIN, env_of, node_id_of

from fulmen.core.base.ids import ChainHash, ChannelId, CommandId, Point
from fulmen.core.base.peers import PeerView
from fulmen.core.base.policy import OpeningPolicy
from fulmen.core.base.units import MAX_MONEY_SAT, CltvDelta, FeeratePerKw, Msat, Sat
from fulmen.core.channel.commands import OpenTo
from fulmen.core.channel.faults import OpeningNotPossible, OpeningRefused
from fulmen.core.channel.terms import (
    channel_type,
    check_accept,
    check_close_to,
    check_open,
    format_of,
    largest_funding,
    minimum_depth,
    our_terms,
    terms_of,
    upfront_script,
)
from fulmen.core.wire.features import (
    OPTION_ANCHORS,
    OPTION_DUAL_FUND,
    OPTION_SCID_ALIAS,
    OPTION_SHUTDOWN_ANYSEGWIT,
    OPTION_SIMPLE_TAPROOT,
    OPTION_STATIC_REMOTEKEY,
    OPTION_SUPPORT_LARGE_CHANNEL,
    OPTION_UPFRONT_SHUTDOWN_SCRIPT,
    OPTION_ZEROCONF,
    Features,
    optional,
)
from fulmen.core.wire.messages.opening import OpenChannel

ENV = env_of("bob")
ALL = optional(
    OPTION_STATIC_REMOTEKEY, OPTION_ANCHORS, OPTION_SCID_ALIAS, OPTION_ZEROCONF, OPTION_SUPPORT_LARGE_CHANNEL
)
ANCHORS = Features.of(OPTION_STATIC_REMOTEKEY, OPTION_ANCHORS).to_bytes()
LEGACY = Features.of(OPTION_STATIC_REMOTEKEY).to_bytes()
SMALL = {"funding_satoshis": Sat(60_000), "channel_reserve_satoshis": Sat(600), "channel_type": LEGACY}
"""A quarter of it is less than the fee that any commitment may pay."""
LARGEST = {"funding_satoshis": Sat(1_000_000_000), "max_htlc_value_in_flight_msat": Msat(10**12)}
TAPROOT = Features.of(OPTION_STATIC_REMOTEKEY, OPTION_SIMPLE_TAPROOT).to_bytes()
POOR = {
    "funding_satoshis": Sat(20_001),
    "channel_reserve_satoshis": Sat(1000),
    "feerate_per_kw": FeeratePerKw(17_000),
}
"""After fee and anchors the opener has less than the reserve, and the accepter has nothing."""


def points(name: str) -> tuple[Point, ...]:
    keys = keys_of(name).basepoints(1)
    return (
        keys.funding_pubkey,
        keys.revocation_basepoint,
        keys.payment_basepoint,
        keys.delayed_payment_basepoint,
        keys.htlc_basepoint,
    )


def a_peer(name: str = "alice", features: Features = ALL) -> PeerView:
    return PeerView(node_id_of(name), True, ALL.to_bytes(), features.to_bytes())


def an_open(**changes: Any) -> OpenChannel:
    message = OpenChannel(
        CHAIN,
        ChannelId(b"t" * 32),
        Sat(1_000_000),
        Msat(0),
        Sat(354),
        Msat(1_000_000_000),
        Sat(10_000),
        Msat(1),
        FeeratePerKw(1000),
        CltvDelta(144),
        483,
        *points("alice"),
        keys_of("alice").per_commitment_point(1, 0),
        0,
        None,
        ANCHORS,
    )
    return message.but(**changes)


SEGWIT, TAPROOT_SCRIPT = b"\x00\x14" + b"\x05" * 20, b"\x51\x20" + b"\x05" * 32


@pytest.mark.parametrize(
    ("script", "theirs", "said"),
    [
        (b"", (OPTION_UPFRONT_SHUTDOWN_SCRIPT, OPTION_SHUTDOWN_ANYSEGWIT), b""),
        (SEGWIT, (OPTION_UPFRONT_SHUTDOWN_SCRIPT,), SEGWIT),
        (SEGWIT, (OPTION_SHUTDOWN_ANYSEGWIT,), b""),
        (TAPROOT_SCRIPT, (OPTION_UPFRONT_SHUTDOWN_SCRIPT, OPTION_SHUTDOWN_ANYSEGWIT), TAPROOT_SCRIPT),
        (TAPROOT_SCRIPT, (OPTION_UPFRONT_SHUTDOWN_SCRIPT,), b""),
    ],
)
def test_an_opener_is_bound_to_our_script_as_far_as_it_can_be(
    script: bytes, theirs: tuple[int, ...], said: bytes
) -> None:
    env = replace(ENV, policy=ENV.policy.but(opening=ENV.policy.opening.but(close_to=script)))
    ours = optional(OPTION_UPFRONT_SHUTDOWN_SCRIPT, OPTION_SHUTDOWN_ANYSEGWIT).to_bytes()
    peer = PeerView(node_id_of("alice"), True, ours, optional(*theirs).to_bytes())
    assert upfront_script(env, peer) == said


@pytest.mark.parametrize(
    "name",
    ["funding_pubkey", "revocation_basepoint", "payment_basepoint", "delayed_payment_basepoint", "htlc_basepoint"],
)
def test_a_peer_that_announces_a_key_of_ours_is_refused(name: str) -> None:
    stolen = an_accept(ANCHORS, **{name: getattr(an_open(), name)})
    with pytest.raises(OpeningRefused, match="one of ours"):
        check_accept(an_open(), stolen, ENV.policy.opening, anysegwit=True)
    swapped = an_accept(ANCHORS, **{name: an_open().payment_basepoint})
    with pytest.raises(OpeningRefused, match="one of ours"):
        check_accept(an_open(), swapped, ENV.policy.opening, anysegwit=True)


def test_good_terms_are_taken() -> None:
    check_open(an_open(), ENV, a_peer())
    check_accept(an_open(), an_accept(ANCHORS), ENV.policy.opening, anysegwit=True)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"channel_type": None}, "channel_type is missing"),
        ({"chain_hash": ChainHash(b"x" * 32)}, "unknown chain"),
        ({"push_msat": Msat(1_000_000_001)}, "push_msat above"),
        ({"to_self_delay": CltvDelta(2017)}, "to_self_delay"),
        ({"max_accepted_htlcs": 484}, "max_accepted_htlcs"),
        ({"max_accepted_htlcs": 0}, "max_accepted_htlcs"),
        ({"feerate_per_kw": FeeratePerKw(252)}, "feerate_per_kw"),
        ({"feerate_per_kw": FeeratePerKw(250_001), "channel_type": LEGACY}, "feerate_per_kw out of range"),
        ({"feerate_per_kw": FeeratePerKw(25_001)}, "feerate_per_kw out of range"),
        ({"feerate_per_kw": FeeratePerKw(34_532), **SMALL}, "too large for this channel"),
        ({"dust_limit_satoshis": Sat(353)}, "dust_limit_satoshis"),
        ({"dust_limit_satoshis": Sat(10_001)}, "dust_limit_satoshis"),
        ({"channel_reserve_satoshis": Sat(300)}, "above channel_reserve"),
        ({"channel_reserve_satoshis": Sat(50_001)}, "channel_reserve_satoshis is too large"),
        ({**LARGEST, "channel_reserve_satoshis": Sat(50_000_001)}, "channel_reserve_satoshis is too large"),
        ({"htlc_minimum_msat": Msat(10_000_001)}, "htlc_minimum_msat"),
        ({"max_htlc_value_in_flight_msat": Msat(9_999_999)}, "max_htlc_value_in_flight_msat"),
        ({"funding_satoshis": Sat(19_999), "channel_reserve_satoshis": Sat(354)}, "funding_satoshis out of range"),
        ({"funding_satoshis": Sat(19_999)}, "funding_satoshis out of range"),
        ({"funding_satoshis": Sat(1_000_000_001), "max_htlc_value_in_flight_msat": Msat(10**12)}, "out of range"),
        ({"push_msat": Msat(999_000_000)}, "cannot pay the first commitment's fee"),
        ({"push_msat": Msat(1_000_000_000)}, "cannot pay the first commitment's fee"),
        ({"push_msat": Msat(998_216_001)}, "cannot pay the first commitment's fee"),
        (POOR, "more than the reserve"),
        ({**POOR, "funding_satoshis": Sat(20_768)}, "more than the reserve"),
        ({"channel_type": Features.of(OPTION_ANCHORS).to_bytes()}, "unknown channel_type"),
        ({"channel_type": TAPROOT}, "unknown channel_type"),
        ({"channel_type": Features.of(OPTION_STATIC_REMOTEKEY, 20).to_bytes()}, "unknown channel_type"),
        ({"upfront_shutdown_script": b"\x76\xa9\x14" + bytes(20) + b"\x88\xac"}, "allowed forms"),
    ],
)
def test_terms_that_break_a_rule_are_refused_by_their_reason(changes: dict[str, Any], why: str) -> None:
    with pytest.raises(OpeningRefused) as caught:
        check_open(an_open(**changes), ENV, a_peer())
    assert why in caught.value.details["why"]


def test_terms_at_the_very_bounds_are_taken() -> None:
    for changes in (
        {"feerate_per_kw": FeeratePerKw(253)},
        {"feerate_per_kw": FeeratePerKw(250_000), "channel_type": LEGACY, "push_msat": Msat(500_000_000)},
        {"feerate_per_kw": FeeratePerKw(25_000)},
        {"feerate_per_kw": FeeratePerKw(45_000), "channel_type": LEGACY},
        {"feerate_per_kw": FeeratePerKw(34_531), **SMALL},
        {"dust_limit_satoshis": Sat(10_000)},
        {"channel_reserve_satoshis": Sat(50_000)},
        {"to_self_delay": CltvDelta(2016)},
        {**POOR, "funding_satoshis": Sat(20_769)},
        {"funding_satoshis": Sat(20_000), "channel_reserve_satoshis": Sat(1000)},
        {"funding_satoshis": Sat(1_000_000_000), "max_htlc_value_in_flight_msat": Msat(10**12)},
        {**LARGEST, "channel_reserve_satoshis": Sat(50_000_000)},
        {"htlc_minimum_msat": Msat(10_000_000)},
        {"max_htlc_value_in_flight_msat": Msat(10_000_000)},
        {"max_accepted_htlcs": 1},
        {"max_accepted_htlcs": 483},
        {"dust_limit_satoshis": Sat(354), "channel_reserve_satoshis": Sat(354)},
        {"push_msat": Msat(0), "upfront_shutdown_script": b""},
        # 1124 weight units at 1000 sat/kw and two anchors are all that the opener keeps.
        {"push_msat": Msat(998_216_000)},
    ):
        check_open(an_open(**changes), ENV, a_peer())


@pytest.mark.parametrize(("funding_sat", "htlcs"), [(20_000, 22), (100_000, 22), (200_000, 51), (1_000_000, 284)])
def test_a_small_channel_takes_as_many_htlcs_as_it_can_pay_for(funding_sat: int, htlcs: int) -> None:
    """Half of the bound, at 2500 sat/kw, the most that good nodes ask for: 1124 weight units and 172 for each."""
    assert our_terms(ENV, Sat(funding_sat), 0).max_accepted_htlcs == htlcs


def test_without_anchors_a_feerate_that_will_not_confirm_is_refused() -> None:
    """Nobody can add to the fee of such a commitment later."""
    kind = Features.of(OPTION_STATIC_REMOTEKEY).to_bytes()
    env = replace(ENV, feerates=ENV.feerates.but(floor_per_kw=FeeratePerKw(1000)))
    check_open(an_open(channel_type=kind, feerate_per_kw=FeeratePerKw(500)), env, a_peer())
    check_open(an_open(feerate_per_kw=FeeratePerKw(499)), env, a_peer())
    with pytest.raises(OpeningRefused, match="too small"):
        check_open(an_open(channel_type=kind, feerate_per_kw=FeeratePerKw(499)), env, a_peer())


def test_anchors_are_refused_where_the_operator_wants_none() -> None:
    env = replace(ENV, policy=ENV.policy.but(opening=ENV.policy.opening.but(anchors=False)))
    with pytest.raises(OpeningRefused, match="anchors were not negotiated"):
        check_open(an_open(), env, a_peer())


def test_version_1_is_refused_where_dual_funding_was_negotiated() -> None:
    both = ALL | optional(OPTION_DUAL_FUND)
    peer = PeerView(node_id_of("alice"), True, both.to_bytes(), both.to_bytes())
    with pytest.raises(OpeningRefused, match="open_channel2"):
        check_open(an_open(), ENV, peer)


def test_a_large_channel_needs_the_feature() -> None:
    large = an_open(funding_satoshis=Sat(1 << 24), max_htlc_value_in_flight_msat=Msat(1 << 40))
    check_open(large, ENV, a_peer())
    with pytest.raises(OpeningRefused, match="large channel"):
        check_open(large, ENV, a_peer(features=optional(OPTION_STATIC_REMOTEKEY, OPTION_ANCHORS)))


def test_anchors_need_to_be_negotiated() -> None:
    with pytest.raises(OpeningRefused, match="anchors"):
        check_open(an_open(), ENV, a_peer(features=optional(OPTION_STATIC_REMOTEKEY)))


def test_a_channel_of_the_first_type_asks_for_no_feature() -> None:
    check_open(an_open(channel_type=LEGACY), ENV, a_peer(features=optional(OPTION_STATIC_REMOTEKEY)))
    check_open(an_open(channel_type=LEGACY, channel_flags=1), ENV, a_peer(features=optional(OPTION_STATIC_REMOTEKEY)))


def test_an_announced_channel_cannot_hide_behind_an_alias() -> None:
    kind = Features.of(OPTION_STATIC_REMOTEKEY, OPTION_ANCHORS, OPTION_SCID_ALIAS).to_bytes()
    check_open(an_open(channel_type=kind), ENV, a_peer())
    with pytest.raises(OpeningRefused, match="scid_alias"):
        check_open(an_open(channel_type=kind, channel_flags=1), ENV, a_peer())


def test_only_trusted_peers_open_without_confirmation() -> None:
    kind = Features.of(OPTION_STATIC_REMOTEKEY, OPTION_ANCHORS, OPTION_ZEROCONF).to_bytes()
    check_open(an_open(channel_type=kind), ENV, a_peer("alice"))
    with pytest.raises(OpeningRefused, match="not trusted"):
        check_open(an_open(channel_type=kind), ENV, a_peer("mallory"))
    check_open(an_open(), ENV, a_peer("mallory"))


def test_a_wish_for_the_close_needs_a_peer_that_keeps_it() -> None:
    check_close_to(b"", False, anysegwit=False)
    check_close_to(SEGWIT, True, anysegwit=False)
    with pytest.raises(OpeningNotPossible, match="would not bind"):
        check_close_to(SEGWIT, False, anysegwit=False)
    with pytest.raises(OpeningNotPossible, match="not an address"):
        check_close_to(TAPROOT_SCRIPT, True, anysegwit=False)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"channel_type": None}, "channel_type"),
        ({"channel_type": Features.of(OPTION_STATIC_REMOTEKEY).to_bytes()}, "channel_type"),
        ({"minimum_depth": 145}, "minimum_depth"),
        ({"channel_reserve_satoshis": Sat(353)}, "below our dust_limit"),
        ({"dust_limit_satoshis": Sat(10_001)}, "dust_limit_satoshis above our"),
        ({"dust_limit_satoshis": Sat(600), "channel_reserve_satoshis": Sat(599)}, "above channel_reserve"),
        ({"max_accepted_htlcs": 484}, "max_accepted_htlcs"),
        ({"to_self_delay": CltvDelta(2017)}, "to_self_delay"),
    ],
)
def test_an_answer_that_breaks_a_rule_is_refused_by_its_reason(changes: dict[str, Any], why: str) -> None:
    with pytest.raises(OpeningRefused) as caught:
        check_accept(an_open(), an_accept(ANCHORS, **changes), ENV.policy.opening, anysegwit=True)
    assert why in caught.value.details["why"]


def test_an_upfront_script_of_taproot_is_taken_from_either_side_where_it_was_negotiated() -> None:
    script = b"\x51\x20" + bytes(32)
    both = optional(OPTION_STATIC_REMOTEKEY, OPTION_ANCHORS, OPTION_SHUTDOWN_ANYSEGWIT).to_bytes()
    check_open(an_open(upfront_shutdown_script=script), ENV, PeerView(node_id_of("alice"), True, both, both))
    check_accept(an_open(), an_accept(ANCHORS, upfront_shutdown_script=script), ENV.policy.opening, anysegwit=True)
    peer = a_peer(features=optional(OPTION_STATIC_REMOTEKEY, OPTION_ANCHORS))
    with pytest.raises(OpeningRefused, match="upfront"):
        check_open(an_open(upfront_shutdown_script=script), ENV, peer)
    with pytest.raises(OpeningRefused, match="upfront"):
        check_accept(an_open(), an_accept(ANCHORS, upfront_shutdown_script=script), ENV.policy.opening, anysegwit=False)


def test_an_answer_at_the_very_bounds_is_taken() -> None:
    for changes in (
        {"minimum_depth": 144},
        {"channel_reserve_satoshis": Sat(354)},
        {"dust_limit_satoshis": Sat(10_000)},
        {"channel_type": b"\0" + ANCHORS},
        {"max_accepted_htlcs": 1},
    ):
        check_accept(an_open(), an_accept(ANCHORS, **changes), ENV.policy.opening, anysegwit=True)


def test_one_side_above_the_reserve_is_enough() -> None:
    """ "both `to_local` and `to_remote` amounts […] are less than or equal to `channel_reserve_satoshis`" """
    for push, good in ((1000, False), (1001, True)):
        message = an_open(**POOR).but(funding_satoshis=Sat(21_768), push_msat=Msat(1000 * push))
        if good:
            check_open(message, ENV, a_peer())
        else:
            with pytest.raises(OpeningRefused, match="more than the reserve"):
                check_open(message, ENV, a_peer())


def test_an_alias_alone_needs_to_be_negotiated() -> None:
    kind = Features.of(OPTION_STATIC_REMOTEKEY, OPTION_ANCHORS, OPTION_SCID_ALIAS).to_bytes()
    plain = a_peer(features=optional(OPTION_STATIC_REMOTEKEY, OPTION_ANCHORS))
    with pytest.raises(OpeningRefused, match="scid_alias"):
        check_open(an_open(channel_type=kind), ENV, plain)


def test_what_we_announce_is_in_proportion_to_the_channel() -> None:
    terms = our_terms(ENV, Sat(1_000_000_000), 0)
    assert (terms.channel_reserve_sat, terms.max_htlc_value_in_flight_msat) == (10_000_000, 10**12)
    assert terms.max_accepted_htlcs == 483
    assert our_terms(ENV, Sat(20_000), 0).channel_reserve_sat == 354, "never below the dust limit"


def test_how_large_a_channel_may_be_depends_on_both_ends() -> None:
    small = optional(OPTION_STATIC_REMOTEKEY)
    assert largest_funding(a_peer()) == MAX_MONEY_SAT
    assert largest_funding(a_peer(features=small)) == 16_777_215


def test_a_zeroconf_answer_waits_for_no_block() -> None:
    kind = Features.of(OPTION_STATIC_REMOTEKEY, OPTION_ANCHORS, OPTION_ZEROCONF).to_bytes()
    check_accept(an_open(channel_type=kind), an_accept(kind, minimum_depth=0), ENV.policy.opening, anysegwit=True)
    with pytest.raises(OpeningRefused, match="zeroconf"):
        check_accept(an_open(channel_type=kind), an_accept(kind), ENV.policy.opening, anysegwit=True)


def test_more_money_waits_for_more_blocks() -> None:
    policy = OpeningPolicy()
    assert minimum_depth(ANCHORS, Sat(1_000_000), policy) == 3
    assert minimum_depth(ANCHORS, Sat(199_999_999), policy) == 3
    assert minimum_depth(ANCHORS, Sat(200_000_000), policy) == 4
    assert minimum_depth(ANCHORS, Sat(249_999_999), policy) == 4
    assert minimum_depth(ANCHORS, Sat(250_000_000), policy) == 5
    assert minimum_depth(ANCHORS, Sat(900_000_000), policy) == 6
    zeroconf = Features.of(OPTION_STATIC_REMOTEKEY, OPTION_ZEROCONF).to_bytes()
    assert minimum_depth(zeroconf, Sat(900_000_000), policy) == 0


def a_wish(**changes: Any) -> OpenTo:
    return OpenTo(CommandId(b"c" * 16), node_id_of("alice"), Sat(100_000), **changes)


def test_the_type_we_ask_for_is_the_smallest_bitmap_of_what_both_can() -> None:
    policy = OpeningPolicy()
    assert channel_type(a_wish(), ALL, ALL, policy) == ANCHORS
    plain = channel_type(a_wish(), ALL, optional(OPTION_STATIC_REMOTEKEY), policy)
    assert plain == Features.of(OPTION_STATIC_REMOTEKEY).to_bytes() == b"\x10\x00"
    assert channel_type(a_wish(anchors=False), ALL, ALL, policy) == plain
    assert format_of(plain) == "static_remotekey" and format_of(ANCHORS) == "anchors_zero_fee_htlc"


def test_a_wish_that_the_peer_has_to_refuse_is_not_sent() -> None:
    policy = OpeningPolicy()
    with pytest.raises(OpeningNotPossible, match="alias"):
        channel_type(a_wish(scid_alias=True, announce=True), ALL, ALL, policy)
    with pytest.raises(OpeningNotPossible, match="zeroconf"):
        channel_type(a_wish(zeroconf=True), ALL, optional(OPTION_STATIC_REMOTEKEY), policy)


def test_what_was_wished_for_is_asked_for_and_nothing_else() -> None:
    policy = OpeningPolicy()
    bits = (OPTION_STATIC_REMOTEKEY, OPTION_ANCHORS)
    hidden = channel_type(a_wish(scid_alias=True, announce=False), ALL, ALL, policy)
    assert hidden == Features.of(*bits, OPTION_SCID_ALIAS).to_bytes()
    trusted = channel_type(a_wish(zeroconf=True), ALL, ALL, policy)
    assert trusted == Features.of(*bits, OPTION_ZEROCONF).to_bytes()
    both = channel_type(a_wish(zeroconf=True, scid_alias=True, announce=False), ALL, ALL, policy)
    assert both == Features.of(*bits, OPTION_SCID_ALIAS, OPTION_ZEROCONF).to_bytes()
    assert format_of(both) == "anchors_zero_fee_htlc"
    assert channel_type(a_wish(), ALL, ALL, policy.but(anchors=False)) == LEGACY
    with pytest.raises(OpeningNotPossible, match="scid_alias"):
        channel_type(a_wish(scid_alias=True, announce=False), ALL, optional(*bits), policy)


def test_an_upfront_script_that_is_not_there_is_empty() -> None:
    assert terms_of(an_open()).upfront_shutdown_script == b""
    assert terms_of(an_open(upfront_shutdown_script=SEGWIT)).upfront_shutdown_script == SEGWIT
