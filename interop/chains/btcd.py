"""btcd, which LND's Go modules bring along: another parser of blocks, and a dialect of its own."""

from __future__ import annotations

from fulmen.lab.chains import PASSWORD, USER, ChainDaemon
from fulmen.lab.programs import Process
from interop.peers.lnd import GO

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

    def open(self) -> None:
        """Start it for the first time, with segwit in force."""
        super().open()
        self.mine(SEGWIT_HEIGHT - self.height)
