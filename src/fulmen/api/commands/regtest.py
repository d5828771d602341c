"""The embedded chain of a regtest: blocks, coins and reorgs on command. Refused on every other chain."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from fulmen.api.commands.reading import script_called
from fulmen.api.errors import BadParameter, RpcError
from fulmen.api.handle import ChainControl, NodeHandle
from fulmen.api.registry import Permission, command
from fulmen.api.values import SatOrAll
from fulmen.core.base.record import Record
from fulmen.core.base.units import MAX_MONEY_SAT

MAX_BLOCKS = 10_000
ONE_BITCOIN = 100_000_000


class NotARegtest(RpcError):
    """This chain obeys nobody."""


class MineRequest(Record):
    """How many, and who gets the reward."""

    blocks: Annotated[int, Meta(description="how many blocks", ge=1, le=MAX_BLOCKS)] = 1
    address: Annotated[
        Annotated[str, Meta(max_length=128)] | None, Meta(description="who gets the reward; nobody's without it")
    ] = None


class BlocksAnswer(Record):
    """The new blocks, oldest first."""

    hashes: tuple[str, ...]


@command("mine", permission=Permission.DEV, group="regtest", help="Find blocks now.")
async def mine(node: NodeHandle, request: MineRequest) -> BlocksAnswer:
    """What is in the mempool goes into the first of them."""
    chain = _chain(node)
    if request.address is not None:
        script_called(node, request.address, "address")
    return BlocksAnswer(tuple(await chain.mine(request.blocks, request.address)))


class FaucetRequest(Record):
    """To whom and how much."""

    address: Annotated[str, Meta(description="who gets coins", max_length=128)]
    satoshi: Annotated[SatOrAll | None, Meta(description="how much; one bitcoin without it")] = None


class FaucetAnswer(Record):
    """The transaction, in the mempool: `mine` confirms it."""

    txid: str


@command("faucet", permission=Permission.DEV, group="regtest", help="Get coins out of nothing.")
async def faucet(node: NodeHandle, request: FaucetRequest) -> FaucetAnswer:
    """`all` is no amount of a faucet."""
    sat = ONE_BITCOIN if request.satoshi is None else request.satoshi.sat
    if sat is None or not 0 < sat <= MAX_MONEY_SAT:
        raise BadParameter("A faucet gives an amount, not `all` and not nothing.", parameter="satoshi")
    chain = _chain(node)
    script_called(node, request.address, "address")
    return FaucetAnswer(await chain.faucet(request.address, sat))


class ReorgRequest(Record):
    """How deep."""

    depth: Annotated[int, Meta(description="how many blocks to undo", ge=1, le=144)] = 1


@command("reorg", permission=Permission.DEV, group="regtest", help="Undo blocks, and find one more than that instead.")
async def reorg(node: NodeHandle, request: ReorgRequest) -> BlocksAnswer:
    """The transactions of the undone blocks return to the mempool."""
    return BlocksAnswer(tuple(await _chain(node).reorg(request.depth)))


def _chain(node: NodeHandle) -> ChainControl:
    control = node.chain_control
    if control is None:
        raise NotARegtest(
            f"The chain {node.network.name} cannot be told what to do; this works on the embedded regtest only."
        )
    return control
