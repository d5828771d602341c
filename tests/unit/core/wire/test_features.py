"""Feature bits: what they need, where they may stand, and what must be understood. BOLT 9."""

from hypothesis import given
from hypothesis import strategies as st

from fulmen.core.wire import features as f
from fulmen.core.wire.features import Features, negotiated, optional, required

SETS = st.integers(0, (1 << 90) - 1).map(Features)


def test_bits_are_counted_from_the_end_of_the_field() -> None:
    assert Features.from_bytes(bytes.fromhex("0100")).bits() == (8,)
    assert Features.of(0, 17).to_bytes() == bytes.fromhex("020001")
    assert Features().to_bytes() == b""


@given(SETS)
def test_a_set_survives_its_field(features: Features) -> None:
    assert Features.from_bytes(features.to_bytes()) == features
    assert Features.of(*features.bits()) == features


def test_an_even_bit_requires_and_an_odd_one_offers() -> None:
    both = optional(f.BASIC_MPP) | required(f.OPTION_ANCHORS)
    assert both.supports(f.BASIC_MPP) and not both.requires(f.BASIC_MPP)
    assert both.supports(f.OPTION_ANCHORS) and both.requires(f.OPTION_ANCHORS)
    assert Features.of(16, 17).requires(f.BASIC_MPP)


def test_what_is_required_and_unknown_is_found() -> None:
    assert Features.of(0, 12, 101, 200).unknown_even() == (200,)
    assert Features.of(28, 34).unknown_even(optional(f.OPTION_QUIESCE)) == (28,)
    assert Features.of(13, 35, 201).unknown_even() == ()


def test_a_feature_without_what_it_needs_is_found() -> None:
    assert optional(f.OPTION_ZEROCONF).missing_dependencies() == ((f.OPTION_ZEROCONF, f.OPTION_SCID_ALIAS),)
    # payment_secret is assumed by everybody.
    assert optional(f.BASIC_MPP).missing_dependencies() == ()


def test_dependencies_are_added_through_and_through() -> None:
    assert optional(f.OPTION_SIMPLE_TAPROOT).with_dependencies() == optional(
        f.OPTION_SIMPLE_TAPROOT, f.OPTION_CHANNEL_TYPE, f.OPTION_SIMPLE_CLOSE, f.OPTION_SHUTDOWN_ANYSEGWIT
    )
    assert required(f.OPTION_ZEROCONF).with_dependencies() == required(f.OPTION_ZEROCONF, f.OPTION_SCID_ALIAS)


@given(SETS)
def test_with_its_dependencies_a_set_misses_none(features: Features) -> None:
    whole = features.with_dependencies()
    assert whole.missing_dependencies() == ()
    assert whole.with_dependencies() == whole
    assert all(whole.supports(bit) for bit in features.bits())


@given(st.lists(st.sampled_from(sorted(f.TABLE)), unique=True))
def test_adding_dependencies_never_sets_both_bits_of_a_pair(bits: list[int]) -> None:
    for chosen in (optional(*bits), required(*bits)):
        whole = chosen.with_dependencies()
        assert not any(whole.has(bit) and whole.has(bit + 1) for bit in f.TABLE)


def test_a_feature_stands_only_where_it_belongs() -> None:
    ours = optional(f.OPTION_ANCHORS, f.BASIC_MPP, f.OPTION_PAYMENT_METADATA) | Features.of(261)
    assert ours.within(f.INVOICE) == optional(f.BASIC_MPP, f.OPTION_PAYMENT_METADATA) | Features.of(261)
    assert ours.within(f.INIT) == optional(f.OPTION_ANCHORS, f.BASIC_MPP) | Features.of(261)
    assert ours.within(f.TYPE) == optional(f.OPTION_ANCHORS)


def test_a_feature_is_negotiated_when_both_have_it_or_everybody_does() -> None:
    ours, theirs = optional(f.OPTION_ANCHORS, f.OPTION_QUIESCE), required(f.OPTION_ANCHORS)
    assert negotiated(ours, theirs, f.OPTION_ANCHORS)
    assert not negotiated(ours, theirs, f.OPTION_QUIESCE)
    assert negotiated(Features(), Features(), f.OPTION_CHANNEL_TYPE)


def test_bits_have_names() -> None:
    assert Features.of(12, 47, 301).names() == ("option_static_remotekey", "option_scid_alias?", "bit 301")
