"""What any chain daemon does for the lab: blocks and coins on command, and reorgs.

No wallet is asked for: blocks pay to a script that anybody can spend (the hash of `OP_1`), so a coin of it needs no
signature, and the lab gives coins away with transactions that it writes itself.
"""

from __future__ import annotations

import socket
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Protocol

from fulmen.core.base.ids import OutPoint, Txid
from fulmen.core.base.units import Sat
from fulmen.core.bitcoin.address import address_of, script_of
from fulmen.core.bitcoin.networks import REGTEST, Network
from fulmen.core.bitcoin.script import p2wsh
from fulmen.core.bitcoin.transaction import Tx, TxIn, TxOut
from fulmen.lab.http_json import Unanswered, ask
from fulmen.lab.programs import Process, Program
from fulmen.lab.waiting import Deviation, until

ANYONE = b"\x51"
"""OP_1: a witness script that is true for everybody."""
RIPE_AFTER = 100
FIRST_BLOCKS = 120
FEE_SAT = 2_000
FULL_SEQUENCE = 0xFFFFFFFE
USER, PASSWORD = "lab", "lab"


class Ports(Protocol):
    """Where a daemon gets its ports from."""

    def take(self) -> int:
        """One that nobody listens on."""


class ChainRefused(Exception):
    """The daemon answers a call with an error."""

    def __init__(self, method: str, error: Mapping[str, Any]) -> None:
        super().__init__(f"{method}: {error.get('message')} ({error.get('code')})")
        self.code = int(error.get("code", 0))
        self.words = str(error.get("message", ""))


@dataclass(frozen=True)
class _Coin:
    outpoint: OutPoint
    sat: int
    ripe_at: int


class ChainDaemon(ABC):
    """One process of a chain daemon, which may live several times."""

    name: str
    """As it stands in its column."""
    dialect: str
    """What our nodes are told it is."""
    network: Network = REGTEST

    def __init__(self, home: Path, ports: Ports) -> None:
        home.mkdir(parents=True, exist_ok=True)
        self.home = home
        self.port = ports.take()
        self.process = self._process()
        self._coins: deque[_Coin] = deque()
        self._scanned = 0
        self._reorgs = 0

    @abstractmethod
    def _process(self) -> Process:
        """How it is started, with `USER` and `PASSWORD` at `self.port`."""

    def mine(self, blocks: int = 1) -> None:
        """Find blocks that pay to `self.anyone`."""
        self.mine_to(self.anyone, blocks)

    def mine_to(self, address: str, blocks: int = 1) -> None:
        """Find blocks that pay to an address."""
        self.call("generatetoaddress", blocks, address)

    # ---- life ----------------------------------------------------------------------------------

    def start(self) -> None:
        """Start it, and wait until it answers.

        Raises:
            Deviation: it ended, or somebody else has its port.
        """
        if _is_listened_on(self.port):
            raise Deviation(f"{self.name} cannot listen on port {self.port}: somebody else does")
        self.process.launch()
        self._await_start()

    def _await_start(self) -> None:
        until(self._answers, f"{self.name} answers", 60)

    def _answers(self) -> bool:
        # Whoever answers when it has ended is somebody else.
        self.process.check_alive()
        try:
            self.call("getblockcount")
        except (Unanswered, ChainRefused):
            return False
        return True

    def twin(self, home: Path, ports: Ports) -> ChainDaemon:
        """Another one of its kind, not started yet."""
        return type(self)(home, ports)

    def open(self) -> None:
        """Start it for the first time, with coins to give away."""
        self.start()
        self.mine(FIRST_BLOCKS)

    @property
    def url(self) -> str:
        """Where its RPC is."""
        return f"http://127.0.0.1:{self.port}"

    def settings(self) -> dict[str, str]:
        """What a node of ours is started with to use it."""
        return {
            "chain.url": self.url,
            "chain.user": USER,
            "chain.password": PASSWORD,
            "chain.dialect": self.dialect,
        }

    # ---- calls ---------------------------------------------------------------------------------

    def call(self, method: str, *params: Any) -> Any:
        """One RPC call.

        Raises:
            ChainRefused: with the daemon's own words.
            Unanswered
        """
        body = {"jsonrpc": "1.0", "id": 0, "method": method, "params": list(params)}
        answer = ask(self.port, "POST", "/", body, login=f"{USER}:{PASSWORD}")
        if not isinstance(answer, dict):
            raise Unanswered(f"{method} answers {answer!r}")
        if answer.get("error"):
            raise ChainRefused(method, answer["error"])
        return answer["result"]

    @property
    def height(self) -> int:
        """Of its tip."""
        return int(self.call("getblockcount"))

    def mempool(self) -> list[str]:
        """What is unconfirmed."""
        return list(self.call("getrawmempool"))

    def transaction(self, txid: str) -> dict[str, Any]:
        """A transaction, in a block or not, with all that the daemon says of it."""
        return dict(self.call("getrawtransaction", txid, 1))

    # ---- blocks --------------------------------------------------------------------------------

    @property
    def anyone(self) -> str:
        """The address that blocks pay to."""
        return address_of(p2wsh(ANYONE), self.network)

    def mine_with(self, txid: str) -> None:
        """Wait for a transaction to be in the mempool, then find the block that holds it."""
        until(lambda: txid in self.mempool(), f"{txid} reaches the mempool of {self.name}")
        self.mine()

    def mine_empty(self, address: str) -> None:
        """Find a block with nothing in it but its reward, which goes to an address."""
        self.call("generateblock", address, [])

    def reorganize(self, depth: int, *, empty: int = 0) -> None:
        """Undo blocks, and find one more than that instead, with what was in them; the first so many stay empty.

        So soon after many blocks a block's time is the median time past and one second: with the same content it would
        be the block that was undone, and is invalid now. So each reorg begins with a block that pays to another script.
        """
        first = self.call("getblockhash", self.height - depth + 1)
        self.call("invalidateblock", first)
        self._reorgs += 1
        address = address_of(p2wsh(self._reorgs.to_bytes(4, "big")), self.network)
        for at in range(max(depth + 1, empty)):
            if at < empty:
                self.mine_empty(address)
            else:
                self.mine_to(self.anyone if at else address)

    # ---- coins ---------------------------------------------------------------------------------

    def give(self, sat_of: Mapping[str, int]) -> str:
        """Coins for addresses, in the mempool; the txid."""
        needed = sum(sat_of.values()) + FEE_SAT
        coin = self._coin(needed)
        outputs = [TxOut(Sat(sat), script_of(address, self.network)) for address, sat in sat_of.items()]
        outputs.append(TxOut(Sat(coin.sat - needed), p2wsh(ANYONE)))
        tx = Tx(2, (TxIn(coin.outpoint, b"", FULL_SEQUENCE, (ANYONE,)),), tuple(outputs), 0)
        self.call("sendrawtransaction", tx.serialize().hex())
        self._coins.appendleft(_Coin(OutPoint(tx.txid, len(outputs) - 1), coin.sat - needed, 0))
        return tx.txid[::-1].hex()

    def take(self, sat: int) -> tuple[OutPoint, Sat]:
        """A coin of at least this much, in a block, for whoever shows `ANYONE`; it is not given away again."""
        coin = self._coin(sat)
        if self.call("gettxout", coin.outpoint.txid[::-1].hex(), coin.outpoint.vout, False) is None:
            self.mine()
        return coin.outpoint, Sat(coin.sat)

    def _coin(self, needed: int) -> _Coin:
        """A coin of blocks that is ripe, or what was left of one, no longer ours."""
        height = self.height
        while self._scanned < height - RIPE_AFTER:
            self._scanned += 1
            block = self.call("getblock", self.call("getblockhash", self._scanned), 1)
            coinbase = self.transaction(block["tx"][0])
            for output in coinbase["vout"]:
                if output["scriptPubKey"]["hex"] == p2wsh(ANYONE).hex():
                    outpoint = OutPoint(Txid(bytes.fromhex(coinbase["txid"])[::-1]), int(output["n"]))
                    self._coins.append(_Coin(outpoint, int(Decimal(output["value"]) * 100_000_000), self._scanned))
        for coin in list(self._coins):
            if coin.sat >= needed:
                self._coins.remove(coin)
                # Whoever gave coins before us, in an earlier life of this chain, may have spent it.
                if not coin.ripe_at or self.call("gettxout", coin.outpoint.txid[::-1].hex(), coin.outpoint.vout, True):
                    return coin
        raise ChainRefused("give", {"message": "no coin is large enough", "code": 0})


