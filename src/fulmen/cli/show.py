"""Answers for people: tables, a few words, and a QR code for whatever somebody else must scan."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from io import StringIO
from typing import Any

import segno
from rich.console import Console
from rich.table import Table
from rich.text import Text

COLUMNS = {
    ("listfunds", "outputs"): ("txid", "output", "amount_msat", "status", "reserved"),
    ("listfunds", "channels"): ("peer_id", "short_channel_id", "our_amount_msat", "amount_msat", "state"),
    ("listpeers", "peers"): ("id", "connected", "num_channels", "netaddr"),
    ("listpeerchannels", "channels"): (
        *("peer_id", "short_channel_id", "state", "to_us_msat", "spendable_msat", "receivable_msat", "frozen"),
    ),
    ("setchannel", "channels"): ("peer_id", "fee_base_msat", "fee_proportional_millionths", "cltv_expiry_delta"),
    ("listinvoices", "invoices"): ("label", "status", "amount_msat", "description", "created_at", "paid_at"),
    ("listpays", "pays"): ("created_at", "status", "amount_msat", "amount_sent_msat", "destination", "failure"),
    ("listforwards", "forwards"): ("received_time", "in_channel", "out_channel", "out_msat", "fee_msat", "status"),
    ("listchannels", "channels"): ("short_channel_id", "source", "destination", "amount_msat", "active"),
    ("listnodes", "nodes"): ("nodeid", "alias", "addresses"),
    ("help", "help"): ("command", "description"),
}
"""What a table shows of each row, where rows have more than a terminal is wide; JSON shows all."""
CLOSING_COLUMNS = ("what", "amount_msat", "state", "ripe_height", "taken_by")
MAX_COLUMNS = 8
_TIMES = ("_at", "_time", "_timestamp", "last_update")
_AMOUNTS = ("_msat",)


def show(console: Console, command: str, answer: Mapping[str, Any]) -> None:
    """An answer, as a person likes to read it."""
    lists = [name for name, value in answer.items() if _is_rows(value)]
    plain = {name: value for name, value in answer.items() if name not in lists and value is not None}
    for name in lists:
        rows = answer[name]
        if rows:
            console.print(_table(name, rows, COLUMNS.get((command, name))))
            for row in rows:
                if (closing := row.get("closing")) is not None:
                    _show_closing(console, row, closing)
        else:
            console.print(f"no {name}")
    for line in _pairs(plain):
        # Long values (invoices) are for copying: the terminal may break the line, we do not.
        console.print(line, soft_wrap=True)
    if not answer:
        console.print("done")
    if (scanned := _scannable(answer)) is not None:
        console.print(qr_of(scanned), style="bright_white on black", soft_wrap=True)


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
    if isinstance(value, int) and name.endswith(_AMOUNTS):
        return amount_text(value)
    if isinstance(value, int) and value and name.endswith(_TIMES):
        return datetime.fromtimestamp(value).strftime("%Y-%m-%d %H:%M:%S")
    if isinstance(value, str) and len(value) > 40:
        return f"{value[:10]}…{value[-4:]}"
    if isinstance(value, Mapping):
        return ", ".join(f"{_heading(key)} {cell(key, inner)}" for key, inner in value.items())
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(cell(name, inner) for inner in value)
    return str(value)


def amount_text(msat: int) -> str:
    """Millisatoshi as satoshi, thousands parted."""
    sat, rest = divmod(msat, 1000)
    return f"{sat:,}.{rest:03d} sat" if rest else f"{sat:,} sat"


def _is_rows(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str) and all(isinstance(row, Mapping) for row in value)


def _table(name: str, rows: Sequence[Mapping[str, Any]], chosen: tuple[str, ...] | None) -> Table:
    present = dict.fromkeys(key for row in rows for key in row)
    columns = [column for column in chosen if column in present] if chosen else list(present)[:MAX_COLUMNS]
    table = Table(title=name, title_justify="left", caption_justify="left")
    for column in columns:
        table.add_column(_heading(column), justify="right" if column.endswith(_AMOUNTS) else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell(column, row.get(column))) for column in columns))
    if len(columns) < len(present):
        table.caption = "--json shows more of each"
    return table


def _show_closing(console: Console, row: Mapping[str, Any], closing: Mapping[str, Any]) -> None:
    """What is left of one channel: a line, and a table of the outputs that are waited for."""
    name = row.get("short_channel_id") or cell("channel_id", row["channel_id"])
    said = f"{name}: {closing['kind']} in block {closing['blockheight']}, transaction {closing['txid']}"
    console.print(Text(said, overflow="fold"))
    if closing["outputs"]:
        console.print(_table("its outputs", closing["outputs"], CLOSING_COLUMNS))


def _heading(name: str) -> str:
    return name.removesuffix("_msat").replace("_", " ")


def _pairs(plain: Mapping[str, Any]) -> Iterator[Text]:
    """A line for each value, its name in front."""
    width = max(map(len, map(_heading, plain)), default=0)
    for name, value in plain.items():
        shown = value if isinstance(value, str) else cell(name, value)
        yield Text.assemble((_heading(name).ljust(width), "bold"), "  ", shown)


def _scannable(answer: Mapping[str, Any]) -> str | None:
    """What somebody else's camera wants: upper case makes the code smaller."""
    if isinstance(invoice := answer.get("bolt11"), str) and "payment_secret" in answer:
        return f"lightning:{invoice}".upper()
    if isinstance(address := answer.get("bech32") or answer.get("p2tr"), str):
        return f"bitcoin:{address}".upper()
    return None
