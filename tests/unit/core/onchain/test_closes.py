"""Either end closes, and each HTLC ends where BOLT 5 says: on a real chain, with the money counted to the satoshi."""

from __future__ import annotations

import pytest
from tests.builders.closes import both_formats, check_money, closed, either
from tests.builders.onchain import DEADLINES, Plan, Planned

from fulmen.core.base.ids import RECEIVED
from fulmen.core.commitments.htlcs import HtlcRemoved, circuit_address


@both_formats
@either
def test_balances_come_home(closer: str, format: str) -> None:
    court = closed(closer, Plan(format))
    court.mine_until_resolved()
    check_money(court, closer, {})
    assert court.hosts[closer].names == ["our commitment", "to_local"]
    assert court.hosts[court.other(closer)].names == ["to_remote"]


@both_formats
@either
def test_an_offered_htlc_is_taken_back_after_its_expiry(closer: str, format: str) -> None:
    offer = Planned(0, "alice")
    court = closed(closer, Plan(format, (offer,)))
    court.mine(8)
    assert court.alice.fate_of(offer) == [] and court.tip.height == court.expiry(offer) - 1
    assert {name for name in court.alice.names if "HTLC" in name} == set()
    court.mine(2)
    assert any("HTLC" in name for name in court.alice.names)
    assert court.alice.fate_of(offer) == []
    court.mine(2)
    assert court.alice.fate_of(offer) == ["failed"]
    court.mine_until_resolved()
    check_money(court, closer, {0: "alice"})


@both_formats
@either
def test_an_offered_htlc_that_the_peer_claims_is_paid_at_once(closer: str, format: str) -> None:
    offer = Planned(0, "alice")
    court = closed(closer, Plan(format, (offer,), known=(("bob", 0),)))
    court.publish()
    assert court.alice.fate_of(offer) == ["fulfilled"], "from the mempool on"
    court.mine_until_resolved()
    assert court.alice.fate_of(offer) == ["fulfilled"]
    check_money(court, closer, {0: "bob"})


@both_formats
@either
def test_a_preimage_that_comes_after_the_close_still_claims(closer: str, format: str) -> None:
    offer = Planned(0, "bob")
    court = closed(closer, Plan(format, (offer,)))
    court.mine(3)
    court.claim("alice", offer)
    court.mine()
    assert court.bob.fate_of(offer) == ["fulfilled"]
    court.mine_until_resolved()
    check_money(court, closer, {0: "alice"})
    key = offer.key("alice", court.channel_id)
    assert court.alice.told(circuit_address(key)) == (HtlcRemoved(key),)
    assert key.direction is RECEIVED


@both_formats
@either
def test_a_received_htlc_without_preimage_goes_back(closer: str, format: str) -> None:
    offer = Planned(0, "bob")
    court = closed(closer, Plan(format, (offer,)))
    court.mine_until_resolved()
    assert court.bob.fate_of(offer) == ["failed"]
    check_money(court, closer, {0: "bob"})


@both_formats
@either
def test_trimmed_htlcs_fail_when_the_close_is_deep(closer: str, format: str) -> None:
    small = (Planned(0, "alice", 300_000), Planned(1, "bob", 300_000), Planned(2, "bob", 353_999))
    court = closed(closer, Plan(format, small))
    court.mine(1)
    assert court.alice.fate_of(small[0]) == []
    court.mine(1)
    assert court.alice.fate_of(small[0]) == ["failed"]
    assert court.bob.fate_of(small[1]) == court.bob.fate_of(small[2]) == ["failed"]
    court.mine_until_resolved()
    check_money(court, closer, {})


@both_formats
def test_an_htlc_that_the_confirmed_commitment_lacks_fails_when_the_close_is_deep(format: str) -> None:
    offer = Planned(0, "alice", within=("bob_next",))
    court = closed("alice", Plan(format, (offer,), bob_has_next=True))
    court.mine(2)
    assert court.alice.fate_of(offer) == ["failed"]
    court.mine_until_resolved()
    check_money(court, "alice", {})


@both_formats
@pytest.mark.parametrize("bob_knows", [True, False])
def test_an_htlc_that_only_the_peers_next_commitment_has_is_resolved_there(format: str, bob_knows: bool) -> None:
    offer = Planned(0, "alice", within=("bob_next",))
    known = (("bob", 0),) if bob_knows else ()
    court = closed("bob", Plan(format, (offer,), bob_has_next=True, known=known))
    court.mine_until_resolved()
    assert court.alice.fate_of(offer) == (["fulfilled"] if bob_knows else ["failed"])
    check_money(court, "bob", {0: "bob" if bob_knows else "alice"})


@both_formats
@either
def test_many_htlcs_at_once_each_find_their_end(closer: str, format: str) -> None:
    htlcs = (
        Planned(0, "alice", 40_000_000, expires_in=6),
        Planned(1, "alice", 40_000_000, expires_in=9),
        Planned(2, "alice", 40_000_000, expires_in=9, same_hash_as=1),
        Planned(3, "alice", 400_000, expires_in=9),
        Planned(10, "bob", 30_000_000, expires_in=7),
        Planned(11, "bob", 30_000_123, expires_in=8),
        Planned(12, "bob", 353_000, expires_in=8),
    )
    court = closed(closer, Plan(format, htlcs, known=(("bob", 1), ("alice", 10))))
    court.mine_until_resolved()
    fates = {planned.id: court.hosts[planned.by].fate_of(planned) for planned in htlcs}
    # 1 and 2 have one hash: what pays one of them pays the other.
    expected = {0: ["failed"], 1: ["fulfilled"], 2: ["fulfilled"], 3: ["failed"]}
    assert fates == expected | {10: ["fulfilled"], 11: ["failed"], 12: ["failed"]}
    # The fourth has an output in one format, and that costs more than it brings.
    check_money(court, closer, {0: "alice", 1: "bob", 2: "alice", 10: "alice", 11: "bob", 3: "nobody"})


@both_formats
def test_an_htlc_without_preimage_that_nobody_takes_is_waited_for_until_it_is_long_expired(
    format: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """BOLT 5: once it has expired, and as deep as a resolution has to be: until then a preimage may still come."""
    offer = Planned(0, "bob", expires_in=40)
    court = closed("alice", Plan(format, (offer,)))
    monkeypatch.setattr(court.bob, "publish", lambda: None)
    end = court.expiry(offer) + DEADLINES.resolved_depth
    while court.tip.height < end - 1:
        court.mine()
    assert not court.alice.is_resolved
    court.mine()
    assert court.alice.is_resolved
