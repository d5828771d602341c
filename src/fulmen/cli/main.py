"""`fulmen`: what it takes before the verb, and the verbs that need no node."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from io import TextIOWrapper
from pathlib import Path
from typing import Any

import click
from click.shell_completion import get_completion_class

import fulmen
import fulmen.api.commands
from fulmen.api.registry import REGISTRY
from fulmen.api.schema import schema_of_all
from fulmen.cli.exits import Exit
from fulmen.cli.exits import __doc__ as exit_codes
from fulmen.cli.refusals import fail_telling, fail_usage
from fulmen.cli.settings import DEFAULT_DIRECTORY, Settings
from fulmen.cli.verbs import as_json, commands_of

NETWORKS = ("regtest", "signet", "testnet", "mainnet", "litecoin-regtest")
SHELLS = ("bash", "zsh", "fish")


PROCESSES = {
    "init": "Make this node's seed, show its words once, and lock it.",
    "start": "Run the node until it is told to stop.",
    "chain": "Run the embedded regtest chain.",
    "conformance": "Hold a node against the BOLTs, ours or anybody's.",
    "lab": "A regtest network of nodes, ours and others', from a file.",
}
"""Commands that are a process of their own. Their room is entered when one of them is run: it is a large one."""


HEADINGS = (
    *("Processes", "Node", "Funds", "Peers", "Channels", "Payments", "Graph", "Tools", "Regtest"),
    "Without a node",
)
"""In the order in which a newcomer needs them."""


class ByGroup(click.Group):
    """Lists its commands under the headings of the registry, and refuses in the form that was asked for."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        words = tuple(sys.argv[1:] if args is None else args)
        try:
            done = super().main(list(words), prog_name, complete_var, False, **extra)
        except click.UsageError as wrong:
            fail_usage(wrong, words)
        except click.ClickException as wrong:
            wrong.show()
            sys.exit(wrong.exit_code)
        if standalone_mode:
            sys.exit(done or Exit.DONE)
        return done

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except OSError as error:
            # Faults say what a verb could not read or write: what is left is the telling.
            fail_telling(error)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*PROCESSES, *self.commands]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in PROCESSES:
            room = cmd_name if cmd_name in ("conformance", "lab") else "processes"
            found = getattr(import_module(f"fulmen.cli.{room}"), cmd_name)
            assert isinstance(found, click.Command)
            return found
        return self.commands.get(cmd_name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        headings: dict[str, list[tuple[str, str]]] = {heading: [] for heading in HEADINGS}
        headings["Processes"] = list(PROCESSES.items())
        for name, command in self.commands.items():
            heading = REGISTRY.get(name).group if name in REGISTRY else "without a node"
            headings.setdefault(heading.capitalize(), []).append((name, command.get_short_help_str(80)))
        for heading, rows in headings.items():
            with formatter.section(heading):
                formatter.write_dl(rows)


class Directory(click.Path):
    """Where data is. An empty word is what a shell makes of a variable that is not set, and no place."""

    def __init__(self) -> None:
        super().__init__(file_okay=False, path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value == "":
            self.fail("there is nothing in it", param, ctx)
        return super().convert(value, param, ctx)


@click.group(
    "fulmen",
    cls=ByGroup,
    context_settings={"help_option_names": ["-h", "--help"], "auto_envvar_prefix": "FULMEN", "max_content_width": 100},
    epilog="Amounts: 5000 and 5000sat are satoshi, 5k is 5000 satoshi, 0.001btc, 100msat. Exit codes: `fulmen exits`.",
)
@click.version_option(fulmen.__version__, prog_name="fulmen")
@click.option(
    "--dir",
    "home",
    type=Directory(),
    default=DEFAULT_DIRECTORY,
    show_default=True,
    envvar="FULMEN_DIR",
    help="Where all data is.",
)
@click.option(
    "--network",
    type=click.Choice(NETWORKS),
    default="regtest",
    show_default=True,
    envvar="FULMEN_NETWORK",
    help="Which chain.",
)
@click.option("--json/--no-json", "json_wanted", default=None, help="JSON instead of tables; the default when piped.")
@click.pass_context
def cli(ctx: click.Context, home: Path, network: str, json_wanted: bool | None) -> None:
    """A Bitcoin Lightning node for micropayments."""
    wanted = not sys.stdout.isatty() if json_wanted is None else json_wanted
    ctx.obj = Settings(home=home.expanduser(), network=network, json=wanted)


@cli.command()
def schema() -> None:
    """The JSON schema of every command."""
    click.echo(as_json(schema_of_all(REGISTRY)))


@cli.command()
def exits() -> None:
    """What the exit codes mean."""
    click.echo((exit_codes or "").partition("\n\n")[2].strip())


@cli.command()
@click.argument("shell", type=click.Choice(SHELLS))
def completion(shell: str) -> None:
    """A script that teaches your shell to complete this command.

    bash: put  eval "$(fulmen completion bash)"  into ~/.bashrc
    """
    kind = get_completion_class(shell)
    assert kind is not None
    click.echo(kind(cli, {}, "fulmen", "_FULMEN_COMPLETE").source())


for verb in commands_of(REGISTRY):
    cli.add_command(verb)


def main() -> None:
    """The console script. No input of a user ends in a traceback."""
    _fill_closed_streams()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that cannot draw a QR code still gets the rest
    try:
        cli.main(prog_name="fulmen")
    except (click.Abort, KeyboardInterrupt):
        click.echo("Interrupted.", err=True)
        sys.exit(Exit.INTERRUPTED)
    except OSError as error:
        fail_telling(error)


def _fill_closed_streams() -> None:
    """Who was started without one of the three gets nothing in its place, and no other file its number."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_RDWR), mode))


if __name__ == "__main__":
    main()
