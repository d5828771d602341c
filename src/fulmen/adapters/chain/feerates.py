"""What it costs to be mined in time: the source's estimates, within our own floor and cap."""

from __future__ import annotations

from decimal import Decimal
from typing import TypeVar

import msgspec

from fulmen.adapters.chain.dialects import Dialect
from fulmen.adapters.chain.faults import ChainSourceFault, SourceRefused
from fulmen.adapters.chain.rpc_client import Call, RpcClient
from fulmen.core.base.env import Feerates
from fulmen.core.base.policy import FeeratePolicy
from fulmen.core.base.units import FeeratePerKw
from fulmen.core.bitcoin.networks import Network

T = TypeVar("T")

URGENT_BLOCKS = 2
OPENING_BLOCKS = 6
COMMITMENT_BLOCKS = 6
CLOSING_BLOCKS = 12
SLOW_BLOCKS = 100
FALLBACK_PER_KW = FeeratePerKw(2500)
"""10 sat/vB, where nobody has an estimate yet."""
REGTEST_FALLBACK_PER_KW = FeeratePerKw(1000)
MOST_BELIEVED_BTC_PER_KVB = Decimal(1)
"""A larger estimate is a mistake or a lie (10 million satoshis per 100 bytes)."""


class _Smart(msgspec.Struct):
    feerate: Decimal | None = None


class _MempoolInfo(msgspec.Struct):
    mempoolminfee: Decimal = Decimal(0)


async def estimated(
    client: RpcClient, dialect: Dialect, network: Network, policy: FeeratePolicy, last: Feerates | None
) -> Feerates:
    """Estimates for what we do; where the source has none, the last ones, or a fallback.

    Raises:
        ChainSourceFault: the source could not be asked.
    """
    targets = (URGENT_BLOCKS, OPENING_BLOCKS, COMMITMENT_BLOCKS, CLOSING_BLOCKS, SLOW_BLOCKS)
    answers = await _ask(client, dialect, targets)
    floor = max(policy.floor_per_kw, await _mempool_floor(client, dialect))
    last = last if last is not None else without_a_source(network, policy)
    kept = (last.urgent_per_kw, last.opening_per_kw, last.commitment_per_kw, last.closing_per_kw, last.slow_per_kw)
    return _within([old if new is None else new for new, old in zip(answers, kept, strict=True)], floor, policy)


def without_a_source(network: Network, policy: FeeratePolicy) -> Feerates:
    """What stands until a source has said anything: the fallback, within floor and cap."""
    fallback = FALLBACK_PER_KW if network.is_real else REGTEST_FALLBACK_PER_KW
    return _within([fallback] * 5, policy.floor_per_kw, policy)


def _within(wanted: list[FeeratePerKw], floor: FeeratePerKw, policy: FeeratePolicy) -> Feerates:
    urgent, opening, commitment, closing, slow = [
        FeeratePerKw(min(max(each, floor), policy.cap_per_kw)) for each in wanted
    ]
    return Feerates(
        floor_per_kw=FeeratePerKw(min(floor, policy.cap_per_kw)),
        commitment_per_kw=commitment,
        opening_per_kw=opening,
        closing_per_kw=closing,
        urgent_per_kw=max(urgent, opening),
        slow_per_kw=min(slow, closing),
    )


def per_kw(btc_per_kvb: Decimal | None) -> FeeratePerKw | None:
    """Bitcoins per 1000 virtual bytes as satoshis per 1000 weight units, rounded up; None for what cannot be."""
    # A NaN is a Decimal, too, and raises where it is compared.
    if btc_per_kvb is None or not (btc_per_kvb.is_finite() and 0 < btc_per_kvb <= MOST_BELIEVED_BTC_PER_KVB):
        return None
    sat_per_kvb = int(btc_per_kvb.scaleb(8).to_integral_value(rounding="ROUND_CEILING"))
    return FeeratePerKw(-(-sat_per_kvb // 4))


async def _ask(client: RpcClient, dialect: Dialect, wanted: tuple[int, ...]) -> list[FeeratePerKw | None]:
    targets = [min(target, dialect.furthest_estimate) for target in wanted]
    if dialect.smart_fee:
        calls: list[Call] = [("estimatesmartfee", (target, "CONSERVATIVE")) for target in targets]
        smart = await client.batch(_Smart, calls)
        known = [_known(answer) for answer in smart]
        return [None if answer is None else per_kw(answer.feerate) for answer in known]
    plain = await client.batch(Decimal, [("estimatefee", (target,)) for target in targets])
    return [per_kw(_known(answer)) for answer in plain]


def _known(answer: T | ChainSourceFault) -> T | None:
    """An answer; None when the source has none (it says so by an error)."""
    if isinstance(answer, SourceRefused):
        return None
    if isinstance(answer, ChainSourceFault):
        raise answer
    return answer


async def _mempool_floor(client: RpcClient, dialect: Dialect) -> FeeratePerKw:
    if not dialect.mempool_minimum:
        return FeeratePerKw(0)
    info = await client.call(_MempoolInfo, "getmempoolinfo")
    return per_kw(info.mempoolminfee) or FeeratePerKw(0)
