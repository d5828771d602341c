"""In what setting a transaction is judged, and what it is told."""

from __future__ import annotations

from fulmen.core.base.ids import Txid
from fulmen.core.base.record import Record
from fulmen.core.base.units import Sat
from fulmen.core.bitcoin.transaction import Tx
from fulmen.regtest.consensus import Rejected


class Admitted(Record):
    """A transaction that was (or would be) taken."""

    txid: Txid
    wtxid: bytes
    vsize: int
    fee: Sat
    effective_fee: int
    """What its feerate is reckoned with: its own fee, or that of the package ..."""
    effective_vsize: int
    """... over its own virtual size, or that of the package."""
    includes: tuple[bytes, ...]
    """The wtxids of the transactions in that reckoning."""
    replaced: tuple[Txid, ...] = ()


class Manner(Record):
    """In what setting a transaction is judged."""

    may_replace: bool = True
    may_evict_sibling: bool = True
    pays_for_itself: bool = True
    """Else its fee is reckoned with that of its package."""
    from_a_block: bool = False
    """It comes from a disconnected block: fees and the rules of version 3 are not asked."""
    max_sat_per_kvb: int = 0
    """Refuse a higher feerate (0: any)."""


TRIED_TOGETHER = Manner(may_replace=False, may_evict_sibling=False)
"""`testmempoolaccept` of several is stricter: each pays for itself, and nothing is replaced."""
FROM_A_BLOCK = Manner(from_a_block=True)


class TransactionRejected(Rejected):
    """One transaction of a package is refused: `tx` says which, `why` by what; `package` is said of the whole."""

    def __init__(self, tx: Tx, why: Rejected, package: str = "transaction failed") -> None:
        super().__init__(why.reason, why.debug)
        self.tx = tx
        self.why = why
        self.package = package
