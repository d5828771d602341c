from hypothesis import given
from hypothesis import strategies as st
from tests.builders.transactions import KEYS, OTHER, OWNER, PER_COMMITMENT_SECRET, secret
from tests.builders.vectors import vector_json

from fulmen.core.crypto.secp256k1 import ORDER, SumIsNothing, point_of
from fulmen.core.transactions import keys

VECTORS = vector_json("bolt03/key-derivation.json")
BASE_SECRET, PER_COMMITMENT, BASE_POINT, POINT = (
    bytes.fromhex(VECTORS["common"][name])
    for name in ("base_secret", "per_commitment_secret", "base_point", "per_commitment_point")
)
secrets = st.integers(1, ORDER - 1).map(lambda n: n.to_bytes(32, "big"))


def test_keys_are_derived_as_appendix_e_prints():
    pubkey, privkey, revocation_pubkey, revocation_privkey = (case["expected"] for case in VECTORS["cases"])
    assert keys.derive_pubkey(BASE_POINT, POINT).hex() == pubkey["pubkey"]
    assert keys.derive_secret(BASE_SECRET, POINT).hex() == privkey["privkey"]
    assert keys.derive_revocation_pubkey(BASE_POINT, POINT).hex() == revocation_pubkey["revocation_pubkey"]
    assert keys.derive_revocation_secret(BASE_SECRET, PER_COMMITMENT).hex() == revocation_privkey["revocation_privkey"]


@given(secrets, secrets)
def test_every_derived_secret_belongs_to_its_derived_point(base, per_commitment):
    point = point_of(per_commitment)
    try:
        derived = keys.derive_secret(base, point)
        revocation = keys.derive_revocation_secret(base, per_commitment)
    except SumIsNothing:
        return
    assert point_of(derived) == keys.derive_pubkey(point_of(base), point)
    assert point_of(revocation) == keys.derive_revocation_pubkey(point_of(base), point)


def test_a_commitment_takes_each_key_from_its_end():
    point = point_of(PER_COMMITMENT_SECRET)
    assert point_of(keys.derive_secret(secret("owner delayed"), point)) == KEYS.owner_delayedpubkey
    assert point_of(keys.derive_secret(secret("owner htlc"), point)) == KEYS.owner_htlcpubkey
    assert point_of(keys.derive_secret(secret("other htlc"), point)) == KEYS.other_htlcpubkey
    revocation = keys.derive_revocation_secret(secret("other revocation"), PER_COMMITMENT_SECRET)
    assert point_of(revocation) == KEYS.revocationpubkey
    assert KEYS.other_paymentpubkey == OTHER.payment_basepoint
    assert (KEYS.owner_funding_pubkey, KEYS.other_funding_pubkey) == (OWNER.funding_pubkey, OTHER.funding_pubkey)
