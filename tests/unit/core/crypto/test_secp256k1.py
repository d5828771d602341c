import contextlib
import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.builders.vectors import vector_rows, wycheproof

from fulmen.core.crypto import secp256k1 as curve
from fulmen.core.crypto.hashes import sha256
from fulmen.core.crypto.secp256k1 import (
    ORDER,
    NotAPoint,
    NotARecoveryId,
    NotAScalar,
    NotASecret,
    NotASignature,
    NotRecoverable,
    SumIsNothing,
    WrongLength,
)

SECRET = b"\x11" * 32
POINT = curve.point_of(SECRET)
DIGEST = sha256(b"what is signed")
ONE = (1).to_bytes(32, "big")
G = bytes.fromhex("0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798")
secrets = st.integers(1, ORDER - 1).map(lambda n: n.to_bytes(32, "big"))
digests = st.binary(max_size=8).map(sha256)


def test_ecdsa_agrees_with_wycheproof():
    tried = 0
    for group, test in wycheproof("ecdsa_secp256k1_sha256_bitcoin"):
        key = group["publicKey"]
        point = compressed(bytes.fromhex(key["uncompressed"]))
        try:
            signature = curve.signature_from_der(bytes.fromhex(test["sig"]))
        except NotASignature:
            good = False
        else:
            good = curve.verify_ecdsa(point, sha256(bytes.fromhex(test["msg"])), signature)
        assert good == (test["result"] == "valid"), test["tcId"]
        tried += 1
    assert tried == 463


def test_ecdh_agrees_with_wycheproof():
    header = "3056301006072a8648ce3d020106052b8104000a034200"
    tried = 0
    for _, test in wycheproof("ecdh_secp256k1"):
        secret = int(test["private"], 16).to_bytes(32, "big")
        if test["result"] != "valid" or not test["public"].startswith(header):
            continue
        point = compressed(bytes.fromhex(test["public"][len(header) :]))
        product = curve.multiply(point, secret)
        assert product[1:].hex() == test["shared"], test["tcId"]
        assert curve.ecdh(secret, point) == sha256(product)
        tried += 1
    assert tried == 473


@pytest.mark.parametrize("row", vector_rows("bip340/test-vectors.csv"), ids=lambda row: row["index"])
def test_schnorr_agrees_with_bip_340(row):
    key, message, signature = (bytes.fromhex(row[name]) for name in ("public key", "message", "signature"))
    if row["secret key"] and len(message) == 32:
        made = curve.sign_schnorr(bytes.fromhex(row["secret key"]), message, bytes.fromhex(row["aux_rand"]))
        assert made == signature
        assert curve.xonly_of(curve.point_of(bytes.fromhex(row["secret key"])))[0] == key
    try:
        good = curve.verify_schnorr(key, message, signature)
    except NotAPoint:
        good = False
    assert good == (row["verification result"] == "TRUE")


def compressed(uncompressed: bytes) -> bytes:
    return bytes((2 + (uncompressed[64] & 1),)) + uncompressed[1:33]


@given(secrets, digests)
def test_a_signature_is_its_keys_and_of_its_digest_only(secret, digest):
    point = curve.point_of(secret)
    signature = curve.sign_ecdsa(secret, digest)
    assert curve.verify_ecdsa(point, digest, signature)
    assert not curve.verify_ecdsa(point, sha256(digest), signature)
    assert not curve.verify_ecdsa(curve.negate(point), digest, signature)
    assert int.from_bytes(signature[32:], "big") <= ORDER // 2


def test_a_high_s_is_refused_but_recovers():
    signature = curve.sign_recoverable(SECRET, DIGEST)
    s = ORDER - int.from_bytes(signature[32:64], "big")
    high = signature[:32] + s.to_bytes(32, "big")
    assert not curve.verify_ecdsa(POINT, DIGEST, high)
    assert curve.recover(DIGEST, high, signature[64] ^ 1) == POINT


@given(secrets, digests)
def test_a_recoverable_signature_names_its_key(secret, digest):
    signature = curve.sign_recoverable(secret, digest)
    assert signature[:64] == curve.sign_ecdsa(secret, digest)
    assert curve.recover(digest, signature[:64], signature[64]) == curve.point_of(secret)


def test_what_nobody_signed_recovers_nothing():
    with pytest.raises(NotRecoverable):
        curve.recover(DIGEST, bytes(64), 0)
    with pytest.raises(NotASignature):
        curve.recover(DIGEST, b"\xff" * 64, 0)
    with pytest.raises(NotARecoveryId):
        curve.recover(DIGEST, bytes(64), 4)


@given(secrets, digests)
def test_der_keeps_a_signature(secret, digest):
    signature = curve.sign_ecdsa(secret, digest)
    assert curve.signature_from_der(curve.signature_to_der(signature)) == signature


@given(st.binary(max_size=80))
def test_bytes_that_are_no_signature_have_a_named_fault(junk):
    with contextlib.suppress(NotASignature):
        curve.signature_from_der(junk)


@given(secrets, secrets)
def test_keys_and_points_add_and_multiply_alike(a, b):
    point = curve.point_of(a)
    assert curve.multiply(point, b) == curve.point_of(curve.secret_multiply(a, b))
    try:
        total = curve.secret_add(a, b)
    except SumIsNothing:
        return
    assert curve.add_tweak(point, b) == curve.point_of(total)
    if a != b:
        assert curve.combine(point, curve.point_of(b)) == curve.point_of(total)


@given(secrets)
def test_what_cancels_out_is_no_key(secret):
    other = curve.secret_negate(secret)
    point = curve.point_of(secret)
    assert curve.point_of(other) == curve.negate(point)
    for attempt in (
        lambda: curve.secret_add(secret, other),
        lambda: curve.add_tweak(point, other),
        lambda: curve.combine(point, curve.negate(point)),
        curve.combine,
    ):
        with pytest.raises(SumIsNothing):
            attempt()


