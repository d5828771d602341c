"""What a close shows to callers, and when it leaves memory."""

from __future__ import annotations

from tests.builders.closes import closed
from tests.builders.court import Court
from tests.builders.env import FEERATES
from tests.builders.onchain import Plan, Planned

from fulmen.core.base.units import FeeratePerKw
from fulmen.core.commitments.close import CloseView, CommitmentWithdrawn


def shown(court: Court) -> CloseView | None:
    assert court.alice.node is not None
    view = court.alice.node.views.get(f"onchain:{court.channel_id.hex()}")
    assert view is None or isinstance(view, CloseView)
    return view


def test_a_close_shows_what_is_coming_and_when() -> None:
    offer = Planned(0, "alice", expires_in=4)
    court = closed("alice", Plan(htlcs=(offer,)))
    view = shown(court)
    assert view is not None and view.kind == "our commitment"
    balance, htlc = sorted(view.outputs, key=lambda output: -output.amount_sat)
    assert (balance.what, balance.ripe_at, balance.claimed_by) == ("to_local", court.tip.height + 5, None)
    assert (htlc.what, htlc.ripe_at, htlc.taken_by) == ("HTLC-timeout", court.expiry(offer), None)
    court.mine(5)
    view = shown(court)
    assert view is not None
    [htlc, second] = [output for output in view.outputs if output.what != "to_local"]
    assert htlc.taken_by is not None and htlc.taken_by == htlc.claimed_by == second.outpoint.txid
    court.mine_until_resolved()
    assert shown(court) is None


def test_what_is_resolved_leaves_memory() -> None:
    court = closed("bob", Plan())
    court.mine_until_resolved()
    for host in (court.alice, court.bob):
        assert host.node is not None and host.node.state(court.address) is None
        assert host.onchain.resolved


def test_a_commitment_that_is_published_no_longer_gives_the_wallet_its_coins_back() -> None:
    court = Court(Plan(feerate=253, feerates=FEERATES.but(closing_per_kw=FeeratePerKw(4000))))
    court.close_by("alice")
    assert court.alice.onchain.claims and court.alice.coins_sat < court.plan.coin_sat
    court.alice.publishes_commitment = False
    court.alice.inbox.append((court.address, CommitmentWithdrawn()))
    court.settle()
    assert not court.alice.onchain.claims and court.alice.coins_sat == court.plan.coin_sat
    assert court.alice.node is not None and court.alice.node.state(court.address) is None
