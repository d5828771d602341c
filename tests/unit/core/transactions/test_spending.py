import pytest
from btclib.exceptions import BTClibValueError
from tests.builders.judge import verify_spend
from tests.builders.transactions import KEYS, PER_COMMITMENT_SECRET, a_commitment, an_htlc, secret

from fulmen.core.base.ids import OFFERED, RECEIVED, OutPoint
from fulmen.core.bitcoin.script import p2wpkh
from fulmen.core.bitcoin.transaction import TxOut
from fulmen.core.crypto.hashes import hash160, sha256
from fulmen.core.crypto.secp256k1 import point_of, sign_ecdsa
from fulmen.core.transactions import spending
from fulmen.core.transactions.commitment import Role
from fulmen.core.transactions.formats import ANCHORS_ZERO_FEE_HTLC, FORMATS, ZERO_FEE_COMMITMENTS
from fulmen.core.transactions.funding import funding_output, funding_witness
from fulmen.core.transactions.keys import derive_revocation_secret, derive_secret
from fulmen.core.transactions.spending import Signer

POINT = point_of(PER_COMMITMENT_SECRET)
OUT = an_htlc(OFFERED, 1, 20_000_000, 800_000)
IN = an_htlc(RECEIVED, 1, 30_000_000, 800_010)
SPENT = OutPoint(b"\x01" * 32, 0)
PAID_TO = p2wpkh(bytes(20))
OWNER_SECRETS = {
    Signer.DELAYED_PAYMENT: derive_secret(secret("owner delayed"), POINT),
    Signer.HTLC: derive_secret(secret("owner htlc"), POINT),
    Signer.FUNDING: secret("owner funding"),
}
OTHER_SECRETS = {
    Signer.PAYMENT: secret("other payment"),
    Signer.HTLC: derive_secret(secret("other htlc"), POINT),
    Signer.REVOCATION: derive_revocation_secret(secret("other revocation"), PER_COMMITMENT_SECRET),
    Signer.FUNDING: secret("other funding"),
}
every_format = pytest.mark.parametrize("format", FORMATS, ids=lambda format: format.name)


def a_published(format):
    return a_commitment(format, (OUT,), (IN,), feerate_per_kw=1000)


def spend(way, secrets, **changes):
    """Spend in one way, signed, checked by the judge; gives the transaction."""
    tx = spending.sweep_tx(((SPENT, way),), (TxOut(way.amount_sat - 100, PAID_TO),)).but(**changes)
    signature = None if way.signer is Signer.NOBODY else sign_ecdsa(secrets[way.signer], way.digest(tx, 0))
    signed = tx.with_witness(0, *way.witness(signature))
    verify_spend(signed, [TxOut(way.amount_sat, way.script_pubkey)])
    overhead = 4 * (4 + 1 + 1 + 8 + 1 + len(PAID_TO) + 4) + 2
    assert 0 <= overhead + way.weight - signed.weight <= 3 or way.signer is Signer.NOBODY
    return signed


def refuses(way, secrets, **changes):
    with pytest.raises(BTClibValueError):
        spend(way, secrets, **changes)


def each_way(made):
    """(who, way) for every single-signature way to spend an output of a commitment."""
    csv, delay = made.shape.format.csv, made.shape.to_self_delay
    to_local, to_remote = made.output(Role.TO_LOCAL), made.output(Role.TO_REMOTE)
    out, into = made.htlc_output(OUT.key), made.htlc_output(IN.key)
    yield OWNER_SECRETS, spending.spend_to_local(to_local, delay)
    yield OTHER_SECRETS, spending.punish_to_local(to_local)
    yield OTHER_SECRETS, spending.spend_to_remote(to_remote, KEYS.other_paymentpubkey, csv)
    yield OTHER_SECRETS, spending.claim_offered_htlc(out, OUT.payment_preimage, csv)
    yield OTHER_SECRETS, spending.take_back_received_htlc(into, csv)
    yield OTHER_SECRETS, spending.punish_htlc(out, KEYS.revocationpubkey)
    yield OTHER_SECRETS, spending.punish_htlc(into, KEYS.revocationpubkey)
    for htlc in made.htlcs:
        second = made.htlc_tx(htlc).outputs[0]
        own = spending.spend_second_stage(second.amount_sat, made.second_stage_script, delay)
        assert own.script_pubkey == second.script_pubkey
        yield OWNER_SECRETS, own
        yield OTHER_SECRETS, spending.punish_second_stage(second.amount_sat, made.second_stage_script)


