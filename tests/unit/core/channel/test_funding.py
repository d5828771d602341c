"""From the funding transaction to a usable channel, and patience with one that never comes (B2-15 … B2-17)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.builders.channels import CAPACITY_SAT, CHANNEL_ID, FEATURES, FUNDING, born, env_of
from tests.builders.normal_channels import a_normal_channel, an_unconfirmed_channel

from fulmen.core.base.env import Env
from fulmen.core.base.funds import ReleaseFunding, SpendFunding
from fulmen.core.base.ids import (
    BlockHash,
    ChannelId,
    CommandId,
    NodeId,
    OutPoint,
    Point,
    Signature,
    Txid,
    scid,
    scid_parts,
)
from fulmen.core.base.machine import Address, Disconnected, Event, Faulted, Step, Tell, evolve
from fulmen.core.base.outer import (
    Answer,
    Block,
    ChainRewound,
    HeightReached,
    Send,
    TimeReached,
    TxConfirmed,
    WantHeight,
    WantSpendWatch,
    WantTime,
    WantTxWatch,
)
from fulmen.core.base.peers import ChannelAttached, ChannelDetached, ChannelErrored, MessageReceived, PeerReady
from fulmen.core.base.units import BlockHeight, Sat, Timestamp
from fulmen.core.bitcoin.transaction import Tx, TxIn, TxOut
from fulmen.core.channel.commands import ChannelOpening
from fulmen.core.channel.dance import UNSIGNED
from fulmen.core.channel.facts import CommitmentReceived, Created, FundingConfirmed, FundingUnconfirmed, ReadyReceived
from fulmen.core.channel.faults import BadFundingSignature, TooManyAliases
from fulmen.core.channel.funding import ALIAS_BLOCK, MAX_ALIASES, WALLET, ChannelProposed, new_alias, send_channel_ready
from fulmen.core.channel.state import Channel, Link, Phase
from fulmen.core.channel.table import decide, initial, view, wants
from fulmen.core.commitments.updates import Updates
from fulmen.core.signer.requests import SignCommitment
from fulmen.core.transactions.funding import funding_output
from fulmen.core.wire.messages.opening import ChannelReady, FundingCreated, FundingSigned


def at(height: int, name: str = "alice") -> Env:
    return env_of(name, tip=Block(BlockHeight(height), BlockHash(bytes(32))))


def block(height: int) -> Block:
    return Block(BlockHeight(height), BlockHash(bytes(32)))


def a_funding_tx(channel: Channel, amount_sat: int = CAPACITY_SAT, *, script: bytes = b"") -> bytes:
    """A transaction whose output 1 funds the channel (its txid is not looked at: the watch did that)."""
    local, remote = channel.terms.local.basepoints.funding_pubkey, channel.terms.remote.basepoints.funding_pubkey
    good = funding_output(local, remote, Sat(amount_sat))
    output = TxOut(good.amount_sat, script or good.script_pubkey)
    source = TxIn(OutPoint(Txid(b"s" * 32), 0), b"", 0)
    return Tx(2, (source,), (TxOut(Sat(1000), b"\x51"), output), 0).serialize()


def confirmed(channel: Channel, height: int = 101, index: int = 4, tip: int = 101, raw: bytes = b"") -> Step[Channel]:
    raw = raw or a_funding_tx(channel)
    return decide(channel, TxConfirmed(FUNDING.txid, raw, block(height), index), at(tip))


def messages(step: Step[Channel]) -> list[str]:
    return [type(action.message).__name__ for action in step.actions if isinstance(action, Send)]


def test_an_unconfirmed_funding_is_watched_for_and_its_spend_too() -> None:
    found = wants(an_unconfirmed_channel())
    assert [type(want) for want in found] == [WantTxWatch, WantSpendWatch, WantHeight]


def test_channel_ready_waits_for_the_agreed_depth() -> None:
    online = an_unconfirmed_channel().but(link=Link.READY)
    first = confirmed(online)
    assert first.state.funding.confirmed is not None and not messages(first)
    assert not messages(decide(first.state, HeightReached(block(102)), at(102)))
    third = decide(first.state, HeightReached(block(103)), at(103))
    assert messages(third) == ["ChannelReady"]
    assert third.state.scid == scid(101, 4, 1)


def test_a_channel_shows_whether_its_opener_has_yet_to_fund_it() -> None:
    """What peers may begin without paying is counted by it."""

    def is_unfunded(channel: Channel) -> bool:
        shown = view(channel)
        assert shown is not None
        return shown.unfunded

    accepted = an_unconfirmed_channel("bob")
    assert is_unfunded(accepted)
    assert is_unfunded(accepted.but(phase=Phase.FAILED)), "an error does not make room for the next"
    assert not is_unfunded(confirmed(accepted, tip=103).state)
    assert not is_unfunded(accepted.but(phase=Phase.SPENT))
    assert not is_unfunded(an_unconfirmed_channel("alice")), "ours"
    assert not is_unfunded(a_normal_channel("bob")), "trusted with an unconfirmed funding"


@pytest.mark.parametrize("wrong", [{"amount_sat": CAPACITY_SAT - 1}, {"script": b"\x00\x20" + bytes(32)}])
def test_a_funding_that_pays_less_or_elsewhere_fails_the_channel(wrong: dict[str, object]) -> None:
    """CVE-2019-12998: whoever does not look sells for nothing."""
    channel = an_unconfirmed_channel("bob").but(link=Link.READY)
    raw = a_funding_tx(channel, **wrong)  # type: ignore[arg-type]
    step = decide(channel, TxConfirmed(FUNDING.txid, raw, block(101), 4), at(101, "bob"))
    assert step.state.phase is Phase.FAILED
    assert messages(step) == ["ErrorMessage"]


def test_a_coinbase_that_funds_a_channel_has_to_be_a_hundred_deep() -> None:
    online = an_unconfirmed_channel().but(link=Link.READY)
    step = confirmed(online, index=0)
    assert not messages(decide(step.state, HeightReached(block(199)), at(199)))
    assert messages(decide(step.state, HeightReached(block(200)), at(200))) == ["ChannelReady"]


def test_a_reorg_takes_the_confirmation_and_the_scid_back() -> None:
    online = an_unconfirmed_channel().but(link=Link.READY)
    ready = decide(confirmed(online).state, HeightReached(block(103)), at(103)).state
    undone = decide(ready, ChainRewound(BlockHeight(100)), at(100)).state
    assert undone.funding.confirmed is None and undone.scid is None
    again = confirmed(undone, height=104, index=9, tip=106).state
    assert again.scid == scid(104, 9, 1)


def test_an_alias_is_no_place_in_the_chain() -> None:
    channel = a_normal_channel("alice")
    (alias,) = channel.local_aliases
    assert scid_parts(alias)[0] >= ALIAS_BLOCK


def test_the_peer_may_change_its_alias_and_a_repeated_channel_ready_changes_nothing() -> None:
    channel = a_normal_channel("alice")
    point = env_of("bob").per_commitment_point(7, 1)
    again = ChannelReady(channel.terms.channel_id, point, channel.remote_alias)
    assert not decide(channel, MessageReceived(again), at(101)).facts
    other = ChannelReady(channel.terms.channel_id, point, scid(16_000_001, 2, 3))
    assert decide(channel, MessageReceived(other), at(101)).state.remote_alias == scid(16_000_001, 2, 3)


def test_a_peer_makes_only_so_many_writes_by_naming_new_aliases() -> None:
    channel = a_normal_channel("alice")
    point = env_of("bob").per_commitment_point(7, 1)

    def renamed(number: int) -> MessageReceived:
        return MessageReceived(ChannelReady(channel.terms.channel_id, point, scid(16_000_000, 1, number)))

    assert channel.remote_aliases == 1
    for number in range(1, MAX_ALIASES):
        step = decide(channel, renamed(number), at(101))
        assert len(step.facts) == 1
        channel = step.state
    for number in range(MAX_ALIASES, MAX_ALIASES + 3):
        with pytest.raises(TooManyAliases) as refused:
            decide(channel, renamed(number), at(101))
        step = decide(channel, Faulted(renamed(number), refused.value), at(101))
        assert messages(step) == ["WarningMessage"]
        assert not step.facts
    assert channel.remote_alias == scid(16_000_000, 1, MAX_ALIASES - 1)
    assert not decide(channel, renamed(MAX_ALIASES - 1), at(101)).facts, "what is repeated is ignored as ever"


def test_the_accepter_forgets_a_funding_that_never_came() -> None:
    channel = an_unconfirmed_channel("bob")
    born_at = channel.funding_broadcast_at
    patient = decide(channel, HeightReached(block(born_at + 2015)), at(born_at + 2015, "bob"))
    assert patient.state.phase is Phase.AWAITING_READY
    step = decide(channel, HeightReached(block(born_at + 2016)), at(born_at + 2016, "bob"))
    assert step.state.phase is Phase.CLOSED
    assert [type(action.event) for action in step.actions if isinstance(action, Tell)] == [ChannelDetached]


def test_the_opener_never_forgets_its_own_money() -> None:
    channel = an_unconfirmed_channel("alice")
    late = channel.funding_broadcast_at + 5000
    assert decide(channel, HeightReached(block(late)), at(late)).state.phase is Phase.AWAITING_READY


# -- before there is a channel ----------------------------------------------------------------------------------------

COMMAND = CommandId(b"open it, please!")
SIGNED = MessageReceived(FundingSigned(CHANNEL_ID, Signature(b"s" * 64)))


def proposed(until: int = 1_700_000_600, *, command: CommandId | None = COMMAND) -> Step[Channel]:
    """Alice has the coins and has told the channel to be."""
    born_ = born("alice", "bob", BOBS_ID, is_opener=True, minimum_depth=3)
    created = Created(born_.opened, b"coins", command, Timestamp(until))
    event = ChannelProposed(created, ChannelId(b"t" * 32), FEATURES, FEATURES)
    return decide(initial(CHANNEL_ID), event, at(100))


BOBS_ID = NodeId(b"bob".rjust(33, b"\x02"))


def answers(step: Step[Channel]) -> list[Answer]:
    return [action for action in step.actions if isinstance(action, Answer)]


def told(step: Step[Channel]) -> list[Tell]:
    return [action for action in step.actions if isinstance(action, Tell)]


def test_a_channel_that_is_proposed_belongs_to_its_connection() -> None:
    step = proposed()
    assert step.state.phase is Phase.CREATED and step.state.link is Link.READY
    assert told(step) == [Tell(Address("peer", BOBS_ID), ChannelAttached(CHANNEL_ID))]
    (send,) = [action for action in step.actions if isinstance(action, Send)]
    assert isinstance(send.message, FundingCreated)
    assert (send.message.funding_txid, send.message.funding_output_index) == (FUNDING.txid, FUNDING.vout)
    (request,) = send.sign
    assert isinstance(request, SignCommitment) and request.with_htlcs is False and request.view.number == 0
    assert wants(step.state) == (WantTime(Timestamp(1_700_000_600)),)
    assert wants(proposed(0).state) == ()


@pytest.mark.parametrize("command", [COMMAND, None])
def test_the_funding_goes_out_once_the_peer_has_signed_and_never_before(command: CommandId | None) -> None:
    before = proposed(command=command)
    assert not [tell for tell in told(before) if tell.to == WALLET]
    step = decide(before.state, SIGNED, at(100))
    assert told(step)[0] == Tell(WALLET, SpendFunding(b"coins"))
    assert step.state.phase is Phase.AWAITING_READY and step.state.funding.peer_signature == b"s" * 64
    opened = [answer.result for answer in answers(step)]
    assert opened == ([ChannelOpening(CHANNEL_ID, FUNDING.txid, FUNDING.vout)] if command is not None else [])


@pytest.mark.parametrize(
    ("event", "why", "says"),
    [
        (Disconnected(), "disconnected", 0),
        (ChannelErrored(b"no, thank you"), "refused: no, thank you", 0),
        (TimeReached(Timestamp(1_700_000_600)), "in time", 1),
        (Faulted(SIGNED, BadFundingSignature()), "signature", 1),
    ],
    ids=lambda part: type(part).__name__,
)
def test_what_the_peer_never_signed_frees_its_coins_and_is_forgotten(event: Event, why: str, says: int) -> None:
    late = replace(at(100), wall=Timestamp(1_700_000_600))
    step = decide(proposed().state, event, late)
    assert told(step) == [
        Tell(WALLET, ReleaseFunding(b"coins")),
        Tell(Address("peer", BOBS_ID), ChannelDetached(CHANNEL_ID)),
    ]
    (answer,) = answers(step)
    assert answer.command_id == COMMAND and why in str(answer.refused)
    assert step.state.but(met=False) == initial(CHANNEL_ID)
    assert messages(step) == ["ErrorMessage"] * says
    assert not answers(decide(proposed(command=None).state, event, late))


def test_nobody_loses_patience_early_or_where_no_time_was_set() -> None:
    early = replace(at(100), wall=Timestamp(1_700_000_599))
    for state, env in ((proposed().state, early), (proposed(0).state, at(100))):
        step = decide(state, TimeReached(env.wall), env)
        assert step.state.phase is Phase.CREATED and not step.actions


def test_after_a_crash_the_peer_machine_forgets_the_name_of_what_never_was() -> None:
    step = decide(initial(CHANNEL_ID), PeerReady(BOBS_ID, FEATURES, FEATURES), at(100))
    assert step.actions == [Tell(Address("peer", BOBS_ID), ChannelDetached(CHANNEL_ID))] and not step.facts


# -- confirmations ----------------------------------------------------------------------------------------------------


def test_another_transaction_and_the_same_one_again_confirm_nothing() -> None:
    online = an_unconfirmed_channel().but(link=Link.READY)
    other = TxConfirmed(Txid(b"o" * 32), a_funding_tx(online), block(101), 4)
    assert not decide(online, other, at(101)).facts
    once = confirmed(online).state
    assert not confirmed(once).facts


@pytest.mark.parametrize(("to", "confirms"), [(101, True), (100, False)])
def test_only_a_reorg_below_its_block_undoes_a_confirmation(to: int, confirms: bool) -> None:
    channel = confirmed(an_unconfirmed_channel()).state
    assert (decide(channel, ChainRewound(BlockHeight(to)), at(to)).state.funding.confirmed is not None) is confirms
    assert not decide(an_unconfirmed_channel(), ChainRewound(BlockHeight(0)), at(0)).facts


def test_one_block_of_depth_is_one_block() -> None:
    channel = an_unconfirmed_channel().but(link=Link.READY)
    shallow = channel.but(params=channel.terms.but(minimum_depth=1))
    assert not decide(shallow, HeightReached(block(101)), at(101)).facts, "not in a block yet"
    assert messages(confirmed(shallow)) == ["ChannelReady"]


def test_channel_ready_is_owed_while_the_peer_is_away_and_while_the_channel_shuts_down() -> None:
    away = confirmed(an_unconfirmed_channel(), tip=103)
    assert away.state.ready_sent and not messages(away)
    closing = an_unconfirmed_channel().but(link=Link.READY, phase=Phase.SHUTDOWN)
    assert messages(confirmed(closing, tip=103)) == ["ChannelReady"]
    for said in (away.state.but(link=Link.READY), closing.but(phase=Phase.CLOSING)):
        assert not messages(decide(said, HeightReached(block(104)), at(104)))


def test_channel_ready_brings_the_second_point_and_the_newest_alias() -> None:
    names = (scid(16_000_000, 0, 1), scid(16_000_000, 0, 2), scid(16_000_000, 0, 3))
    channel = an_unconfirmed_channel().but(local_aliases=names)
    said = send_channel_ready(channel, at(100)).message
    assert isinstance(said, ChannelReady)
    assert said.second_per_commitment_point == at(100).per_commitment_point(channel.terms.key_index, 1)
    assert said.alias == names[-1]


def test_a_second_point_that_is_said_again_replaces_none() -> None:
    channel = a_normal_channel("alice")
    point = env_of("bob").per_commitment_point(7, 9)
    again = decide(channel, MessageReceived(ChannelReady(CHANNEL_ID, point, scid(16_000_001, 2, 3))), at(101)).state
    assert again.remote_next_point == channel.remote_next_point != point
    for used in (
        channel.but(remote_next_point=Point(b""), remote=channel.remote.but(number=1)),
        channel.but(remote_next_point=Point(b""), remote_next=channel.remote.but(number=1)),
    ):
        assert evolve(used, ReadyReceived(point, None)).remote_next_point == b""
    assert evolve(channel.but(remote_next_point=Point(b"")), ReadyReceived(point, None)).remote_next_point == point


@pytest.mark.parametrize(
    ("changes", "forgotten"),
    [({"ready_sent": True}, False), ({"ready_sent": True, "minimum_depth": 0}, True), ({"ready_sent": False}, True)],
    ids=str,
)
def test_a_funding_that_was_deep_enough_once_is_waited_for(changes: dict[str, Any], forgotten: bool) -> None:
    """A reorg took it back, and it will be there again; one that never had to confirm is no better than none."""
    channel = an_unconfirmed_channel("bob")
    params = channel.terms.but(minimum_depth=changes.get("minimum_depth", 3))
    channel = channel.but(params=params, ready_sent=changes["ready_sent"])
    late = channel.funding_broadcast_at + 2016
    assert (decide(channel, HeightReached(block(late)), at(late, "bob")).state.phase is Phase.CLOSED) is forgotten


def test_an_accepter_remembers_the_channel_and_answers_with_its_signature() -> None:
    step = decide(
        initial(CHANNEL_ID), born("bob", "alice", ALICES_ID, is_opener=False, minimum_depth=3), at(100, "bob")
    )
    assert step.state.phase is Phase.AWAITING_READY and step.state.link is Link.READY
    assert told(step) == [Tell(Address("peer", ALICES_ID), ChannelAttached(CHANNEL_ID))]
    (send,) = [action for action in step.actions if isinstance(action, Send)]
    assert send.message == FundingSigned(CHANNEL_ID, UNSIGNED) and len(UNSIGNED) == 64
    (request,) = send.sign
    assert isinstance(request, SignCommitment) and request.with_htlcs is False


ALICES_ID = NodeId(b"alice".rjust(33, b"\x02"))


@pytest.mark.parametrize(
    ("chance", "parts"),
    [
        (0, (16_000_000, 0, 0)),
        (249_999, (16_249_999, 0, 0)),
        (250_000, (16_000_000, 0, 0)),
        (1 << 18, (16_000_000 + (1 << 18) % 250_000, 1, 0)),
        (1 << 37, (16_000_000 + (1 << 37) % 250_000, 1 << 19, 0)),
        (1 << 38, (16_000_000 + (1 << 38) % 250_000, 0, 1)),
        (1 << 53, (16_000_000 + (1 << 53) % 250_000, 0, 1 << 15)),
        (1 << 54, (16_000_000 + (1 << 54) % 250_000, 0, 0)),
    ],
)
def test_seven_bytes_of_chance_make_every_part_of_an_alias(chance: int, parts: tuple[int, int, int]) -> None:
    def entropy(_purpose: str, size: int) -> bytes:
        assert size == 7
        return chance.to_bytes(7, "big")

    assert scid_parts(new_alias(replace(at(100), entropy=entropy))) == parts


@pytest.mark.parametrize(("depth", "ready"), [(0, True), (1, False), (3, False)])
def test_only_a_channel_that_waits_for_no_block_is_ready_at_birth(depth: int, ready: bool) -> None:
    birth = born("bob", "alice", ALICES_ID, is_opener=False, minimum_depth=depth)
    step = decide(initial(CHANNEL_ID), birth, at(100, "bob"))
    assert step.state.ready_sent is ready
    assert messages(step) == ["FundingSigned"] + ["ChannelReady"] * ready


def test_the_funding_in_force_is_the_last_and_what_happens_to_it_leaves_the_others() -> None:
    channel = an_unconfirmed_channel()
    older = channel.funding.but(outpoint=OutPoint(Txid(b"o" * 32), 0))
    channel = channel.but(fundings=(older, channel.funding))
    assert channel.funding.outpoint == FUNDING
    deep = evolve(channel, FundingConfirmed(block(101), 4))
    assert deep.fundings[0] == older and deep.funding.confirmed == block(101)
    undone = evolve(deep, FundingUnconfirmed())
    assert undone.fundings == channel.fundings
    signed = evolve(a_normal_channel().but(fundings=channel.fundings), CommitmentReceived(1, Updates(), UNSIGNED, ()))
    assert signed.fundings[0] == older and len(signed.fundings) == 2
