import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from tests.builders.transactions import KEYS, Bolt3, a_commitment, a_shape, an_htlc
from tests.builders.vectors import vector_json

from fulmen.core.base.ids import OFFERED, RECEIVED, OutPoint, Signature
from fulmen.core.bitcoin.script import P2A, p2wpkh, p2wsh
from fulmen.core.bitcoin.sighash import sighash_segwit_v0
from fulmen.core.bitcoin.transaction import parse_tx
from fulmen.core.crypto.hashes import hash160
from fulmen.core.crypto.secp256k1 import point_of, sign_ecdsa, signature_from_der, verify_ecdsa
from fulmen.core.transactions import spending
from fulmen.core.transactions.commitment import AnchorsUnpaid, CommitmentUnbalanced, Role, build_commitment
from fulmen.core.transactions.formats import (
    ANCHORS_ZERO_FEE_HTLC,
    FORMATS,
    STATIC_REMOTEKEY,
    ZERO_FEE_COMMITMENTS,
    Anchors,
)
from fulmen.core.transactions.funding import funding_witness
from fulmen.core.transactions.keys import CommitmentKeys, derive_pubkey, derive_revocation_pubkey, derive_secret
from fulmen.core.transactions.numbers import commitment_number_of, obscuring_factor
from fulmen.core.transactions.weights import commitment_fee

LEGACY, ANCHORED = Bolt3("commitments-static-remotekey"), Bolt3("commitments-anchors")
ANCHORS_WITH_HTLC_FEES = ANCHORS_ZERO_FEE_HTLC.but(name="anchors", htlc_tx_pays_fee=True)
"""option_anchor_outputs of 2020: no longer in the BOLTs, but its numbers still test ours."""

BOLT_CASES = [(LEGACY, STATIC_REMOTEKEY, case) for case in LEGACY.file["cases"]] + [
    (ANCHORED, ANCHORS_ZERO_FEE_HTLC, case) for case in ANCHORED.file["cases"]
]


def built(bolt, format, case):
    dust = case.get("dust_limit_satoshi", bolt.common.get("local_dust_limit_satoshi"))
    return bolt.commitment(
        format, case["to_local_msat"], case["to_remote_msat"], case["feerate_per_kw"], case["htlc_ids"], dust
    )


def signed(bolt, commitment):
    """The commitment with both signatures, and each HTLC transaction with both."""
    keys, secrets = commitment.keys, bolt.secrets
    local = sign_ecdsa(secrets["local_funding_privkey"], commitment.digest)
    remote = sign_ecdsa(secrets["remote_funding_privkey"], commitment.digest)
    witness = funding_witness(keys.owner_funding_pubkey, local, keys.other_funding_pubkey, remote)
    htlc_txs = []
    for htlc, digest in zip(commitment.htlcs, commitment.htlc_digests(), strict=True):
        tx = commitment.htlc_tx(htlc)
        remote_htlc = sign_ecdsa(secrets["remote_htlc_privkey"], digest)
        local_htlc = sign_ecdsa(secrets["local_htlc_privkey"], spending.owner_htlc_digest(htlc, tx))
        preimage = bolt.htlcs[htlc.key.id].payment_preimage if htlc.role is Role.RECEIVED_HTLC else None
        signed_tx = tx.with_witness(
            0, *spending.htlc_tx_witness(commitment.shape.format, htlc, remote_htlc, local_htlc, preimage)
        )
        htlc_txs.append((htlc, remote_htlc, local_htlc, signed_tx))
    return commitment.tx.with_witness(0, *witness), local, remote, htlc_txs


