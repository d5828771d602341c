"""BOLT 11: read an invoice, and write one around a signature that is made elsewhere.

The data part is 5-bit words: a timestamp of 7, tagged fields (type 1 word, length 2, data), a signature of 104.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from fulmen.core.base.faults import Malformed
from fulmen.core.base.ids import NodeId, PaymentHash, PaymentSecret, Point, ShortChannelId, Signature
from fulmen.core.base.record import Record
from fulmen.core.base.units import CltvDelta, Timestamp
from fulmen.core.bitcoin import bech32
from fulmen.core.bitcoin.bech32 import Checksum, number_of, to_words
from fulmen.core.crypto.hashes import sha256
from fulmen.core.crypto.secp256k1 import is_point, recover, verify_ecdsa
from fulmen.core.invoices.amount import read_hrp, write_amount
from fulmen.core.invoices.invoice import (
    DEFAULT_EXPIRY_S,
    DEFAULT_MIN_FINAL_CLTV_EXPIRY_DELTA,
    Fallback,
    HopHint,
    Invoice,
    InvoiceFields,
)
from fulmen.core.wire import features as bits
from fulmen.core.wire.features import Features

MAX_LENGTH = 7089
"""Characters: what fits into the largest QR code as digits; other nodes read no longer ones."""
URI_SCHEME = "lightning:"

PAYMENT_HASH = 1
ROUTE_HINT = 3
FEATURES = 5
EXPIRY = 6
FALLBACK = 9
DESCRIPTION = 13
PAYMENT_SECRET = 16
PAYEE = 19
DESCRIPTION_HASH = 23
MIN_FINAL_CLTV_EXPIRY_DELTA = 24
METADATA = 27

P2PKH_VERSION = 17
P2SH_VERSION = 18
"""Versions of fallback addresses that are no witness programs."""

UNDERSTOOD = bits.optional(bits.VAR_ONION_OPTIN, bits.PAYMENT_SECRET, bits.BASIC_MPP, bits.OPTION_PAYMENT_METADATA)
"""What an invoice may require of us."""

MAX_FIELD_WORDS = 1023
"""What the length of a field can say: 639 bytes."""

_TIMESTAMP_WORDS = 7
_SIGNATURE_WORDS = 104
_HINT_SIZE = 33 + 8 + 4 + 4 + 2
_MAX_NUMBER_WORDS = 12
"""60 bits: a number that needs more is none of this world."""
_HALF_ORDER = 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0


class InvoiceMalformed(Malformed):
    """The text is no BOLT 11 invoice; each way to be wrong is a class of its own."""


class InvoiceTooLong(InvoiceMalformed):
    """More characters than any invoice has."""


class InvoiceTooShort(InvoiceMalformed):
    """No room for a timestamp and a signature."""


class FieldTooLong(InvoiceMalformed):
    """What is to be written does not fit into a field; a long description wants a description hash."""


class FieldTruncated(InvoiceMalformed):
    """A tagged field ends behind the end of the invoice."""


class FieldLengthWrong(InvoiceMalformed):
    """A field of fixed length has another one."""


class FieldMissing(InvoiceMalformed):
    """A payment hash, a payment secret or a description is missing."""


class FieldRepeated(InvoiceMalformed):
    """A payment hash stands there twice."""


class DescriptionAmbiguous(InvoiceMalformed):
    """Both a description and a description hash."""


class DescriptionNotUtf8(InvoiceMalformed):
    """The description is not UTF-8."""


class NumberNotMinimal(InvoiceMalformed):
    """An expiry, a delta or the features begin with a zero word."""


class NumberTooLarge(InvoiceMalformed):
    """An expiry or a delta that nobody can mean."""


class RouteHintMalformed(InvoiceMalformed):
    """A route hint that is empty, has half an entry, or names a node that is no point."""


class RequiredFeatureUnknown(InvoiceMalformed):
    """The payee requires a feature that we do not know."""


class FeatureDependencyMissing(InvoiceMalformed):
    """A feature is set without another one that it needs."""


class SignatureInvalid(InvoiceMalformed):
    """The signature is not that of the payee in the invoice, or nobody's."""


class SignatureNotLow(InvoiceMalformed):
    """The payee is named, and the signature has a high S."""


class UnsignedInvoice(Record):
    """An invoice that waits for its signature: 64 bytes and a recovery id over `digest`, by the payee's node key."""

    hrp: str
    words: bytes
    """Timestamp and fields, one 5-bit word a byte."""

    @property
    def digest(self) -> bytes:
        """What is signed: 32 bytes."""
        return _digest(self.hrp, self.words)

    def signed(self, signature: bytes) -> str:
        """The invoice's text. `signature` is 65 bytes: r, s, recovery id."""
        return bech32.encode(self.hrp, self.words + to_words(signature), Checksum.BECH32)


