"""Payments: one HTLC at a time, along a route, with another one after a failure, and one answer in the end."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.builders.switch import (
    ALICE,
    BOB,
    BOB_KEY,
    CAROL,
    CAROL_KEY,
    HASH,
    HEIGHT,
    PREIMAGE,
    a_link,
    bob,
    told,
)

from fulmen.core.base.ids import OFFERED, CommandId, HtlcKey, NodeId, PaymentHash, Secret, ShortChannelId
from fulmen.core.base.machine import CallerGone, Event, Faulted, Step, Tell, Undelivered, fold
from fulmen.core.base.outer import Answer, ChannelsMoved, Notify, TimeReached, WantChannels, WantTime
from fulmen.core.base.units import BlockHeight, Msat, Timestamp
from fulmen.core.bitcoin.networks import REGTEST
from fulmen.core.commitments.htlcs import Failed, Fulfilled, HtlcOffered, OfferForgotten, OfferHtlc, OfferRefused
from fulmen.core.crypto.secp256k1 import ecdh, point_of, sign_recoverable
from fulmen.core.invoices.bolt11 import unsigned
from fulmen.core.invoices.invoice import InvoiceFields
from fulmen.core.onion import failures as f
from fulmen.core.onion.errors import fail, wrap
from fulmen.core.onion.failures import Failure, encode_failure
from fulmen.core.onion.payload import PaymentData, decode_payload
from fulmen.core.onion.sphinx import ephemeral_key, peel
from fulmen.core.payments import sending as words
from fulmen.core.payments.attempts import BUSY
from fulmen.core.payments.payment import AttemptMade, Payment, PaymentStarted, Status, Wait, ended, forget
from fulmen.core.payments.payments import MAX_CALLERS, NotForAPayment, decide, wants
from fulmen.core.payments.results import payment_row
from fulmen.core.payments.seeking import MAX_ATTEMPTS
from fulmen.core.payments.sending import Pay, PaymentTerms, default_max_fee, payment_address, terms_of
from fulmen.core.payments.ways import MAX_SHADOW, repriced, secrets_of
from fulmen.core.routing.requests import (
    ExcludedChannel,
    FindRoute,
    Learn,
    NoRoute,
    NoRouteReason,
    Route,
    RouteAnswered,
    RouteHop,
)
from fulmen.core.wire import encode
from fulmen.core.wire.messages.gossip import ChannelUpdate

ONE, TWO = CommandId(b"1" * 16), CommandId(b"2" * 16)
DAVE_KEY = Secret(b"\x0d" * 32)
DAVE = NodeId(point_of(DAVE_KEY))
TO_BOB = b"b" * 32
KEYS = {BOB: BOB_KEY, CAROL: CAROL_KEY, DAVE: DAVE_KEY}
NOW = 1_700_000_000
TERMS = PaymentTerms(HASH, DAVE, Msat(100_000), b"s" * 32, prefix="lnbcrt", expires_at=NOW + 3600, description="tea")
OUT = HtlcKey(TO_BOB, OFFERED, 0)


def env(**changes: Any) -> Any:
    link = a_link(TO_BOB, BOB, scid=11)
    return bob(link, **({"node_id": ALICE, "chain_hash": REGTEST.chain_hash, "wall": NOW} | changes))


def a_route(*nodes: NodeId, amount_msat: int = 100_000, fee_msat: int = 100) -> Route:
    """From us over these nodes, 11, 12, 13 … being the channels; each forwarder keeps the fee and 40 blocks."""
    nodes = nodes or (BOB, CAROL, DAVE)
    last = len(nodes) - 1
    hops = tuple(
        RouteHop(
            ShortChannelId(11 + at),
            node,
            Msat(amount_msat + (last - at) * fee_msat),
            BlockHeight(HEIGHT + 20 + 40 * (last - at)),
            Msat(fee_msat if at < last else 0),
        )
        for at, node in enumerate(nodes)
    )
    return Route(hops, TO_BOB)


def run(payment: Payment, *events: Event, at: Any = None) -> Step[Payment]:
    step = Step(payment)
    for event in events:
        before = step.state
        step = decide(before, event, at or env())
        assert fold(before, step.facts) == step.state
        assert forget(step.state) == fold(forget(before), [fact for fact in step.facts if not fact.passing])
    return step


def nobody() -> Payment:
    return Payment(PaymentHash(HASH))


def asked(step: Step[Payment]) -> FindRoute:
    (action,) = [action for action in step.actions if isinstance(action, FindRoute)]
    return action


def answers(step: Step[Payment]) -> list[Answer]:
    return [action for action in step.actions if isinstance(action, Answer)]


def answered(payment: Payment, answer: Route | NoRoute, at: Any = None) -> Step[Payment]:
    return run(payment, RouteAnswered(payment.asks, answer), at=at)


def on_its_way(route: Route | None = None, **changes: Any) -> Payment:
    begun = run(nobody(), Pay(ONE, TERMS, **changes)).state
    return answered(begun, route or a_route()).state


def failed_by(payment: Payment, hop: int, failure: Failure) -> Failed:
    """What our channel tells when the node at this place of the route fails the HTLC."""
    attempt = payment.attempt
    assert attempt is not None
    secrets = secrets_of(attempt)
    reason = fail(secrets[hop], encode_failure(failure))
    for secret in reversed(secrets[:hop]):
        reason = wrap(secret, reason)
    return Failed(attempt.number, OUT, reason)


def test_an_invoice_says_whom_to_pay_and_how_much():
    fields = InvoiceFields("lnbcrt", NOW, HASH, b"s" * 32, Msat(5000), "tea", payment_metadata=b"m", expiry_s=60)
    waiting = unsigned(fields)
    text = waiting.signed(sign_recoverable(DAVE_KEY, waiting.digest))
    terms = terms_of(text)
    assert (terms.destination, terms.amount_msat, terms.payment_hash) == (DAVE, 5000, HASH)
    assert (terms.payment_secret, terms.payment_metadata, terms.expires_at) == (b"s" * 32, b"m", NOW + 60)
    assert (terms.prefix, terms.bolt11, terms.description) == ("lnbcrt", text, "tea")
    assert terms_of(text, Msat(5000)) == terms
    with pytest.raises(words.AmountNotAsked):
        terms_of(text, Msat(5001))


def test_an_invoice_without_amount_needs_one():
    waiting = unsigned(InvoiceFields("lnbcrt", NOW, HASH, b"s" * 32, description="tea"))
    text = waiting.signed(sign_recoverable(DAVE_KEY, waiting.digest))
    assert terms_of(text, Msat(7)).amount_msat == 7
    for amount in (None, Msat(0), Msat(-1)):
        with pytest.raises(words.AmountNeeded):
            terms_of(text, amount)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"destination": ALICE}, words.SelfPayment),
        ({"expires_at": NOW}, words.InvoiceExpired),
        ({"prefix": "lnbc"}, words.WrongChain),
    ],
)
def test_what_cannot_be_paid_is_not_even_begun(change, fault):
    pay = Pay(ONE, TERMS.but(**change))
    with pytest.raises(fault) as caught:
        run(nobody(), pay)
    step = run(nobody(), Faulted(pay, caught.value))
    assert step.actions == [Answer(ONE, refused=caught.value)] and not step.facts


def test_nothing_is_sent_while_the_chain_is_still_being_read():
    """An expiry reckoned from the height of yesterday is over before the HTLC is there, and costs the channel."""
    waiting = run(nobody(), Pay(ONE, TERMS), at=replace(env(), behind=True))
    assert not [action for action in waiting.actions if isinstance(action, FindRoute | Tell)]
    assert WantTime(NOW + 1) in wants(waiting.state)
    assert asked(run(waiting.state, TimeReached(NOW + 1), at=env(wall=NOW + 1)))
    late = run(waiting.state, TimeReached(NOW + 60), at=replace(env(wall=NOW + 60), behind=True))
    assert "the chain was not read to its end within 60 s" in str(answers(late)[0].refused)


@given(st.integers(1, 10**12))
def test_the_fee_limit_is_one_percent_and_five_sat_where_none_is_given(amount):
    assert default_max_fee(Msat(amount)) == amount // 100 + 5000


def test_a_route_is_asked_for_within_the_limits():
    step = run(nobody(), Pay(ONE, TERMS, max_fee_msat=Msat(7), max_cltv_expiry_delta=500))
    request = asked(step).request
    assert (request.source, request.destination, request.amount_msat) == (ALICE, DAVE, 100_000)
    assert (request.max_fee_msat, request.max_cltv_expiry_delta) == (7, 500)
    assert 20 <= request.final_cltv_expiry_delta <= 20 + MAX_SHADOW
    assert [(hop.channel_id, hop.scid, hop.node_id) for hop in request.first_hops or ()] == [(TO_BOB, 11, BOB)]
    assert [type(fact) for fact in step.facts if not fact.passing] == [PaymentStarted]


def test_a_payee_that_is_our_peer_needs_no_path_finding():
    step = run(nobody(), Pay(ONE, TERMS.but(destination=BOB)))
    assert not [action for action in step.actions if isinstance(action, FindRoute)]
    (to_itself,) = [action for action in step.actions if isinstance(action, Tell)]
    assert to_itself.to == payment_address(HASH)
    offered = run(step.state, to_itself.event)
    (offer,) = told(offered)
    assert isinstance(offer, OfferHtlc) and offer.amount_msat == 100_000
    # There is nothing about our own channel that path finding could learn.
    paid = run(offered.state, Fulfilled(1, OUT, PREIMAGE))
    assert answers(paid)[0].result.fee_msat == 0
    assert not [action for action in paid.actions if isinstance(action, Learn)]


def test_a_peer_whose_channel_refused_is_reached_in_another_way():
    step = run(nobody(), Pay(ONE, TERMS.but(destination=BOB)))
    (to_itself,) = [action for action in step.actions if isinstance(action, Tell)]
    refused = run(run(step.state, to_itself.event).state, OfferRefused(1, TO_BOB, "DustExposure"))
    assert asked(refused).request.excluded_channels == (ExcludedChannel(11),)


def test_a_channel_that_is_not_usable_is_no_first_hop():
    at = bob(a_link(usable=False), node_id=ALICE, chain_hash=REGTEST.chain_hash, wall=NOW)
    assert asked(run(nobody(), Pay(ONE, TERMS), at=at)).request.first_hops == ()


def test_an_htlc_goes_out_with_an_onion_that_every_hop_reads():
    step = answered(run(nobody(), Pay(ONE, TERMS)).state, a_route())
    (offer,) = told(step)
    assert isinstance(offer, OfferHtlc)
    assert (offer.amount_msat, offer.cltv_expiry, offer.payment_hash) == (100_200, HEIGHT + 100, HASH)
    packet: bytes | None = offer.onion
    read = []
    for node in (BOB, CAROL, DAVE):
        assert packet is not None
        layer = peel(packet, ecdh(KEYS[node], ephemeral_key(packet)), HASH)
        read.append(decode_payload(layer.payload))
        packet = layer.next_packet
    assert [(payload.amt_to_forward, payload.outgoing_cltv_value, payload.short_channel_id) for payload in read] == [
        (100_100, HEIGHT + 60, 12),
        (100_000, HEIGHT + 20, 13),
        (100_000, HEIGHT + 20, None),
    ]
    assert read[2].payment_data == PaymentData(b"s" * 32, 100_000)
    assert [type(fact) for fact in step.facts if not fact.passing] == [AttemptMade]


def test_a_route_beyond_the_fee_limit_is_not_taken():
    begun = run(nobody(), Pay(ONE, TERMS, max_fee_msat=Msat(199))).state
    step = answered(begun, a_route())
    assert isinstance(answers(step)[0].refused, words.RouteTooExpensive) and not told(step)


def test_metadata_too_long_for_the_onion_fails_with_a_reason():
    begun = run(nobody(), Pay(ONE, TERMS.but(payment_metadata=bytes(1200)))).state
    step = answered(begun, a_route())
    assert isinstance(answers(step)[0].refused, words.NoRouteFound) and not told(step)


def test_an_answer_to_an_older_question_is_no_answer():
    begun = run(nobody(), Pay(ONE, TERMS)).state
    assert not run(begun, RouteAnswered(begun.asks - 1, a_route())).facts
    assert not answered(on_its_way(), a_route()).facts


def test_an_answer_for_an_ended_payment_is_none_for_the_next_one_of_its_hash():
    chance = env().entropy
    now, later = env(entropy=chance), env(entropy=chance, wall=NOW + 1)
    large = TERMS.but(amount_msat=Msat(100_000_000))
    first = run(nobody(), Pay(ONE, large, retry_for_s=1), at=now).state
    over = run(first, TimeReached(Timestamp(NOW + 1)), at=later).state
    assert over.status is Status.FAILED
    second = run(forget(over), Pay(TWO, TERMS, max_fee_msat=Msat(500_000)), at=later).state
    assert second.asking
    late = RouteAnswered(first.asks, NoRoute(NoRouteReason.NO_CHANNEL))
    assert not run(second, late, at=later).facts


def test_a_route_for_another_amount_or_to_another_node_is_never_taken():
    begun = run(nobody(), Pay(ONE, TERMS, max_fee_msat=Msat(500_000))).state
    other_payee = begun.terms.but(destination=BOB)
    too_much = a_route(amount_msat=2 * TERMS.amount_msat)
    for asking, route in ((begun, too_much), (begun.but(terms=other_payee), a_route())):
        step = answered(asking, route)
        assert isinstance(answers(step)[0].refused, words.NoRouteFound) and not told(step)


def test_the_preimage_is_the_answer():
    step = run(on_its_way(), HtlcOffered(1, OUT), Fulfilled(1, OUT, PREIMAGE))
    (answer,) = answers(step)
    done = answer.result
    assert answer.command_id == ONE
    assert (done.preimage, done.amount_msat, done.sent_msat, done.fee_msat, done.attempts) == (
        PREIMAGE,
        100_000,
        100_200,
        200,
        1,
    )
    (learn,) = [action for action in step.actions if isinstance(action, Learn)]
    assert learn.outcome.settled
    assert ended(step.state)
    assert not run(step.state, Fulfilled(1, OUT, PREIMAGE), Failed(1, OUT, b"r")).actions


def test_paying_twice_pays_once_and_answers_twice():
    pending = run(on_its_way(), Pay(TWO, TERMS))
    assert not told(pending) and not [fact for fact in pending.facts if not fact.passing]
    step = run(pending.state, Fulfilled(1, OUT, PREIMAGE))
    assert [answer.command_id for answer in answers(step)] == [ONE, TWO]
    later = run(step.state, Pay(TWO, TERMS))
    assert answers(later) == [Answer(TWO, answers(step)[0].result)] and not later.facts


def test_an_invoice_that_was_paid_is_not_paid_again_with_another_amount():
    other = TERMS.but(amount_msat=Msat(8000))
    pending = on_its_way()
    paid = run(pending, Fulfilled(1, OUT, PREIMAGE)).state
    for payment, said in ((pending, "being paid"), (paid, "paid already")):
        with pytest.raises(words.AnotherAmountPaid, match=said) as caught:
            run(payment, Pay(TWO, other))
        assert caught.value.details == {"paid_msat": 100_000, "asked_msat": 8000}
    failed = run(on_its_way(), failed_by(on_its_way(), 2, f.IncorrectOrUnknownPaymentDetails(100_000, HEIGHT))).state
    assert asked(run(forget(failed), Pay(TWO, other))).request.amount_msat == 8000


def test_a_wrong_preimage_is_our_own_bug():
    with pytest.raises(Exception, match="preimage"):
        run(on_its_way(), Fulfilled(1, OUT, b"x" * 32))


def test_a_payment_that_failed_may_be_paid_again_and_numbers_go_on():
    begun = run(nobody(), Pay(ONE, TERMS)).state
    failed = run(on_its_way(), failed_by(on_its_way(), 2, f.IncorrectOrUnknownPaymentDetails(100_000, HEIGHT)))
    assert failed.state.status is Status.FAILED and ended(failed.state)
    again = run(forget(failed.state), Pay(TWO, TERMS))
    assert asked(again).request.excluded_channels == ()
    second = answered(again.state, a_route()).state
    assert second.attempt is not None and second.attempt.number == 2
    assert begun.attempts == 0


def test_a_payee_that_refuses_ends_the_payment():
    payment = on_its_way()
    step = run(payment, failed_by(payment, 2, f.IncorrectOrUnknownPaymentDetails(100_000, HEIGHT)))
    refused = answers(step)[0].refused
    assert isinstance(refused, words.PayeeRefused)
    assert "incorrect_or_unknown_payment_details from the payee" in str(refused)


def test_a_payee_that_blocks_have_overtaken_is_asked_again():
    payment = on_its_way()
    step = run(payment, failed_by(payment, 2, f.IncorrectOrUnknownPaymentDetails(100_000, HEIGHT + 3)))
    assert asked(step) and step.state.status is Status.PENDING


@pytest.mark.parametrize(
    ("hop", "failure", "channels", "nodes"),
    [
        (0, f.TemporaryChannelFailure(), [ExcludedChannel(12, 0)], []),
        (1, f.TemporaryChannelFailure(), [ExcludedChannel(13, 0)], []),
        (1, f.FeeInsufficient(5), [ExcludedChannel(13, 0)], []),
        (1, f.PermanentChannelFailure(), [ExcludedChannel(13)], []),
        (0, f.UnknownNextPeer(), [ExcludedChannel(12)], []),
        (1, f.TemporaryNodeFailure(), [], [CAROL]),
        (1, f.PermanentNodeFailure(), [], [CAROL]),
        (0, f.InvalidOnionHmac(b"h" * 32), [ExcludedChannel(12)], []),
        (1, f.OtherFailure(0x7777), [], [CAROL]),
        (2, f.MppTimeout(), [ExcludedChannel(13)], []),
        (2, f.FinalIncorrectHtlcAmount(5), [], [CAROL]),
    ],
)
def test_the_next_attempt_leaves_out_what_failed(hop, failure, channels, nodes):
    payment = on_its_way()
    step = run(payment, failed_by(payment, hop, failure))
    request = asked(step).request
    assert list(request.excluded_channels) == channels
    assert list(request.excluded_nodes) == nodes
    (learn,) = [action for action in step.actions if isinstance(action, Learn)]
    assert (learn.outcome.failed_at, learn.outcome.failure_code) == (hop, f.code_of(failure))
    assert step.state.attempt is None
    assert failure.name in step.state.last_failure


def test_what_earlier_attempts_taught_stays_left_out():
    payment = on_its_way()
    second = run(payment, failed_by(payment, 0, f.TemporaryChannelFailure())).state
    third = answered(second, a_route()).state
    step = run(third, failed_by(third, 1, f.TemporaryNodeFailure()))
    request = asked(step).request
    assert (request.excluded_channels, request.excluded_nodes) == ((ExcludedChannel(12, 0),), (CAROL,))


def test_a_failure_that_nobody_can_have_sent_leaves_out_what_is_behind_our_peer():
    step = run(on_its_way(), Failed(1, OUT, bytes(292)))
    assert asked(step).request.excluded_channels == (ExcludedChannel(12),)
    direct = run(on_its_way(a_route(DAVE)), Failed(1, OUT, bytes(292)))
    assert isinstance(answers(direct)[0].refused, words.NoRouteFound)


def test_our_peer_that_cannot_read_the_onion_is_left_out():
    step = run(on_its_way(), Failed(1, OUT, failure_code=0xC005, sha256_of_onion=b"h" * 32))
    assert asked(step).request.excluded_nodes == (BOB,)


def test_a_channel_of_ours_that_the_chain_closed_is_left_out():
    step = run(on_its_way(), Failed(1, OUT, on_chain=True))
    request = asked(step).request
    assert request.excluded_channels == (ExcludedChannel(11),)
    assert request.first_hops == ()


def test_a_failure_of_an_older_attempt_changes_nothing():
    payment = on_its_way()
    second = answered(run(payment, failed_by(payment, 0, f.TemporaryChannelFailure())).state, a_route()).state
    stale = [
        failed_by(payment, 0, f.TemporaryChannelFailure()),
        OfferRefused(1, TO_BOB, "x"),
        OfferForgotten(1, TO_BOB),
    ]
    for event in stale:
        step = run(second, event)
        assert not step.facts and not step.actions


def test_no_route_says_why_and_what_the_last_attempt_met():
    begun = run(nobody(), Pay(ONE, TERMS)).state
    poor = bob(a_link(TO_BOB, BOB, scid=11, spendable_msat=Msat(5)), node_id=ALICE, wall=NOW)
    step = answered(begun, NoRoute(NoRouteReason.INSUFFICIENT_OUTBOUND, 5, 100_000), at=poor)
    refused = answers(step)[0].refused
    assert isinstance(refused, words.NoRouteFound)
    assert "no single channel of ours can send this much (have 5 msat, need 100,000 msat)" in str(refused)
    payment = on_its_way()
    failed = run(payment, failed_by(payment, 0, f.TemporaryChannelFailure())).state
    last = answered(failed, NoRoute(NoRouteReason.INSUFFICIENT_LIQUIDITY))
    assert "the last attempt failed with temporary_channel_failure" in str(answers(last)[0].refused)
    assert isinstance(answers(answered(begun, NoRoute(NoRouteReason.FEE_LIMIT)))[0].refused, words.RouteTooExpensive)


def test_a_time_lock_beyond_the_limit_is_tried_without_the_shadow():
    begun = run(nobody(), Pay(ONE, TERMS)).state
    assert begun.shadow
    step = answered(begun, NoRoute(NoRouteReason.CLTV_LIMIT, 1, 2))
    assert asked(step).request.final_cltv_expiry_delta == 20
    assert isinstance(
        answers(answered(step.state, NoRoute(NoRouteReason.CLTV_LIMIT, 1, 2)))[0].refused, words.NoRouteFound
    )


def test_attempts_and_time_are_bounded():
    payment = on_its_way()
    for _ in range(MAX_ATTEMPTS - 1):
        payment = answered(run(payment, failed_by(payment, 1, f.TemporaryNodeFailure())).state, a_route()).state
    step = run(payment, failed_by(payment, 1, f.TemporaryNodeFailure()))
    assert isinstance(answers(step)[0].refused, words.RetriesUsedUp)
    late = run(on_its_way(), failed_by(on_its_way(), 1, f.TemporaryNodeFailure()), at=env(wall=NOW + 60))
    assert isinstance(answers(late)[0].refused, words.RetriesUsedUp)


def an_update(**changes: Any) -> bytes:
    fields: dict[str, Any] = {
        "signature": b"\x01" * 64,
        "chain_hash": REGTEST.chain_hash,
        "short_channel_id": 13,
        "timestamp": NOW,
        "message_flags": 1,
        "channel_flags": 0,
        "cltv_expiry_delta": 50,
        "htlc_minimum_msat": 1,
        "fee_base_msat": 300,
        "fee_proportional_millionths": 1000,
        "htlc_maximum_msat": 10**9,
    }
    return encode(ChannelUpdate(**(fields | changes)))[2:]


def test_a_new_price_in_a_failure_is_paid_once():
    payment = on_its_way()
    step = run(payment, failed_by(payment, 1, f.FeeInsufficient(5, an_update())))
    (offer,) = told(step)
    assert isinstance(offer, OfferHtlc) and offer.ref == 2
    attempt = step.state.attempt
    assert attempt is not None
    amounts = [(hop.amount_msat, hop.cltv_expiry) for hop in attempt.route.hops]
    # Carol's 300 and a thousandth of 100,000; Bob's 100 grown in proportion.
    assert amounts == [(100_501, HEIGHT + 110), (100_400, HEIGHT + 70), (100_000, HEIGHT + 20)]
    again = run(step.state, failed_by(step.state, 1, f.FeeInsufficient(5, an_update(fee_base_msat=900))))
    assert asked(again).request.excluded_channels == (ExcludedChannel(13, 0),)


def test_a_new_price_beyond_the_limit_is_not_paid():
    payment = on_its_way(max_fee_msat=Msat(500))
    step = run(payment, failed_by(payment, 1, f.FeeInsufficient(5, an_update())))
    assert asked(step) and not told(step)


@pytest.mark.parametrize(
    "update",
    [
        b"",
        b"rubbish",
        an_update(short_channel_id=99),
        an_update(channel_flags=1),
        an_update(channel_flags=2),
        an_update(htlc_minimum_msat=100_001),
        an_update(htlc_maximum_msat=99_999),
        an_update(fee_base_msat=0, fee_proportional_millionths=0, cltv_expiry_delta=1),
    ],
)
def test_an_update_that_says_nothing_useful_changes_no_price(update):
    assert repriced(a_route(), 1, update) is None


def test_a_new_delta_alone_moves_the_expiries():
    route = repriced(a_route(), 1, an_update(fee_base_msat=100, fee_proportional_millionths=0, cltv_expiry_delta=60))
    assert route is not None
    assert [hop.cltv_expiry for hop in route.hops] == [HEIGHT + 120, HEIGHT + 80, HEIGHT + 20]
    assert [hop.amount_msat for hop in route.hops] == [100_200, 100_100, 100_000]


def test_a_channel_that_refuses_is_left_out():
    step = run(on_its_way(), OfferRefused(1, TO_BOB, "InsufficientBalance"))
    assert asked(step).request.excluded_channels == (ExcludedChannel(11),)
    assert "InsufficientBalance" in step.state.last_failure


@pytest.mark.parametrize(
    "event",
    [OfferForgotten(1, TO_BOB), *(OfferRefused(1, TO_BOB, why) for why in BUSY)],
)
def test_a_peer_that_went_away_or_has_no_room_may_take_it_in_time(event):
    step = run(on_its_way(), event)
    assert asked(step).request.excluded_channels == ()
    waiting = answered(step.state, NoRoute(NoRouteReason.NO_CHANNEL)).state
    assert WantTime(NOW + 1) in wants(waiting)
    again = run(waiting, TimeReached(NOW + 1), at=env(wall=NOW + 1)).state
    late = answered(again, NoRoute(NoRouteReason.NO_CHANNEL), at=env(wall=NOW + 60))
    assert isinstance(answers(late)[0].refused, words.RetriesUsedUp)


def away(msat: int = 10**9, node_id: NodeId = BOB, **changes: Any) -> Any:
    """Our only channel's peer is not there for the moment."""
    link = a_link(TO_BOB, node_id, scid=11, usable=False, spendable_msat=Msat(0), away_msat=Msat(msat))
    return bob(link, **({"node_id": ALICE, "chain_hash": REGTEST.chain_hash, "wall": NOW} | changes))


