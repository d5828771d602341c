"""The node runs machines to rest and makes one batch of it."""

from __future__ import annotations

from typing import Any

import pytest
from tests.builders import toy
from tests.builders.env import an_env
from tests.laws.audits import audit

from fulmen.core.base.ids import CommandId, NodeId
from fulmen.core.base.machine import Address, Disconnected, Keep, Lull, Step, Tell, Undelivered
from fulmen.core.base.mount import Informed, Mount
from fulmen.core.base.outer import Answer, HangUp, Notify, Send, WantConnection
from fulmen.core.node import (
    Ended,
    Freeze,
    Frozen,
    JournalRow,
    Limits,
    MachineFrozen,
    Node,
    NotAtRest,
    NotMounted,
    Thaw,
    Thawed,
)
from fulmen.core.node.resume import CannotResume

PEER = NodeId(b"\x02" * 33)
LINK = Address("link", PEER)
KEYS = toy.ToyKeys()


def a_node(mounts: Any = toy.MOUNTS, **more: Any) -> Node:
    env = an_env()
    return Node(mounts, lambda: env, verify=KEYS.verify, audit=audit, **more)


def an_order(number: int = 1, amount: int = 10) -> tuple[Address, toy.Order]:
    command_id = CommandId(number.to_bytes(16, "big"))
    return Address("order", command_id), toy.Order(command_id, PEER, amount)


def linked(node: Node) -> None:
    node.run([(LINK, toy.Linked()), (LINK, toy.Heard(toy.Hello(0)))])


def signed(number: int, amount: int) -> toy.Heard:
    offers = (toy.Offer(CommandId(bytes(16)), amount),)
    return toy.Heard(KEYS.fill(Send(PEER, toy.Pay(number, offers))).message)


def test_what_a_machine_tells_another_happens_in_the_same_batch():
    node = a_node()
    linked(node)
    batch = node.run([an_order(), Lull()])
    assert [type(fact) for _, fact in batch.facts] == [toy.Ordered, toy.BatchCommitted]
    (send,) = batch.actions
    assert send.message == toy.Pay(1, (toy.Offer(an_order()[1].command_id, 10),))
    assert batch.senders == (LINK,)


def test_passing_facts_are_not_in_the_batch():
    node = a_node()
    batch = node.run([(LINK, toy.Linked())])
    assert batch.facts == ()
    assert not batch.durable
    assert node.state(LINK).connected


def test_a_lull_goes_once_to_machines_that_had_events():
    seen = []

    def decide(state, event, _env):
        seen.append(type(event))
        return Step(state).fact(toy.LinkUp()) if isinstance(event, toy.Linked) else Step(state)

    mount = Mount("link", toy.LINK.initial, decide, forget=toy.forget_link, lulls=True)
    node = a_node((mount,))
    node.run([(LINK, toy.Linked()), Lull(), Lull()])
    node.run([Lull()])
    assert seen == [toy.Linked, Lull]


def test_a_machine_reached_by_a_lull_of_another_gets_its_own():
    node = a_node()
    linked(node)
    first = Mount("first", lambda key: key, lambda state, event, _env: _on_lull(state, event), lulls=True)
    node = a_node((*toy.MOUNTS, first))
    linked(node)
    batch = node.run([(Address("first"), toy.Linked()), Lull()])
    assert any(isinstance(action, Send) and isinstance(action.message, toy.Pay) for action in batch.actions)


def _on_lull(state, event):
    step = Step(state)
    return step.act(Tell(LINK, toy.Place(toy.Offer(CommandId(b"x" * 16), 5)))) if isinstance(event, Lull) else step


def test_a_check_that_fails_reaches_the_machine_instead_of_the_event():
    node = a_node()
    linked(node)
    forged = toy.Heard(toy.Pay(1, (toy.Offer(CommandId(bytes(16)), 5),), b"not a signature"))
    batch = node.run([(LINK, forged)])
    assert batch.facts == ()
    assert batch.actions == (HangUp(PEER, "BatchUnsigned"),)


def test_a_check_that_holds_lets_the_event_through():
    node = a_node()
    batch = node.run([(LINK, signed(1, 5))])
    assert [fact for _, fact in batch.facts] == [toy.BatchCredited(1, 5)]


def test_a_refused_tell_comes_back_to_its_sender_in_the_same_batch():
    node = a_node()
    address, order = an_order(amount=toy.START_BALANCE + 1)
    batch = node.run([(address, order)])
    assert batch.actions == (Answer(order.command_id, {"answer": "BalanceTooLow"}),)


def test_a_machine_that_is_over_leaves_memory_and_is_found_in_the_cold_store():
    node = a_node()
    address, order = an_order(amount=toy.START_BALANCE + 1)
    batch = node.run([(address, order)])
    assert node.state(address) is None
    assert [row.address for row in batch.cold] == [address]
    assert batch.facts[-1] == (address, Ended())
    again = node.run([(address, order)])
    assert again.actions == batch.actions
    assert not again.durable
    assert node.state(address) is None


