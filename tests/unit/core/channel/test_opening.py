"""An opening, from both ends, as its states are: what is asked, what is answered, and how it becomes nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.builders.normal_channels import ALICE, BOB
from tests.builders.openings import TEMPORARY, an_answer_to

from fulmen.core.base.env import Env
from fulmen.core.base.faults import Refused
from fulmen.core.base.funds import Funded, FundingRefused, FundTransaction, ReleaseFunding
from fulmen.core.base.ids import CommandId, NodeId, OutPoint, Signature, Txid, channel_id_of
from fulmen.core.base.machine import Address, Disconnected, Event, Faulted, Step, Tell, Undelivered
from fulmen.core.base.mount import CheckFailed
from fulmen.core.base.outer import Answer, Notify, Send, TimeReached, WantTime
from fulmen.core.base.peers import ChannelErrored, MessageReceived, OpeningEnded, OpeningStarted, PeerView
from fulmen.core.base.units import Msat, Sat, Timestamp
from fulmen.core.bitcoin.transaction import Tx, TxIn, TxOut
from fulmen.core.channel import opening
from fulmen.core.channel.commands import OpenTo
from fulmen.core.channel.facts import Created, Opened
from fulmen.core.channel.faults import BadFundingSignature, OpeningNotPossible, OpeningRefused
from fulmen.core.channel.funding import ChannelBorn, ChannelProposed
from fulmen.core.channel.opening.giving_up import SILENT
from fulmen.core.channel.opening.state import Opening, Stage
from fulmen.core.commitments.building import build
from fulmen.core.signer.checks import CheckCommitment
from fulmen.core.transactions.funding import funding_output
from fulmen.core.wire.features import (
    OPTION_ANCHORS,
    OPTION_SHUTDOWN_ANYSEGWIT,
    OPTION_STATIC_REMOTEKEY,
    OPTION_UPFRONT_SHUTDOWN_SCRIPT,
    optional,
)
from fulmen.core.wire.messages.opening import AcceptChannel, FundingCreated, OpenChannel
from fulmen.core.wire.messages.setup import ErrorMessage

PLAIN = optional(OPTION_STATIC_REMOTEKEY, OPTION_ANCHORS)
UPFRONT = PLAIN | optional(OPTION_UPFRONT_SHUTDOWN_SCRIPT, OPTION_SHUTDOWN_ANYSEGWIT)
ALICES_ID, BOBS_ID = NodeId(b"\x03" * 33), NodeId(b"\x02" * 33)
COMMAND = CommandId(b"open it, please!")
HOME = b"\x00\x14" + b"\x05" * 20
WALLET = Address("wallet")


def meeting(env: Env, other: NodeId, features: Any = PLAIN, *, ready: bool = True) -> Env:
    """The other end is connected."""
    peer = PeerView(other, ready, features.to_bytes(), features.to_bytes())
    return replace(env, views={f"peer:{other.hex()}": peer}, entropy=lambda _purpose, size: b"\x07" * size)


OURS, THEIRS = meeting(ALICE, BOBS_ID), meeting(BOB, ALICES_ID)


def wish(**changes: Any) -> OpenTo:
    return OpenTo(COMMAND, BOBS_ID, **({"funding_sat": Sat(1_000_000)} | changes))


def asked(env: Env = OURS, **changes: Any) -> Step[Opening]:
    """Alice asks Bob."""
    return opening.MOUNT.decide(opening.MOUNT.initial(BOBS_ID + TEMPORARY), wish(**changes), env)


def messages(step: Step[Opening]) -> list[Any]:
    return [action.message for action in step.actions if isinstance(action, Send)]


def answers(step: Step[Opening]) -> list[Answer]:
    return [action for action in step.actions if isinstance(action, Answer)]


def told(step: Step[Opening]) -> list[Tell]:
    return [action for action in step.actions if isinstance(action, Tell)]


def decided(state: Opening, event: Event | Any, env: Env = OURS) -> Step[Opening]:
    is_event = isinstance(event, Event)
    step: Step[Opening] = opening.MOUNT.decide(state, event if is_event else MessageReceived(event), env)
    return step


def accepted(**changes: Any) -> Opening:
    state = asked(**changes).state
    return decided(state, an_answer_to(state)).state


def funded(state: Opening) -> tuple[Step[Opening], OutPoint]:
    """The wallet has the coins: the funding is output 1 of a transaction."""
    ours, theirs = state.opened_with, state.accepted_with
    assert ours is not None and theirs is not None
    output = funding_output(ours.funding_pubkey, theirs.funding_pubkey, ours.funding_satoshis)
    source = TxIn(OutPoint(Txid(b"s" * 32), 0), b"", 0)
    tx = Tx(2, (source,), (TxOut(Sat(1000), b"\x51"), output), 0)
    return decided(state, Funded(TEMPORARY, tx.serialize(), Sat(0))), OutPoint(tx.txid, 1)


# -- we open ----------------------------------------------------------------------------------------------------------


def test_the_smallest_channel_that_the_operator_allows_is_asked_for_and_none_below() -> None:
    least = OURS.policy.opening.min_funding_sat
    (message,) = messages(asked(funding_sat=least))
    assert message.funding_satoshis == least
    with pytest.raises(OpeningNotPossible, match="too small"):
        asked(funding_sat=Sat(least - 1))


def test_all_of_a_channel_may_be_pushed() -> None:
    (message,) = messages(asked(push_msat=Msat(1_000_000_000)))
    assert message.push_msat == 1_000_000_000
    with pytest.raises(OpeningNotPossible, match="push_msat"):
        asked(push_msat=Msat(1_000_000_001))


def test_nobody_is_asked_who_is_not_there_or_has_not_said_init() -> None:
    for env in (ALICE, meeting(ALICE, BOBS_ID, ready=False), meeting(ALICE, ALICES_ID)):
        with pytest.raises(OpeningNotPossible, match="not connected"):
            asked(env)


def test_the_peer_machine_hears_of_an_opening_before_the_peer_does() -> None:
    first, second = asked().actions
    assert first == Tell(Address("peer", BOBS_ID), OpeningStarted(TEMPORARY))
    assert isinstance(second, Send) and isinstance(second.message, OpenChannel)


@pytest.mark.parametrize(
    ("features", "close_to", "said"), [(UPFRONT, HOME, HOME), (UPFRONT, b"", b""), (PLAIN, b"", None)]
)
def test_where_both_offer_it_the_script_of_the_close_is_said_also_when_there_is_none(
    features: Any, close_to: bytes, said: bytes | None
) -> None:
    (message,) = messages(asked(meeting(ALICE, BOBS_ID, features), close_to=close_to))
    assert message.upfront_shutdown_script == said


def test_a_wish_for_the_close_that_the_peer_would_not_keep_asks_nobody() -> None:
    with pytest.raises(OpeningNotPossible, match="would not bind"):
        asked(close_to=HOME)


def test_both_ends_begin_with_their_first_point_under_keys_that_chance_names() -> None:
    named = int.from_bytes(b"\x07" * 6, "big")
    opener, accepter = asked(), decided(opening.MOUNT.initial(ALICES_ID + TEMPORARY), an_open(), THEIRS)
    for step, env in ((opener, OURS), (accepter, THEIRS)):
        (message,) = messages(step)
        assert step.state.key_index == named
        assert message.first_per_commitment_point == env.per_commitment_point(named, 0)
        assert message.funding_pubkey == env.basepoints(named).funding_pubkey


def test_the_wallet_is_asked_for_exactly_the_output_of_the_channel() -> None:
    state = asked().state
    accept = an_answer_to(state)
    step = decided(state, accept)
    (tell,) = told(step)
    assert tell.to == WALLET and isinstance(tell.event, FundTransaction) and tell.event.ref == TEMPORARY
    assert step.state.stage is Stage.ACCEPTED and step.state.accepted_with == accept
    output = funding_output(state.opened_with.funding_pubkey, accept.funding_pubkey, Sat(1_000_000))
    assert [(one.amount_sat, one.script_pubkey) for one in tell.event.outputs] == [
        (output.amount_sat, output.script_pubkey)
    ]


@pytest.mark.parametrize("announce", [True, False])
@pytest.mark.parametrize(("ours", "depth"), [(0, 3), (3, 3), (6, 6)])
def test_the_channel_to_be_gets_what_both_agreed_on(announce: bool, ours: int, depth: int) -> None:
    step, outpoint = funded(accepted(push_msat=Msat(300_000_000), announce=announce, minimum_depth=ours))
    channel, peer = told(step)
    assert channel.to == Address("channel", channel_id_of(outpoint))
    assert peer == Tell(Address("peer", BOBS_ID), OpeningEnded(TEMPORARY))
    assert isinstance(channel.event, ChannelProposed) and isinstance(channel.event.created, Created)
    created = channel.event.created
    opened = created.opened
    assert (opened.local_msat, opened.remote_msat) == (700_000_000, 300_000_000)
    assert opened.params.is_opener is True and opened.params.announce is announce
    assert opened.params.minimum_depth == depth
    assert opened.funding.outpoint == outpoint
    assert (created.command_id, created.until) == (COMMAND, ALICE.wall + 600)
    assert step.state.stage is Stage.OVER


def test_an_opening_that_the_wallet_cannot_pay_is_over_for_all() -> None:
    step = decided(accepted(), FundingRefused(TEMPORARY, "InsufficientFunds", "not enough coins"))
    assert step.state.stage is Stage.OVER
    assert told(step) == [
        Tell(WALLET, ReleaseFunding(TEMPORARY)),
        Tell(Address("peer", BOBS_ID), OpeningEnded(TEMPORARY)),
    ]
    (answer,) = answers(step)
    assert isinstance(answer.refused, OpeningNotPossible) and "not enough coins" in str(answer.refused)
    assert messages(step) == [ErrorMessage(TEMPORARY, b"the funding cannot be paid")]


# -- the peer opens ---------------------------------------------------------------------------------------------------


def an_open(**changes: Any) -> OpenChannel:
    (message,) = messages(asked())
    assert isinstance(message, OpenChannel)
    return message.but(**changes)


def awaiting(**changes: Any) -> Opening:
    """Bob has accepted what Alice asked for."""
    state = opening.MOUNT.initial(ALICES_ID + TEMPORARY)
    return decided(state, an_open(**changes), THEIRS).state


def test_a_reserve_is_no_less_than_the_openers_dust_limit_nor_our_dust_limit_more_than_its_reserve() -> None:
    small = {"funding_satoshis": Sat(60_000), "channel_reserve_satoshis": Sat(354), "push_msat": Msat(0)}
    (answer,) = messages(decided(opening.MOUNT.initial(ALICES_ID + TEMPORARY), an_open(**small), THEIRS))
    assert (answer.channel_reserve_satoshis, answer.dust_limit_satoshis) == (600, 354)
    dusty = small | {"dust_limit_satoshis": Sat(2000), "channel_reserve_satoshis": Sat(2000)}
    (answer,) = messages(decided(opening.MOUNT.initial(ALICES_ID + TEMPORARY), an_open(**dusty), THEIRS))
    assert (answer.channel_reserve_satoshis, answer.dust_limit_satoshis) == (2000, 354)


def test_a_temporary_channel_id_that_is_in_use_is_not_taken_again() -> None:
    with pytest.raises(OpeningRefused, match="in use"):
        decided(awaiting(), an_open(), THEIRS)
    with pytest.raises(OpeningRefused, match="in use"):
        decided(asked().state, an_open())
    over = Opening(ALICES_ID, TEMPORARY, Stage.OVER)
    assert [type(message) for message in messages(decided(over, an_open(), THEIRS))] == [AcceptChannel]


OUTPOINT = OutPoint(Txid(b"f" * 32), 2)
CREATED = FundingCreated(TEMPORARY, OUTPOINT.txid, OUTPOINT.vout, Signature(b"s" * 64))


def test_the_channel_that_the_peer_funds_gets_what_both_agreed_on() -> None:
    state = awaiting(push_msat=Msat(300_000_000))
    step = decided(state, CREATED, THEIRS)
    channel, peer = told(step)
    assert peer == Tell(Address("peer", ALICES_ID), OpeningEnded(TEMPORARY))
    assert isinstance(channel.event, ChannelBorn) and isinstance(channel.event.opened, Opened)
    opened = channel.event.opened
    assert (opened.local_msat, opened.remote_msat) == (300_000_000, 700_000_000)
    assert opened.params.is_opener is False and opened.params.minimum_depth == 3
    assert opened.funding.outpoint == OUTPOINT and opened.funding.peer_signature == b"s" * 64
    assert step.state.stage is Stage.OVER


def test_an_outpoint_carries_one_channel() -> None:
    taken = {f"channel:{channel_id_of(OUTPOINT).hex()}": object()}
    env = replace(THEIRS, views=THEIRS.views | taken)
    with pytest.raises(OpeningRefused, match="carries a channel"):
        decided(awaiting(), CREATED, env)


def test_the_first_signature_of_an_opener_is_looked_at_once_it_is_due() -> None:
    assert opening.MOUNT.checks is not None
    (check,) = opening.MOUNT.checks(awaiting(), MessageReceived(CREATED), THEIRS)
    assert isinstance(check, CheckCommitment) and not check.holds()
    assert opening.MOUNT.checks(awaiting(), MessageReceived(an_open()), THEIRS) == ()
    assert opening.MOUNT.checks(awaiting(), Disconnected(), THEIRS) == ()
    new = opening.MOUNT.initial(ALICES_ID + TEMPORARY)
    assert opening.MOUNT.checks(new, MessageReceived(CREATED), THEIRS) == ()
    with pytest.raises(BadFundingSignature) as caught:
        decided(awaiting(), CheckFailed(MessageReceived(CREATED), check), THEIRS)
    step = decided(awaiting(), Faulted(MessageReceived(CREATED), caught.value), THEIRS)
    (error,) = messages(step)
    said, _, shown = error.data.decode("ascii").rpartition(": ")
    assert said == str(caught.value) and bytes.fromhex(shown) == build(check.view).tx.serialize()
    (notice,) = [action for action in step.actions if isinstance(action, Notify)]
    assert shown not in str(notice)


# -- it becomes nothing -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("event", "why"),
    [
        (Disconnected(), "disconnected"),
        (ChannelErrored(b"no, thank you"), "the peer refused: no, thank you"),
        (
            Undelivered(Tell(WALLET, ReleaseFunding(TEMPORARY)), OpeningNotPossible("the wallet is gone")),
            "wallet is gone",
        ),
    ],
)
def test_whoever_asked_hears_why_it_became_nothing(event: Event, why: str) -> None:
    step = decided(asked().state, event)
    (answer,) = answers(step)
    assert answer.command_id == COMMAND and why in str(answer.refused)
    assert step.state.stage is Stage.OVER and not messages(step)
    assert not answers(decided(awaiting(), event, THEIRS)), "nobody of ours asked for it"


def test_a_silent_peer_is_left_when_its_time_is_over_and_hears_it() -> None:
    state = asked().state
    assert opening.MOUNT.wants is not None
    assert opening.MOUNT.wants(state) == (WantTime(Timestamp(ALICE.wall + 600)),)
    late = replace(OURS, wall=Timestamp(ALICE.wall + 600))
    early = decided(state, TimeReached(late.wall), replace(late, wall=Timestamp(ALICE.wall + 599)))
    assert not early.facts and not early.actions
    step = decided(state, TimeReached(late.wall), late)
    assert messages(step) == [ErrorMessage(TEMPORARY, SILENT.encode())]
    assert SILENT in str(answers(step)[0].refused)
    for stage in (Stage.NEW, Stage.OVER):
        idle = Opening(BOBS_ID, TEMPORARY, stage)
        assert opening.MOUNT.wants(idle) == ()
        assert not decided(idle, TimeReached(late.wall), late).actions


def test_a_wish_that_cannot_be_is_answered_and_changes_nothing() -> None:
    state = asked().state
    refused = Refused("no")
    step = decided(state, Faulted(wish(), refused))
    assert step.actions == [Answer(COMMAND, refused=refused)] and not step.facts


def test_a_refusal_of_anything_else_ends_the_opening_without_a_word_to_the_peer() -> None:
    step = decided(asked().state, Faulted(Disconnected(), OpeningNotPossible("no more")))
    assert step.state.stage is Stage.OVER and not messages(step)
    assert "no more" in str(answers(step)[0].refused)


def test_a_peer_that_breaks_a_rule_hears_which_and_the_operator_does() -> None:
    fault = OpeningRefused(why="too small")
    step = decided(awaiting(), Faulted(MessageReceived(CREATED), fault), THEIRS)
    assert messages(step) == [ErrorMessage(TEMPORARY, str(fault).encode())]
    notes = [action for action in step.actions if isinstance(action, Notify)]
    assert notes == [Notify("opening_refused", {"node_id": ALICES_ID.hex(), "why": str(fault)})]
    assert step.state == Opening(ALICES_ID, TEMPORARY, Stage.OVER)


def test_what_is_over_is_not_over_twice() -> None:
    step = decided(Opening(BOBS_ID, TEMPORARY, Stage.OVER), Disconnected())
    assert not step.facts and not step.actions
