"""btcd, which LND's Go modules bring along: another parser of blocks, and a dialect of its own."""

from __future__ import annotations

from fulmen.core.base.ids import BlockHash
from fulmen.core.base.units import BlockHeight, Sat
from fulmen.core.bitcoin.address import script_of
from fulmen.core.bitcoin.block import BlockHeader, WholeBlock, coinbase_tx, has_proof_of_work
from fulmen.core.bitcoin.transaction import TxOut
from fulmen.lab.chains import PASSWORD, USER, ChainDaemon, ChainRefused
from fulmen.lab.programs import Process
from interop.peers.lnd import GO

VERSION = 0x20000000
SEGWIT_HEIGHT = 450
"""Segwit is in force from 432 on."""


class Btcd(ChainDaemon):
    """A btcd."""

    name = "btcd 0.25"
    dialect = "btcd"

    def _process(self) -> Process:
        command = (
            *(str(GO.program("btcd")), "--regtest", f"--datadir={self.home}", f"--logdir={self.home}", "--nolisten"),
            *(f"--configfile={self.home / 'btcd.conf'}", "--notls", f"--rpclisten=127.0.0.1:{self.port}"),
            *(f"--rpcuser={USER}", f"--rpcpass={PASSWORD}", f"--miningaddr={self.anyone}", "--txindex"),
            *("--rpcmaxconcurrentreqs=256", "--rpcmaxclients=256", "--blockprioritysize=0"),
        )
        return Process(self.name, command, self.home / "btcd.log")

    def mine_to(self, address: str, blocks: int = 1) -> None:
        """Find blocks; they pay to the address that it was started with, and no two of them are alike."""
        self.call("generate", blocks)

    def mine_empty(self, address: str) -> None:
        """A block by hand: it has no call that leaves out what waits in its mempool."""
        tip = self.call("getblock", self.call("getbestblockhash"), 1)
        reward = TxOut(Sat(1_000), script_of(address, self.network))
        coinbase = coinbase_tx(BlockHeight(int(tip["height"]) + 1), (reward,), (), b"lab")
        previous, time, nonce = BlockHash(bytes.fromhex(tip["hash"])[::-1]), int(tip["time"]) + 1, 0
        while True:
            header = BlockHeader(VERSION, previous, coinbase.txid, time, self.network.pow_limit_bits, nonce)
            if has_proof_of_work(header, self.network):
                break
            nonce += 1
        refused = self.call("submitblock", WholeBlock(header, (coinbase,)).serialize().hex())
        if refused is not None:
            raise ChainRefused("submitblock", {"message": refused})

    def open(self) -> None:
        """Start it for the first time, with segwit in force."""
        super().open()
        self.mine(SEGWIT_HEIGHT - self.height)
