"""Two counters that pay each other over an unreliable link, with signatures: the smallest thing that has every law.

An *order* (one per command id) owns a payment until it is done and then goes cold. A *link* (one per peer) debits
itself when it commits to a batch of offers, credits itself when the peer's batch comes, and says again after a
reconnect what the peer may not have heard. Offers that are not committed are passing: forgotten on disconnection,
named to their owner, and offered again.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import Any, ClassVar

from fulmen.core.base.env import Env
from fulmen.core.base.faults import PeerFault, Refused, Remedy
from fulmen.core.base.ids import CommandId, NodeId
from fulmen.core.base.machine import (
    Address,
    CallerGone,
    Disconnected,
    Event,
    Fact,
    Faulted,
    Lull,
    Step,
    Story,
    Tell,
    Undelivered,
    evolves,
)
from fulmen.core.base.mount import Check, CheckFailed, Mount
from fulmen.core.base.outer import Answer, HangUp, Send, SignRequest, Want, WantConnection
from fulmen.core.base.record import Record

START_BALANCE = 1000


class Offer(Record):
    ref: CommandId
    amount: int


# ---- what goes over the link ---------------------------------------------------------------------


class Hello(Record):
    """After every connect: the number of the last batch that I credited."""

    received: int


class Pay(Record):
    number: int
    offers: tuple[Offer, ...]
    signature: bytes = b""


class Paid(Record):
    number: int


class SignPay(SignRequest):
    number: int


class PaySigned(Check):
    """The peer signed this batch."""

    peer: NodeId
    pay: Pay


# ---- events --------------------------------------------------------------------------------------


class Order(Event):
    """A caller asks for a payment."""

    command_id: CommandId
    to: NodeId
    amount: int


class Place(Event):
    """From an order to its link."""

    offer: Offer


class Forgotten(Event):
    """From a link to an order: its offer was never committed and is gone."""

    ref: CommandId


class Settled(Event):
    """From a link to an order: the peer has credited it."""

    ref: CommandId


class Linked(Event):
    """The connection to the peer stands."""


class Heard(Event):
    """The peer said this."""

    message: Record


class Break(Event):
    """Somebody finds a bug of ours."""


class Chatter(Event):
    """Tell another machine to chatter back, for ever."""

    to: Address


class BatchUnsigned(PeerFault):
    """The signature under a batch is not the peer's."""


class NumberOutOfOrder(PeerFault):
    """A batch came whose number is not the next one."""


class BalanceTooLow(Refused):
    """There is not enough left for this."""


# ---- the order -----------------------------------------------------------------------------------


class OrderState(Record):
    command_id: CommandId
    to: NodeId = NodeId(b"")
    amount: int = 0
    answer: str = ""


class Ordered(Fact):
    to: NodeId
    amount: int


class OrderDone(Fact):
    answer: str


@evolves(Ordered)
def _ordered(state: OrderState, fact: Ordered) -> OrderState:
    return state.but(to=fact.to, amount=fact.amount)


@evolves(OrderDone)
def _order_done(state: OrderState, fact: OrderDone) -> OrderState:
    return state.but(answer=fact.answer)


def decide_order(state: OrderState, event: Event, _env: Env) -> Step[OrderState]:
    step = Step(state)
    match event:
        case Order() if state.amount == 0:
            step.fact(Ordered(event.to, event.amount))
            return step.act(_place(step.state))
        case Order() if state.answer:
            return step.act(Answer(state.command_id, {"answer": state.answer}))
        case Forgotten() | CallerGone() if state.amount and not state.answer:
            return step.act(_place(state))
        case Settled() if state.amount and not state.answer:
            step.fact(OrderDone("paid"))
        case Undelivered() if state.amount and not state.answer:
            step.fact(OrderDone(event.fault.name))
        case _:
            return step
    about = Story(Address("order", state.command_id), "done", {"answer": step.state.answer})
    return step.act(about, Answer(state.command_id, {"answer": step.state.answer}))


def _place(state: OrderState) -> Tell:
    return Tell(Address("link", state.to), Place(Offer(state.command_id, state.amount)))


ORDER = Mount(
    kind="order",
    initial=lambda key: OrderState(CommandId(key)),
    decide=decide_order,
    crash=(CallerGone(),),
    ended=lambda state: bool(state.answer),
)


# ---- the link ------------------------------------------------------------------------------------


class Committed(Record):
    """A batch of ours that the peer has not acknowledged."""

    number: int
    offers: tuple[Offer, ...]


class LinkState(Record):
    peer: NodeId
    balance: int = START_BALANCE
    sent: int = 0
    received: int = 0
    unpaid: Committed | None = None
    connected: bool = False
    synced: bool = False
    offers: tuple[Offer, ...] = ()
    frozen: bool = False


class LinkUp(Fact):
    passing: ClassVar[bool] = True


class LinkSynced(Fact):
    passing: ClassVar[bool] = True


class LinkDown(Fact):
    passing: ClassVar[bool] = True


class Offered(Fact):
    passing: ClassVar[bool] = True
    offer: Offer


class BatchCommitted(Fact):
    """Durable, and it stands alone: it carries the offers (law 2a)."""

    batch: Committed


class BatchCredited(Fact):
    number: int
    amount: int


class BatchPaid(Fact):
    number: int


