from hypothesis import given
from hypothesis import strategies as st
from tests.builders.vectors import vector_json, wycheproof

from fulmen.core.crypto import hashes, ripemd


def test_hmac_agrees_with_wycheproof():
    tried = 0
    for group, test in wycheproof("hmac_sha256"):
        tag = hashes.hmac_sha256(bytes.fromhex(test["key"]), bytes.fromhex(test["msg"]))
        agrees = tag[: group["tagSize"] // 8].hex() == test["tag"]
        assert agrees == (test["result"] == "valid"), test["tcId"]
        tried += 1
    assert tried == 174


def test_hkdf_agrees_with_rfc_5869():
    cases = vector_json("rfc5869/hkdf_sha256.json")
    assert [case["case"] for case in cases] == ["A.1", "A.2", "A.3"]
    for case in cases:
        salt, ikm, info = (bytes.fromhex(case[name]) for name in ("salt", "ikm", "info"))
        assert hashes.hmac_sha256(salt, ikm).hex() == case["prk"]
        assert hashes.hkdf_sha256(salt, ikm, info, case["length"]).hex() == case["okm"]


def test_hkdf_agrees_with_wycheproof():
    tried = 0
    for _, test in wycheproof("hkdf_sha256"):
        salt, ikm, info = (bytes.fromhex(test[name]) for name in ("salt", "ikm", "info"))
        try:
            okm = hashes.hkdf_sha256(salt, ikm, info, test["size"])
        except ValueError:
            assert test["result"] == "invalid"
        else:
            assert test["result"] == "valid" and okm.hex() == test["okm"], test["tcId"]
        tried += 1
    assert tried == 86


@given(st.binary(max_size=64), st.binary(max_size=64))
def test_the_pair_of_bolt_8_is_64_bytes_of_hkdf(salt, ikm):
    first, second = hashes.hkdf_pair(salt, ikm)
    assert first + second == hashes.hkdf_sha256(salt, ikm, b"", 64)


def test_ripemd160_agrees_with_its_authors():
    published = {
        b"": "9c1185a5c5e9fc54612808977ee8f548b2258d31",
        b"abc": "8eb208f7e05d987a9b044a8e98c6b087f15a0bfc",
        b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq": "12a053384a9c0c88e405a06c27dcf49ada62eb2b",
        b"1234567890" * 8: "9b752e45573d4b39f4dbd3323cab82bf63326bfb",
    }
    for data, digest in published.items():
        assert ripemd.ripemd160(data).hex() == digest
        assert hashes.ripemd160(data).hex() == digest


@given(st.binary(max_size=300))
def test_our_ripemd160_is_the_one_in_use(data):
    assert ripemd.ripemd160(data) == hashes.ripemd160(data)


def test_a_tagged_hash_starts_with_its_tag_twice():
    tag = hashes.sha256(b"BIP0340/challenge")
    assert hashes.tagged_hash("BIP0340/challenge", b"data") == hashes.sha256(tag + tag + b"data")
    assert hashes.tagged_hash(b"BIP0340/challenge", b"data") == hashes.tagged_hash("BIP0340/challenge", b"data")


def test_hash160_and_sha256d_are_two_hashes_each():
    assert hashes.sha256d(b"").hex() == "5df6e0e2761359d30a8275058e299fcc0381534545f55cf43e41983f5d4c9456"
    assert hashes.hash160(b"").hex() == "b472a266d0bd89c13706a4132ccfb16f7c3b9fcb"
