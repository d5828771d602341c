"""Answers for people: tables, a few words, and a QR code for whatever somebody else must scan."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from io import StringIO
from typing import Any

import segno
from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from fulmen.cli.printable import harmless

COLUMNS = {
    ("listfunds", "outputs"): ("amount_msat", "status", "reserved", "output", "txid"),
    ("listfunds", "channels"): ("short_channel_id", "peer_id", "our_amount_msat", "amount_msat", "state"),
    ("listpeers", "peers"): ("connected", "num_channels", "netaddr", "id"),
    ("listpeerchannels", "channels"): (
        *("short_channel_id", "peer_id", "state", "peer_connected", "to_us_msat", "spendable_msat", "receivable_msat"),
        *("failed_because", "frozen"),
    ),
    ("setchannel", "channels"): ("peer_id", "fee_base_msat", "fee_proportional_millionths", "cltv_expiry_delta"),
    ("listinvoices", "invoices"): ("label", "status", "amount_msat", "description", "created_at", "paid_at"),
    ("listpays", "pays"): ("created_at", "status", "amount_msat", "amount_sent_msat", "destination", "failure"),
    ("listforwards", "forwards"): ("received_time", "in_channel", "out_channel", "out_msat", "fee_msat", "status"),
    ("listchannels", "channels"): ("short_channel_id", "source", "destination", "amount_msat", "active"),
    ("listnodes", "nodes"): ("alias", "addresses", "nodeid"),
    ("getroutes", "routes"): ("amount_msat", "probability_ppm"),
    ("help", "help"): ("command", "description"),
}
"""What a table shows of each row, where rows have more than a terminal is wide; JSON shows all."""
PATH_COLUMNS = ("short_channel_id_dir", "amount_msat", "delay", "next_node_id")
CLOSING_COLUMNS = ("what", "amount_msat", "state", "ripe_height", "taken_by")
WHOLE = {("listpeers", "id"), ("listnodes", "nodeid"), ("outputs", "txid")}
"""What is not shortened, since another command asks for it: (command or list, column). It stands last."""
HEADINGS = {
    "short_channel_id": "channel",
    "peer_connected": "connected",
    "to_us_msat": "ours",
    "our_amount_msat": "ours",
    "fee_proportional_millionths": "fee ppm",
    "fee_base_msat": "fee base",
    "num_channels": "channels",
    "netaddr": "address",
    "nodeid": "node id",
    "ripe_height": "from block",
    "short_channel_id_dir": "channel",
    "next_node_id": "to",
    "probability_ppm": "chance",
    "delay": "blocks left",
}
"""Short names of columns, where those of the field would make a table wide."""
FIELDS = {
    "pay": ("amount_msat", "amount_sent_msat", "destination", "payment_hash", "payment_preimage"),
    "close": ("type", "txid", "closed_in_block"),
    "withdraw": ("amount_msat", "fee_msat", "txid"),
    "getroutes": (),
}
"""What of an answer is for people; all of it where nothing is said."""
STATES = {
    "OPENINGD": "opening",
    "CHANNELD_AWAITING_LOCKIN": "waiting for blocks",
    "CHANNELD_NORMAL": "open",
    "CHANNELD_SHUTTING_DOWN": "closing",
    "CLOSINGD_COMPLETE": "close agreed",
    "AWAITING_UNILATERAL": "closing alone",
    "ONCHAIN": "on the chain",
    "CLOSED": "closed",
}
"""Core Lightning's names are for programs."""
SHOWN_BELOW = {"path", "closing", "schema"}
"""Parts of a row that have a table of their own below it."""
TEXTS = ("description", "failure", "failed_because", "frozen", "addresses")
"""Columns of words, which may be broken."""
READABLE = 20
"""Letters that a line of such words has at least."""
_WIDE = 1000
MAX_COLUMNS = 8
_TIMES = ("_at", "_time", "_timestamp", "last_update")
_AMOUNTS = ("_msat",)
_YEAR_S = 31_557_600


def show(console: Console, command: str, answer: Mapping[str, Any]) -> None:
    """An answer, as a person likes to read it."""
    answer = harmless(answer)
    lists = [name for name, value in answer.items() if _is_rows(value) and not _is_places(name)]
    plain = {name: value for name, value in answer.items() if name not in lists and value is not None}
    if command in FIELDS:
        plain = {name: plain[name] for name in FIELDS[command] if name in plain}
    if command == "decode" and "expiry" in plain:  # that of an HTLC is a block
        plain["expiry"] = f"{duration_text(plain['expiry'])} after it was made"
    for name in lists:
        rows = answer[name]
        if rows:
            _show_rows(console, command, name, rows)
            for row in rows:
                _show_more(console, row)
        else:
            console.print(f"no {name}")
    for line in _pairs(plain):
        # Long values (invoices) are for copying: the terminal may break the line, we do not.
        console.print(line, soft_wrap=True)
    if not answer:
        console.print("done")
    if (scanned := _scannable(answer)) is not None:
        console.print(qr_of(scanned), style="bright_white on black", soft_wrap=True)


def plain_table(*columns: str, title: str = "", right: Container[str] = ()) -> Table:
    """A table without a cage around it."""
    table = Table(
        title=title or None, title_justify="left", caption_justify="left", box=box.SIMPLE_HEAD, pad_edge=False
    )
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left", overflow="fold")
    return table


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
    if isinstance(value, int) and name == "probability_ppm":
        return f"{value / 10_000:.1f} %"
    if name == "state" and value in STATES:
        return STATES[value]
    if isinstance(value, str) and len(value) > 40 and " " not in value:
        return f"{value[:10]}…{value[-4:]}"
    if isinstance(value, Mapping) and value.keys() == _PLACE:
        host = f"[{value['address']}]" if value["type"] == "ipv6" else value["address"]
        return f"{host}:{value['port']}"
    if isinstance(value, Mapping):
        return ", ".join(f"{_heading(key)} {cell(key, inner)}" for key, inner in value.items())
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(cell(name, inner) for inner in value)
    return str(value)


