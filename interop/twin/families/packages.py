"""Transactions that belong together: version 3, packages, dust that must be spent at once, orphans."""

from __future__ import annotations

from random import Random

from fulmen.core.bitcoin.transaction import Tx
from interop.twin.coins import KINDS, Coin, coins_of, out, padding, pay, spend
from interop.twin.drafts import RATES, draft, sized
from interop.twin.families.registry import family
from interop.twin.steps import (
    Invalidate,
    Mine,
    Package,
    Prioritise,
    Send,
    Step,
    Try,
    World,
)


@family(14)
def truc(rng: Random, coins: list[Coin], world: World) -> list[Step]:
    """Version 3: sizes at the limits, families of two, siblings, and mixtures with other versions."""
    at_limit = rng.random() < 0.3
    parent_size = rng.choice([9_999, 10_000, 10_001]) if at_limit else 0
    parent = sized([coins[0]], ["wsh", "wsh", "wsh"], parent_size, rate=rng.choice([100, 300, 1000]), version=3)
    steps: list[Step] = [Send(parent)]
    outs = coins_of(parent)
    for _ in range(rng.randint(1, 4)):
        size = rng.choice([0, 0, 0, 999, 1_000, 1_001])
        version = rng.choice([3, 3, 3, 3, 2, 1])
        spent = [rng.choice(outs)]
        if rng.random() < 0.25:
            spent.append(coins[rng.randint(1, 3)])
        child = sized(spent, ["wsh", "wsh"], size, rate=rng.choice([100, 500, 1000, 5000, 20_000]), version=version)
        steps.append(Send(child))
        if rng.random() < 0.3:
            outs = [*outs, *coins_of(child)]
    if rng.random() < 0.3:
        plain = draft([coins[4]], ["wsh"], rate=1000, version=2)
        mixed = draft([*coins_of(plain), *coins_of(parent)[:1]], ["wsh"], rate=3000, version=rng.choice([2, 3]))
        steps += [Send(plain), Send(mixed), Send(draft(coins_of(plain), ["wsh"], rate=1000, version=3))]
    if rng.random() < 0.2:
        second = draft([coins[5]], ["wsh", "wsh"], rate=1000, version=3)
        both = draft([coins_of(second)[0], coins_of(parent)[0]], ["wsh"], rate=9000, version=3)
        steps += [Send(second), Send(both)]
    return steps


