"""What machines show to each other (`Env.views`): computed when somebody looks, from the newest state."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fulmen.core.node.live import Live


class Views(Mapping[str, object]):
    """`kind:key in hex` (or just `kind`, without a key) -> what that machine shows.

    A machine's step only marks its view as stale: nobody pays for a view that nobody reads.
    """

    def __init__(self) -> None:
        self._shown: dict[str, object] = {}
        self._stale: dict[str, Live] = {}
        self._failures: list[tuple[Live, Exception]] = []

    def changed(self, name: str, live: Live) -> None:
        """This machine's state is another now."""
        self._stale[name] = live

    def gone(self, name: str) -> None:
        """This machine is no longer in memory."""
        self._stale.pop(name, None)
        self._shown.pop(name, None)

    def failures(self) -> list[tuple[Live, Exception]]:
        """The machines whose view could not be computed since the last call: they show nothing, and are broken."""
        failures, self._failures = self._failures, []
        return failures

    def _refresh(self, name: str) -> None:
        live = self._stale.pop(name)
        try:
            seen = live.kind.mount.view(live.state)
        except Exception as error:  # the bug of one machine may not break the one that looks at it
            self._failures.append((live, error))
            seen = None
        if seen is None:
            self._shown.pop(name, None)
        else:
            self._shown[name] = seen

    def _refresh_all(self) -> None:
        for name in tuple(self._stale):
            self._refresh(name)

    def __getitem__(self, name: str) -> object:
        if name in self._stale:
            self._refresh(name)
        return self._shown[name]

    def __iter__(self) -> Iterator[str]:
        if self._stale:
            self._refresh_all()
        return iter(self._shown)

    def __len__(self) -> int:
        if self._stale:
            self._refresh_all()
        return len(self._shown)
