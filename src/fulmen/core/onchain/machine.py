"""The machine of one channel's end on the chain: who tells it what, and what it wants to be in place."""

from __future__ import annotations

from functools import partial

from fulmen.core.base.env import Env
from fulmen.core.base.faults import Malformed, Refused
from fulmen.core.base.funds import FeeAttached, FeeRefused, ScriptGiven
from fulmen.core.base.ids import BlockHash
from fulmen.core.base.machine import Address, Event, Faulted, Lull, Step, Story, Topic, Undelivered
from fulmen.core.base.mount import Informed, Mount
from fulmen.core.base.outer import (
    Block,
    ChainRewound,
    HeightReached,
    Notify,
    OutputSpent,
    PublishFailed,
    TxConfirmed,
    TxGone,
    Want,
    WantHeight,
    WantMempoolWatch,
    WantPublished,
    WantSpendWatch,
)
from fulmen.core.base.stretch import Stretch
from fulmen.core.base.units import BlockHeight
from fulmen.core.bitcoin.transaction import Tx, parse_tx
from fulmen.core.commitments.close import (
    ChannelSpent,
    ChannelUnspent,
    ClaimHtlc,
    CommitmentPublished,
    CommitmentSeen,
    CommitmentWithdrawn,
)
from fulmen.core.commitments.htlcs import Htlc
from fulmen.core.commitments.revoked import kept_of, revoked_htlcs
from fulmen.core.onchain.claims import claim_all, detach, voided
from fulmen.core.onchain.classify import Kind, kind_of
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
    ReceivedPreimageKnown,
)
from fulmen.core.onchain.fates import learn_preimages, tell_dead
from fulmen.core.onchain.htlc_txs import lot_in, outpoint_of, with_fee
from fulmen.core.onchain.lifting import CHILD, child_in, lift, unconfirmed_roots
from fulmen.core.onchain.matters import Matter, Purpose, second_stage_in
from fulmen.core.onchain.raising import raise_all
from fulmen.core.onchain.resolution import resolve
from fulmen.core.onchain.revoked_close import revoked_number
from fulmen.core.onchain.showing import view
from fulmen.core.onchain.state import Claim, Ending, Onchain, Publishing, SecondStage, Taken, initial

KIND = "onchain"
NO_BLOCK = BlockHash(bytes(32))

onchain = Topic()

_ALARMS = {
    Kind.REVOKED: "the peer published a commitment that it had revoked",
    Kind.BEYOND: "the peer published a commitment newer than any we know: HTLCs are lost, our balance is taken",
    Kind.UNKNOWN: "the funding was spent in a way that we do not know: keys may have leaked, and funds may be lost",
}


class ChainSaidNonsense(Refused):
    """The chain source gave a transaction that cannot be read."""


class NotForOnchain(Refused):
    """There is no handler for this event."""


# -- from the channel -------------------------------------------------------------------------------------------------


@onchain.on(CommitmentPublished)
def on_commitment_published(state: Onchain, event: CommitmentPublished, env: Env) -> Step[Onchain]:
    """Our commitment is on its way: see that its fee is enough."""
    step = Step(state)
    before = state.publishing
    since = before.since if before is not None and before.commitment == event.commitment else env.height
    publishing = Publishing(event.commitment, since, event.claimable)
    if before != publishing:
        step.fact(OursPublished(publishing))
    return step.then(partial(_go_on, env=env))


@onchain.on(CommitmentWithdrawn)
def on_commitment_withdrawn(state: Onchain, _event: CommitmentWithdrawn, _env: Env) -> Step[Onchain]:
    """A mutual close came first, and no commitment will be mined: the coins of its child are free again."""
    if (state.publishing is None and state.coming is None) or state.ending is not None:
        return Step(state)
    step = Step(state).fact(OursWithdrawn())
    return step.act(*voided(state, step.state))


@onchain.on(Informed)
def on_informed(state: Onchain, informed: Informed, env: Env) -> Step[Onchain]:
    """The funding is spent by an old commitment of the peer: the HTLCs that were kept of it come with the news."""
    event, revoked = informed.event, revoked_htlcs(state.channel_id, informed.rows[0])
    if isinstance(event, CommitmentSeen):
        return on_commitment_seen(state, event, env, revoked)
    assert isinstance(event, ChannelSpent)
    return on_channel_spent(state, event, env, revoked)


