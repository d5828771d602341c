"""The stage: one chain process, some node processes, a directory of its own, and a clean end whatever happens."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from demo.chain import Chain
from fulmen.api.socketpath import POINTER, socket_to_call
from fulmen.lab.nodes import QUICK, Node
from fulmen.lab.signals import deaf_to_ctrl_c
from fulmen.lab.waiting import Deviation


class Stage:
    """Everything that runs, and where it keeps its data."""

    node = Node
    """What kind of node plays."""

    def __init__(self, directory: Path | None = None, judge: str = "") -> None:
        # Socket paths have some hundred bytes, so the directory lies where its name is short.
        self.directory = Path(tempfile.mkdtemp(prefix="fulmen-")) if directory is None else directory
        self.chain = Chain(self.directory, judge)
        self.nodes: dict[str, Node] = {}
        self.keep = directory is not None
        """Whether the directory stays when the play is over."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with deaf_to_ctrl_c():
            self._leave(error)

    def _leave(self, error: BaseException | None) -> None:
        if error is None:
            self.close()
            return
        wrong = self._stop_all()
        if isinstance(error, KeyboardInterrupt):
            # Who is told to stop while it starts ends with a code of its own, and that is nobody's fault.
            self._remove()
            return
        for also in wrong:
            error.add_note(also)
        error.add_note(f"The logs are kept in {self.directory}.")

    # ---- players -------------------------------------------------------------------------------

    def open(self, settings: Mapping[str, Mapping[str, str]]) -> None:
        """Start the chain, then all nodes side by side: name -> its settings, on top of the quick ones."""
        self.chain.start()
        # Coins of a block ripen for a hundred more; a few of them are enough for everybody.
        self.chain.mine(110)
        for name, own in settings.items():
            self.add(name, own).launch()
        for node in self.nodes.values():
            node.ready()

    def add(self, name: str, settings: Mapping[str, str] | None = None) -> Node:
        """A node that is not started yet."""
        home = self.directory / name
        home.mkdir(mode=0o700)
        chain = {"chain.url": self.chain.url, "chain.cookie_file": str(self.chain.cookie_file)}
        node = self.nodes[name] = self.node(name, home, {**chain, **QUICK, **(settings or {})})
        return node

    def __getitem__(self, name: str) -> Node:
        return self.nodes[name]

    def running(self) -> list[Node]:
        """The nodes whose process is there."""
        return [node for node in self.nodes.values() if node.program.alive]

    # ---- scenes --------------------------------------------------------------------------------

    def mine(self, blocks: int = 1) -> None:
        """Find blocks, and wait until every node has read them."""
        self.chain.mine(blocks)
        self.caught_up()

    def caught_up(self) -> None:
        """Wait until every node has read the chain to its tip."""
        height = self.chain.height
        for node in self.running():
            node.caught_up(height)

    def give(self, sat_of: Mapping[str, int]) -> None:
        """Coins out of nothing, confirmed: node -> satoshi."""
        before = {name: self[name].coins_sat for name in sat_of}
        for name, sat in sat_of.items():
            self.chain.give(str(self[name].call("newaddr")["bech32"]), sat)
        self.mine()
        for name, sat in sat_of.items():
            self[name].await_coins(before[name] + sat)

    def fund(self, opener: str, other: str, sat: int, **more: Any) -> dict[str, Any]:
        """A channel on its way: the opener's answer."""
        self[opener].connect(self[other])
        return self[opener].call("fundchannel", id=self[other].id, amount=str(sat), **more)

    def lock_in(self, channels: Iterable[tuple[str, str, str]], blocks: int = 6) -> None:
        """Bury fundings, and wait until both ends can use each channel: (channel_id, one end, other end)."""
        self.mine(blocks)
        for channel_id, *ends in channels:
            for name in ends:
                self[name].await_usable(channel_id)

    def quiet(self) -> None:
        """Wait until no payment is under way anywhere."""
        for node in self.running():
            node.await_quiet()

    def close(self) -> None:
        """Stop all, nodes before the chain; remove the directory unless it is to be kept.

        Raises:
            Deviation: somebody did not stop, or ended with an error.
        """
        wrong = self._stop_all()
        if wrong:
            # Tests that share a stage end it after the last test of their process, whichever that is.
            raise Deviation("\n".join([f"The stage in {self.directory} did not end well:", *wrong]))
        self._remove()

    def _stop_all(self) -> list[str]:
        """What was wrong with it."""
        wrong: list[str] = []
        alive = self.running()
        for node in alive:
            node.program.ask_to_stop()
        for node in alive:
            wrong += _stopped(str(node), node.stop)
        if self.chain.program.alive:
            wrong += _stopped("the chain", self.chain.program.stop)
        return wrong

    def _remove(self) -> None:
        if self.keep:
            return
        for pointer in self.directory.glob(f"*/*/{POINTER}"):
            _remove_socket(socket_to_call(pointer.parent))
        shutil.rmtree(self.directory, ignore_errors=True)


def _remove_socket(path: Path) -> None:
    """That of a node whose data lies too deep for one; the directory that such sockets share, with the last of them."""
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)
        path.parent.rmdir()


def _stopped(name: str, stop: Any) -> list[str]:
    try:
        code = stop()
    except Deviation as why:
        return [str(why)]
    return [] if code == 0 else [f"{name} ended with code {code}"]