@pytest.mark.parametrize(
    ("bolt", "format", "case"),
    BOLT_CASES,
    ids=lambda value: getattr(value, "name", None) or (value["name"] if isinstance(value, dict) else ""),
)
def test_commitments_are_those_of_appendices_c_and_f_byte_for_byte(bolt, format, case):
    commitment, expected = built(bolt, format, case), case["expected"]
    tx, local, remote, htlc_txs = signed(bolt, commitment)
    assert local == signature_from_der(bytes.fromhex(expected["local_signature"]))
    assert remote == signature_from_der(bytes.fromhex(expected["remote_signature"]))
    assert tx.serialize().hex() == expected["commitment_tx"]
    assert tx.txid[::-1].hex() == commitment.txid[::-1].hex() == expected["commitment_txid"]
    assert commitment.fee_sat == expected["actual_fee_sat"]
    assert commitment_fee(format, case["feerate_per_kw"], len(commitment.htlcs)) == expected["base_fee_sat"]

    for output, wanted in zip(commitment.outputs, expected["outputs"], strict=True):
        assert output.role.value == wanted["kind"].replace("to_local_anchor", "local_anchor")
        assert output.amount_sat == wanted["amount_sat"]
        assert output.witness_script.hex() == wanted.get("witness_script", "")
        if "p2wpkh_pubkey" in wanted:
            assert output.script_pubkey == p2wpkh(hash160(bytes.fromhex(wanted["p2wpkh_pubkey"])))
        if "htlc_id" in wanted:
            assert output.key == bolt.htlcs[wanted["htlc_id"]].key

    for (htlc, remote_htlc, local_htlc, signed_tx), wanted in zip(htlc_txs, expected["htlc_transactions"], strict=True):
        assert (htlc.key.id, htlc.vout) == (wanted["htlc_id"], wanted["output_index"])
        assert wanted["kind"] == ("timeout" if htlc.role is Role.OFFERED_HTLC else "success")
        assert remote_htlc == signature_from_der(bytes.fromhex(wanted["remote_signature"]))
        assert local_htlc == signature_from_der(bytes.fromhex(wanted["local_signature"]))
        assert signed_tx.serialize().hex() == wanted["tx"]
        assert signed_tx.txid[::-1].hex() == wanted["txid"]


def test_all_published_commitments_are_tried():
    assert (len(LEGACY.file["cases"]), len(ANCHORED.file["cases"])) == (16, 9)
    assert sum(len(case["expected"]["htlc_transactions"]) for _, _, case in BOLT_CASES) == 33 + 15


def test_the_keys_of_appendix_c_come_from_their_basepoints():
    keys, printed = LEGACY.keys, LEGACY.file["keys"]
    assert keys.owner_htlcpubkey.hex() == printed["local_htlcpubkey"]
    assert keys.other_htlcpubkey.hex() == printed["remote_htlcpubkey"]
    assert keys.owner_delayedpubkey.hex() == printed["local_delayedpubkey"]
    assert keys.revocationpubkey.hex() == printed["local_revocation_pubkey"]
    assert point_of(LEGACY.secrets["local_delayed_privkey"]) == keys.owner_delayedpubkey


def lnd_keys(format):
    """lnd's first file is from before option_static_remotekey: `remotepubkey` was derived like the others."""
    if format is not STATIC_REMOTEKEY:
        return LEGACY
    derived = Bolt3("commitments-static-remotekey")
    derived.keys = derived.keys.but(other_paymentpubkey=derive_pubkey(derived.remote.payment_basepoint, derived.point))
    return derived


LND = [
    *((STATIC_REMOTEKEY, case) for case in vector_json("lnd/lnd_legacy.json")),
    *((ANCHORS_WITH_HTLC_FEES, case) for case in vector_json("lnd/lnd_anchors.json")),
    *((ANCHORS_ZERO_FEE_HTLC, case) for case in vector_json("lnd/lnd_zero_fee_htlc_tx.json")),
]


@pytest.mark.parametrize(("format", "case"), LND, ids=lambda value: getattr(value, "name", None) or value["Name"])
def test_commitments_are_those_of_lnd_byte_for_byte(format, case):
    ids = [] if not case["UseTestHtlcs"] else [1, 5, 6] if "3 htlc outputs" in case["Name"] else [0, 1, 2, 3, 4]
    commitment = lnd_keys(format).commitment(
        format, case["LocalBalance"], case["RemoteBalance"], case["FeePerKw"], ids, case.get("DustLimitSatoshis", 546)
    )
    tx, _, remote, htlc_txs = signed(LEGACY, commitment)
    assert tx.serialize().hex() == case["ExpectedCommitmentTxHex"]
    assert remote == signature_from_der(bytes.fromhex(case["RemoteSigHex"]))
    for (_, remote_htlc, _, signed_tx), wanted in zip(htlc_txs, case["HtlcDescs"], strict=True):
        assert remote_htlc == signature_from_der(bytes.fromhex(wanted["RemoteSigHex"]))
        assert signed_tx.serialize().hex() == wanted["ResolutionTxHex"]


