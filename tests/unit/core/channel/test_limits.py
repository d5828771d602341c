"""What a channel carries at the very bounds: one msat or one satoshi per kiloweight decides."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.builders.channels import preimage_of
from tests.builders.normal_channels import ALICE, BOB, a_normal_channel

from fulmen.core.base.env import Env
from fulmen.core.base.ids import PaymentHash
from fulmen.core.base.machine import evolve
from fulmen.core.base.policy import CommitmentPolicy, Policy
from fulmen.core.base.units import BlockHeight, FeeratePerKw, Msat, Sat, to_msat
from fulmen.core.channel.facts import LocalProposed, RemoteProposed
from fulmen.core.channel.limits import (
    dust_at,
    fee_bound_sat,
    most_htlcs,
    opener_cost_msat,
    over_dust_exposure,
    over_fee_bound,
    peer_can_afford,
    receivable_msat,
    spendable_msat,
    why_not_offer,
)
from fulmen.core.channel.state import Channel
from fulmen.core.commitments.updates import Add
from fulmen.core.crypto.hashes import sha256
from fulmen.core.transactions.formats import STATIC_REMOTEKEY

LEGACY = STATIC_REMOTEKEY.name
LATER = BlockHeight(500)


def under(env: Env, **limits: object) -> Env:
    """The same Env with other limits on commitments."""
    return replace(env, policy=Policy(commitment=CommitmentPolicy(**limits)))


NO_DUST = {"max_dust_htlc_exposure_msat": Msat(0)}


def at_feerate(channel: Channel, feerate: int) -> Channel:
    """As if it had been opened at this feerate."""
    rate = FeeratePerKw(feerate)
    local, remote = channel.local_pending.but(feerate_per_kw=rate), channel.remote_pending.but(feerate_per_kw=rate)
    return channel.but(local=local, local_pending=local, remote=remote, remote_pending=remote)


def sharing(channel: Channel, local_msat: int) -> Channel:
    """With so much on our side, and the rest on the peer's."""
    totals = channel.local.totals.but(local_msat=Msat(local_msat), remote_msat=Msat(1_000_000_000 - local_msat))
    local, remote = channel.local_pending.but(totals=totals), channel.remote_pending.but(totals=totals)
    return channel.but(local_pending=local, remote_pending=remote)


def an_add(index: int, amount_msat: int) -> Add:
    hash_ = PaymentHash(sha256(preimage_of(index)))
    return Add(index, index, Msat(amount_msat), hash_, LATER, bytes(1366))


def received(channel: Channel, *amounts: int) -> Channel:
    for index, amount in enumerate(amounts):
        channel = evolve(channel, RemoteProposed(an_add(index, amount)))
    return channel


def test_a_peer_that_asks_for_no_least_amount_is_offered_one_msat_and_never_nothing() -> None:
    channel = a_normal_channel("alice")
    free = channel.but(params=channel.terms.but(remote=channel.terms.remote.but(htlc_minimum_msat=Msat(0))))
    assert why_not_offer(free, ALICE, Msat(0), LATER) == "AmountBelowMinimum"
    assert why_not_offer(free, ALICE, Msat(1), LATER) is None


def test_what_we_offer_has_to_fit_at_the_feerate_that_the_peer_may_still_ask_for_but_not_at_one_of_ours() -> None:
    """The opener alone sets it. Half of 7,000 sat pays for an HTLC at 1000 sat/kw, and not for one at 2500."""
    tight = {"max_commitment_fee_ppm": 6000, "commitment_fee_allowance_sat": Sat(0)}
    assert why_not_offer(a_normal_channel("alice"), under(ALICE, **tight), Msat(1_000_000), LATER) is None
    assert why_not_offer(a_normal_channel("bob"), under(BOB, **tight), Msat(1_000_000), LATER) == "FeeExposure"


def test_an_opener_that_keeps_exactly_what_one_more_output_costs_is_offered_everything() -> None:
    bob = a_normal_channel("bob")
    kept = to_msat(bob.terms.local.channel_reserve_sat) + opener_cost_msat(bob, bob.local_pending, 1)
    ours = 1_000_000_000 - kept
    assert spendable_msat(sharing(bob, ours), BOB) == ours - to_msat(bob.terms.remote.channel_reserve_sat)
    assert spendable_msat(sharing(bob, ours + 1), BOB) == 353_999


