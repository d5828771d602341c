"""What the audience sees: chapters, sentences, figures; in colour on a terminal, plain where it is piped."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich import box
from rich.console import Console
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from fulmen.cli.show import amount_text, qr_of

WIDTH = 100


class Screen:
    """Where the story is told."""

    def __init__(self, console: Console | None = None) -> None:
        # What is piped has no width of its own.
        self.console = console or Console(highlight=False)
        if not self.console.is_terminal:
            self.console.width = WIDTH
        self._began = time.monotonic()
        self._chapter = 0

    @property
    def seconds(self) -> float:
        """Since the curtain rose."""
        return time.monotonic() - self._began

    def title(self, text: str, below: str) -> None:
        """The curtain."""
        self.console.print(Panel(Text(below), title=text, title_align="left", box=box.ROUNDED, width=self._width))

    def chapter(self, title: str) -> None:
        """The next part."""
        self._chapter += 1
        self.console.print()
        clock = f"{self.seconds:5.1f} s"
        name = f"{self._chapter}. {title} "
        line = "─" * max(3, self._width - len(name) - len(clock) - 1)
        self.console.print(Text.assemble((name, "bold cyan"), (f"{line} {clock}", "dim")))

    def say(self, sentence: str) -> None:
        """What happens now."""
        self.console.print(Text(sentence), soft_wrap=False, width=self._width)

    def good(self, sentence: str) -> None:
        """What was checked and holds."""
        self.console.print(Text.assemble(("  ✓ ", "bold green"), sentence), width=self._width)

    def quote(self, text: str) -> None:
        """What a node said, word for word."""
        self.console.print(Text(f"  {text}", style="yellow"), width=self._width)

    def type(self, command: str, meaning: str = "") -> None:
        """A command to type, whole: a line that was broken could not be pasted."""
        words = Text.assemble((f"  {command}", "bold green"), (f"   # {meaning}" if meaning else "", "dim"))
        self.console.print(words, soft_wrap=True)

    def code(self, text: str) -> None:
        """Something to scan."""
        self.console.print(qr_of(text), style="bright_white on black", soft_wrap=True, end="")

    def wrong(self, wrong: Exception) -> None:
        """What went otherwise than it must, and what is known about it."""
        self.console.print(Text(f"\n✗ {wrong}", style="bold red"))
        for note in getattr(wrong, "__notes__", ()):
            self.console.print(Text(f"  {note}", style="red"))

    def table(self, table: Table) -> None:
        """A table."""
        self.console.print(table)

    @contextmanager
    def live(self) -> Iterator[Live | None]:
        """A place that changes while one looks; None where nobody looks."""
        if not self.console.is_terminal:
            yield None
            return
        with Live(console=self.console, refresh_per_second=10, transient=True) as live:
            yield live

    @property
    def _width(self) -> int:
        return min(self.console.width, WIDTH)


def sat(msat: int) -> str:
    """An amount for people."""
    return amount_text(msat)


def plain_table(*columns: str, title: str = "") -> Table:
    """A table whose columns after the first hold figures."""
    table = Table(title=title or None, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number else "left")
    return table