def test_a_payment_begun_while_the_channels_are_away_waits_for_one_to_come_back():
    begun = run(nobody(), Pay(ONE, TERMS), at=away()).state
    waiting = answered(begun, NoRoute(NoRouteReason.NO_CHANNEL), at=away())
    assert not answers(waiting)
    (news,) = [action for action in waiting.actions if isinstance(action, Notify)]
    assert (news.topic, news.about["for"]) == ("payment waits", "a channel to come back")
    assert wants(waiting.state) == (WantTime(NOW + 1), WantTime(NOW + 60), WantChannels())
    still = run(waiting.state, TimeReached(NOW + 1), at=away(wall=NOW + 1))
    still = answered(still.state, NoRoute(NoRouteReason.NO_CHANNEL), at=away(wall=NOW + 1))
    assert not still.actions  # it says so once
    back = run(still.state, TimeReached(NOW + 2), at=env(wall=NOW + 2))
    assert [hop.scid for hop in asked(back).request.first_hops or ()] == [11]
    assert told(answered(back.state, a_route(), at=env(wall=NOW + 2)))


def waiting_for_a_channel(*, patient: bool = False) -> Payment:
    begun = run(nobody(), Pay(ONE, TERMS), at=away()).state
    if patient:
        begun = run(answered(begun, a_route()).state, OfferForgotten(1, TO_BOB), at=away()).state
    return answered(begun, NoRoute(NoRouteReason.NO_CHANNEL), at=away()).state


