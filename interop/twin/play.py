"""Play cases on all sides at once, and find where their answers part."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from fulmen.core.base.faults import Malformed
from fulmen.core.bitcoin.transaction import parse_tx
from interop.twin.blocks import base_blocks, make_block
from interop.twin.sides import Call, Side
from interop.twin.steps import (
    Ask,
    Block,
    Case,
    Clock,
    Invalidate,
    Mine,
    Package,
    Prioritise,
    Reconsider,
    Send,
    Try,
    World,
)
from interop.twin.verdicts import normal, reasons_in

PAYOUT = "raw(51)#8lvh9jxk"
"""Where mined blocks pay to."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One call, and two sides that do not agree."""

    call: Call
    side: str
    core: Any
    ours: Any

    def __str__(self) -> str:
        method, params = self.call
        path, core, ours = _where(self.core, self.ours)
        return f"{method} {_named(params)}{path}\n    core   {_short(core)}\n    {self.side:6} {_short(ours)}"


@dataclass(slots=True)
class Stage:
    """The sides, Core first, and what has been put to them."""

    sides: list[Side]
    asked: int = 0
    time: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    """What Core said, each as often as it said it."""
    invalidated: list[str] = field(default_factory=list)
    tape: list[tuple[Call, Any]] | None = None
    """What was asked of all, and how Core answered, if that is to be kept."""

    def both(self, calls: Sequence[Call]) -> Iterator[Difference]:
        """Put calls to all sides; gives what differs."""
        for side in self.sides:
            side.send(calls)
        core, *others = [side.receive() for side in self.sides]
        self.asked += len(calls)
        for at, call in enumerate(calls):
            expected = normal(call[0], core[at])
            self.reasons.update(reasons_in(call[0], expected))
            if self.tape is not None:
                self.tape.append((call, expected))
            for side, answers in zip(self.sides[1:], others, strict=True):
                found = normal(call[0], answers[at])
                if found != expected:
                    yield Difference(call, side.name, expected, found)

    def mine(self, by: int, count: int) -> Iterator[Difference]:
        """One side mines what it has; the others are handed the blocks."""
        miner = self.sides[by % len(self.sides)]
        # Else the same coinbase at the same time makes a block again that was ruled out.
        self.time += 1
        yield from self.both([("setmocktime", [self.time])])
        for block_hash in miner.ask("generatetodescriptor", count, PAYOUT):
            call: Call = ("submitblock", [miner.ask("getblock", block_hash, 0)])
            self.asked += 1
            if self.tape is not None:
                self.tape.append((call, None))
            for side in self.sides:
                if side is not miner and (refused := side.ask(*call[:1], *call[1])) is not None:
                    yield Difference(call, side.name, f"mined by {miner.name}", refused)

    def world(self) -> World:
        """Where Core's chain stands."""
        info = self.sides[0].ask("getblockchaininfo")
        return World(info["blocks"], info["mediantime"], self.time)


def begin(stage: Stage, start: int) -> list[Difference]:
    """Put the common chain under empty sides."""
    stage.time = start
    calls: list[Call] = [("submitblock", [raw.hex()]) for raw in base_blocks()]
    return [*stage.both(calls), *stage.both(CLOSING_CALLS)]


CLOSING_CALLS: list[Call] = [("getbestblockhash", []), ("getrawmempool", [])]
COINS_CALL: Call = ("gettxoutsetinfo", ["hash_serialized_3"])


def play(stage: Stage, case: Case) -> list[Difference]:
    """All steps of a case; ends at the first that tells the sides apart, and with a look at tips and mempools."""
    stage.invalidated = []
    waiting: list[Call] = []
    for step in case.steps:
        match step:
            case Send(ceiling=ceiling):
                more = [] if ceiling is None else [ceiling]
                waiting += [("testmempoolaccept", [[step.hex], *more]), ("sendrawtransaction", [step.hex, *more])]
            case Try(txs):
                waiting.append(("testmempoolaccept", [[tx.serialize().hex() for tx in txs], 0]))
            case Package(txs, ceiling):
                more = [] if ceiling is None else [ceiling]
                waiting.append(("submitpackage", [[tx.serialize().hex() for tx in txs], *more]))
            case Prioritise(txid, delta):
                waiting.append(("prioritisetransaction", [txid[::-1].hex(), 0, delta]))
            case Clock(seconds):
                stage.time += seconds
                waiting.append(("setmocktime", [stage.time]))
            case Ask(method, params):
                if "@tip" in params:
                    if found := [*stage.both(waiting)]:
                        return found
                    waiting, tip = [], stage.sides[0].ask("getbestblockhash")
                    params = tuple(tip if given == "@tip" else given for given in params)
                waiting.append((method, list(params)))
            case Mine(by, count):
                if found := [*stage.both([*waiting, *CLOSING_CALLS])] or [*stage.mine(by, count)]:
                    return found
                waiting = []
            case _:
                if found := [*stage.both([*waiting, *CLOSING_CALLS])]:
                    return found
                waiting = list(_on_the_spot(stage, step))
    return [*stage.both([*waiting, *CLOSING_CALLS])]


def _on_the_spot(stage: Stage, step: Block | Invalidate | Reconsider) -> Iterator[Call]:
    """The calls of a step that depends on where the chain stands."""
    core = stage.sides[0]
    match step:
        case Block():
            tip = core.ask("getblockheader", core.ask("getbestblockhash"))
            for _ in range(step.below):
                tip = core.ask("getblockheader", tip["previousblockhash"])
            raw = make_block(
                bytes.fromhex(tip["hash"])[::-1],
                tip["height"] + 1,
                tip["mediantime"],
                stage.time,
                step.txs,
                defect=step.defect,
            )
            yield "submitblock", [raw.hex()]
            if step.again:
                yield "submitblock", [raw.hex()]
        case Invalidate(depth):
            block_hash = core.ask("getblockhash", core.ask("getblockcount") - depth + 1)
            stage.invalidated.append(block_hash)
            yield "invalidateblock", [block_hash]
        case Reconsider():
            for block_hash in stage.invalidated:
                yield "reconsiderblock", [block_hash]


def _named(params: Any) -> str:
    """Parameters to read: transactions by their beginnings."""
    match params:
        case str() if len(params) > 64:
            try:
                tx = parse_tx(bytes.fromhex(params))
            except (Malformed, ValueError):
                return f"{params[:40]}…({len(params) // 2} bytes)"
            return f"<tx {tx.txid[::-1].hex()[:12]} v{tx.version} {tx.vsize} vB>"
        case list():
            return f"[{', '.join(_named(each) for each in params)}]"
    return str(params)


def _where(core: Any, ours: Any) -> tuple[str, Any, Any]:
    """The first place at which two answers part, and what stands there."""
    if isinstance(core, dict) and isinstance(ours, dict):
        for key in [*core, *[key for key in ours if key not in core]]:
            if core.get(key, "(nothing)") != ours.get(key, "(nothing)"):
                path, one, other = _where(core.get(key, "(nothing)"), ours.get(key, "(nothing)"))
                return f" .{key}{path}", one, other
    if isinstance(core, list) and isinstance(ours, list) and len(core) == len(ours):
        for at, both in enumerate(zip(core, ours, strict=True)):
            if both[0] != both[1]:
                path, one, other = _where(*both)
                return f" [{at}]{path}", one, other
    return "", core, ours


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) < 1500 else f"{text[:700]} … {text[-700:]}"
