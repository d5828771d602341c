"""Scripts are patient, and not toothless: nodes with something wrong in them fail the very script that is about it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from fulmen.conformance.links import Link, Subject
from fulmen.conformance.own_node import NodeUnderTest
from fulmen.conformance.runner import Verdict, run
from fulmen.conformance.scripts import ALL
from fulmen.core.base.ids import Secret
from fulmen.core.base.outer import Want
from fulmen.core.wire import decode, name_of

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
    return {17: "error", 32: "open_channel", 38: "shutdown", 136: "channel_reestablish"}.get(
        int.from_bytes(frame[:2]), ""
    )


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
        ("channel_reestablish is refused: a revocation that was never sent", deaf_to("channel_reestablish")),
        ("channel_reestablish of an unknown channel is answered by an error", deaf_to("channel_reestablish")),
    ],
)
def test_a_node_that_does_not_hear_what_a_script_is_about_fails_it(name: str, ear: Ear):
    script = next(script for script in ALL if script.name == name)
    outcome = run(script, hard_of_hearing(ear), b"wrong")
    assert outcome.verdict in (Verdict.FAILED, Verdict.WARNED), outcome.reason


class Stingy(NodeUnderTest):
    """A node that publishes nothing."""

    def _publish(self, want: Want) -> None:
        pass


def test_a_node_that_never_publishes_its_funding_fails():
    script = next(script for script in ALL if script.name == "a channel that the node opens becomes ready")
    outcome = run(script, Stingy().subject(), b"wrong")
    assert outcome.verdict is Verdict.FAILED and "no funding is published" in outcome.reason


def test_the_names_that_are_heard_are_those_of_the_wire():
    assert all(name_of(decode(frame)) == _name(frame) for frame in (b"\0\x11" + bytes(34), b"\0\x26" + bytes(34)))
