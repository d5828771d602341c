"""Invoices: made with fresh secrets, paid once, by what the invoice asked for, and by nothing else."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.builders.switch import BOB_KEY, CAROL, HASH, HEIGHT, INCOMING, a_link, bob, told

from fulmen.core.base.ids import RECEIVED, CommandId, HtlcKey
from fulmen.core.base.machine import Event, Faulted, Keep, Step, Tell, Undelivered, fold
from fulmen.core.base.mount import Informed
from fulmen.core.base.outer import Answer, TimeReached, WantTime
from fulmen.core.base.policy import ForwardPolicy
from fulmen.core.base.units import Msat
from fulmen.core.bitcoin.networks import REGTEST
from fulmen.core.commitments.htlcs import LinkView
from fulmen.core.crypto.hashes import sha256
from fulmen.core.crypto.secp256k1 import point_of
from fulmen.core.invoices.bolt11 import decode as decode_invoice
from fulmen.core.invoices.signing import SignInvoice, sign_invoice
from fulmen.core.node import MachineFrozen
from fulmen.core.onion.failures import IncorrectOrUnknownPaymentDetails, decode_failure
from fulmen.core.payments import invoice as room
from fulmen.core.payments import receiving as words
from fulmen.core.payments import register as desk
from fulmen.core.payments.hints import MAX_HINTS, hinted, route_hints
from fulmen.core.payments.invoice import Invoice, InvoicePaid, Status, invoice_row
from fulmen.core.payments.receiving import CreateInvoice, InvoiceCreated, LabelRow, OpenInvoice, WaitInvoice
from fulmen.core.switch.words import AcceptHtlc, HtlcArrived, RejectHtlc

ONE, TWO = CommandId(b"1" * 16), CommandId(b"2" * 16)
OTHER = HtlcKey(INCOMING.channel_id, RECEIVED, 8)


def env(*links: LinkView, **changes: Any) -> Any:
    return bob(*links, **({"chain_hash": REGTEST.chain_hash} | changes))


def run(invoice: Invoice, *events: Event, at: Any = None) -> Step[Invoice]:
    step = Step(invoice)
    for event in events:
        before = step.state
        step = room.decide(before, event, at or env())
        assert fold(before, step.facts) == step.state
        assert room.forget(step.state) == fold(room.forget(before), [f for f in step.facts if not f.passing])
    return step


def made(command: CreateInvoice, at: Any = None) -> OpenInvoice:
    """What the register tells the new invoice."""
    (event,) = told(desk.decide(desk.Register(), command, at or env()))
    assert isinstance(event, OpenInvoice)
    return event


def an_invoice(**changes: Any) -> Invoice:
    fields = {"command_id": ONE, "amount_msat": Msat(100_000), "description": "one coffee"} | changes
    opening = made(CreateInvoice(**fields))
    return run(Invoice(opening.fields.payment_hash), opening).state


def arrived(invoice: Invoice, key: HtlcKey = INCOMING, **changes: Any) -> HtlcArrived:
    """An HTLC that pays just what the invoice asks."""
    assert invoice.fields is not None
    amount = changes.pop("amount_msat", invoice.fields.amount_msat or 5000)
    fields: dict[str, Any] = {
        "key": key,
        "payment_hash": invoice.payment_hash,
        "amount_msat": amount,
        "cltv_expiry": HEIGHT + 24,
        "total_msat": amount,
        "onion_amount_msat": amount,
        "payment_secret": invoice.fields.payment_secret,
    }
    return HtlcArrived(**(fields | changes))


def is_refused(step: Step[Invoice]) -> bool:
    (event,) = told(step)
    assert not step.facts
    if isinstance(event, RejectHtlc):
        assert isinstance(decode_failure(event.message), IncorrectOrUnknownPaymentDetails)
        return True
    return False


def test_an_invoice_says_what_was_asked_for_and_is_signed_by_the_key_holder():
    command = CreateInvoice(ONE, Msat(100_000), "one coffee", label="coffee-1", expiry_s=600)
    opening = made(command)
    step = run(Invoice(opening.fields.payment_hash), opening)
    (answer,) = [action for action in step.actions if isinstance(action, Answer)]
    (request,) = answer.sign
    assert isinstance(request, SignInvoice)
    invoice = decode_invoice(sign_invoice(request, BOB_KEY))
    assert invoice.prefix == "lnbcrt"
    assert invoice.payee == point_of(BOB_KEY)
    assert (invoice.amount_msat, invoice.description, invoice.expiry_s) == (100_000, "one coffee", 600)
    assert invoice.payment_hash == sha256(opening.preimage)
    assert invoice.min_final_cltv_expiry_delta == 24
    assert invoice.features.bits() == (8, 14)
    assert answer.result == InvoiceCreated(
        invoice.payment_hash, invoice.payment_secret, invoice.expires_at, capacity_msat=Msat(0)
    )
    (keep,) = [action for action in step.actions if isinstance(action, Keep)]
    assert keep.row == LabelRow("coffee-1", invoice.payment_hash)
    assert keep.at == words.label_address("coffee-1")


def test_preimages_and_secrets_are_never_the_same_twice():
    world = env()
    first, second = (made(CreateInvoice(ONE, None), world) for _ in range(2))
    assert len({first.preimage, second.preimage, first.fields.payment_secret, second.fields.payment_secret}) == 4


def test_a_description_may_stand_as_its_hash():
    opening = made(CreateInvoice(ONE, None, "x" * 5000, description_hash=sha256(b"long")))
    assert (opening.fields.description, opening.fields.description_hash) == (None, sha256(b"long"))


@pytest.mark.parametrize(
    "wrong",
    [
        {"amount_msat": Msat(0)},
        {"amount_msat": Msat(-1)},
        {"description": "x" * 640},
        {"description": "\ud800"},
        {"label": "\ud800"},
        {"min_final_cltv_expiry_delta": 20},
    ],
)
def test_what_cannot_stand_in_an_invoice_is_refused_by_name(wrong):
    command = CreateInvoice(**({"command_id": ONE, "amount_msat": None} | wrong))
    assert desk.needs(command) == ()  # no row is looked up under a label that has no bytes
    with pytest.raises(words.InvoiceUnfit):
        made(command)


def test_a_label_names_one_invoice_only():
    command = CreateInvoice(ONE, None, label="a")
    row = LabelRow("a", an_invoice().payment_hash)
    assert desk.needs(command) == (words.label_address("a"),)
    with pytest.raises(words.LabelTaken) as caught:
        desk.decide(desk.Register(), Informed(command, (row,)), env())
    faulted = desk.decide(desk.Register(), Faulted(Informed(command, (row,)), caught.value), env())
    assert faulted.actions == [Answer(ONE, refused=caught.value)]
    assert told(desk.decide(desk.Register(), Informed(command, (None,)), env()))


def test_a_payment_hash_names_one_invoice_only():
    invoice = an_invoice()
    assert invoice.fields is not None
    again = OpenInvoice(TWO, invoice.fields, invoice.preimage, "", Msat(0))
    with pytest.raises(words.InvoiceExists) as caught:
        run(invoice, again)
    assert run(invoice, Faulted(again, caught.value)).actions == [Answer(TWO, refused=caught.value)]


def test_hints_use_the_alias_that_the_peer_gave_and_what_the_peer_asks():
    link = a_link(announced=False, scid=7, remote_alias=99, local_alias=5)
    asks = words.PeerTerms(link.channel_id, ForwardPolicy(2, 3, 40))
    (hint,) = route_hints(hinted([link], Msat(1000), None, HEIGHT), [asks])
    (hop,) = hint
    assert (hop.node_id, hop.short_channel_id) == (CAROL, 99)
    assert (hop.fee_base_msat, hop.fee_proportional_millionths, hop.cltv_expiry_delta) == (2, 3, 40)


def test_a_peer_that_has_not_said_what_it_asks_is_taken_to_ask_what_most_do():
    asks = words.PeerTerms(b"other" + bytes(27), ForwardPolicy(2, 3, 40))
    at = env(a_link(announced=False, remote_alias=99))
    (hint,) = made(CreateInvoice(ONE, None, peer_terms=(asks,)), at).fields.route_hints
    assert (hint[0].fee_base_msat, hint[0].fee_proportional_millionths, hint[0].cltv_expiry_delta) == (1000, 1, 80)


def test_a_channel_whose_peer_has_said_what_it_asks_is_named_before_one_whose_peer_has_not():
    said, silent = a_link(b"a" * 32, announced=False, scid=1), a_link(b"b" * 32, announced=False, scid=2)
    asks = words.PeerTerms(said.channel_id, ForwardPolicy(2, 3, 40))
    assert [hint[0].short_channel_id for hint in route_hints([silent, said], [asks])] == [1]
    assert [hint[0].short_channel_id for hint in route_hints([silent, said])] == [2, 1]


def test_hints_are_given_where_no_announced_channel_can_receive_the_amount():
    public = a_link()
    private = a_link(b"p" * 32, announced=False, remote_alias=99)
    assert hinted([public, private], Msat(1000), None, HEIGHT) == ()
    assert len(hinted([public, private], Msat(1000), True, HEIGHT)) == 1
    assert len(hinted([public.but(receivable_msat=999), private], Msat(1000), None, HEIGHT)) == 1
    assert hinted([private], Msat(1000), False, HEIGHT) == ()
    assert hinted([private.but(usable=False)], Msat(1000), True, HEIGHT) == ()
    assert hinted([private.but(receivable_msat=999)], Msat(1000), True, HEIGHT) == ()


def test_a_channel_that_is_not_deep_enough_to_be_announced_is_named_until_it_is():
    fresh = a_link(announced_at=HEIGHT + 1)
    assert hinted([fresh], Msat(1000), None, HEIGHT) == (fresh,)
    assert hinted([fresh], Msat(1000), None, HEIGHT + 1) == ()


def test_a_channel_without_a_name_gives_no_hint_and_one_with_a_real_one_may():
    nameless = a_link(announced=False, scid=None)
    assert hinted([nameless], None, True, HEIGHT) == ()
    assert hinted([nameless.but(scid=7, scid_alias_only=True)], None, True, HEIGHT) == ()
    assert route_hints(hinted([nameless.but(scid=7)], None, True, HEIGHT))[0][0].short_channel_id == 7


def test_the_roomiest_channels_give_the_few_hints():
    links = [a_link(bytes([n]) * 32, announced=False, remote_alias=n, receivable_msat=n * 10_000) for n in range(1, 7)]
    named = hinted(links, None, True, HEIGHT)
    assert [link.remote_alias for link in named] == [6, 5, 4]
    assert len(named) == MAX_HINTS


def test_an_htlc_that_pays_what_was_asked_gets_the_preimage():
    invoice = an_invoice()
    step = run(invoice, arrived(invoice))
    assert told(step) == [AcceptHtlc(INCOMING, invoice.preimage)]
    assert step.facts == [InvoicePaid(INCOMING, 100_000, 1_700_000_000)]
    assert room.ended(step.state) and room.wants(step.state) == ()


def test_the_same_htlc_told_again_gets_it_again_and_another_one_does_not():
    invoice = an_invoice()
    paid = run(invoice, arrived(invoice)).state
    again = run(paid, arrived(invoice))
    assert told(again) == [AcceptHtlc(INCOMING, invoice.preimage)] and not again.facts
    assert is_refused(run(paid, arrived(invoice, OTHER)))


def test_nothing_is_known_of_an_unknown_hash_and_nothing_is_kept():
    step = run(Invoice(b"u" * 32), arrived(an_invoice()))
    (event,) = told(step)
    assert isinstance(event, RejectHtlc) and not step.facts
    assert decode_failure(event.message) == IncorrectOrUnknownPaymentDetails(100_000, HEIGHT)


@pytest.mark.parametrize(
    "change",
    [
        {"payment_secret": b"x" * 32},
        {"payment_secret": None},
        {"amount_msat": 99_999},
        {"amount_msat": 200_001},
        {"total_msat": 150_000},
        {"cltv_expiry": HEIGHT + 20},
    ],
)
def test_an_htlc_that_differs_is_refused_with_the_same_words(change):
    invoice = an_invoice()
    assert is_refused(run(invoice, arrived(invoice, **change)))


@given(st.integers(1, 10**6))
def test_an_amount_between_once_and_twice_what_was_asked_is_taken(amount):
    invoice = an_invoice()
    step = run(invoice, arrived(invoice, amount_msat=amount))
    assert isinstance(told(step)[0], AcceptHtlc) == (100_000 <= amount <= 200_000)


def test_blocks_found_on_the_way_are_forgiven_within_the_margin():
    invoice = an_invoice()
    assert isinstance(told(run(invoice, arrived(invoice, cltv_expiry=HEIGHT + 21)))[0], AcceptHtlc)
    longer = an_invoice(min_final_cltv_expiry_delta=100)
    assert isinstance(told(run(longer, arrived(longer, cltv_expiry=HEIGHT + 97)))[0], AcceptHtlc)
    assert is_refused(run(longer, arrived(longer, cltv_expiry=HEIGHT + 96)))


def test_an_operator_who_wants_claims_to_be_gone_earlier_is_paid_earlier():
    policy = env().policy
    early = env(policy=policy.but(deadlines=policy.deadlines.but(fulfilled_deadline=40)))
    opening = made(CreateInvoice(ONE, Msat(100_000)), early)
    invoice = run(Invoice(opening.fields.payment_hash), opening, at=early).state
    assert opening.fields.min_final_cltv_expiry_delta == 46
    assert isinstance(told(run(invoice, arrived(invoice, cltv_expiry=HEIGHT + 43), at=early))[0], AcceptHtlc)
    assert is_refused(run(invoice, arrived(invoice, cltv_expiry=HEIGHT + 42), at=early))


def test_an_invoice_without_amount_takes_any():
    invoice = an_invoice(amount_msat=None)
    step = run(invoice, arrived(invoice, amount_msat=1))
    assert step.state.received_msat == 1


def test_an_expired_invoice_is_refused_and_lapses():
    invoice = an_invoice(expiry_s=60)
    assert room.wants(invoice) == (WantTime(1_700_000_060),)
    late = env(wall=1_700_000_060)
    assert is_refused(run(invoice, arrived(invoice), at=late))
    assert not run(invoice, TimeReached(1_700_000_059)).facts
    lapsed = run(invoice, TimeReached(1_700_000_060), at=late).state
    assert lapsed.status is Status.EXPIRED and room.ended(lapsed)
    assert is_refused(run(lapsed, arrived(invoice), at=late))


def test_whoever_waits_is_answered_once_when_it_is_paid():
    invoice = an_invoice()
    waiting = run(invoice, words.AwaitPaid(ONE), words.AwaitPaid(TWO), words.AwaitPaid(ONE)).state
    step = run(waiting, arrived(invoice))
    row = invoice_row(step.state)
    assert row is not None and (row.status, row.preimage, row.received_msat) == ("paid", invoice.preimage, 100_000)
    answers = [action for action in step.actions if isinstance(action, Answer)]
    assert answers == [Answer(ONE, row), Answer(TWO, row)]
    assert run(step.state, words.AwaitPaid(TWO)).actions == [Answer(TWO, row)]


def test_whoever_waits_in_vain_is_told_why():
    waiting = run(an_invoice(expiry_s=60), words.AwaitPaid(ONE)).state
    lapsed = run(waiting, TimeReached(0), at=env(wall=1_700_000_060))
    (answer,) = lapsed.actions
    assert isinstance(answer, Answer) and isinstance(answer.refused, words.InvoiceLapsed)
    canceled = run(waiting, words.Cancel(TWO))
    first, second = canceled.actions
    assert isinstance(first, Answer) and isinstance(first.refused, words.InvoiceCanceled)
    assert isinstance(second, Answer) and second.result == invoice_row(canceled.state)
    assert is_refused(run(canceled.state, arrived(waiting)))


def test_a_paid_invoice_cannot_be_taken_back_and_an_unknown_one_neither():
    invoice = an_invoice()
    with pytest.raises(words.InvoicePaidAlready):
        run(run(invoice, arrived(invoice)).state, words.Cancel(ONE))
    for event in (words.Cancel(ONE), words.AwaitPaid(ONE)):
        with pytest.raises(words.InvoiceUnknown):
            run(Invoice(b"u" * 32), event)


def test_the_number_of_waiting_callers_is_bounded():
    step = run(an_invoice(), *(words.AwaitPaid(CommandId(n.to_bytes(16, "big"))) for n in range(room.MAX_WAITERS + 1)))
    assert len(step.state.waiters) == room.MAX_WAITERS
    (answer,) = step.actions
    assert isinstance(answer, Answer) and isinstance(answer.refused, words.WaitedTooLong)


def test_a_preimage_is_not_shown_before_it_is_paid_for():
    row = invoice_row(an_invoice())
    assert row is not None and row.preimage is None and row.received_msat is None
    assert invoice_row(Invoice(b"u" * 32)) is None


def test_waiting_and_canceling_go_by_label_or_hash():
    invoice = an_invoice(label="a")
    row = LabelRow("a", invoice.payment_hash)
    for command, expected in (
        (WaitInvoice(ONE, "a"), words.AwaitPaid(ONE)),
        (words.CancelInvoice(ONE, "a"), words.Cancel(ONE)),
    ):
        step = desk.decide(desk.Register(), Informed(command, (row,)), env())
        (tell,) = step.actions
        assert isinstance(tell, Tell)
        assert (tell.to.key, tell.event) == (invoice.payment_hash, expected)
        with pytest.raises(words.InvoiceUnknown):
            desk.decide(desk.Register(), Informed(command, (None,)), env())
    by_hash = desk.decide(desk.Register(), WaitInvoice(ONE, payment_hash=invoice.payment_hash), env())
    assert told(by_hash) == [words.AwaitPaid(ONE)]
    with pytest.raises(words.InvoiceUnknown):
        desk.decide(desk.Register(), WaitInvoice(ONE), env())


def test_a_frozen_invoice_is_answered_for_by_the_register():
    (tell,) = desk.decide(desk.Register(), WaitInvoice(ONE, payment_hash=HASH), env()).actions
    assert isinstance(tell, Tell)
    frozen = MachineFrozen()
    assert desk.decide(desk.Register(), Undelivered(tell, frozen), env()).actions == [Answer(ONE, refused=frozen)]
    # What the invoice refused it has answered itself.
    assert desk.decide(desk.Register(), Undelivered(tell, words.InvoiceUnknown()), env()).actions == []


def test_strangers_events_are_refused_by_name():
    with pytest.raises(room.NotForAnInvoice):
        run(an_invoice(), AcceptHtlc(INCOMING, b"p" * 32))
    with pytest.raises(desk.NotForTheRegister):
        desk.decide(desk.Register(), AcceptHtlc(INCOMING, b"p" * 32), env())
