"""A profile is told by rooms, and C functions count for the room that calls them."""

import cProfile
import pstats

import pytest
from bench.profile import ELSEWHERE, NAMES, room_of, shares, table

from fulmen.core.bitcoin.transaction import parse_tx
from fulmen.core.crypto.hashes import sha256


@pytest.mark.parametrize(
    ("path", "name", "room"),
    [
        ("/x/src/fulmen/core/channel/updates.py", "send_update", "core/channel"),
        ("/x/fulmen/src/fulmen/daemon/driver.py", "_turn", "daemon"),
        ("/x/src/fulmen/adapters/store/codec.py", "encode", "adapters/store"),
        ("/usr/lib/python3.13/asyncio/events.py", "_run", NAMES["loop"]),
        ("~", "<method 'send' of '_socket.socket' objects>", NAMES["loop"]),
        ("~", "<built-in method secp256k1_ecdsa_sign>", NAMES["curve"]),
        ("~", "<built-in method builtins.len>", ""),
        ("/usr/lib/python3.13/json/decoder.py", "decode", ELSEWHERE),
    ],
)
def test_a_function_lives_in_a_room(path, name, room):
    assert room_of((path, 1, name)) == room


def test_the_parts_are_the_whole_and_c_counts_for_its_caller():
    profile = cProfile.Profile()
    profile.enable()
    for _ in range(200):
        sha256(bytes(100_000))
    profile.disable()
    parts = shares(pstats.Stats(profile))
    assert sum(parts.values()) == pytest.approx(1)
    assert max(parts, key=parts.__getitem__) == "core/crypto"


def test_small_rooms_are_summed_up_in_the_last_line():
    lines = table({"payer": {"api": 0.6, "core/wire": 0.394, "core/onion": 0.006}})
    assert [line.split("|")[1].strip() for line in lines[2:]] == ["api", "core/wire", ELSEWHERE]
    assert lines[-1] == f"| {ELSEWHERE} | 1 % |"


def test_what_reads_a_transaction_is_bitcoin():
    code = parse_tx.__code__
    assert room_of((code.co_filename, code.co_firstlineno, code.co_name)) == "core/bitcoin"
