"""Long lists: what is cold, page by page, and then what is live."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from fulmen.api.handle import NodeHandle
from fulmen.core.base.record import Record

R = TypeVar("R", bound=Record)
MAX_PAGES = 50
"""Of the store that one call looks through; a filter that matches little goes on with the next call."""
PAGE = 1000


async def listed(
    node: NodeHandle,
    kind: str,
    start: int,
    limit: int,
    row_of: Callable[[bytes, Any], R | None],
    wanted: Callable[[R], bool],
    *,
    over: str = "",
) -> tuple[list[R], int | None]:
    """At most `limit` rows of a kind of machine that are wanted, and where to go on; None when all were seen.

    `row_of` makes a row of a key and what stands under it; `over` is the kind of what is over, where it is another.

    What is over comes first, in the order in which it ended; what is still live stands at the end of the last page.
    """
    found: list[R] = []
    keys: set[bytes] = set()
    after: int | None = start or None
    # What ends while we read is in this or in a page, and in both it is one.
    live = node.states(kind)
    for _ in range(MAX_PAGES):
        page = await node.cold_page(over or kind, after, min(PAGE, limit - len(found)))
        for key, state in page.rows:
            keys.add(key)
            row = row_of(key, state)
            if row is not None and wanted(row):
                found.append(row)
        after = page.after
        if after is None:
            break
        if len(found) >= limit:
            return found, after
    if after is not None:
        return found, after
    present = node.states(kind)
    rest = (row_of(key, present.get(key, state)) for key, state in live.items() if key in present or key not in keys)
    return found + [row for row in rest if row is not None and wanted(row)], None
