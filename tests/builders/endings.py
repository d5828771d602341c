"""What alice's onchain machine knows of a close, as values: no chain, no wallet, and nothing decided yet."""

from __future__ import annotations

from typing import TypeVar

from tests.builders.onchain import Planned
from tests.builders.papers import Papers

from fulmen.core.base.ids import BlockHash, HtlcKey, OutPoint, Txid
from fulmen.core.base.machine import Action, Event, Fact, Step, Tell, evolve
from fulmen.core.base.outer import Block
from fulmen.core.base.stretch import Found, found, held
from fulmen.core.base.units import BlockHeight, FeeratePerKw, Sat
from fulmen.core.bitcoin.script import p2wpkh
from fulmen.core.bitcoin.transaction import Tx
from fulmen.core.commitments.building import build
from fulmen.core.commitments.close import ChannelSpent
from fulmen.core.commitments.revoked import kept_of, revoked_htlcs
from fulmen.core.commitments.view import CommitmentView
from fulmen.core.onchain.classify import Kind
from fulmen.core.onchain.facts import CloseSeen, OutputTaken
from fulmen.core.onchain.matters import Matter, Purpose
from fulmen.core.onchain.state import Claim, Ending, Onchain, Publishing, SecondStage, Taken, initial
from fulmen.core.transactions.formats import ANCHORS_ZERO_FEE_HTLC, STATIC_REMOTEKEY

ANCHORS, STATIC = ANCHORS_ZERO_FEE_HTLC.name, STATIC_REMOTEKEY.name
DESTINATION = p2wpkh(b"\x0a" * 20)
FIRST = 501
"""The height of the block that holds the close; `Papers` reckon expiries from 500."""
KINDS = {"alice": Kind.LOCAL, "bob": Kind.REMOTE, "bob_next": Kind.REMOTE_NEXT, "bob_last": Kind.REVOKED}

F = TypeVar("F", bound=Fact)
E = TypeVar("E", bound=Event)
A = TypeVar("A", bound=Action)


def block(height: int, name: bytes = b"") -> Block:
    """A block of this height."""
    return Block(BlockHeight(height), BlockHash(name.ljust(32, b"\0")))


def view_of(papers: Papers, which: str) -> CommitmentView:
    """A commitment as alice sees it."""
    number = {"alice": 5, "bob": 5, "bob_next": 6, "bob_last": 4}[which]
    return papers._commitment("alice", which, number)


def tx_of(papers: Papers, which: str) -> Tx:
    """A commitment transaction, without signatures."""
    return build(view_of(papers, which)).tx


def found_rows(papers: Papers) -> Found:
    """What alice's channel has kept of HTLCs that are in the revoked commitment alone, as a store finds it."""
    wanted = kept_of(papers.channel_id, 4)
    return found(wanted, held(wanted, {kept.at: kept.row for kept in papers.kept()}))


def ending(papers: Papers, which: str, height: int = FIRST) -> Ending:
    """The funding is spent by this commitment."""
    revoked = revoked_htlcs(papers.channel_id, found_rows(papers)) if which == "bob_last" else ()
    return Ending(papers.at_close("alice"), tx_of(papers, which).serialize(), block(height), KINDS[which], revoked)


def unspent(papers: Papers) -> Onchain:
    """Nothing has happened; the wallet has given a script."""
    return initial(papers.channel_id).but(destination=DESTINATION)


def closed(papers: Papers, which: str, height: int = FIRST) -> Onchain:
    """A commitment is in a block, and nothing is decided."""
    end = ending(papers, which, height)
    return evolve(unspent(papers), CloseSeen(end.close, end.tx, end.block, end.kind, end.revoked))


def seen(papers: Papers, which: str, height: int = FIRST) -> Onchain:
    """A commitment is in the mempool, and the next block has this height."""
    return unspent(papers).but(coming=ending(papers, which, height))


def published(papers: Papers, since: int = FIRST - 1, *claimable: Planned) -> Onchain:
    """The channel publishes our commitment."""
    keys = tuple([planned.key("alice", papers.channel_id) for planned in claimable])
    return unspent(papers).but(publishing=Publishing(view_of(papers, "alice"), BlockHeight(since), keys))


def spent(papers: Papers, which: str, height: int = FIRST) -> ChannelSpent:
    """What the channel says of a commitment in a block."""
    return ChannelSpent(papers.at_close("alice"), tx_of(papers, which).serialize(), block(height))


def the(state: Onchain, purpose: Purpose) -> Matter:
    """The one output of this purpose."""
    [found] = [matter for matter in state.matters.values() if matter.purpose is purpose]
    return found


def key_of(papers: Papers, planned: Planned) -> HtlcKey:
    return planned.key("alice", papers.channel_id)


def output_of(papers: Papers, state: Onchain, planned: Planned) -> Matter:
    """The output of an HTLC."""
    key = key_of(papers, planned)
    [found] = [m for m in state.matters.values() if m.output is not None and m.output.key == key]
    return found


def a_claim(state: Onchain, *matters: Matter, feerate: int = 500, ref: bytes = b"", fee: int = 300) -> Claim:
    """A transaction of ours that takes these."""
    spend = state.spend
    root = Txid(bytes(32)) if spend is None else spend.txid
    tx = b"claim of " + b"".join([matter.outpoint.txid + bytes([matter.outpoint.vout]) for matter in matters])
    outpoints = tuple([matter.outpoint for matter in matters])
    return Claim(root, outpoints, "claim", tx + feerate.to_bytes(4, "big"), (), Sat(fee), FeeratePerKw(feerate), ref)


def took(
    state: Onchain, matter: Matter, height: int, by: bytes = b"t" * 32, stage: SecondStage | None = None
) -> Onchain:
    """An output is spent in a block."""
    return evolve(state, OutputTaken(Taken(matter.outpoint, Txid(by), block(height), stage)))


def elsewhere(vout: int = 0) -> OutPoint:
    """An output that has nothing to do with the channel."""
    return OutPoint(Txid(b"elsewhere".ljust(32)), vout)


def facts_of(step: Step[Onchain], kind: type[F]) -> list[F]:
    """What a step has found true, of one kind."""
    return [fact for fact in step.facts if isinstance(fact, kind)]


def told(step: Step[Onchain], kind: type[E]) -> list[E]:
    """What a step says to other machines, of one kind."""
    return [action.event for action in step.actions if isinstance(action, Tell) and isinstance(action.event, kind)]


def done(step: Step[Onchain], kind: type[A]) -> list[A]:
    """What a step does, of one kind."""
    return [action for action in step.actions if isinstance(action, kind)]
