"""Scripts are patient, and not toothless: nodes with something wrong in them fail the very script that is about it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.builders.liars import forging

from fulmen.conformance.links import Link, Subject
from fulmen.conformance.own_node import NodeUnderTest
from fulmen.conformance.runner import Verdict, run
from fulmen.conformance.scripts import ALL
from fulmen.core.base.ids import Secret, ShortChannelId, scid_parts
from fulmen.core.base.ids import scid as scid_of
from fulmen.core.base.outer import Want
from fulmen.core.base.policy import Policy
from fulmen.core.base.record import Record
from fulmen.core.base.units import Msat
from fulmen.core.channel import updates
from fulmen.core.gossip.intake import FundingOutput
from fulmen.core.wire import decode, encode, name_of
from fulmen.core.wire.messages.gossip import AnnouncementSignatures, ChannelAnnouncement, ChannelUpdate
from fulmen.core.wire.messages.opening import AcceptChannel

NAMES = {17: "error", 32: "open_channel", 38: "shutdown", 134: "update_fee", 136: "channel_reestablish"}
Ear = Callable[[bytes], bytes | None]


class Hard:
    """A link to a node of ours that hears something else than was said, or nothing."""

    def __init__(self, link: Link, ear: Ear) -> None:
        self._link = link
        self._ear = ear
        self.receive = link.receive
        self.close = link.close

    def send(self, frame: bytes) -> None:
        heard = self._ear(frame)
        if heard is not None:
            self._link.send(heard)


def hard_of_hearing(ear: Ear) -> Subject:
    subject = NodeUnderTest().subject()
    connect = subject.connect
    subject.connect = lambda secret: Hard(connect(Secret(secret)), ear)
    return subject


def deaf_to(name: str) -> Ear:
    return lambda frame: None if _name(frame) == name else frame


def _name(frame: bytes) -> str:
    return NAMES.get(int.from_bytes(frame[:2]), "")


def without(added: str) -> Ear:
    """It skips what it should refuse."""
    return lambda frame: frame.removesuffix(bytes.fromhex(added)) if _name(frame) == "open_channel" else frame


@pytest.mark.parametrize(
    ("name", "ear"),
    [
        ("an error ends the channel that is being opened", deaf_to("error")),
        ("an unknown even TLV in open_channel closes the connection", without("c8014f")),
        ("TLVs in the wrong order close the connection", without("c9014fc7014f")),
        ("a TLV longer than its message closes the connection", without("c9ff4f")),
        ("shutdown is answered by shutdown, to a script of an allowed form", deaf_to("shutdown")),
        ("shutdown to another script than agreed on fails the connection", deaf_to("shutdown")),
        ("update_fee is refused: the sender does not pay the fee", deaf_to("update_fee")),
        ("channel_reestablish is refused: a revocation that was never sent", deaf_to("channel_reestablish")),
        ("channel_reestablish of an unknown channel is answered by an error", deaf_to("channel_reestablish")),
    ],
)
def test_a_node_that_does_not_hear_what_a_script_is_about_fails_it(name: str, ear: Ear):
    script = next(script for script in ALL if script.name == name)
    # What such a node makes of the good twin is another matter.
    outcome = run(script.but(good=None), hard_of_hearing(ear), b"wrong")
    assert outcome.verdict in (Verdict.FAILED, Verdict.WARNED), outcome.reason


class Stingy(NodeUnderTest):
    """A node that publishes nothing."""

    def _publish(self, want: Want) -> None:
        pass


def test_a_node_that_never_publishes_its_funding_fails():
    script = next(script for script in ALL if script.name == "a channel that the node opens becomes ready")
    outcome = run(script, Stingy().subject(), b"wrong")
    assert outcome.verdict is Verdict.FAILED and "no funding is published" in outcome.reason


def test_a_node_that_lets_the_opener_spend_what_he_has_not_fails(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(updates, "opener_cost_msat", lambda _channel, _commitment: 0)
    script = next(script for script in ALL if script.name == "update_fee is refused: the opener cannot afford it")
    outcome = run(script, NodeUnderTest().subject(), b"wrong")
    assert outcome.verdict is Verdict.WARNED and "goes on with revoke_and_ack" in outcome.reason


class Believer(NodeUnderTest):
    """A node that looks for a transaction, and takes any output of it for the first."""

    def _funding_of(self, scid: ShortChannelId) -> FundingOutput | None:
        height, index, _ = scid_parts(scid)
        return super()._funding_of(scid_of(height, index, 0))


@pytest.mark.parametrize("what", ["there is no such output", "the output pays to somebody else"])
def test_a_node_that_believes_any_output_to_be_a_channel_fails(what: str):
    script = next(script for script in ALL if script.name == f"channel_announcement is ignored: {what}")
    outcome = run(script, Believer().subject(), b"wrong")
    assert outcome.verdict is Verdict.FAILED and "knows the channel_announcement" in outcome.reason


class Forgetful:
    """A link to a node that keeps to another limit of HTLCs in flight than it says."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self.send = link.send
        self.close = link.close

    def receive(self, within_s: float) -> bytes | None:
        frame = self._link.receive(within_s)
        message = None if frame is None else decode(frame)
        if isinstance(message, AcceptChannel):
            return encode(message.but(max_htlc_value_in_flight_msat=Msat(800_000_000)))
        return frame


