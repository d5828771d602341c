"""BOLT 11: invoices are read as published, written back equal, and refused by name whatever is wrong."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.builders.vectors import vector_json

from fulmen.core.base.faults import Malformed
from fulmen.core.base.ids import NodeId, scid_from_text
from fulmen.core.bitcoin import bech32
from fulmen.core.bitcoin.bech32 import Bech32ChecksumWrong, Bech32MixedCase, Bech32WithoutSeparator, Checksum
from fulmen.core.crypto.hashes import sha256
from fulmen.core.crypto.secp256k1 import point_of, sign_recoverable
from fulmen.core.invoices import bolt11
from fulmen.core.invoices.amount import PREFIXES, AmountMalformed, AmountTooFine, UnknownPrefix
from fulmen.core.invoices.bolt11 import MAX_LENGTH, UnsignedInvoice, decode, unsigned
from fulmen.core.invoices.invoice import Fallback, HopHint, InvoiceFields
from fulmen.core.wire.features import Features

VECTORS = vector_json("bolt11/invoices.json")
FIXTURES = vector_json("bitcoinjs/bolt11_fixtures.json")
KEY = bytes.fromhex(VECTORS["privkey"])
IGNORED_FIELDS = "Same, but including fields which must be ignored."
VALID = [case for case in VECTORS["valid"] if case["name"] != IGNORED_FIELDS]
SHORTEST = VALID[0]["invoice"]

points = st.integers(1, 50).map(lambda number: NodeId(point_of(number.to_bytes(32, "big"))))
hashes = st.binary(min_size=32, max_size=32)
u32 = st.integers(0, (1 << 32) - 1)
hints = st.builds(HopHint, points, st.integers(0, (1 << 64) - 1), u32, u32, st.integers(0, 65535))
fallbacks = st.one_of(
    st.builds(Fallback, st.sampled_from([17, 18, 0]), st.binary(min_size=20, max_size=20)),
    st.builds(Fallback, st.integers(0, 16), st.binary(min_size=32, max_size=32)),
)
described = st.one_of(
    st.fixed_dictionaries({"description": st.text(max_size=100)}),
    st.fixed_dictionaries({"description_hash": hashes}),
)
fields = st.builds(
    lambda about, **rest: InvoiceFields(**about, **rest),
    described,
    prefix=st.sampled_from(PREFIXES),
    timestamp=st.integers(0, (1 << 35) - 1),
    payment_hash=hashes,
    payment_secret=hashes,
    amount_msat=st.none() | st.integers(1, 21_000_000 * 10**11),
    payment_metadata=st.none() | st.binary(max_size=100),
    expiry_s=st.integers(1, 1 << 40),
    min_final_cltv_expiry_delta=st.integers(1, 10_000),
    fallbacks=st.lists(fallbacks, max_size=2).map(tuple),
    route_hints=st.lists(st.lists(hints, min_size=1, max_size=3).map(tuple), max_size=3).map(tuple),
    features=st.sampled_from([Features(), Features.of(8, 14), Features.of(9, 14, 17), Features.of(9, 15, 17, 99)]),
)


def signed(what: InvoiceFields, key: bytes = KEY) -> str:
    waiting = unsigned(what)
    return waiting.signed(sign_recoverable(key, waiting.digest))


def an_invoice_of(*tags: tuple[int, bytes]) -> str:
    """An invoice with just these fields, 5-bit words each, truly signed."""
    words = bytes(7) + b"".join(bytes((kind, len(data) >> 5, len(data) & 31)) + data for kind, data in tags)
    waiting = UnsignedInvoice("lnbc", words)
    return waiting.signed(sign_recoverable(KEY, waiting.digest))


HASH = (bolt11.PAYMENT_HASH, bytes(52))
SECRET = (bolt11.PAYMENT_SECRET, bytes(52))
DESCRIPTION = (bolt11.DESCRIPTION, b"")


@pytest.mark.parametrize("case", VALID, ids=[case["name"][:40] for case in VALID])
def test_the_published_invoices_are_read(case):
    expected = case["expected"]
    invoice = decode(case["invoice"])
    assert invoice.prefix == expected["prefix"]
    assert invoice.amount_msat == expected["amount_msat"]
    assert invoice.timestamp == expected["timestamp"]
    assert invoice.payment_hash.hex() == expected["payment_hash"]
    assert invoice.payment_secret.hex() == expected["payment_secret"]
    assert invoice.description == expected.get("description")
    assert (invoice.description_hash or b"").hex() == expected.get("description_hash", "")
    assert invoice.expiry_s == expected["expiry"]
    assert invoice.min_final_cltv_expiry_delta == expected["min_final_cltv_expiry_delta"]
    assert list(invoice.features.bits()) == expected["feature_bits"]
    assert (invoice.payment_metadata or b"").hex() == expected.get("payment_metadata", "")
    assert invoice.payee.hex() == expected["payee"]
    assert invoice.signature.hex() == f"{expected['signature']}{expected['recovery_id']:02x}"
    assert [(fallback.version, fallback.program.hex()) for fallback in invoice.fallbacks] == [
        (fallback["version"], fallback.get("hash") or fallback.get("program"))
        for fallback in expected.get("fallbacks", [])
    ]
    assert [list(hint) for hint in invoice.route_hints] == [
        [
            HopHint(
                NodeId(bytes.fromhex(hop["pubkey"])),
                scid_from_text(hop["short_channel_id"]),
                hop["fee_base_msat"],
                hop["fee_proportional_millionths"],
                hop["cltv_expiry_delta"],
            )
            for hop in hint
        ]
        for hint in expected.get("route_hints", [])
    ]


@pytest.mark.parametrize("case", VALID, ids=[case["name"][:40] for case in VALID])
def test_the_published_digests_are_what_is_signed(case):
    hrp, words, _checksum = bech32.decode(case["invoice"], MAX_LENGTH)
    waiting = UnsignedInvoice(hrp, words[:-104])
    assert waiting.digest.hex() == case["expected"]["signing_hash"]
    assert waiting.digest == sha256(bytes.fromhex(case["expected"]["signing_data"]))
    if "high-S" not in case["name"]:
        assert waiting.signed(sign_recoverable(KEY, waiting.digest)) == case["invoice"].lower()


def test_published_invoices_with_their_fields_in_our_order_are_written_again():
    ours = [
        case["invoice"]
        for case in VALID
        if case["expected"]["tags"] in ("spd9", "sph9", "spdx9", "sphfr9") and "high-S" not in case["name"]
    ]
    assert [signed(decode(text)) for text in ours] == ours
    assert len(ours) >= 5


FAULTS = {
    "unknown required feature 100": bolt11.RequiredFeatureUnknown,
    "Bech32 checksum is invalid": Bech32ChecksumWrong,
    "Malformed bech32 string (no 1)": Bech32WithoutSeparator,
    "Malformed bech32 string (mixed case)": Bech32MixedCase,
    "Signature is not recoverable": bolt11.SignatureInvalid,
    "String is too short": bolt11.InvoiceTooShort,
    "Invalid multiplier": AmountMalformed,
    "Invalid sub-millisatoshi precision": AmountTooFine,
    "Missing required `s` field": bolt11.FieldMissing,
    "Non canonical signature (high-S) with 'n' field defined": bolt11.SignatureNotLow,
}


@pytest.mark.parametrize("case", VECTORS["invalid"], ids=[case["name"][:40] for case in VECTORS["invalid"]])
def test_the_published_invalid_invoices_are_refused_for_their_reason(case):
    with pytest.raises(FAULTS[case["expected_failure"]]):
        decode(case["invoice"])


def test_the_published_invoice_with_fields_of_wrong_length_is_refused():
    (case,) = [case for case in VECTORS["valid"] if case["name"] == IGNORED_FIELDS]
    with pytest.raises(bolt11.FieldLengthWrong):
        decode(case["invoice"])


@pytest.mark.parametrize("case", vector_json("bolt11/draft-1357.json"), ids=lambda case: case["description"][:40])
def test_the_draft_vectors_have_their_verdict(case):
    if case["valid"]:
        assert decode(case["invoice"]).payment_secret
    else:
        with pytest.raises(Malformed):
            decode(case["invoice"])


def test_the_fixtures_of_bitcoinjs_are_read_or_lack_what_bolt_11_now_asks_for():
    read = 0
    for case in FIXTURES["decode"]["valid"]:
        tags = {tag["tagName"]: tag["data"] for tag in case["tags"]}
        if case["prefix"].startswith("lnsb"):
            with pytest.raises(UnknownPrefix):
                decode(case["paymentRequest"])
        elif "payment_secret" not in tags:
            with pytest.raises(bolt11.FieldMissing):
                decode(case["paymentRequest"])
        else:
            invoice = decode(case["paymentRequest"])
            assert invoice.payment_hash.hex() == tags["payment_hash"]
            assert invoice.payee.hex() == case["payeeNodeKey"]
            assert invoice.amount_msat == int(case["millisatoshis"])
            read += 1
    assert read == 1
    for case in FIXTURES["decode"]["invalid"]:
        with pytest.raises(Malformed):
            decode(str(case["paymentRequest"]))


@settings(deadline=None, max_examples=60)
@given(fields)
def test_every_invoice_that_we_write_is_read_back_equal(what):
    text = signed(what)
    invoice = decode(text)
    assert {name: getattr(invoice, name) for name in what.__struct_fields__} == {
        name: getattr(what, name) for name in what.__struct_fields__
    }
    assert invoice.payee == point_of(KEY)
    assert not invoice.payee_given
    assert decode(text.upper()) == invoice
    assert decode(f" lightning:{text}\n") == invoice
    broken = "\n    ".join(text[at : at + 60] for at in range(0, len(text), 60))
    assert decode(broken) == invoice, "as a terminal or a letter breaks it"
    assert signed(invoice) == text


def test_the_payee_may_be_named_and_must_have_signed():
    named = (bolt11.PAYEE, bech32.to_words(point_of(KEY)))
    invoice = decode(an_invoice_of(HASH, SECRET, DESCRIPTION, named))
    assert (invoice.payee, invoice.payee_given) == (point_of(KEY), True)
    other = (bolt11.PAYEE, bech32.to_words(point_of(b"\x05" * 32)))
    with pytest.raises(bolt11.SignatureInvalid):
        decode(an_invoice_of(HASH, SECRET, DESCRIPTION, other))
    with pytest.raises(bolt11.SignatureInvalid):
        decode(an_invoice_of(HASH, SECRET, DESCRIPTION, (bolt11.PAYEE, bytes(53))))


@pytest.mark.parametrize(
    ("tags", "fault"),
    [
        ([SECRET, DESCRIPTION], bolt11.FieldMissing),
        ([HASH, SECRET], bolt11.FieldMissing),
        ([HASH, HASH, SECRET, DESCRIPTION], bolt11.FieldRepeated),
        ([HASH, SECRET, DESCRIPTION, (bolt11.DESCRIPTION_HASH, bytes(52))], bolt11.DescriptionAmbiguous),
        ([HASH, SECRET, (bolt11.DESCRIPTION, b"\x1f\x1f")], bolt11.DescriptionNotUtf8),
        ([HASH, SECRET, DESCRIPTION, (bolt11.EXPIRY, b"\x00\x01")], bolt11.NumberNotMinimal),
        ([HASH, SECRET, DESCRIPTION, (bolt11.FEATURES, b"\x00\x01")], bolt11.NumberNotMinimal),
        ([HASH, SECRET, DESCRIPTION, (bolt11.EXPIRY, b"\x01" * 13)], bolt11.NumberTooLarge),
        ([HASH, SECRET, DESCRIPTION, (bolt11.ROUTE_HINT, b"")], bolt11.RouteHintMalformed),
        ([HASH, SECRET, DESCRIPTION, (bolt11.ROUTE_HINT, bytes(84))], bolt11.RouteHintMalformed),
        ([HASH, SECRET, DESCRIPTION, (bolt11.ROUTE_HINT, bytes(82))], bolt11.RouteHintMalformed),
    ],
)
def test_what_is_wrong_with_a_field_has_a_name(tags, fault):
    with pytest.raises(fault):
        decode(an_invoice_of(*tags))


def test_a_field_cut_short_is_refused():
    waiting = UnsignedInvoice("lnbc", bytes(7) + bytes((bolt11.DESCRIPTION, 1, 0)))
    with pytest.raises(bolt11.FieldTruncated):
        decode(waiting.signed(sign_recoverable(KEY, waiting.digest)))


def test_an_address_of_an_unknown_version_is_skipped_and_kept():
    unknown = (bolt11.FALLBACK, bytes((19, 1, 2, 3)))
    invoice = decode(an_invoice_of(HASH, SECRET, DESCRIPTION, unknown, (bolt11.FALLBACK, b"")))
    assert invoice.fallbacks == ()
    assert invoice.unknown == (unknown, (bolt11.FALLBACK, b""))


def test_an_invoice_with_a_bech32m_checksum_is_refused():
    hrp, words, _checksum = bech32.decode(SHORTEST, MAX_LENGTH)
    with pytest.raises(Bech32ChecksumWrong):
        decode(bech32.encode(hrp, words, Checksum.BECH32M))


def test_a_text_longer_than_any_invoice_is_not_even_read():
    with pytest.raises(bolt11.InvoiceTooLong):
        decode("lnbc1" + "q" * MAX_LENGTH)


def test_a_description_that_does_not_fit_is_refused_when_it_is_written():
    what = decode(SHORTEST).but(description="x" * 640)
    with pytest.raises(bolt11.FieldTooLong):
        unsigned(what)


@settings(deadline=None, max_examples=200)
@given(st.text(max_size=200) | st.binary(max_size=200).map(lambda raw: raw.decode("latin-1")))
def test_any_text_is_refused_by_name(text):
    with pytest.raises(Malformed):
        decode(text)


@settings(deadline=None, max_examples=200)
@given(
    st.sampled_from([case["invoice"] for case in VALID]),
    st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 31)), min_size=1, max_size=4),
    st.booleans(),
)
def test_a_changed_invoice_with_a_good_checksum_is_read_or_refused_by_name(text, changes, cut):
    hrp, words, _checksum = bech32.decode(text, MAX_LENGTH)
    changed = bytearray(words)
    for at, word in changes:
        changed[at % len(changed)] = word
    if cut:
        del changed[changes[0][0] % len(changed) :]
    try:
        invoice = decode(bech32.encode(hrp, bytes(changed), Checksum.BECH32))
    except Malformed:
        return
    assert len(invoice.payee) == 33
