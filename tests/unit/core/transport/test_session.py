import pytest
from hypothesis import given
from hypothesis import strategies as st

from fulmen.core.base.faults import Remedy
from fulmen.core.crypto.secp256k1 import NotAPoint, ecdh, point_of
from fulmen.core.transport.faults import (
    ActLengthWrong,
    FrameMacMismatch,
    HandshakeMacMismatch,
    HandshakeUnfinished,
    TransportFault,
    UnknownHandshakeVersion,
)
from fulmen.core.transport.session import Session

ALICE, BOB = b"\x11" * 32, b"\x21" * 32


def a_dialler() -> Session:
    return Session.dial(point_of(ALICE), point_of(BOB), b"\x12" * 32, lambda point: ecdh(ALICE, point))


def an_answerer() -> Session:
    return Session.answer(point_of(BOB), b"\x22" * 32, lambda point: ecdh(BOB, point))


def connected() -> tuple[Session, Session]:
    alice, bob = a_dialler(), an_answerer()
    bob.feed(alice.feed(bob.feed(alice.opening).reply).reply)
    return alice, bob


def in_chunks(session: Session, data: bytes, size: int) -> tuple[bytes, list[bytes]]:
    reply, messages = b"", []
    for at in range(0, len(data), size):
        received = session.feed(data[at : at + size])
        reply += received.reply
        messages += received.messages
    return reply, messages


@given(st.integers(1, 70), st.lists(st.binary(max_size=40), max_size=4))
def test_two_ends_meet_whatever_the_chunks(size, messages):
    alice, bob = a_dialler(), an_answerer()
    act_two, _ = in_chunks(bob, alice.opening, size)
    act_three, _ = in_chunks(alice, act_two, size)
    assert alice.ready and alice.remote_static == point_of(BOB)
    # The dialler need not wait: its first messages may come in one piece with act three.
    _, seen = in_chunks(bob, act_three + b"".join(map(alice.seal, messages)), size)
    assert bob.ready and bob.remote_static == point_of(ALICE)
    assert seen == messages
    assert in_chunks(alice, b"".join(map(bob.seal, messages)), size) == (b"", messages)


def test_messages_of_the_responder_behind_act_two_cannot_exist():
    alice, bob = a_dialler(), an_answerer()
    act_two = bob.feed(alice.opening).reply
    with pytest.raises(FrameMacMismatch):
        alice.feed(act_two + bytes(18))


@given(st.integers(0, 3), st.data())
def test_a_flipped_bit_in_any_act_ends_the_connection(which, data):
    alice, bob = a_dialler(), an_answerer()

    def passed(number: int, act: bytes) -> bytes:
        if which != number:
            return act
        spoiled = bytearray(act)
        bit = data.draw(st.integers(0, len(act) * 8 - 1))
        spoiled[bit >> 3] ^= 1 << (bit & 7)
        return bytes(spoiled)

    def meet() -> None:
        bob.feed(passed(3, alice.feed(passed(2, bob.feed(passed(1, alice.opening)).reply)).reply))

    if which == 0:
        meet()
        assert alice.ready and bob.ready
        return
    with pytest.raises(TransportFault) as caught:
        meet()
    assert caught.value.remedy is Remedy.CLOSE_CONNECTION
    assert not bob.ready


def test_an_unknown_version_is_refused_with_its_first_byte():
    bob = an_answerer()
    with pytest.raises(UnknownHandshakeVersion):
        bob.feed(b"GET")
    with pytest.raises(UnknownHandshakeVersion):
        bob.feed(a_dialler().opening)


def test_a_stream_that_ends_within_the_handshake_is_named():
    bob = an_answerer()
    bob.feed(a_dialler().opening[:49])
    with pytest.raises(ActLengthWrong):
        bob.end()
    alice, _ = connected()
    alice.end()


def test_nothing_is_sealed_before_the_handshake_is_over():
    with pytest.raises(HandshakeUnfinished):
        a_dialler().seal(b"early")


def test_a_peer_that_has_not_our_peers_key_is_found_out():
    alice = a_dialler()
    mallory = Session.answer(point_of(BOB), b"\x22" * 32, lambda point: ecdh(b"\x41" * 32, point))
    with pytest.raises(HandshakeMacMismatch):
        mallory.feed(alice.opening)


def test_a_remote_key_that_is_no_point_cannot_be_dialled():
    with pytest.raises(NotAPoint):
        Session.dial(point_of(ALICE), bytes(33), b"\x12" * 32, lambda point: ecdh(ALICE, point))
