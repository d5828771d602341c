"""Single transactions: their amounts, scripts, witnesses, bytes and sizes."""

from __future__ import annotations

from random import Random

from fulmen.core.base.ids import OutPoint, Txid
from fulmen.core.bitcoin.opcodes import OP_CHECKSIG, OP_RETURN
from fulmen.core.bitcoin.script import multisig, push
from fulmen.core.bitcoin.transaction import Tx
from interop.twin.coins import KINDS, OTHER, POINT, SAFE, WRONGS, Coin, coins_of, out, padding, pay, spend
from interop.twin.drafts import RATES, draft, sized
from interop.twin.families.registry import family
from interop.twin.steps import (
    Block,
    Mine,
    Package,
    Send,
    Step,
    Try,
    World,
)


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
            out(0, OP_RETURN + b"\x4c"),
            out(rng.choice([0, 1000]), OP_RETURN),
            out(1000, b""),
            out(1000, multisig(rng.choice([1, 2, 3]), POINT, OTHER, POINT)),
            out(1000, multisig(1, POINT, OTHER, POINT, OTHER)),
            out(1000, b"\x60" + push(bytes(rng.choice([2, 40, 41])))),
            out(1000, b"\x00" + push(bytes(rng.choice([19, 20, 32, 33])))),
            out(1000, b"\x51" + push(bytes(rng.choice([2, 31, 32, 33])))),
            out(rng.choice([239, 240, 241, 0]), KINDS["anchor"]),
            out(1000, push(POINT) + OP_CHECKSIG),
            out(1000, push(bytes(33)) + OP_CHECKSIG),
            out(1000, b"\x4b"),
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
            return [Send(good, raw=Tx(2, good.inputs, (out(amount, KINDS["wsh"]),)).serialize().hex())]
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
            small = spend([coin], [out(coin.amount - 5000, KINDS["anchor"])])
            return [Send(small), Send(spend([coin], [out(0, OP_RETURN + b"\x00" * rng.randint(0, 6))]))]
        case 13:
            return [Send(good, ceiling=rng.choice([0.00001, 0.0001, 0.1, None, 1, 0.99999999, 2]))]
        case 14:
            return [Send(draft([coin], ["wsh"], fee=9_000_000), ceiling=rng.choice([None, 0.1, 0.5, 0]))]
        case _:
            return [Send(draft([coin], ["wsh"], fee=1000, extra=[out(1000, OP_RETURN + push(b"burnt"))]))]


@family(6)
def weight(rng: Random, coins: list[Coin], world: World) -> list[Step]:
    """Transactions at the limits of weight and signature checks."""
    kind = rng.randrange(4)
    if kind == 0:
        target = rng.choice([99_999, 100_000, 100_001])
        return [Send(sized([coins[0]], ["wsh"], target, rate=1000, version=rng.choice([1, 2])))]
    if kind == 1:
        count = rng.choice([1, 10, 66, 100, 199, 200, 201])
        outs = [out(600, multisig(1, POINT, OTHER, POINT))] * count
        return [Send(draft([coins[0]], ["wsh"], rate=rng.choice([100, 1000, 10_000]), extra=outs))]
    if kind == 2:
        first = sized([coins[0]], ["wsh"] * 2, 60_000, rate=1000)
        second = sized(coins_of(first)[:1], ["wsh"], rng.choice([40_999, 41_000, 41_001]), rate=1000)
        third = draft(coins_of(first)[1:], ["wsh"], rate=1000)
        return [Send(first), Send(second), Send(third)]
    first = sized([coins[0]], ["wsh"] * 2, 60_000, rate=0)
    second = sized(coins_of(first)[:1], ["wsh"], rng.choice([40_998, 41_000, 41_002]), rate=1000)
    return [Package((first, second)), Try((first, second))]


def _dust_limit(script: bytes) -> int:
    segwit = len(script) in range(4, 43) and script[0] in (0, *range(0x51, 0x61)) and script[1] == len(script) - 2
    return (8 + 1 + len(script) + (67 if segwit else 148)) * 3
