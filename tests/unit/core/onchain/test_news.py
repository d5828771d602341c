"""What the machine makes of each piece of news: once, in its time, and of what is its own."""

from __future__ import annotations

import pytest
from tests.builders.cheats import HTLCS
from tests.builders.endings import (
    ANCHORS,
    DESTINATION,
    FIRST,
    STATIC,
    a_claim,
    block,
    closed,
    done,
    elsewhere,
    ending,
    facts_of,
    found_rows,
    key_of,
    output_of,
    published,
    seen,
    spent,
    the,
    told,
    took,
    tx_of,
    unspent,
    view_of,
)
from tests.builders.onchain import Plan, Planned
from tests.builders.papers import Papers

from fulmen.core.base.faults import Fault
from fulmen.core.base.funds import AskScript, DetachFee, FeeAttached, FeeRefused, ScriptGiven
from fulmen.core.base.ids import Txid
from fulmen.core.base.machine import Address, Event, Faulted, Lull, Step, Story, Tell, Undelivered
from fulmen.core.base.mount import Informed
from fulmen.core.base.outer import (
    ChainRewound,
    HeightReached,
    Notify,
    OutputSpent,
    PublishFailed,
    SignRequest,
    TxConfirmed,
    TxGone,
    WantHeight,
    WantMempoolWatch,
    WantPublished,
    WantSpendWatch,
)
from fulmen.core.base.units import BlockHeight, FeeratePerKw, Sat
from fulmen.core.bitcoin.script import p2wsh
from fulmen.core.bitcoin.transaction import Tx, TxIn, TxOut, parse_tx
from fulmen.core.commitments.close import (
    ChannelUnspent,
    ClaimHtlc,
    CommitmentPublished,
    CommitmentSeen,
    CommitmentWithdrawn,
    KnownPreimage,
)
from fulmen.core.commitments.htlcs import Fulfilled
from fulmen.core.commitments.revoked import kept_of
from fulmen.core.onchain.classify import Kind
from fulmen.core.onchain.facts import (
    BlocksUndone,
    ClaimDecided,
    CloseComing,
    CloseSeen,
    CloseUndone,
    CloseVanished,
    DestinationSet,
    OursPublished,
    OursWithdrawn,
    OutputContested,
    OutputTaken,
)
from fulmen.core.onchain.lifting import CHILD
from fulmen.core.onchain.machine import MOUNT, NotForOnchain, on_channel_spent, on_commitment_seen
from fulmen.core.onchain.matters import Matter, Purpose
from fulmen.core.onchain.state import Onchain, SecondStage, initial

OFFER, RECEIVED = Planned(0, "alice", expires_in=60), Planned(1, "bob", 40_000_000, expires_in=60)
BOTH = (OFFER, RECEIVED)


def a_channel(*htlcs: Planned, format: str = ANCHORS) -> Papers:
    return Papers(Plan(format, htlcs or BOTH))


def hear(papers: Papers, state: Onchain, event: Event, height: int = FIRST) -> Step[Onchain]:
    step: Step[Onchain] = MOUNT.decide(state, event, papers.env_at("alice", height))
    return step


def changes_nothing(step: Step[Onchain]) -> bool:
    return not step.facts and not step.actions


def lent(state: Onchain, matter: Matter, ref: bytes = b"lent") -> Onchain:
    """The wallet pays for a transaction that takes this."""
    return state.but(claims=(*state.claims, a_claim(state, matter, ref=ref)))


def refs(step: Step[Onchain]) -> list[bytes]:
    """Of what the wallet gets back."""
    return [event.ref for event in told(step, DetachFee)]


# -- our commitment ---------------------------------------------------------------------------------------------------


def test_a_commitment_is_published_since_it_was_first_and_another_one_begins_anew() -> None:
    papers = a_channel()
    first, other = view_of(papers, "alice"), view_of(papers, "alice").but(number=6)
    step = hear(papers, unspent(papers), CommitmentPublished(first), 500)
    assert facts_of(step, OursPublished)[0].publishing.since == 500
    state = step.state
    assert not facts_of(hear(papers, state, CommitmentPublished(first), 505), OursPublished)
    [more] = facts_of(hear(papers, state, CommitmentPublished(first, (key_of(papers, RECEIVED),)), 505), OursPublished)
    assert more.publishing.since == 500 and more.publishing.claimable == (key_of(papers, RECEIVED),)
    [anew] = facts_of(hear(papers, state, CommitmentPublished(other), 505), OursPublished)
    assert anew.publishing.since == 505 and anew.publishing.commitment == other


