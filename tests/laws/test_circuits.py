"""Laws 4, 5 and 10 for forwarded HTLCs: whatever order channels, peers, crashes and repetitions come in.

The channels are played here: they take or refuse offers, forget what was never signed, pay, fail, and say most things
twice. What is durable survives a crash, what is passing does not.
"""

from __future__ import annotations

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from tests.builders.switch import (
    ALSO_TO_CAROL,
    HEIGHT,
    INCOMING,
    PREIMAGE,
    TO_CAROL,
    a_link,
    an_htlc,
    bob,
    locked_in,
    onion_through_bob,
)

from fulmen.core.base.env import Env
from fulmen.core.base.ids import OFFERED, ChannelId, HtlcKey
from fulmen.core.base.machine import Event, Tell, fold
from fulmen.core.base.mount import Informed
from fulmen.core.base.outer import TimeReached, WantTime
from fulmen.core.commitments.htlcs import (
    Failed,
    FailHtlc,
    FailMalformedHtlc,
    Fulfilled,
    FulfillHtlc,
    HtlcLockedIn,
    HtlcOffered,
    HtlcRemoved,
    OfferForgotten,
    OfferHtlc,
    OfferRefused,
    SeekOffer,
    circuit_address,
)
from fulmen.core.switch.circuit import Phase, ended, forget, initial
from fulmen.core.switch.circuits import decide, wants

CHANNELS = (TO_CAROL, ALSO_TO_CAROL)
ONION = onion_through_bob()


class Offer:
    """One offer as its channel remembers it."""

    def __init__(self, channel_id: ChannelId, ref: int, event: OfferHtlc, number: int) -> None:
        self.channel_id = channel_id
        self.ref = ref
        self.event = event
        self.key = HtlcKey(channel_id, OFFERED, number)
        self.committed = False
        self.outcome = ""

    @property
    def live(self) -> bool:
        return not self.outcome