def test_what_is_over_can_be_shown_before_it_is_on_disk():
    node = a_node()
    address, order = an_order(amount=toy.START_BALANCE + 1)
    batch = node.run([(address, order)])
    assert node.read_cold(address) == batch.cold[0].row
    assert node.cold_ahead(address.kind) == ((address.key, batch.cold[0].row),)
    assert node.cold_ahead("link") == ()
    node.durable(batch.position)
    assert node.cold_ahead(address.kind) == ()


def test_a_stranger_leaves_no_trace_in_memory():
    node = a_node()
    node.run([(Address("order", b"nobody"), toy.Settled(CommandId(b"nobody"))), (LINK, toy.Heard(toy.Paid(7)))])
    assert node.addresses("order") == node.addresses("link") == ()


def test_a_bug_freezes_the_machine_and_nothing_of_its_step_stays():
    node = a_node()
    linked(node)
    before = node.state(LINK)
    batch = node.run([(LINK, toy.Break())])
    ((address, fact),) = batch.facts
    assert address == LINK
    assert isinstance(fact, Frozen)
    assert "ZeroDivisionError" in fact.reason
    assert node.state(LINK) == before.but(frozen=True)
    (notice,) = batch.actions
    assert isinstance(notice, Notify)
    assert "ZeroDivisionError" in notice.about["traceback"]


def test_a_frozen_machine_takes_only_what_its_mount_lets_it():
    node = a_node()
    linked(node)
    node.run([(LINK, toy.Break())])
    address, order = an_order()
    batch = node.run([(address, order), Lull()])
    assert batch.actions == (Answer(order.command_id, {"answer": "MachineFrozen"}),)
    node.run([(LINK, Disconnected())])
    assert not node.state(LINK).connected


def test_the_operator_can_let_a_frozen_machine_go_on():
    node = a_node()
    node.run([(LINK, toy.Break())])
    assert node.frozen(LINK)
    batch = node.run([(LINK, Thaw())])
    assert batch.facts == ((LINK, Thawed()),)
    assert node.frozen(LINK) is None


def test_a_caller_of_a_frozen_machine_gets_an_answer():
    node = a_node()
    address, order = an_order()
    node.run([(address, Freeze("the signer refused"))])
    (answer,) = node.run([(address, order)]).actions
    assert answer.command_id == order.command_id
    assert isinstance(answer.refused, MachineFrozen)


def test_a_kind_that_is_not_mounted_is_refused_by_name():
    node = a_node()
    command_id = CommandId(bytes(16))
    (answer,) = node.run([(Address("no such thing"), toy.Order(command_id, PEER, 1))]).actions
    assert isinstance(answer.refused, NotMounted)


def test_machines_that_never_come_to_rest_are_stopped():
    node = a_node(limits=Limits(inner_steps=100))
    other = Address("link", b"\x03" * 33)
    batch = node.run([(LINK, toy.Chatter(other))])
    frozen = [address for address, fact in batch.facts if isinstance(fact, Frozen)]
    assert len(frozen) == 1
    assert "NotAtRest" in batch.facts[0][1].reason


def test_a_circle_that_freezing_does_not_break_stops_the_node():
    def decide(state, event, _env):
        return Step(state).act(Tell(LINK, event), Tell(LINK, event))

    mount = Mount("link", lambda key: key, decide, takes_frozen=lambda _state, _event: True)
    with pytest.raises(NotAtRest):
        a_node((mount,), limits=Limits(inner_steps=10)).run([(LINK, toy.Linked())])


def test_a_state_may_not_change_without_a_fact():
    def decide(state, _event, _env):
        return Step(state.but(balance=5))

    node = Node((Mount("link", toy.LINK.initial, decide),), an_env, verify=KEYS.verify)
    batch = node.run([(LINK, toy.Linked())])
    assert isinstance(batch.facts[0][1], Frozen)


def test_wants_are_told_as_they_change():
    node = a_node()
    linked(node)
    batch = node.run([an_order(), Lull()])
    assert batch.wants.added == ((LINK, WantConnection(PEER)),)
    assert node.run([Lull()]).wants == type(batch.wants)()
    assert node.wants() == ((LINK, WantConnection(PEER)),)


def test_views_follow_the_newest_state():
    node = a_node()
    name = f"link:{PEER.hex()}"
    assert name not in node.views
    linked(node)
    assert node.views[name] == toy.LinkView(True, 1000)
    node.run([(LINK, signed(1, 5))])
    assert node.views[name] == toy.LinkView(True, 1005)
    assert dict(node.views) == {name: toy.LinkView(True, 1005)}


def test_a_view_that_breaks_freezes_its_own_machine_only():
    def view(_state):
        raise KeyError("a bug of ours")

    def looks(state, event, env):
        assert list(env.views) == []
        return Step(state)

    node = a_node(
        (
            Mount("link", toy.LINK.initial, toy.decide_link, forget=toy.forget_link, view=view),
            toy.ORDER,
            Mount("looker", lambda key: key, looks),
        )
    )
    batch = node.run([(LINK, toy.Linked()), (Address("looker"), toy.Linked())])
    assert [address for address, fact in batch.facts if isinstance(fact, Frozen)] == [LINK]