def test_a_channel_that_comes_back_wakes_it():
    waiting = waiting_for_a_channel()
    woken = run(waiting, ChannelsMoved(), at=env())
    assert [hop.scid for hop in asked(woken).request.first_hops or ()] == [11]
    assert WantChannels() not in wants(woken.state), "an answer is waited for now"
    assert not run(woken.state, ChannelsMoved(), at=env()).actions, "told twice, asked once"


@pytest.mark.parametrize("patient", [False, True])
@pytest.mark.parametrize("links", [(), (a_link(TO_BOB, BOB, scid=11, usable=False, spendable_msat=Msat(0)),)])
def test_a_channel_that_was_closed_meanwhile_is_waited_for_no_longer(patient, links):
    closed = bob(*links, node_id=ALICE, chain_hash=REGTEST.chain_hash, wall=NOW + 2)
    woken = run(waiting_for_a_channel(patient=patient), ChannelsMoved(), at=closed).state
    step = answered(woken, NoRoute(NoRouteReason.NO_CHANNEL), at=closed)
    (answer,) = answers(step)
    assert isinstance(answer.refused, words.NoRouteFound)
    assert "is closed" in str(answer.refused)


def test_nobody_is_woken_who_waits_for_something_else():
    assert not run(nobody(), ChannelsMoved()).actions
    assert not run(on_its_way(), ChannelsMoved()).actions
    behind = run(nobody(), Pay(ONE, TERMS), at=env(behind=True)).state
    assert behind.waits_for is Wait.CHAIN
    assert not run(behind, ChannelsMoved(), at=env(behind=True)).actions


