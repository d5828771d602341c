import pytest
from tests.builders.vectors import vector_json

from fulmen.core.crypto.secp256k1 import ecdh, point_of
from fulmen.core.transport.faults import (
    ActLengthWrong,
    HandshakeKeyInvalid,
    HandshakeMacMismatch,
    TransportFault,
    UnknownHandshakeVersion,
)
from fulmen.core.transport.handshake import Initiator, Responder

VECTORS = vector_json("bolt08/transport.json")
FAULTS = {
    "READ_FAILED": ActLengthWrong,
    "BAD_VERSION": UnknownHandshakeVersion,
    "BAD_PUBKEY": HandshakeKeyInvalid,
    "BAD_TAG": HandshakeMacMismatch,
    "BAD_CIPHERTEXT": HandshakeMacMismatch,
}


def fault_of(case) -> tuple[int, type[TransportFault]] | None:
    """ACT2_BAD_TAG -> (2, HandshakeMacMismatch)."""
    if "expected_failure" not in case:
        return None
    act, _, name = case["expected_failure"].partition("_")
    return int(act[3:]), FAULTS[name]


def static_ecdh(case):
    return lambda point: ecdh(bytes.fromhex(case["ls_priv"]), point)


@pytest.mark.parametrize("case", VECTORS["initiator"], ids=lambda case: case["name"])
def test_the_initiator_says_what_bolt_8_prints(case):
    initiator = Initiator(*(bytes.fromhex(case[name]) for name in ("ls_pub", "rs_pub", "e_priv")), static_ecdh(case))
    expected = case["expected"]
    assert initiator.act_one().hex() == expected["act_one_output"]
    act_two = bytes.fromhex(case["act_two_input"])
    if (failure := fault_of(case)) is not None:
        with pytest.raises(failure[1]) as caught:
            initiator.on_act_two(act_two)
        assert caught.value.details["act"] == failure[0]
        return
    act_three, keys = initiator.on_act_two(act_two)
    assert act_three.hex() == expected["act_three_output"]
    assert (keys.send_key.hex(), keys.receive_key.hex()) == (expected["sk"], expected["rk"])
    assert keys.remote_static.hex() == case["rs_pub"]
    assert keys.chaining_key.hex() == case["trace"]["act_three"]["ck"]


@pytest.mark.parametrize("case", VECTORS["responder"], ids=lambda case: case["name"])
def test_the_responder_says_what_bolt_8_prints(case):
    responder = Responder(bytes.fromhex(case["ls_pub"]), bytes.fromhex(case["e_priv"]), static_ecdh(case))
    expected, failure = case.get("expected", {}), fault_of(case)
    act_one = bytes.fromhex(case["act_one_input"])
    if failure is not None and failure[0] == 1:
        with pytest.raises(failure[1]) as caught:
            responder.on_act_one(act_one)
        assert caught.value.details["act"] == 1
        return
    assert responder.on_act_one(act_one).hex() == expected["act_two_output"]
    act_three = bytes.fromhex(case["act_three_input"])
    if failure is not None:
        with pytest.raises(failure[1]) as caught:
            responder.on_act_three(act_three)
        assert caught.value.details["act"] == 3
        return
    keys = responder.on_act_three(act_three)
    assert (keys.send_key.hex(), keys.receive_key.hex()) == (expected["sk"], expected["rk"])
    assert keys.remote_static.hex() == expected["rs_pub"]
    assert keys.chaining_key.hex() == case["trace"]["act_three"]["ck"]


def test_all_vectors_are_tried():
    assert (len(VECTORS["initiator"]), len(VECTORS["responder"])) == (5, 10)


def test_a_dialler_who_does_not_know_our_key_is_not_answered():
    """BOLT 8: the initiator must know the responder's static key."""
    ours, theirs, wrong = b"\x21" * 32, b"\x11" * 32, b"\x31" * 32
    dialler = Initiator(point_of(theirs), point_of(wrong), b"\x12" * 32, lambda point: ecdh(theirs, point))
    responder = Responder(point_of(ours), b"\x22" * 32, lambda point: ecdh(ours, point))
    with pytest.raises(HandshakeMacMismatch):
        responder.on_act_one(dialler.act_one())
