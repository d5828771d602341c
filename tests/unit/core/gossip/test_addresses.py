"""Address descriptors: read leniently, written strictly. BOLT 7."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.builders.gossip import real_messages

from fulmen.core.base.faults import Malformed
from fulmen.core.gossip.addresses import (
    DNS,
    IPV4,
    IPV6,
    TOR_V3,
    AddressTooShort,
    BadAddress,
    NodeAddress,
    address_of,
    encode_addresses,
    hostnames,
    parse_addresses,
)
from fulmen.core.wire import decode
from fulmen.core.wire.messages.gossip import NodeAnnouncement

# The Tor project's own site, as in the rendezvous specification, version 3.
ONION = "2gzyxa5ihm7nsggfxnu52rck2vv4rvmdlkiu3zzui5du4xyclen53wid.onion"
ALL = (
    NodeAddress(IPV4, "1.2.3.4", 9735),
    NodeAddress(IPV6, "2001:db8::1", 9736),
    NodeAddress(TOR_V3, ONION, 80),
    NodeAddress(DNS, "example.com", 9735),
)


def test_every_kind_of_address_survives_the_wire_in_ascending_order() -> None:
    assert parse_addresses(encode_addresses(ALL[::-1])) == ALL


def test_a_host_finds_its_descriptor() -> None:
    assert [address_of(a.host, a.port) for a in ALL] == list(ALL)
    assert str(address_of("[2001:db8::1]", 9736)) == "[2001:db8::1]:9736"
    assert encode_addresses((address_of("żółw.example", 1),))[2:-2].startswith(b"xn--")


@pytest.mark.parametrize(
    "bad",
    [
        NodeAddress(IPV4, "1.2.3.4", 0),
        NodeAddress(IPV4, "1.2.3", 1),
        NodeAddress(TOR_V3, ONION.replace("2gz", "3gz"), 1),
        NodeAddress(TOR_V3, "abc.onion", 1),
        NodeAddress(DNS, "a" * 256, 1),
        NodeAddress(DNS, "no spaces", 1),
        NodeAddress(3, "old.onion", 1),
    ],
    ids=str,
)
def test_what_must_not_be_announced_is_refused(bad: NodeAddress) -> None:
    with pytest.raises(BadAddress):
        encode_addresses((bad,))


def test_only_one_hostname_is_announced_and_only_the_first_is_used() -> None:
    with pytest.raises(BadAddress):
        encode_addresses((ALL[3], NodeAddress(DNS, "example.org", 1)))
    two = encode_addresses(ALL[3:]) + encode_addresses((NodeAddress(DNS, "example.org", 1),))
    assert parse_addresses(two) == ALL[3:]
    assert hostnames(two) == 2


def test_old_onions_and_port_zero_are_ignored() -> None:
    tor_v2 = bytes([3]) + bytes(12)
    no_port = bytes.fromhex("01010203040000")
    assert parse_addresses(no_port + tor_v2 + encode_addresses(ALL[2:])) == ALL[2:]


def test_everything_after_an_unknown_type_is_ignored() -> None:
    assert parse_addresses(encode_addresses(ALL[:1]) + b"\x06" + encode_addresses(ALL[1:2])) == ALL[:1]


@pytest.mark.parametrize("data", ["01", "010102030426", "05", "0503616263", "04" + "00" * 36])
def test_a_descriptor_cut_short_is_refused(data: str) -> None:
    with pytest.raises(AddressTooShort):
        parse_addresses(bytes.fromhex(data))


@given(st.binary(max_size=120))
def test_any_bytes_are_addresses_or_refused_by_name(data: bytes) -> None:
    try:
        addresses = parse_addresses(data)
    except Malformed:
        return
    assert all(address.port for address in addresses)
    assert hostnames(data) >= sum(address.type == DNS for address in addresses)


def test_addresses_of_the_real_network_are_read_and_written_back() -> None:
    seen = 0
    for frame, _ in real_messages():
        message = decode(frame)
        if isinstance(message, NodeAnnouncement):
            addresses = parse_addresses(message.addresses)
            seen += len(addresses)
            assert parse_addresses(encode_addresses(addresses)) == tuple(sorted(addresses, key=lambda a: a.type))
    assert seen > 20