def test_by_itself_it_looks_less_and_less_often():
    payment, now, looks = waiting_for_a_channel(), NOW, []
    payment = payment.but(limits=payment.limits.but(give_up_at=Timestamp(NOW + 3600)) if payment.limits else None)
    while now < NOW + 600:
        looks.append(payment.retry_at - now)
        now = payment.retry_at
        payment = run(payment, TimeReached(now), at=away(wall=now)).state
        payment = answered(payment, NoRoute(NoRouteReason.NO_CHANNEL), at=away(wall=now)).state
    assert looks[:5] == [1] * 5
    assert looks == sorted(looks)
    assert looks[-1] == 15


def test_it_waits_as_long_as_it_was_told_to_and_says_that_nobody_came():
    begun = run(nobody(), Pay(ONE, TERMS, retry_for_s=7), at=away()).state
    waiting = answered(begun, NoRoute(NoRouteReason.NO_CHANNEL), at=away()).state
    late = run(waiting, TimeReached(NOW + 7), at=away(wall=NOW + 7))
    refused = answers(late)[0].refused
    assert isinstance(refused, words.RetriesUsedUp)
    assert "no channel of ours came back within 7 s" in str(refused)
    assert late.state.status is Status.FAILED and wants(late.state) == ()


def test_nothing_is_tried_once_the_invoice_has_expired_however_much_time_was_given():
    """BOLT 11: "after the `timestamp` plus `expiry` has passed: SHOULD NOT attempt a payment"."""
    old = TERMS.but(expires_at=NOW + 5)
    begun = run(nobody(), Pay(ONE, old, retry_for_s=600), at=away()).state
    assert WantTime(NOW + 5) in wants(begun)
    waiting = answered(begun, NoRoute(NoRouteReason.NO_CHANNEL), at=away()).state
    late = run(waiting, TimeReached(NOW + 5), at=away(wall=NOW + 5))
    assert str(answers(late)[0].refused).startswith("no channel of ours came back within 5 s; the invoice has expired")
    assert isinstance(answers(late)[0].refused, words.RetriesUsedUp)
    assert wants(late.state) == ()
    # What is on its way may still arrive, and whoever waits for it does so for as long as he said.
    sent = answered(run(nobody(), Pay(ONE, old, retry_for_s=600)).state, a_route()).state
    assert wants(sent) == (WantTime(NOW + 600),)
    assert not run(sent, TimeReached(NOW + 5), at=env(wall=NOW + 5)).actions
    failed = run(sent, failed_by(sent, 1, f.TemporaryNodeFailure()), at=env(wall=NOW + 5))
    assert "the invoice has expired" in str(answers(failed)[0].refused)