ZERO_FEE = vector_json("bolt03/zero-fee-commitments-test.json")


@pytest.mark.parametrize("case", ZERO_FEE["tests"], ids=lambda case: case["name"])
def test_zero_fee_commitments_are_the_published_ones_byte_for_byte(case):
    secrets = {
        name.removesuffix("_secret").removesuffix("_priv"): bytes.fromhex(value)
        for name, value in ZERO_FEE.items()
        if name.endswith(("_secret", "_priv"))
    }
    points = {name: point_of(value) for name, value in secrets.items()}
    point = bytes.fromhex(ZERO_FEE["per_commitment_point"])
    keys = CommitmentKeys(
        per_commitment_point=point,
        revocationpubkey=derive_revocation_pubkey(bytes.fromhex(ZERO_FEE["revocation_basepoint"]), point),
        owner_delayedpubkey=derive_pubkey(points["local_delayed_payment_basepoint"], point),
        owner_htlcpubkey=derive_pubkey(points["local_htlc_basepoint"], point),
        other_htlcpubkey=derive_pubkey(points["remote_htlc_basepoint"], point),
        other_paymentpubkey=points["remote_payment_basepoint"],
        owner_funding_pubkey=points["local_funding"],
        other_funding_pubkey=points["remote_funding"],
    )
    shape = a_shape(
        ZERO_FEE_COMMITMENTS,
        funding=OutPoint(bytes.fromhex(ZERO_FEE["funding_txid"])[::-1], ZERO_FEE["funding_index"]),
        funding_sat=ZERO_FEE["funding_amount_satoshis"],
        to_self_delay=ZERO_FEE["to_self_delay"],
        dust_limit_sat=case["dust_limit_satoshis"],
        obscuring_factor=obscuring_factor(points["local_payment_basepoint"], points["remote_payment_basepoint"]),
    )
    preimages = {
        bytes.fromhex(hash): bytes.fromhex(preimage) for hash, preimage in ZERO_FEE["payment_hash_to_preimage"].items()
    }

    def htlcs(name, direction):
        return [
            an_htlc(
                direction,
                each["id"],
                each["amount_msat"],
                each["cltv_expiry"],
                preimage=preimages[bytes.fromhex(each["payment_hash"])],
            )
            for each in case.get(name, [])
        ]

    commitment = build_commitment(
        shape,
        ZERO_FEE["commitment_number"],
        keys,
        case["to_local_msat"],
        case["to_remote_msat"],
        htlcs("outgoing_htlcs", OFFERED),
        htlcs("incoming_htlcs", RECEIVED),
        253,
    )
    local, remote = (sign_ecdsa(secrets[name], commitment.digest) for name in ("local_funding", "remote_funding"))
    witness = funding_witness(points["local_funding"], local, points["remote_funding"], remote)
    assert commitment.tx.with_witness(0, *witness).serialize().hex() == case["signed_commit_tx"]

    published = {
        parse_tx(bytes.fromhex(raw)).inputs[0].outpoint.vout: raw
        for raw in case.get("signed_htlc_success_txs", []) + case.get("signed_htlc_timeout_txs", [])
    }
    assert sorted(published) == [htlc.vout for htlc in commitment.htlcs]
    for htlc, digest in zip(commitment.htlcs, commitment.htlc_digests(), strict=True):
        tx = commitment.htlc_tx(htlc)
        remote_htlc = sign_ecdsa(derive_secret(secrets["remote_htlc_basepoint"], point), digest)
        local_htlc = sign_ecdsa(
            derive_secret(secrets["local_htlc_basepoint"], point), spending.owner_htlc_digest(htlc, tx)
        )
        preimage = preimages[htlc.payment_hash] if htlc.role is Role.RECEIVED_HTLC else None
        made = tx.with_witness(
            0, *spending.htlc_tx_witness(commitment.shape.format, htlc, remote_htlc, local_htlc, preimage)
        )
        assert made.serialize().hex() == published[htlc.vout]