@every_format
def test_every_output_can_be_spent_by_whom_it_is_for(format):
    tried = 0
    for secrets, way in each_way(a_published(format)):
        assert way.script_pubkey
        spend(way, secrets)
        tried += 1
    assert tried == 11


@every_format
def test_no_output_can_be_spent_with_another_key(format):
    for secrets, way in each_way(a_published(format)):
        wrong = dict.fromkeys(secrets, secret("a stranger's"))
        refuses(way, wrong)


@every_format
def test_who_has_to_wait_cannot_be_early(format):
    made = a_published(format)
    delayed = spending.spend_to_local(made.output(Role.TO_LOCAL), made.shape.to_self_delay)
    refuses(delayed.but(sequence=made.shape.to_self_delay - 1), OWNER_SECRETS)
    back = spending.take_back_received_htlc(made.htlc_output(IN.key), format.csv)
    assert back.locktime == IN.cltv_expiry
    refuses(back, OTHER_SECRETS, locktime=IN.cltv_expiry - 1)


def test_with_anchors_all_but_the_penalties_wait_a_block():
    made = a_published(ANCHORS_ZERO_FEE_HTLC)
    to_remote = spending.spend_to_remote(made.output(Role.TO_REMOTE), KEYS.other_paymentpubkey, 1)
    claim = spending.claim_offered_htlc(made.htlc_output(OUT.key), OUT.payment_preimage, 1)
    back = spending.take_back_received_htlc(made.htlc_output(IN.key), 1)
    for way in (to_remote, claim, back):
        assert way.sequence == 1
        refuses(way.but(sequence=0), OTHER_SECRETS)


@every_format
def test_a_wrong_preimage_claims_nothing(format):
    made = a_published(format)
    refuses(spending.claim_offered_htlc(made.htlc_output(OUT.key), sha256(b"wrong"), format.csv), OTHER_SECRETS)


def test_anchors_are_spent_by_their_end_or_later_by_anyone():
    made = a_published(ANCHORS_ZERO_FEE_HTLC)
    for role, secrets in ((Role.LOCAL_ANCHOR, OWNER_SECRETS), (Role.REMOTE_ANCHOR, OTHER_SECRETS)):
        anchor = made.output(role)
        spend(spending.spend_anchor(anchor), secrets)
        spend(spending.sweep_anchor(anchor), {})
        refuses(spending.sweep_anchor(anchor).but(sequence=15), {})


def test_a_shared_anchor_asks_for_nothing():
    made = a_commitment(ZERO_FEE_COMMITMENTS, (an_htlc(OFFERED, 0, 200_000),))
    way = spending.spend_anchor(made.output(Role.SHARED_ANCHOR))
    assert way.witness(None) == ()
    assert spend(way, {}).inputs[0].witness == ()


@every_format
def test_htlc_transactions_with_both_signatures_spend_their_output(format):
    made = a_published(format)
    for htlc, digest in zip(made.htlcs, made.htlc_digests(), strict=True):
        tx = made.htlc_tx(htlc)
        other = sign_ecdsa(OTHER_SECRETS[Signer.HTLC], digest)
        owner = sign_ecdsa(OWNER_SECRETS[Signer.HTLC], spending.owner_htlc_digest(htlc, tx))
        preimage = IN.payment_preimage if htlc.role is Role.RECEIVED_HTLC else None
        witness = spending.htlc_tx_witness(format, htlc, other, owner, preimage)
        spent = TxOut(htlc.amount_sat, htlc.script_pubkey)
        verify_spend(tx.with_witness(0, *witness), [spent])
        size = sum(1 + len(item) for item in witness) + 1
        assert 0 <= spending.htlc_tx_input_weight(htlc) - (4 * 41 + size) <= 6
        # Neither signature does for both, and a success is none without the preimage.
        with pytest.raises(BTClibValueError):
            verify_spend(tx.with_witness(0, *spending.htlc_tx_witness(format, htlc, owner, other, preimage)), [spent])
        with pytest.raises(BTClibValueError):
            verify_spend(tx.with_witness(0, *spending.htlc_tx_witness(format, htlc, other, owner, bytes(32))), [spent])


