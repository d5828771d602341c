"""What comes in place of something, and what is too much: replacements, clusters, fees by command, age."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from fulmen.core.bitcoin.transaction import SEQUENCE_FINAL, SEQUENCE_RBF, Tx
from interop.twin.coins import Coin, coins_of, padding
from interop.twin.drafts import RATES, draft
from interop.twin.families.registry import family
from interop.twin.steps import (
    Ask,
    Clock,
    Mine,
    Package,
    Prioritise,
    Send,
    Step,
    Try,
    World,
)


@family(16)
def replacement(rng: Random, coins: list[Coin], world: World) -> list[Step]:
    """One conflict or several, descendants, and fees around what a replacement must pay."""
    sequence = rng.choice([SEQUENCE_RBF, SEQUENCE_FINAL])
    count = rng.randint(1, 4)
    first = [
        draft([coin], ["wsh"] * rng.randint(1, 3), rate=rng.choice(RATES[3:]), sequences=[sequence])
        for coin in coins[:count]
    ]
    steps: list[Step] = [Send(tx) for tx in first]
    family_txs = list(first)
    for _ in range(rng.randint(0, 4)):
        parents = rng.choices([coin for tx in family_txs for coin in coins_of(tx)], k=rng.choice([1, 1, 2]))
        parents = list(dict.fromkeys(parents))
        child = draft(parents, ["wsh"] * rng.randint(1, 2), rate=rng.choice(RATES[3:]))
        steps.append(Send(child))
        family_txs.append(child)
    old_fee = sum(_fee_guess(tx, coins, family_txs) for tx in family_txs)
    conflicts = coins[: rng.randint(1, count)]
    also = rng.choice([[], [], [coins[4]], [rng.choice([coin for tx in family_txs for coin in coins_of(tx)])]])
    extra = [padding(rng.choice([200, 1000, 5000, 20_000]))] if rng.random() < 0.3 else []
    for _ in range(rng.randint(1, 3)):
        plain = draft([*conflicts, *also], ["wsh"] * rng.randint(1, 2), fee=0, extra=extra)
        bump = rng.choice([-1, 0, 1, -plain.vsize, plain.vsize, 10 * plain.vsize]) + -(-plain.vsize * 100 // 1000)
        base = rng.choice([old_fee, old_fee, old_fee // 2, old_fee * 2])
        fee = max(0, min(base + bump, 5_000_000))
        outs = ["wsh"] * len([out for out in plain.outputs if out.amount_sat])
        newer = draft([*conflicts, *also], outs, fee=fee, extra=extra)
        steps += [Try((newer, draft(coins_of(newer)[:1], ["wsh"], rate=1000)))] if rng.random() < 0.1 else []
        steps.append(Send(newer))
        old_fee = fee
    return steps


@family(3)
def diagram(rng: Random, coins: list[Coin], world: World) -> list[Step]:
    """Replacements that pay enough and yet may make the mempool worth less: families of odd shapes and feerates."""
    steps: list[Step] = []
    made: list[Tx] = []
    pool = list(coins[:5])
    for _ in range(rng.randint(3, 9)):
        parents = rng.sample(pool, min(len(pool), rng.randint(1, 3)))
        extra = [padding(rng.choice([1, 100, 400, 2000]))]
        tx = draft(
            parents, ["wsh"] * rng.randint(1, 3), rate=rng.choice([100, 120, 300, 1000, 3000, 9000]), extra=extra
        )
        pool = [coin for coin in pool if coin not in parents] + coins_of(tx)
        made.append(tx)
        steps.append(Send(tx))
    victim = rng.choice(made)
    spent = [
        coin
        for coin in [*coins, *[c for tx in made for c in coins_of(tx)]]
        if coin.outpoint == victim.inputs[0].outpoint
    ]
    with_more = rng.choice([[], [], rng.sample(pool, 1)])
    for _ in range(3):
        extra = [padding(rng.choice([1, 100, 1000, 4000]))]
        steps.append(
            Send(
                draft([*spent, *with_more], ["wsh"], fee=rng.choice([500, 1000, 2000, 4000, 8000, 16_000]), extra=extra)
            )
        )
    steps += [Ask("getmempoolentry", (tx.txid[::-1].hex(),)) for tx in rng.sample(made, 2)]
    return steps


@family(1)
def crowd(rng: Random, coins: list[Coin], world: World) -> list[Step]:
    """Clusters of 64, and replacements of a hundred."""
    if rng.random() < 0.5:
        wide = draft([coins[0]], ["wsh"] * 70, rate=1000)
        txs = [
            draft([coin], ["wsh"], rate=rng.choice([500, 1000]))
            for coin in coins_of(wide)[: rng.choice([62, 63, 64, 66])]
        ]
        joined = draft([coins_of(txs[0])[0], coins[1]], ["wsh"], rate=5000)
        instead = draft([coins_of(wide)[3]], ["wsh"], rate=9000)
        return [Send(wide), *[Send(tx) for tx in txs], Send(joined), Send(instead), Package((joined,))]
    wide = draft([coins[0]], ["wsh"] * 103, rate=1000)
    txs = [draft([coin], ["wsh"], rate=200) for coin in coins_of(wide)[: rng.choice([99, 100, 101, 102])]]
    all_of_them = draft(coins_of(wide)[: len(txs)], ["wsh"], fee=1_000_000)
    return [Send(wide), Mine(rng.randrange(3)), *[Send(tx) for tx in txs], Send(all_of_them)]


@family(3)
def priority(rng: Random, coins: list[Coin], world: World) -> list[Step]:
    """Fees as `prioritisetransaction` makes them look."""
    tx = draft([coins[0]], ["wsh", "wsh"], rate=rng.choice([0, 100, 1000]))
    child = draft(coins_of(tx)[:1], ["wsh"], rate=500)
    rival = draft([coins[0]], ["wsh"], rate=rng.choice([300, 2000]))
    steps: list[Step] = [
        Send(tx),
        Prioritise(tx.txid, rng.choice([-1000, -1, 1, 50, 1000, 100_000])),
        Send(tx),
        Send(child),
    ]
    steps += [Ask("getmempoolentry", (tx.txid[::-1].hex(),)), Send(rival), Ask("getprioritisedtransactions")]
    return steps + ([Mine(rng.randrange(3))] if rng.random() < 0.3 else [])


@family(2)
def expiry(rng: Random, coins: list[Coin], world: World) -> list[Step]:
    """What has waited for two weeks leaves with the next arrival."""
    first = draft([coins[0]], ["wsh"], rate=1000)
    child = draft(coins_of(first), ["wsh"], rate=1000)
    steps: list[Step] = [Send(first), Clock(rng.choice([336 * 3600 - 1, 336 * 3600, 336 * 3600 + 1])), Send(child)]
    return [*steps, Send(draft([coins[1]], ["wsh"], rate=1000)), Mine(rng.randrange(3))]


def _fee_guess(tx: Tx, coins: Sequence[Coin], made: Sequence[Tx]) -> int:
    known = {coin.outpoint: coin.amount for coin in [*coins, *[c for other in made for c in coins_of(other)]]}
    return sum(known[spent.outpoint] for spent in tx.inputs) - sum(out.amount_sat for out in tx.outputs)
