"""Tricks that were tried on us in review: HTLCs of no channel, dust in one batch, payments that end their channel."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from tests.builders import channels
from tests.builders.channels import CHANNEL
from tests.laws.test_a_lying_peer import SCRIPTS, ALyingPeer

from fulmen.core.base.ids import CommandId
from fulmen.core.base.units import CltvDelta, FeeratePerKw, Sat
from fulmen.core.channel.commands import CloseChannel
from fulmen.core.channel.state import Phase
from fulmen.core.payments.register import least_final_delta
from fulmen.core.transactions.formats import ANCHORS_ZERO_FEE_HTLC, STATIC_REMOTEKEY

FORMATS = (ANCHORS_ZERO_FEE_HTLC.name, STATIC_REMOTEKEY.name)
OURS = 0.4
THEIRS = 0.9
"""What the lying peer draws to have us open the channel, or to open it itself."""


class Chosen(random.Random):
    """Chance that has been told what to draw first."""

    def __init__(self, first: float, *picks: Any) -> None:
        super().__init__(1)
        self._first, self._picks = first, list(picks)

    def random(self) -> float:
        return self._first

    def choice(self, seq: Sequence[Any]) -> Any:
        return self._picks.pop(0) if self._picks else seq[0]


def a_peer(opener: float = THEIRS, depth: int = 3, format: str = ANCHORS_ZERO_FEE_HTLC.name) -> ALyingPeer:
    peer = ALyingPeer(Chosen(opener, depth, format))
    peer.patient = False
    return peer


def an_htlc_is_locked_in(peer: ALyingPeer) -> bool:
    """Whether an HTLC of the peer's got so far that we hold its preimage for it."""
    peer.lull()
    if peer.channel().remote_next is not None:
        peer.revoke(0, False)
    return bool(peer.channel().held_preimages)


def add_and_sign(peer: ALyingPeer) -> None:
    peer.add(0, 60_000_000, 2, 500, 1)
    peer.sign(0)


@pytest.mark.parametrize("opener", [OURS, THEIRS])
def test_no_htlc_comes_over_a_channel_that_was_never_funded(opener: float) -> None:
    peer = a_peer(opener)
    add_and_sign(peer)
    peer.shut_down(SCRIPTS[0])
    assert peer.channel().funding.confirmed is None
    assert not an_htlc_is_locked_in(peer)


def test_no_htlc_comes_over_a_channel_that_we_close_before_it_is_funded() -> None:
    peer = a_peer()
    peer.host.run([(CHANNEL, CloseChannel(CommandId(b"c" * 16), SCRIPTS[0]))])
    peer.host.disk.sync(100)
    add_and_sign(peer)
    assert not an_htlc_is_locked_in(peer)


def test_an_htlc_over_a_channel_that_is_there_is_locked_in() -> None:
    peer = a_peer(depth=0)
    peer.come(True)
    peer.lull()
    add_and_sign(peer)
    assert an_htlc_is_locked_in(peer)


def test_an_update_before_the_channel_is_ready_does_not_keep_it_from_being_forgotten() -> None:
    peer = a_peer()
    peer.change_fee(253, 1)
    peer.sign(0)
    peer.blocks_come(1_000_000)
    assert peer.host.node.state(CHANNEL) is None or peer.channel().phase is Phase.CLOSED


def test_a_channel_that_was_funded_once_is_not_forgotten_when_a_reorg_takes_its_funding_back() -> None:
    peer = a_peer()
    peer.the_funding_confirms()
    peer.blocks_come(2200)
    peer.the_chain_rewinds(99)
    assert peer.channel().funding.confirmed is None
    peer.blocks_come(2201)
    assert peer.host.node.state(CHANNEL) is not None and peer.channel().phase is Phase.NORMAL


@pytest.mark.parametrize("format", FORMATS)
def test_dust_is_bounded_though_it_comes_in_one_batch(monkeypatch: pytest.MonkeyPatch, format: str) -> None:
    """CVE-2021-41591 again: all is trimmed on the peer's commitment alone, whose dust limit is the higher one."""
    honest = channels.terms_of

    def terms_of(name: str, *rest: int, **changes: Any) -> Any:
        limit = {"dust_limit_sat": Sat(10_000)} if name == "alice" else {}
        return honest(name, *rest, **(limit | changes))

    monkeypatch.setattr(channels, "terms_of", terms_of)
    peer = a_peer(depth=0, format=format)
    assert peer.channel().terms.remote.dust_limit_sat == 10_000
    peer.come(True)
    peer.lull()
    for _ in range(40):
        peer.add(0, 9_999_000, 2, 500, 1)
    taken = [add for add in peer.channel().remote_log.adds if not add.over_dust_exposure]
    bound = peer.host.env.policy.commitment.max_dust_htlc_exposure_msat
    assert 0 < sum(add.amount_msat for add in taken) <= bound


def test_without_anchors_a_feerate_below_what_the_mempool_takes_is_refused() -> None:
    peer = a_peer(depth=0, format=STATIC_REMOTEKEY.name)
    peer.come(True)
    peer.lull()
    peer.host.env = replace(peer.host.env, feerates=peer.host.env.feerates.but(floor_per_kw=FeeratePerKw(5000)))
    peer.change_fee(253, 1)
    peer.sign(0)
    assert peer.channel().local.feerate_per_kw != 253


@pytest.mark.parametrize("early", [0, 40])
def test_a_payment_that_an_invoice_takes_closes_no_channel_before_its_peer_can_settle_it(early: int) -> None:
    """Any payer chooses the last expiry: it must not be the height at which we give the channel up for the claim."""
    peer = a_peer(depth=0)
    peer.come(True)
    peer.lull()
    deadlines = peer.host.env.policy.deadlines
    if early:
        deadlines = deadlines.but(fulfilled_deadline=CltvDelta(early))
        peer.host.env = replace(peer.host.env, policy=peer.host.env.policy.but(deadlines=deadlines))
    height = peer.host.env.height
    peer.add(0, 60_000_000, 2, height + least_final_delta(deadlines), 1)
    peer.sign(0)
    assert an_htlc_is_locked_in(peer)
    for later in range(3):
        peer.blocks_come(height + later)
        assert peer.channel().phase is Phase.NORMAL
    peer.blocks_come(height + 3)
    assert peer.channel().phase is Phase.FAILED