def test_a_withdrawal_gives_the_wallet_its_coins_back_and_ends_what_was_prepared() -> None:
    papers = a_channel()
    anchor = the(closed(papers, "alice"), Purpose.ANCHOR)
    for state in (published(papers), seen(papers, "bob")):
        step = hear(papers, lent(state, anchor), CommitmentWithdrawn())
        assert facts_of(step, OursWithdrawn) and refs(step) == [b"lent"]
        assert step.state.claims == () and step.state.spend is None and step.state.publishing is None


def test_a_withdrawal_of_nothing_or_after_a_block_has_a_close_changes_nothing() -> None:
    papers = a_channel()
    assert changes_nothing(hear(papers, unspent(papers), CommitmentWithdrawn()))
    state = closed(papers, "alice").but(publishing=published(papers).publishing)
    assert changes_nothing(hear(papers, lent(state, the(state, Purpose.ANCHOR)), CommitmentWithdrawn()))


# -- in the mempool ---------------------------------------------------------------------------------------------------


def seen_now(papers: Papers, which: str) -> CommitmentSeen:
    return CommitmentSeen(papers.at_close("alice"), tx_of(papers, which).serialize())


def test_a_commitment_in_the_mempool_is_expected_in_the_next_block() -> None:
    papers = a_channel()
    step = hear(papers, unspent(papers), seen_now(papers, "bob"), 700)
    [coming] = facts_of(step, CloseComing)
    assert coming.coming.kind is Kind.REMOTE and coming.coming.block.height == 701
    assert not done(step, Notify)


def test_what_was_seen_or_is_in_a_block_is_not_news_and_a_rival_is() -> None:
    papers = a_channel()
    state = seen(papers, "bob")
    assert changes_nothing(hear(papers, state, seen_now(papers, "bob")))
    assert [fact.coming.kind for fact in facts_of(hear(papers, state, seen_now(papers, "alice")), CloseComing)] == [
        Kind.LOCAL
    ]
    assert changes_nothing(hear(papers, closed(papers, "bob"), seen_now(papers, "bob")))
    assert changes_nothing(hear(papers, closed(papers, "bob"), seen_now(papers, "alice")))


@pytest.mark.parametrize("in_a_block", [False, True])
def test_a_cheat_is_an_alarm_with_its_name_as_explorers_write_it(in_a_block: bool) -> None:
    papers = Papers(Plan(STATIC, HTLCS))
    revoked = ending(papers, "bob_last").revoked
    env, state = papers.env_at("alice", FIRST), unspent(papers)
    assert revoked
    if in_a_block:
        step = on_channel_spent(state, spent(papers, "bob_last"), env, revoked)
        assert facts_of(step, CloseSeen)[0].revoked == revoked
    else:
        step = on_commitment_seen(state, seen_now(papers, "bob_last"), env, revoked)
        assert facts_of(step, CloseComing)[0].coming.revoked == revoked
    [alarm] = done(step, Notify)
    assert (
        alarm.topic == "alarm" and alarm.about["kind"] == Kind.REVOKED.value and "revoked" in str(alarm.about["text"])
    )
    assert alarm.about["txid"] == bytes(reversed(tx_of(papers, "bob_last").txid)).hex()
    assert alarm.about["channel_id"] == papers.channel_id.hex()
    assert len(facts_of(step, ClaimDecided)) >= 7, "and punished at once"


@pytest.mark.parametrize("in_a_block", [False, True])
def test_what_was_kept_of_a_cheat_comes_with_the_news_of_it(in_a_block: bool) -> None:
    papers = Papers(Plan(STATIC, HTLCS))
    news: Event = spent(papers, "bob_last") if in_a_block else seen_now(papers, "bob_last")
    step = hear(papers, unspent(papers), Informed(news, (found_rows(papers),)))
    assert step.state.spend is not None and step.state.spend.revoked == ending(papers, "bob_last").revoked != ()


def test_what_was_kept_of_a_cheat_is_asked_for_by_its_number_and_nothing_is_for_other_news() -> None:
    papers = a_channel()
    wanted = (kept_of(papers.channel_id, 4),)
    assert MOUNT.needs(spent(papers, "bob_last")) == MOUNT.needs(seen_now(papers, "bob_last")) == wanted
    for which in ("alice", "bob"):
        assert MOUNT.needs(spent(papers, which)) == ()
    assert MOUNT.needs(ChannelUnspent()) == () and MOUNT.needs(HeightReached(block(FIRST))) == ()


