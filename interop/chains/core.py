"""Bitcoin Core 31, built from the crate that carries its whole source tree."""

from __future__ import annotations

from fulmen.lab.chains import Bitcoind
from fulmen.lab.programs import Process
from interop.recipe import Recipe, Tool
from interop.toolchains import cargo

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
        # It has to read the fourth form of Cargo.lock.
        cargo("1.78"),
        Tool("cmake", ("cmake",)),
        Tool("c++", ("g++",)),
        Tool("make", ("make",)),
        Tool("pkg-config", ("pkg-config",)),
        Tool("boost", ("libboost-dev",), file="/usr/include/boost/version.hpp"),
        Tool("libevent", ("libevent-dev",), file="/usr/include/event2/event.h"),
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


class Core(Bitcoind):
    """A bitcoind."""

    name = "Bitcoin Core 31"

    def _process(self) -> Process:
        self.program = (str(CORE.program("bitcoind")),)
        return super()._process()
