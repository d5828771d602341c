"""Sentences of BOLT 2 that many scripts quote: what is due when a peer breaks a rule."""

from __future__ import annotations

EITHER_FAILS = "MUST send a `warning` and close the connection, or send an `error` and fail the channel."
SHOULD_FAIL = "SHOULD send a `warning` and close the connection, or send an `error` and fail the channel."
