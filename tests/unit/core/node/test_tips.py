"""How far the chain has been read, over blocks, rewinds and restarts."""

from __future__ import annotations

from tests.builders.env import an_env

from fulmen.core.base.ids import BlockHash
from fulmen.core.base.outer import Block
from fulmen.core.base.units import BlockHeight
from fulmen.core.node.tips import KEPT, BlockRead, Tips, decide, view


def a_block(height: int, branch: int = 0) -> Block:
    return Block(BlockHeight(height), BlockHash(bytes([branch]) + height.to_bytes(31, "big")))


def read(tips: Tips, *blocks: Block) -> Tips:
    for block in blocks:
        tips = decide(tips, BlockRead(block), an_env()).state
    return tips


def test_reading_goes_on_from_the_last_block() -> None:
    tips = read(Tips(), a_block(1), a_block(2))
    assert view(tips) == a_block(2)


def test_a_rewind_forgets_what_stood_above() -> None:
    tips = read(Tips(), a_block(1), a_block(2), a_block(3), a_block(1), a_block(2, branch=1))
    assert tips.blocks == (a_block(1), a_block(2, branch=1))


def test_the_same_block_twice_is_no_news() -> None:
    tips = read(Tips(), a_block(5))
    assert not decide(tips, BlockRead(a_block(5)), an_env()).facts


def test_memory_is_bounded() -> None:
    tips = read(Tips(), *map(a_block, range(3 * KEPT)))
    assert len(tips.blocks) == KEPT + 1
    assert view(tips) == a_block(3 * KEPT - 1)
