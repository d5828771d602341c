"""Two ends of a channel, with real keys, and toys that pay and are paid over it."""

from __future__ import annotations

import enum
from typing import Any

from tests.builders.env import an_env

from fulmen.adapters.keys.in_process import InProcessKeys
from fulmen.core.base.env import Env
from fulmen.core.base.ids import CommandId, HtlcKey, NodeId, OutPoint, PaymentHash, Preimage, Txid, channel_id_of
from fulmen.core.base.machine import (
    Address,
    CallerGone,
    Event,
    Fact,
    Lull,
    Step,
    Tell,
    Topic,
    Undelivered,
    evolves,
    to_channel,
)
from fulmen.core.base.mount import Mount
from fulmen.core.base.outer import Answer
from fulmen.core.base.record import Record
from fulmen.core.base.units import BlockHeight, CltvDelta, FeeratePerKw, Msat, Sat
from fulmen.core.channel.facts import Opened
from fulmen.core.channel.funding import ChannelBorn
from fulmen.core.channel.opening import first_view
from fulmen.core.commitments.commitment import REMOTE
from fulmen.core.commitments.htlcs import (
    Failed,
    FailHtlc,
    Fulfilled,
    FulfillHtlc,
    HtlcLockedIn,
    HtlcOffered,
    HtlcRemoved,
    OfferForgotten,
    OfferHtlc,
    OfferRefused,
)
from fulmen.core.commitments.params import ChannelParams, Funding, PartyParams
from fulmen.core.crypto.hashes import sha256
from fulmen.core.node.retention import MOUNT as RETENTION
from fulmen.core.signer.signing import sign_commitment
from fulmen.core.transactions.formats import ANCHORS_ZERO_FEE_HTLC
from fulmen.core.wire.features import (
    OPTION_ANCHORS,
    OPTION_SHUTDOWN_ANYSEGWIT,
    OPTION_STATIC_REMOTEKEY,
    Features,
    optional,
)

FUNDING = OutPoint(Txid(bytes(range(32))), 1)
CHANNEL_ID = channel_id_of(FUNDING)
CHANNEL = Address("channel", CHANNEL_ID)
CAPACITY_SAT = Sat(1_000_000)
FEATURES = optional(OPTION_STATIC_REMOTEKEY, OPTION_ANCHORS, OPTION_SHUTDOWN_ANYSEGWIT).to_bytes()
KEY_INDEX = 7


def keys_of(name: str) -> InProcessKeys:
    """The keys of a host."""
    return InProcessKeys(sha256(name.encode()))


def env_of(name: str, **changes: Any) -> Env:
    """An Env with real keys behind it."""
    keys = keys_of(name)
    return an_env(
        name.encode(),
        ecdh=keys.ecdh,
        basepoints=keys.basepoints,
        per_commitment_point=keys.per_commitment_point,
        **changes,
    )


def terms_of(name: str, key_index: int = KEY_INDEX, **changes: Any) -> PartyParams:
    """What a side announces."""
    fields: dict[str, Any] = {
        "dust_limit_sat": Sat(354),
        "max_htlc_value_in_flight_msat": Msat(CAPACITY_SAT * 1000),
        "channel_reserve_sat": Sat(10_000),
        "htlc_minimum_msat": Msat(1),
        "to_self_delay": CltvDelta(144),
        "max_accepted_htlcs": 483,
        "basepoints": keys_of(name).basepoints(key_index),
    }
    return PartyParams(**(fields | changes))


_honest = terms_of


def terms_of_a_copycat(name: str, key_index: int = KEY_INDEX, **changes: Any) -> PartyParams:
    """As `terms_of`, but bob announces alice's `payment_basepoint` as his own."""
    keys = keys_of(name).basepoints(key_index)
    copied = keys_of("alice").basepoints(key_index).payment_basepoint
    return _honest(name, key_index, **{"basepoints": keys.but(payment_basepoint=copied), **changes})


