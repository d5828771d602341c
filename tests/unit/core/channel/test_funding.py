"""From the funding transaction to a usable channel, and patience with one that never comes (B2-15 … B2-17)."""

from __future__ import annotations

import pytest
from tests.builders.channels import CAPACITY_SAT, FUNDING, env_of
from tests.builders.normal_channels import a_normal_channel, an_unconfirmed_channel

from fulmen.core.base.env import Env
from fulmen.core.base.ids import BlockHash, OutPoint, Txid, scid, scid_parts
from fulmen.core.base.machine import Faulted, Step, Tell
from fulmen.core.base.outer import (
    Block,
    ChainRewound,
    HeightReached,
    Send,
    TxConfirmed,
    WantHeight,
    WantSpendWatch,
    WantTxWatch,
)
from fulmen.core.base.peers import ChannelDetached, MessageReceived
from fulmen.core.base.units import BlockHeight, Sat
from fulmen.core.bitcoin.transaction import Tx, TxIn, TxOut
from fulmen.core.channel.faults import TooManyAliases
from fulmen.core.channel.funding import ALIAS_BLOCK, MAX_ALIASES
from fulmen.core.channel.state import Channel, Link, Phase
from fulmen.core.channel.table import decide, view, wants
from fulmen.core.transactions.funding import funding_output
from fulmen.core.wire.messages.opening import ChannelReady


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
