"""The subjects of cases: each family makes the steps of one case from dice, coins and what is known of the chain."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

from fulmen.core.base.ids import OutPoint, Txid
from fulmen.core.bitcoin.opcodes import OP_CHECKSIG, OP_RETURN
from fulmen.core.bitcoin.script import multisig, push
from fulmen.core.bitcoin.transaction import SEQUENCE_FINAL, SEQUENCE_RBF, Tx, TxOut

from interop.twin.blocks import DEFECTS
from interop.twin.coins import KINDS, OTHER, POINT, SAFE, WRONGS, Coin, coins_of, padding, pay, spend
from interop.twin.drafts import RATES, draft, sized
from interop.twin.steps import (
    Ask,
    Block,
    Clock,
    Invalidate,
    Mine,
    Package,
    Prioritise,
    Reconsider,
    Send,
    Step,
    Try,
    World,
)

Family = Callable[[Random, list[Coin], World], list[Step]]

FAMILIES: dict[str, tuple[int, Family]] = {}
"""Name -> how often it is taken, in parts of the sum, and the family."""


def family(weight: int) -> Callable[[Family], Family]:
    """Declare a family."""

    def declare(made: Family) -> Family:
        FAMILIES[made.__name__] = weight, made
        return made

    return declare


@family(10)
def payment(rng: Random, coins: list[Coin], world: World) -> list[Step]:
    """Payments of all kinds, with feerates around the least, and children of theirs."""
    spent = rng.sample([coin for coin in coins if coin.kind in SAFE], rng.randint(1, 3))
    kinds = [rng.choice(SAFE) for _ in range(rng.randint(1, 4))]
    version = rng.choice([1, 2, 2, 2, 3, 0, 4])
    parent = draft(spent, kinds, rate=rng.choice(RATES), more=rng.choice([-1, 0, 0, 1]), version=version)
    steps: list[Step] = [Send(parent)]
    for _ in range(rng.randint(0, 3)):
        child = draft([rng.choice(coins_of(parent))], [rng.choice(SAFE)], rate=rng.choice(RATES), version=version)
        steps.append(Send(child))
        parent = child
    return steps


@family(8)
def odd_output(rng: Random, coins: list[Coin], world: World) -> list[Step]:
    """Outputs at the edge of what is standard: dust, data, bare multisig, unknown versions."""
    coin = coins[0]
    kind = rng.choice(list(KINDS))
    script = KINDS[kind]
    edge = _dust_limit(script)
    odd = rng.choice(
        [
            pay(kind, edge + rng.choice([-1, 0])),
            pay(kind, 10_000),
            padding(rng.choice([0, 1, 80, 83, 1000, 99_990, 99_995, 99_996, 99_997])),
            TxOut(0, OP_RETURN + b"\x4c"),
            TxOut(rng.choice([0, 1000]), OP_RETURN),
            TxOut(1000, b""),
            TxOut(1000, multisig(rng.choice([1, 2, 3]), POINT, OTHER, POINT)),
            TxOut(1000, multisig(1, POINT, OTHER, POINT, OTHER)),
            TxOut(1000, b"\x60" + push(bytes(rng.choice([2, 40, 41])))),
            TxOut(1000, b"\x00" + push(bytes(rng.choice([19, 20, 32, 33])))),
            TxOut(1000, b"\x51" + push(bytes(rng.choice([2, 31, 32, 33])))),
            TxOut(rng.choice([239, 240, 241, 0]), KINDS["anchor"]),
            TxOut(1000, push(POINT) + OP_CHECKSIG),
            TxOut(1000, push(bytes(33)) + OP_CHECKSIG),
            TxOut(1000, b"\x4b"),
        ]
    )
    extra = [odd] * rng.choice([1, 1, 1, 2])
    tx = draft([coin], ["wsh"], fee=rng.choice([0, 20_000, 20_000, 20_000, 200_000]), extra=extra)
    return [Send(tx), *([Mine(rng.randrange(3))] if rng.random() < 0.1 else [])]


@family(10)
def bad_input(rng: Random, coins: list[Coin], world: World) -> list[Step]:
    """Scripts and witnesses that are wrong, or right and not standard; coins of kinds that are not standard."""
    coin = rng.choice(coins)
    wrong = rng.choice(WRONGS)
    tx = spend(
        [coin, *rng.sample(coins[:4], rng.randint(0, 1))] if coin not in coins[:4] else [coin],
        [pay("wsh", coin.amount - 5000)],
        wrong=wrong,
    )
    steps: list[Step] = [Send(tx)]
    if rng.random() < 0.4:
        parent = draft([coins[0]], [coin.kind], rate=0, version=3)
        child = spend(coins_of(parent)[:1] or [coin], [pay("wsh", coin.amount - 10_000)], wrong=wrong, version=3)
        steps.append(Package((parent, child)))
    if rng.random() < 0.3:
        # What relay forbids, a block may have; what consensus forbids, it may not.
        steps.append(Block((tx,)))
    return steps


@family(6)
def bad_form(rng: Random, coins: list[Coin], world: World) -> list[Step]:
    """Transactions whose amounts, inputs or bytes cannot be."""
    coin = coins[0]
    good = draft([coin], ["wsh"], fee=1000)
    other = draft([coins[1]], ["wsh", "wsh"], fee=1000)
    raw = good.serialize()
    match rng.randrange(16):
        case 0:
            return [Send(spend([coin, coin], [pay("wsh", 1000)]))]
        case 1:
            return [Send(spend([coin], [pay("wsh", coin.amount + rng.choice([0, 1, 5000]))]))]
        case 2:
            return [Send(good, raw=raw[:-1].hex())]
        case 3:
            return [Send(good, raw=raw.hex() + "00")]
        case 4:
            amount = rng.choice([21_000_000 * 10**8 + 1, 2**63, 2**64 - 1, 21_000_000 * 10**8])
            return [Send(good, raw=Tx(2, good.inputs, (TxOut(amount, KINDS["wsh"]),)).serialize().hex())]
        case 5:
            return [Send(good, raw=Tx(2, good.inputs, ()).serialize().hex())]
        case 6:
            return [Send(good, raw=Tx(2, (), good.outputs).serialize().hex())]
        case 7:
            null = good.but(inputs=(good.inputs[0].but(outpoint=OutPoint(Txid(bytes(32)), 0xFFFFFFFF), witness=()),))
            if rng.random() < 0.5:
                null = null.but(inputs=(null.inputs[0].but(script_sig=b"\x01\x01\x01"),))
            return [Send(null, raw=null.serialize().hex())]
        case 8:
            null = other.but(
                inputs=(
                    other.inputs[0],
                    other.inputs[0].but(outpoint=OutPoint(Txid(bytes(32)), 0xFFFFFFFF), witness=()),
                )
            )
            return [Send(null)]
        case 9:
            missing = coin.outpoint.but(vout=70_000) if rng.random() < 0.5 else OutPoint(Txid(rng.randbytes(32)), 0)
            return [Send(good.but(inputs=(good.inputs[0].but(outpoint=missing),)))]
        case 10:
            most = 21_000_000 * 10**8
            return [Send(spend([coin], [pay("wsh", most), pay("wsh", most)]))]
        case 11:
            return [Send(good, raw=rng.choice(["", "zz", "00", "0200", "abc", raw.hex()[:-1], raw.hex().upper()]))]
        case 12:
            small = spend([coin], [TxOut(coin.amount - 5000, KINDS["anchor"])])
            return [Send(small), Send(spend([coin], [TxOut(0, OP_RETURN + b"\x00" * rng.randint(0, 6))]))]
        case 13:
            return [Send(good, ceiling=rng.choice([0.00001, 0.0001, 0.1, None, 1, 0.99999999, 2]))]
        case 14:
            return [Send(draft([coin], ["wsh"], fee=9_000_000), ceiling=rng.choice([None, 0.1, 0.5, 0]))]
        case _:
            return [Send(draft([coin], ["wsh"], fee=1000, extra=[TxOut(1000, OP_RETURN + push(b"burnt"))]))]


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
    for attempt in range(rng.randint(1, 3)):
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
    """One parent and one child, the parent below the least feerate or not; also in the mempool already, or in conflict."""
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
    dust = rng.choice(
        [TxOut(0, KINDS["anchor"]), TxOut(239, KINDS["anchor"]), TxOut(1, KINDS["wsh"]), TxOut(329, KINDS["tr"])]
    )
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
        steps.append(rng.choice([Send(again), Package((parent, again))]))
    if rng.random() < 0.3:
        steps += [Mine(rng.randrange(3)), *([Invalidate(1)] if rng.random() < 0.6 else [])]
        steps.append(Send(draft([others[1]], ["wsh"], rate=2000, version=version)))
    return steps


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


@family(6)
def weight(rng: Random, coins: list[Coin], world: World) -> list[Step]:
    """Transactions at the limits of weight and signature checks."""
    kind = rng.randrange(4)
    if kind == 0:
        target = rng.choice([99_999, 100_000, 100_001])
        return [Send(sized([coins[0]], ["wsh"], target, rate=1000, version=rng.choice([1, 2])))]
    if kind == 1:
        count = rng.choice([1, 10, 66, 100, 199, 200, 201])
        outs = [TxOut(600, multisig(1, POINT, OTHER, POINT))] * count
        return [Send(draft([coins[0]], ["wsh"], rate=rng.choice([100, 1000, 10_000]), extra=outs))]
    if kind == 2:
        first = sized([coins[0]], ["wsh"] * 2, 60_000, rate=1000)
        second = sized(coins_of(first)[:1], ["wsh"], rng.choice([40_999, 41_000, 41_001]), rate=1000)
        third = draft(coins_of(first)[1:], ["wsh"], rate=1000)
        return [Send(first), Send(second), Send(third)]
    first = sized([coins[0]], ["wsh"] * 2, 60_000, rate=0)
    second = sized(coins_of(first)[:1], ["wsh"], rng.choice([40_998, 41_000, 41_002]), rate=1000)
    return [Package((first, second)), Try((first, second))]


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
    all_of_them = draft([coin for coin in coins_of(wide)[: len(txs)]], ["wsh"], fee=1_000_000)
    return [Send(wide), Mine(rng.randrange(3)), *[Send(tx) for tx in txs], Send(all_of_them)]


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


def _dust_limit(script: bytes) -> int:
    segwit = len(script) in range(4, 43) and script[0] in (0, *range(0x51, 0x61)) and script[1] == len(script) - 2
    return (8 + 1 + len(script) + (67 if segwit else 148)) * 3


def _fee_guess(tx: Tx, coins: Sequence[Coin], made: Sequence[Tx]) -> int:
    known = {coin.outpoint: coin.amount for coin in [*coins, *[c for other in made for c in coins_of(other)]]}
    return sum(known[spent.outpoint] for spent in tx.inputs) - sum(out.amount_sat for out in tx.outputs)
