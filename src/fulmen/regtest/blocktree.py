"""All blocks we have heard of, as a tree: which ones are ruled out, and which tip has the most work.

Regtest never changes its difficulty, so work is height; of two tips at the same height the first seen leads, as in
Bitcoin Core.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from fulmen.core.base.ids import BlockHash
from fulmen.regtest.params import MEDIAN_TIME_SPAN, WORK_PER_BLOCK


@dataclass(slots=True, eq=False)
class Entry:
    """One block's place in the tree."""

    hash: BlockHash
    parent: Entry | None
    height: int
    time: int
    seen: int
    """Order of arrival."""
    tx_count: int
    raw: bytes
    median_time_past: int = field(init=False)
    total_txs: int = field(init=False)
    invalid: bool = False
    """Ruled out: by a rule, by command, or because an ancestor is."""
    connected: bool = False
    """It is, or once was, part of the active chain: all of it was found valid."""

    def __post_init__(self) -> None:
        times: list[int] = []
        entry: Entry | None = self
        while entry is not None and len(times) < MEDIAN_TIME_SPAN:
            times.append(entry.time)
            entry = entry.parent
        self.median_time_past = sorted(times)[len(times) // 2]
        self.total_txs = self.tx_count + (self.parent.total_txs if self.parent else 0)

    @property
    def header(self) -> bytes:
        """80 bytes."""
        return self.raw[:80]

    @property
    def chainwork(self) -> int:
        """The work of the chain that ends here."""
        return (self.height + 1) * WORK_PER_BLOCK


class BlockTree:
    """Every block known, valid or not."""

    def __init__(self, genesis: Entry) -> None:
        self.genesis = genesis
        self._entries: dict[BlockHash, Entry] = {genesis.hash: genesis}
        self._children: dict[BlockHash, list[Entry]] = {}
        self._tips: dict[BlockHash, Entry] = {genesis.hash: genesis}

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, block_hash: bytes) -> Entry | None:
        """The block of this hash, or None."""
        return self._entries.get(BlockHash(block_hash))

    def add(self, entry: Entry) -> None:
        """Put a block under its parent."""
        assert entry.parent is not None
        self._entries[entry.hash] = entry
        self._children.setdefault(entry.parent.hash, []).append(entry)
        self._tips.pop(entry.parent.hash, None)
        self._tips[entry.hash] = entry

    def rule_out(self, entry: Entry) -> None:
        """This block and all that stand on it are not for the active chain."""
        for below in self._with_descendants(entry):
            below.invalid = True

    def allow(self, entry: Entry) -> None:
        """Take back what was ruled out: this block, its ancestors and its descendants may be active again."""
        for below in self._with_descendants(entry):
            below.invalid = False
        above = entry.parent
        while above is not None and above.invalid:
            above.invalid = False
            above = above.parent

    def best(self) -> Entry:
        """The valid block with the most work, first seen first."""
        leaders = []
        for tip in self._tips.values():
            entry = tip
            while entry.invalid and entry.parent is not None:
                entry = entry.parent
            leaders.append(entry)
        return min(leaders, key=lambda entry: (-entry.height, entry.seen))

    def tips(self) -> list[Entry]:
        """The ends of all branches, oldest first."""
        return list(self._tips.values())

    def _with_descendants(self, entry: Entry) -> list[Entry]:
        found, todo = [], [entry]
        while todo:
            below = todo.pop()
            found.append(below)
            todo.extend(self._children.get(below.hash, ()))
        return found
