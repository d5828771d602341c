"""All commands, by family. Importing this package fills the registry."""

from fulmen.api.commands import channels, funds, graph, invoices, node, payments, peers, regtest, signing

__all__ = ["channels", "funds", "graph", "invoices", "node", "payments", "peers", "regtest", "signing"]