@evolves(LinkUp, LinkSynced, LinkDown, Offered, BatchCommitted, BatchCredited, BatchPaid)
def _link(state: LinkState, fact: Fact) -> LinkState:
    match fact:
        case LinkUp():
            return state.but(connected=True, synced=False)
        case LinkSynced():
            return state.but(synced=True)
        case LinkDown():
            return state.but(connected=False, synced=False, offers=())
        case Offered():
            return state.but(offers=(*state.offers, fact.offer))
        case BatchCommitted():
            refs = [offer.ref for offer in fact.batch.offers]
            return state.but(
                sent=fact.batch.number,
                unpaid=fact.batch,
                balance=state.balance - sum(offer.amount for offer in fact.batch.offers),
                offers=tuple(offer for offer in state.offers if offer.ref not in refs),
            )
        case BatchCredited():
            return state.but(received=fact.number, balance=state.balance + fact.amount)
        case _:
            return state.but(unpaid=None)


def decide_link(state: LinkState, event: Event, _env: Env) -> Step[LinkState]:
    step = Step(state)
    match event:
        case Linked():
            return step.fact(LinkUp()).act(Send(state.peer, Hello(state.received)))
        case Disconnected():
            for offer in state.offers:
                step.act(Tell(Address("order", offer.ref), Forgotten(offer.ref)))
            return step.fact(LinkDown()) if state != forget_link(state) else step
        case Place():
            return _place_offer(step, event.offer)
        case Lull():
            if state.synced and state.unpaid is None and state.offers:
                step.fact(BatchCommitted(Committed(state.sent + 1, state.offers)))
                step.act(_pay(step.state))
            return step
        case Heard():
            return _heard(step, event.message)
        case CheckFailed():
            raise BatchUnsigned("", Remedy.WARN_AND_CLOSE)
        case Faulted(fault=PeerFault()):
            return step.act(HangUp(state.peer, event.fault.name))
        case Break():
            step.fact(BatchCredited(999, 999))
            raise ZeroDivisionError("a bug of ours")
        case Chatter():
            return step.act(Tell(event.to, Chatter(Address("link", state.peer))))
        case _:
            return step


def _place_offer(step: Step[LinkState], offer: Offer) -> Step[LinkState]:
    state = step.state
    known = (*state.offers, *(state.unpaid.offers if state.unpaid else ()))
    if any(offer.ref == other.ref for other in known):
        return step
    if offer.amount > state.balance - sum(other.amount for other in state.offers):
        raise BalanceTooLow(balance=state.balance)
    return step.fact(Offered(offer))


def _heard(step: Step[LinkState], message: Record) -> Step[LinkState]:
    state = step.state
    match message:
        case Hello():
            if state.unpaid is not None and message.received < state.unpaid.number:
                step.act(_pay(state))
            elif state.unpaid is not None:
                _acknowledged(step)
            return step.fact(LinkSynced())
        case Pay():
            if message.number > state.received + 1:
                raise NumberOutOfOrder("", Remedy.WARN_AND_CLOSE, number=message.number)
            if message.number == state.received + 1:
                step.fact(BatchCredited(message.number, sum(offer.amount for offer in message.offers)))
            return step.act(Send(state.peer, Paid(message.number)))
        case Paid() if state.unpaid is not None and message.number == state.unpaid.number:
            return _acknowledged(step)
        case _:
            return step


def _acknowledged(step: Step[LinkState]) -> Step[LinkState]:
    batch = step.state.unpaid
    assert batch is not None
    step.fact(BatchPaid(batch.number))
    return step.act(*(Tell(Address("order", offer.ref), Settled(offer.ref)) for offer in batch.offers))


def _pay(state: LinkState) -> Send:
    assert state.unpaid is not None
    return Send(state.peer, Pay(state.unpaid.number, state.unpaid.offers), sign=(SignPay(state.unpaid.number),))


def forget_link(state: LinkState) -> LinkState:
    return state.but(connected=False, synced=False, offers=())


def link_checks(state: LinkState, event: Event, _env: Env) -> tuple[Check, ...]:
    if isinstance(event, Heard) and isinstance(event.message, Pay):
        return (PaySigned(state.peer, event.message),)
    return ()


def link_wants(state: LinkState) -> tuple[Want, ...]:
    return (WantConnection(state.peer),) if state.sent or state.received or state.offers else ()


class LinkView(Record):
    usable: bool
    balance: int


LINK = Mount(
    kind="link",
    initial=lambda key: LinkState(NodeId(key)),
    decide=decide_link,
    crash=(Disconnected(),),
    forget=forget_link,
    wants=link_wants,
    checks=link_checks,
    view=lambda state: LinkView(state.synced and not state.frozen, state.balance),
    takes_frozen=lambda _state, event: isinstance(event, Disconnected),
    frozen=lambda state, reason: state.but(frozen=reason is not None),
    lulls=True,
)

MOUNTS = (ORDER, LINK)


# ---- its key holder and verifier -----------------------------------------------------------------


def _signature(secret: bytes, pay: Pay) -> bytes:
    return sha256(secret + repr(pay.but(signature=b"")).encode()).digest()


@dataclass(frozen=True)
class ToyKeys:
    """Signs with a secret that both ends know."""

    secret: bytes = b"known to both"

    def remember(self, known: Any) -> None:
        raise AssertionError("toys have nothing to remember")

    def fill(self, action: Any) -> Any:
        return action.but(message=action.message.but(signature=_signature(self.secret, action.message)), sign=())

    def verify(self, checks: tuple[Check, ...]) -> Check | None:
        for check in checks:
            assert isinstance(check, PaySigned)
            if check.pay.signature != _signature(self.secret, check.pay):
                return check
        return None
