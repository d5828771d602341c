"""A closed channel as its owner sees it: what is waited for, what is claimed, who took what."""

from __future__ import annotations

from typing import Any

import pytest
from tests.builders.closes import closed
from tests.builders.court import Court
from tests.builders.handle import RunningNode
from tests.builders.normal_channels import a_normal_channel
from tests.builders.onchain import Plan, Planned

from fulmen.api.commands.ending import ChannelEnding, ending_of
from fulmen.core.base.ids import BlockHash, OutPoint, Txid
from fulmen.core.base.outer import Block
from fulmen.core.base.units import BlockHeight, Sat
from fulmen.core.channel.state import Phase
from fulmen.core.commitments.close import CloseView, OutputView

OURS, THEIRS = Txid(b"\x01" * 32), Txid(b"\x02" * 32)


def seen(court: Court) -> ChannelEnding:
    """As the node of Alice would show it."""

    class Alice(RunningNode):
        tip = court.tip

        @property
        def views(self) -> Any:
            assert court.alice.node is not None
            return court.alice.node.views

    channel = a_normal_channel("alice").but(
        channel_id=court.channel_id, phase=Phase.SPENT, spent_by=b"", spent_in=court.tip
    )
    ending = ending_of(Alice(), channel)
    assert ending is not None
    return ending


def test_a_close_is_told_output_by_output() -> None:
    offer = Planned(0, "alice", expires_in=4)
    court = closed("alice", Plan(htlcs=(offer,)))
    first = seen(court)
    assert first.kind == "our commitment"
    assert {(one.what, one.state) for one in first.outputs} == {("to_local", "waiting"), ("HTLC-timeout", "waiting")}
    court.mine(5)
    later = {one.what: one.state for one in seen(court).outputs}
    assert later["HTLC-timeout"] == "ours" and later["second stage"] == "waiting"


@pytest.mark.parametrize(
    ("what", "changes", "state"),
    [
        ("to_local", {}, "due"),
        ("to_local", {"ripe_at": 102}, "waiting"),
        ("HTLC-success", {}, "needs preimage"),
        ("received HTLC", {}, "needs preimage"),
        ("received HTLC", {"claimed_by": OURS}, "claimed"),
        ("received HTLC", {"claimed_by": OURS, "taken_by": THEIRS}, "the peer's"),
        ("received HTLC", {"taken_by": THEIRS}, "the peer's"),
        ("offered HTLC", {"claimed_by": OURS, "taken_by": OURS}, "ours"),
        ("to_local", {"given_up": True}, "not worth its fee"),
    ],
)
def test_each_output_says_how_far_it_has_come(what: str, changes: dict[str, Any], state: str) -> None:
    fields: dict[str, Any] = {"ripe_at": 101, "claimed_by": None, "taken_by": None, "given_up": False}
    shown = OutputView(what=what, outpoint=OutPoint(OURS, 3), amount_sat=Sat(5000), **(fields | changes))

    channel = a_normal_channel("alice").but(
        phase=Phase.SPENT, spent_by=b"", spent_in=Block(BlockHeight(90), BlockHash(bytes(32)))
    )
    view = CloseView(channel.channel_id, "our commitment", OURS, BlockHeight(90), (shown,))

    class Closed(RunningNode):
        @property
        def views(self) -> Any:
            return {f"onchain:{channel.channel_id.hex()}": view}

    ending = ending_of(Closed(), channel)
    assert ending is not None
    (one,) = ending.outputs
    assert (one.state, one.output, one.amount_msat) == (state, 3, 5_000_000)
    assert (one.ripe_height is None) is ("taken_by" in changes)