def test_after_a_crash_it_waits_on_until_the_time_that_was_given():
    begun = run(nobody(), Pay(ONE, TERMS), at=away()).state
    waiting = answered(begun, NoRoute(NoRouteReason.NO_CHANNEL), at=away()).state
    resumed = run(forget(waiting), CallerGone(), at=away(wall=NOW + 5)).state
    again = answered(resumed, NoRoute(NoRouteReason.NO_CHANNEL), at=away(wall=NOW + 5)).state
    assert wants(again) == (WantTime(NOW + 6), WantTime(NOW + 60), WantChannels())
    assert asked(run(again, TimeReached(NOW + 6), at=env(wall=NOW + 6)))


@pytest.mark.parametrize(
    ("at", "reason"),
    [
        (away(99_999), NoRouteReason.NO_CHANNEL),
        (env(), NoRouteReason.NO_PATH),
        (away(), NoRouteReason.BAD_AMOUNT),
        (away(), NoRouteReason.UNKNOWN_DESTINATION),
    ],
)
def test_it_does_not_wait_for_what_could_not_help(at, reason):
    begun = run(nobody(), Pay(ONE, TERMS), at=at).state
    assert isinstance(answers(answered(begun, NoRoute(reason), at=at))[0].refused, words.NoRouteFound)


