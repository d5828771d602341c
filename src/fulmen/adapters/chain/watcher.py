"""Follow a chain source, and tell the node's machines what they wanted to know of it, in order.

Blocks come one by one from where the node stood, reorgs as `ChainRewound`, unconfirmed spends as soon as the source
has them. A source that is away, slow or talks nonsense is asked again, ever less often, and `troubled` is told.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Iterable, Sequence

from fulmen.adapters.chain.faults import AnotherChain, BlockUnreadable, ChainSourceFault, SourceLied, SourceWarmingUp
from fulmen.adapters.chain.source import ChainSource, TipStatus
from fulmen.core.base.faults import Malformed
from fulmen.core.base.ids import BlockHash, OutPoint, Txid
from fulmen.core.base.outer import (
    Block,
    WantHeight,
    WantMempoolWatch,
    WantPublished,
    WantScriptWatch,
    WantSpendWatch,
    WantTxWatch,
)
from fulmen.core.base.units import BlockHeight
from fulmen.core.bitcoin.transaction import parse_tx
from fulmen.core.node.batch import WantsChanged
from fulmen.core.node.watching import Addressed, ChainBlock, ChainTx, Rescan, Wanted, WatchMatcher, chain_tx

POLL_S = 1.0
FIRST_RETRY_S = 0.1
LONGEST_RETRY_S = 10.0
TIPS_KEPT = 2016
CACHED_BYTES = 8_000_000
SURPRISING_DEPTH = 6
"""A longer reorg is only believed of a source that says it has caught up, and that has other blocks instead."""
RESCANNED_AT_ONCE = 20
FETCHED_AT_ONCE = 2000
HELD_AT_ONCE = 100
"""Unconfirmed transactions, of 400 kB at most."""
MAX_CONTRADICTIONS = 5

Deliver = Callable[[Sequence[Addressed], Block], Awaitable[None]]


class ChainWatcher:
    """The node's eyes on one chain.

    Args:
        passed: the last blocks whose news the node has on disk, lowest first; empty for a node that has seen none: it
            begins at the source's tip.
        deliver: gets events and the tip at which they are true. Also called, without events, for every new tip.
        blocks: gets every block that joins the chain, before its events (gossip looks for spent funding outputs).
        troubled: gets the fault when the source begins to fail or fails differently, and None when it is well again;
            also a block that cannot be read (`BlockUnreadable`), which is watched by its txids.
        behind: gets True when more blocks are missing than the next one, and False when the tip is reached; a watcher
            is behind from the start.
    """

    def __init__(
        self,
        source: ChainSource,
        passed: Sequence[Block],
        deliver: Deliver,
        *,
        poll_s: float = POLL_S,
        blocks: Callable[[ChainBlock], None] = lambda _block: None,
        troubled: Callable[[ChainSourceFault | None], None] = lambda _fault: None,
        behind: Callable[[bool], None] = lambda _behind: None,
    ) -> None:
        self._source = source
        self._deliver = deliver
        self._poll_s = poll_s
        self._blocks = blocks
        self._troubled = troubled
        self._say_behind = behind
        self._behind = True
        self._matcher: WatchMatcher | None = None
        self._changes: deque[WantsChanged] = deque()
        self._wake = asyncio.Event()
        self._passed: deque[Block] = deque(passed, maxlen=TIPS_KEPT)
        self._cache: OrderedDict[Block, ChainBlock] = OrderedDict()
        self._cached_bytes = 0
        self._owed: deque[Rescan] = deque()
        self._mempool: dict[Txid, None] = {}
        self._mempool_spends: dict[OutPoint, Txid] = {}
        self._fault = ""

    @property
    def tip(self) -> Block | None:
        """Where we stand; None on a node's first day, before the source was asked."""
        return self._passed[-1] if self._passed else None

    def wants_changed(self, change: WantsChanged) -> None:
        """Machines want something else now. What is true of it already is told at once."""
        added, removed = tuple(filter(_of_the_chain, change.added)), tuple(filter(_of_the_chain, change.removed))
        if added or removed:
            self._changes.append(WantsChanged(added, removed))
        if any(map(self._cannot_wait, added)):
            self._wake.set()

    def look(self) -> None:
        """Ask the source now instead of at the next poll."""
        self._wake.set()

    async def run(self) -> None:
        """Watch until cancelled.

        Raises:
            WrongNetwork: the source is on another chain.
        """
        retry_s = FIRST_RETRY_S
        while True:
            self._wake.clear()
            try:
                await self.step()
            except ChainSourceFault as fault:
                self._say(fault)
                await asyncio.sleep(retry_s)
                retry_s = min(2 * retry_s, LONGEST_RETRY_S)
                continue
            self._say(None)
            retry_s = FIRST_RETRY_S
            if not self._owed:
                await self._sleep()

    async def step(self) -> None:
        """Look once: wants, blocks, a slice of the blocks owed to new wants, the mempool.

        Raises:
            ChainSourceFault: the source failed; nothing was lost, and the next step goes on from here.
            WrongNetwork: the source is on another chain.
        """
        matcher = self._matcher if self._matcher is not None else await self._begin()
        await self._apply_changes(matcher)
        status = await self._source.tip(with_mempool=matcher.watches_scripts or not self._source.asks_spenders)
        if status.hash != matcher.tip.hash:
            await self._follow(matcher, status.hash)
        self._set_behind(False)
        await self._rescan(matcher)
        await self._look_into_mempool(matcher, status)

    def _cannot_wait(self, wanted: Wanted) -> bool:
        """True unless it is a height that has not come: every HTLC has one, and the source is not asked for each.

        What waits in the mempool was seen there just now.
        """
        want = wanted[1]
        if isinstance(want, WantMempoolWatch):
            return False
        return not (isinstance(want, WantHeight) and self.tip is not None and want.height > self.tip.height)

    def _set_behind(self, behind: bool) -> None:
        if behind != self._behind:
            self._behind = behind
            self._say_behind(behind)

    async def _sleep(self) -> None:
        try:
            async with asyncio.timeout(self._poll_s):
                await self._wake.wait()
        except TimeoutError:
            pass

    def _say(self, fault: ChainSourceFault | None) -> None:
        name = "" if fault is None else fault.name
        if name != self._fault:
            self._fault = name
            self._troubled(fault)

    async def _begin(self) -> WatchMatcher:
        tip = await self._source.check()
        if not self._passed:
            self._passed.append(tip)
        self._matcher = WatchMatcher(self._passed[-1])
        await self._deliver([], self._matcher.tip)
        return self._matcher

    async def _apply_changes(self, matcher: WatchMatcher) -> None:
        while self._changes:
            change = self._changes[0]
            events, rescans = matcher.change(change.added, change.removed)
            self._changes.popleft()
            self._owe_no_more(change.removed)
            self._owed.extend(rescans)
            for _, want in change.added:
                # Looked at again, for the sake of who wants to know it now.
                if isinstance(want, WantSpendWatch) and (known := self._mempool_spends.get(want.outpoint)):
                    self._mempool.pop(known, None)
                    del self._mempool_spends[want.outpoint]
            if events:
                await self._deliver(events, matcher.tip)

    def _owe_no_more(self, removed: tuple[Wanted, ...]) -> None:
        """Old blocks are not fetched for what nobody wants to know any more."""
        if not removed or not self._owed:
            return
        gone = dict.fromkeys(removed, True)
        left = [Rescan(o.first, o.last, tuple([each for each in o.wants if each not in gone])) for o in self._owed]
        self._owed = deque([owed for owed in left if owed.wants])

    async def _follow(self, matcher: WatchMatcher, wanted: BlockHash) -> None:
        """From our tip to the source's, back first where the chain has turned."""
        contradictions = connected = 0
        while True:
            if await self._source.hash_at(matcher.tip.height) != matcher.tip.hash:
                await self._go_back(matcher)
                continue
            height = BlockHeight(matcher.tip.height + 1)
            following = await self._source.hash_at(height)
            if following is None:
                return
            block = await self._fetch(Block(height, following))
            if block.previous != matcher.tip.hash:
                # The chain turned between two questions. A source that says so again and again is not sane.
                contradictions += 1
                if contradictions > MAX_CONTRADICTIONS:
                    raise SourceLied("the blocks of the source do not stand on each other", height=height)
                continue
            connected += 1
            if connected > 1:
                self._set_behind(True)
            events = matcher.connect(block)
            self._passed.append(matcher.tip)
            unread = [seen.txid for seen in block.txs if seen.tx is None]
            if unread:
                self._troubled(BlockUnreadable(height=height, transactions=len(unread), first=unread[0][::-1]))
            self._blocks(block)
            await self._deliver(events, matcher.tip)
            await self._apply_changes(matcher)
            if matcher.tip.hash == wanted:
                # Said at once: should the source fail at the question whether there is more, nothing known is missing.
                self._set_behind(False)

    async def _go_back(self, matcher: WatchMatcher) -> None:
        fork = await self._fork(matcher)
        if matcher.tip.height - fork.height > SURPRISING_DEPTH:
            await self._source.check()
            if await self._source.hash_at(BlockHeight(fork.height + 1)) is None:
                # After a power cut it may lack the blocks of hours. Nothing was undone, and it is as late as it was.
                raise SourceWarmingUp("the source has lost blocks that we have read", our_height=matcher.tip.height)
        while self._passed and self._passed[-1].height >= fork.height:
            self._passed.pop()
        self._passed.append(fork)
        self._mempool.clear()
        self._mempool_spends.clear()
        await self._deliver(matcher.rewind(fork), fork)

    async def _fork(self, matcher: WatchMatcher) -> Block:
        """The last block that our chain and the source's have in common.

        Raises:
            SourceWarmingUp: it has not come as far as the blocks that we know.
            AnotherChain: it has, and has none of them.
        """
        for passed in reversed(self._passed):
            if await self._source.hash_at(passed.height) == passed.hash:
                return passed
        block = self._passed[0] if self._passed else matcher.tip
        while block.height > 0:
            parent = await self._source.parent_of(block.hash)
            if parent is None:
                break
            block = Block(BlockHeight(block.height - 1), parent)
            if await self._source.hash_at(block.height) == parent:
                return block
        if await self._source.hash_at(block.height) is None:
            raise SourceWarmingUp("the source has not come as far as we are", our_height=matcher.tip.height)
        # To take this for a reorg would be to believe that everything of ours was undone.
        raise AnotherChain(
            "the source has none of the blocks that we have read",
            our_height=matcher.tip.height,
            from_height=block.height,
        )

    async def _fetch(self, block: Block) -> ChainBlock:
        found = self._cache.get(block)
        if found is None:
            found = await self._source.block(block.height, block.hash)
            self._cache[block] = found
            self._cached_bytes += _size(found)
            while self._cached_bytes > CACHED_BYTES and len(self._cache) > 1:
                self._cached_bytes -= _size(self._cache.popitem(last=False)[1])
        return found

    async def _rescan(self, matcher: WatchMatcher) -> None:
        """A slice of the blocks that passed before somebody wanted to know of them.

        They are read from the lowest on, once for all who want them: strangers decide how many begin at other heights.
        """
        looked_at = 0
        while self._owed and looked_at < RESCANNED_AT_ONCE:
            owed, later = _lowest(self._owed)
            last = min(owed.last, matcher.tip.height)
            upto = last if later is None else min(last, later - 1)
            wants = await self._still_to_find(owed.wants)
            height = owed.first
            while wants and height <= upto and looked_at < RESCANNED_AT_ONCE:
                block_hash = await self._source.hash_at(height)
                if block_hash is None:
                    # The chain became shorter: it is followed first.
                    return
                block = await self._fetch(Block(height, block_hash))
                events = matcher.scan(block, wants)
                if events:
                    await self._deliver(events, matcher.tip)
                height = BlockHeight(height + 1)
                looked_at += 1
            self._owed = deque(rescan for rescan in self._owed if rescan.first != owed.first)
            if wants and height <= last:
                self._owed.appendleft(Rescan(height, owed.last, wants))

    async def _still_to_find(self, wants: tuple[Wanted, ...]) -> tuple[Wanted, ...]:
        """Without those whose output stands unspent: nothing has happened to it."""
        left = []
        for address, want in wants:
            if not isinstance(want, WantSpendWatch) or await self._source.unspent(want.outpoint) is None:
                left.append((address, want))
        return tuple(left)

    async def _look_into_mempool(self, matcher: WatchMatcher, status: TipStatus) -> None:
        if status.mempool is not None and matcher.watches_scripts:
            await self._compare_mempool(matcher, status.mempool)
            return
        outpoints = matcher.watched_outpoints()
        if not outpoints:
            return
        spenders = await self._source.spenders(outpoints)
        if spenders is None:
            if status.mempool is not None:
                await self._compare_mempool(matcher, status.mempool)
            return
        news = [txid for outpoint, txid in spenders.items() if self._mempool_spends.get(outpoint) != txid]
        found = await self._source.transactions(list(dict.fromkeys(news)))
        # One that is gone meanwhile is asked for again if it is named again.
        told = {outpoint: txid for outpoint, txid in spenders.items() if txid in found or txid not in news}
        self._mempool_spends = told
        await self._tell_unconfirmed(matcher, found)

    async def _compare_mempool(self, matcher: WatchMatcher, present: tuple[Txid, ...]) -> None:
        still_there = set(present)
        gone = matcher.gone_from(still_there)
        if gone:
            await self._deliver(gone, matcher.tip)
        for txid in [txid for txid in self._mempool if txid not in still_there]:
            del self._mempool[txid]
        self._mempool_spends = {
            outpoint: txid for outpoint, txid in self._mempool_spends.items() if txid in still_there
        }
        news = [txid for txid in present if txid not in self._mempool][:FETCHED_AT_ONCE]
        # Slice by slice: somebody may have filled the mempool with the largest transactions that are relayed.
        for start in range(0, len(news), HELD_AT_ONCE):
            found = await self._source.transactions(news[start : start + HELD_AT_ONCE])
            await self._tell_unconfirmed(matcher, found)
            self._mempool |= dict.fromkeys(found)

    async def _tell_unconfirmed(self, matcher: WatchMatcher, found: dict[Txid, bytes]) -> None:
        readable: dict[Txid, ChainTx] = {}
        for raw in found.values():
            try:
                seen = chain_tx(parse_tx(raw))
            except Malformed:
                continue
            readable[seen.txid] = seen
            assert seen.tx is not None
            for spent in seen.tx.inputs:
                self._mempool_spends[spent.outpoint] = seen.txid
        events = matcher.unconfirmed(_parents_first(readable))
        if events:
            await self._deliver(events, matcher.tip)


