"""Two lanes, each a process with daemons of its own, take room after room until all is played.

What failed is played once more at the end, alone and on daemons of its own: it tells a fault from the haste of a
machine with ten daemons on two cores. It never counts as plain green.
"""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import tempfile
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import groupby
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from pathlib import Path
from types import FrameType
from typing import Any

from fulmen.lab.signals import end_like_ctrl_c
from fulmen.lab.waiting import Deviation
from interop.columns import COLUMNS
from interop.lab import Lab
from interop.ports import Ports
from interop.results import Cell, Outcome, Outcomes, Verdict, cells_of

LANES = 2
MOST_SECOND_TRIES = 8
"""Where more than these fail, nothing is played again: that is no haste."""
LAST_FRAMES = 8

Key = tuple[str, str, str]
Told = Callable[[Cell, Outcome], None]


class TookTooLong(Exception):
    """A scenario has a limit, and passed it."""


def play(cells: Sequence[Cell], told: Told, lanes: int = LANES) -> Outcomes:
    """Play all of them, and once more what failed; each outcome is told as it comes."""
    home = Path(tempfile.mkdtemp(prefix="fulmen-lab-"))
    outcomes = _play_once(cells, told, lanes, home / "first")
    failed = [cell for cell in cells if outcomes[cell.key].verdict is Verdict.FAILED]

    def told_again(cell: Cell, outcome: Outcome) -> None:
        if outcome.verdict is Verdict.GREEN:
            outcome = replace(outcome, verdict=Verdict.SECOND_TRY)
        again[cell.key] = outcome
        told(cell, outcome)

    again: Outcomes = {}
    if 0 < len(failed) <= MOST_SECOND_TRIES:
        _play_once(failed, told_again, 1, home / "second")
    outcomes |= again
    if all(outcome.verdict is Verdict.GREEN for outcome in outcomes.values()):
        shutil.rmtree(home, ignore_errors=True)
    return outcomes


def _play_once(cells: Sequence[Cell], told: Told, lanes: int, home: Path) -> Outcomes:
    by_key = {cell.key: cell for cell in cells}
    units = deque(
        [cell.key for cell in unit] for _, unit in groupby(cells, key=lambda cell: (cell.key[0], cell.key[1]))
    )
    outcomes: Outcomes = {}
    lock = threading.Lock()
    spawn = multiprocessing.get_context("spawn")
    running: list[SpawnProcess] = []

    def drive(number: int) -> None:
        ours, theirs = spawn.Pipe()
        lane = spawn.Process(target=_lane, args=(home / str(number), theirs))
        lane.start()
        running.append(lane)
        theirs.close()
        try:
            while True:
                with lock:
                    unit = units.popleft() if units else None
                ours.send(unit)
                if unit is None:
                    break
                for key in unit:
                    outcome = ours.recv()
                    with lock:
                        outcomes[key] = outcome
                        told(by_key[key], outcome)
        except (EOFError, OSError):
            # The lane is gone: what it had in hand was not played.
            pass
        lane.join()

    drivers = [threading.Thread(target=drive, args=(number,), daemon=True) for number in range(lanes)]
    for driver in drivers:
        driver.start()
    try:
        for driver in drivers:
            driver.join()
    except KeyboardInterrupt:
        # They stop their daemons, and end.
        for lane in running:
            lane.terminate()
        for lane in running:
            lane.join()
        raise
    for key, cell in by_key.items():
        if key not in outcomes:
            outcomes[key] = Outcome(Verdict.FAILED, words="its lane ended before it was played")
            told(cell, outcomes[key])
    return outcomes


def _lane(home: Path, orders: Connection) -> None:
    """One lane: daemons stay up as long as the column stays the same and nothing fails."""
    # Who is told to stop lets the daemons end, too.
    end_like_ctrl_c()
    cells = {cell.key: cell for cell in cells_of(COLUMNS)}
    ports = Ports()
    lab: Lab | None = None
    open_column = ""
    opened = 0
    try:
        while unit := orders.recv():
            for key in unit:
                cell = cells[key]
                began = time.monotonic()
                try:
                    if lab is None or open_column != cell.column.key:
                        if lab is not None:
                            lab.close()
                        opened += 1
                        lab, open_column = None, cell.column.key
                        lab = cell.column.open(home / f"{cell.column.key}-{opened}", ports)
                    lab.differed = False
                    with _Limit(cell.scenario.limit_s):
                        cell.scenario.play(lab)
                        lab.tidy()
                    if lab.differed and cell.column.key not in cell.scenario.differs:
                        raise Deviation("it was seen to differ, and the row does not say how")
                    outcome = Outcome(Verdict.GREEN, time.monotonic() - began, differed=lab.differed)
                except Exception as wrong:
                    outcome = Outcome(Verdict.FAILED, time.monotonic() - began, _story(wrong, lab))
                    if lab is not None:
                        lab.close()
                    lab = None
                orders.send(outcome)
            if lab is not None:
                lab = _rested(lab)
    except (KeyboardInterrupt, EOFError, BrokenPipeError):
        pass
    finally:
        if lab is not None:
            lab.close()


def _rested(lab: Lab) -> Lab | None:
    """The lab with nobody awake whom the next room does not need; none if somebody does not stop."""
    try:
        lab.rest()
    except Exception as wrong:
        print(f"a lab begins anew: {wrong}", flush=True)
        lab.close()
        return None
    return lab


class _Limit:
    """A scenario that takes longer is interrupted wherever it stands."""

    def __init__(self, seconds: int) -> None:
        self._seconds = seconds

    def __enter__(self) -> None:
        signal.signal(signal.SIGALRM, self._ring)
        signal.alarm(self._seconds)

    def __exit__(self, *_error: object) -> None:
        signal.alarm(0)

    def _ring(self, _number: int, _frame: FrameType | None) -> Any:
        raise TookTooLong(f"more than {self._seconds} s")


def _story(wrong: Exception, lab: Lab | None) -> str:
    """What went wrong, where in the scenario, and what everybody said last."""
    frames = traceback.extract_tb(wrong.__traceback__)[-LAST_FRAMES:]
    where = "\n".join(f"  {os.path.relpath(frame.filename)}:{frame.lineno}: {frame.line}" for frame in frames)
    said = f"{type(wrong).__name__}: {wrong}\n{where}"
    return said if lab is None else f"{said}\n{lab.tails()}"
