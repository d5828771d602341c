"""Finding again what a seed can spend: after a restore from its words, or when something seems to be missing."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from fulmen.api.commands.shown import shown_hash
from fulmen.api.errors import BadParameter
from fulmen.api.handle import NodeHandle
from fulmen.api.registry import Permission, command
from fulmen.core.base.record import Record
from fulmen.core.base.units import BlockHeight


class RescanRequest(Record):
    """From where on."""

    start_height: Annotated[int, Meta(description="the first block to look at; the chain's first without it", ge=0)] = 0


class RescanAnswer(Record, kw_only=True):
    """What was found, told and new alike; coins are in `listfunds`."""

    start_height: int
    stop_height: int
    transactions: int
    """That pay to this wallet or spend from it."""
    lost_outputs: int
    """Balances of lost channels that are on their way to the wallet now."""
    lost_amount_msat: int
    """What arrives of them."""
    txids: tuple[str, ...]
    """The transactions that bring them."""


@command("rescan", permission=Permission.ADMIN, group="funds", help="Look through old blocks for coins of this seed.")
async def rescan(node: NodeHandle, request: RescanRequest) -> RescanAnswer:
    """Also for balances of channels that are lost; from then on each new block is searched for these as well."""
    if request.start_height > node.tip.height:
        raise BadParameter(f"The chain ends at block {node.tip.height}.", parameter="start_height")
    found = await node.rescan(BlockHeight(request.start_height))
    return RescanAnswer(
        start_height=request.start_height,
        stop_height=found.stop_height,
        transactions=found.transactions,
        lost_outputs=found.taken.outputs,
        lost_amount_msat=found.taken.amount_sat * 1000,
        txids=tuple([shown_hash(txid) for txid in found.taken.txids]),
    )