class Circuits(RuleBasedStateMachine):
    """One circuit between one channel upstream and two to the same peer downstream."""

    def __init__(self) -> None:
        super().__init__()
        self.state = initial(circuit_address(INCOMING).key)
        self.durable: list[Any] = []
        self.offers: list[Offer] = []
        self.online = dict.fromkeys(CHANNELS, True)
        self.room = dict.fromkeys(CHANNELS, True)
        self.upstream_online = True
        self.upstream: Event | None = None
        """What the upstream channel has proposed."""
        self.held = False
        """The upstream channel holds the preimage durably."""
        self.gone = ""
        """How the upstream HTLC was removed."""
        self.wall = 1_700_000_000
        self.height = HEIGHT

    @initialize()
    def the_htlc_comes(self) -> None:
        self.deliver(locked_in(ONION))

    def env(self) -> Env:
        links = [
            a_link(channel_id, usable=self.online[channel_id], scid=a_link().scid if channel_id == TO_CAROL else 5)
            for channel_id in CHANNELS
        ]
        return bob(*links, wall=self.wall, height=self.height)

    def deliver(self, event: Event) -> None:
        """Run the circuit and the channels it tells to rest: one batch."""
        queue = [event]
        while queue:
            before = self.state
            step = decide(before, queue.pop(0), self.env())
            assert fold(before, step.facts) == step.state
            self.state = step.state
            self.durable += [fact for fact in step.facts if not fact.passing]
            assert forget(self.state) == fold(initial(circuit_address(INCOMING).key), self.durable)
            for action in step.actions:
                if isinstance(action, Tell):
                    queue += self.channel(action)

    def channel(self, tell: Tell) -> list[Event]:
        """What a channel does when it is told something, and what it answers."""
        event = tell.event
        if isinstance(event, OfferHtlc | SeekOffer):
            channel_id = ChannelId(tell.to.key)
            for offer in self.offers:
                if (offer.channel_id, offer.ref) == (channel_id, event.ref):
                    assert offer.live, "an offer that was resolved is made again"
                    return [HtlcOffered(offer.ref, offer.key)]
            if isinstance(event, SeekOffer):
                return [OfferForgotten(event.ref, channel_id)]
            assert not self.gone, "offered for an HTLC that is gone"
            if not (self.online[channel_id] and self.room[channel_id]):
                return [OfferRefused(event.ref, channel_id, "ChannelOffline")]
            offer = Offer(channel_id, event.ref, event, len(self.offers))
            self.offers.append(offer)
            return [HtlcOffered(offer.ref, offer.key)]
        if isinstance(event, FulfillHtlc):
            assert event.preimage == PREIMAGE
            self.held = True
            if self.upstream_online and not self.gone and self.upstream is None:
                self.upstream = event
        if isinstance(event, FailHtlc | FailMalformedHtlc):
            assert not self.held, "law 5: failed after the preimage was known"
            if self.upstream_online and not self.gone and self.upstream is None:
                self.upstream = event
        return []

    def drop(self, offers: list[Offer]) -> list[Offer]:
        """Offers that were in no signed commitment are gone."""
        dropped = [offer for offer in offers if offer.live and not offer.committed]
        self.offers = [offer for offer in self.offers if offer not in dropped]
        return dropped

    @precondition(lambda self: not self.gone)
    @rule()
    def the_htlc_is_told_again(self) -> None:
        self.deliver(locked_in(ONION))

    @rule(channel_id=st.sampled_from(CHANNELS))
    def a_peer_leaves(self, channel_id: ChannelId) -> None:
        self.online[channel_id] = False
        for offer in self.drop([offer for offer in self.offers if offer.channel_id == channel_id]):
            self.deliver(OfferForgotten(offer.ref, channel_id))
            self.deliver(OfferForgotten(offer.ref, channel_id))

    @rule(channel_id=st.sampled_from(CHANNELS), room=st.booleans())
    def a_peer_comes_back(self, channel_id: ChannelId, room: bool) -> None:
        self.online[channel_id] = True
        self.room[channel_id] = room

    @rule()
    def upstream_reconnects(self) -> None:
        if not self.gone:
            self.upstream = None
            self.upstream_online = True
            self.deliver(locked_in(ONION))
            if self.held and self.upstream is None:
                self.upstream = FulfillHtlc(INCOMING, PREIMAGE)

    @rule()
    def upstream_leaves(self) -> None:
        self.upstream = None
        self.upstream_online = False

    @precondition(lambda self: any(offer.live and not offer.committed for offer in self.offers))
    @rule()
    def offers_are_committed(self) -> None:
        for offer in self.offers:
            offer.committed = True

    @precondition(lambda self: any(offer.live and offer.committed for offer in self.offers))
    @rule(twice=st.booleans())
    def the_next_peer_pays(self, twice: bool) -> None:
        offer = next(offer for offer in self.offers if offer.live and offer.committed)
        offer.outcome = "paid"
        for _ in range(1 + twice):
            self.deliver(Fulfilled(offer.ref, offer.key, PREIMAGE))

    @precondition(lambda self: any(offer.live and offer.committed for offer in self.offers))
    @rule(twice=st.booleans(), how=st.sampled_from(["wire", "malformed", "chain"]))
    def the_next_peer_fails(self, twice: bool, how: str) -> None:
        offer = next(offer for offer in self.offers if offer.live and offer.committed)
        offer.outcome = "failed"
        failed = {
            "wire": Failed(offer.ref, offer.key, b"r" * 292),
            "malformed": Failed(offer.ref, offer.key, failure_code=0xC005, sha256_of_onion=b"h" * 32),
            "chain": Failed(offer.ref, offer.key, on_chain=True),
        }[how]
        for _ in range(1 + twice):
            self.deliver(failed)

    @rule(seconds=st.sampled_from([1, 5, 31]))
    def time_passes(self, seconds: int) -> None:
        self.wall += seconds
        self.wake()

    def wake(self) -> None:
        """As the clock does."""
        for want in wants(self.state):
            if isinstance(want, WantTime) and self.wall >= want.at:
                self.deliver(TimeReached(self.wall))

    @rule(blocks=st.integers(1, 12))
    def blocks_come(self, blocks: int) -> None:
        self.height += blocks

    @precondition(lambda self: self.upstream is not None and not self.gone)
    @rule()
    def the_upstream_removal_is_irrevocable(self) -> None:
        assert self.upstream is not None
        self.gone = "paid" if isinstance(self.upstream, FulfillHtlc) else "failed"
        for _ in range(2):
            self.deliver(HtlcRemoved(INCOMING))

    @precondition(lambda self: not self.gone)
    @rule()
    def upstream_is_over_on_the_chain(self) -> None:
        """We took the HTLC there if we knew its preimage, and else the peer took it back."""
        self.gone = "paid" if self.held else "taken back"
        self.upstream, self.upstream_online = None, False
        for _ in range(2):
            self.deliver(HtlcRemoved(INCOMING))

    @rule()
    def the_process_crashes(self) -> None:
        self.state = fold(initial(circuit_address(INCOMING).key), self.durable)
        self.drop(self.offers)
        self.upstream, self.upstream_online = None, False
        self.online = dict.fromkeys(CHANNELS, False)
        if not self.gone:
            self.deliver(locked_in(ONION))

    @invariant()
    def no_two_htlcs_are_out_for_one_that_came_in(self) -> None:
        assert sum(offer.live or offer.outcome == "paid" for offer in self.offers) <= 1

    @invariant()
    def nothing_is_failed_upstream_that_may_be_paid_downstream(self) -> None:
        if self.gone == "failed" or isinstance(self.upstream, FailHtlc | FailMalformedHtlc):
            assert all(offer.outcome == "failed" for offer in self.offers)

    @invariant()
    def what_was_paid_downstream_is_claimed_upstream(self) -> None:
        if any(offer.outcome == "paid" for offer in self.offers):
            # What the peer has taken back on the chain may still be paid by who had it already: that is a loss.
            late = self.gone == "taken back"
            assert self.held and self.state.phase is Phase.FULFILLED and self.state.lost is late
            assert late or self.gone in ("", "paid")

    @invariant()
    def what_goes_out_is_what_came_in_less_our_fee(self) -> None:
        for offer in self.offers:
            assert an_htlc().amount_msat - offer.event.amount_msat >= 1000
            assert offer.event.payment_hash == an_htlc().payment_hash

    def teardown(self) -> None:
        """However it went, it comes to an end when everybody is there."""
        self.online = dict.fromkeys(CHANNELS, True)
        self.wall += 60
        for _ in range(4):
            self.wall += 60
            self.wake()
            if self.gone in ("paid", "failed"):
                break
            self.upstream_reconnects()
            if self.state.retry_at:
                self.wall += 60
                self.wake()
            for offer in list(self.offers):
                if offer.live:
                    offer.committed, offer.outcome = True, "paid"
                    self.deliver(Fulfilled(offer.ref, offer.key, PREIMAGE))
            if self.upstream is not None:
                self.the_upstream_removal_is_irrevocable()
        assert ended(self.state)
        self.what_was_paid_downstream_is_claimed_upstream()


TestCircuits = Circuits.TestCase
TestCircuits.settings = settings(deadline=None, max_examples=150, stateful_step_count=40)


def test_the_harness_speaks_of_one_htlc():
    informed = locked_in(ONION)
    assert isinstance(informed, Informed) and isinstance(informed.event, HtlcLockedIn)
    assert informed.event.htlc.key == INCOMING
