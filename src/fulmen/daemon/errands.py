"""What the pathfinder wants done outside: frames to peers, funding outputs looked up, gossip of ours signed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from fulmen.adapters.chain.source import ChainSource
from fulmen.adapters.keys.in_process import InProcessKeys
from fulmen.core.base.faults import Fault
from fulmen.core.base.ids import NodeId, ShortChannelId, Signature
from fulmen.core.base.outer import HangUp
from fulmen.core.gossip.intake import FundingOutput
from fulmen.core.signer.announcing import SignAnnouncement
from fulmen.daemon.connections import Connections

log = structlog.get_logger("errands")

MAX_LOOKUPS = 4
"""Funding outputs that are asked of the chain source at once."""
MIN_DEPTH = 6
"""BOLT 7: a channel is announced "only once the funding transaction has at least six confirmations"."""


class Errands:
    """The daemon's side of the pathfinder."""

    def __init__(self, keys: InProcessKeys, connections: Connections, source: ChainSource) -> None:
        self._keys = keys
        self._connections = connections
        self._source = source
        self._turns = asyncio.Semaphore(MAX_LOOKUPS)
        self._tasks: set[asyncio.Task[None]] = set()
        self._trouble = ""
        """Why the last funding output could not be looked up; said once, for there may be thousands."""

    def send_frame(self, to: NodeId, frame: bytes) -> None:
        """Send a frame, type included."""
        self._connections.send_gossip(to, frame)

    def hang_up(self, to: NodeId, reason: str) -> None:
        """Close the connection to a peer."""
        self._connections.hang_up(HangUp(to, reason))

    def full_outboxes(self) -> tuple[NodeId, ...]:
        """Peers that cannot take more just now."""
        return self._connections.full_outboxes()

    def look_up(self, scid: ShortChannelId, found: Callable[[FundingOutput | None, bool], None]) -> None:
        """Find an unspent funding output."""
        task = asyncio.get_running_loop().create_task(self._look_up(scid, found))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _look_up(self, scid: ShortChannelId, found: Callable[[FundingOutput | None, bool], None]) -> None:
        async with self._turns:
            try:
                output = await self._source.funding_output(scid)
            except Fault as fault:
                if fault.name != self._trouble:
                    log.info("channels cannot be looked up", scid=scid, fault=fault.name, why=str(fault))
                self._trouble = fault.name
                found(None, True)
                return
            self._trouble = ""
        if output is None or output.confirmations < MIN_DEPTH:
            found(None, False)
        else:
            found(FundingOutput(output.outpoint, output.output.amount_sat, output.output.script_pubkey), False)

    def sign_gossip(
        self, request: SignAnnouncement, signed: Callable[[Signature | None, Signature | None], None]
    ) -> None:
        """Sign gossip of ours."""
        try:
            node, funding = self._keys.announce(request)
        except Fault as fault:
            log.error("the key holder refused to sign gossip", fault=fault.name, why=str(fault))
            signed(None, None)
            return
        signed(node, funding)
