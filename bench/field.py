"""Beside the field: what others were measured to do with the same workload, and where we stand."""

from __future__ import annotations

from collections.abc import Iterable

from bench.measure import Figure

SOURCE = """\
Measured in November 2026 on a machine of the same class (2 virtual cores, a disk that syncs 4 KiB in 0.2 ms, nothing
else running), two nodes of a kind on one Bitcoin Core: 10 channels, 1,000 sat each time, 100 workers, invoice and pay
over the node's own API, all of it durable. Pairs are payer / payee, syncs and bytes are per payment when busy. Ours is
from the run above, over ONE channel, and only as good as that machine was quiet."""

FIELD = (
    ("LND 0.21.3, bbolt", "173", "4.45 / 4.05", "87 / 97", "19 / 12", "7,148 / 5,436", "148 / 136"),
    ("LND 0.21.3, sqlite", "106", "8.3 / 6.3", "71 / 93", "8.7 / 4.1", "2,927 / 3,683", "144 / 146"),
    ("Core Lightning 26.06.6, `xpay`", "148", "6.0 / 4.1", "48 / 63", "6.2 / 10.1", "2,886 / 2,769", "172 / 164"),
    ("LDK (ldk-node 0.7.1, sqlite)", "121–127", "3.1 / 2.9", "98 / 317", "24 / 27", "1,508 / 907", "46 / 31"),
    ("Eclair 0.14.1, warm", "103", "8.8 / 8.2", "18.4 / 34", "12 / 9", "4,698 / 1,982", "608 / 571"),
)
COLUMNS = (
    "node",
    "payments/s",
    "CPU ms per payment",
    "idle p50 / p99, ms",
    "syncs per payment",
    "disk bytes per payment",
    "RSS, MB",
)


def beside(figures: Iterable[Figure]) -> list[str]:
    """The lines of a section for docs/benchmarks.md; none when payments were not measured."""
    known = {figure.name: figure.actual for figure in figures if figure.subject == "payments"}
    if not known:
        return []

    def pair(name: str, form: str) -> str:
        ends = [known.get(f"{name}, {end}") for end in ("payer", "payee")]
        return " / ".join("?" if value is None else format(value, form) for value in ends)

    ours = (
        "**fulmen**",
        f"**{known['payments per second']:.0f}**",
        pair("processor time per payment", ".2f"),
        f"{known['idle payment, p50']:.1f} / {known['idle payment, p99']:.1f}",
        pair("syncs each", ".2f"),
        pair("bytes written each", ",.0f"),
        pair("resident memory", ".0f"),
    )
    return [
        "",
        "## Beside the field",
        "",
        SOURCE,
        "",
        _row(COLUMNS),
        _row(("---", *["---:"] * (len(COLUMNS) - 1))),
        *map(_row, (ours, *FIELD)),
    ]


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