@pytest.mark.parametrize(("theirs", "ours", "threshold_sat"), [(354, 354, 1017), (1000, 354, 1017), (354, 1000, 1057)])
def test_what_is_too_small_for_an_output_is_decided_on_the_commitment_where_that_is_least(
    theirs: int, ours: int, threshold_sat: int
) -> None:
    """What we offer is an HTLC-timeout on ours (663 weight units), and an HTLC-success on the peer's (703)."""
    bob = sharing(a_normal_channel("bob", LEGACY), 990_000_000)
    local, remote = (
        bob.terms.local.but(dust_limit_sat=Sat(ours)),
        bob.terms.remote.but(dust_limit_sat=Sat(theirs)),
    )
    channel = bob.but(params=bob.terms.but(local=local, remote=remote))
    assert spendable_msat(channel, BOB) == 1000 * threshold_sat - 1


def test_of_nothing_nothing_can_be_received() -> None:
    assert receivable_msat(sharing(a_normal_channel("alice"), 1_000_000_000)) == 0
    assert receivable_msat(sharing(a_normal_channel("bob"), 999_000_000)) == 0


def test_a_peer_keeps_its_reserve_and_as_the_opener_what_the_commitment_costs_to_the_last_msat() -> None:
    alice, bob = a_normal_channel("alice"), a_normal_channel("bob")
    reserve = to_msat(bob.terms.local.channel_reserve_sat)
    for channel, kept in ((alice, reserve), (bob, reserve + opener_cost_msat(bob, bob.local_pending))):
        assert peer_can_afford(sharing(channel, 1_000_000_000 - kept)) is True
        assert peer_can_afford(sharing(channel, 1_000_000_000 - kept + 1)) is False


def test_where_no_dust_is_wanted_what_has_an_output_is_no_dust() -> None:
    channel, env = a_normal_channel("bob"), under(BOB, **NO_DUST)
    assert why_not_offer(channel, env, Msat(354_000), LATER) is None
    assert why_not_offer(channel, env, Msat(353_999), LATER) == "DustExposure"
    assert over_dust_exposure(channel, env, Msat(354_000)) is False
    assert over_dust_exposure(channel, env, Msat(353_999)) is True


@pytest.mark.parametrize(
    ("feerate", "threshold_sat"),
    # 703 weight units of an HTLC-success: at 1000 + 2530, at 10,120 + 2530 (5/4 of it), and at 25,000 (5/4 of 20,000).
    [(1000, 354 + 2481), (10_120, 354 + 8892), (20_000, 354 + 17_575)],
)
def test_without_anchors_dust_is_what_becomes_it_at_ten_sat_per_vbyte_or_a_quarter_more(
    feerate: int, threshold_sat: int
) -> None:
    channel, env = at_feerate(a_normal_channel("bob", LEGACY), feerate), under(BOB, **NO_DUST)
    assert why_not_offer(channel, env, Msat(1000 * threshold_sat - 1), LATER) == "DustExposure"
    assert why_not_offer(channel, env, Msat(1000 * threshold_sat), LATER) is None


def test_the_value_that_a_feerate_would_trim_is_counted_on_the_worse_of_both_commitments() -> None:
    """At 3000 sat/kw a received HTLC needs 354 + 2109 sat on ours, an HTLC-success, and 354 + 1989 on the peer's."""
    channel = received(a_normal_channel("bob", LEGACY), 2_400_000, 2_300_000)
    assert dust_at(channel, FeeratePerKw(1000)) == 0
    assert dust_at(channel, FeeratePerKw(3000)) == 4_700_000
    both = evolve(channel, LocalProposed(an_add(0, 2_450_000)))
    # On the peer's commitment what we offer is the HTLC-success, and the smaller of the other two is dust.
    assert dust_at(both, FeeratePerKw(3000)) == 4_750_000


def test_what_fees_may_take_is_a_share_to_the_satoshi_and_for_us_half_of_it() -> None:
    limits = CommitmentPolicy(max_commitment_fee_ppm=250_000)
    assert fee_bound_sat(Sat(1_000_000_000), limits) == 250_000_000
    assert fee_bound_sat(Sat(1_000_000_000), limits, own=True) == 125_000_000
    assert fee_bound_sat(Sat(50_000), limits) == 25_000, "the allowance"


def test_where_nobody_cares_for_feerates_the_number_of_htlcs_is_what_fits_at_one_sat() -> None:
    """Half of the bound is 196 sat, at 1 sat/kw: 1124 weight units and 1133 times 172, exactly."""
    unpriced = CommitmentPolicy(anchor_feerate_cap_per_kw=FeeratePerKw(0), max_commitment_fee_ppm=0)
    assert most_htlcs(Sat(1_000_000), unpriced.but(commitment_fee_allowance_sat=Sat(392))) == 1133


def test_a_fee_within_the_bound_is_not_over_it() -> None:
    channel = a_normal_channel("bob")
    # 1124 weight units at 1000 sat/kw.
    for bound, over in ((1124, False), (1123, True)):
        env = under(BOB, max_commitment_fee_ppm=bound, commitment_fee_allowance_sat=Sat(0))
        assert over_fee_bound(channel, env) is over
