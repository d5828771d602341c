"""From two living channels to a cheat: whatever state of its past a peer publishes, each output of it is taken.

Real channel machines lived through the states; what is known of them was written by the way.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.builders.channels import env_of, terms_of, terms_of_a_copycat
from tests.builders.onchain import keys_of_end
from tests.laws.channel_family import channel_of, pay
from tests.laws.test_channels_end_on_the_chain import Ends, onchain_of

from fulmen.core.base.machine import Lull
from fulmen.core.base.outer import WantPublished
from fulmen.core.bitcoin.transaction import Tx, parse_tx
from fulmen.core.channel.dance import local_view
from fulmen.core.channel.state import Channel
from fulmen.core.commitments.building import build
from fulmen.core.commitments.params import PartyParams
from fulmen.core.onchain.classify import Kind
from fulmen.core.signer.requests import SignFundingSpend
from fulmen.core.transactions.formats import ANCHOR_SAT, ANCHORS_ZERO_FEE_HTLC, STATIC_REMOTEKEY


def lived_through(ends: Ends) -> dict[int, Channel]:
    """Bob's end as it was at each commitment that he has revoked, while payments of both came, failed and went."""
    past: dict[int, Channel] = {}
    ends.world.settle()
    for number, payer in ((2, ends.alice), (3, ends.bob), (4, ends.bob), (5, ends.alice), (6, ends.alice), (0, None)):
        if payer is not None:
            pay(payer, number, 30_000_000 + number * 1000)
        for _ in range(2 if payer is not None else 20):
            for sender, receiver in ((ends.alice, ends.bob), (ends.bob, ends.alice)):
                sender.run([Lull()])
                sender.disk.sync()
                ends.world.deliver(sender.name, receiver.name)
                past.setdefault(channel_of(ends.bob).local.number, channel_of(ends.bob))
    ends.under_way(ends.alice, 8)
    revoked = channel_of(ends.alice).remote.number
    return {number: state for number, state in past.items() if number < revoked}


def published(old: Channel) -> Tx:
    """What a node would publish that has come back from this state."""
    view = local_view(old, old.local, env_of("bob"))
    want = WantPublished("our commitment", build(view).tx.serialize(), (SignFundingSpend(view),))
    return parse_tx(keys_of_end("bob").complete(want))


@pytest.mark.parametrize("format", [ANCHORS_ZERO_FEE_HTLC.name, STATIC_REMOTEKEY.name])
@pytest.mark.parametrize("which", [0, 1, 2])
@pytest.mark.parametrize("terms", [terms_of, terms_of_a_copycat])
def test_every_output_of_a_state_of_the_past_is_taken(
    which: int, terms: Callable[..., PartyParams], format: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.builders.channels.terms_of", terms)
    ends = Ends(format)
    past = lived_through(ends)
    # The states with most HTLCs, of which most are gone since.
    old = sorted(past.values(), key=lambda state: (-state.local.totals.output_count, state.local.number))[which]
    assert old.local.totals.output_count >= 2
    cheat = published(old)
    ends.confirm(cheat)
    ending = onchain_of(ends.alice).ending
    assert ending is not None and ending.kind is Kind.REVOKED
    ends.advance(1)
    taken = {spent.outpoint for tx in ends.wanted(ends.alice) for spent in tx.inputs}
    for vout, output in enumerate(cheat.outputs):
        is_anchor = "anchors" in format and output.amount_sat == ANCHOR_SAT
        assert (cheat.outpoint(vout) in taken) != is_anchor, (vout, output.amount_sat)
