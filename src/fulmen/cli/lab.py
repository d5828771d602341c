"""`fulmen lab`: a regtest network of one's own from a file, up, shown and down."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import msgspec

from fulmen.api.errors import sentence_of
from fulmen.cli.exits import Exit
from fulmen.cli.refusals import fail
from fulmen.cli.settings import Settings, json_option
from fulmen.cli.verbs import as_json
from fulmen.core.base.faults import Fault, Refused
from fulmen.daemon import settings as daemon_settings
from fulmen.lab import state
from fulmen.lab.chains import ChainRefused
from fulmen.lab.claims import Claim, StillRuns, is_held
from fulmen.lab.file import BadValue, LabPlan, read
from fulmen.lab.http_json import Unanswered
from fulmen.lab.ldk import ask_driver
from fulmen.lab.members import PeerRefused
from fulmen.lab.network import UP, Network, flat, take_down
from fulmen.lab.signals import deaf_to_ctrl_c, end_like_ctrl_c
from fulmen.lab.waiting import Deviation

OWNER_ONLY = 0o077


class LabFailed(Refused):
    """A process of the network did not do what it was to do."""


class LabAway(Refused):
    """This network is not up, or not yet."""


class NoSuchLab(Refused):
    """There is neither such a file nor anything that a network of its name has left."""


_file = click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
_state = click.option(
    "--state",
    "directory",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where seeds, blocks and channels stay; without it FILE.lab beside the file.",
)


@click.group()
def lab() -> None:
    """A regtest network of nodes, ours and others', from a TOML file (docs/lab.md)."""


@lab.command()
@_file
@_state
@click.pass_obj
def up(settings: Settings, file: Path, directory: Path | None) -> None:
    """Start the network, open its channels, say how to use it, and keep it up until Ctrl-C or `lab down`."""
    os.umask(OWNER_ONLY)
    with _refusals(settings):
        plan = read(file)
        _check_settings(plan)
        home = _home(file, directory)
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            claim = Claim.taken(home / UP)
        except StillRuns as runs:
            raise StillRuns(f"This network is up already (pid {runs.details['pid']}).") from runs
        with claim:
            # A claim that nobody holds any more says nothing, and may stay.
            claim.write(os.getpid())
            end_like_ctrl_c()
            _keep_up(settings, plan, home)


@lab.command()
@_file
@_state
@click.pass_obj
def down(settings: Settings, file: Path, directory: Path | None) -> None:
    """Stop a network that is up, or what is left of one. What it has made stays for the next `lab up`."""
    home = _home(file, directory)
    with _refusals(settings):
        if not file.exists() and not home.exists():
            raise NoSuchLab(file=str(file))
        stopped = take_down(home)
    if settings.json:
        click.echo(as_json({"stopped": stopped}))
    else:
        click.echo(f"Stopped: {', '.join(stopped)}." if stopped else "Nothing of it runs.")


@lab.command()
@_file
@_state
@click.pass_obj
def show(settings: Settings, file: Path, directory: Path | None) -> None:
    """Say again how to use a network that is up."""
    home = _home(file, directory)
    path = home / state.SHOWN
    if not is_held(home / UP) or not path.exists():
        fail(LabAway(), settings, "lab", Exit.UNREACHABLE)
    _say(settings, msgspec.json.decode(path.read_bytes()))


@lab.command()
@click.argument("address", metavar="HOST:PORT")
@click.argument("do")
@click.argument("about", default="{}", metavar="[JSON]")
@click.pass_obj
def ask(settings: Settings, address: str, do: str, about: str) -> None:
    """Ask the driver of an LDK node, at its printed `control`, and print the answer as JSON."""
    host, _, port = address.rpartition(":")
    try:
        said = msgspec.json.decode(about, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeEncodeError) as error:
        raise click.UsageError(f"JSON: {error}") from error
    if not host or not port.isdecimal() or not 0 < int(port) < 65_536:
        raise click.UsageError(f"HOST:PORT: {address!r} is none")
    with _refusals(settings):
        click.echo(as_json(ask_driver(host, int(port), do, said)))


for _verb in (up, down, show, ask):
    _verb.params.append(json_option())


def _keep_up(settings: Settings, plan: LabPlan, home: Path) -> None:
    network = Network(plan, home, lambda words: click.echo(words, err=settings.json))
    try:
        network.up()
        told = network.told()
        state.write(home / state.SHOWN, told)
        _say(settings, told)
        network.stay()
    except KeyboardInterrupt:
        click.echo("Stopping ...", err=True)
    finally:
        with deaf_to_ctrl_c():
            wrong = network.down()
        for words in wrong:
            click.echo(words, err=True)
    if wrong:
        raise SystemExit(int(Exit.REFUSED))
    click.echo(f"Stopped; what it has made is in {home}.", err=True)


def _check_settings(plan: LabPlan) -> None:
    """Refuse what a node of ours would refuse, before anything is started."""
    for name, node in plan.nodes.items():
        if node.kind != "fulmen":
            continue
        for key, value in flat(node.settings):
            try:
                daemon_settings.load({key: value}, {})
            except Fault as fault:
                raise BadValue(f"nodes.{name}.settings.{key}: {sentence_of(fault)}") from fault


def _home(file: Path, directory: Path | None) -> Path:
    return (directory or file.with_suffix(".lab")).expanduser().absolute()


def _say(settings: Settings, told: dict[str, Any]) -> None:
    if settings.json:
        click.echo(as_json(told))
        return
    chain = told["chain"]
    click.echo(f"\nThe chain ({chain['kind']}): {chain['url']}, user {chain['user']}, password {chain['password']}")
    for name, node in told["nodes"].items():
        click.echo(f"\n{name} ({node['kind']})  {node['address']}")
        for key, value in node.items():
            if key not in ("kind", "id", "address", "usage"):
                click.echo(f"  {key:9} {value}")
        for line in node["usage"]:
            click.echo(f"  $ {line}")
    if told["channels"]:
        click.echo("")
    for each in told["channels"]:
        standing = "" if each["usable"] else "  (not usable)"
        click.echo(f"channel {each['from']} – {each['to']}  {each['funding']}{standing}")
    click.echo(f"\nAll of it is in {told['directory']}. Ctrl-C here, or `fulmen lab down`, stops it.")


@contextmanager
def _refusals(settings: Settings) -> Iterator[None]:
    """Whatever goes wrong is one sentence."""
    try:
        yield
    except Fault as fault:
        fail(fault, settings, "lab", Exit.REFUSED)
    except (Deviation, ChainRefused, Unanswered, PeerRefused, OSError) as wrong:
        fail(LabFailed(str(wrong)), settings, "lab", Exit.REFUSED)
