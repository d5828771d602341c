"""How far the chain has been read: the last blocks whose news every machine has had.

A block's news and the fact that it was read stand in the same order in the journal, so after a crash reading goes on
where it stopped, and what was told twice is a no-op (law 2e: for whoever watches the chain, a crash is a rewind to the
last stored tip).
"""

from __future__ import annotations

from fulmen.core.base.env import Env
from fulmen.core.base.machine import Address, Event, Fact, Step, evolves
from fulmen.core.base.mount import Mount
from fulmen.core.base.outer import Block
from fulmen.core.base.record import Record

KIND = "chain"
ADDRESS = Address(KIND)
KEPT = 288
"""How many blocks are kept to find a fork below: two days."""


class Tips(Record):
    """The last blocks read, lowest first."""

    blocks: tuple[Block, ...] = ()

    @property
    def tip(self) -> Block | None:
        """The last one; None before the first start."""
        return self.blocks[-1] if self.blocks else None


class BlockRead(Event):
    """From the shell: every machine was told of this block; or, after a rewind, of its being the tip again."""

    block: Block


class TipMoved(Fact):
    """This block is the last one read."""

    block: Block


@evolves(TipMoved)
def _tip_moved(tips: Tips, fact: TipMoved) -> Tips:
    below = tuple(block for block in tips.blocks if block.height < fact.block.height)
    return Tips((*below[-KEPT:], fact.block))


def decide(tips: Tips, event: Event, _env: Env) -> Step[Tips]:
    """Keep the place."""
    step = Step(tips)
    if isinstance(event, BlockRead) and tips.tip != event.block:
        step.fact(TipMoved(event.block))
    return step


def view(tips: Tips) -> Block | None:
    """The last block read."""
    return tips.tip


MOUNT = Mount(kind=KIND, initial=lambda _key: Tips(), decide=decide, view=view, standing=True)
__all__ = ["ADDRESS", "MOUNT", "BlockRead", "Tips"]
