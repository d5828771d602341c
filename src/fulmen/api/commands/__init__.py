"""All commands, by family, in the order in which help lists them. Importing this package fills the registry."""

# isort: off
from fulmen.api.commands import node
from fulmen.api.commands import funds
from fulmen.api.commands import restoring
from fulmen.api.commands import peers
from fulmen.api.commands import opening
from fulmen.api.commands import channels
from fulmen.api.commands import closing
from fulmen.api.commands import invoices
from fulmen.api.commands import payments
from fulmen.api.commands import graph
from fulmen.api.commands import signing
from fulmen.api.commands import regtest
# isort: on

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
