"""Bitcoin Core 31, built from the crate that carries its whole source tree."""

from __future__ import annotations

from pathlib import Path

from fulmen.lab.chains import PASSWORD, USER, ChainDaemon
from fulmen.lab.programs import Process
from interop.ports import Ports
from interop.recipe import Recipe, Tool

SOURCE = "vendor/libbitcoinkernel-sys/bitcoin"
OFF = (
    *("ENABLE_WALLET", "WITH_ZMQ", "ENABLE_IPC", "WITH_EMBEDDED_ASMAP", "BUILD_BITCOIN_BIN", "BUILD_TX", "BUILD_UTIL"),
    *("BUILD_WALLET_TOOL", "BUILD_TESTS", "BUILD_BENCH", "BUILD_GUI", "BUILD_KERNEL_LIB", "INSTALL_MAN"),
)

CORE = Recipe(
    name="core",
    version="31",
    programs=("bin/bitcoind", "bin/bitcoin-cli"),
    tools=(
        Tool("cargo", "cargo"),
        Tool("cmake", "cmake"),
        Tool("c++", "g++"),
        Tool("make", "make"),
        Tool("pkg-config", "pkg-config"),
        Tool("boost", "libboost-dev", file="/usr/include/boost/version.hpp"),
        Tool("libevent", "libevent-dev", file="/usr/include/event2/event.h"),
    ),
    steps=(
        ("cargo", "vendor", "--locked", "--quiet", "vendor"),
        (
            *("cmake", "-S", SOURCE, "-B", "build", "-DCMAKE_BUILD_TYPE=Release", "-DCMAKE_CXX_FLAGS_RELEASE=-O1"),
            *("-DBUILD_DAEMON=ON", "-DBUILD_CLI=ON", *(f"-D{name}=OFF" for name in OFF)),
        ),
        ("cmake", "--build", "build", "-j{jobs}", "--target", "bitcoind", "bitcoin-cli"),
        ("cmake", "-E", "make_directory", "{out}/bin"),
        ("cmake", "-E", "copy", "build/bin/bitcoind", "build/bin/bitcoin-cli", "{out}/bin"),
    ),
)


class Core(ChainDaemon):
    """A bitcoind."""

    name = "Bitcoin Core 31"
    dialect = "core"

    def __init__(self, home: Path, ports: Ports, *more: str, listen: bool = False, chain: str = "regtest") -> None:
        self._more = more
        self._chain = chain
        self.p2p = ports.take() if listen else 0
        super().__init__(home, ports)

    def _process(self) -> Process:
        peers = (f"-port={self.p2p}", "-bind=127.0.0.1", "-listen=1") if self.p2p else ("-listen=0",)
        command = (
            *(str(CORE.program("bitcoind")), f"-{self._chain}", f"-datadir={self.home}", "-server", *peers),
            *(f"-rpcuser={USER}", f"-rpcpassword={PASSWORD}", f"-rpcport={self.port}"),
            *(
                "-txindex",
                "-blockfilterindex=1",
                "-dbcache=16",
                "-maxmempool=20",
                "-rpcworkqueue=256",
                "-rpcthreads=16",
            ),
            *("-dnsseed=0", "-fixedseeds=0", "-discover=0", "-nodebuglogfile", "-printtoconsole", *self._more),
        )
        return Process(self.name, command, self.home / "bitcoind.log")
