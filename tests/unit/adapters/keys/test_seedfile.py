"""The seed on disk opens with its password and with nothing else."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest

from fulmen.adapters.keys.seedfile import (
    MAX_PASSWORD,
    Cost,
    NoPassword,
    NoSeed,
    PasswordNotText,
    SeedExists,
    SeedUnreadable,
    WrongPassword,
    change_password,
    create_seed,
    open_seed,
    password_given,
)

CHEAP = Cost(lanes=1, iterations=1, kib=64)
SEED = bytes(range(32))


GOLDEN = (
    "fulmen seed 1 5b63fbc757c46310cde3b2c3761309da 000000020000000100000080 3aabbe139a2e0f6a10a5b2d1 "
    "80cc6c15e6c42f1e25351ad2db92b875f0327bf2c299aadb3abe4f7aad00667ee762e3bf68eb956e776ef5ecde4dabdc\n"
)
"""Written by the first version; every later one has to open it."""


@pytest.fixture
def path(tmp_path):
    return tmp_path / "seed"


@pytest.mark.parametrize("password", ["hunter2", "pässwörd mit Leerzeichen", "x" * 1000, " "])
def test_what_was_sealed_is_opened(path, password):
    create_seed(path, SEED, password, CHEAP)
    assert open_seed(path, password) == SEED
    assert path.stat().st_mode & 0o777 == 0o600
    assert [file.name for file in path.parent.iterdir()] == ["seed"]
    with pytest.raises(WrongPassword):
        open_seed(path, password + "x")


def test_a_seed_of_the_first_version_is_opened(path):
    path.write_text(GOLDEN)
    assert open_seed(path, "hunter2") == SEED


def test_the_default_cost_is_high_and_works(path):
    create_seed(path, SEED, "hunter2")
    assert Cost().kib >= 64 << 10
    assert open_seed(path, "hunter2") == SEED


def test_two_files_of_one_seed_have_nothing_in_common(tmp_path):
    for name in ("a", "b"):
        create_seed(tmp_path / name, SEED, "hunter2", CHEAP)
    one, other = ((tmp_path / name).read_text().split() for name in ("a", "b"))
    assert one[3] != other[3]
    assert one[5:] != other[5:]
    assert SEED.hex() not in one[-1]


def test_a_seed_is_never_overwritten(path):
    create_seed(path, SEED, "hunter2", CHEAP)
    with pytest.raises(SeedExists):
        create_seed(path, bytes(32), "hunter2", CHEAP)
    assert open_seed(path, "hunter2") == SEED


def test_a_password_can_be_changed(path):
    create_seed(path, SEED, "old", CHEAP)
    with pytest.raises(WrongPassword):
        change_password(path, "wrong", "new", CHEAP)
    change_password(path, "old", "new", CHEAP)
    assert open_seed(path, "new") == SEED
    with pytest.raises(WrongPassword):
        open_seed(path, "old")


def test_a_file_that_has_no_room_for_the_seed_leaves_the_old_one(path):
    """A write that does less than it was asked for says so by its result, not by an error."""
    create_seed(path, SEED, "old", CHEAP)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
    try:
        with pytest.raises(SeedUnreadable):
            change_password(path, "old", "new", CHEAP)
        with pytest.raises(SeedUnreadable):
            create_seed(path.with_name("other"), SEED, "new", CHEAP)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert open_seed(path, "old") == SEED
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_no_password_is_refused_by_name(path):
    with pytest.raises(NoPassword):
        create_seed(path, SEED, "", CHEAP)
    assert not path.exists()
    create_seed(path, SEED, "x", CHEAP)
    with pytest.raises(NoPassword):
        open_seed(path, "")


def test_a_password_that_is_no_text_is_refused_and_not_repeated(path):
    """Bytes of an environment that are no UTF-8 come in as lone surrogates."""
    secret = "correct\udcffhorse"
    create_seed(path, SEED, "x", CHEAP)
    for refused in (
        lambda: password_given({"FULMEN_PASSWORD": secret}),
        lambda: create_seed(path.with_name("other"), SEED, secret, CHEAP),
        lambda: change_password(path, "x", secret, CHEAP),
        lambda: open_seed(path, secret),
    ):
        with pytest.raises(PasswordNotText) as refusal:
            refused()
        assert "correct" not in f"{refusal.value!r} {refusal.value} {refusal.value.__cause__!r}"
    assert [each.name for each in path.parent.iterdir()] == [path.name]
    assert open_seed(path, "x") == SEED


def test_where_there_is_no_seed_it_says_so(path):
    with pytest.raises(NoSeed):
        open_seed(path, "x")


def test_every_change_of_the_file_is_found(path):
    create_seed(path, SEED, "hunter2", CHEAP)
    text = path.read_text()
    for position in range(0, len(text) - 1, 3):
        letter = "0" if text[position] != "0" else "1"
        changed = text[:position] + letter + text[position + 1 :]
        path.write_text(changed)
        with pytest.raises((WrongPassword, SeedUnreadable)):
            open_seed(path, "hunter2")


@pytest.mark.parametrize("content", [
    b"", b"\n", b"fulmen seed 1", b"\xff\xfe\x00", b"fulmen seed 2 00 00 00 00", b"a " * 100_000,
    b"fulmen seed 1 " + b"00" * 16 + b" " + b"ff" * 12 + b" " + b"00" * 12 + b" " + b"00" * 48,
    b"fulmen seed 1 " + b"00" * 16 + b" " + b"00" * 12 + b" " + b"00" * 12 + b" " + b"00" * 48,
])  # fmt: skip
def test_what_is_no_seed_file_is_refused_by_name_and_quickly(path, content):
    path.write_bytes(content)
    with pytest.raises(SeedUnreadable):
        open_seed(path, "hunter2")


def test_an_unattended_start_finds_its_password(tmp_path):
    file = tmp_path / "password"
    file.write_text("from the file\n")
    other = tmp_path / "other"
    other.write_text("from the named file\r\n")
    environment = {"FULMEN_PASSWORD": "from the environment"}
    assert password_given(environment) == "from the environment"
    assert password_given(environment | {"FULMEN_PASSWORD_FILE": str(other)}) == "from the named file"
    assert password_given(environment | {"FULMEN_PASSWORD_FILE": str(other)}, file) == "from the file"
    assert password_given({}) is None
    assert password_given({"FULMEN_PASSWORD": ""}) is None
    file.write_text("\n")
    for bad in (file, tmp_path / "not there", tmp_path):
        with pytest.raises(NoPassword):
            password_given({}, bad)


@pytest.mark.parametrize("size", [MAX_PASSWORD + 1, None], ids=["one letter", "without end"])
def test_no_more_of_a_password_file_is_read_than_a_password_has(tmp_path, size):
    file = Path("/dev/zero")
    if size is not None:
        file = tmp_path / "password"
        file.write_text("x" * MAX_PASSWORD)
        assert password_given({}, file) == "x" * MAX_PASSWORD
        file.write_text("x" * size)
    with pytest.raises(NoPassword, match="larger"):
        password_given({}, file)
