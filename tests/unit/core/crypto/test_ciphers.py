import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.builders.vectors import wycheproof

from fulmen.core.crypto import ciphers
from fulmen.core.crypto.ciphers import Aead, TagMismatch

KEY = bytes(range(32))


def test_chacha20_poly1305_agrees_with_wycheproof():
    tried = 0
    for group, test in wycheproof("chacha20_poly1305"):
        if group["ivSize"] != 96:
            continue
        key, nonce, data, plain = (bytes.fromhex(test[name]) for name in ("key", "iv", "aad", "msg"))
        sealed = bytes.fromhex(test["ct"] + test["tag"])
        if test["result"] == "valid":
            assert ciphers.seal_with_nonce(key, nonce, plain, data) == sealed
            assert ciphers.open_with_nonce(key, nonce, sealed, data) == plain
        else:
            with pytest.raises(TagMismatch):
                ciphers.open_with_nonce(key, nonce, sealed, data)
        tried += 1
    assert tried == 316


@given(st.integers(0, 2**64 - 1), st.binary(max_size=80), st.binary(max_size=40))
def test_what_is_sealed_opens_and_the_counter_is_a_little_endian_nonce(counter, plain, data):
    sealed = Aead(KEY).seal(counter, plain, data)
    assert len(sealed) == len(plain) + ciphers.TAG_LENGTH
    assert Aead(KEY).open(counter, sealed, data) == plain
    assert ciphers.open_with_nonce(KEY, bytes(4) + counter.to_bytes(8, "little"), sealed, data) == plain


@given(st.binary(max_size=80), st.data())
def test_a_flipped_bit_is_refused(plain, data):
    sealed = bytearray(Aead(KEY).seal(7, plain))
    bit = data.draw(st.integers(0, len(sealed) * 8 - 1))
    sealed[bit >> 3] ^= 1 << (bit & 7)
    with pytest.raises(TagMismatch):
        Aead(KEY).open(7, bytes(sealed))


def test_too_short_to_hold_a_tag_is_refused_by_name():
    with pytest.raises(TagMismatch):
        Aead(KEY).open(0, b"short")


def test_the_stream_is_rfc_8439_with_a_zero_nonce():
    # RFC 8439, appendix A.1, test vector 1: key zero, nonce zero, counter 0.
    assert ciphers.chacha20_stream(bytes(32), 64).hex() == (
        "76b8e0ada0f13d90405d6ae55386bd28bdd219b8a08ded1aa836efcc8b770dc7"
        "da41597c5157488d7724e03fb8d84a376a43b8f41518a11cc387b669b2ee6586"
    )


@given(st.binary(max_size=200))
def test_the_stream_applied_twice_is_nothing(data):
    assert ciphers.chacha20_xor(KEY, ciphers.chacha20_xor(KEY, data)) == data
