"""What the command line says when it refuses: a sentence for people, for programs the object of the socket's errors.

Most of it are faults. What click refuses by itself (an unknown option, a command that there is not) is one of them in
JSON, and keeps its hint to the help in words.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
from collections.abc import Sequence
from typing import NoReturn

import click
import msgspec

from fulmen.api.errors import BadParameter, error_object, sentence_of
from fulmen.cli.exits import Exit, advice_of, exit_of
from fulmen.cli.printable import encodable, printable
from fulmen.cli.settings import Settings
from fulmen.core.base.faults import Fault

_NEGATIVE = re.compile(r"-[0-9]*\.?[0-9]+[A-Za-z]*", re.ASCII)


def fail(fault: Fault, settings: Settings, command: str = "", exit_code: Exit | None = None) -> NoReturn:
    """Say what is wrong, in the form that was asked for, and end; with the fault's own code where none is given.

    Raises:
        SystemExit
    """
    with contextlib.suppress(OSError):  # where nobody can be told, the code still says it
        if settings.json:
            _as_json(fault)
        else:
            click.echo(f"Error: {printable(sentence_of(fault))}", err=True)
            if (advice := advice_of(fault, command)) is not None:
                click.echo(printable(advice), err=True)
    sys.exit(exit_of(fault, command) if exit_code is None else exit_code)


def fail_usage(wrong: click.UsageError, words: Sequence[str]) -> NoReturn:
    """Say what the command line has found wrong in these words, in the form that they ask for, and end.

    Raises:
        SystemExit
    """
    wrong = _in_our_words(wrong, words)
    with contextlib.suppress(OSError):
        if _json_wanted(wrong, words):
            _as_json(BadParameter(_sentence(wrong)))
        else:
            wrong.show()
    sys.exit(wrong.exit_code)


def fail_telling(error: OSError) -> NoReturn:
    """What was asked for may be done, but the answer cannot be written: a full disk, or a reader who has enough.

    Raises:
        SystemExit
    """
    if not isinstance(error, BrokenPipeError):
        with contextlib.suppress(OSError):
            click.echo(
                f"Error: The answer could not be written: {error.strerror or error}. "
                "What was asked for may be done: look before asking for it again.",
                err=True,
            )
    # What is left in the buffers must not be complained about by the interpreter.
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            os.dup2(nowhere, stream.fileno())
    sys.exit(Exit.UNKNOWN_OUTCOME)


def _as_json(fault: Fault) -> None:
    click.echo(msgspec.json.encode({"error": encodable(error_object(fault))}).decode(), err=True)


def _in_our_words(wrong: click.UsageError, words: Sequence[str]) -> click.UsageError:
    """No number is an option that there is not."""
    if not isinstance(wrong, click.NoSuchOption) or wrong.ctx is None:
        return wrong
    said = (word for word in words if word.startswith(wrong.option_name) and _NEGATIVE.fullmatch(word))
    number = next(said, None)
    if number is None:
        return wrong
    return click.UsageError(f"{number!r} is a negative number, and `{wrong.ctx.command.name}` takes none.", wrong.ctx)


def _sentence(wrong: click.UsageError) -> str:
    """A group without a command shows people its help; programs are told what that means."""
    said = wrong.format_message()
    return "Missing command." if wrong.ctx is not None and said == wrong.ctx.get_help() else said


def _json_wanted(wrong: click.UsageError, words: Sequence[str]) -> bool:
    """As the words say, though they could not be read to their end; the last one wins, as where they could."""
    options = words[: words.index("--")] if "--" in words else words
    for word in reversed(options):
        if word in ("--json", "--no-json"):
            return word == "--json"
    settings = wrong.ctx.obj if wrong.ctx is not None else None
    return settings.json if isinstance(settings, Settings) else not sys.stdout.isatty()