def test_it_waits_for_a_peer_that_only_we_know_when_that_is_the_payee():
    at = away(node_id=DAVE)
    begun = run(nobody(), Pay(ONE, TERMS), at=at).state
    assert not answers(answered(begun, NoRoute(NoRouteReason.UNKNOWN_DESTINATION), at=at))


@pytest.mark.parametrize("reason", [NoRouteReason.NO_CHANNEL, NoRouteReason.INSUFFICIENT_OUTBOUND])
def test_a_channel_that_has_room_again_when_the_answer_comes_is_asked_for_again(reason):
    begun = run(nobody(), Pay(ONE, TERMS), at=away()).state
    waiting = answered(begun, NoRoute(reason), at=env())
    assert not answers(waiting)
    assert WantTime(NOW + 1) in wants(waiting.state)


def test_a_channel_that_refused_this_payment_is_not_waited_for():
    refused = run(on_its_way(), OfferRefused(1, TO_BOB, "InsufficientBalance")).state
    assert isinstance(
        answers(answered(refused, NoRoute(NoRouteReason.NO_CHANNEL), at=away()))[0].refused, words.NoRouteFound
    )


def test_a_frozen_channel_is_left_out():
    begun = run(nobody(), Pay(ONE, TERMS)).state
    before = answered(begun, a_route())
    (tell,) = [action for action in before.actions if isinstance(action, Tell)]
    assert asked(run(before.state, Undelivered(tell, None))).request.excluded_channels == (ExcludedChannel(11),)


