"""Dialects of Bitcoin Core's RPC, as values: what a server has and lacks."""

from __future__ import annotations

from fulmen.core.base.faults import Refused
from fulmen.core.base.record import Record


class DialectUnknown(Refused):
    """No dialect has this name."""


class Dialect(Record):
    """What may be asked of a server."""

    name: str
    smart_fee: bool = True
    """estimatesmartfee; else estimatefee."""
    furthest_estimate: int = 1008
    """How many blocks ahead an estimate may look."""
    packages: bool = True
    """submitpackage."""
    spending_prevout: bool = True
    """gettxspendingprevout; else the mempool is compared with what it was."""
    mempool_minimum: bool = True
    """getmempoolinfo says mempoolminfee."""
    chain_info: bool = True
    """getblockchaininfo says initialblockdownload."""
    max_fee_rate: bool = True
    """sendrawtransaction takes maxfeerate; else allowhighfees."""


CORE = Dialect("core")
EMBEDDED = CORE.but(name="embedded")
BTCD = Dialect(
    "btcd",
    smart_fee=False,
    furthest_estimate=25,
    packages=False,
    spending_prevout=False,
    mempool_minimum=False,
    chain_info=False,
    max_fee_rate=False,
)
LITECOIND = Dialect("litecoind", packages=False, spending_prevout=False)
DIALECTS = (CORE, EMBEDDED, BTCD, LITECOIND)


def dialect_named(name: str) -> Dialect:
    """The dialect of this name.

    Raises:
        DialectUnknown
    """
    for dialect in DIALECTS:
        if dialect.name == name:
            return dialect
    raise DialectUnknown(asked=name, known=", ".join(dialect.name for dialect in DIALECTS))