@onchain.on(CommitmentSeen)
def on_commitment_seen(
    state: Onchain, event: CommitmentSeen, env: Env, revoked: tuple[Htlc, ...] = ()
) -> Step[Onchain]:
    """A commitment is in the mempool: its outputs are watched for preimages, and a cheat is punished at once."""
    step = Step(state)
    if state.ending is not None or (state.coming is not None and state.coming.tx == event.tx):
        return step
    tx = _parsed(event.tx)
    kind = kind_of(event.close, tx)
    next_block = Block(BlockHeight(env.height + 1), NO_BLOCK)
    step.fact(CloseComing(Ending(event.close, event.tx, next_block, kind, revoked if kind is Kind.REVOKED else ())))
    if kind is Kind.REVOKED:
        about = {"channel_id": state.channel_id.hex(), "txid": tx.txid[::-1].hex(), "kind": kind.value}
        step.act(Notify("alarm", about | {"text": "the mempool has a commitment that the peer had revoked"}))
    return step.then(partial(_go_on, env=env))


@onchain.on(ChannelSpent)
def on_channel_spent(state: Onchain, event: ChannelSpent, env: Env, revoked: tuple[Htlc, ...] = ()) -> Step[Onchain]:
    """The funding is spent in a block: find out by what, and take what is ours."""
    step = Step(state)
    before = state.ending
    if before is not None and (before.tx, before.block) == (event.tx, event.block):
        return step
    tx = _parsed(event.tx)
    kind = kind_of(event.close, tx)
    step.fact(CloseSeen(event.close, event.tx, event.block, kind, revoked if kind is Kind.REVOKED else ()))
    about = {"channel_id": state.channel_id.hex(), "txid": tx.txid[::-1].hex(), "kind": kind.value}
    step.act(*voided(state, step.state), Story(Address("channel", state.channel_id), "closed on the chain", about))
    if kind in _ALARMS:
        # BOLT 5: "MUST inform the user of potentially lost funds"; "MUST warn the user of potentially lost funds."
        step.act(Notify("alarm", about | {"text": _ALARMS[kind]}))
    return step.then(partial(_go_on, env=env))


@onchain.on(ChannelUnspent)
def on_channel_unspent(state: Onchain, _event: ChannelUnspent, _env: Env) -> Step[Onchain]:
    """The block with the spend left the chain: begin again with the next."""
    return Step(state) if state.ending is None else Step(state).fact(CloseUndone())


@onchain.on(ClaimHtlc)
def on_claim_htlc(state: Onchain, event: ClaimHtlc, env: Env) -> Step[Onchain]:
    """The preimage of an HTLC that we received is known now."""
    step = Step(state)
    if event.key in state.preimage_of or state.ending is None:
        return step
    return step.fact(ReceivedPreimageKnown(event.key, event.preimage)).then(partial(_go_on, env=env))


# -- from the chain ---------------------------------------------------------------------------------------------------


@onchain.on(OutputSpent)
def on_output_spent(state: Onchain, event: OutputSpent, env: Env) -> Step[Onchain]:
    """An output that matters is spent. Preimages count from the mempool on, all else from a block.

    Who spends it before us in the mempool has pushed our transaction out of it, and with it all that it took besides:
    that is taken anew at once. What follows from a block waits for the height that comes with every block, so that
    hundreds of outputs that are spent in one are looked at together.

    Raises:
        ChainSaidNonsense: the transaction cannot be read.
    """
    matter = state.matters.get(event.outpoint)
    if matter is None:
        return Step(state)
    tx = _parsed(event.tx)
    step = learn_preimages(state, tx)
    if event.block is None:
        if event.outpoint in state.is_contested or _is_ours(state, matter, tx):
            return step
        step.fact(OutputContested(event.outpoint))
        step.act(*voided(state, step.state))
        return step.then(partial(_go_on, env=env))
    found = second_stage_in(matter, tx)
    taken = Taken(event.outpoint, tx.txid, event.block, None if found is None else SecondStage(*found))
    if state.ending is not None and state.taken_by.get(event.outpoint) != taken:
        step.fact(OutputTaken(taken))
        step.act(*voided(state, step.state))
    return step


