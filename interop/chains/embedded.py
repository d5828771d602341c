"""Our own embedded chain, in the place of Bitcoin Core: `fulmen chain`, asked over its RPC by others' nodes."""

from __future__ import annotations

from demo.programs import Process, Program

from interop.chains.daemon import PASSWORD, USER, ChainDaemon


class Embedded(ChainDaemon):
    """A `fulmen chain`."""

    name = "the embedded chain"
    dialect = "embedded"

    def _process(self) -> Process:
        words = ("chain", "--port", str(self.port), "--rpcuser", USER, "--rpcpassword", PASSWORD)
        return Program(self.name, ("--dir", str(self.home), *words), self.home / "chain.log")