def born(
    name: str,
    other: str,
    other_id: NodeId,
    *,
    is_opener: bool,
    format: str = ANCHORS_ZERO_FEE_HTLC.name,
    feerate: int = 1000,
    opener_msat: int = 600_000_000,
    minimum_depth: int = 0,
    point: OutPoint = FUNDING,
    key_index: int = KEY_INDEX,
) -> ChannelBorn:
    """How one end begins; the other end's signature on its first commitment is real."""
    kind = Features.of(OPTION_STATIC_REMOTEKEY)
    if format == ANCHORS_ZERO_FEE_HTLC.name:
        kind |= Features.of(OPTION_ANCHORS)

    def opened(here: str, there: str, there_id: NodeId, opens: bool) -> Opened:
        params = ChannelParams(
            channel_id_of(point),
            there_id,
            key_index,
            opens,
            False,
            kind.to_bytes(),
            format,
            minimum_depth,
            terms_of(here, key_index),
            terms_of(there, key_index),
        )
        ours = opener_msat if opens else CAPACITY_SAT * 1000 - opener_msat
        return Opened(
            params,
            Funding(point, CAPACITY_SAT, format),
            FeeratePerKw(feerate),
            Msat(ours),
            Msat(CAPACITY_SAT * 1000 - ours),
            keys_of(there).per_commitment_point(key_index, 0),
            BlockHeight(100),
        )

    here = opened(name, other, other_id, is_opener)
    theirs = first_view(opened(other, name, other_id, not is_opener), env_of(other))
    # The peer signs our commitment: to it, that is the remote one.
    ours_seen_from_peer = theirs.but(side=REMOTE, per_commitment_point=keys_of(name).per_commitment_point(key_index, 0))
    secrets = keys_of(other)._of(key_index)
    signature, _ = sign_commitment(ours_seen_from_peer, secrets)
    return ChannelBorn(here.but(funding=here.funding.but(peer_signature=signature)), FEATURES, FEATURES)


# -- a payer and a payee ----------------------------------------------------------------------------------------------


def preimage_of(number: int) -> Preimage:
    """The preimage of the toy payment with this number."""
    return Preimage(sha256(b"preimage" + number.to_bytes(8, "big")))


class Outcome(enum.IntEnum):
    """How a toy payment stands."""

    NEW = 0
    PENDING = 1
    PAID = 2
    FAILED = 3


class PayToy(Event):
    """To a toy payer: pay this much over the channel."""

    command_id: CommandId
    number: int
    amount_msat: Msat
    cltv_expiry: BlockHeight = BlockHeight(500)


class ToyPayer(Record):
    """One payment."""

    key: bytes
    order: PayToy | None = None
    outcome: Outcome = Outcome.NEW
    attempt: int = 0


class ToyOrdered(Fact):
    """A payment was asked for."""

    order: PayToy


class ToyEnded(Fact):
    """A payment has its outcome."""

    outcome: Outcome


@evolves(ToyOrdered)
def _ordered(state: ToyPayer, fact: ToyOrdered) -> ToyPayer:
    return state.but(order=fact.order, outcome=Outcome.PENDING)


@evolves(ToyEnded)
def _ended(state: ToyPayer, fact: ToyEnded) -> ToyPayer:
    return state.but(outcome=fact.outcome)


payer = Topic()


@payer.on(PayToy)
def _pay(state: ToyPayer, event: PayToy, _env: Env) -> Step[ToyPayer]:
    if state.order is not None:
        return Step(state)
    step = Step(state).fact(ToyOrdered(event))
    return step.act(_offer(step.state))


def _offer(state: ToyPayer) -> Tell:
    assert state.order is not None
    offer = OfferHtlc(
        Address("payer", state.key),
        0,
        state.order.amount_msat,
        PaymentHash(sha256(preimage_of(state.order.number))),
        state.order.cltv_expiry,
        state.order.number.to_bytes(8, "big") + bytes(1358),
    )
    return to_channel(CHANNEL_ID, offer)


@payer.on(Fulfilled)
def _fulfilled(state: ToyPayer, _event: Fulfilled, _env: Env) -> Step[ToyPayer]:
    assert state.outcome is not Outcome.FAILED, "paid after it failed"
    return _end(state, Outcome.PAID)