def _is_ours(state: Onchain, matter: Matter, tx: Tx) -> bool:
    """Whether a transaction takes an output as only we can: each way to spend one asks for another key."""
    witness = next((spent.witness for spent in tx.inputs if spent.outpoint == matter.outpoint), ())
    if matter.htlc_tx is not None:
        # Both signatures: an HTLC transaction, of which we alone have the peer's half.
        return len(witness) == 5
    spend = matter.spend_with(state.preimage_for(matter))
    return spend is not None and witness[1:] == spend.rest


@onchain.on(TxConfirmed)
def on_tx_confirmed(state: Onchain, _event: TxConfirmed, _env: Env) -> Step[Onchain]:
    """A transaction of ours is in a block: what it took says so itself."""
    return Step(state)


@onchain.on(TxGone)
def on_tx_gone(state: Onchain, event: TxGone, _env: Env) -> Step[Onchain]:
    """The commitment has left the mempool: while the channel lives on, nothing hangs on it any more.

    Where the channel has failed, one of the commitments will be mined: then what was prepared stays.
    """
    coming = state.coming
    if coming is None or coming.txid != event.txid or state.ending is not None or state.publishing is not None:
        return Step(state)
    step = Step(state).fact(CloseVanished())
    return step.act(*voided(state, step.state))


@onchain.on(HeightReached)
def on_height_reached(state: Onchain, _event: HeightReached, env: Env) -> Step[Onchain]:
    """A block: some outputs are ripe now, some spends deep enough."""
    return _go_on(state, env)


@onchain.on(ChainRewound)
def on_chain_rewound(state: Onchain, event: ChainRewound, _env: Env) -> Step[Onchain]:
    """Blocks left the chain: what was spent in them waits again, and our transactions with it.

    BOLT 5: "MUST be prepared to resolve outputs multiple times, in case of blockchain reorganizations."
    """
    if all(taken.block.height <= event.to for taken in state.taken):
        return Step(state)
    return Step(state).fact(BlocksUndone(event.to))


@onchain.on(PublishFailed)
def on_publish_failed(state: Onchain, event: PublishFailed, _env: Env) -> Step[Onchain]:
    """A transaction was refused: it is tried again with the next block; the operator hears why."""
    about = {"channel_id": state.channel_id.hex(), "publish_failed": event.name, "reason": event.reason}
    return Step(state).act(Notify("onchain", about | {"txid": event.txid[::-1].hex()}))


# -- from the wallet --------------------------------------------------------------------------------------------------


@onchain.on(ScriptGiven)
def on_script_given(state: Onchain, event: ScriptGiven, env: Env) -> Step[Onchain]:
    """Where everything is swept to, from now on."""
    if state.destination:
        return Step(state)
    return Step(state).fact(DestinationSet(event.script_pubkey)).then(partial(_go_on, env=env))


@onchain.on(FeeAttached)
def on_fee_attached(state: Onchain, event: FeeAttached, env: Env) -> Step[Onchain]:
    """The wallet pays for a transaction of ours; if it is not needed any more, the coins go back."""
    step = Step(state)
    if any((claim.wallet_ref, claim.tx) == (event.ref, event.tx) for claim in state.claims):
        return step
    claim = _claim_of(state, event)
    return step.act(detach(event.ref)) if claim is None else step.fact(ClaimDecided(claim, env.height))


@onchain.on(FeeRefused)
def on_fee_refused(state: Onchain, event: FeeRefused, _env: Env) -> Step[Onchain]:
    """The wallet cannot pay: it is asked again with the next block; the operator hears what is missing."""
    outpoint = outpoint_of(event.ref)
    about = {"channel_id": state.channel_id.hex(), "output": str(outpoint), "why": event.why, "text": event.text}
    return Step(state).act(Notify("alarm", about))


def _claim_of(state: Onchain, event: FeeAttached) -> Claim | None:
    if state.ending is None:
        return child_in(state, event, parse_tx(event.tx).inputs[0].outpoint)
    lot = lot_in(state, event.tx)
    return None if lot is None else with_fee(state, state.ending, lot, event)


# -- what went wrong --------------------------------------------------------------------------------------------------


