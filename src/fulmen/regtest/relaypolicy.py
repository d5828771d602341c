"""Relay policy as values: what the mempool asks beyond consensus. The defaults are Bitcoin Core 31's."""

from __future__ import annotations

from fulmen.core.base.record import Record
from fulmen.core.base.units import Sat


class RelayPolicy(Record):
    """What is relayed."""

    min_relay_sat_per_kvb: int = 100
    incremental_sat_per_kvb: int = 100
    dust_relay_sat_per_kvb: int = 3000
    max_cluster_count: int = 64
    max_cluster_vsize: int = 101_000
    max_replacement_clusters: int = 100
    max_mempool_vsize: int = 75_000_000
    """When full, what is added is refused: a regtest mempool never gets there by itself."""
    expiry_s: int = 336 * 3600
    """What has waited for longer leaves."""


MIN_STANDARD_NONWITNESS_BYTES = 65
"""Smaller transactions could pass for inner nodes of a merkle tree (CVE-2017-12842)."""
MAX_STANDARD_SIGOPS_COST = 16_000
BYTES_PER_SIGOP = 20
MAX_DATACARRIER_BYTES = 100_000
MAX_PACKAGE_COUNT = 25
MAX_PACKAGE_WEIGHT = 404_000
TRUC_VERSION = 3
TRUC_MAX_VSIZE = 10_000
TRUC_CHILD_MAX_VSIZE = 1_000


def fee_at(sat_per_kvb: int, vsize: int) -> Sat:
    """The fee of so many virtual bytes, rounded up."""
    return Sat(-(-sat_per_kvb * vsize // 1000))


def adjusted_weight(weight: int, sigops_cost: int) -> int:
    """Weight units of a transaction that pays for its signature checks too."""
    return max(weight, sigops_cost * BYTES_PER_SIGOP)
