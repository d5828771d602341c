"""RIPEMD-160 in Python, for an OpenSSL that no longer has it.

Slow (some 60 us a block), but only addresses and HTLC scripts ask for it.

Source: Dobbertin, Bosselaers, Preneel, "RIPEMD-160: A Strengthened Version of RIPEMD" (1996), pseudo-code.
"""

from __future__ import annotations

import struct

_MASK = 0xFFFFFFFF
_START = (0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476, 0xC3D2E1F0)
_ADDENDS_LEFT = (0x00000000, 0x5A827999, 0x6ED9EBA1, 0x8F1BBCDC, 0xA953FD4E)
_ADDENDS_RIGHT = (0x50A28BE6, 0x5C4DD124, 0x6D703EF3, 0x7A6D76E9, 0x00000000)
_RHO = (7, 4, 13, 1, 10, 6, 15, 3, 12, 0, 9, 5, 2, 14, 11, 8)
_SHIFTS = (
    (11, 14, 15, 12, 5, 8, 7, 9, 11, 13, 14, 15, 6, 7, 9, 8),
    (12, 13, 11, 15, 6, 9, 9, 7, 12, 15, 11, 13, 7, 8, 7, 7),
    (13, 15, 14, 11, 7, 7, 6, 8, 13, 14, 13, 12, 5, 5, 6, 9),
    (14, 11, 12, 14, 8, 6, 5, 5, 15, 12, 15, 14, 9, 9, 8, 6),
    (15, 12, 13, 13, 9, 5, 8, 6, 14, 11, 12, 11, 8, 6, 5, 5),
)


def _orders(first: tuple[int, ...]) -> tuple[tuple[int, ...], ...]:
    """Which message word each of the five rounds takes: the round before, permuted by rho."""
    rounds = [first]
    for _ in range(4):
        rounds.append(tuple(_RHO[word] for word in rounds[-1]))
    return tuple(rounds)


_WORDS_LEFT = _orders(tuple(range(16)))
_WORDS_RIGHT = _orders(tuple((9 * word + 5) % 16 for word in range(16)))


def ripemd160(data: bytes) -> bytes:
    """RIPEMD-160, 20 bytes."""
    padded = data + b"\x80" + bytes((55 - len(data)) % 64) + struct.pack("<Q", len(data) * 8)
    state: tuple[int, ...] = _START
    for at in range(0, len(padded), 64):
        words = struct.unpack_from("<16I", padded, at)
        left = _line(state, words, _WORDS_LEFT, _ADDENDS_LEFT, range(5))
        right = _line(state, words, _WORDS_RIGHT, _ADDENDS_RIGHT, range(4, -1, -1))
        turn = (1, 2, 3, 4, 0)
        state = tuple((state[turn[i]] + left[turn[turn[i]]] + right[turn[turn[turn[i]]]]) & _MASK for i in range(5))
    return struct.pack("<5I", *state)


def _line(
    state: tuple[int, ...],
    words: tuple[int, ...],
    order: tuple[tuple[int, ...], ...],
    addends: tuple[int, ...],
    mixes: range,
) -> tuple[int, ...]:
    """One of the two parallel lines: five rounds of sixteen steps."""
    a, b, c, d, e = state
    for turn, mix in enumerate(mixes):
        for word in order[turn]:
            shift = _SHIFTS[turn][word]
            sum_ = (a + _mixed(mix, b, c, d) + words[word] + addends[turn]) & _MASK
            rotated = (sum_ << shift | sum_ >> (32 - shift)) & _MASK
            a, b, c, d, e = e, (rotated + e) & _MASK, b, (c << 10 | c >> 22) & _MASK, d
    return a, b, c, d, e


def _mixed(mix: int, x: int, y: int, z: int) -> int:
    if mix == 0:
        return x ^ y ^ z
    if mix == 1:
        return x & y | ~x & z
    if mix == 2:
        return (x | ~y) ^ z
    if mix == 3:
        return x & z | y & ~z
    return x ^ (y | ~z)
