"""Answers for people: tables, a few words, and a QR code for whatever somebody else must scan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from io import StringIO
from typing import Any

import segno
from rich.console import Console
from rich.table import Table
from rich.text import Text

_WIDE = {"bolt11", "tx", "erroronion", "scriptpubkey", "features"}
"""Columns that no terminal is wide enough for; a single answer shows them whole."""
MAX_COLUMNS = 9


def show(console: Console, command: str, answer: Mapping[str, Any]) -> None:
    """An answer, as a person likes to read it."""
    lists = [name for name, value in answer.items() if _is_rows(value)]
    plain = {name: value for name, value in answer.items() if name not in lists and value is not None}
    for name in lists:
        rows = answer[name]
        if rows:
            console.print(_table(name, rows))
        else:
            console.print(f"no {name}")
    if plain:
        console.print(_pairs(plain))
    elif not answer:
        console.print("done")
    if (scanned := _scannable(answer)) is not None:
        console.print(qr_of(scanned), style="black on white", soft_wrap=True)


def qr_of(text: str) -> str:
    """A QR code of half blocks."""
    drawn = StringIO()
    segno.make(text, error="l", micro=False).terminal(drawn, compact=True, border=2)
    return drawn.getvalue()


def cell(name: str, value: Any) -> str:
    """One value, short enough for a table."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int) and name.endswith("_msat"):
        return amount_text(value)
    if isinstance(value, str) and len(value) > 40:
        return f"{value[:18]}…{value[-6:]}"
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {cell(key, inner)}" for key, inner in value.items())
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(cell(name, inner) for inner in value)
    return str(value)


def amount_text(msat: int) -> str:
    """Millisatoshi as satoshi, thousands parted."""
    sat, rest = divmod(msat, 1000)
    return f"{sat:,}.{rest:03d} sat" if rest else f"{sat:,} sat"


def _is_rows(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str) and all(isinstance(row, Mapping) for row in value)


def _table(name: str, rows: Sequence[Mapping[str, Any]]) -> Table:
    columns = [column for column in dict.fromkeys(key for row in rows for key in row) if column not in _WIDE]
    table = Table(title=name, title_justify="left")
    for column in columns[:MAX_COLUMNS]:
        amount = column.endswith("_msat")
        header = column.removesuffix("_msat") if amount else column
        table.add_column(header, justify="right" if amount else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell(column, row.get(column))) for column in columns[:MAX_COLUMNS]))
    if len(columns) > MAX_COLUMNS:
        table.caption = f"--json shows {', '.join(columns[MAX_COLUMNS:])} as well"
    return table


def _pairs(plain: Mapping[str, Any]) -> Table:
    grid = Table.grid(padding=(0, 2))
    for name, value in plain.items():
        shown = value if isinstance(value, str) else cell(name, value)
        grid.add_row(Text(name.removesuffix("_msat"), style="bold"), Text(shown, overflow="fold"))
    return grid


def _scannable(answer: Mapping[str, Any]) -> str | None:
    """What somebody else's camera wants: upper case makes the code smaller."""
    if isinstance(invoice := answer.get("bolt11"), str) and "payment_secret" in answer:
        return f"lightning:{invoice}".upper()
    if isinstance(address := answer.get("bech32") or answer.get("p2tr"), str):
        return f"bitcoin:{address}".upper()
    return None
