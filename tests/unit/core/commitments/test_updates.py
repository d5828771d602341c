"""The log of one side: each entry has the next index, and what is irrevocably gone leaves."""

from __future__ import annotations

from fulmen.core.base.ids import PaymentHash, Preimage
from fulmen.core.base.units import BlockHeight, FeeratePerKw, Msat
from fulmen.core.commitments.updates import Add, FeeChange, Log, Remove, Updates, pruned

PAID = Preimage(b"p" * 32)
RATE = FeeratePerKw(1000)


def an_add(index: int, id: int) -> Add:
    return Add(index, id, Msat(1_000_000), PaymentHash(bytes(32)), BlockHeight(500))


def test_each_kind_of_update_takes_one_index_and_only_an_htlc_an_id() -> None:
    log = Log()
    for update, next_index, next_id in (
        (an_add(0, 0), 1, 1),
        (Remove(1, 7, PAID), 2, 1),
        (FeeChange(2, FeeratePerKw(1000)), 3, 1),
        (an_add(3, 1), 4, 2),
    ):
        log = log.with_update(update)
        assert (log.next_index, log.next_id) == (next_index, next_id)
    assert [update.index for update in log.between(1, 4).in_order()] == [1, 2, 3]


def test_what_was_never_signed_is_forgotten_with_its_ids() -> None:
    log = Log().with_update(an_add(0, 0)).with_update(Remove(1, 7, PAID)).with_update(an_add(2, 1))
    short = log.truncated(2)
    assert (len(short.adds), len(short.removes), short.next_index, short.next_id) == (1, 1, 2, 1)


def test_a_feerate_that_was_signed_for_outlives_what_was_not() -> None:
    log = Log().with_update(FeeChange(0, FeeratePerKw(2000))).with_update(FeeChange(1, FeeratePerKw(3000)))
    assert [fee.feerate_per_kw for fee in log.truncated(1).fees] == [2000]


def test_updates_of_any_kind_are_some() -> None:
    assert not Updates()
    for some in (Updates((an_add(0, 0),)), Updates((), (Remove(0, 7, PAID),)), Updates((), (), (FeeChange(0, RATE),))):
        assert some


def test_an_htlc_leaves_both_logs_when_its_removal_is_irrevocable_and_it_was_committed_itself() -> None:
    adds = Log().with_update(an_add(0, 0)).with_update(an_add(1, 1)).with_update(an_add(2, 2))
    removes = Log().with_update(Remove(0, 0, PAID)).with_update(Remove(1, 1, PAID)).with_update(Remove(2, 2, PAID))
    kept, unremoved, done = pruned(adds, removes, 2, 3)
    assert [add.id for add, _ in done] == [0, 1]
    assert [add.id for add in kept.adds] == [remove.id for remove in unremoved.removes] == [2]
    assert pruned(adds, removes, 3, 1)[2] == ((adds.adds[0], removes.removes[0]),)
