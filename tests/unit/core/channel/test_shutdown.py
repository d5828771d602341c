"""How a mutual close begins: who wants it, where it pays to, and what it waits for (B2-31)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.builders.channels import CHANNEL_ID
from tests.builders.closing_channels import OURS, THEIRS, drained_channel
from tests.builders.normal_channels import ALICE, BOB, a_normal_channel

from fulmen.core.base.env import Env
from fulmen.core.base.feerates import FeerateOutOfRange
from fulmen.core.base.funds import WalletView
from fulmen.core.base.ids import CommandId
from fulmen.core.base.machine import Faulted, Lull, Step, fold
from fulmen.core.base.outer import Answer, Send
from fulmen.core.base.peers import MessageReceived
from fulmen.core.base.units import FeeratePerKw
from fulmen.core.bitcoin.accounts import KeyPath
from fulmen.core.channel.commands import CloseChannel
from fulmen.core.channel.facts import (
    ShutdownDropped,
    ShutdownExchanged,
    ShutdownReceived,
    ShutdownSeen,
    ShutdownSent,
    ShutdownWanted,
)
from fulmen.core.channel.faults import ChannelNotUsable
from fulmen.core.channel.shutdown import perhaps_shutdown
from fulmen.core.channel.state import Channel, Link, Phase
from fulmen.core.channel.table import decide
from fulmen.core.wire.features import Features
from fulmen.core.wire.messages.closing import ClosingSigned, Shutdown

COMMAND, AGAIN = CommandId(b"close it, please"), CommandId(b"close it, I said")
TAPROOT = b"\x51\x20" + bytes(32)
PATH = KeyPath(84, 0, 5)
WALLETS = b"\x00\x14" + b"\x0a" * 20


def with_wallet(env: Env, path: KeyPath | None = PATH) -> Env:
    return replace(env, views={"wallet": WalletView(WALLETS, path)})


def said(step: Step[Channel]) -> list[bytes]:
    sent = [action.message for action in step.actions if isinstance(action, Send)]
    return [message.scriptpubkey for message in sent if isinstance(message, Shutdown)]


# -- where it pays to -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [PATH, None])
def test_a_close_that_names_no_script_pays_to_the_wallet_and_knows_the_key(path: KeyPath | None) -> None:
    step = decide(a_normal_channel("alice"), CloseChannel(COMMAND), with_wallet(ALICE, path))
    assert said(step) == [WALLETS]
    assert (step.state.shutdown_sent, step.state.shutdown_path) == (WALLETS, path)


def test_without_a_wallet_nobody_knows_where_to() -> None:
    with pytest.raises(ChannelNotUsable, match="segwit"):
        decide(a_normal_channel("alice"), CloseChannel(COMMAND), ALICE)


def test_a_close_to_a_script_of_the_operators_has_no_key_of_the_wallets() -> None:
    step = decide(a_normal_channel("alice"), CloseChannel(COMMAND, OURS), with_wallet(ALICE))
    assert (step.state.shutdown_sent, step.state.shutdown_path) == (OURS, None)


def test_a_close_goes_where_it_was_agreed_to_go_at_the_opening() -> None:
    channel = a_normal_channel("alice")
    bound = channel.but(params=channel.terms.but(local=channel.terms.local.but(upfront_shutdown_script=OURS)))
    step = decide(bound, CloseChannel(COMMAND), with_wallet(ALICE))
    assert (step.state.shutdown_sent, step.state.shutdown_path) == (OURS, None)
    answered = decide(bound, MessageReceived(Shutdown(CHANNEL_ID, THEIRS)), with_wallet(ALICE))
    assert (answered.state.shutdown_sent, answered.state.shutdown_path) == (OURS, None)


def test_a_shutdown_of_the_peer_is_answered_with_a_script_of_the_wallet_and_without_one_waits() -> None:
    step = decide(a_normal_channel("bob"), MessageReceived(Shutdown(CHANNEL_ID, THEIRS)), with_wallet(BOB))
    assert said(step) == [WALLETS] and step.state.shutdown_path == PATH
    lost = decide(a_normal_channel("bob"), MessageReceived(Shutdown(CHANNEL_ID, THEIRS)), BOB)
    assert not said(lost) and lost.state.shutdown_received == THEIRS
    assert said(decide(lost.state, Lull(), with_wallet(BOB))) == [WALLETS]


def waiting(path: KeyPath | None = PATH) -> Channel:
    """Somebody wants it closed; the peer is away."""
    channel = a_normal_channel("bob").but(link=Link.OFFLINE)
    return fold(channel, (ShutdownWanted(OURS, FeeratePerKw(700), path),))


def test_a_second_wish_keeps_the_key_and_changes_the_feerate_that_was_named() -> None:
    step = decide(waiting(), CloseChannel(AGAIN, feerate_per_kw=FeeratePerKw(900)), BOB)
    assert ShutdownWanted(OURS, FeeratePerKw(900), PATH) in step.facts
    for same in (None, FeeratePerKw(700)):
        again = decide(waiting(), CloseChannel(AGAIN, feerate_per_kw=same), BOB)
        assert not [fact for fact in again.facts if not fact.passing]
    sent = fold(a_normal_channel("bob"), (ShutdownSent(OURS, FeeratePerKw(700), PATH), ShutdownExchanged()))
    step = decide(sent, CloseChannel(AGAIN, feerate_per_kw=FeeratePerKw(900)), BOB)
    assert ShutdownSent(OURS, FeeratePerKw(900), PATH) in step.facts
    assert not said(step), "it was said"


@pytest.mark.parametrize("feerate", [0, 1, 252, 999, 250_001])
@pytest.mark.parametrize("link", [Link.READY, Link.OFFLINE])
def test_a_feerate_that_no_peer_would_take_or_above_our_cap_is_refused_and_nothing_changes(
    feerate: int, link: Link
) -> None:
    mempool = 1000 if feerate == 999 else 100
    env = replace(BOB, feerates=BOB.feerates.but(floor_per_kw=FeeratePerKw(mempool)))
    wish = CloseChannel(COMMAND, OURS, FeeratePerKw(feerate))
    for channel in (a_normal_channel("bob").but(link=link), waiting()):
        with pytest.raises(FeerateOutOfRange) as caught:
            decide(channel, wish, env)
        floor = max(mempool, 253)
        assert caught.value.details == {"feerate_per_kw": feerate, "floor_per_kw": floor, "cap_per_kw": 250_000}
        step = decide(channel, Faulted(wish, caught.value), env)
        assert not step.facts and step.actions == [Answer(COMMAND, refused=caught.value)]


@pytest.mark.parametrize("feerate", [253, 250_000])
def test_a_feerate_at_the_edge_of_what_is_allowed_is_kept(feerate: int) -> None:
    env = replace(BOB, feerates=BOB.feerates.but(floor_per_kw=FeeratePerKw(100)))
    step = decide(a_normal_channel("bob"), CloseChannel(COMMAND, OURS, FeeratePerKw(feerate)), env)
    assert step.state.closing_feerate_per_kw == feerate


@pytest.mark.parametrize(
    ("link", "ours", "theirs", "taken"),
    [
        (Link.READY, 26, 26, True),
        (Link.READY, 27, 26, True),
        (Link.READY, 26, None, False),
        (Link.READY, None, 26, False),
        (Link.READY, 25, 25, False),
        (Link.READY, 28, 28, False),
        (Link.OFFLINE, None, None, True),
    ],
)
def test_a_script_of_a_later_segwit_needs_both_ends_unless_nobody_can_be_asked(
    link: Link, ours: int | None, theirs: int | None, taken: bool
) -> None:
    local, remote = (b"" if bit is None else Features.of(bit).to_bytes() for bit in (ours, theirs))
    channel = a_normal_channel("alice").but(link=link, local_features=local, remote_features=remote)
    if taken:
        assert decide(channel, CloseChannel(COMMAND, TAPROOT), ALICE).facts
    else:
        with pytest.raises(ChannelNotUsable, match="segwit"):
            decide(channel, CloseChannel(COMMAND, TAPROOT), ALICE)


# -- what it waits for ------------------------------------------------------------------------------------------------


def test_a_wish_that_the_peer_does_not_take_is_dropped_and_its_own_wish_is_answered() -> None:
    channel = a_normal_channel("bob").but(local_features=b"", remote_features=b"")
    wanted = fold(channel, (ShutdownWanted(TAPROOT), ShutdownReceived(THEIRS))).but(closers=(COMMAND,))
    step = perhaps_shutdown(wanted, with_wallet(BOB))
    assert isinstance(step.facts[1], ShutdownDropped)
    assert said(step) == [WALLETS] and step.state.shutdown_sent == WALLETS
    (answer,) = [action for action in step.actions if isinstance(action, Answer)]
    assert isinstance(answer.refused, ChannelNotUsable)


def test_a_shutdown_that_is_repeated_on_a_new_connection_is_written_once() -> None:
    channel = drained_channel("bob").but(their_shutdown_on_this_link=False)
    step = decide(channel, MessageReceived(Shutdown(CHANNEL_ID, THEIRS)), BOB)
    assert [type(fact) for fact in step.facts] == [ShutdownSeen] and not said(step)
    first = decide(a_normal_channel("bob"), MessageReceived(Shutdown(CHANNEL_ID, THEIRS)), with_wallet(BOB))
    assert [type(fact) for fact in first.facts if not fact.passing] == [ShutdownReceived, ShutdownSent]
    assert first.state.their_shutdown_on_this_link and first.state.shutdown_on_this_link


def test_the_opener_names_its_fee_with_the_last_of_both_shutdowns_whoever_said_it() -> None:
    def fees(step: Step[Channel]) -> int:
        return sum(isinstance(action.message, ClosingSigned) for action in step.actions if isinstance(action, Send))

    alice = a_normal_channel("alice")
    asked = decide(alice, MessageReceived(Shutdown(CHANNEL_ID, THEIRS)), with_wallet(ALICE))
    assert (len(said(asked)), fees(asked)) == (1, 1)
    asking = decide(alice, CloseChannel(COMMAND, OURS), ALICE)
    assert (len(said(asking)), fees(asking)) == (1, 0)
    answered = decide(asking.state, MessageReceived(Shutdown(CHANNEL_ID, THEIRS)), ALICE)
    assert (len(said(answered)), fees(answered)) == (0, 1)
    assert fees(decide(answered.state, Lull(), ALICE)) == 0


def test_a_wish_that_the_peer_does_not_take_is_not_turned_into_a_close_to_the_wallet() -> None:
    channel = a_normal_channel("bob").but(local_features=b"", remote_features=b"")
    step = perhaps_shutdown(fold(channel, (ShutdownWanted(TAPROOT),)), with_wallet(BOB))
    assert not said(step) and step.state.phase is Phase.NORMAL
    assert (step.state.shutdown_wanted, step.state.shutdown_sent) == (None, None)


def test_a_lull_says_nothing_of_a_close_that_nobody_wants() -> None:
    step = decide(a_normal_channel("alice"), Lull(), with_wallet(ALICE))
    assert step.state.phase is Phase.NORMAL and not step.actions
