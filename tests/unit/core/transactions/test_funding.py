from tests.builders.vectors import vector_json

from fulmen.core.base.ids import OutPoint
from fulmen.core.bitcoin.script import p2pkh, p2wpkh, push
from fulmen.core.bitcoin.sighash import SIGHASH_ALL, sighash_legacy
from fulmen.core.bitcoin.transaction import Tx, TxIn, TxOut, parse_tx
from fulmen.core.crypto.hashes import hash160
from fulmen.core.crypto.secp256k1 import point_of, sign_ecdsa
from fulmen.core.transactions import funding
from fulmen.core.transactions.scripts import funding_script
from fulmen.core.transactions.spending import witness_signature


def test_the_funding_transaction_is_the_one_of_appendix_b_byte_for_byte():
    file = vector_json("bolt03/funding-transaction.json")
    (case,) = file["cases"]
    expected = case["expected"]
    local, remote = (bytes.fromhex(case[f"{end}_funding_pubkey"]) for end in ("local", "remote"))
    assert funding_script(local, remote).hex() == expected["funding_witness_script"]
    assert funding_script(remote, local) == funding_script(local, remote)

    secret = bytes.fromhex(file["coinbase"]["privkey"])
    spent_script = p2pkh(hash160(point_of(secret)))
    coinbase = parse_tx(bytes.fromhex(file["coinbase"]["tx"]))
    change_script = parse_tx(bytes.fromhex(expected["funding_tx"])).outputs[1].script_pubkey
    tx = Tx(
        2,
        (TxIn(OutPoint(coinbase.txid, case["input_index"]), b"", 0xFFFFFFFF),),
        (
            funding.funding_output(local, remote, case["funding_satoshi"]),
            TxOut(expected["change_satoshi"], change_script),
        ),
    )
    signature = witness_signature(sign_ecdsa(secret, sighash_legacy(tx, 0, spent_script, SIGHASH_ALL)))
    signed = tx.but(inputs=(tx.inputs[0].but(script_sig=push(signature) + push(point_of(secret))),))
    assert signed.serialize().hex() == expected["funding_tx"]
    assert signed.txid[::-1].hex() == expected["funding_txid"]
    assert expected["funding_output_index"] == 0


def test_each_end_pays_for_its_part_as_in_appendix_g():
    (case,) = vector_json("bolt03/dual-funding.json")["cases"]
    expected, feerate = case["expected"], case["feerate_per_kw"]
    for end, initiator in (("opener", True), ("accepter", False)):
        witness = funding.PLAIN_INPUT_WITNESS_WEIGHT
        change = bytes.fromhex(case[end]["change"]["script_pubkey"])
        fee = funding.contribution_fee(feerate, [witness], [change], initiator=initiator)
        assert fee == expected[f"{end}_fee_sat"]
        weight = funding.contribution_weight([witness], [change])
        weight += (funding.COMMON_WEIGHT + funding.FUNDING_OUTPUT_WEIGHT) * initiator
        assert weight == expected[f"{end}_weight"]
        put_in = case[end]["input"]["amount_sat"] - case[end]["funding_satoshi"]
        assert put_in - fee == expected[f"{end}_change_sat"]

    keys = [bytes.fromhex(case["funding_output"][name]) for name in ("pubkey_1", "pubkey_2")]
    output = funding.funding_output(*keys, 400_000_000)
    assert output.script_pubkey.hex() == case["funding_output"]["script_pubkey"]


def test_a_contribution_of_nothing_costs_only_the_initiator():
    assert funding.contribution_fee(1000, [], [], initiator=False) == 0
    assert funding.contribution_fee(1000, [], [], initiator=True) == 42 + 172
    assert funding.contribution_weight([], [p2wpkh(bytes(20))]) == 4 * 31