@given(st.data())
def test_values_balance_to_the_satoshi_and_outputs_are_sorted(data):
    format = data.draw(st.sampled_from(FORMATS))
    amounts = st.lists(st.integers(0, 30_000_000), max_size=8)
    offered = tuple(an_htlc(OFFERED, id, amount, 500 + id % 3) for id, amount in enumerate(data.draw(amounts)))
    received = tuple(an_htlc(RECEIVED, id, amount, 500 + id % 3) for id, amount in enumerate(data.draw(amounts)))
    left_msat = 1_000_000_000 - sum(htlc.amount_msat for htlc in (*offered, *received))
    to_other_msat = data.draw(st.integers(0, left_msat))
    feerate = data.draw(st.integers(0, 20_000))
    opener = data.draw(st.booleans())
    opener_msat = left_msat - to_other_msat if opener else to_other_msat
    assume(opener_msat >= format.anchors_cost_sat * 1000)
    made = a_commitment(format, offered, received, to_other_msat, feerate, owner_is_opener=opener)

    assert sum(output.amount_sat for output in made.tx.outputs) + made.fee_sat == made.shape.funding_sat
    assert made.fee_sat >= 0
    order = [(output.amount_sat, output.script_pubkey, output.cltv_expiry) for output in made.outputs]
    assert order == sorted(order)
    assert [(output.amount_sat, output.script_pubkey) for output in made.outputs] == [
        (output.amount_sat, output.script_pubkey) for output in made.tx.outputs
    ]
    assert [output.vout for output in made.outputs] == list(range(len(made.outputs)))
    for output in made.outputs:
        if output.witness_script:
            assert output.script_pubkey == p2wsh(output.witness_script)
        if output.role not in (Role.LOCAL_ANCHOR, Role.REMOTE_ANCHOR, Role.SHARED_ANCHOR):
            assert output.amount_sat >= made.shape.dust_limit_sat
    # Every HTLC has one output or is trimmed, by its own name.
    assert sorted([htlc.key for htlc in made.htlcs] + list(made.trimmed)) == sorted(
        htlc.key for htlc in (*offered, *received)
    )
    for htlc in (*offered, *received):
        if (output := made.htlc_output(htlc.key)) is not None:
            assert output.amount_sat == htlc.amount_msat // 1000
            assert (output.payment_hash, output.cltv_expiry) == (htlc.payment_hash, htlc.cltv_expiry)
    assert commitment_number_of(made.tx, made.shape.obscuring_factor) == made.number


@given(st.sampled_from(FORMATS), st.integers(0, 5), st.integers(0, 5), st.permutations(range(10)))
def test_the_order_in_which_htlcs_are_given_does_not_matter(format, offered, received, order):
    """Hashes, amounts and expiries are all equal here: only ids tell these HTLCs apart."""
    same = {"preimage": bytes(32), "amount_msat": 10_000_000}
    ours = [an_htlc(OFFERED, id, **same) for id in range(offered)]
    theirs = [an_htlc(RECEIVED, id, **same) for id in range(received)]
    made = a_commitment(format, tuple(ours), tuple(theirs))
    shuffled = a_commitment(
        format, tuple(ours[at] for at in order if at < offered), tuple(theirs[at] for at in order if at < received)
    )
    assert shuffled.tx == made.tx and shuffled.outputs == made.outputs