@payer.on(Failed, OfferRefused, OfferForgotten)
def _failed(state: ToyPayer, _event: Event, _env: Env) -> Step[ToyPayer]:
    assert state.outcome is not Outcome.PAID, "failed after it was paid"
    return _end(state, Outcome.FAILED)


def _end(state: ToyPayer, outcome: Outcome) -> Step[ToyPayer]:
    step = Step(state)
    if state.outcome is Outcome.PENDING:
        assert state.order is not None
        step.fact(ToyEnded(outcome)).act(Answer(state.order.command_id, outcome.name))
    return step


@payer.on(CallerGone)
def _restarted(state: ToyPayer, _event: CallerGone, _env: Env) -> Step[ToyPayer]:
    """The offer may never have been in a signed commitment: offer it again, which does nothing if it was."""
    step = Step(state)
    return step.act(_offer(state)) if state.outcome is Outcome.PENDING else step


@payer.on(HtlcOffered, Undelivered)
def _offered(state: ToyPayer, _event: Event, _env: Env) -> Step[ToyPayer]:
    return Step(state)


class ToyCircuit(Record):
    """What becomes of one received HTLC: paid when its number is even, given back when it is odd."""

    key: HtlcKey | None = None
    preimage: Preimage | None = None
    removed: bool = False


class ToyTaken(Fact):
    """The HTLC was seen; with a preimage, it is claimed."""

    key: HtlcKey
    preimage: Preimage | None


class ToyRemoved(Fact):
    """The HTLC is gone."""


@evolves(ToyTaken)
def _taken(state: ToyCircuit, fact: ToyTaken) -> ToyCircuit:
    return state.but(key=fact.key, preimage=fact.preimage)


@evolves(ToyRemoved)
def _removed(state: ToyCircuit, _: ToyRemoved) -> ToyCircuit:
    return state.but(removed=True)


circuit = Topic()


@circuit.on(HtlcLockedIn)
def _locked_in(state: ToyCircuit, event: HtlcLockedIn, _env: Env) -> Step[ToyCircuit]:
    step = Step(state)
    assert not state.removed, "told of an HTLC that is gone"
    key = event.htlc.key
    if state.key is None:
        number = int.from_bytes(event.onion[:8], "big")
        preimage = preimage_of(number) if number % 2 == 0 else None
        step.fact(ToyTaken(key, preimage))
    taken = step.state
    if taken.preimage is not None:
        return step.act(to_channel(CHANNEL_ID, FulfillHtlc(key, taken.preimage)))
    return step.act(to_channel(CHANNEL_ID, FailHtlc(key, b"no" * 128)))


@circuit.on(HtlcRemoved)
def _gone(state: ToyCircuit, _event: HtlcRemoved, _env: Env) -> Step[ToyCircuit]:
    return Step(state) if state.removed else Step(state).fact(ToyRemoved())


class Nobody(Record):
    """A machine that hears everything and does nothing."""


def _hear(state: Nobody, _event: Event, _env: Env) -> Step[Nobody]:
    return Step(state)


def _decide(topic: Topic) -> Any:
    def decide(state: Any, event: Event, env: Env) -> Step[Any]:
        if isinstance(event, Lull):
            return Step(state)
        handler = topic.get(type(event))
        assert handler is not None, f"{type(event).__name__} is unknown to the toy"
        step: Step[Any] = handler(state, event, env)
        return step

    return decide


TOYS = (
    Mount(kind="payer", initial=ToyPayer, decide=_decide(payer), crash=(CallerGone(),)),
    Mount(kind="circuit", initial=lambda _key: ToyCircuit(), decide=_decide(circuit)),
    Mount(kind="peer", initial=lambda _key: Nobody(), decide=_hear),
    Mount(kind="wallet", initial=lambda _key: Nobody(), decide=_hear),
    Mount(kind="onchain", initial=lambda _key: Nobody(), decide=_hear),
    RETENTION,
)
