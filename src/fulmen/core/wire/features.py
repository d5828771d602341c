"""Features: what nodes, channels and invoices say they support or require, bit by bit.

BOLT 9. Bits come in pairs: the even one requires, the odd one offers. A feature is named here by its even bit.
"""

from __future__ import annotations

from collections.abc import Iterable

from fulmen.core.base.record import Record

INIT, NODE, CHANNEL, INVOICE, BLINDED, TYPE = "I", "N", "C", "9", "B", "T"
"""Where a feature may stand (BOLT 9's Context column)."""


class Feature(Record):
    """One row of BOLT 9's table."""

    bit: int
    """The even bit of the pair."""
    name: str
    context: str = ""
    """Letters of the places where it may stand. Empty for those that everybody is assumed to have."""
    needs: tuple[int, ...] = ()
    """Even bits of the features it makes no sense without."""
    assumed: bool = False


OPTION_DATA_LOSS_PROTECT = 0
OPTION_UPFRONT_SHUTDOWN_SCRIPT = 4
GOSSIP_QUERIES = 6
VAR_ONION_OPTIN = 8
GOSSIP_QUERIES_EX = 10
OPTION_STATIC_REMOTEKEY = 12
PAYMENT_SECRET = 14
BASIC_MPP = 16
OPTION_SUPPORT_LARGE_CHANNEL = 18
OPTION_ANCHORS = 22
OPTION_ROUTE_BLINDING = 24
OPTION_SHUTDOWN_ANYSEGWIT = 26
OPTION_DUAL_FUND = 28
OPTION_QUIESCE = 34
OPTION_ATTRIBUTION_DATA = 36
OPTION_ONION_MESSAGES = 38
ZERO_FEE_COMMITMENTS = 40
OPTION_PROVIDE_STORAGE = 42
OPTION_CHANNEL_TYPE = 44
OPTION_SCID_ALIAS = 46
OPTION_PAYMENT_METADATA = 48
OPTION_ZEROCONF = 50
OPTION_SIMPLE_CLOSE = 60
OPTION_SPLICE = 62
OPTION_ONION_MESSAGES_ONLY_CHANNELS = 66
OPTION_SIMPLE_TAPROOT = 80

TABLE: dict[int, Feature] = {
    feature.bit: feature
    for feature in (
        Feature(OPTION_DATA_LOSS_PROTECT, "option_data_loss_protect", "IN", assumed=True),
        Feature(OPTION_UPFRONT_SHUTDOWN_SCRIPT, "option_upfront_shutdown_script", "IN"),
        Feature(GOSSIP_QUERIES, "gossip_queries", "IN"),
        Feature(VAR_ONION_OPTIN, "var_onion_optin", "IN9", assumed=True),
        Feature(GOSSIP_QUERIES_EX, "gossip_queries_ex", "IN"),
        Feature(OPTION_STATIC_REMOTEKEY, "option_static_remotekey", "INT", assumed=True),
        Feature(PAYMENT_SECRET, "payment_secret", "IN9", assumed=True),
        Feature(BASIC_MPP, "basic_mpp", "IN9", (PAYMENT_SECRET,)),
        Feature(OPTION_SUPPORT_LARGE_CHANNEL, "option_support_large_channel", "IN"),
        Feature(OPTION_ANCHORS, "option_anchors", "INT"),
        Feature(OPTION_ROUTE_BLINDING, "option_route_blinding", "IN9"),
        Feature(OPTION_SHUTDOWN_ANYSEGWIT, "option_shutdown_anysegwit", "IN"),
        Feature(OPTION_DUAL_FUND, "option_dual_fund", "IN"),
        Feature(OPTION_QUIESCE, "option_quiesce", "IN"),
        Feature(OPTION_ATTRIBUTION_DATA, "option_attribution_data", "IN9"),
        Feature(OPTION_ONION_MESSAGES, "option_onion_messages", "IN"),
        Feature(ZERO_FEE_COMMITMENTS, "zero_fee_commitments", "INT", (OPTION_CHANNEL_TYPE,)),
        Feature(OPTION_PROVIDE_STORAGE, "option_provide_storage", "IN"),
        Feature(OPTION_CHANNEL_TYPE, "option_channel_type", "IN", assumed=True),
        Feature(OPTION_SCID_ALIAS, "option_scid_alias", "INT"),
        Feature(OPTION_PAYMENT_METADATA, "option_payment_metadata", "9"),
        Feature(OPTION_ZEROCONF, "option_zeroconf", "INT", (OPTION_SCID_ALIAS,)),
        Feature(OPTION_SIMPLE_CLOSE, "option_simple_close", "IN", (OPTION_SHUTDOWN_ANYSEGWIT,)),
        Feature(OPTION_SPLICE, "option_splice", "IN"),
        Feature(OPTION_ONION_MESSAGES_ONLY_CHANNELS, "option_onion_messages_only_channels", "IN", (38,)),
        Feature(OPTION_SIMPLE_TAPROOT, "option_simple_taproot", "INT", (OPTION_CHANNEL_TYPE, OPTION_SIMPLE_CLOSE)),
    )
}
"""Every feature we can name, by its even bit."""