@onchain.on(Faulted)
def on_faulted(state: Onchain, event: Faulted, _env: Env) -> Step[Onchain]:
    """An event was refused: the log has it."""
    about = {"channel_id": state.channel_id.hex(), "event": type(event.event).__name__, "fault": str(event.why)}
    return Step(state).act(Notify("onchain", about))


@onchain.on(Undelivered)
def on_undelivered(state: Onchain, event: Undelivered, _env: Env) -> Step[Onchain]:
    """Somebody did not take what we said: the wallet is asked again, an owner may be gone; the log has it."""
    told = type(event.action.event).__name__
    about = {"channel_id": state.channel_id.hex(), "undelivered": told, "to": str(event.action.to)}
    return Step(state).act(Notify("onchain", about))


# -- the machine ------------------------------------------------------------------------------------------------------


def needs(event: Event) -> tuple[Stretch, ...]:
    """What was kept of the HTLCs of a commitment that the peer has revoked, when one is in a block."""
    if not isinstance(event, ChannelSpent | CommitmentSeen):
        return ()
    number = revoked_number(event.close, event.tx)
    return () if number is None else (kept_of(event.close.params.channel_id, number),)


def decide(state: Onchain, event: Event, env: Env) -> Step[Onchain]:
    """Hand an event to its handler; what is over hears nothing any more.

    Raises:
        NotForOnchain: it has none.
    """
    if state.resolved or isinstance(event, Lull):
        return Step(state)
    handler = onchain.get(type(event))
    if handler is None:
        raise NotForOnchain(event=type(event).__name__)
    step: Step[Onchain] = handler(state, event, env)
    return step


def wants(state: Onchain) -> tuple[Want, ...]:
    """Every output that matters watched, every transaction of ours published that can still take one, every block."""
    if _is_idle(state):
        return ()
    if state.ending is None:
        watches: list[Want] = [
            WantSpendWatch(matter.outpoint, matter.script_pubkey) for matter in state.matters.values()
        ]
        if state.publishing is None:
            assert state.coming is not None
            watches.append(WantMempoolWatch(state.coming.txid, (state.coming.close.funding.outpoint,)))
        return (WantHeight(BlockHeight(0)), *watches, *_children(state))
    watches = [
        WantSpendWatch(matter.outpoint, matter.script_pubkey, matter.height)
        for matter in state.matters.values()
        if matter.purpose is not Purpose.ANCHOR or matter.outpoint in state.claim_on
    ]
    published = [
        WantPublished(claim.name, claim.tx, claim.sign)
        for claim in state.claims
        if not any(outpoint in state.taken_by or outpoint not in state.matters for outpoint in claim.outpoints)
    ]
    return (WantHeight(state.ending.block.height), *watches, *published)


def _children(state: Onchain) -> list[WantPublished]:
    """What may follow a commitment before a block has it: children of anchors, and penalties."""
    roots = unconfirmed_roots(state)
    wanted = []
    for claim in state.claims:
        matter = state.matters.get(claim.outpoints[0])
        if claim.root in roots and (claim.name == CHILD or (matter is not None and matter.punished is not None)):
            parents = (roots[claim.root],) if roots[claim.root] else ()
            wanted.append(WantPublished(claim.name, claim.tx, claim.sign, parents))
    return wanted


def _is_idle(state: Onchain) -> bool:
    """Over, or not begun: nothing is published and nothing watched."""
    return state.resolved or (state.spend is None and state.publishing is None)


def _go_on(state: Onchain, env: Env) -> Step[Onchain]:
    """Whatever time and news have made possible: take outputs, pay more for them, tell owners, be done."""
    step = claim_all(state, env).then(partial(raise_all, env=env)).then(partial(lift, env=env))
    return step.then(partial(tell_dead, env=env)).then(partial(resolve, env=env))


def _parsed(raw: bytes) -> Tx:
    try:
        return parse_tx(raw)
    except Malformed as fault:
        raise ChainSaidNonsense(str(fault)) from None


MOUNT = Mount(
    kind=KIND,
    initial=initial,
    decide=decide,
    wants=wants,
    view=view,
    needs=needs,
    ended=_is_idle,
    takes_frozen=lambda _state, _event: True,
)
