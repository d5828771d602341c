"""The two logs: everything that one side has proposed to change, in order.

A log only grows at its end; a disconnect truncates what was never in a signed commitment, and what both sides have
irrevocably done with is pruned. Entries are found by `index`, their place in the side's whole history, so prefixes
stay meaningful when entries between them go. BOLT 2, "Normal Operation".
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from operator import attrgetter
from typing import TypeVar

from fulmen.core.base.ids import PaymentHash, Point, Preimage
from fulmen.core.base.machine import Address
from fulmen.core.base.record import Record
from fulmen.core.base.units import BlockHeight, FeeratePerKw, Msat


class Add(Record):
    """An HTLC offered by the log's side."""

    index: int
    id: int
    amount_msat: Msat
    payment_hash: PaymentHash
    cltv_expiry: BlockHeight
    onion: bytes = b""
    path_key: Point | None = None
    owner: Address | None = None
    """Ours only: who is told what becomes of it."""
    ref: int = 0
    over_dust_exposure: bool = False
    """Theirs only: it exceeded our bound on trimmed value; it is given back as soon as it is committed."""
    since: int = 0
    """The first commitment of the peer's that holds it, once the one before is revoked."""


class Remove(Record):
    """The log's side takes an HTLC of the other side out: by preimage, by failure, or as malformed."""

    index: int
    id: int
    preimage: Preimage | None = None
    reason: bytes = b""
    failure_code: int = 0
    sha256_of_onion: bytes = b""


class FeeChange(Record):
    """The opener sets another feerate."""

    index: int
    feerate_per_kw: FeeratePerKw


class Updates(Record):
    """A stretch of a log, as a durable fact carries it."""

    adds: tuple[Add, ...] = ()
    removes: tuple[Remove, ...] = ()
    fees: tuple[FeeChange, ...] = ()

    def in_order(self) -> list[Add | Remove | FeeChange]:
        """All of them in the order in which they were proposed."""
        return sorted([*self.adds, *self.removes, *self.fees], key=_index)

    def __bool__(self) -> bool:
        return bool(self.adds or self.removes or self.fees)


_index = attrgetter("index")
_id = attrgetter("id")
E_ = TypeVar("E_", Add, Remove, FeeChange)


class Log(Record):
    """One side's updates. All three tuples are sorted by index (adds are thereby sorted by id, too)."""

    adds: tuple[Add, ...] = ()
    removes: tuple[Remove, ...] = ()
    fees: tuple[FeeChange, ...] = ()
    next_index: int = 0
    next_id: int = 0

    def add(self, htlc_id: int) -> Add | None:
        """The HTLC with this id, if it is still there."""
        place = bisect_left(self.adds, htlc_id, key=_id)
        if place < len(self.adds) and self.adds[place].id == htlc_id:
            return self.adds[place]
        return None

    def removal(self, htlc_id: int) -> Remove | None:
        """What this side did with an HTLC of the other side, if it did."""
        for remove in reversed(self.removes):
            if remove.id == htlc_id:
                return remove
        return None

    def between(self, start: int, stop: int) -> Updates:
        """The entries with start <= index < stop."""
        return Updates(
            _slice(self.adds, start, stop), _slice(self.removes, start, stop), _slice(self.fees, start, stop)
        )

    def with_update(self, update: Add | Remove | FeeChange) -> Log:
        """The log with one more entry at its end."""
        if isinstance(update, Add):
            return self.but(adds=(*self.adds, update), next_index=update.index + 1, next_id=update.id + 1)
        if isinstance(update, Remove):
            return self.but(removes=(*self.removes, update), next_index=update.index + 1)
        return self.but(fees=(*self.fees, update), next_index=update.index + 1)

    def truncated(self, stop: int) -> Log:
        """Only the entries with index < stop: the rest was never in a signed commitment."""
        adds = _slice(self.adds, 0, stop)
        forgotten = len(self.adds) - len(adds)
        return Log(adds, _slice(self.removes, 0, stop), _slice(self.fees, 0, stop), stop, self.next_id - forgotten)


def active_adds(adds: Log, adds_upto: int, removes: Log, removes_upto: int) -> tuple[Add, ...]:
    """The HTLCs of one side within two prefixes: added and not removed."""
    added = _slice(adds.adds, 0, adds_upto)
    removed = {remove.id for remove in _slice(removes.removes, 0, removes_upto)}
    if not removed:
        return added
    return tuple(add for add in added if add.id not in removed)


def pruned(
    adds: Log, removes: Log, adds_upto: int, removes_upto: int
) -> tuple[Log, Log, tuple[tuple[Add, Remove], ...]]:
    """Both logs without the HTLCs whose removal is irrevocable (index < removes_upto), and those HTLCs."""
    gone = {remove.id: remove for remove in _slice(removes.removes, 0, removes_upto)}
    if not gone:
        return adds, removes, ()
    done = tuple((add, gone[add.id]) for add in adds.adds if add.id in gone and add.index < adds_upto)
    done_ids = {add.id for add, _ in done}
    return (
        adds.but(adds=tuple(add for add in adds.adds if add.id not in done_ids)),
        removes.but(removes=tuple(remove for remove in removes.removes if remove.id not in done_ids)),
        done,
    )


def _slice(entries: Sequence[E_], start: int, stop: int) -> tuple[E_, ...]:
    low = bisect_left(entries, start, key=_index) if start else 0
    high = bisect_left(entries, stop, key=_index)
    return tuple(entries[low:high])


def committed_since(adds: Sequence[Add], start: int, stop: int, number: int, *, acknowledged: bool) -> tuple[Add, ...]:
    """The same adds; those with start <= index < stop are in the peer's commitment `number` for the first time.

    Ours, which it has `acknowledged` by that, need not be sent again, so they no longer carry their onion.
    """
    low, high = bisect_left(adds, start, key=_index), bisect_left(adds, stop, key=_index)
    if acknowledged:
        new = [add.but(since=number, onion=b"") for add in adds[low:high]]
    else:
        new = [add.but(since=number) for add in adds[low:high]]
    return (*adds[:low], *new, *adds[high:])
