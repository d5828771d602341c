"""Our own embedded chain, in the place of Bitcoin Core: `fulmen chain`, asked over its RPC by others' nodes."""

from __future__ import annotations

from fulmen.lab.chains import PASSWORD, USER, ChainDaemon
from fulmen.lab.programs import Process, Program


class Embedded(ChainDaemon):
    """A `fulmen chain`."""

    name = "the embedded chain"
    dialect = "embedded"

    def _process(self) -> Process:
        words = ("chain", "--port", str(self.port), "--rpcuser", USER, "--rpcpassword", PASSWORD)
        return Program(self.name, ("--dir", str(self.home), *words), self.home / "chain.log")