def decode(text: str) -> Invoice:
    """Read an invoice; upper case, the `lightning:` scheme, and white space put in by a terminal or a mail are fine.

    Raises:
        Malformed: one of this room's faults, of `amount`'s, or of bech32, each named for what is wrong.

    Source: BOLT 11, "Requirements" of a reader.
    """
    text = "".join(text.split())
    if text[: len(URI_SCHEME)].lower() == URI_SCHEME:
        text = text[len(URI_SCHEME) :]
    if len(text) > MAX_LENGTH:
        raise InvoiceTooLong("no invoice is this long", characters=len(text))
    hrp, words, checksum = bech32.decode(text, MAX_LENGTH)
    if checksum != Checksum.BECH32:
        raise bech32.Bech32ChecksumWrong("an invoice has a Bech32 checksum, not Bech32m")
    prefix, amount_msat = read_hrp(hrp)
    if len(words) < _TIMESTAMP_WORDS + _SIGNATURE_WORDS:
        raise InvoiceTooShort("an invoice has at least a timestamp and a signature", words=len(words))
    unsigned = UnsignedInvoice(hrp, words[:-_SIGNATURE_WORDS])
    fields = _Fields()
    for kind, data in _tagged(unsigned.words[_TIMESTAMP_WORDS:]):
        fields.take(kind, data)
    fields.require()
    signature = _to_bytes(words[-_SIGNATURE_WORDS:])
    return Invoice(
        prefix=prefix,
        timestamp=Timestamp(number_of(words[:_TIMESTAMP_WORDS])),
        payment_hash=PaymentHash(fields.fixed[PAYMENT_HASH]),
        payment_secret=PaymentSecret(fields.fixed[PAYMENT_SECRET]),
        amount_msat=amount_msat,
        description=fields.description,
        description_hash=fields.fixed.get(DESCRIPTION_HASH),
        payment_metadata=fields.metadata,
        expiry_s=fields.numbers.get(EXPIRY, DEFAULT_EXPIRY_S),
        min_final_cltv_expiry_delta=CltvDelta(
            fields.numbers.get(MIN_FINAL_CLTV_EXPIRY_DELTA, DEFAULT_MIN_FINAL_CLTV_EXPIRY_DELTA)
        ),
        fallbacks=tuple(fields.fallbacks),
        route_hints=tuple(fields.route_hints),
        features=fields.features or Features(),
        payee=_payee(unsigned.digest, signature, fields.fixed.get(PAYEE)),
        signature=signature,
        payee_given=PAYEE in fields.fixed,
        unknown=tuple(fields.unknown),
    )


def unsigned(fields: InvoiceFields) -> UnsignedInvoice:
    """The invoice to be signed, its fields in a fixed order, features and numbers in their shortest form.

    Raises:
        FieldTooLong: a description, metadata or route hint has more than 639 bytes.
    """
    parts = [_number_words(fields.timestamp, _TIMESTAMP_WORDS)]
    parts.append(_tag(PAYMENT_SECRET, to_words(fields.payment_secret)))
    parts.append(_tag(PAYMENT_HASH, to_words(fields.payment_hash)))
    if fields.description_hash is not None:
        parts.append(_tag(DESCRIPTION_HASH, to_words(fields.description_hash)))
    else:
        parts.append(_tag(DESCRIPTION, to_words((fields.description or "").encode())))
    if fields.payment_metadata is not None:
        parts.append(_tag(METADATA, to_words(fields.payment_metadata)))
    if fields.expiry_s != DEFAULT_EXPIRY_S:
        parts.append(_tag(EXPIRY, _number_words(fields.expiry_s)))
    if fields.min_final_cltv_expiry_delta != DEFAULT_MIN_FINAL_CLTV_EXPIRY_DELTA:
        parts.append(_tag(MIN_FINAL_CLTV_EXPIRY_DELTA, _number_words(fields.min_final_cltv_expiry_delta)))
    for fallback in fields.fallbacks:
        parts.append(_tag(FALLBACK, bytes((fallback.version,)) + to_words(fallback.program)))
    for hint in fields.route_hints:
        parts.append(_tag(ROUTE_HINT, to_words(b"".join(map(_hop_bytes, hint)))))
    # BOLT 11: "if `9` contains non-zero bits: MUST use the minimum `data_length` possible […] otherwise: MUST omit"
    if fields.features:
        parts.append(_tag(FEATURES, _number_words(fields.features.mask)))
    hrp = fields.prefix + ("" if fields.amount_msat is None else write_amount(fields.amount_msat))
    return UnsignedInvoice(hrp, b"".join(parts))


