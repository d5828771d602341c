"""The key holder's own memory: what it refuses although the machine asks for it (law 9, BOLT 2 and 3)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from tests.builders.channels import CAPACITY_SAT, FUNDING, KEY_INDEX, keys_of, terms_of

from fulmen.core.base.ids import OFFERED, HtlcKey, NodeId, OutPoint, PaymentHash, Point, Secret, Signature, Txid
from fulmen.core.base.mount import Check
from fulmen.core.base.units import BlockHeight, FeeratePerKw, Msat, Sat
from fulmen.core.bitcoin.accounts import CHANGE, P2TR_ACCOUNT, KeyPath, script_at
from fulmen.core.bitcoin.script import p2wpkh
from fulmen.core.bitcoin.transaction import Tx, TxIn, TxOut
from fulmen.core.commitments.building import build
from fulmen.core.commitments.commitment import LOCAL, REMOTE, Side
from fulmen.core.commitments.htlcs import Htlc
from fulmen.core.commitments.params import ChannelParams, Funding
from fulmen.core.commitments.view import CommitmentView
from fulmen.core.signer.checks import CheckCommitment, CheckRevocation
from fulmen.core.signer.guard import Guard
from fulmen.core.signer.remembered import Remembered, Signed
from fulmen.core.signer.requests import RevealSecret, SignClosing
from fulmen.core.signer.signing import WillNotSign
from fulmen.core.transactions.closing import legacy_closing_tx
from fulmen.core.transactions.formats import ANCHORS_ZERO_FEE_HTLC

ALICE, BOB = keys_of("alice"), keys_of("bob")
CAP = FeeratePerKw(250_000)
OURS_MSAT = Msat(600_000_999)
OURS_SAT = Sat(600_000)
PATH = KeyPath(P2TR_ACCOUNT, CHANGE, 5)
PAYOUT = script_at(ALICE.accounts, PATH)
THEIRS = p2wpkh(b"\x02" * 20)
HTLC = Htlc(HtlcKey(b"", OFFERED, 0), Msat(50_000_000), PaymentHash(bytes(32)), BlockHeight(500))  # type: ignore[arg-type]


def params(**changes: Any) -> ChannelParams:
    fields: dict[str, Any] = {
        "channel_id": FUNDING.txid,
        "node_id": NodeId(BOB.node_id),
        "key_index": KEY_INDEX,
        "is_opener": True,
        "announce": False,
        "channel_type": b"",
        "format": ANCHORS_ZERO_FEE_HTLC.name,
        "minimum_depth": 0,
        "local": terms_of("alice"),
        "remote": terms_of("bob"),
    }
    return ChannelParams(**(fields | changes))


PARAMS = params()


def a_view(
    side: Side, number: int, *, ours: Msat = OURS_MSAT, htlcs: tuple[Htlc, ...] = (), **but: Any
) -> CommitmentView:
    owner = ALICE if side is LOCAL else BOB
    in_htlcs = sum(htlc.amount_msat for htlc in htlcs)
    view = CommitmentView(
        PARAMS,
        Funding(FUNDING, CAPACITY_SAT, ANCHORS_ZERO_FEE_HTLC.name),
        side,
        number,
        owner.per_commitment_point(KEY_INDEX, number),
        FeeratePerKw(1000),
        Msat(ours - in_htlcs),
        Msat(CAPACITY_SAT * 1000 - ours),
        htlcs,
    )
    return view.but(**but)


def a_guard() -> Guard:
    return Guard(ALICE.accounts, ALICE.per_commitment_point, CAP)


def signs(guard: Guard, number: int, **changes: Any) -> None:
    view = a_view(REMOTE, number, **changes)
    guard.sign(view, build(view).digest)


def hears_signed(guard: Guard, number: int, **changes: Any) -> None:
    guard.note((CheckCommitment(a_view(LOCAL, number, **changes), Signature(bytes(64))),))


def hears_revoked(guard: Guard, number: int, point: Point | None = None) -> None:
    shown = BOB.per_commitment_point(KEY_INDEX, number) if point is None else point
    guard.note((CheckRevocation(KEY_INDEX, number, shown, Secret(bytes(32))),))


def at(number: int, **changes: Any) -> Guard:
    """A guard after both ends came to this commitment together."""
    guard = a_guard()
    for each in range(number + 1):
        last = changes if each == number else {}
        signs(guard, each, **last)
        hears_signed(guard, each, **last)
        if each:
            hears_revoked(guard, each - 1)
            guard.reveal(RevealSecret(KEY_INDEX, each - 1))
    return guard


def refused(act: Callable[[], object]) -> str:
    with pytest.raises(WillNotSign) as fault:
        act()
    return fault.value.message


# -- secrets ----------------------------------------------------------------------------------------------------------


def test_a_secret_is_revealed_once_the_peer_has_signed_the_next_commitment() -> None:
    guard = at(0)
    assert "not signed the commitment after it" in refused(lambda: guard.reveal(RevealSecret(KEY_INDEX, 0)))
    hears_signed(guard, 1)
    guard.reveal(RevealSecret(KEY_INDEX, 0))
    known = guard.known(KEY_INDEX)
    assert known is not None and known.revealed == 0


def test_a_secret_is_revealed_again_to_a_peer_that_missed_it() -> None:
    guard = at(3)
    for number in (2, 0):
        guard.reveal(RevealSecret(KEY_INDEX, number))
    known = guard.known(KEY_INDEX)
    assert known is not None and known.revealed == 2, "and nothing is forgotten by it"


@pytest.mark.parametrize("number", [-1, 4, 1 << 47])
def test_secrets_are_revealed_in_their_order(number: int) -> None:
    guard = at(3)
    hears_signed(guard, 4)
    assert "in their order" in refused(lambda: guard.reveal(RevealSecret(KEY_INDEX, number)))


def test_the_secret_of_the_newest_commitment_is_never_revealed() -> None:
    """The peer would take everything as soon as we published the only commitment that we have."""
    assert "after it" in refused(lambda: at(3).reveal(RevealSecret(KEY_INDEX, 3)))


def test_what_was_signed_to_be_published_is_not_revoked_afterwards() -> None:
    guard = at(3)
    guard.publish(a_view(LOCAL, 3))
    hears_signed(guard, 4)
    assert "to be published" in refused(lambda: guard.reveal(RevealSecret(KEY_INDEX, 3)))
    guard.reveal(RevealSecret(KEY_INDEX, 2))


def test_no_secret_of_an_unknown_channel_is_revealed() -> None:
    assert "no commitment" in refused(lambda: a_guard().reveal(RevealSecret(KEY_INDEX, 0)))
    guard = a_guard()
    signs(guard, 0)
    assert "no commitment" in refused(lambda: guard.reveal(RevealSecret(KEY_INDEX, 0)))


# -- our commitment ---------------------------------------------------------------------------------------------------


def test_our_newest_commitment_is_published_and_the_next_one_while_the_last_is_not_revoked() -> None:
    guard = at(3)
    guard.publish(a_view(LOCAL, 3))
    hears_signed(guard, 4)
    guard.publish(a_view(LOCAL, 4))
    known = guard.known(KEY_INDEX)
    assert known is not None and known.published == 4
    guard.publish(a_view(LOCAL, 3))
    known = guard.known(KEY_INDEX)
    assert known is not None and known.published == 4


@pytest.mark.parametrize("number", [0, 1, 2])
def test_what_is_revoked_is_never_published(number: int) -> None:
    assert "is revoked" in refused(lambda: at(3).publish(a_view(LOCAL, number)))


def test_a_revoked_commitment_under_a_newer_number_is_not_published() -> None:
    """The number is only hidden in the transaction; what the peer can punish hangs on the point."""
    view = a_view(LOCAL, 3, per_commitment_point=ALICE.per_commitment_point(KEY_INDEX, 2))
    assert "another commitment" in refused(lambda: at(3).publish(view))


def test_what_the_peer_never_signed_is_not_published() -> None:
    assert "has not signed" in refused(lambda: at(3).publish(a_view(LOCAL, 4)))
    assert "no commitment" in refused(lambda: a_guard().publish(a_view(LOCAL, 0)))


# -- the peer's commitments -------------------------------------------------------------------------------------------


def test_a_commitment_is_signed_again_only_as_it_was() -> None:
    guard = at(3)
    signs(guard, 4)
    signs(guard, 4)
    for other in ({"ours": Msat(OURS_MSAT - 5_000_000)}, {"htlcs": (HTLC,)}, {"feerate_per_kw": FeeratePerKw(1001)}):
        assert "another transaction" in refused(lambda other=other: signs(guard, 4, **other))  # type: ignore[misc]


@pytest.mark.parametrize("number", [0, 2, 5, 6])
def test_commitments_are_signed_in_their_order(number: int) -> None:
    assert "in their order" in refused(lambda: signs(at(3), number))


def test_the_peer_never_holds_three_commitments_that_it_has_not_revoked() -> None:
    guard = at(3)
    signs(guard, 4)
    assert "not revoked" in refused(lambda: signs(guard, 5))
    for number, point in ((4, None), (3, BOB.per_commitment_point(KEY_INDEX, 2)), (2, None)):
        hears_revoked(guard, number, point)
        assert "not revoked" in refused(lambda: signs(guard, 5))
    hears_revoked(guard, 3)
    signs(guard, 5)


def test_a_channel_begins_with_its_first_commitment() -> None:
    assert "begins with its first" in refused(lambda: signs(a_guard(), 1))
    guard = a_guard()
    hears_signed(guard, 0)
    assert "in their order" in refused(lambda: signs(guard, 1))
    signs(guard, 0)


def test_our_own_commitment_is_not_signed_as_if_it_were_the_peers() -> None:
    view = a_view(LOCAL, 4)
    assert "our own" in refused(lambda: at(3).sign(view, build(view).digest))


@pytest.mark.parametrize(
    "other",
    [
        {"params": params(node_id=NodeId(ALICE.node_id))},
        {"funding": Funding(OutPoint(Txid(bytes(32)), 0), CAPACITY_SAT, ANCHORS_ZERO_FEE_HTLC.name)},
    ],
    ids=["another peer", "another funding"],
)
def test_one_channels_keys_sign_for_no_other(other: dict[str, Any]) -> None:
    assert "another channel" in refused(lambda: signs(at(3), 4, **other))
    assert "another channel" in refused(lambda: at(3).publish(a_view(LOCAL, 3, **other)))
    guard = at(3)
    hears_signed(guard, 4, **other)
    assert "after it" in refused(lambda: guard.reveal(RevealSecret(KEY_INDEX, 3)))


def test_what_the_peer_signed_before_says_nothing_about_now() -> None:
    guard = at(3)
    hears_signed(guard, 2, htlcs=(HTLC,))
    known = guard.known(KEY_INDEX)
    assert known is not None and known.local is not None and known.local.number == 3 and not known.local.pending
    guard.note((Check(),))


# -- a mutual close ---------------------------------------------------------------------------------------------------


def a_closing(fee: int = 500, **changes: Any) -> SignClosing:
    ours, theirs = changes.pop("ours", OURS_MSAT), Msat(CAPACITY_SAT * 1000 - OURS_MSAT)
    payout = changes.get("payout", PAYOUT)
    tx = changes.pop("tx", None) or legacy_closing_tx(
        changes.pop("funding", FUNDING), ours, payout, theirs, THEIRS, Sat(fee), Sat(354)
    )
    fields: dict[str, Any] = {
        "key_index": KEY_INDEX,
        "tx": tx.serialize(),
        "funding_sat": CAPACITY_SAT,
        "local_funding_pubkey": PARAMS.local.basepoints.funding_pubkey,
        "remote_funding_pubkey": PARAMS.remote.basepoints.funding_pubkey,
        "payout": PAYOUT,
        "path": PATH,
        "highest_fee_sat": Sat(500),
    }
    return SignClosing(**(fields | changes))


def test_a_close_that_pays_our_balance_less_the_agreed_fee_is_signed() -> None:
    guard = at(3)
    guard.close(a_closing(500))
    guard.close(a_closing(200, path=None))
    assert "less than what is ours" in refused(lambda: guard.close(a_closing(501)))


def test_no_fee_is_higher_than_the_cap_whatever_was_agreed() -> None:
    guard = at(3)
    guard.close(a_closing(180_000, highest_fee_sat=Sat(600_000)))
    assert "less than what is ours" in refused(lambda: guard.close(a_closing(190_000, highest_fee_sat=Sat(600_000))))


def test_who_did_not_open_pays_no_fee() -> None:
    mine = params(is_opener=False)
    guard = a_guard()
    signed = Signed(3, OURS_MSAT, False)
    guard.resume(Remembered(mine, FUNDING, signed, signed))
    guard.close(a_closing(0))
    assert "less than what is ours" in refused(lambda: guard.close(a_closing(1)))


@pytest.mark.parametrize(
    "script",
    [
        {"payout": THEIRS, "path": None},
        {"payout": THEIRS},
        {"path": KeyPath(P2TR_ACCOUNT, CHANGE, 6)},
        {"path": None},
    ],
    ids=["the peer's", "the peer's as ours", "another key of ours", "no reason given"],
)
def test_our_share_goes_to_our_wallet(script: dict[str, Any]) -> None:
    assert "not ours" in refused(lambda: at(3).close(a_closing(**script)))


def test_our_share_goes_where_the_operator_said_or_where_it_was_agreed_at_the_start() -> None:
    elsewhere = p2wpkh(b"\x03" * 20)
    guard = at(3)
    guard.allow_payout(elsewhere)
    guard.close(a_closing(payout=elsewhere, path=None))
    upfront = PARAMS.but(local=PARAMS.local.but(upfront_shutdown_script=elsewhere))
    guard = a_guard()
    signed = Signed(3, OURS_MSAT, False)
    guard.resume(Remembered(upfront, FUNDING, signed, signed))
    guard.close(a_closing(payout=elsewhere, path=None))
    guard = a_guard()
    guard.resume(Remembered(PARAMS, FUNDING, signed, signed, payout=elsewhere))
    guard.close(a_closing(payout=elsewhere, path=None))


def test_a_share_without_a_script_is_no_share() -> None:
    tx = Tx(2, (TxIn(FUNDING, b"", 0xFFFFFFFF),), (TxOut(Sat(1000), THEIRS), TxOut(OURS_SAT, b"")))
    assert "nowhere" in refused(lambda: at(3).close(a_closing(tx=tx, payout=b"", path=None)))


@pytest.mark.parametrize("in_ours", [True, False])
def test_nothing_is_closed_while_htlcs_hang_in_either_commitment(in_ours: bool) -> None:
    guard = at(3)
    if in_ours:
        hears_signed(guard, 4, htlcs=(HTLC,))
    else:
        signs(guard, 4, htlcs=(HTLC,))
    assert "under way" in refused(lambda: guard.close(a_closing()))


def test_nothing_is_closed_while_the_commitments_differ() -> None:
    guard = at(3)
    hears_signed(guard, 4, ours=Msat(OURS_MSAT - 5_000_000))
    assert "under way" in refused(lambda: guard.close(a_closing(ours=Msat(OURS_MSAT - 5_000_000))))


def test_a_channel_that_nobody_knows_is_not_closed() -> None:
    assert "no commitment" in refused(lambda: a_guard().close(a_closing()))
    guard = a_guard()
    signs(guard, 0)
    assert "no commitment" in refused(lambda: guard.close(a_closing()))


def test_an_output_too_small_to_be_relayed_is_left_out() -> None:
    poor, others = Msat(353_000), Sat(CAPACITY_SAT - 353)
    tx = Tx(2, (TxIn(FUNDING, b"", 0xFFFFFFFF),), (TxOut(others, THEIRS),))
    guard = a_guard()
    guard.resume(Remembered(params(is_opener=False), FUNDING, Signed(1, poor, False), Signed(1, poor, False)))
    guard.close(a_closing(tx=tx))
    guard.resume(
        Remembered(params(is_opener=False), FUNDING, Signed(1, Msat(354_000), False), Signed(1, Msat(354_000), False))
    )
    assert "less than what is ours" in refused(lambda: guard.close(a_closing(tx=tx)))


def test_an_output_too_small_for_the_peer_may_be_left_out_too() -> None:
    poor = Msat(900_000)
    terms = params(is_opener=False, remote=terms_of("bob", dust_limit_sat=Sat(1000)))
    tx = Tx(2, (TxIn(FUNDING, b"", 0xFFFFFFFF),), (TxOut(Sat(CAPACITY_SAT - 900), THEIRS),))
    guard = a_guard()
    guard.resume(Remembered(terms, FUNDING, Signed(1, poor, False), Signed(1, poor, False)))
    guard.close(a_closing(tx=tx))
    cut = Tx(2, tx.inputs, (*tx.outputs, TxOut(Sat(899), PAYOUT)))
    assert "less than what is ours" in refused(lambda: guard.close(a_closing(tx=cut)))


TWO_INPUTS = Tx(
    2,
    (TxIn(FUNDING, b"", 0xFFFFFFFF), TxIn(OutPoint(FUNDING.txid, 7), b"", 0xFFFFFFFF)),
    (TxOut(OURS_SAT, PAYOUT),),
)


@pytest.mark.parametrize(
    "wrong",
    [
        {"tx": build(a_view(LOCAL, 2)).tx},
        {"tx": legacy_closing_tx(FUNDING, OURS_MSAT, PAYOUT, Msat(0), THEIRS, Sat(0), Sat(354)).but(locktime=1)},
        {"funding": OutPoint(FUNDING.txid, 0)},
        {"tx": TWO_INPUTS},
    ],
    ids=["a revoked commitment", "a locktime", "another output", "two inputs"],
)
def test_what_is_no_closing_transaction_is_not_signed_as_one(wrong: dict[str, Any]) -> None:
    assert refused(lambda: at(3).close(a_closing(**wrong))) in (
        "this is no closing transaction",
        "this spends something else",
    )
