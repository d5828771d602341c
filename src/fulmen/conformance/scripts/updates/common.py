"""What BOLT 2 asks of a node whose peer breaks the rules of an update."""

from __future__ import annotations

EITHER_FAILS = "MUST send a `warning` and close the connection, or send an `error` and fail the channel."
SHOULD_FAIL = "SHOULD send a `warning` and close the connection, or send an `error` and fail the channel."
