"""The embedded chain as the story uses it: blocks and coins on command, and what each transaction really cost."""

from __future__ import annotations

import base64
import http.client
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

from demo.fees import FLOOR_PER_KW
from fulmen.core.bitcoin.transaction import Tx, parse_tx
from fulmen.lab.programs import Program
from fulmen.lab.waiting import Deviation, until

DIRECTORY = "chain"
"""Where `fulmen chain` keeps its data, under the directory that it is given."""
SAT = 100_000_000
SOON_BLOCKS = 6


@dataclass(frozen=True)
class Spending:
    """A transaction that spends an output, as the chain tells of it."""

    txid: str
    fee_sat: int
    outputs_sat: tuple[int, ...]
    inputs: tuple[tuple[str, int], ...]
    height: int
    tx: Tx
    feerate_per_kw: int
    """What the chain asked for a place in a block when this was looked up."""


class ChainRefused(Deviation):
    """The chain did not do what it was told."""


class Chain:
    """One chain process and its RPC."""

    def __init__(self, directory: Path, judge: str = "") -> None:
        self._home = directory
        self._judge = judge
        self.program = self._program(0)
        self._port = 0
        self._authorization = ""

    def _program(self, port: int) -> Program:
        words = ["--dir", str(self._home), "chain", "--port", str(port)]
        return Program(
            "the chain", [*words, *(["--judge", self._judge] if self._judge else [])], self._home / "chain.log"
        )

    @property
    def url(self) -> str:
        """Where nodes find it."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def cookie_file(self) -> Path:
        """What nodes log in with."""
        return self._home / DIRECTORY / ".cookie"

    @property
    def judge(self) -> str:
        """Who judges transactions and blocks."""
        return str(self.call("getnetworkinfo")["judge"])

    @property
    def height(self) -> int:
        """Of the tip."""
        return int(self.call("getblockcount"))

    @property
    def feerate_per_kw(self) -> int:
        """What it asks for a place in one of the next blocks, and never less than the floor."""
        per_kvb = _sat(self.call("estimatesmartfee", SOON_BLOCKS)["feerate"])
        return max(FLOOR_PER_KW, -(-per_kvb // 4))

    def start(self) -> None:
        """Start it and wait until it listens; after a first life, where it listened before."""
        if self._port:
            self.program = self._program(self._port)
        self.program.launch()
        self.program.line_with("listens on")
        self._port = int((self._home / DIRECTORY / "port").read_text())
        self._authorization = "Basic " + base64.b64encode(self.cookie_file.read_bytes()).decode()

    def call(self, method: str, *params: Any) -> Any:
        """One RPC call.

        Raises:
            ChainRefused: with the chain's own words.
        """
        body = msgspec.json.encode({"jsonrpc": "1.0", "id": 0, "method": method, "params": params})
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        try:
            connection.request("POST", "/", body, {"Authorization": self._authorization})
            # Amounts are read as decimals: a satoshi must not be lost on a float.
            answer = msgspec.json.decode(connection.getresponse().read(), type=_Answer)
        except (OSError, http.client.HTTPException, msgspec.DecodeError) as why:
            raise ChainRefused(f"the chain does not answer {method}: {why}") from why
        finally:
            connection.close()
        if answer.error is not None:
            raise ChainRefused(f"the chain refuses {method}: {answer.error.get('message')}")
        return msgspec.json.decode(answer.result, type=Any) if answer.result else None

    def give(self, address: str, sat: int) -> str:
        """Coins out of nothing, in the mempool; the txid."""
        return str(self.call("faucet", address, f"{sat // SAT}.{sat % SAT:08d}"))

    def mine(self, blocks: int) -> None:
        """Find blocks now."""
        self.call("mine", blocks)

    def reorganize(self, depth: int, *, empty_first: bool = False) -> None:
        """Undo blocks, and find one more than that instead; the first of them without what was in the mempool."""
        first = self.call("getblockhash", self.height - depth + 1)
        self.call("invalidateblock", first)
        if empty_first:
            self.call("generateblock", "raw(51)", [])
        self.mine(depth if empty_first else depth + 1)

    def transaction(self, txid: str) -> Spending:
        """A transaction of the chain or the mempool; its fee is what goes in less what comes out."""
        shape = until(lambda: self._known(txid), f"the transaction {txid[:8]} reaches the chain")
        outputs = tuple(_sat(output["value"]) for output in shape["vout"])
        # An unconfirmed transaction is shown without what it spends, as bitcoind shows it.
        paid = sum(self._amount_sat(each["txid"], each["vout"]) for each in shape["vin"])
        inputs = tuple((each["txid"], each["vout"]) for each in shape["vin"])
        height = self.height - shape["confirmations"] + 1 if "confirmations" in shape else 0
        tx = parse_tx(bytes.fromhex(shape["hex"]))
        return Spending(shape["txid"], paid - sum(outputs), outputs, inputs, height, tx, self.feerate_per_kw)

    def _known(self, txid: str) -> Any:
        try:
            return self.call("getrawtransaction", txid, 1)
        except ChainRefused as why:
            if "No such mempool" not in str(why):
                raise
            return None

    def _amount_sat(self, txid: str, output: int) -> int:
        return _sat(self.call("getrawtransaction", txid, 1)["vout"][output]["value"])

    def is_spent(self, txid: str, output: int) -> bool:
        """Whether an output of a confirmed transaction is spent, in a block or in the mempool."""
        return self.call("gettxout", txid, output, True) is None

    def spenders(self, txid: str) -> Iterator[tuple[int, Spending]]:
        """Who spent the outputs of a confirmed transaction, in blocks: (output, transaction)."""
        first = self.transaction(txid).height
        for height in range(first, self.height + 1):
            block = self.call("getblock", self.call("getblockhash", height), 2)
            for shape in block["tx"][1:]:
                for each in shape["vin"]:
                    if each["txid"] == txid:
                        yield each["vout"], self.transaction(shape["txid"])


class _Answer(msgspec.Struct):
    result: msgspec.Raw = msgspec.Raw(b"")
    error: dict[str, Any] | None = None


def _sat(bitcoins: float) -> int:
    return int(Decimal(str(bitcoins)).scaleb(8).to_integral_exact())
