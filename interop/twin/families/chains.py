"""Transactions and blocks: locks, confirmations, reorgs, blocks with defects, rewards that are not ripe."""

from __future__ import annotations

from random import Random

from fulmen.core.bitcoin.transaction import SEQUENCE_FINAL, SEQUENCE_RBF
from interop.twin.blocks import DEFECTS
from interop.twin.coins import Coin, coins_of, pay, spend
from interop.twin.drafts import draft
from interop.twin.families.registry import family
from interop.twin.steps import (
    Ask,
    Block,
    Clock,
    Invalidate,
    Mine,
    Reconsider,
    Send,
    Step,
    World,
)


@family(10)
def lock(rng: Random, coins: list[Coin], world: World) -> list[Step]:
    """Locktimes and sequence locks at their edges, by height and by time."""
    coin = coins[0]
    when = rng.choice(
        [
            world.height + rng.choice([-1, 0, 1, 2]),
            world.median_time + rng.choice([-1, 0, 1, 600]),
            world.time + rng.choice([0, 1]),
            499_999_999,
            500_000_000,
        ]
    )
    steps: list[Step] = []
    if rng.random() < 0.5:
        sequence = rng.choice([0, SEQUENCE_FINAL - 1, SEQUENCE_FINAL, SEQUENCE_RBF])
        steps.append(
            Send(draft([coin], ["wsh"], rate=1000, locktime=when, sequences=[sequence], version=rng.choice([1, 2])))
        )
        return steps
    parent = draft([coin], ["wsh"], rate=1000)
    confirmed = rng.random() < 0.7
    steps.append(Send(parent))
    if confirmed:
        steps.append(Mine(rng.randrange(3), rng.randint(1, 4)))
    distance = rng.choice([0, 1, 2, 3, 4])
    by_time = (1 << 22) | distance
    sequence = rng.choice([distance, distance, by_time, (1 << 31) | 5, 0xFFFF, 1 << 16 | distance])
    child = draft(coins_of(parent), ["wsh"], rate=1000, sequences=[sequence], version=rng.choice([1, 2, 2, 2, 3]))
    steps.append(Send(child))
    if rng.random() < 0.5:
        steps += [Clock(rng.choice([511, 512, 1024])), Mine(rng.randrange(3), rng.randint(1, 7)), Send(child)]
    if rng.random() < 0.4:
        steps += [Invalidate(rng.randint(1, 2)), Send(child)]
    return steps


@family(7)
def confirmed(rng: Random, coins: list[Coin], world: World) -> list[Step]:
    """Blocks that confirm, or contradict, what is in the mempool."""
    first = draft([coins[0]], ["wsh", "wsh"], rate=1000)
    child = draft(coins_of(first)[:1], ["wsh"], rate=2000)
    rival = draft([coins[0]], ["wsh"], rate=0)
    steps: list[Step] = [Send(first), Send(child)]
    chosen = rng.choice(
        [
            (first,),
            (first, child),
            (rival,),
            (child,),
            (child, first),
            (first, rival),
            (rival, draft(coins_of(rival), ["wsh"], rate=0)),
        ]
    )
    steps.append(Block(chosen))
    steps += [Send(first), Send(child), Send(rival)]
    if rng.random() < 0.5:
        steps += [Invalidate(1), Send(child), Send(rival)]
    return steps


@family(8)
def reorganisation(rng: Random, coins: list[Coin], world: World) -> list[Step]:
    """Blocks come and go: by command, and by a longer branch."""
    version = rng.choice([2, 2, 3])
    first = draft([coins[0]], ["wsh", "wsh"], rate=rng.choice([0, 300, 1000]), version=version)
    child = draft(coins_of(first)[:1], ["wsh", "wsh"], rate=1000, version=version)
    other = draft(coins_of(first)[1:], ["wsh"], rate=500, version=rng.choice([2, 3]))
    rival = draft([coins[0]], ["wsh"], rate=rng.choice([0, 5000]))
    steps: list[Step] = [Block((first,)), *rng.choice([[], [Mine(0, 2)], [Mine(1)]]), Send(child), Send(other)]
    steps += rng.choice([[Mine(0)], [Mine(1)], []])
    if rng.random() < 0.5:
        deep = rng.randint(1, 3)
        steps += [Invalidate(deep), Ask("getrawmempool", (True,)), Send(rival)]
        steps += rng.choice([[Mine(0)], [Mine(1), Mine(0)], [Block((rival,))], []])
        steps += rng.choice([[Reconsider()], []])
        return [*steps, Send(other), Send(child)]
    # A branch that wins without a command: first as long as ours, then longer.
    steps += [Block((rival,) if rng.random() < 0.6 else (), below=1), Ask("getbestblockhash"), Ask("getchaintips")]
    return [*steps, Send(child), Send(rival), Mine(rng.randrange(3), 2)]


@family(2)
def deep_reorganisation(rng: Random, coins: list[Coin], world: World) -> list[Step]:
    """A dozen blocks ruled out at once: the mempool gets back only what the last ones had confirmed."""
    count = rng.randint(1, 4)
    sent = [draft([coin], ["wsh", "wsh"], rate=1000) for coin in coins[:count]]
    steps: list[Step] = []
    for tx in sent:
        steps += [Send(tx), Mine(rng.randrange(3), rng.randint(1, 4))]
    steps += [
        Send(draft([rng.choice(coins_of(tx)) for tx in sent], ["wsh"], rate=1000)),
        Invalidate(rng.randint(8, 13)),
    ]
    after: list[Step] = [Reconsider()] if rng.random() < 0.4 else [Mine(rng.randrange(3))]
    return [*steps, *after[: rng.randint(0, 1)], Ask("getrawmempool", (True,))]


@family(6)
def bad_block(rng: Random, coins: list[Coin], world: World) -> list[Step]:
    """Blocks with a defect; bad transactions in blocks; the same block twice."""
    tx = draft([coins[0]], ["wsh"], rate=rng.choice([0, 1000]))
    if rng.random() < 0.5:
        txs = rng.choice([(), (tx,)])
        return [Block(txs, rng.choice(DEFECTS), again=rng.random() < 0.5), Block((tx,), again=True)]
    thief = spend([coins[1]], [pay("wsh", coins[1].amount + 1)])
    late = draft([coins[2]], ["wsh"], rate=0, locktime=world.height + rng.choice([0, 1, 2]))
    wait = draft(coins_of(tx), ["wsh"], rate=0, sequences=[rng.choice([0, 1, 2])])
    chosen = rng.choice(
        [(thief,), (late,), (tx, wait), (tx, tx), (spend([coins[4]], [pay("wsh", 1)], wrong="signature"),)]
    )
    return [Block(chosen, again=rng.random() < 0.5), Send(tx)]


@family(2)
def maturity(rng: Random, coins: list[Coin], world: World) -> list[Step]:
    """Rewards at the edge of their hundred blocks. (Their coins come last, see `plan`.)"""
    reward = coins[-1]
    tx = draft([reward], ["wsh"], fee=rng.choice([0, 10_000]))
    steps: list[Step] = [Send(tx), Block((tx,))]
    if rng.random() < 0.6:
        steps += [Mine(rng.randrange(3), rng.randint(1, 2)), Send(tx), Invalidate(rng.randint(1, 2)), Send(tx)]
    return steps
