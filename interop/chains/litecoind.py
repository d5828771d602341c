"""litecoind 0.21.2.1, as Debian packages it: another chain with Lightning on it, and an older dialect of Core's RPC."""

from __future__ import annotations

from fulmen.core.bitcoin.networks import LITECOIN_REGTEST
from fulmen.lab.chains import PASSWORD, USER, ChainDaemon
from fulmen.lab.programs import Process
from interop.recipe import Recipe, Tool

PROGRAM = "/usr/lib/litecoin/litecoind"
"""The daemon itself; `/usr/bin/litecoind` is a script that limits it."""
LITECOIND = Recipe(
    name="litecoind",
    version="0.21.2.1",
    programs=(PROGRAM,),
    tools=(Tool("litecoind", ("litecoind",), PROGRAM, asked=(PROGRAM, "--version"), only="0.21.2.1"),),
)
NEVER = 9_999_999_999
CLTV_HEIGHT = 1351
"""OP_CHECKLOCKTIMEVERIFY is in force from here on (BIP 65); OP_CHECKSEQUENCEVERIFY is from 432 on."""


class Litecoind(ChainDaemon):
    """A litecoind."""

    name = "litecoind 0.21"
    dialect = "litecoind"
    network = LITECOIN_REGTEST

    def _process(self) -> Process:
        command = (
            *(PROGRAM, "-regtest", f"-datadir={self.home}", "-server", "-listen=0", "-dnsseed=0", "-discover=0"),
            *(f"-rpcuser={USER}", f"-rpcpassword={PASSWORD}", f"-rpcport={self.port}"),
            # MWEB blocks need a peg-in: mining would stop at height 431.
            *(f"-vbparams=mweb:{NEVER}:{NEVER}", "-acceptnonstdtxn=1", "-minrelaytxfee=0", "-blockmintxfee=0"),
            *("-fallbackfee=0.001", "-txindex", "-blockfilterindex=1", "-dbcache=16", "-maxmempool=20"),
            *("-rpcworkqueue=256", "-rpcthreads=16", "-nodebuglogfile", "-printtoconsole"),
        )
        return Process(self.name, command, self.home / "litecoind.log")

    def open(self) -> None:
        """Start it for the first time, with coins to give away and all scripts of Lightning in force."""
        super().open()
        self.mine(CLTV_HEIGHT - self.height)
