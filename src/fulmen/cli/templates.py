"""Commands of the user's, with places in braces: how `fulmen conformance` tells a node of another kind what to do."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import time
from collections.abc import Callable
from typing import TypeVar

import click

from fulmen.conformance.chain import NodeLags
from fulmen.conformance.links import HelperFailed
from fulmen.core.base.ids import ChannelId, NodeId
from fulmen.core.base.units import Sat

SYNC_TIMEOUT_S = 60.0
SYNC_POLL_S = 0.2
Done = TypeVar("Done")


class Template:
    """A command of the user's with places in braces, tried as soon as it is given."""

    def __init__(self, option: str, text: str, *places: str) -> None:
        """Try it with something in each place.

        Raises:
            click.UsageError: it cannot be read, or its program is not there.
        """
        self._option = option
        try:
            self._words = shlex.split(text)
            program, *_ = (word.format(**dict.fromkeys(places, "0")) for word in self._words)
        except (ValueError, KeyError, IndexError, AttributeError) as wrong:
            known = " and ".join(f"{{{place}}}" for place in places)
            raise click.UsageError(
                f"{option} {text!r} cannot be read ({wrong!r}): its places are {known}, and other braces are doubled"
            ) from wrong
        if shutil.which(program) is None:
            raise click.UsageError(f"{option}: there is no program {program!r}")

    def words(self, **values: object) -> list[str]:
        """The command, with its places filled."""
        return [word.format(**values) for word in self._words]

    def start(self, **values: object) -> None:
        """Let it run; it may take as long as it likes.

        Raises:
            HelperFailed
        """
        self._guarded(
            lambda: subprocess.Popen(self.words(**values), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        )

    def ends_well(self, **values: object) -> bool:
        """Run it to its end, and see how that was.

        Raises:
            HelperFailed
        """
        done = self._guarded(lambda: subprocess.run(self.words(**values), capture_output=True, check=False))
        return not done.returncode

    def _guarded(self, call: Callable[[], Done]) -> Done:
        try:
            return call()
        except OSError as error:
            raise HelperFailed(option=self._option, why=error.strerror or str(error)) from error


class CommandOperator:
    """Tells the node what to do by shell commands of the user's."""

    def __init__(self, opens: str | None, closes: str | None) -> None:
        """Take the commands that there are.

        Raises:
            click.UsageError: one of them cannot be one.
        """
        self._templates: dict[str, Template] = {}
        if opens is not None:
            self._templates["open"] = Template("--open-command", opens, "node_id", "amount")
        if closes is not None:
            self._templates["close"] = Template("--close-command", closes, "channel_id", "funding")

    @property
    def commands(self) -> tuple[str, ...]:
        """What it can tell the node."""
        return tuple(self._templates)

    def open_channel(self, node_id: NodeId, amount_sat: Sat) -> None:
        """Have it open a channel to a connected peer; the command may take as long as the channel."""
        self._templates["open"].start(node_id=node_id.hex(), amount=str(amount_sat))

    def close_channel(self, channel_id: ChannelId, funding: str) -> None:
        """Have it close a channel."""
        self._templates["close"].start(channel_id=channel_id.hex(), funding=funding)


def synced(command: str | None, patience: float) -> Callable[[int], None]:
    """Waits until the user's command says that the node has seen a block."""
    if command is None:
        return lambda _height: None
    template = Template("--synced-command", command, "height")

    def wait(height: int) -> None:
        deadline = time.monotonic() + SYNC_TIMEOUT_S * patience
        while not template.ends_well(height=height):
            if time.monotonic() >= deadline:
                raise NodeLags(height=height, waited_s=SYNC_TIMEOUT_S * patience)
            time.sleep(SYNC_POLL_S)

    return wait
