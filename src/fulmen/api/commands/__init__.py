"""All commands, by family. Importing this package fills the registry."""

from fulmen.api.commands import (
    channels,
    closing,
    funds,
    graph,
    invoices,
    node,
    opening,
    payments,
    peers,
    regtest,
    restoring,
    signing,
)

__all__ = [
    "channels",
    "closing",
    "funds",
    "graph",
    "invoices",
    "node",
    "opening",
    "payments",
    "peers",
    "regtest",
    "restoring",
    "signing",
]