def test_after_a_crash_the_same_onion_is_offered_again():
    begun = run(nobody(), Pay(ONE, TERMS)).state
    before = answered(begun, a_route())
    after = run(forget(before.state), CallerGone())
    assert told(after) == told(before)
    assert after.state.callers == ()
    step = run(after.state, Fulfilled(1, OUT, PREIMAGE))
    assert step.state.status is Status.COMPLETE and not answers(step)


def test_after_a_crash_an_offer_that_the_channel_does_not_know_is_made_anew_when_channels_are_back():
    resumed = run(forget(on_its_way()), CallerGone()).state
    asking = run(resumed, OfferRefused(1, TO_BOB, "ChannelOffline")).state
    waiting = answered(asking, NoRoute(NoRouteReason.NO_CHANNEL)).state
    assert wants(waiting) == (WantTime(NOW + 1), WantTime(NOW + 60), WantChannels())
    again = run(waiting, TimeReached(NOW + 1), at=env(wall=NOW + 1))
    assert asked(again).request.excluded_channels == ()
    late = answered(again.state, NoRoute(NoRouteReason.NO_CHANNEL), at=env(wall=NOW + 60))
    assert late.state.status is Status.FAILED


def test_after_a_crash_a_frozen_channel_may_hold_the_htlc_so_nothing_else_is_tried():
    before = run(forget(on_its_way()), CallerGone())
    (tell,) = [action for action in before.actions if isinstance(action, Tell)]
    step = run(before.state, Undelivered(tell, None))
    assert not step.actions and step.state.attempt is not None
    assert WantTime(NOW + 30) in wants(step.state)
    again = run(step.state, TimeReached(NOW + 30), at=env(wall=NOW + 30))
    assert told(again) == told(before)


