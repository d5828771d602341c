"""Address descriptors: where a node can be reached.

BOLT 7, "The `node_announcement` Message"; `init` carries one in `remote_addr` (BOLT 1).
"""

from __future__ import annotations

import base64
import hashlib
import ipaddress

from fulmen.core.base.faults import Malformed, Refused
from fulmen.core.base.record import Record

IPV4, IPV6, TOR_V2, TOR_V3, DNS = 1, 2, 3, 4, 5
_LENGTHS = {IPV4: 6, IPV6: 18, TOR_V2: 12, TOR_V3: 37}
"""Bytes after the type; a hostname says its own length."""


class AddressTooShort(Malformed):
    """The field ends in the middle of a descriptor of a known type."""


class BadAddress(Refused):
    """An address of ours that no descriptor can hold, or that must not be announced."""


class NodeAddress(Record, order=True):
    """One way to reach a node."""

    type: int
    host: str
    """As people write it: dotted, colons without brackets, `….onion`, or a hostname."""
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if self.type == IPV6 else f"{self.host}:{self.port}"


def parse_addresses(data: bytes) -> tuple[NodeAddress, ...]:
    """The usable addresses of an `addresses` field, in its order.

    Raises:
        AddressTooShort.
    """
    found: list[NodeAddress] = []
    at = 0
    # BOLT 7: "SHOULD ignore the first `address descriptor` that does NOT match the types defined above"; where an
    # unknown one ends nobody knows, so all after it goes with it.
    while at < len(data) and data[at] in (*_LENGTHS, DNS):
        kind = data[at]
        length = _LENGTHS.get(kind)
        if length is None:
            if at + 1 >= len(data):
                raise AddressTooShort(at=at)
            length = 1 + data[at + 1] + 2
        body = data[at + 1 : at + 1 + length]
        # BOLT 7: "if `addrlen` is insufficient to hold the address descriptors of the known types: SHOULD send a
        # `warning`"
        if len(body) < length:
            raise AddressTooShort(at=at, type=kind)
        at += 1 + length
        address = _address(kind, body)
        # BOLT 7: "if more than one `type 5` address is announced: SHOULD ignore the additional data"
        if kind == DNS and any(known.type == DNS for known in found):
            continue
        # BOLT 7: "if `port` is equal to 0: SHOULD ignore `ipv6_addr` OR `ipv4_addr` OR `hostname`"; "SHOULD ignore Tor
        # v2 onion services"
        if address is not None and address.port != 0:
            found.append(address)
    return tuple(found)


def hostnames(data: bytes) -> int:
    """How many type 5 descriptors a field has: more than one must not be passed on."""
    count = at = 0
    while at < len(data) and data[at] in (*_LENGTHS, DNS):
        if data[at] == DNS:
            count += 1
            if at + 1 >= len(data):
                break
            at += 4 + data[at + 1]
        else:
            at += 1 + _LENGTHS[data[at]]
    return count


def encode_addresses(addresses: tuple[NodeAddress, ...]) -> bytes:
    """Our own addresses, as the wire has them.

    Raises:
        BadAddress.
    """
    # BOLT 7: "MUST NOT announce more than one `type 5` DNS hostname"
    if sum(address.type == DNS for address in addresses) > 1:
        raise BadAddress("more than one DNS hostname")
    # BOLT 7: "MUST place address descriptors in ascending order"
    return b"".join(sorted(map(encode_address, addresses)))


def encode_address(address: NodeAddress) -> bytes:
    """One descriptor.

    Raises:
        BadAddress.
    """
    if not 0 < address.port < 0x10000:
        raise BadAddress("a port is 1 to 65535", port=address.port)
    try:
        host = _host_bytes(address)
    except ValueError as error:
        raise BadAddress(type=address.type, host=address.host) from error
    return bytes([address.type]) + host + address.port.to_bytes(2, "big")


def address_of(host: str, port: int) -> NodeAddress:
    """The descriptor that a host, as people write it, belongs in.

    Raises:
        BadAddress.
    """
    bare = host.strip("[]")
    try:
        kind = IPV4 if ipaddress.ip_address(bare).version == 4 else IPV6
        address = NodeAddress(kind, bare, port)
    except ValueError:
        address = NodeAddress(TOR_V3 if bare.endswith(".onion") else DNS, bare, port)
    encode_address(address)
    return address


def _address(kind: int, body: bytes) -> NodeAddress | None:
    port = int.from_bytes(body[-2:], "big")
    host = body[:-2]
    if kind == IPV4:
        return NodeAddress(kind, str(ipaddress.IPv4Address(host)), port)
    if kind == IPV6:
        return NodeAddress(kind, str(ipaddress.IPv6Address(host)), port)
    if kind == TOR_V3:
        return NodeAddress(kind, base64.b32encode(host).decode().lower() + ".onion", port)
    if kind == DNS and _is_hostname(host[1:]):
        return NodeAddress(kind, host[1:].decode("ascii"), port)
    return None


def _host_bytes(address: NodeAddress) -> bytes:
    if address.type == IPV4:
        return ipaddress.IPv4Address(address.host).packed
    if address.type == IPV6:
        return ipaddress.IPv6Address(address.host).packed
    if address.type == TOR_V3 and address.host.endswith(".onion"):
        onion = base64.b32decode(address.host.removesuffix(".onion").upper())
        if len(onion) == 35 and onion[32:34] == _onion_checksum(onion[:32], onion[34:]):
            return onion
    if address.type == DNS:
        # BOLT 7: "Non-ASCII characters MUST be encoded using Punycode"
        name = address.host.encode("ascii") if address.host.isascii() else address.host.encode("idna")
        if _is_hostname(name):
            return bytes([len(name)]) + name
    raise ValueError


def _onion_checksum(key: bytes, version: bytes) -> bytes:
    return hashlib.sha3_256(b".onion checksum" + key + version).digest()[:2]


def _is_hostname(name: bytes) -> bool:
    return 0 < len(name) < 256 and all(letter in _HOSTNAME for letter in name)


_HOSTNAME = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._"