class _Fields:
    """The tagged fields as they are read."""

    def __init__(self) -> None:
        self.fixed: dict[int, bytes] = {}
        self.numbers: dict[int, int] = {}
        self.description: str | None = None
        self.metadata: bytes | None = None
        self.features: Features | None = None
        self.fallbacks: list[Fallback] = []
        self.route_hints: list[tuple[HopHint, ...]] = []
        self.unknown: list[tuple[int, bytes]] = []

    def take(self, kind: int, data: bytes) -> None:
        """One field more; where a field has meaning once, the first one counts."""
        reader = _READERS.get(kind)
        if reader is None:
            self.unknown.append((kind, data))
        else:
            reader(self, kind, data)

    def take_fixed(self, kind: int, data: bytes) -> None:
        """`p`, `s`, `h`: 52 words; `n`: 53."""
        # BOLT 11: "MUST fail the payment if any field with fixed `data_length` (`p`, `h`, `s`, `n`) does not have
        # the correct length (52, 52, 52, 53)."
        size = 53 if kind == PAYEE else 52
        if len(data) != size:
            raise FieldLengthWrong("a field has the wrong length", field=kind, words=len(data), expected=size)
        if kind == PAYMENT_HASH and kind in self.fixed:
            raise FieldRepeated("the invoice has two payment hashes")
        self.fixed.setdefault(kind, _to_bytes(data))

    def take_description(self, _kind: int, data: bytes) -> None:
        """`d`: UTF-8."""
        try:
            text = _to_bytes(data).decode()
        except UnicodeDecodeError:
            raise DescriptionNotUtf8("the description is not UTF-8") from None
        if self.description is None:
            self.description = text

    def take_metadata(self, _kind: int, data: bytes) -> None:
        """`m`: bytes that the payee wants back."""
        if self.metadata is None:
            self.metadata = _to_bytes(data)

    def take_number(self, kind: int, data: bytes) -> None:
        """`x` and `c`: a number in its shortest form."""
        _check_minimal(kind, data)
        if len(data) > _MAX_NUMBER_WORDS:
            raise NumberTooLarge("a number in the invoice is too large", field=kind, words=len(data))
        self.numbers.setdefault(kind, number_of(data))

    def take_features(self, kind: int, data: bytes) -> None:
        """`9`: bits, the least significant one last."""
        _check_minimal(kind, data)
        if self.features is None:
            self.features = Features(number_of(data))

    def take_fallback(self, kind: int, data: bytes) -> None:
        """`f`: an address that we know, or one to skip over."""
        fallback = Fallback(data[0], _to_bytes(data[1:])) if data else None
        # BOLT 11: "MUST skip over `f` fields that use an unknown `version`."
        if fallback is None or not _known_fallback(fallback):
            self.unknown.append((kind, data))
        else:
            self.fallbacks.append(fallback)

    def take_route_hint(self, _kind: int, data: bytes) -> None:
        """`r`: one or more entries of 51 bytes."""
        raw = _to_bytes(data)
        if not raw or len(raw) % _HINT_SIZE:
            raise RouteHintMalformed("a route hint has one or more entries of 51 bytes", bytes=len(raw))
        self.route_hints.append(tuple(_hop(raw[at : at + _HINT_SIZE]) for at in range(0, len(raw), _HINT_SIZE)))

    def require(self) -> None:
        """All that an invoice must have."""
        for kind, name in ((PAYMENT_HASH, "payment_hash"), (PAYMENT_SECRET, "payment_secret")):
            if kind not in self.fixed:
                raise FieldMissing(f"the invoice has no {name}", field=kind)
        hashed = DESCRIPTION_HASH in self.fixed
        # BOLT 11: "MUST fail the payment if neither a `d` field nor a `h` field is present, or if both are present."
        if self.description is not None and hashed:
            raise DescriptionAmbiguous("the invoice has a description and a description hash")
        if self.description is None and not hashed:
            raise FieldMissing("the invoice has no description", field=DESCRIPTION)
        features = self.features or Features()
        # BOLT 11: "if the `9` field contains unknown _even_ bits that are non-zero: MUST fail the payment. SHOULD
        # indicate the unknown bit to the user."
        for bit in features.unknown_even(UNDERSTOOD):
            raise RequiredFeatureUnknown("the invoice requires a feature that we do not know", bit=bit)
        # BOLT 11: "if the feature vector does not set all known, transitive feature dependencies: MUST NOT attempt"
        for feature, needed in features.missing_dependencies():
            raise FeatureDependencyMissing(
                "the invoice sets a feature without what it needs", bit=feature, needs=needed
            )


