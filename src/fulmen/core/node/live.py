"""A machine in memory: its newest state, and what the node remembers about it between runs."""

from __future__ import annotations

from typing import Any

from fulmen.core.base.machine import Address
from fulmen.core.base.mount import Mount, no_checks, no_needs, no_view
from fulmen.core.base.outer import Want

NEVER: Any = object()
"""The settled state of a machine that no run has settled yet."""


class Kind:
    """A mount, with what the node wants to know of it at every step looked up once, and its machines in memory."""

    __slots__ = ("checks", "decide", "lulls", "machines", "mount", "needs", "shows")

    def __init__(self, mount: Mount) -> None:
        self.mount = mount
        self.decide = mount.decide
        self.checks = None if mount.checks is no_checks else mount.checks
        self.needs = None if mount.needs is no_needs else mount.needs
        self.shows = mount.view is not no_view
        self.lulls = mount.lulls
        self.machines: dict[bytes, Live] = {}

    def marked(self, state: Any, reason: str | None) -> Any:
        """The state as it shows that it is frozen; as it was, if it cannot even show that."""
        try:
            return self.mount.frozen(state, reason)
        except Exception:
            return state


class Live:
    """One machine. The node is the only one who changes it."""

    __slots__ = (
        "address",
        "awoken",
        "born",
        "frozen",
        "kept",
        "kind",
        "over",
        "settled",
        "state",
        "touched",
        "view_name",
        "wants",
        "wrote",
    )

    def __init__(self, kind: Kind, address: Address, state: Any) -> None:
        self.kind = kind
        self.address = address
        self.state = state
        self.frozen: str | None = None
        self.wants: tuple[Want, ...] = ()
        self.view_name: str | None = _view_name(address) if kind.shows else None
        self.settled: Any = NEVER
        """The state as the last run left it."""
        self.touched = False
        """It had an event in this run."""
        self.wrote = False
        """It has durable facts in this run."""
        self.kept = False
        """It has durable facts at all."""
        self.over = False
        """It has ended."""
        self.born = False
        """It came into memory in this run."""
        self.awoken = False
        """It came from the cold store in this run."""


def _view_name(address: Address) -> str:
    """The name under which a machine's view is found (`Views`)."""
    return f"{address.kind}:{address.key.hex()}" if address.key else address.kind