@given(secrets, secrets)
def test_the_two_sides_of_an_ecdh_agree(a, b):
    assert curve.ecdh(a, curve.point_of(b)) == curve.ecdh(b, curve.point_of(a))


@given(secrets, secrets)
def test_tweaked_xonly_keys_have_their_secret(secret, tweak):
    xonly, _ = curve.xonly_of(curve.point_of(secret))
    try:
        tweaked, parity = curve.xonly_tweak_add(xonly, tweak)
    except SumIsNothing:
        return
    assert curve.xonly_of(curve.point_of(curve.secret_xonly_tweak_add(secret, tweak))) == (tweaked, parity)


def test_many_verdicts_come_in_order_and_bad_input_is_false():
    good = (POINT, DIGEST, curve.sign_ecdsa(SECRET, DIGEST))
    assert curve.verify_many(
        [
            good,
            (POINT, DIGEST, bytes(64)),
            (bytes(33), DIGEST, good[2]),
            (POINT, DIGEST[1:], good[2]),
            (POINT, DIGEST, good[2][1:]),
            good,
        ]
    ) == [True, False, False, False, False, True]
    assert curve.verify_many([]) == []


@pytest.mark.parametrize(
    "secret", [b"", bytes(32), ORDER.to_bytes(32, "big"), b"\xff" * 32, b"\x01" * 31, b"\x01" * 33]
)
def test_what_is_no_secret_is_refused_everywhere(secret):
    assert not curve.is_secret(secret)
    for attempt in (
        lambda: curve.point_of(secret),
        lambda: curve.sign_ecdsa(secret, DIGEST),
        lambda: curve.sign_recoverable(secret, DIGEST),
        lambda: curve.sign_schnorr(secret, DIGEST, bytes(32)),
        lambda: curve.ecdh(secret, POINT),
        lambda: curve.secret_add(secret, ONE),
        lambda: curve.secret_multiply(secret, ONE),
        lambda: curve.secret_negate(secret),
        lambda: curve.secret_xonly_tweak_add(secret, ONE),
    ):
        with pytest.raises(NotASecret) as caught:
            attempt()
        assert caught.value.details == {}


@pytest.mark.parametrize(
    "point",
    [
        b"",
        bytes(33),
        POINT[:-1],
        POINT + b"\x00",
        b"\x04" + POINT[1:],
        b"\x02" + b"\xff" * 32,
        b"\x02" + (5).to_bytes(32, "big"),
    ],
    ids=len,
)
def test_what_is_no_point_is_refused_everywhere(point):
    assert not curve.is_point(point)
    for attempt in (
        lambda: curve.verify_ecdsa(point, DIGEST, bytes(63) + b"\x01" * 1),
        lambda: curve.ecdh(SECRET, point),
        lambda: curve.multiply(point, ONE),
        lambda: curve.add_tweak(point, ONE),
        lambda: curve.combine(POINT, point),
        lambda: curve.negate(point),
        lambda: curve.xonly_of(point),
        lambda: curve.verify_schnorr(point[1:] if len(point) == 33 and point[0] != 4 else point, DIGEST, bytes(64)),
    ):
        with pytest.raises(NotAPoint):
            attempt()


@pytest.mark.parametrize("scalar", [b"", ORDER.to_bytes(32, "big"), b"\x01" * 31])
def test_what_is_no_scalar_is_refused_everywhere(scalar):
    for attempt in (
        lambda: curve.multiply(POINT, scalar),
        lambda: curve.add_tweak(POINT, scalar),
        lambda: curve.secret_add(SECRET, scalar),
        lambda: curve.secret_multiply(SECRET, scalar),
        lambda: curve.xonly_tweak_add(POINT[1:], scalar),
    ):
        with pytest.raises(NotAScalar):
            attempt()


def test_zero_adds_nothing_and_multiplies_to_no_key():
    assert curve.add_tweak(POINT, bytes(32)) == POINT
    assert curve.secret_add(SECRET, bytes(32)) == SECRET
    with pytest.raises(NotAScalar):
        curve.multiply(POINT, bytes(32))
    with pytest.raises(NotAScalar):
        curve.secret_multiply(SECRET, bytes(32))


def test_a_digest_has_32_bytes():
    for attempt in (
        lambda: curve.sign_ecdsa(SECRET, b""),
        lambda: curve.verify_ecdsa(POINT, DIGEST + b"\x00", bytes(64)),
        lambda: curve.recover(b"", bytes(64), 0),
        lambda: curve.sign_schnorr(SECRET, b"", bytes(32)),
        lambda: curve.sign_schnorr(SECRET, DIGEST, b""),
        lambda: curve.blind(b""),
    ):
        with pytest.raises(WrongLength):
            attempt()


def test_the_secret_one_is_the_generator():
    assert curve.point_of(ONE) == G


def test_blinding_changes_no_result():
    before = curve.sign_ecdsa(SECRET, DIGEST)
    curve.blind(sha256(b"a seed"))
    assert curve.sign_ecdsa(SECRET, DIGEST) == before


def test_the_library_can_be_chosen_and_a_wrong_name_is_said():
    program = "from fulmen.core.crypto import secp256k1; print(secp256k1.LIBRARY)"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}

    def run(choice):
        return subprocess.run(
            [sys.executable, "-c", program],
            env={**environment, "FULMEN_SECP256K1": choice},
            capture_output=True,
            text=True,
            check=False,
        )

    assert run(curve.LIBRARY).stdout.strip() == curve.LIBRARY
    assert "FULMEN_SECP256K1" in run("no such library").stderr