class Embedded(ChainDaemon):
    """A `fulmen chain`."""

    name = "the embedded chain"
    dialect = "embedded"

    def _process(self) -> Process:
        words = ("chain", "--port", str(self.port), "--rpcuser", USER, "--rpcpassword", PASSWORD)
        return Program(self.name, ("--dir", str(self.home), *words), self.home / "chain.log")

    def _await_start(self) -> None:
        self.process.line_with(" listens on http")


class Bitcoind(ChainDaemon):
    """A bitcoind; `program` is its command line, up to where its own arguments begin."""

    name = "bitcoind"
    dialect = "core"
    program: tuple[str, ...] = ("bitcoind",)

    def __init__(
        self,
        home: Path,
        ports: Ports,
        *more: str,
        listen: bool = False,
        chain: str = "regtest",
        program: Sequence[str] = (),
    ) -> None:
        self._more = more
        self._chain = chain
        if program:
            self.program = tuple(program)
        self.p2p = ports.take() if listen else 0
        super().__init__(home, ports)

    def _process(self) -> Process:
        peers = (f"-port={self.p2p}", "-bind=127.0.0.1", "-listen=1") if self.p2p else ("-listen=0",)
        command = (
            *(*self.program, f"-{self._chain}", f"-datadir={self.home}", "-server", *peers),
            *(f"-rpcuser={USER}", f"-rpcpassword={PASSWORD}", f"-rpcport={self.port}"),
            *("-txindex", "-blockfilterindex=1", "-dbcache=16", "-maxmempool=20"),
            *("-rpcworkqueue=256", "-rpcthreads=16"),
            *("-dnsseed=0", "-fixedseeds=0", "-discover=0", "-nodebuglogfile", "-printtoconsole", *self._more),
        )
        return Process(self.name, command, self.home / "bitcoind.log")


def _is_listened_on(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