def test_what_leaves_the_mempool_takes_along_what_hung_on_it() -> None:
    papers = Papers(Plan(STATIC, HTLCS))
    state = seen(papers, "bob_last")
    balance = the(state, Purpose.PUNISH_TO_LOCAL)
    state = lent(state, balance)
    gone = TxGone(tx_of(papers, "bob_last").txid)
    step = hear(papers, state, gone)
    assert facts_of(step, CloseVanished) and refs(step) == [b"lent"] and not step.state.claims
    assert changes_nothing(hear(papers, state, TxGone(Txid(b"o" * 32)))), "another transaction"
    assert changes_nothing(hear(papers, unspent(papers), gone)), "nobody waits for it"
    failed = state.but(publishing=published(papers).publishing)
    assert changes_nothing(hear(papers, failed, gone)), "one of the commitments will be mined"
    assert changes_nothing(hear(papers, state.but(ending=state.coming), gone)), "a block has it"


# -- in a block -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("which", "kind"), [("alice", Kind.LOCAL), ("bob", Kind.REMOTE)])
def test_a_close_is_written_into_the_channels_story_and_is_no_alarm(which: str, kind: Kind) -> None:
    papers = a_channel()
    step = hear(papers, unspent(papers), spent(papers, which))
    [story] = done(step, Story)
    assert story.about == Address("channel", papers.channel_id) and story.details["kind"] == kind.value
    assert story.details["txid"] == bytes(reversed(tx_of(papers, which).txid)).hex()
    [fact] = facts_of(step, CloseSeen)
    assert (fact.kind, fact.block, fact.revoked) == (kind, block(FIRST), ()) and not done(step, Notify)


def test_a_close_is_news_once_for_each_block_and_each_transaction() -> None:
    papers = a_channel()
    state = closed(papers, "bob")
    assert changes_nothing(hear(papers, state, spent(papers, "bob")))
    for again in (spent(papers, "bob", FIRST + 1), spent(papers, "alice")):
        assert facts_of(hear(papers, state, again), CloseSeen)


def test_a_close_that_a_rival_replaces_gives_the_wallet_its_coins_back() -> None:
    papers = a_channel()
    state = lent(closed(papers, "alice"), the(closed(papers, "alice"), Purpose.ANCHOR))
    assert refs(hear(papers, state, spent(papers, "bob"))) == [b"lent"]
    assert refs(hear(papers, state, spent(papers, "alice", FIRST + 1))) == []


def test_a_close_is_undone_once() -> None:
    papers = a_channel()
    state = closed(papers, "bob")
    step = hear(papers, state, ChannelUnspent())
    assert facts_of(step, CloseUndone) and step.state.coming == state.ending and step.state.ending is None
    assert changes_nothing(hear(papers, step.state, ChannelUnspent()))


def test_a_preimage_after_the_close_claims_and_counts_once() -> None:
    papers = a_channel()
    news = ClaimHtlc(key_of(papers, RECEIVED), RECEIVED.preimage)
    step = hear(papers, closed(papers, "bob"), news)
    assert "received HTLC" in [fact.claim.name for fact in facts_of(step, ClaimDecided)]
    assert changes_nothing(hear(papers, step.state, news))
    assert changes_nothing(hear(papers, unspent(papers), news))


# -- outputs that are spent -------------------------------------------------------------------------------------------


def a_spender(matter: Matter, *witness: bytes, other: Matter | None = None, script: bytes = b"\x51") -> Tx:
    inputs = [TxIn(matter.outpoint, witness=witness)]
    if other is not None:
        inputs.insert(0, TxIn(other.outpoint, witness=(b"x",)))
    return Tx(2, tuple(inputs), (TxOut(Sat(1000), script), TxOut(Sat(1001), script)))


def in_mempool(matter: Matter, tx: Tx) -> OutputSpent:
    return OutputSpent(matter.outpoint, tx.serialize(), None)


def test_who_contests_an_output_is_remembered_once_and_the_batch_gives_its_coins_back() -> None:
    papers = a_channel(OFFER, Planned(2, "alice", 45_000_000, expires_in=60))
    state = closed(papers, "alice")
    one, two = [output_of(papers, state, planned) for planned in papers.plan.htlcs]
    state = state.but(claims=(a_claim(state, one, two, ref=b"both"),))
    rival = in_mempool(one, a_spender(one, b"sig", b"p" * 32, b"script"))
    step = hear(papers, state, rival)
    assert [fact.outpoint for fact in facts_of(step, OutputContested)] == [one.outpoint] and refs(step) == [b"both"]
    assert changes_nothing(hear(papers, step.state, rival))


