"""Payments over two hops of real channels: paid once or not at all, whatever crashes, is cut, or comes twice."""

from __future__ import annotations

from collections import Counter

import pytest
from tests.laws.payment_family import BEFORE, Row, check_money
from tests.laws.world import World, crash_at_every_commit_point

from fulmen.core.base.machine import Lull
from fulmen.core.base.outer import Answer
from fulmen.core.payments.sending import NoRouteFound, PayeeRefused, PaymentDone
from fulmen.sim.disk import SimulatedDisk


def test_a_payment_through_bob_arrives_and_bob_earns_his_fee() -> None:
    row = Row()
    row.settle()
    text = row.invoice("carol", 10_000_000)
    asked = row.pay("alice", text)
    row.settle()
    answer = row.answer(asked)
    assert answer is not None and isinstance(answer.result, PaymentDone), answer
    # 1000 msat and a millionth, as Bob's default policy says.
    assert answer.result.fee_msat == 1010
    assert row.balance("carol") == BEFORE["carol"] + 10_000_000
    assert row.balance("bob") == BEFORE["bob"] + 1010
    check_money(row)


def test_a_payment_to_the_next_peer_and_one_back() -> None:
    row = Row()
    row.settle()
    there = row.pay("alice", row.invoice("bob", 5_000_000))
    back = row.pay("bob", row.invoice("alice", None), 3_000_001)
    row.settle()
    for asked in (there, back):
        answer = row.answer(asked)
        assert answer is not None and isinstance(answer.result, PaymentDone) and answer.result.fee_msat == 0
    check_money(row)


def test_the_same_invoice_twice_is_paid_once() -> None:
    row = Row()
    row.settle()
    text = row.invoice("carol", 10_000_000)
    asked = [row.pay("alice", text) for _ in range(2)]
    row.settle()
    asked.append(row.pay("alice", text))
    row.settle()
    results = [answer.result for command_id in asked if (answer := row.answer(command_id)) is not None]
    assert len(results) == 3 and results[0] == results[1] == results[2]
    check_money(row)


def test_a_payment_that_nobody_has_the_liquidity_for_fails_and_every_msat_is_still_there() -> None:
    row = Row()
    row.settle()
    asked = row.pay("alice", row.invoice("carol", 595_000_000))
    row.settle()
    answer = row.answer(asked)
    assert answer is not None and isinstance(answer.refused, NoRouteFound)
    assert "can send this much" in str(answer.refused)
    for name, before in BEFORE.items():
        assert row.balance(name) == before
    check_money(row)


def test_a_canceled_invoice_is_refused_by_the_payee() -> None:
    row = Row()
    row.settle()
    text = row.invoice("carol", 10_000_000)
    row.cancel("carol", text)
    asked = row.pay("alice", text)
    row.settle()
    answer = row.answer(asked)
    assert answer is not None and isinstance(answer.refused, PayeeRefused), answer
    check_money(row)


def _scenario(world: World) -> None:
    assert isinstance(world, Row)
    world.settle()
    there, back = world.invoice("carol", 10_000_000), world.invoice("alice", 2_000_000)
    world.pay("alice", there)
    for turn in range(14):
        if turn == 4 and world.hosts["carol"].node is not None:
            world.pay("carol", back)
        for host in world.hosts.values():
            host.run([Lull()])
            host.disk.sync()
        world.answer_questions()
        for sender, receiver in list(world.links):
            world.deliver(sender, receiver)


@pytest.mark.parametrize("name", ["alice", "bob", "carol"])
def test_a_crash_at_any_commit_point_loses_nothing(name: str) -> None:
    points = crash_at_every_commit_point(_scenario, Row, name, _right)
    assert points > 10


def _right(world: World) -> None:
    assert isinstance(world, Row)
    check_money(world)


@pytest.mark.parametrize("twice", [False, True])
@pytest.mark.parametrize("seed", range(8))
def test_a_random_walk_with_cuts_and_crashes_comes_right(seed: int, twice: bool) -> None:
    row = Row(seed, twice=twice)
    row.settle()
    for _ in range(6):
        row.bring_up()
        payer, payee = row.random.choice([("alice", "carol"), ("carol", "alice"), ("bob", "alice"), ("alice", "bob")])
        text = row.invoice(payee, row.random.randrange(1_000, 50_000_000))
        row.pay(payer, text, retry_for_s=row.random.choice([1, 60]))
        row.answer_questions()
        for _ in range(row.random.randrange(20, 120)):
            row.step()
    row.settle()
    check_money(row)


def test_what_peers_make_us_write_goes_again_and_what_we_earned_stays() -> None:
    row = Row()
    row.settle()
    paid = row.pay("alice", row.invoice("carol", 10_000_000))
    row.settle()
    text = row.invoice("carol", 20_000_000)
    row.cancel("carol", text)
    refused = row.pay("alice", text)
    row.settle()
    assert [type((row.answer(one) or Answer(one)).refused) for one in (paid, refused)] == [type(None), PayeeRefused]
    bob, carol = row.hosts["bob"].disk, row.hosts["carol"].disk

    def kinds(disk: SimulatedDisk) -> dict[str, int]:
        return Counter(address.kind for address in disk.cold)

    assert kinds(bob) == {"onion": 2, "forward": 2, "revoked": 4}
    assert kinds(carol) == {"onion": 2, "invoice": 2, "revoked": 2}
    (failed,) = [end for address, end in bob.ends.items() if address.kind == "forward" and end is not None]
    row.pass_blocks(failed)
    assert kinds(bob)["forward"] == 2, "it may go above this height"
    row.pass_blocks(failed + 1)
    assert kinds(bob)["forward"] == 1
    row.pass_blocks(100_000)
    assert kinds(bob) == {"forward": 1, "revoked": 4}
    assert kinds(carol) == {"invoice": 2, "revoked": 2}
    (kept,) = [state for address, state in bob.cold.items() if address.kind == "forward"]
    assert kept.status == "settled"
    assert kept.in_msat - kept.out_msat == 1010


def test_the_walks_are_worth_walking() -> None:
    """Many payments of a walk end well, and not all of them do."""
    ends = []
    for seed in range(4):
        row = Row(seed)
        row.settle()
        for _ in range(6):
            row.bring_up()
            row.pay("alice", row.invoice("carol", 5_000_000), retry_for_s=row.random.choice([1, 60]))
            row.answer_questions()
            for _ in range(80):
                row.step()
        row.settle()
        ends += [payment.status.value for name, hash_ in row.paid if (payment := row.payment(name, hash_)) is not None]
    assert ends.count("complete") > len(ends) // 3
    assert "failed" in ends
