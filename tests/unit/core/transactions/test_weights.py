import pytest
from tests.builders.transactions import KEYS, a_commitment, an_htlc, secret
from tests.builders.vectors import vector_json

from fulmen.core.base.ids import OFFERED, RECEIVED
from fulmen.core.bitcoin.script import P2A, dust_limit, nulldata, p2pkh, p2sh, p2wpkh, p2wsh
from fulmen.core.crypto.secp256k1 import sign_ecdsa
from fulmen.core.transactions import formats, funding, spending, weights
from fulmen.core.transactions.formats import ANCHORS_ZERO_FEE_HTLC, FORMATS, STATIC_REMOTEKEY, format_named

VECTORS = vector_json("bolt03/fees-weights-dust.json")
WEIGHTS = {case["name"]: case for case in VECTORS["weights"]}


def test_the_example_of_bolt_3_pays_and_trims_as_it_says():
    (case,) = VECTORS["fee_cases"]
    expected, feerate, dust = case["expected"], case["feerate_per_kw"], case["dust_limit_satoshi"]
    assert weights.htlc_timeout_fee(STATIC_REMOTEKEY, feerate) == expected["htlc_timeout_fee_sat"]
    assert weights.htlc_success_fee(STATIC_REMOTEKEY, feerate) == expected["htlc_success_fee_sat"]
    untrimmed = trimmed_sat = 0
    for htlc, verdict in zip(case["htlcs"], expected["htlcs"], strict=True):
        offered = htlc["direction"] == "offered"
        threshold = (weights.offered_threshold if offered else weights.received_threshold)(
            STATIC_REMOTEKEY, feerate, dust
        )
        assert (htlc["amount_msat"] // 1000 < threshold) == verdict["trimmed"]
        if verdict["trimmed"]:
            trimmed_sat += htlc["amount_msat"] // 1000
        else:
            fee = (weights.htlc_timeout_fee if offered else weights.htlc_success_fee)(STATIC_REMOTEKEY, feerate)
            assert htlc["amount_msat"] // 1000 - fee == verdict["htlc_tx_output_sat"]
            untrimmed += 1
    assert weights.commitment_weight(STATIC_REMOTEKEY, untrimmed) == expected["commitment_weight"]
    base = weights.commitment_fee(STATIC_REMOTEKEY, feerate, untrimmed)
    assert (base, base + trimmed_sat) == (expected["base_fee_sat"], expected["actual_fee_sat"])


@pytest.mark.parametrize(
    ("format", "name"), [(STATIC_REMOTEKEY, "no option_anchors"), (ANCHORS_ZERO_FEE_HTLC, "option_anchors")]
)
def test_the_weights_are_those_of_appendix_a(format, name):
    commitment = WEIGHTS[f"commitment transaction, {name}"]
    assert format.commitment_weight == commitment["base_weight"]
    assert commitment["weight_per_untrimmed_htlc"] == formats.HTLC_WEIGHT
    assert format.htlc_timeout_weight == WEIGHTS[f"HTLC-timeout transaction, {name}"]["base_weight"]
    assert format.htlc_success_weight == WEIGHTS[f"HTLC-success transaction, {name}"]["base_weight"]
    common = WEIGHTS["interactive funding transaction, common part"]
    assert common["base_weight"] == funding.COMMON_WEIGHT
    assert common["weight_per_input"] == funding.INPUT_WEIGHT
    assert common["funding_output_weight"] == funding.FUNDING_OUTPUT_WEIGHT
    assert funding.output_weight(bytes(3)) == common["weight_per_output"] + 3 * common["weight_per_script_byte"]


@pytest.mark.parametrize("format", FORMATS, ids=lambda format: format.name)
def test_no_signed_transaction_is_heavier_than_expected(format):
    offered = tuple(an_htlc(OFFERED, id, cltv_expiry=800_000) for id in range(5))
    received = tuple(an_htlc(RECEIVED, id, cltv_expiry=800_000) for id in range(5))
    built = a_commitment(format, offered, received)
    signature = sign_ecdsa(secret("any"), built.digest)
    witness = funding.funding_witness(KEYS.owner_funding_pubkey, signature, KEYS.other_funding_pubkey, signature)
    expected = weights.commitment_weight(format, 10)
    assert expected - 16 <= built.tx.with_witness(0, *witness).weight <= expected
    for htlc in built.htlcs:
        preimage = None if htlc.key.direction is OFFERED else bytes(32)
        signed = built.htlc_tx(htlc).with_witness(
            0, *spending.htlc_tx_witness(format, htlc, signature, signature, preimage)
        )
        expected = format.htlc_timeout_weight if preimage is None else format.htlc_success_weight
        assert expected - 8 <= signed.weight <= expected


def test_dust_is_what_bolt_3_says():
    scripts = {
        "p2pkh": p2pkh(bytes(20)),
        "p2sh": p2sh(bytes(20)),
        "p2wpkh": p2wpkh(bytes(20)),
        "p2wsh": p2wsh(b""),
        "p2a": P2A,
        "unknown_segwit_version": b"\x60\x28" + bytes(40),
        "op_return": nulldata(b"nothing"),
    }
    for case in VECTORS["dust_limits"]:
        assert dust_limit(scripts[case["output_type"]]) == case["expected"]["dust_limit_sat"], case["output_type"]
    assert len(VECTORS["dust_limits"]) == len(scripts)


def test_a_stored_name_gives_its_format_back():
    assert [format_named(format.name) for format in FORMATS] == list(FORMATS)
    assert len({format.name for format in FORMATS}) == len(FORMATS)
    with pytest.raises(KeyError):
        format_named("taproot")


def test_inputs_are_weighed_with_signatures_of_73_bytes():
    """BOLT 3, appendix A, and BOLT 5 count the longest there can be; ours are at most 72, for their S is low."""
    script = funding.funding_script(KEYS.owner_funding_pubkey, KEYS.other_funding_pubkey)
    assert 1 + 1 + 2 * (1 + 73) + 1 + len(script) == funding.FUNDING_INPUT_WITNESS_WEIGHT
    built = a_commitment(ANCHORS_ZERO_FEE_HTLC, (an_htlc(OFFERED, 0),), (an_htlc(RECEIVED, 1),))
    for htlc in built.htlcs:
        preimage = 0 if htlc.key.direction is OFFERED else 32
        witness = 1 + 1 + 2 * (1 + 73) + (1 + preimage) + (1 + len(htlc.witness_script))
        assert spending.htlc_tx_input_weight(htlc) == 4 * 41 + witness
