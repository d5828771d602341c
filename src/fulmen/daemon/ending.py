"""The end of a node: each part has a while for it, and one that does not end is named and left behind.

What matters for money is on disk before it is let go, so a part that hangs (a socket, a caller, a bug of ours) may not
keep its owner from stopping, and not the parts after it from ending as they should.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from types import CoroutineType
from typing import Any

import structlog

PATIENCE_S = 10.0

log = structlog.get_logger("daemon")


async def ends(part: str, step: Coroutine[Any, Any, None], patience_s: float = PATIENCE_S) -> bool:
    """Let a part end. False if it did not in time; then the log says where everything waits.

    Raises:
        whatever the step raises.
    """
    task = asyncio.get_running_loop().create_task(step)
    done, _ = await asyncio.wait((task,), timeout=patience_s)
    if done:
        task.result()
        return True
    waiting = [other for other in asyncio.all_tasks() if other is not asyncio.current_task()]
    log.critical("a part of the node does not end", part=part, tasks=[_where(other) for other in waiting])
    task.cancel()
    return False


def _where(task: asyncio.Task[Any]) -> str:
    """The lines that a task waits at, outermost first."""
    places = []
    coroutine: object = task.get_coro()
    while isinstance(coroutine, CoroutineType):
        frame = coroutine.cr_frame
        places.append(f"{coroutine.__qualname__}:{frame.f_lineno if frame is not None else 0}")
        coroutine = coroutine.cr_await
    return " > ".join(places)
