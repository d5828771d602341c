"""Where the node is and how to talk to the person, as flags and environment say."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path

import click
from rich.console import Console

DEFAULT_DIRECTORY = Path("~/.fulmen")


@dataclass(frozen=True, slots=True)
class Settings:
    """One run of the command."""

    home: Path
    """All networks' data."""
    network: str
    json: bool
    """JSON instead of tables: asked for, or standard output is no terminal."""

    @property
    def directory(self) -> Path:
        """The data of the node that is meant."""
        return self.home / self.network

    @property
    def console(self) -> Console:
        """Where people read."""
        return Console(highlight=False)

    @property
    def terminal(self) -> bool:
        """Whether a person looks at standard output."""
        return sys.stdout.isatty()


def json_option() -> click.Option:
    """`--json` and `--no-json` behind a verb, where they win over those before it."""
    return click.Option(
        ["--json/--no-json", "json_wanted"],
        default=None,
        expose_value=False,
        callback=_json_said,
        help="JSON instead of text; the default when piped.",
    )


def _json_said(ctx: click.Context, _option: click.Parameter, wanted: bool | None) -> None:
    if wanted is not None:
        ctx.obj = replace(ctx.obj, json=wanted)
