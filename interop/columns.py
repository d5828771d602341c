"""Which peers and which chains there are: the columns of the report."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from fulmen.lab.chains import ChainDaemon, Embedded
from interop.chains.btcd import Btcd
from interop.chains.core import CORE, Core
from interop.chains.litecoind import LITECOIND, Litecoind
from interop.lab import Lab, MakeChain, MakePeer
from interop.peers.electrum import ELECTRUM, Electrum
from interop.peers.ldk import LDK, Ldk
from interop.peers.lnd import GO, Lnd
from interop.peers.peer import Can, Options, Peer
from interop.ports import Ports
from interop.recipe import Recipe
from interop.scenario import ROOMS, Room
from interop.scenarios import CHAIN_ROOMS, MIXED_ROOMS, OUR_CHAIN_ROOMS, PEER_ROOMS


@dataclass(frozen=True)
class Column:
    """One peer, or one chain daemon."""

    key: str
    title: str
    recipes: tuple[Recipe, ...]
    chain: MakeChain
    peer: MakePeer | None = None
    can: frozenset[Can] = frozenset()
    modules: tuple[str, ...] = PEER_ROOMS
    make: Callable[[Path, Ports, MakeChain, MakePeer | None], Lab] = Lab

    @property
    def rooms(self) -> list[Room]:
        """What is played with it, in order."""
        return [ROOMS[module] for module in self.modules]

    def open(self, home: Path, ports: Ports) -> Lab:
        """Its daemons."""
        lab = self.make(home, ports, self.chain, self.peer)
        try:
            lab.open()
        except BaseException:
            # Nobody else knows of a chain that was started and does not answer.
            lab.close()
            raise
        return lab


def lnd_or_ldk(name: str, home: Path, ports: Ports, chain: ChainDaemon, options: Options | None) -> Peer:
    """Whichever the name begins with."""
    return (Lnd if name.startswith("lnd") else Ldk)(name, home, ports, chain, options)


PEERS = (
    Column("lnd", "LND 0.21.3-beta", (CORE, GO), Core, Lnd, Lnd.can),
    Column("ldk", "LDK 0.2.7", (CORE, LDK), Core, Ldk, Ldk.can),
    Column("electrum", "Electrum 4.3.4", (CORE, ELECTRUM), Core, Electrum, Electrum.can),
)
CHAINS = (
    Column("core", "Bitcoin Core 31", (CORE,), Core, modules=CHAIN_ROOMS),
    Column("btcd", "btcd 0.25", (GO,), Btcd, modules=CHAIN_ROOMS),
    Column("litecoind", "litecoind 0.21", (LITECOIND,), Litecoind, modules=CHAIN_ROOMS),
)
ON_OTHER_CHAINS = (
    Column("lnd-embedded", "LND 0.21.3-beta", (GO,), Embedded, Lnd, Lnd.can, OUR_CHAIN_ROOMS),
    Column("ldk-embedded", "LDK 0.2.7", (LDK,), Embedded, Ldk, Ldk.can, OUR_CHAIN_ROOMS),
    Column("electrum-embedded", "Electrum 4.3.4", (ELECTRUM,), Embedded, Electrum, Electrum.can, OUR_CHAIN_ROOMS),
    Column("lnd-btcd", "LND 0.21.3-beta on btcd", (GO,), Btcd, Lnd, Lnd.can, OUR_CHAIN_ROOMS),
)
MIXED = (Column("mixed", "LND and LDK", (CORE, GO, LDK), Core, lnd_or_ldk, modules=MIXED_ROOMS),)
COLUMNS = PEERS + CHAINS + ON_OTHER_CHAINS + MIXED