def amount_text(msat: int) -> str:
    """Millisatoshi as satoshi, thousands parted."""
    sat, rest = divmod(msat, 1000)
    return f"{sat:,}.{rest:03d} sat" if rest else f"{sat:,} sat"


def duration_text(seconds: int) -> str:
    """Days and hours, and years where nobody counts days any more: an invoice may say any number."""
    if seconds >= 10_000 * _YEAR_S:
        return f"{seconds // _YEAR_S:,} years"
    return str(timedelta(seconds=seconds))


def _is_rows(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str) and all(isinstance(row, Mapping) for row in value)


_PLACE = {"type", "address", "port"}


def _is_places(name: str) -> bool:
    """Where a node is: no table is needed for that."""
    return name in ("address", "binding")


def _show_rows(
    console: Console, command: str, name: str, rows: Sequence[Mapping[str, Any]], chosen: tuple[str, ...] | None = None
) -> None:
    """A table, or a line for each value where the terminal is too narrow for one: ids are for copying."""
    present = dict.fromkeys(key for row in rows for key in row)
    chosen = chosen or COLUMNS.get((command, name))
    columns = [column for column in chosen if column in present] if chosen else list(present)[:MAX_COLUMNS]
    more = "--json shows more of each" if len(columns) < len(present.keys() - SHOWN_BELOW) else None
    unit = ", in sat" if any(column.endswith(_AMOUNTS) for column in columns) else ""
    table = plain_table(title=f"{name}{unit}")
    table.caption = more
    cells = [[_shown_in(command, name, column, row.get(column)) for column in columns] for row in rows]
    for place, column in enumerate(columns):
        longest = max(cell_len(texts[place]) for texts in cells)
        table.add_column(
            _heading(column),
            justify="right" if column.endswith(_AMOUNTS) else "left",
            overflow="fold",
            no_wrap=column not in TEXTS,
            min_width=min(longest, READABLE) if column in TEXTS else longest,
        )
    for texts in cells:
        table.add_row(*map(Text, texts))
    # What does not fit is not squeezed: rich would break the words of every column, or cut them.
    if Measurement.get(console, console.options.update(width=_WIDE), table).minimum <= console.width:
        console.print(table)
        return
    console.print(Text(name, style="italic"))
    for row in rows:
        shown = {column: _shown_in(command, name, column, row.get(column), unit=True) for column in columns}
        for line in _pairs({_heading(column): value for column, value in shown.items()}, "  "):
            console.print(line, soft_wrap=True)
        console.print()
    if more is not None:
        console.print(Text(more, style="dim italic"))


def _shown_in(command: str, name: str, column: str, value: Any, *, unit: bool = False) -> str:
    whole = (command, column) in WHOLE or (name, column) in WHOLE
    if whole and isinstance(value, str):
        return value
    shown = cell(column, value)
    return shown if unit or not column.endswith(_AMOUNTS) else shown.removesuffix(" sat")


def _show_more(console: Console, row: Mapping[str, Any]) -> None:
    """What a row has below it: the end of a channel, the channels of a route, or the parameters of a command."""
    if (path := row.get("path")) is not None:
        _show_rows(console, "", "path", path, PATH_COLUMNS)
    if (closing := row.get("closing")) is not None:
        _show_closing(console, row, closing)
    if (schema := row.get("schema")) is not None:
        definition = schema["$defs"][schema["request"]["$ref"].rpartition("/")[2]]
        needed = definition.get("required", ())
        table = plain_table("parameter", "", "what it is")
        for name, about in definition["properties"].items():
            table.add_row(name, "needed" if name in needed else "", Text(str(about.get("description", ""))))
        console.print(table)


def _show_closing(console: Console, row: Mapping[str, Any], closing: Mapping[str, Any]) -> None:
    """What is left of one channel: a line, and a table of the outputs that are waited for."""
    name = row.get("short_channel_id") or cell("channel_id", row["channel_id"])
    said = f"{name}: {closing['kind']} in block {closing['blockheight']}, transaction {closing['txid']}"
    console.print(Text(said), soft_wrap=True)
    if closing["outputs"]:
        _show_rows(console, "", "its outputs", closing["outputs"], CLOSING_COLUMNS)


def _heading(name: str) -> str:
    return HEADINGS.get(name) or name.removesuffix("_msat").replace("_", " ")


def _pairs(plain: Mapping[str, Any], indent: str = "") -> Iterator[Text]:
    """A line for each value, its name in front; what has parts is a heading with its parts below."""
    width = max((len(_heading(name)) for name, value in plain.items() if not isinstance(value, Mapping)), default=0)
    for name, value in plain.items():
        if isinstance(value, Mapping) and not indent:
            yield Text(_heading(name), style="bold")
            yield from _pairs(value, "  ")
            continue
        shown = value if isinstance(value, str) else cell(name, value)
        yield Text.assemble(indent, (_heading(name).ljust(width), "bold"), "  ", shown or "none")


def _scannable(answer: Mapping[str, Any]) -> str | None:
    """What somebody else's camera wants: upper case makes the code smaller."""
    if isinstance(invoice := answer.get("bolt11"), str) and "payment_secret" in answer:
        return f"lightning:{invoice}".upper()
    if isinstance(address := answer.get("bech32") or answer.get("p2tr"), str):
        return f"bitcoin:{address}".upper()
    return None