_WANTS = (WantSpendWatch, WantTxWatch, WantScriptWatch, WantPublished, WantHeight, WantMempoolWatch)


def _of_the_chain(wanted: Wanted) -> bool:
    return isinstance(wanted[1], _WANTS)


def _lowest(owed: Iterable[Rescan]) -> tuple[Rescan, BlockHeight | None]:
    """All that begin at the lowest height, as one; and where the next begins. What is told twice changes nothing."""
    first = min(rescan.first for rescan in owed)
    together = [rescan for rescan in owed if rescan.first == first]
    wants = tuple([want for rescan in together for want in rescan.wants])
    later = min((rescan.first for rescan in owed if rescan.first != first), default=None)
    return Rescan(first, max(rescan.last for rescan in together), wants), later


def _parents_first(txs: dict[Txid, ChainTx]) -> list[ChainTx]:
    order: dict[Txid, ChainTx] = {}
    for start in txs.values():
        todo = [start]
        while todo:
            seen = todo[-1]
            assert seen.tx is not None
            parents = [
                txs[spent.outpoint.txid]
                for spent in seen.tx.inputs
                if spent.outpoint.txid in txs and spent.outpoint.txid not in order
            ]
            if parents and seen.txid not in order:
                todo.extend(parents)
            else:
                order[seen.txid] = seen
                todo.pop()
    return list(order.values())


def _size(block: ChainBlock) -> int:
    return sum(len(seen.raw) for seen in block.txs)
