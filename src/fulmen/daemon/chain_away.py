"""A chain that is not there when the node starts: whoever boots a machine starts both at once, and one is slower.

Waited for is what comes right by itself. A password that is wrong, or another network, is said at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog

from fulmen.adapters.chain.faults import SourceTimedOut, SourceUnreachable, SourceWarmingUp
from fulmen.api.errors import sentence_of
from fulmen.core.base.faults import Refused
from fulmen.daemon.complaints import Complaint

log = structlog.get_logger("chain")
T = TypeVar("T")

RETRY_S = 1.0


class NoChain(Refused):
    """No chain source is named."""


class ChainNotRunning(NoChain):
    """No chain source is named, and no embedded chain runs where one would be looked for."""


AWAY = (ChainNotRunning, SourceUnreachable, SourceTimedOut, SourceWarmingUp)
"""What may be over in a moment."""


async def await_chain(reach: Callable[[], Awaitable[T]], wait_s: float) -> T:
    """What `reach` gives, once the chain is there.

    Args:
        reach: one attempt; it is made at once, and then every second.
        wait_s: how long that may go on; 0: one attempt.

    Raises:
        Fault: the chain did not come in time, or cannot be asked for a reason that no waiting mends.
    """
    loop = asyncio.get_running_loop()
    until = loop.time() + wait_s
    said = ""
    complaint = Complaint(lambda seconds: log.warning("still waiting for the chain", why=said, seconds=round(seconds)))
    try:
        while True:
            try:
                reached = await reach()
            except AWAY as fault:
                if loop.time() + RETRY_S > until:
                    raise
                if (why := sentence_of(fault)) != said:
                    said = why
                    log.warning("waiting for the chain", why=said, seconds_left=round(until - loop.time()))
                    complaint.begin()
            else:
                if said:
                    log.info("the chain is there")
                return reached
            await asyncio.sleep(RETRY_S)
    finally:
        complaint.end()