@pytest.mark.parametrize("format", FORMATS, ids=lambda format: format.name)
def test_the_fast_digests_are_those_of_the_htlc_transactions(format):
    offered = tuple(an_htlc(OFFERED, id, 9_000_000 + id, 500 + id) for id in range(4))
    received = tuple(an_htlc(RECEIVED, id, 9_000_000 + id, 500 + id) for id in range(4))
    made = a_commitment(format, offered, received)
    assert len(made.htlcs) == 8
    for htlc, digest in zip(made.htlcs, made.htlc_digests(), strict=True):
        assert digest == sighash_segwit_v0(
            made.htlc_tx(htlc), 0, htlc.witness_script, htlc.amount_sat, format.htlc_sighash_type
        )


@pytest.mark.parametrize("format", FORMATS, ids=lambda format: format.name)
def test_both_ends_agree_on_the_digest_and_only_funding_keys_sign_it(format):
    made = a_commitment(format, (an_htlc(OFFERED, 0),))
    from_secret = sign_ecdsa(LEGACY.secrets["local_funding_privkey"], made.digest)
    assert not verify_ecdsa(KEYS.owner_funding_pubkey, made.digest, Signature(from_secret))


def test_an_opener_that_cannot_pay_the_fee_pays_what_it_has():
    made = a_commitment(STATIC_REMOTEKEY, to_other_msat=999_000_000, feerate_per_kw=20_000)
    assert made.output(Role.TO_LOCAL) is None
    assert made.output(Role.TO_REMOTE).amount_sat == 999_000
    assert made.fee_sat == 1000


def test_anchors_that_nobody_can_pay_for_are_never_built():
    with pytest.raises(AnchorsUnpaid):
        a_commitment(ANCHORS_ZERO_FEE_HTLC, (an_htlc(OFFERED, 0, 500_000_000),), to_other_msat=499_400_000)
    made = a_commitment(ANCHORS_ZERO_FEE_HTLC, (an_htlc(OFFERED, 0, 500_000_000),), to_other_msat=499_340_000)
    assert made.fee_sat == 0


def test_the_accepter_does_not_pay():
    made = a_commitment(ANCHORS_ZERO_FEE_HTLC, owner_is_opener=False)
    assert made.output(Role.TO_LOCAL).amount_sat == 700_000
    assert made.output(Role.TO_REMOTE).amount_sat == 300_000 - 660 - 1124 * 253 // 1000


def test_an_end_without_output_and_htlcs_has_no_anchor():
    made = a_commitment(ANCHORS_ZERO_FEE_HTLC, to_other_msat=0)
    assert [output.role for output in made.outputs] == [Role.LOCAL_ANCHOR, Role.TO_LOCAL]
    with_htlc = a_commitment(ANCHORS_ZERO_FEE_HTLC, (an_htlc(OFFERED, 0),), to_other_msat=0)
    assert {output.role for output in with_htlc.outputs} >= {Role.LOCAL_ANCHOR, Role.REMOTE_ANCHOR}
    only_dust = a_commitment(ANCHORS_ZERO_FEE_HTLC, (an_htlc(OFFERED, 0, 1000),), to_other_msat=0)
    assert only_dust.output(Role.REMOTE_ANCHOR) is None


def test_a_shared_anchor_is_always_there_and_takes_no_more_than_it_may():
    for dust_msat, anchor_sat in ((0, 0), (100_000, 100), (240_000, 240), (500_000, 240)):
        made = a_commitment(ZERO_FEE_COMMITMENTS, (an_htlc(OFFERED, 0, dust_msat),))
        anchor = made.output(Role.SHARED_ANCHOR)
        assert (anchor.amount_sat, anchor.script_pubkey) == (anchor_sat, P2A)
        assert made.shape.format.anchors is Anchors.SHARED and made.fee_sat == dust_msat // 1000 - anchor_sat


@pytest.mark.parametrize(
    ("to_owner", "to_other"), [(700_000_001, 300_000_000), (700_000_000, 299_999_999), (-1, 1_000_000_001)]
)
def test_a_commitment_that_does_not_add_up_is_never_built(to_owner, to_other):
    with pytest.raises(CommitmentUnbalanced):
        build_commitment(a_shape(STATIC_REMOTEKEY), 0, KEYS, to_owner, to_other, (), (), 253)