_READERS: dict[int, Callable[[_Fields, int, bytes], None]] = {
    PAYMENT_HASH: _Fields.take_fixed,
    PAYMENT_SECRET: _Fields.take_fixed,
    DESCRIPTION_HASH: _Fields.take_fixed,
    PAYEE: _Fields.take_fixed,
    DESCRIPTION: _Fields.take_description,
    METADATA: _Fields.take_metadata,
    EXPIRY: _Fields.take_number,
    MIN_FINAL_CLTV_EXPIRY_DELTA: _Fields.take_number,
    FEATURES: _Fields.take_features,
    FALLBACK: _Fields.take_fallback,
    ROUTE_HINT: _Fields.take_route_hint,
}


def _payee(digest: bytes, signature: bytes, given: bytes | None) -> NodeId:
    compact, recovery_id = Signature(signature[:64]), signature[64]
    if given is not None:
        if not is_point(given):
            raise SignatureInvalid("the payee in the invoice is no public key")
        # BOLT 11: "MUST use the `n` field to validate the signature instead of performing public-key recovery."
        if verify_ecdsa(Point(given), digest, compact):
            return NodeId(given)
        # BOLT 11: "If the signature is not compliant with the low-S standard rule: MUST fail the payment"
        if int.from_bytes(compact[32:], "big") > _HALF_ORDER:
            raise SignatureNotLow("the payee is named and the signature has a high S")
        raise SignatureInvalid("the signature is not that of the payee in the invoice")
    # BOLT 11: "MUST perform ECDSA public-key recovery and accept both high-S and low-S signatures."
    if recovery_id > 3:
        raise SignatureInvalid("a recovery id is 0 to 3", recovery_id=recovery_id)
    try:
        return NodeId(recover(digest, compact, recovery_id))
    except Malformed:
        raise SignatureInvalid("the signature is nobody's") from None


def _tagged(words: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at < len(words):
        head = words[at : at + 3]
        size = number_of(head[1:])
        data = words[at + 3 : at + 3 + size]
        if len(head) < 3 or len(data) < size:
            raise FieldTruncated("the last field is cut short", field=head[0])
        yield head[0], data
        at += 3 + size


def _check_minimal(kind: int, data: bytes) -> None:
    # BOLT 11: "if a `c`, `x`, or `9` field is provided which has a non-minimal `data_length` (i.e. begins with 0
    # field elements): SHOULD treat the invoice as invalid."
    if data[:1] == b"\x00":
        raise NumberNotMinimal("a number in the invoice begins with a zero", field=kind)


def _known_fallback(fallback: Fallback) -> bool:
    size = len(fallback.program)
    if fallback.version in (P2PKH_VERSION, P2SH_VERSION):
        return size == 20
    if fallback.version == 0:
        return size in (20, 32)
    return fallback.version <= 16 and 2 <= size <= 40


def _hop(raw: bytes) -> HopHint:
    if not is_point(raw[:33]):
        raise RouteHintMalformed("a route hint names a node that is no public key")
    return HopHint(
        NodeId(raw[:33]),
        ShortChannelId(int.from_bytes(raw[33:41], "big")),
        int.from_bytes(raw[41:45], "big"),
        int.from_bytes(raw[45:49], "big"),
        CltvDelta(int.from_bytes(raw[49:51], "big")),
    )


def _hop_bytes(hop: HopHint) -> bytes:
    return b"".join(
        (
            hop.node_id,
            hop.short_channel_id.to_bytes(8, "big"),
            hop.fee_base_msat.to_bytes(4, "big"),
            hop.fee_proportional_millionths.to_bytes(4, "big"),
            hop.cltv_expiry_delta.to_bytes(2, "big"),
        )
    )


def _digest(hrp: str, words: bytes) -> bytes:
    """SHA-256 of the human-readable part and the data, padded with zero bits to whole bytes."""
    bits = len(words) * 5
    size = -(-bits // 8)
    return sha256(hrp.encode() + (number_of(words) << size * 8 - bits).to_bytes(size, "big"))


def _tag(kind: int, data: bytes) -> bytes:
    if len(data) > MAX_FIELD_WORDS:
        raise FieldTooLong("a field of an invoice holds 639 bytes", field=kind, words=len(data))
    return bytes((kind, len(data) >> 5, len(data) & 31)) + data


def _number_words(number: int, size: int = 0) -> bytes:
    """A number as 5-bit words, in `size` of them or as few as possible."""
    size = size or -(-number.bit_length() // 5)
    return bytes([number >> 5 * at & 31 for at in range(size - 1, -1, -1)])


def _to_bytes(words: bytes) -> bytes:
    """The whole bytes in 5-bit words."""
    size = len(words) * 5 // 8
    return (number_of(words) >> len(words) * 5 - size * 8).to_bytes(size, "big")