@family(18)
def package(rng: Random, coins: list[Coin], world: World) -> list[Step]:
    """One parent and one child, the parent below the least feerate or not; known already, or in conflict."""
    version = rng.choice([2, 3, 3])
    rate = rng.choice([0, 0, 0, 50, 99, 100, 1000])
    parent = draft([coins[0]], ["wsh", "wsh"], rate=rate, version=version)
    spent = [rng.choice(coins_of(parent))]
    if rng.random() < 0.3:
        spent.append(coins[1])
    size = rng.choice([0, 0, 0, 999, 1001]) if version == 3 else 0
    child_version = version if rng.random() < 0.85 else rng.choice([1, 2, 3])
    total = -(-(parent.vsize + 150) * 100 // 1000)
    how = rng.choice(["rate", "edge"])
    child = (
        sized(spent, ["wsh"], size, rate=rng.choice(RATES[2:]), version=child_version)
        if how == "rate"
        else draft(spent, ["wsh"], fee=total + rng.randint(-30, 30), version=child_version)
    )
    steps: list[Step] = []
    if rng.random() < 0.35:
        # Something is in the way already.
        rival = draft(
            [rng.choice([coins[0], coins[1]])], ["wsh", "wsh"], rate=rng.choice([100, 300, 1000]), version=version
        )
        steps.append(Send(rival))
        if rng.random() < 0.4:
            steps.append(Send(draft(coins_of(rival)[:1], ["wsh"], rate=rng.choice([100, 500]), version=version)))
    if rng.random() < 0.25:
        steps.append(Send(parent))
    if rng.random() < 0.25:
        steps.append(Try((parent, child)))
    steps.append(Package((parent, child), rng.choice([0, 0, 0, None, 0.00001])))
    if rng.random() < 0.5:
        better = draft(spent, ["wsh"], rate=rng.choice([300, 3000, 20_000]), version=child_version)
        steps.append(Package((parent, better)))
    if rng.random() < 0.2:
        grandchild = draft(coins_of(child), ["wsh"], rate=1000, version=version)
        steps += [Package((child, grandchild)), Send(grandchild)]
    return steps


@family(7)
def package_replacement(rng: Random, coins: list[Coin], world: World) -> list[Step]:
    """A package of two in place of what is there, with fees around what it must pay, of the parent or of both."""
    version = rng.choice([2, 3, 3])
    rivals = [draft([coin], ["wsh", "wsh"], rate=rng.choice([100, 500, 2000]), version=version) for coin in coins[:2]]
    old = [*rivals[: rng.randint(1, 2)]]
    if rng.random() < 0.5:
        old.append(draft(coins_of(rivals[0])[:1], ["wsh"], rate=rng.choice([100, 3000]), version=version))
    owed = sum(10_000_000 - _paid(tx) if tx in rivals else _paid(rivals[0]) // 2 - _paid(tx) for tx in old)
    parent = draft([coins[0]], ["wsh"], fee=rng.choice([0, 0, 5, owed // 2, owed - 1, max(owed, 1)]), version=version)
    spent = [*coins_of(parent), *rng.choice([[], [], [coins[1]], [coins[2]], coins_of(rivals[1])[:1]])]
    extra = [padding(rng.choice([1, 100, 500, 800]))] if rng.random() < 0.4 else []
    bare = draft(spent, ["wsh"], fee=0, extra=extra, version=version)
    least = owed - (10_000_000 - _paid(parent)) + -(-(parent.vsize + bare.vsize) * 100 // 1000)
    steps: list[Step] = [Send(tx) for tx in old]
    for _ in range(rng.randint(1, 3)):
        fee = rng.choice([least - 1, least, least + 1, least + 50, 2 * least, 20_000, 10, 0])
        child = draft(spent, ["wsh"], fee=max(fee, 0), extra=extra, version=version)
        steps.append(Package((parent, child)))
    return steps


@family(8)
def odd_package(rng: Random, coins: list[Coin], world: World) -> list[Step]:
    """Packages of other shapes: several parents, wrong order, doubles, conflicts inside, too many, other witnesses."""
    version = rng.choice([2, 3])
    parents = [
        draft([coin], ["wsh", "wsh"], rate=rng.choice([0, 100, 1000]), version=version)
        for coin in coins[: rng.randint(2, 4)]
    ]
    child = draft([coins_of(tx)[0] for tx in parents], ["wsh"], rate=rng.choice([300, 2000, 9000]), version=version)
    match rng.randrange(10):
        case 0:
            return [Package((*parents, child)), Try((*parents, child))]
        case 1:
            return [Package((child, *parents)), Try((child, *parents))]
        case 2:
            return [Try((*parents, parents[0])), Package((parents[0], parents[0])), Package((parents[0],))]
        case 3:
            rival = draft([coins[0]], ["wsh"], rate=2000, version=version)
            both = draft([*coins_of(rival), coins_of(parents[0])[0]], ["wsh"], rate=2000, version=version)
            return [Try((parents[0], rival)), Package((parents[0], rival, both))]
        case 4:
            chain = [draft([coins[0]], ["wsh"], rate=1000)]
            for _ in range(rng.choice([3, 24, 25])):
                chain.append(draft(coins_of(chain[-1]), ["wsh"], rate=1000))
            return [
                Try(tuple(chain)),
                Package(tuple(chain[:3])),
                Send(chain[0]),
                Try(tuple(chain[1:3])),
                Try(tuple(chain[:2])),
            ]
        case 5:
            coin = next((coin for coin in coins if coin.kind == "wsh-drop"), coins[4])
            one, two = (spend([coin], [pay("wsh", 9_990_000)], item=item) for item in (1, 2))
            both = draft(coins_of(one), ["wsh"], rate=1000)
            return [Send(one), Send(two), Package((two, both)), Try((two,)), Try((two, both)), Package((two,))]
        case 6:
            heavy = [draft([coin], ["wsh"], fee=50_000, extra=[padding(99_000)]) for coin in coins[:4]]
            last = draft([coins_of(tx)[0] for tx in heavy], ["wsh"], fee=50_000, extra=[padding(3000)])
            return [Try((*heavy, last)), Package((*heavy, last))]
        case 7:
            return [Send(parents[0]), Package((*parents, child)), Package((*parents, child)), Package((parents[1],))]
        case 8:
            wide = draft([coins[4]], ["wsh", "wsh"], rate=0, version=version)
            two = draft([coins_of(wide)[0], coins_of(parents[0])[0]], ["wsh"], rate=5000, version=version)
            between = draft([coins_of(wide)[1]], ["wsh"], rate=0, version=version)
            last = draft([*coins_of(two), *coins_of(between)], ["wsh"], rate=5000, version=version)
            return [Package((wide, parents[0], two)), Package((wide, between, last)), Package((two, between, last))]
        case _:
            bad = spend([coins[4]], [pay("wsh", 9_000_000)], wrong=rng.choice(["signature", "empty"]), version=version)
            both = draft([*coins_of(bad), coins_of(parents[0])[0]], ["wsh"], rate=5000, version=version)
            return [Package((parents[0], bad, both)), Try((parents[0], bad, both))]


@family(14)
def ephemeral(rng: Random, coins: list[Coin], world: World) -> list[Step]:
    """Dust that must be spent at once: anchors of nothing, with and without the child that takes them."""
    version = rng.choice([2, 3, 3])
    dust = rng.choice([out(0, KINDS["anchor"]), out(239, KINDS["anchor"]), out(1, KINDS["wsh"]), out(329, KINDS["tr"])])
    fee = rng.choice([0, 0, 0, 0, 1, 500])
    extra = [dust] * rng.choice([1, 1, 1, 2])
    parent = draft([coins[0]], ["wsh", "wsh"], fee=fee, extra=extra, version=version)
    outs = coins_of(parent)
    anchors, others = outs[2:], outs[:2]
    steps: list[Step] = [Send(parent)] if rng.random() < 0.3 else []
    spent = rng.choice(
        [[anchors[0], coins[1]], [anchors[0], others[0]], [others[0]], [*anchors, coins[1]], [others[0], coins[1]]]
    )
    child = draft(spent, ["wsh"], rate=rng.choice([100, 1000, 5000]), version=version)
    if rng.random() < 0.25:
        # A delta lets the parent in alone, or out.
        steps.append(Prioritise(parent.txid, rng.choice([1, 1000, -1])))
        steps.append(Send(parent))
    if rng.random() < 0.3:
        steps.append(Try((parent, child)))
    steps.append(Package((parent, child)))
    for _ in range(rng.randint(0, 2)):
        spent = rng.choice([[anchors[0], coins[2]], [others[1]], [others[1], anchors[0]], [coins[1]]])
        again = draft(spent, ["wsh"], rate=rng.choice([1000, 5000, 20_000]), version=version)
        steps.append(Send(again) if rng.random() < 0.5 else Package((parent, again)))
    if rng.random() < 0.3:
        steps += [Mine(rng.randrange(3)), *([Invalidate(1)] if rng.random() < 0.6 else [])]
        steps.append(Send(draft([others[1]], ["wsh"], rate=2000, version=version)))
    return steps


@family(6)
def orphan(rng: Random, coins: list[Coin], world: World) -> list[Step]:
    """Children before their parents, and what is known already: in the mempool, in a block, spent."""
    version = rng.choice([2, 3])
    grand = draft([coins[0]], ["wsh", "wsh"], rate=1000, version=version)
    parent = draft(coins_of(grand)[:1], ["wsh"], rate=rng.choice([0, 1000]), version=version)
    child = draft(coins_of(parent), ["wsh"], rate=2000, version=version)
    steps: list[Step] = [Send(child), Send(parent), Package((parent, child)), Send(grand)]
    rng.shuffle(steps)
    steps += [Package((parent, child)), Send(child), Send(grand)]
    if rng.random() < 0.5:
        steps += [
            Mine(rng.randrange(3)),
            Send(grand),
            Send(parent),
            Send(child),
            Package((grand, parent)),
            Try((grand,)),
        ]
        steps.append(Send(draft([coins[0]], ["wsh"], rate=3000)))
    return steps


def _paid(tx: Tx) -> int:
    return sum(output.amount_sat for output in tx.outputs)
