"""The node itself: who it is, what it charges for haste, and how to stop it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

import fulmen
from fulmen.api.commands.peers import peers_of
from fulmen.api.commands.shown import Endpoint, channels_of, endpoint_of
from fulmen.api.handle import NodeHandle
from fulmen.api.registry import REGISTRY, Permission, command
from fulmen.api.schema import schema_of
from fulmen.core.base.record import Record
from fulmen.core.channel.state import Phase
from fulmen.core.commitments.close import EARNINGS
from fulmen.core.switch.earnings import Earnings


class GetInfo(Record):
    """Nothing to say."""


class Info(Record, kw_only=True):
    """Who this node is and how it stands."""

    id: str
    alias: str
    color: str
    num_peers: int
    """Connected ones."""
    num_pending_channels: int
    """Being opened."""
    num_active_channels: int
    """In order, whether their peers are here or away."""
    num_inactive_channels: int
    """Closing, or frozen."""
    address: tuple[Endpoint, ...]
    """What our `node_announcement` says."""
    binding: tuple[Endpoint, ...]
    """Where we listen."""
    version: str
    blockheight: int
    network: str
    fees_collected_msat: int
    """By passing on payments, over all time."""
    directory: str = msgspec.field(name="lightning-dir")
    warning_bitcoind_sync: str | None = None
    """What is wrong with the chain source; without it nothing is."""
    warning_lightningd_sync: str | None = None
    """That blocks are still to be read."""


@command("getinfo", permission=Permission.READ, group="node", help="Who this node is and how it stands.")
async def getinfo(node: NodeHandle, request: GetInfo) -> Info:
    """`color` follows from the node id, as in Core Lightning."""
    shown = list(channels_of(node))
    active = sum(channel.phase is Phase.NORMAL and not (channel.frozen or channel.closes) for channel, _ in shown)
    pending = sum(1 for channel, _ in shown if channel.phase < Phase.NORMAL)
    return Info(
        id=node.node_id.hex(),
        alias=node.alias,
        color=node.node_id[:3].hex(),
        num_peers=sum(1 for peer in peers_of(node) if peer.ready),
        num_pending_channels=pending,
        num_active_channels=active,
        num_inactive_channels=len(shown) - active - pending,
        address=tuple(map(endpoint_of, node.announced)),
        binding=tuple(Endpoint(_kind(host), host, port) for host, port in node.addresses),
        version=f"fulmen-{fulmen.__version__}",
        blockheight=node.tip.height,
        network=node.network.name,
        fees_collected_msat=sum(channel.fees_earned_msat for channel, _ in shown) + _earned_before(node),
        directory=node.directory,
        warning_bitcoind_sync=node.chain_trouble or None,
        warning_lightningd_sync="Still reading the chain." if node.reading_chain else None,
    )


def _earned_before(node: NodeHandle) -> int:
    """By channels that are over."""
    earnings = node.state(EARNINGS)
    return earnings.total_msat if isinstance(earnings, Earnings) else 0


def _kind(host: str) -> str:
    if host.endswith(".onion"):
        return "torv3"
    return "ipv6" if ":" in host else "ipv4"


class FeeratesRequest(Record):
    """In which unit."""

    style: Annotated[
        Literal["perkw", "perkb"], Meta(description="satoshi per 1000 weight units, or per 1000 virtual bytes")
    ] = "perkw"


class FeerateTable(Record, kw_only=True):
    """What the chain asks for, with our floor and cap applied."""

    opening: int
    mutual_close: int
    unilateral_close: int
    urgent: int
    """The next two blocks or so."""
    normal: int
    """The next twelve."""
    slow: int
    """The next hundred."""
    floor: int
    """What the mempool still takes; as the feerate of a command it is called minimum."""
    min_acceptable: int
    max_acceptable: int


class FeeratesAnswer(Record, omit_defaults=True):
    """One table, named by its unit."""

    perkw: FeerateTable | None = None
    perkb: FeerateTable | None = None


@command("feerates", permission=Permission.READ, group="node", help="What the chain asks for a place in a block.")
async def feerates(node: NodeHandle, request: FeeratesRequest) -> FeeratesAnswer:
    """One virtual byte has four weight units."""
    times = 4 if request.style == "perkb" else 1
    rates, limits = node.feerates, node.policy.feerates
    table = FeerateTable(
        opening=rates.opening_per_kw * times,
        mutual_close=rates.closing_per_kw * times,
        unilateral_close=rates.commitment_per_kw * times,
        urgent=rates.urgent_per_kw * times,
        normal=rates.closing_per_kw * times,
        slow=rates.slow_per_kw * times,
        floor=rates.floor_per_kw * times,
        min_acceptable=limits.floor_per_kw * times,
        max_acceptable=limits.cap_per_kw * times,
    )
    return FeeratesAnswer(perkb=table) if request.style == "perkb" else FeeratesAnswer(perkw=table)


class CountersRequest(Record):
    """Nothing to say."""


class CountersAnswer(Record):
    """Since the start."""

    counters: dict[str, int]


@command("counters", permission=Permission.READ, group="node", help="What the node has counted since it started.")
async def counters(node: NodeHandle, request: CountersRequest) -> CountersAnswer:
    """How much work its payments were: divide by them to see what one costs."""
    return CountersAnswer(dict(node.counters))


class HelpRequest(Record):
    """About which command."""

    command: Annotated[str | None, Meta(description="one command; all of them without it")] = None


class CommandHelp(Record):
    """One command in a line, and its schema when asked for alone."""

    command: str
    group: str
    permission: str
    description: str
    schema: dict[str, Any] | None = None


class HelpAnswer(Record):
    """All that was asked for."""

    help: tuple[CommandHelp, ...]


@command("help", permission=Permission.READ, group="node", help="What can be asked, and how.")
async def help_(node: NodeHandle, request: HelpRequest) -> HelpAnswer:
    """Every command in a line, or one with its JSON schema."""
    if request.command is not None:
        one = REGISTRY.get(request.command)
        return HelpAnswer((CommandHelp(one.name, one.group, one.permission.value, one.help, schema_of(one)),))
    return HelpAnswer(tuple(CommandHelp(one.name, one.group, one.permission.value, one.help) for one in REGISTRY))


class StopRequest(Record):
    """Nothing to say."""


class StopAnswer(Record):
    """Said before the socket closes."""

    result: str


@command("stop", permission=Permission.ADMIN, group="node", help="Stop the node gracefully.")
async def stop(node: NodeHandle, request: StopRequest) -> StopAnswer:
    """Channels stay open; what is under way is finished or resumed at the next start."""
    node.stop()
    return StopAnswer("Shutdown begun")
