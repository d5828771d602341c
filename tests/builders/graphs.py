"""Graphs for path finding: small ones by hand, random ones by seed, and the recorded mainnet."""

from __future__ import annotations

import csv
import lzma
import random
from collections.abc import Iterable, Iterator
from pathlib import Path

from fulmen.core.base.ids import ChannelId, NodeId, ShortChannelId, scid
from fulmen.core.base.units import BlockHeight, Msat
from fulmen.core.routing.edges import EdgeChannel, EdgePolicy
from fulmen.core.routing.requests import FEES_ONLY, FirstHop, RouteRequest, Weights

SAMPLE = Path(__file__).parent.parent / "vectors" / "routing" / "mainnet_2026-02-03_sample.csv"
BTC = 100_000_000_000


def a_node(number: int) -> NodeId:
    """The node of this number; ids sort as numbers do."""
    return NodeId(b"\x02" + number.to_bytes(32, "big"))


def a_policy(
    base: int = 0, ppm: int = 0, cltv: int = 40, minimum: int = 0, maximum: int = BTC, enabled: bool = True
) -> EdgePolicy:
    return EdgePolicy(base, ppm, cltv, minimum, maximum, enabled)


def a_channel(
    number: int,
    one: int,
    two: int,
    forth: EdgePolicy | None = None,
    back: EdgePolicy | None = None,
    capacity: int | None = BTC,
) -> EdgeChannel:
    """Channel `number` between two nodes: `forth` is the policy from `one` to `two`, `back` the other way."""
    policies = (forth, back) if one < two else (back, forth)
    low, high = sorted((one, two))
    return EdgeChannel(scid(100, number, 0), a_node(low), a_node(high), capacity, policies)


def a_request(
    source: int,
    destination: int,
    amount: int = 1_000_000,
    first_hops: Iterable[tuple[int, int, int]] | None = None,
    weights: Weights = FEES_ONLY,
    **more: object,
) -> RouteRequest:
    """A request at height 800000; `first_hops` are (channel number, peer, spendable)."""
    hops = None
    if first_hops is not None:
        hops = tuple(a_first_hop(number, peer, spendable) for number, peer, spendable in first_hops)
    settings: dict[str, object] = {
        "source": a_node(source),
        "destination": a_node(destination),
        "amount_msat": Msat(amount),
        "height": BlockHeight(800_000),
        "first_hops": hops,
        "weights": weights,
        **more,
    }
    return RouteRequest(**settings)  # type: ignore[arg-type]


def a_first_hop(number: int, peer: int, spendable: int) -> FirstHop:
    return FirstHop(ChannelId(number.to_bytes(32, "big")), scid(100, number, 0), a_node(peer), Msat(spendable))


def a_random_graph(seed: int, nodes: int = 30, channels: int = 80) -> list[EdgeChannel]:
    """Channels with random policies, some of them off, tight, or many between the same two nodes."""
    dice = random.Random(seed)

    def policy(capacity: int) -> EdgePolicy | None:
        if dice.random() < 0.1:
            return None
        return EdgePolicy(
            dice.choice((0, 0, 1, 1000, 5000)),
            dice.choice((0, 1, 100, 1000, 20_000)),
            dice.choice((34, 40, 80, 144)),
            dice.choice((0, 1, 1000, 200_000)),
            dice.choice((capacity, capacity // 2, capacity // 10)),
            dice.random() > 0.1,
        )

    made = []
    for number in range(channels):
        one, two = dice.sample(range(nodes), 2)
        capacity = dice.choice((100_000, 1_000_000, 10_000_000)) * dice.randint(1, 20)
        made.append(a_channel(number, one, two, policy(capacity), policy(capacity), capacity))
    return made


def recorded(path: Path = SAMPLE) -> Iterator[EdgeChannel]:
    """The channels of a recorded graph; node numbers become `a_node`s, channel numbers short channel ids."""
    with lzma.open(path, "rt") if path.suffix == ".xz" else path.open() as file:
        for line in csv.DictReader(file):
            values = {name: int(value or 0) for name, value in line.items()}
            forth, back = (
                EdgePolicy(
                    values[f"base{side}"],
                    values[f"ppm{side}"],
                    values[f"cltv{side}"],
                    values[f"hmin{side}"],
                    values[f"hmax{side}"],
                )
                if values[f"enabled{side}"]
                else None
                for side in (1, 2)
            )
            capacity = values["capacity_sat"] * 1000
            made = a_channel(0, values["node1"], values["node2"], forth, back, capacity)
            yield made.but(scid=ShortChannelId(values["chan"]))