def _other(kind: type[Record], field: str) -> Callable[[Record], Record]:
    """A message whose signature has its last bit turned."""

    def change(message: Record) -> Record:
        if not isinstance(message, kind):
            return message
        value = getattr(message, field)
        return message.but(**{field: value[:-1] + bytes([value[-1] ^ 1])})

    return change


def _update_with(**fields: Callable[[int], int]) -> Callable[[Record], Record]:
    def change(message: Record) -> Record:
        if not isinstance(message, ChannelUpdate):
            return message
        return message.but(**{name: new(getattr(message, name)) for name, new in fields.items()})

    return change


SIGNED = "announcement_signatures of a public channel, once it is deep and ready"
ANNOUNCED = "a channel is announced once both have signed, and its signatures hold"
RULES = "the node's own channel_update keeps to its rules"
ALONE = "a channel_update for the peer alone is not to be passed on"


@pytest.mark.parametrize(
    ("name", "change"),
    [
        (SIGNED, _other(AnnouncementSignatures, "node_signature")),
        (SIGNED, _other(AnnouncementSignatures, "bitcoin_signature")),
        (ANNOUNCED, _other(ChannelAnnouncement, "bitcoin_signature_2")),
        (RULES, _other(ChannelUpdate, "signature")),
        (ALONE, _other(ChannelUpdate, "signature")),
    ],
)
def test_a_node_whose_gossip_is_not_signed_as_it_should_be_fails(name: str, change: Callable[[Record], Record]):
    script = next(script for script in ALL if script.name == name)
    outcome = run(script, forging(change), b"wrong")
    assert outcome.verdict is Verdict.FAILED and "does not hold" in outcome.reason, outcome.reason


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        (RULES, {"channel_flags": lambda flags: flags ^ 1}),
        (ALONE, {"channel_flags": lambda flags: flags ^ 1}),
        (RULES, {"message_flags": lambda flags: flags & ~1}),
        (RULES, {"htlc_minimum_msat": lambda _: 600_000_001}),
    ],
)
def test_a_node_that_signs_an_update_against_the_rules_fails(name: str, fields: dict[str, Callable[[int], int]]):
    script = next(script for script in ALL if script.name == name)
    assert run(script, forging(_update_with(fee_base_msat=lambda fee: fee + 1), signs=True), b"wrong").verdict is (
        Verdict.PASSED
    )
    outcome = run(script, forging(_update_with(**fields), signs=True), b"wrong")
    assert outcome.verdict is Verdict.FAILED, outcome.reason


@pytest.mark.parametrize("told", [True, False])
def test_a_node_that_takes_more_in_flight_than_it_says_fails_and_one_without_limit_is_not_asked(told: bool):
    script = next(script for script in ALL if script.name.endswith("more in flight than the node takes"))
    subject = NodeUnderTest(policy=Policy()).subject()
    connect = subject.connect
    subject.connect = lambda secret: Forgetful(connect(secret)) if told else connect(secret)
    outcome = run(script, subject, b"wrong")
    assert outcome.verdict is (Verdict.WARNED if told else Verdict.NOT_RUN), outcome.reason


def test_the_names_that_are_heard_are_those_of_the_wire():
    frames = (bytes([0, number]) + bytes(size) for number, size in ((17, 34), (38, 34), (134, 36)))
    assert all(name_of(decode(frame)) == _name(frame) for frame in frames)