def test_a_transaction_of_ours_contests_nothing_where_it_takes_an_output_as_only_we_can() -> None:
    papers = a_channel()
    ours, theirs = closed(papers, "alice"), closed(papers, "bob")
    htlc = output_of(papers, ours, OFFER)
    for witness, own in (((b"", b"s", b"s", b"", b"script"), True), ((b"s", b"p", b"script"), False)):
        assert changes_nothing(hear(papers, ours, in_mempool(htlc, a_spender(htlc, *witness)))) is own
    back = output_of(papers, theirs, OFFER)
    assert back.spend is not None
    for rest, own in ((back.spend.rest, True), ((b"p" * 32, back.spend.rest[-1]), False)):
        for other in (None, the(theirs, Purpose.TO_REMOTE)):
            tx = a_spender(back, b"sig", *rest, other=other)
            assert changes_nothing(hear(papers, theirs, in_mempool(back, tx))) is own
    claim = output_of(papers, theirs, RECEIVED)
    tx = a_spender(claim, b"sig", RECEIVED.preimage, claim.output.witness_script)
    assert facts_of(hear(papers, theirs, in_mempool(claim, tx)), OutputContested), "we do not know that preimage"
    known = theirs.but(preimages=(KnownPreimage(key_of(papers, RECEIVED), RECEIVED.preimage),))
    assert changes_nothing(hear(papers, known, in_mempool(claim, tx)))


def test_what_is_not_ours_to_take_nobody_contests_twice() -> None:
    """Of the peer's balance in what we cannot read, any spender is another."""
    papers = a_channel(format=STATIC)
    state = closed(papers, "bob").but(ending=ending(papers, "bob").but(kind=Kind.UNKNOWN))
    watched = next(matter for matter in state.matters.values() if matter.purpose is Purpose.WATCH)
    step = hear(papers, state, in_mempool(watched, a_spender(watched)))
    assert facts_of(step, OutputContested)
    assert changes_nothing(hear(papers, step.state, in_mempool(watched, a_spender(watched))))


@pytest.mark.parametrize("in_a_block", [False, True])
def test_a_preimage_is_passed_on_from_wherever_it_is_seen(in_a_block: bool) -> None:
    papers = a_channel()
    state = closed(papers, "bob")
    htlc = output_of(papers, state, OFFER)
    tx = a_spender(htlc, b"sig", OFFER.preimage, b"script")
    at = block(FIRST + 1) if in_a_block else None
    step = hear(papers, state, OutputSpent(htlc.outpoint, tx.serialize(), at))
    [fulfilled] = told(step, Fulfilled)
    assert fulfilled.preimage == OFFER.preimage and fulfilled.key == key_of(papers, OFFER)


def test_what_a_block_takes_is_written_down_once_with_the_second_stage_it_leaves() -> None:
    papers = a_channel()
    state = closed(papers, "alice")
    htlc, balance = output_of(papers, state, OFFER), the(state, Purpose.TO_LOCAL)
    state = lent(state, htlc)
    assert htlc.htlc_tx is not None
    tx = a_spender(htlc, other=balance, script=p2wsh(htlc.htlc_tx.second_stage_script))
    news = OutputSpent(htlc.outpoint, tx.serialize(), block(FIRST + 1))
    step = hear(papers, state, news)
    [fact] = facts_of(step, OutputTaken)
    assert fact.taken.second_stage == SecondStage(1, Sat(1001))
    assert (fact.taken.txid, fact.taken.block) == (tx.txid, block(FIRST + 1)) and refs(step) == [b"lent"]
    assert changes_nothing(hear(papers, step.state, news))
    moved = OutputSpent(htlc.outpoint, tx.serialize(), block(FIRST + 2))
    assert facts_of(hear(papers, step.state, moved), OutputTaken)
    plain = OutputSpent(balance.outpoint, tx.serialize(), block(FIRST + 1))
    assert facts_of(hear(papers, state, plain), OutputTaken)[0].taken.second_stage is None