_NEEDS = tuple(
    (feature.bit, needed) for feature in TABLE.values() for needed in feature.needs if not TABLE[needed].assumed
)
_ASSUMED_MASK = sum(1 << bit for bit, feature in TABLE.items() if feature.assumed)


class Features(Record):
    """A set of feature bits. `mask` is the number that the bits make."""

    mask: int = 0

    @classmethod
    def of(cls, *bits: int) -> Features:
        """The set of these bits."""
        mask = 0
        for bit in bits:
            mask |= 1 << bit
        return cls(mask)

    @classmethod
    def from_bytes(cls, data: bytes) -> Features:
        """From a features field: big-endian, bit 0 is the lowest of the last byte."""
        return cls(int.from_bytes(data, "big"))

    def to_bytes(self) -> bytes:
        """The shortest field that holds the bits."""
        return self.mask.to_bytes((self.mask.bit_length() + 7) // 8, "big")

    def __or__(self, other: Features) -> Features:
        return Features(self.mask | other.mask)

    def __bool__(self) -> bool:
        return self.mask != 0

    def has(self, bit: int) -> bool:
        """True if exactly this bit is set."""
        return self.mask >> bit & 1 == 1

    def supports(self, feature: int) -> bool:
        """True if either bit of the pair is set. `feature` is the even bit (the odd one will do)."""
        return self.mask >> (feature & ~1) & 3 != 0

    def requires(self, feature: int) -> bool:
        """True if the even bit is set.

        BOLT 9: "if both the optional and the mandatory feature bits in a pair are set, the feature should be treated as
        mandatory".
        """
        return self.has(feature & ~1)

    def without(self, feature: int) -> Features:
        """This set with neither bit of the pair."""
        return Features(self.mask & ~(3 << (feature & ~1)))

    def bits(self) -> tuple[int, ...]:
        """All set bits, lowest first."""
        return tuple(bit for bit in range(self.mask.bit_length()) if self.mask >> bit & 1)

    def names(self) -> tuple[str, ...]:
        """The set bits for people: a name, with `?` where it is only offered; a number where there is no name."""
        return tuple(_bit_name(bit) for bit in self.bits())

    def unknown_even(self, known: Features | None = None) -> tuple[int, ...]:
        """The required bits that are not among `known` (the table's, if not given)."""
        known_mask = _pairs(known.mask) if known is not None else _TABLE_MASK
        return Features(self.mask & _even(self.mask) & ~known_mask).bits()

    def missing_dependencies(self) -> tuple[tuple[int, int], ...]:
        """(feature, dependency) for each that is set without what it needs; what is assumed needs no bit."""
        return tuple([(bit, needed) for bit, needed in _NEEDS if self.supports(bit) and not self.supports(needed)])

    def with_dependencies(self) -> Features:
        """This set with everything it needs, transitively: required where what needs it is required.

        BOLT 9: "MUST set all transitive feature dependencies".
        """
        mask = self.mask
        while True:
            grown = mask
            for feature in TABLE.values():
                for needed in feature.needs:
                    if grown >> feature.bit & 1 and not grown >> needed & 1:
                        grown = grown & ~(2 << needed) | 1 << needed
                    elif grown >> feature.bit & 3 and not grown >> needed & 3:
                        grown |= 2 << needed
            if grown == mask:
                return Features(mask)
            mask = grown

    def within(self, context: str) -> Features:
        """Only the bits that may stand in a place: `INIT`, `NODE`, `CHANNEL`, `INVOICE`, `BLINDED` or `TYPE`.

        Bits that are not in the table (custom ones) stay, except in a channel type and an announcement of a channel.
        BOLT 9: "MUST NOT set feature bits in fields not specified by the table above".
        """
        allowed = sum(3 << bit for bit, feature in TABLE.items() if context in feature.context)
        if context in (INIT, NODE, INVOICE):
            return Features(self.mask & (allowed | ~_TABLE_MASK))
        return Features(self.mask & allowed)


def optional(*features: int) -> Features:
    """These features (named by their even bits), offered."""
    return Features.of(*(feature | 1 for feature in features))


def required(*features: int) -> Features:
    """These features, required."""
    return Features.of(*(feature & ~1 for feature in features))


def negotiated(ours: Features, theirs: Features, feature: int) -> bool:
    """True if both sides set either bit of the pair; what is assumed is always negotiated."""
    return bool(_ASSUMED_MASK >> (feature & ~1) & 1) or (ours.supports(feature) and theirs.supports(feature))


def _pairs(mask: int) -> int:
    """The mask with both bits of every pair that has one."""
    even = mask & _even(mask)
    odd = mask & ~even
    both = even | odd >> 1
    return both | both << 1


def _even(mask: int) -> int:
    """All even bits up to the mask's length."""
    return int.from_bytes(b"\x55" * (mask.bit_length() // 8 + 1), "big")


def _bit_name(bit: int) -> str:
    feature = TABLE.get(bit & ~1)
    if feature is None:
        return f"bit {bit}"
    return f"{feature.name}?" if bit & 1 else feature.name


def _all(bits: Iterable[int]) -> int:
    return sum(3 << bit for bit in bits)


_TABLE_MASK = _all(TABLE)
