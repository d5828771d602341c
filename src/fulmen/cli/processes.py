"""Commands that are a process of their own: make a seed, run a node, run the embedded chain."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shlex
import sys
from functools import partial
from pathlib import Path
from typing import Any

import click
from rich.panel import Panel

from fulmen.adapters.keys.seedfile import NoPassword, WrongPassword, create_seed, open_seed, password_given
from fulmen.api.errors import sentence_of
from fulmen.cli.exits import Exit
from fulmen.cli.printable import encodable
from fulmen.cli.refusals import fail
from fulmen.cli.settings import DEFAULT_DIRECTORY, Settings, json_option
from fulmen.cli.verbs import as_json
from fulmen.core.base.faults import Fault, Refused
from fulmen.core.bitcoin.bip39 import entropy_of, mnemonic_of, seed_of
from fulmen.core.bitcoin.networks import REGTEST, network_named
from fulmen.daemon import risks
from fulmen.daemon import settings as daemon_settings
from fulmen.daemon.connections import host_and_port
from fulmen.daemon.daemon import Daemon
from fulmen.daemon.directory import DataDirectory
from fulmen.daemon.run import EMBEDDED_CHAIN, run
from fulmen.regtest.__main__ import run as run_chain
from fulmen.regtest.rpc.server import ChainOptions

OWNER_ONLY = 0o077
"""Whatever a process of ours writes is for its owner alone."""
ENTROPY_BYTES = 32
"""24 words."""
REGTEST_PASSWORD = "regtest"
"""What protects a seed that only ever holds coins out of nothing, when nobody chose a password."""


class SeedThere(Refused):
    """A seed is never overwritten."""


@click.command()
@click.option("--restore", is_flag=True, help="Read the words of an existing seed from standard input.")
@click.option("--password-file", type=click.Path(dir_okay=False, path_type=Path), help="Holds the seed's password.")
@click.pass_obj
def init(settings: Settings, restore: bool, password_file: Path | None) -> None:
    """Make this node's seed, show its 24 words once, and lock it with a password."""
    os.umask(OWNER_ONLY)
    try:
        risks.refuse_mainnet(network_named(settings.network))
        directory = DataDirectory(settings.home, settings.network)
        if directory.seed.exists():
            raise SeedThere(f"there is a seed already: {directory.seed}. Nothing was changed")
        entropy = entropy_of(_words_read()) if restore else os.urandom(ENTROPY_BYTES)
        password = _password_to_set(settings, password_file)
        directory.make()
        create_seed(directory.seed, entropy, password)
    except Fault as fault:
        fail(fault, settings, "init", Exit.REFUSED)
    if settings.json:
        told = {"seed": encodable(str(directory.seed))}
        click.echo(as_json(told if restore else {**told, "words": mnemonic_of(entropy)}))
    elif restore:
        click.echo(f"The seed is back, in {directory.seed}. Once the node runs, `fulmen rescan` finds its coins again.")
    else:
        _show_words(settings, mnemonic_of(entropy))


init.params.append(json_option())


@click.command()
@click.option("--set", "given", multiple=True, metavar="NAME=VALUE", help="A setting, as in settings.toml.")
@click.option("--listen", multiple=True, metavar="HOST:PORT", help="Where peers may connect; port 0 takes a free one.")
@click.option("--alias", help="What the node calls itself.")
@click.option("--chain", "chain_url", metavar="URL", help="http://user:password@host:port of a bitcoind.")
@click.option("--password-file", type=click.Path(dir_okay=False, path_type=Path), help="Unlocks the seed unattended.")
@click.pass_obj
def start(
    settings: Settings,
    given: tuple[str, ...],
    listen: tuple[str, ...],
    alias: str | None,
    chain_url: str | None,
    password_file: Path | None,
) -> None:
    """Run the node until it is told to stop."""
    os.umask(OWNER_ONLY)
    try:
        directory = DataDirectory(settings.home, settings.network)
        flags: dict[str, Any] = {"data_dir": str(settings.home), "network": settings.network}
        flags |= {"alias": alias, "chain.url": chain_url, "listen": list(listen) or None}
        flags |= dict(_setting(one) for one in given)
        file = daemon_settings.default_file(str(settings.home), settings.network)
        # `--dir` and `--network` were read by the command line already.
        environ = {name: value for name, value in os.environ.items() if name not in ("FULMEN_DIR", "FULMEN_NETWORK")}
        wanted = daemon_settings.load(flags, environ, file if file.exists() else None)
        risks.check(network_named(wanted.network), wanted.accept_the_risks)
        for address in wanted.listen:
            host_and_port(address, listening=True)  # said before a seed is made for a node that cannot start
        seed = _unlocked(settings, directory, password_file)
        asyncio.run(run(wanted, seed, ready=partial(_say_ready, settings)))
    except Fault as fault:
        raise _refusal(sentence_of(fault)) from fault


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", type=click.IntRange(0, 65535), default=0, show_default=True, help="0 takes a free one.")
@click.option("--judge", default="", help="kernel or btclib; the best that is installed without it.")
@click.option("--forget", is_flag=True, help="Keep nothing on disk.")
@click.option("--rpcuser", default="", help="A user for other programs, besides the cookie.")
@click.option("--rpcpassword", default="")
@click.pass_obj
def chain(settings: Settings, host: str, port: int, judge: str, forget: bool, rpcuser: str, rpcpassword: str) -> None:
    """Run the embedded regtest chain: a bitcoind of one's own that needs nothing installed."""
    os.umask(OWNER_ONLY)
    directory = None if forget else settings.home / EMBEDDED_CHAIN
    options = ChainOptions(directory, host, port, rpcuser, rpcpassword, judge)
    try:
        if directory is not None:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        asyncio.run(run_chain(options))
    except Fault as fault:
        raise _refusal(sentence_of(fault)) from fault
    except OSError as error:
        raise _refusal(f"The chain cannot run: {error}") from error