def test_after_a_crash_without_an_attempt_a_route_is_asked_for_again():
    begun = run(nobody(), Pay(ONE, TERMS)).state
    assert asked(run(forget(begun), CallerGone()))
    assert not run(nobody(), CallerGone()).actions


def test_a_stuck_htlc_stays_and_the_caller_is_told_so():
    payment = on_its_way()
    assert wants(payment) == (WantTime(NOW + 60),)
    step = run(payment, TimeReached(NOW + 60), at=env(wall=NOW + 60))
    assert isinstance(answers(step)[0].refused, words.PaymentStillPending)
    assert step.state.status is Status.PENDING and wants(step.state) == ()
    done = run(step.state, Fulfilled(1, OUT, PREIMAGE))
    assert done.state.status is Status.COMPLETE and not answers(done)
    early = run(payment, TimeReached(NOW + 59), at=env(wall=NOW + 59))
    assert not early.actions


def test_path_finding_that_gives_no_answer_ends_with_the_time():
    begun = run(nobody(), Pay(ONE, TERMS)).state
    step = run(begun, TimeReached(NOW + 60), at=env(wall=NOW + 60))
    assert isinstance(answers(step)[0].refused, words.RetriesUsedUp)
    assert not run(step.state, RouteAnswered(begun.asks, a_route())).facts


def test_a_preimage_that_comes_after_the_end_completes_the_payment():
    payment = on_its_way()
    failed = run(payment, failed_by(payment, 2, f.IncorrectOrUnknownPaymentDetails(100_000, HEIGHT))).state
    assert run(failed, Fulfilled(1, OUT, PREIMAGE)).state.status is Status.COMPLETE


def test_the_number_of_callers_is_bounded():
    payment = run(on_its_way(), *(Pay(CommandId(n.to_bytes(16, "big")), TERMS) for n in range(MAX_CALLERS)))
    assert len(payment.state.callers) == MAX_CALLERS
    assert isinstance(answers(payment)[0].refused, words.PaymentStillPending)


def test_the_row_of_a_payment_tells_how_it_stands():
    assert payment_row(nobody()) is None
    payment = on_its_way(label="tea")
    row = payment_row(payment)
    assert row is not None
    assert (row.status, row.sent_msat, row.preimage, row.label) == ("pending", None, None, "tea")
    done = payment_row(run(payment, Fulfilled(1, OUT, PREIMAGE)).state)
    assert done is not None
    assert (done.status, done.sent_msat, done.preimage, done.failure) == ("complete", 100_200, PREIMAGE, "")
    failed = payment_row(run(payment, failed_by(payment, 2, f.PermanentNodeFailure())).state)
    assert failed is not None
    assert failed.status == "failed" and "permanent_node_failure" in failed.failure


def test_strangers_events_are_refused_by_name():
    with pytest.raises(NotForAPayment):
        run(nobody(), OfferHtlc(words.payment_address(HASH), 0, 1, HASH, 1, b""))
