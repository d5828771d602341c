"""What the key holder is told at a start of what it did in earlier lives (law 1)."""

from __future__ import annotations

import pytest
from tests.builders.channels import CHANNEL_ID
from tests.builders.normal_channels import a_normal_channel, an_unconfirmed_channel

from fulmen.core.base.machine import evolve
from fulmen.core.channel.dance import remote_view
from fulmen.core.channel.facts import CommitmentSent
from fulmen.core.channel.remembering import NO_POINT, remembered
from fulmen.core.channel.state import Phase
from fulmen.core.channel.table import initial
from fulmen.core.commitments.building import build
from fulmen.core.commitments.updates import Updates
from fulmen.core.signer.remembered import Signed, content_of


def test_of_what_is_not_yet_or_no_more_nothing_is_remembered() -> None:
    assert remembered(initial(CHANNEL_ID)) is None
    assert remembered(an_unconfirmed_channel().but(phase=Phase.CREATED)) is None
    assert remembered(a_normal_channel().but(phase=Phase.CLOSED)) is None
    for phase in (Phase.AWAITING_READY, Phase.NORMAL, Phase.SHUTDOWN, Phase.CLOSING, Phase.FAILED, Phase.SPENT):
        assert remembered(a_normal_channel().but(phase=phase)) is not None


@pytest.mark.parametrize(
    ("phase", "outdated", "published"),
    [
        (Phase.NORMAL, False, -1),
        (Phase.CLOSING, False, -1),
        (Phase.FAILED, False, 0),
        (Phase.SPENT, False, 0),
        (Phase.FAILED, True, -1),
        (Phase.SPENT, True, -1),
    ],
)
def test_what_may_be_published_is_the_commitment_of_a_channel_that_failed_and_is_not_behind(
    phase: Phase, outdated: bool, published: int
) -> None:
    known = remembered(a_normal_channel().but(phase=phase, outdated=outdated))
    assert known is not None and known.published == published


def test_what_was_signed_and_not_acknowledged_is_known_to_the_letter_and_what_was_before_it() -> None:
    channel = a_normal_channel("alice")
    known = remembered(channel)
    assert known is not None
    local, remote = channel.local.totals.local_msat, channel.remote.totals.local_msat
    assert known.local == Signed(0, local, False, NO_POINT)
    assert known.remote == Signed(0, remote, False, channel.remote_point)
    assert known.remote_before is None and known.payout == b""

    signed = evolve(channel, CommitmentSent(1, Updates()))
    assert signed.remote_next is not None
    known = remembered(signed)
    assert known is not None and known.remote is not None
    view = remote_view(signed, signed.remote_next, signed.remote_next_point)
    content = content_of(view, build(view).digest)
    assert known.remote == Signed(1, remote, False, signed.remote_next_point).but(content=content)
    assert known.remote_before == Signed(0, remote, False, signed.remote_point)
    assert known.funding == channel.funding.outpoint and known.params == channel.params


def test_our_share_may_go_where_the_close_says() -> None:
    channel = a_normal_channel("alice")
    for said, wanted, payout in ((b"said", None, b"said"), (None, b"wanted", b"wanted"), (b"said", b"wanted", b"said")):
        known = remembered(channel.but(shutdown_sent=said, shutdown_wanted=wanted))
        assert known is not None and known.payout == payout


def test_htlcs_of_either_direction_are_pending() -> None:
    channel = a_normal_channel("alice")
    for count in ("offered_count", "received_count"):
        totals = channel.local.totals.but(**{count: 1})
        known = remembered(channel.but(local=channel.local.but(totals=totals)))
        assert known is not None and known.local is not None and known.local.pending is True
