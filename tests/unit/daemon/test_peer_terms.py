"""A fresh channel's peer is given a moment to say what it asks, and a silent one only once."""

import asyncio

from fulmen.core.base.ids import ChannelId
from fulmen.core.gossip.graph import DirectionPolicy
from fulmen.core.routing.words import Terms
from fulmen.daemon.peer_terms import PeerTerms

ID = ChannelId(b"c" * 32)
POLICY = DirectionPolicy(7, 70, 34, 1, 10**9, True, 0)


class Gossip:
    """Knows what the peer asks from the n-th question on."""

    def __init__(self, known_from):
        self.known_from = known_from
        self.asked = 0

    async def ask(self, question, kind):
        assert question.channel_id == ID and kind is Terms
        self.asked += 1
        return Terms(1, POLICY if self.asked >= self.known_from else None)


def test_what_is_known_is_said_at_once():
    gossip = Gossip(1)
    assert asyncio.run(PeerTerms(gossip.ask).of(ID)) == POLICY
    assert gossip.asked == 1


def test_a_peer_that_has_not_said_it_yet_is_waited_for():
    assert asyncio.run(PeerTerms(Gossip(3).ask).of(ID)) == POLICY


def test_a_silent_peer_is_waited_for_once():
    async def play():
        gossip = Gossip(1000)
        terms = PeerTerms(gossip.ask, wait_s=0.25)
        assert await terms.of(ID) is None
        asked = gossip.asked
        assert await terms.of(ID) is None
        assert gossip.asked == asked + 1
        gossip.known_from = 0
        assert await terms.of(ID) == POLICY

    asyncio.run(play())