def _say_ready(settings: Settings, daemon: Daemon) -> None:
    # It runs, whoever hears of it.
    with contextlib.suppress(OSError):
        _tell_ready(settings, daemon)


def _tell_ready(settings: Settings, daemon: Daemon) -> None:
    node = daemon.handle
    listens = ", ".join(f"{host}:{port}" for host, port in node.addresses)
    click.echo(f"{node.node_id.hex()} is up, listens on {listens}, data in {node.directory}")
    if sys.stdout.isatty():
        where = "" if settings.home == DEFAULT_DIRECTORY.expanduser() else f" --dir {shlex.quote(str(settings.home))}"
        network = "" if settings.network == REGTEST.name else f" --network {settings.network}"
        click.echo(f"Use it from another terminal: fulmen{where}{network} getinfo. Ctrl-C stops it.")
    sys.stdout.flush()


def _unlocked(settings: Settings, directory: DataDirectory, password_file: Path | None) -> bytes:
    """The BIP 32 seed behind the words. A regtest node without a seed gets one: its coins are worth nothing."""
    password = password_given(os.environ, password_file)
    # Where a journal is there was a seed: another one could not open it, and would stand in the way of the right one.
    if not directory.seed.exists() and not directory.journal.exists() and _plain(settings):
        directory.make()
        create_seed(directory.seed, os.urandom(ENTROPY_BYTES), password or REGTEST_PASSWORD)
        click.echo(f"A regtest seed was made, in {directory.seed}.", err=True)
    if password is None and directory.seed.exists():
        return seed_of(mnemonic_of(_opened(settings, directory)))
    return seed_of(mnemonic_of(open_seed(directory.seed, password or "")))


def _opened(settings: Settings, directory: DataDirectory) -> bytes:
    """A seed to which no password was given: nobody is asked for one that nobody chose."""
    if _plain(settings):
        with contextlib.suppress(WrongPassword):
            return open_seed(directory.seed, REGTEST_PASSWORD)
    if not sys.stdin.isatty():
        raise NoPassword("give the password: --password-file, FULMEN_PASSWORD_FILE, or run this on a terminal")
    return open_seed(directory.seed, click.prompt("Password of the seed", hide_input=True))


def _plain(settings: Settings) -> bool:
    return network_named(settings.network).is_regtest


def _words_read() -> str:
    """Those on standard input. What is no text has no word of the list in it, and is told so."""
    return " ".join(sys.stdin.buffer.read().decode("utf-8", "replace").split())


def _password_to_set(settings: Settings, password_file: Path | None) -> str:
    password = password_given(os.environ, password_file)
    if password is not None:
        return password
    if not sys.stdin.isatty():
        if _plain(settings):
            return REGTEST_PASSWORD
        raise NoPassword("give a password: --password-file, FULMEN_PASSWORD_FILE, or run this on a terminal")
    chosen: str = click.prompt("Password for the seed", hide_input=True, confirmation_prompt=True)
    return chosen


def _show_words(settings: Settings, words: str) -> None:
    numbered = "\n".join(
        "  ".join(f"{place + 1:2} {word:<10}" for place, word in enumerate(words.split()) if place // 4 == row)
        for row in range(6)
    )
    settings.console.print(Panel(numbered, title="Write these words down; they are shown once", expand=False))
    click.echo("They bring back the coins of the wallet. Channels need the data directory as well.")


def _setting(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise click.UsageError(f"--set takes NAME=VALUE, not {text!r}")
    if name in daemon_settings.PLACES:
        raise click.UsageError(
            f"{name} is said by {daemon_settings.PLACES[name]}: where the seed lies is known by then"
        )
    return name, value


class _Refusal(click.ClickException):
    """Of a process that serves: it writes a log and no answer, so this is in words as well."""

    exit_code = int(Exit.REFUSED)


def _refusal(sentence: str) -> click.ClickException:
    return _Refusal(sentence)
