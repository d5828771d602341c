"""The seed on disk, encrypted by a password.

    fulmen seed 1 <salt 16> <lanes, iterations, KiB: u32 each> <nonce 12> <ciphertext and tag>     (all in hex)

The password becomes a key by Argon2id (RFC 9106, its second recommended option unless said otherwise); the seed is
sealed with ChaCha20-Poly1305, and everything in front of it is bound in. The file is written whole or not at all.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from cryptography.exceptions import InvalidTag, UnsupportedAlgorithm
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from fulmen.core.base.faults import Refused

MAGIC = "fulmen seed 1"
MAX_LANES, MAX_ITERATIONS, MAX_KIB = 16, 64, 4 << 20
"""A file that asks for more than this is not ours: it would only keep the machine busy."""
MIN_SEED, MAX_SEED = 16, 64
MAX_PASSWORD = 1 << 16
"""Letters. More is no password, but a file that was meant for something else, or that has no end."""
PASSWORD_VARIABLE = "FULMEN_PASSWORD"
PASSWORD_FILE_VARIABLE = "FULMEN_PASSWORD_FILE"


class Cost(NamedTuple):
    """What one guess at the password costs."""

    lanes: int = 4
    iterations: int = 3
    kib: int = 64 << 10


class SeedExists(Refused):
    """There is a seed already; it is never overwritten."""


class NoSeed(Refused):
    """There is no seed here yet: `fulmen init` (with the same --dir and --network) makes one, and with --restore it
    brings one back from its words."""


class SeedUnreadable(Refused):
    """The seed file is damaged, not ours, or cannot be read or written."""


class WrongPassword(Refused):
    """The password does not open the seed."""


class NoPassword(Refused):
    """No password was given."""


class PasswordNotText(Refused):
    """The password is no UTF-8 text."""


def create_seed(path: Path, seed: bytes, password: str, cost: Cost | None = None) -> None:
    """Write a new seed file.

    Raises:
        SeedExists: there is one, whatever its password.
        NoPassword: an empty one protects nothing.
        PasswordNotText
        SeedUnreadable: it cannot be written.
    """
    if not MIN_SEED <= len(seed) <= MAX_SEED:
        raise ValueError(f"a seed has {MIN_SEED} to {MAX_SEED} bytes")
    if path.exists():
        raise SeedExists(path=str(path))
    _write(path, _sealed(seed, password, cost or Cost()), overwrite=False)


def open_seed(path: Path, password: str) -> bytes:
    """The seed.

    Raises:
        NoSeed, SeedUnreadable, WrongPassword, NoPassword, PasswordNotText
    """
    try:
        text = path.read_text(encoding="ascii")
    except FileNotFoundError:
        raise NoSeed(path=str(path)) from None
    except (OSError, ValueError) as error:
        raise SeedUnreadable(path=str(path), why=type(error).__name__) from error
    return _opened(path, text, password)


def change_password(path: Path, old: str, new: str, cost: Cost | None = None) -> None:
    """Seal the same seed with another password.

    Raises:
        NoSeed, SeedUnreadable, WrongPassword, NoPassword, PasswordNotText
    """
    seed = open_seed(path, old)
    _write(path, _sealed(seed, new, cost or Cost()), overwrite=True)


def password_given(environ: Mapping[str, str], file: Path | None = None) -> str | None:
    """The password for an unattended start: from this file, the file that the environment names, or the environment.

    None when there is none of them, so that somebody has to be asked.

    Raises:
        NoPassword: a file is named and cannot be read, is empty, or holds more than `MAX_PASSWORD`.
        PasswordNotText: that of the environment.
    """
    if file is None and environ.get(PASSWORD_FILE_VARIABLE):
        file = Path(environ[PASSWORD_FILE_VARIABLE])
    if file is None:
        given = environ.get(PASSWORD_VARIABLE) or None
        if given is not None:
            _bytes_of(given)  # said before anything is made for a seed that could not be sealed
        return given
    try:
        with file.expanduser().open(encoding="utf-8") as opened:
            text = opened.read(MAX_PASSWORD + 1)
    except (OSError, ValueError) as error:
        raise NoPassword("the password file cannot be read", path=str(file), why=type(error).__name__) from error
    if len(text) > MAX_PASSWORD:
        raise NoPassword("the password file is larger than any password", path=str(file))
    password = text.rstrip("\r\n")
    if not password:
        raise NoPassword("the password file is empty", path=str(file))
    return password


def _sealed(seed: bytes, password: str, cost: Cost) -> str:
    salt, nonce = os.urandom(16), os.urandom(12)
    header = f"{MAGIC} {salt.hex()} {b''.join(n.to_bytes(4, 'big') for n in cost).hex()} {nonce.hex()}"
    sealed = ChaCha20Poly1305(_key(password, salt, cost)).encrypt(nonce, seed, header.encode("ascii"))
    return f"{header} {sealed.hex()}\n"


def _opened(path: Path, text: str, password: str) -> bytes:
    header, _, body = text.strip().rpartition(" ")
    try:
        words = header.removeprefix(MAGIC).split()
        salt, costs, nonce = (bytes.fromhex(word) for word in words)
        sealed = bytes.fromhex(body)
    except ValueError:
        raise SeedUnreadable(path=str(path), why="it is not in our form") from None
    cost = Cost(*(int.from_bytes(costs[start : start + 4], "big") for start in (0, 4, 8)))
    in_form = header.startswith(MAGIC) and (len(salt), len(costs), len(nonce)) == (16, 12, 12)
    fair = (
        0 < cost.lanes <= MAX_LANES and 0 < cost.iterations <= MAX_ITERATIONS and 8 * cost.lanes <= cost.kib <= MAX_KIB
    )
    if not in_form or not fair or not MIN_SEED + 16 <= len(sealed) <= MAX_SEED + 16:
        raise SeedUnreadable(path=str(path), why="it is not in our form")
    try:
        return ChaCha20Poly1305(_key(password, salt, cost)).decrypt(nonce, sealed, header.encode("ascii"))
    except InvalidTag:
        raise WrongPassword(path=str(path)) from None


def _key(password: str, salt: bytes, cost: Cost) -> bytes:
    if not password:
        raise NoPassword
    try:
        kdf = Argon2id(salt=salt, length=32, iterations=cost.iterations, lanes=cost.lanes, memory_cost=cost.kib)
    except UnsupportedAlgorithm as error:
        raise SeedUnreadable(why="this build of OpenSSL has no Argon2id") from error
    return kdf.derive(_bytes_of(password))


def _bytes_of(password: str) -> bytes:
    try:
        return password.encode("utf-8")
    except UnicodeEncodeError:
        raise PasswordNotText from None  # that error holds the password


def _write(path: Path, text: str, overwrite: bool) -> None:
    """Whole or not at all, for the owner alone, and on the disk when it returns."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.new")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        # A file object goes on after a write that did less than all of it, until the disk says why.
        with os.fdopen(descriptor, "wb") as file:
            file.write(text.encode("ascii"))
            file.flush()
            os.fsync(descriptor)
        if overwrite:
            temporary.replace(path)
        else:
            os.link(temporary, path)  # unlike a rename, it never replaces what came there meanwhile
            temporary.unlink()
        directory = os.open(path.parent, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
    except FileExistsError:
        raise SeedExists(path=str(path)) from None
    except OSError as error:
        raise SeedUnreadable(path=str(path), why=error.strerror or str(error)) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()
