"""What comes in: believed once it is signed and funded, and never at the price of unbounded memory."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.builders.gossip import CHAIN, NODES, NOW, a_channel, a_node, an_outpoint, an_update, real_channels

from fulmen.core.base.ids import scid
from fulmen.core.gossip.faults import BadAddresses, BadGossipSignature, Ignored
from fulmen.core.gossip.graph import Graph
from fulmen.core.gossip.intake import MAX_FAILURES, MAX_PER_SCID, FundingOutput, Intake, funding_script
from fulmen.core.gossip.policy import GossipPolicy
from fulmen.core.gossip.rules import Judge
from fulmen.core.gossip.signatures import all_hold
from fulmen.core.wire import decode
from fulmen.core.wire.messages.gossip import ChannelAnnouncement

PEER, LIAR = NODES[30], NODES[31]
ONE = scid(101, 1, 0)


class Desk:
    """An intake whose questions are answered at once."""

    def __init__(self, **policy: object) -> None:
        self.graph = Graph()
        self.policy = GossipPolicy(**policy)
        self.judge = Judge(self.graph, self.policy, CHAIN)
        self.accepted: list = []
        self.intake = Intake(self.graph, self.judge, self.policy, lambda key, peer: self.accepted.append((key, peer)))
        self.faults: list = []

    def offer(self, frame: bytes, peer: bytes = PEER, now: int = NOW) -> Ignored | None:
        ignored = self.intake.offer(peer, decode(frame), frame, now)
        self.answer(now)
        return ignored

    def answer(self, now: int = NOW) -> None:
        while questions := self.intake.take_checks():
            for question in questions:
                fault = self.intake.checked(question.ticket, all_hold(question.checks), now)
                self.faults += [fault] if fault else []

    def everything(self) -> tuple:
        """The graph as far as gossip can tell."""
        halves = [(c.scid, d) for c in self.graph.channels() for d in (0, 1)]
        return (
            [self.graph.announcement(c.scid) for c in self.graph.channels()],
            [self.graph.update(*half) for half in halves],
            [self.graph.node_announcement(node_id) for node_id in self.graph.node_ids()],
        )


def found(frame: bytes, number: int = 1) -> FundingOutput:
    return FundingOutput(an_outpoint(number), 50_000, funding_script(decode(frame)))


VALID = [
    a_channel(1, 0, 1),
    a_channel(2, 1, 2),
    an_update(1, 0, 0, timestamp=NOW - 50, fee_base_msat=1),
    an_update(1, 0, 0, timestamp=NOW - 40, fee_base_msat=2),
    an_update(1, 1, 1, timestamp=NOW - 30),
    an_update(2, 2, 1, timestamp=NOW - 20, channel_flags=3),
    a_node(0, timestamp=NOW - 10),
    a_node(1, timestamp=NOW - 9),
    a_node(1, timestamp=NOW - 8, alias=b"newer".ljust(32, b"\0")),
]


def taken_in(order: list[bytes]) -> tuple:
    desk = Desk(check_funding=False)
    for frame in order:
        desk.offer(frame)
    assert desk.faults == []
    return desk.everything()


@settings(max_examples=60)
@given(st.permutations(VALID))
def test_valid_gossip_gives_the_same_graph_in_any_order(order: list[bytes]) -> None:
    assert taken_in(order) == taken_in(VALID)


@given(st.lists(st.sampled_from(VALID), max_size=20))
def test_what_is_replayed_changes_nothing(replayed: list[bytes]) -> None:
    assert taken_in([*VALID, *replayed]) == taken_in(VALID)


def test_a_channel_is_believed_when_the_chain_has_its_funding() -> None:
    desk, frame = Desk(), a_channel(1)
    assert desk.offer(frame) is None
    assert len(desk.graph) == 0
    assert desk.intake.take_lookups() == [ONE]
    assert desk.intake.take_lookups() == []
    desk.intake.looked_up(ONE, found(frame), NOW)
    assert desk.graph.capacity(ONE) == 50_000
    assert desk.graph.funded_by(an_outpoint(1)) == ONE
    assert desk.accepted == [(("channel", ONE, 0), PEER)]
    assert desk.intake.pending_of(PEER) == 0


def test_a_funding_script_has_both_keys_in_byte_order() -> None:
    frame, _ = real_channels()[0]
    script = funding_script(decode(frame))
    assert len(script) == 34 and script[:2] == b"\0\x20"
    message = decode(frame)
    swapped = message.but(bitcoin_key_1=message.bitcoin_key_2, bitcoin_key_2=message.bitcoin_key_1)
    assert funding_script(swapped) == script


def test_a_channel_without_its_funding_is_not_asked_for_again_until_the_next_block() -> None:
    desk, frame = Desk(), a_channel(1)
    desk.offer(frame)
    desk.intake.take_lookups()
    desk.intake.looked_up(ONE, None, NOW)
    assert len(desk.graph) == 0
    assert desk.offer(frame) is Ignored.NO_FUNDING
    desk.intake.forget_rejected()
    assert desk.offer(frame) is None


def test_an_invented_channel_does_not_keep_the_real_one_out() -> None:
    desk, real = Desk(), a_channel(1, 0, 1)
    # The liar's own keys, the real channel's place.
    fake = a_channel(9, 3, 4, short_channel_id=ONE)
    desk.offer(fake, LIAR)
    desk.offer(real)
    assert desk.intake.take_lookups() == [ONE]
    desk.intake.looked_up(ONE, found(real), NOW)
    assert desk.graph.ends(ONE) == (NODES[0], NODES[1])
    assert desk.judge.blacklist == {}


def test_no_peer_takes_all_places_in_which_a_channel_waits_for_the_chain() -> None:
    desk, real = Desk(), a_channel(1, 0, 1)
    fakes = [a_channel(9 + number, 3, 4, short_channel_id=ONE) for number in range(MAX_PER_SCID)]
    assert [desk.offer(fake, LIAR) for fake in fakes] == [None, *[Ignored.BUSY] * (MAX_PER_SCID - 1)]
    assert desk.offer(real) is None
    assert [desk.offer(fake, peer) for fake, peer in zip(fakes[1:], NODES[20:], strict=False)].count(None) == (
        MAX_PER_SCID - 2
    )
    assert desk.intake.take_lookups() == [ONE]
    desk.intake.looked_up(ONE, found(real), NOW)
    assert desk.graph.ends(ONE) == (NODES[0], NODES[1])
    assert desk.intake._announced == {}


def test_a_lookup_that_failed_is_asked_again_in_a_while_and_others_meanwhile() -> None:
    """A chain source that is away, or has pruned the block, fails at once: asking at once would be a loop."""
    desk = Desk(max_lookups=1)
    desk.offer(a_channel(1))
    desk.intake.take_lookups()
    desk.intake.lookup_failed(ONE)
    assert desk.intake.take_lookups() == []
    desk.offer(a_channel(2))
    assert desk.intake.take_lookups() == [scid(102, 1, 0)]
    desk.intake.looked_up(scid(102, 1, 0), None, NOW)
    desk.intake.ask_again()
    assert desk.intake.take_lookups() == [ONE]
    desk.intake.looked_up(ONE, found(a_channel(1)), NOW)
    assert ONE in desk.graph


def test_a_channel_that_cannot_be_looked_up_is_not_asked_for_without_end() -> None:
    desk = Desk()
    desk.offer(a_channel(1))
    for _ in range(MAX_FAILURES):
        assert desk.intake.take_lookups() == [ONE]
        desk.intake.lookup_failed(ONE)
        desk.intake.ask_again()
    assert desk.intake.take_lookups() == []
    assert desk.intake.ignored == {Ignored.NOT_LOOKED_UP: 1}
    assert desk.intake.pending_of(PEER) == 0
    assert desk.offer(a_channel(1)) is Ignored.NO_FUNDING
    desk.intake.forget_rejected()
    assert desk.offer(a_channel(1)) is None


def test_two_true_announcements_of_one_output_blacklist_all_four_nodes() -> None:
    desk, first = Desk(), a_channel(1, 0, 1)
    second = a_channel(1, 2, 3)
    for frame in (first, second):
        desk.offer(frame)
        desk.intake.take_lookups()
        desk.intake.looked_up(ONE, found(frame), NOW)
    assert list(desk.judge.blacklist) == NODES[:4]
    assert len(desk.graph) == 0
    assert desk.offer(a_channel(2, 0, 5)) is Ignored.BLACKLISTED


@pytest.mark.parametrize("ends", [(0, 5), (1, 5), (5, 20), (5, 21)])
def test_a_channel_with_a_node_on_the_blacklist_at_either_end_is_ignored(ends: tuple[int, int]) -> None:
    desk = Desk(check_funding=False)
    for place in (0, 1, 20, 21):
        desk.judge.put_on_blacklist(NODES[place])
    assert desk.offer(a_channel(2, *ends)) is Ignored.BLACKLISTED
    assert desk.offer(a_channel(3, 5, 6)) is None


def test_the_blacklist_is_bounded_and_forgives_the_oldest() -> None:
    desk = Desk(check_funding=False, max_blacklisted=2)
    for place in (0, 1, 2):
        desk.judge.put_on_blacklist(NODES[place])
    assert list(desk.judge.blacklist) == NODES[1:3]


def test_the_same_channel_told_otherwise_at_the_same_time_is_no_contradiction() -> None:
    desk = Desk()
    first, second = a_channel(1), a_channel(1, extra=b"\x01\x00")
    for frame, peer in ((first, PEER), (second, LIAR)):
        assert desk.offer(frame, peer) is None
    assert desk.intake.take_lookups() == [ONE]
    desk.intake.looked_up(ONE, found(first), NOW)
    assert desk.graph.announcement(ONE) == first and desk.judge.blacklist == {}


@pytest.mark.parametrize(("height", "ignored"), [(102, Ignored.TOO_YOUNG), (103, None)])
def test_a_channel_is_believed_from_three_confirmations_on(height: int, ignored: Ignored | None) -> None:
    desk = Desk(check_funding=False)
    desk.judge.height = height
    assert desk.offer(a_channel(1)) is ignored


def test_a_full_graph_takes_no_more_channels_and_goes_on_hearing_of_those_it_has() -> None:
    desk = Desk(check_funding=False, max_channels=1)
    assert desk.offer(a_channel(1)) is None
    assert desk.offer(a_channel(2)) is Ignored.FULL
    assert desk.offer(an_update(1)) is None


def test_without_a_chain_nobody_gets_another_blacklisted() -> None:
    desk = Desk(check_funding=False)
    desk.offer(a_channel(1, 0, 1))
    assert desk.offer(a_channel(1, 2, 3), LIAR) is Ignored.DUPLICATE


@pytest.mark.parametrize("frame", [VALID[0], VALID[2], VALID[6]], ids=["channel", "update", "node"])
def test_a_bad_signature_is_its_peers_fault_and_changes_nothing(frame: bytes) -> None:
    desk = Desk(check_funding=False)
    if frame is not VALID[0]:
        desk.offer(VALID[0])
    before = desk.everything()
    broken = bytearray(frame)
    broken[20] ^= 1
    desk.offer(bytes(broken), LIAR)
    assert [type(fault) for fault in desk.faults] == [BadGossipSignature]
    assert desk.faults[0].details["peer"] == LIAR
    assert desk.everything() == before


@pytest.mark.parametrize(
    ("frame", "why"),
    [
        (a_channel(1, chain_hash=bytes(32)), Ignored.UNKNOWN_CHAIN),
        (a_channel(1, node_id_1=NODES[1], node_id_2=NODES[0]), Ignored.NOT_SORTED),
        (a_channel(1, node_id_2=NODES[0]), Ignored.NOT_SORTED),
        (a_channel(1, features=bytes(2000)), Ignored.TOO_LONG),
        (a_channel(700, 0, 1), Ignored.TOO_YOUNG),
        (an_update(3, chain_hash=bytes(32)), Ignored.UNKNOWN_CHAIN),
        (an_update(3, timestamp=0), Ignored.NO_TIME),
        (an_update(3, timestamp=NOW + 86_401), Ignored.FROM_THE_FUTURE),
        (an_update(3, timestamp=NOW - 15 * 86_400), Ignored.STALE),
        (an_update(3, message_flags=3), Ignored.PRIVATE),
        (an_update(3, extra=bytes(2000)), Ignored.TOO_LONG),
        (an_update(3, timestamp=NOW - 1), Ignored.OLDER),
        (an_update(3, fee_base_msat=5), Ignored.SAME_TIME),
        (an_update(4), Ignored.UNKNOWN_CHANNEL),
        (a_node(7), Ignored.UNKNOWN_NODE),
        (a_node(0, timestamp=NOW - 1), Ignored.OLDER),
        (a_node(0, timestamp=NOW + 1, extra=bytes(2000)), Ignored.TOO_LONG),
        (a_node(0, timestamp=NOW + 86_401), Ignored.FROM_THE_FUTURE),
    ],
    ids=lambda value: value.name.lower() if isinstance(value, Ignored) else "",
)
def test_messages_are_ignored_for_a_reason(frame: bytes, why: Ignored) -> None:
    desk = Desk(check_funding=False)
    desk.judge.height = 300
    for known in (a_channel(3), an_update(3), a_node(0)):
        desk.offer(known)
    before = desk.everything()
    assert desk.offer(frame) is why
    assert desk.intake.ignored == {why: 1}
    assert desk.everything() == before


def test_a_spent_channel_only_hears_that_it_is_disabled() -> None:
    desk = Desk(check_funding=False)
    desk.offer(a_channel(1))
    desk.graph.mark_spent(ONE, 500)
    assert desk.offer(an_update(1)) is Ignored.SPENT
    assert desk.offer(an_update(1, channel_flags=2)) is None


def test_fields_of_the_future_stay_with_the_message() -> None:
    desk = Desk(check_funding=False)
    frame = a_channel(1, extra=b"\x02\x03abc")
    desk.offer(frame)
    assert desk.graph.announcement(ONE) == frame
    update = an_update(1, extra=b"\xff\xff")
    desk.offer(update)
    assert desk.graph.update(ONE, 0) == update


def test_a_node_with_broken_addresses_is_its_peers_fault() -> None:
    desk = Desk(check_funding=False)
    desk.offer(a_channel(1))
    with pytest.raises(BadAddresses):
        desk.offer(a_node(0, addresses=b"\1\2"))


def test_a_node_that_says_too_much_waits_for_the_next_window() -> None:
    desk = Desk(check_funding=False, messages_per_window=2)
    desk.offer(a_channel(1))
    said = [desk.offer(an_update(1, timestamp=NOW + second)) for second in range(3)]
    assert said == [None, None, Ignored.RATE_LIMITED]
    desk.judge.new_window()
    assert desk.offer(an_update(1, timestamp=NOW + 9)) is None


def test_a_node_that_announces_itself_too_often_waits_for_the_next_window() -> None:
    desk = Desk(check_funding=False, messages_per_window=2)
    desk.offer(a_channel(1))
    said = [desk.offer(a_node(0, timestamp=NOW + second)) for second in range(3)]
    assert said == [None, None, Ignored.RATE_LIMITED]
    # Others are heard all the same.
    assert desk.offer(a_node(1)) is None


def test_what_is_as_old_as_what_we_have_is_never_news() -> None:
    desk = Desk(check_funding=False)
    for frame in (a_channel(1), an_update(1), a_node(0)):
        assert desk.offer(frame) is None
    told = list(desk.accepted)
    assert [desk.offer(frame) for frame in (a_channel(1), an_update(1), a_node(0))] == [Ignored.DUPLICATE] * 3
    assert desk.offer(a_node(0, rgb_color=b"\4\5\6")) is Ignored.OLDER
    assert desk.accepted == told


def test_of_two_that_are_looked_at_at_once_the_newer_stays_in_whichever_order_they_hold() -> None:
    for order in ((1, 2), (2, 1)):
        desk = Desk(check_funding=False)
        desk.offer(a_channel(1))
        for second in order:
            update, node = an_update(1, timestamp=NOW + second), a_node(0, timestamp=NOW + second)
            for frame in (update, node):
                assert desk.intake.offer(NODES[30 + second], decode(frame), frame, NOW) is None
        desk.answer()
        assert desk.graph.timestamp(ONE, 0) == desk.graph.node_timestamp(NODES[0]) == NOW + 2


def test_a_message_that_is_being_looked_at_is_not_looked_at_twice() -> None:
    desk, frame = Desk(), a_channel(1)
    assert desk.intake.offer(PEER, decode(frame), frame, NOW) is None
    assert desk.intake.offer(LIAR, decode(frame), frame, NOW) is Ignored.DUPLICATE
    assert len(desk.intake.take_checks()) == 1


def test_all_peers_together_have_no_more_looked_at_than_there_is_room_for() -> None:
    desk = Desk(max_pending=4, max_pending_per_peer=3)
    frames = [a_channel(number, number % 5, 5 + number % 7) for number in range(1, 8)]
    said = [desk.intake.offer(NODES[20 + at], decode(frame), frame, NOW) for at, frame in enumerate(frames)]
    assert said == [None] * 4 + [Ignored.BUSY] * 3


def test_an_output_that_pays_to_others_keeps_the_true_announcement_of_its_place_welcome() -> None:
    desk, real, fake = Desk(), a_channel(1, 0, 1), a_channel(9, 3, 4, short_channel_id=ONE)
    desk.offer(fake, LIAR)
    desk.intake.take_lookups()
    desk.intake.looked_up(ONE, found(real), NOW)
    assert len(desk.graph) == 0
    assert desk.offer(real) is None


def test_places_that_fund_nothing_are_remembered_up_to_a_bound_and_not_asked_for() -> None:
    desk = Desk(max_rejected=2)
    for number in (1, 2, 3):
        desk.offer(a_channel(number))
        for place in desk.intake.take_lookups():
            desk.intake.looked_up(place, None, NOW)
    assert list(desk.intake._rejected) == [scid(102, 1, 0), scid(103, 1, 0)]
    desk.offer(an_update(3))
    assert desk.intake.wanted == {}
    desk.offer(an_update(4))
    assert list(desk.intake.wanted) == [scid(104, 1, 0)]


def test_no_more_outputs_are_looked_for_at_once_than_the_policy_says() -> None:
    desk = Desk(max_lookups=2)
    for number in (1, 2, 3):
        desk.offer(a_channel(number))
    first = desk.intake.take_lookups()
    assert len(first) == 2 and desk.intake.take_lookups() == []
    desk.intake.looked_up(first[0], None, NOW)
    assert len(desk.intake.take_lookups()) == 1


def test_what_came_before_its_channel_is_held_as_the_newest_word_of_each_peer() -> None:
    desk = Desk(check_funding=False)
    for second in (5, 3):
        desk.offer(an_update(1, timestamp=NOW - second))
    # An old one of the same peer takes no place of a newer.
    desk.offer(an_update(1, timestamp=NOW - 8))
    desk.offer(a_channel(1))
    desk.answer()
    assert desk.graph.timestamp(ONE, 0) == NOW - 3


def test_what_waits_longest_for_its_channel_gives_way_to_what_came_later() -> None:
    desk = Desk(check_funding=False, max_held=2)
    for number in (1, 2, 3):
        desk.offer(an_update(number))
    for number in (1, 2, 3):
        desk.offer(a_channel(number))
    desk.answer()
    assert [desk.graph.timestamp(scid(100 + number, 1, 0), 0) for number in (1, 2, 3)] == [0, NOW, NOW]


def test_no_peer_has_more_held_than_its_share_and_others_have_theirs() -> None:
    desk = Desk(check_funding=False, max_held_per_peer=2)
    for number in (1, 2, 3):
        desk.offer(an_update(number), LIAR)
    desk.offer(an_update(4))
    assert desk.intake._held_of_peer == {LIAR: 2, PEER: 1}


def test_of_many_who_speak_of_a_channel_that_nobody_knows_a_few_are_held() -> None:
    desk = Desk(check_funding=False)
    for place in range(MAX_PER_SCID + 3):
        desk.offer(an_update(1, timestamp=NOW - place), NODES[place])
    assert sum(desk.intake._held_of_peer.values()) == MAX_PER_SCID


def test_a_node_with_broken_addresses_that_came_before_its_channel_is_nobodys_fault() -> None:
    desk = Desk(check_funding=False)
    assert desk.offer(a_node(0, addresses=b"\1\2")) is Ignored.UNKNOWN_NODE
    assert desk.offer(a_channel(1)) is None
    assert desk.graph.knows_node(NODES[0]) and desk.graph.node_announcement(NODES[0]) == b""


def test_a_lying_peer_never_holds_more_than_its_share() -> None:
    desk = Desk(max_pending=8, max_pending_per_peer=3, max_held=6, max_held_per_peer=2, max_wanted=5)
    frames = [a_channel(number, number % 5, 5 + number % 7) for number in range(1, 20)]
    results = [desk.intake.offer(LIAR, decode(frame), frame, NOW) for frame in frames]
    assert results.count(None) == 3 and desk.intake.pending_of(LIAR) == 3
    for number, peer in itertools.product(range(20, 40), NODES[20:30]):
        frame = an_update(number)
        desk.intake.offer(peer, decode(frame), frame, NOW)
    assert len(desk.intake.wanted) == 5
    assert sum(desk.intake._held_of_peer.values()) <= 6
    assert max(desk.intake._held_of_peer.values()) <= 2
    # Others are still heard.
    assert desk.intake.offer(PEER, decode(frames[-1]), frames[-1], NOW) is None


def test_all_that_was_counted_is_given_back() -> None:
    desk = Desk()
    for frame in VALID:
        desk.offer(frame)
    for place in desk.intake.take_lookups():
        desk.intake.looked_up(place, None, NOW)
    assert desk.intake.pending_of(PEER) == 0
    assert (desk.intake._frames, desk.intake._announced, desk.intake._awaiting) == ({}, {}, {})


def test_real_channels_are_believed_with_their_capacity() -> None:
    desk = Desk()
    fundings = {}
    for number, (frame, capacity) in enumerate(real_channels()):
        message = decode(frame)
        assert isinstance(message, ChannelAnnouncement)
        assert desk.offer(frame) is None
        fundings[message.short_channel_id] = FundingOutput(an_outpoint(number), capacity, funding_script(message))
    while places := desk.intake.take_lookups():
        for place in places:
            desk.intake.looked_up(place, fundings[place], NOW)
    assert desk.faults == []
    assert {c.scid: c.capacity_sat for c in desk.graph.channels()} == {k: f.amount_sat for k, f in fundings.items()}