def test_a_block_takes_nothing_of_a_close_that_no_block_has() -> None:
    papers = a_channel(format=STATIC)
    state = seen(papers, "bob")
    htlc = output_of(papers, state, OFFER)
    news = OutputSpent(htlc.outpoint, a_spender(htlc, b"s", b"", b"script").serialize(), block(FIRST))
    assert changes_nothing(hear(papers, state, news))
    assert changes_nothing(hear(papers, closed(papers, "bob"), OutputSpent(elsewhere(), b"", block(FIRST))))


# -- blocks that leave ------------------------------------------------------------------------------------------------


def test_a_reorg_undoes_only_what_was_taken_above_it() -> None:
    papers = a_channel()
    state = closed(papers, "bob")
    assert changes_nothing(hear(papers, state, ChainRewound(BlockHeight(FIRST - 1))))
    state = took(state, the(state, Purpose.TO_REMOTE), FIRST + 2)
    assert changes_nothing(hear(papers, state, ChainRewound(BlockHeight(FIRST + 2))))
    [fact] = facts_of(hear(papers, state, ChainRewound(BlockHeight(FIRST + 1))), BlocksUndone)
    assert fact.above == FIRST + 1


def test_that_a_transaction_of_ours_is_in_a_block_is_said_by_what_it_took() -> None:
    papers = a_channel()
    assert changes_nothing(hear(papers, closed(papers, "bob"), TxConfirmed(Txid(b"t" * 32), b"", block(FIRST), 1)))


def test_a_block_makes_ripe() -> None:
    papers = a_channel()
    step = hear(papers, closed(papers, "alice"), HeightReached(block(FIRST + 5)), FIRST + 5)
    assert [fact.claim.name for fact in facts_of(step, ClaimDecided)] == ["to_local"]


# -- the wallet, and the log ------------------------------------------------------------------------------------------


def test_the_wallets_first_script_is_where_everything_goes() -> None:
    papers = a_channel()
    bare = closed(papers, "bob").but(destination=b"")
    step = hear(papers, bare, ScriptGiven(b"ref", DESTINATION))
    assert facts_of(step, DestinationSet) and not told(step, AskScript)
    [decided] = [fact.claim for fact in facts_of(step, ClaimDecided)]
    assert parse_tx(decided.tx).outputs[0].script_pubkey == DESTINATION
    assert changes_nothing(hear(papers, step.state, ScriptGiven(b"ref", b"\x00\x14" + bytes(20))))


def test_what_the_wallet_pays_for_is_decided_once_and_given_back_where_it_can_no_longer_be() -> None:
    papers = a_channel()
    state = closed(papers, "alice")
    htlc = output_of(papers, state, OFFER)
    given = FeeAttached(b"ref", a_spender(htlc).serialize(), SignRequest(), Sat(1), FeeratePerKw(777))
    step = hear(papers, state, given, FIRST + 60)
    [decided] = facts_of(step, ClaimDecided)
    assert decided.claim.wallet_ref == b"ref" and decided.at == FIRST + 60 and not step.actions
    assert changes_nothing(hear(papers, step.state, given))
    dearer = FeeAttached(b"ref", a_spender(htlc, script=b"\x52").serialize(), SignRequest(), Sat(2), FeeratePerKw(888))
    assert facts_of(hear(papers, step.state, dearer), ClaimDecided)
    for late in (took(state, htlc, FIRST + 1), closed(papers, "bob")):
        step = hear(papers, late, given)
        assert refs(step) == [b"ref"] and not step.facts
    child = FeeAttached(
        b"ref", a_spender(the(state, Purpose.ANCHOR)).serialize(), SignRequest(), Sat(1), FeeratePerKw(9)
    )
    assert refs(hear(papers, unspent(papers), child)) == [b"ref"]
    [decided] = facts_of(hear(papers, published(papers), child), ClaimDecided)
    assert decided.claim.name == CHILD


def test_what_goes_wrong_is_told_by_its_name() -> None:
    papers = a_channel()
    state = closed(papers, "alice")
    htlc = output_of(papers, state, OFFER)
    ref = b"onchain" + papers.channel_id + htlc.outpoint.txid + htlc.outpoint.vout.to_bytes(4, "big")
    txid = Txid(bytes(range(32)))
    told_of = [
        (PublishFailed("to_local", txid, "min relay fee not met"), "onchain", "reason", "min relay fee not met"),
        (PublishFailed("to_local", txid, "min relay fee not met"), "onchain", "txid", bytes(reversed(txid)).hex()),
        (FeeRefused(ref, "InsufficientFunds", "no coins"), "alarm", "output", str(htlc.outpoint)),
        (FeeRefused(ref, "InsufficientFunds", "no coins"), "alarm", "why", "InsufficientFunds"),
        (Faulted(ChannelUnspent(), Fault("bad")), "onchain", "event", "ChannelUnspent"),
        (Undelivered(Tell(Address("wallet"), ChannelUnspent()), "gone"), "onchain", "undelivered", "ChannelUnspent"),
    ]
    for event, topic, about, value in told_of:
        step = hear(papers, state, event)
        [notice] = done(step, Notify)
        assert notice.topic == topic and notice.about[about] == value and not step.facts
        assert notice.about["channel_id"] == papers.channel_id.hex()