def test_fees_can_be_added_to_an_htlc_transaction_of_an_anchor_channel():
    """The other end signed one input and one output only; what the owner adds does not disturb that."""
    made = a_published(ANCHORS_ZERO_FEE_HTLC)
    htlc, digest = made.htlcs[0], made.htlc_digests()[0]
    coin_key = secret("a wallet coin")
    coin = spending.spend_p2wpkh(50_000, point_of(coin_key), Signer.PAYMENT)
    tx = made.htlc_tx(htlc)
    tx = tx.but(
        inputs=(*tx.inputs, coin.input(OutPoint(b"\x02" * 32, 3))), outputs=(*tx.outputs, TxOut(49_000, PAID_TO))
    )
    other = sign_ecdsa(OTHER_SECRETS[Signer.HTLC], digest)
    owner = sign_ecdsa(OWNER_SECRETS[Signer.HTLC], spending.owner_htlc_digest(htlc, tx))
    signed = tx.with_witness(0, *spending.htlc_tx_witness(ANCHORS_ZERO_FEE_HTLC, htlc, other, owner))
    signed = signed.with_witness(1, *coin.witness(sign_ecdsa(coin_key, coin.digest(tx, 1))))
    spent = [TxOut(htlc.amount_sat, htlc.script_pubkey), TxOut(coin.amount_sat, coin.script_pubkey)]
    for index in (0, 1):
        verify_spend(signed, spent, index)


@every_format
def test_the_commitment_spends_the_funding_with_both_signatures(format):
    made = a_published(format)
    owner, other = (sign_ecdsa(secrets[Signer.FUNDING], made.digest) for secrets in (OWNER_SECRETS, OTHER_SECRETS))
    funding = funding_output(KEYS.owner_funding_pubkey, KEYS.other_funding_pubkey, made.shape.funding_sat)
    signatures = (KEYS.owner_funding_pubkey, owner, KEYS.other_funding_pubkey, other)
    verify_spend(made.tx.with_witness(0, *funding_witness(*signatures)), [funding])
    # It does not matter who is named first.
    assert funding_witness(*signatures) == funding_witness(*signatures[2:], *signatures[:2])
    with pytest.raises(BTClibValueError):
        verify_spend(made.tx.with_witness(0, *funding_witness(*signatures[:2], signatures[2], owner)), [funding])


def test_many_outputs_go_in_one_sweep_with_the_latest_locktime():
    made = a_published(ANCHORS_ZERO_FEE_HTLC)
    ways = [
        spending.take_back_received_htlc(made.htlc_output(IN.key), 1),
        spending.spend_to_remote(made.output(Role.TO_REMOTE), KEYS.other_paymentpubkey, 1),
    ]
    spends = tuple((made.tx.outpoint(index), way) for index, way in enumerate(ways))
    tx = spending.sweep_tx(spends, (TxOut(1000, PAID_TO),))
    assert tx.locktime == IN.cltv_expiry
    for index, way in enumerate(ways):
        tx = tx.with_witness(index, *way.witness(sign_ecdsa(OTHER_SECRETS[way.signer], way.digest(tx, index))))
    for index in range(2):
        verify_spend(tx, [TxOut(way.amount_sat, way.script_pubkey) for way in ways], index)


def test_a_plain_p2wpkh_output_is_spent_by_its_key():
    way = spending.spend_p2wpkh(10_000, KEYS.other_paymentpubkey, Signer.PAYMENT)
    assert way.script_pubkey == p2wpkh(hash160(KEYS.other_paymentpubkey))
    spend(way, OTHER_SECRETS)
