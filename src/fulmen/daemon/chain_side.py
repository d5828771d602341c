"""The node's side of its chain source: news in, transactions out, prices, and where funding outputs are looked up."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from functools import partial

import structlog

from fulmen.adapters.chain.echo import Echo
from fulmen.adapters.chain.faults import BlockUnreadable, ChainSourceFault
from fulmen.adapters.chain.feerates import without_a_source
from fulmen.adapters.chain.oversight import Alarm, Oversight
from fulmen.adapters.chain.publisher import Publisher
from fulmen.adapters.chain.source import ChainSource, Published
from fulmen.adapters.chain.watcher import ChainWatcher
from fulmen.core.base.env import Feerates
from fulmen.core.base.faults import Fault
from fulmen.core.base.ids import Txid
from fulmen.core.base.machine import Address, Event
from fulmen.core.base.outer import Block, WantPublished
from fulmen.core.base.policy import FeeratePolicy
from fulmen.core.bitcoin.networks import Network
from fulmen.core.bitcoin.transaction import parse_tx
from fulmen.core.node import Freeze, WantsChanged
from fulmen.core.node.tips import ADDRESS as CHAIN
from fulmen.core.node.tips import BlockRead
from fulmen.core.node.watching import Addressed, ChainBlock
from fulmen.daemon.complaints import Complaint

log = structlog.get_logger("chain")

FEERATES_S = 30.0
FIRST_RETRY_S = 1.0
LONGEST_RETRY_S = 10.0
"""Of publishing, while the source fails."""
OVERSEEN_EVERY = 30
"""How many looks at the tip there are to one at what else may be wrong."""
Complete = Callable[[WantPublished], bytes]


async def first_feerates(source: ChainSource, network: Network, policy: FeeratePolicy) -> Feerates:
    """What the source says, or the fallback: a node starts without an estimate as it goes on without one."""
    try:
        return await source.feerates()
    except ChainSourceFault as fault:
        log.info("no feerates, the fallback stands until there are some", fault=fault.name)
        return without_a_source(network, policy)


class ChainSide:
    """Everything that the daemon does with a chain source.

    `complete` is the key holder's: it puts the witnesses into what is to be published. `moved` hears of a new tip,
    `priced` of new feerates, `joined` of every block that joins the chain, `behind` of blocks that are yet to be read.
    `oversight` is asked now and then what is wrong; `echo` is a second way to the miners.
    """

    def __init__(
        self,
        source: ChainSource,
        passed: Sequence[Block],
        post: Callable[[Address, Event], None],
        complete: Complete,
        *,
        poll_s: float,
        moved: Callable[[Block], None],
        priced: Callable[[Feerates], None],
        joined: Callable[[ChainBlock], None],
        behind: Callable[[bool], None],
        oversight: Oversight | None = None,
        echo: Echo | None = None,
    ) -> None:
        self._source = source
        self._post = post
        self._complete = complete
        self._moved = moved
        self._priced = priced
        self._poll_s = poll_s
        self._oversight = oversight
        self._echo = echo
        self._publisher = Publisher(source, echo.hand_over) if echo is not None else Publisher(source)
        self._published: dict[tuple[Address, WantPublished], Txid] = {}
        self._fresh: list[tuple[Address, Txid]] = []
        self._wake = asyncio.Event()
        self._all_again = False
        self._tip: Block | None = None
        self._trouble = ""
        self._alarms: dict[str, tuple[Alarm, Complaint]] = {}
        self._complaint = Complaint(self._still_troubled)
        self._watcher = ChainWatcher(
            source, passed, self._deliver, poll_s=poll_s, blocks=joined, troubled=self._troubled, behind=behind
        )

    # ---- what the daemon calls -----------------------------------------------------------------

    @property
    def trouble(self) -> str:
        """What is wrong with the source, or what a look at it from outside says, in words."""
        alarms = [f"{alarm.name}: {alarm.words}" for alarm, _ in self._alarms.values()]
        return "; ".join([self._trouble, *alarms] if self._trouble else alarms)

    def wants_changed(self, changed: WantsChanged) -> None:
        """Machines want something else of the chain."""
        self._watcher.wants_changed(changed)
        for address, want in changed.removed:
            if isinstance(want, WantPublished):
                txid = self._published.pop((address, want), None)
                if txid is not None:
                    self._publisher.drop(address, txid)
        for address, want in changed.added:
            if isinstance(want, WantPublished):
                self._take(address, want)

    async def run(self) -> None:
        """Watch, publish and ask for prices, until cancelled.

        Raises:
            WrongNetwork: the source is on another chain.
        """
        try:
            async with asyncio.TaskGroup() as work:
                work.create_task(self._watcher.run())
                work.create_task(self._publish())
                work.create_task(self._ask_prices())
                if self._oversight is not None:
                    work.create_task(self._oversee(self._oversight))
                if self._echo is not None:
                    work.create_task(self._echo.run())
        finally:
            for complaint in (self._complaint, *(each for _, each in self._alarms.values())):
                complaint.end()

    def look(self) -> None:
        """Ask the source now instead of at the next poll."""
        self._watcher.look()

    async def published(self, txid: Txid) -> Published:
        """Wait for what the source says to a transaction of ours."""
        return await self._publisher.outcome(txid)

    # ---- from the source -----------------------------------------------------------------------

    async def _deliver(self, events: Sequence[Addressed], tip: Block) -> None:
        moved = tip != self._tip
        if moved:
            self._tip = tip
            self._moved(tip)
            self._all_again = True
            self._wake.set()
        for address, event in events:
            self._post(address, event)
        if moved:
            self._post(CHAIN, BlockRead(tip))
        # The node runs before the next block is told, so that each is decided under its own tip.
        await asyncio.sleep(0)

    def _troubled(self, fault: ChainSourceFault | None) -> None:
        self._trouble = "" if fault is None else f"{fault.name}: {fault}"
        if fault is None:
            log.info("the chain source is well", seconds=round(self._complaint.end()))
            self._wake.set()
        else:
            log.warning("the chain source fails", fault=fault.name, why=str(fault))
            # One block that cannot be read is told once; all else goes on until it ends.
            if not isinstance(fault, BlockUnreadable):
                self._complaint.begin()

    def _still_troubled(self, seconds: float) -> None:
        log.warning("the chain source still fails", why=self._trouble, seconds=round(seconds))

    async def _oversee(self, oversight: Oversight) -> None:
        while True:
            self._alarmed({alarm.name: alarm for alarm in await oversight.look()})
            await asyncio.sleep(OVERSEEN_EVERY * self._poll_s)

    def _alarmed(self, alarms: dict[str, Alarm]) -> None:
        for name in [name for name in self._alarms if name not in alarms]:
            _, complaint = self._alarms.pop(name)
            log.info("a chain alarm is over", alarm=name, seconds=round(complaint.end()))
        for name, alarm in alarms.items():
            if name in self._alarms:
                self._alarms[name] = (alarm, self._alarms[name][1])
                continue
            log.error("chain alarm", alarm=name, why=alarm.words)
            complaint = Complaint(partial(self._still_alarmed, name))
            complaint.begin()
            self._alarms[name] = (alarm, complaint)

    def _still_alarmed(self, name: str, seconds: float) -> None:
        log.error("chain alarm goes on", alarm=name, why=self._alarms[name][0].words, seconds=round(seconds))

    # ---- to the source -------------------------------------------------------------------------

    def _take(self, address: Address, want: WantPublished) -> None:
        try:
            raw = self._complete(want)
        except Fault as fault:
            log.error("a transaction cannot be signed", name=want.name, machine=str(address), why=str(fault))
            # A channel that asks for this is broken; what others publish stands each alone, and goes on.
            if address.kind == "channel":
                self._post(address, Freeze(f"the key holder refused: {fault.name}: {fault}"))
            return
        txid = parse_tx(raw).txid
        self._published[address, want] = txid
        self._publisher.add(address, want.name, raw, want.parents)
        log.info("publishing", name=want.name, txid=txid[::-1].hex(), machine=str(address))
        self._fresh.append((address, txid))
        self._wake.set()

    async def _publish(self) -> None:
        retry_s = FIRST_RETRY_S
        while True:
            await self._wake.wait()
            self._wake.clear()
            fresh, self._fresh = self._fresh, []
            again, self._all_again = self._all_again, False
            try:
                for address, event in await self._publisher.publish(None if again else fresh):
                    self._post(address, event)
            except ChainSourceFault as fault:
                if retry_s == FIRST_RETRY_S:
                    log.warning("could not publish, trying until it works", fault=fault.name)
                self._all_again = True
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(retry_s):
                        await self._wake.wait()
                retry_s = min(2 * retry_s, LONGEST_RETRY_S)
                self._wake.set()
                continue
            if retry_s != FIRST_RETRY_S:
                log.info("publishing works again")
                retry_s = FIRST_RETRY_S
            self._watcher.look()

    async def _ask_prices(self) -> None:
        said = ""
        while True:
            try:
                self._priced(await self._source.feerates())
                said = ""
            except ChainSourceFault as fault:
                if fault.name != said:
                    log.info("no feerates, the last ones stay", fault=fault.name)
                said = fault.name
            await asyncio.sleep(FEERATES_S)