def test_cold_rows_travel_inside_the_event_even_before_they_are_on_disk():
    seen = []
    row = toy.Offer(CommandId(bytes(16)), 7)

    def decide(state, event, _env):
        if isinstance(event, toy.Break):
            return Step(state).act(Keep(Address("offer", b"a"), row))
        seen.append(event)
        return Step(state)

    def needs(event):
        return (Address("offer", b"a"), Address("offer", b"b")) if isinstance(event, toy.Linked) else ()

    node = a_node((Mount("link", toy.LINK.initial, decide, needs=needs),))
    batch = node.run([(LINK, toy.Break()), (LINK, toy.Linked())])
    assert seen == [Informed(toy.Linked(), (row, None))]
    assert batch.cold[0].row == row
    node.durable(batch.position)
    node.run([(LINK, toy.Linked())])
    assert seen[1] == Informed(toy.Linked(), (None, None)), "the store below is empty in this test"


def test_resuming_folds_the_journal_and_tells_each_machine_what_a_crash_equals():
    node = a_node()
    linked(node)
    address, order = an_order()
    rows = [JournalRow(batch.position, batch.facts) for batch in (node.run([(address, order), Lull()]),)]
    again = a_node()
    batch = again.resume((), rows)
    assert again.state(LINK) == toy.forget_link(node.state(LINK))
    assert batch.facts == ()
    assert batch.wants.added == ((LINK, WantConnection(PEER)),)
    assert again.run([an_order(2)]).position == 2


def test_resuming_starts_from_snapshots_and_skips_what_they_hold():
    node = a_node()
    rows = []
    for number in range(1, 6):
        batch = node.run([(LINK, signed(number, number))])
        rows.append(JournalRow(batch.position, batch.facts))
        if number == 3:
            stop = node.snapshot_all()
            assert stop.position == 3
            assert stop.keep_from == 3
    again = a_node()
    again.resume(stop.snapshots, rows)
    assert again.state(LINK) == node.state(LINK)


def test_a_frozen_machine_is_frozen_after_a_restart():
    node = a_node()
    rows = [JournalRow(batch.position, batch.facts) for batch in (node.run([(LINK, toy.Break())]),)]
    again = a_node()
    again.resume((), rows)
    assert again.frozen(LINK) == node.frozen(LINK)
    assert again.state(LINK).frozen


def test_a_fact_that_cannot_be_folded_refuses_the_start_by_name():
    with pytest.raises(CannotResume):
        a_node().resume((), [JournalRow(1, ((Address("gone"), toy.BatchPaid(1)),))])
    with pytest.raises(CannotResume):
        a_node().resume((), [JournalRow(1, ((LINK, toy.Offered(None)), (LINK, toy.BatchCommitted(None))))])


def test_the_journal_stays_short_because_the_machine_that_pins_it_is_snapshotted():
    node = a_node(limits=Limits(tail_rows=5, snapshots_per_batch=1))
    kept = []
    for number in range(1, 50):
        batch = node.run([(LINK, signed(number, 1))])
        kept.append(batch.position - batch.keep_from)
    assert max(kept) <= 5


def test_many_facts_in_few_rows_make_a_long_tail_as_well():
    node = a_node(limits=Limits(tail_facts=20))
    kept = []
    for batch_number in range(10):
        events = [(LINK, signed(batch_number * 10 + number, 1)) for number in range(1, 11)]
        batch = node.run(events)
        kept.append(batch.position - batch.keep_from)
    assert max(kept) <= 2


def test_a_cold_machine_that_comes_back_to_life_starts_from_a_snapshot():
    class Reopened(toy.Event):
        pass

    class Opened(toy.Fact):
        open: bool

    @toy.evolves(Opened)
    def _opened(state, fact):
        return state.but(synced=fact.open)

    def decide(state, event, _env):
        return Step(state).fact(Opened(isinstance(event, Reopened)))

    mount = Mount("link", toy.LINK.initial, decide, ended=lambda state: not state.synced)
    node = a_node((mount,))
    first = node.run([(LINK, toy.Linked())])
    assert node.state(LINK) is None
    second = node.run([(LINK, Reopened())])
    assert [snapshot.address for snapshot in second.snapshots] == [LINK]
    again = a_node((mount,))
    rows = [JournalRow(batch.position, batch.facts) for batch in (first, second)]
    again.resume(second.snapshots, rows)
    assert again.state(LINK) == node.state(LINK)


def test_undelivered_names_the_action_that_did_not_arrive():
    seen = []

    def decide(state, event, _env):
        if isinstance(event, toy.Linked):
            return Step(state).act(Tell(Address("nowhere"), toy.Break()))
        seen.append(event)
        return Step(state)

    a_node((Mount("link", lambda key: key, decide),)).run([(LINK, toy.Linked())])
    (undelivered,) = seen
    assert isinstance(undelivered, Undelivered)
    assert undelivered.action == Tell(Address("nowhere"), toy.Break())
    assert isinstance(undelivered.fault, NotMounted)
