"""The verbs of the registry as click commands: parameters in order or as options, `-` for many, tables or JSON."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import click
import msgspec

from fulmen.api.client import RpcClient
from fulmen.api.commands.closing import CloseRequest
from fulmen.api.commands.reading import invoice_of
from fulmen.api.declared import bare, choices_of, description_of
from fulmen.api.errors import BadParameter, error_object
from fulmen.api.params import read_params
from fulmen.api.registry import Command, Registry
from fulmen.api.values import Amount, AmountOrAny, SatOrAll
from fulmen.cli.exits import Exit, exit_of
from fulmen.cli.live import close_live, pay_live
from fulmen.cli.printable import encodable
from fulmen.cli.refusals import fail
from fulmen.cli.settings import Settings, json_option
from fulmen.cli.show import show
from fulmen.cli.words import params_of
from fulmen.core.base.faults import Fault

AMOUNTS = (Amount, AmountOrAny, SatOrAll)
"""Whatever their names say of a unit."""
MAX_LINE = 65_536
"""Of standard input, for `-`."""


def commands_of(registry: Registry) -> Iterator[click.Command]:
    """A click command for each command of the registry."""
    for command in registry:
        yield _click_command(command)


def as_json(answer: Any) -> str:
    """JSON for programs that a person may read."""
    return msgspec.json.format(msgspec.json.encode(answer), indent=2).decode()


def _click_command(command: Command) -> click.Command:
    fields = command.parameters
    usage = " ".join(name.upper() if field.required else f"[{name.upper()}]" for name, field in _named(fields))
    params: list[click.Parameter] = [click.Argument(["words"], nargs=-1, metavar=usage)] if fields else []
    for name, field in _named(fields):
        flag = name.replace("_", "-")
        description = description_of(field.type)
        if bare(field.type) in AMOUNTS:
            description = f"{description}; a number alone is in sat"
        if bare(field.type) is bool:
            params.append(click.Option([f"--{flag}/--no-{flag}", field.name], default=None, help=description))
            continue
        choices = choices_of(field.type)
        params.append(
            click.Option(
                [f"--{flag}", field.name],
                default=None,
                help=description,
                type=click.Choice(choices) if choices else None,
                metavar=None if choices else "VALUE",
            )
        )
    params.append(json_option())
    asks = "\n\nA single - reads that value from standard input, one on each line." if fields else ""
    return click.Command(
        command.name,
        params=params,
        callback=_callback(command),
        help=f"{command.help}{asks}",
        short_help=command.help,
    )


def _named(fields: tuple[msgspec.structs.FieldInfo, ...]) -> list[tuple[str, msgspec.structs.FieldInfo]]:
    return [(field.encode_name, field) for field in fields]


def _callback(command: Command) -> Callable[..., None]:
    @click.pass_obj
    def run(
        settings: Settings,
        /,
        words: tuple[str, ...] = (),
        **options: str | bool | None,
    ) -> None:
        said = {name: value for name, value in options.items() if value is not None}
        try:
            if "-" in (*words, *said.values()):
                sys.exit(_run_many(command, settings, list(words), said))
            _run_one(command, settings, list(words), said)
        except Fault as fault:
            fail(fault, settings, command.name)

    return run


def _run_one(command: Command, settings: Settings, words: list[str], options: dict[str, str | bool]) -> None:
    params = params_of(command, words, options)
    read_params(command, params)  # what is written wrongly needs no node to be told so
    with RpcClient.of(settings.directory) as node:
        answer = _ask(command, settings, node, params)
    if settings.json:
        click.echo(as_json(answer))
    else:
        show(settings.console, command.name, answer)


def _ask(command: Command, settings: Settings, node: RpcClient, params: dict[str, Any]) -> dict[str, Any]:
    if command.name not in _STOPPED or settings.json:
        return _waited(command, lambda: node.call(command.name, params))
    if command.name == "pay":
        payment_hash = invoice_of(params["bolt11"], "bolt11").payment_hash.hex()
        return _waited(command, lambda: pay_live(settings.console, node, params, payment_hash))
    request = read_params(command, params)
    assert isinstance(request, CloseRequest)
    patience = 0 if request.force else request.unilateraltimeout
    look = partial(RpcClient.of, settings.directory)
    return _waited(command, lambda: close_live(settings.console, node, params, patience, look))


def _waited(command: Command, ask: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """The answer, or the end of the waiting for it."""
    try:
        return ask()
    except KeyboardInterrupt:
        if command.name not in _STOPPED:
            raise
        click.echo(f"\nNot waiting any longer. {_STOPPED[command.name]}", err=True)
        sys.exit(Exit.UNKNOWN_OUTCOME)


_STOPPED = {
    "pay": "The payment may still succeed: see `fulmen listpays`.",
    "close": "The close goes on: see `fulmen listpeerchannels`.",
}
"""What goes on when nobody waits for it any more."""


def _run_many(command: Command, settings: Settings, words: list[str], options: dict[str, str | bool]) -> Exit:
    """Ask once for each line of standard input; answer one JSON object a line, errors too. The first error's code."""
    if (*words, *options.values()).count("-") > 1:
        raise BadParameter("Only one - may stand in a command: one value comes on each line.")
    worst = Exit.DONE
    node: RpcClient | None = None
    try:
        for line in _lines():
            try:
                if line is None:
                    raise BadParameter(f"A line of standard input may have at most {MAX_LINE} bytes.")
                here = [line if word == "-" else word for word in words]
                there = {name: line if word == "-" else word for name, word in options.items()}
                params = params_of(command, here, there)
                read_params(command, params)
                node = node or RpcClient.of(settings.directory)
                ask = partial(node.call, command.name, params)
                answer = _waited(command, ask)
            except Fault as fault:
                answer = {"error": encodable(error_object(fault))}
                worst = worst or exit_of(fault, command.name)
                if exit_of(fault) in (Exit.UNREACHABLE, Exit.UNKNOWN_OUTCOME) and node is not None:
                    node.close()
                    node = None
            click.echo(msgspec.json.encode(answer).decode())
    finally:
        if node is not None:
            node.close()
    return worst


def _lines() -> Iterator[str | None]:
    """Line by line what comes in; None for one that is too long, of which no more than a piece is ever held."""
    stream = sys.stdin.buffer
    while raw := stream.readline(MAX_LINE + 1):
        if len(raw) > MAX_LINE:
            while raw and not raw.endswith(b"\n"):
                raw = stream.readline(MAX_LINE)
            yield None
        elif line := raw.decode("utf-8", "replace").strip():
            yield line