# -- the machine ------------------------------------------------------------------------------------------------------


def test_what_is_over_hears_nothing_any_more_and_a_stranger_is_refused_by_name() -> None:
    papers = a_channel()
    over = closed(papers, "bob").but(resolved=True)
    assert changes_nothing(hear(papers, over, HeightReached(block(FIRST + 9))))
    assert changes_nothing(hear(papers, closed(papers, "bob"), Lull()))
    with pytest.raises(NotForOnchain, match="Event"):
        hear(papers, closed(papers, "bob"), Event())


def test_a_close_that_is_frozen_goes_on_taking_what_is_ours() -> None:
    papers = a_channel()
    assert MOUNT.takes_frozen(closed(papers, "bob"), HeightReached(block(FIRST)))


def test_what_has_not_begun_or_is_over_wants_nothing() -> None:
    papers = a_channel()
    for state in (initial(papers.channel_id), closed(papers, "bob").but(resolved=True)):
        assert MOUNT.wants(state) == () and MOUNT.ended(state)
    for state in (published(papers), seen(papers, "bob"), closed(papers, "bob")):
        assert MOUNT.wants(state) and not MOUNT.ended(state)


def test_before_a_block_outputs_are_watched_and_the_mempool_while_the_channel_lives() -> None:
    papers = a_channel()
    state = seen(papers, "bob")
    height, *watches, mempool = MOUNT.wants(state)
    assert height == WantHeight(BlockHeight(0))
    assert watches == [WantSpendWatch(one.outpoint, one.script_pubkey) for one in state.matters.values()]
    assert mempool == WantMempoolWatch(tx_of(papers, "bob").txid, (papers.funding,))
    failed = state.but(publishing=published(papers).publishing)
    assert MOUNT.wants(failed) == (height, *watches)
    assert MOUNT.wants(published(papers)) == (height,)


def test_in_a_block_outputs_are_watched_from_there_on_and_what_can_still_take_one_is_published() -> None:
    papers = a_channel()
    state = closed(papers, "bob")
    claim, other = a_claim(state, the(state, Purpose.TO_REMOTE)), a_claim(state, output_of(papers, state, OFFER))
    state = state.but(claims=(claim, other))
    height, *wants = MOUNT.wants(state)
    assert height == WantHeight(BlockHeight(FIRST))
    watches = [want for want in wants if isinstance(want, WantSpendWatch)]
    assert watches == [WantSpendWatch(m.outpoint, m.script_pubkey, m.height) for m in state.matters.values()]

    def published_now(state: Onchain) -> list[bytes]:
        return [want.tx for want in MOUNT.wants(state) if isinstance(want, WantPublished)]

    assert published_now(state) == [claim.tx, other.tx]
    assert published_now(took(state, the(state, Purpose.TO_REMOTE), FIRST + 1, by=claim.txid)) == [other.tx]
    assert published_now(state.but(claims=(claim.but(outpoints=(elsewhere(),)),))) == []


def test_of_a_cheat_in_the_mempool_penalties_follow_with_their_parent_and_nothing_else_does() -> None:
    papers = Papers(Plan(STATIC, HTLCS))
    state = seen(papers, "bob_last")
    penalty, balance = (
        a_claim(state, the(state, Purpose.PUNISH_TO_LOCAL)),
        a_claim(state, the(state, Purpose.TO_REMOTE)),
    )
    stray = penalty.but(root=Txid(b"o" * 32))
    lost = penalty.but(outpoints=(elsewhere(),))
    state = state.but(claims=(balance, penalty, stray, lost))
    wanted = [want for want in MOUNT.wants(state) if isinstance(want, WantPublished)]
    parent = tx_of(papers, "bob_last").serialize()
    assert wanted == [WantPublished(penalty.name, penalty.tx, penalty.sign, (parent,))]
