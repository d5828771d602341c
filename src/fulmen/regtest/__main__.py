"""`python -m fulmen.regtest`: run an embedded chain until it is told to stop."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from pathlib import Path

from fulmen.core.base.faults import Fault
from fulmen.regtest.relaypolicy import RelayPolicy
from fulmen.regtest.rpc.server import ChainOptions, serve


def main() -> int:
    """Run it; 0 after a graceful stop."""
    options = _options()
    try:
        asyncio.run(run(options))
    except Fault as fault:
        print(f"fulmen regtest: {fault}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"fulmen regtest: {error}", file=sys.stderr)
        return 1
    return 0


async def run(options: ChainOptions) -> None:
    """Serve until SIGINT, SIGTERM or the `stop` call."""
    async with serve(options) as chain:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, chain.stopped.set)
        print(
            f"regtest chain at height {chain.node.chain.height}, judged by {chain.node.judge.name}, "
            f"listens on http://{options.host}:{chain.port}/",
            flush=True,
        )
        await chain.stopped.wait()


def _options() -> ChainOptions:
    parser = argparse.ArgumentParser(prog="python -m fulmen.regtest", description=__doc__)
    parser.add_argument("--datadir", type=Path, help="keep the chain here (default: nothing is kept)")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--rpcuser", default="", help="accepted besides the cookie")
    parser.add_argument("--rpcpassword", default="")
    parser.add_argument("--judge", default="", help="kernel or btclib (default: the best that is installed)")
    parser.add_argument("--minrelay", type=int, default=RelayPolicy().min_relay_sat_per_kvb, help="sat per 1000 vB")
    given = parser.parse_args()
    return ChainOptions(
        directory=given.datadir,
        host=given.host,
        port=given.port,
        user=given.rpcuser,
        password=given.rpcpassword,
        judge=given.judge,
        policy=RelayPolicy(min_relay_sat_per_kvb=given.minrelay),
    )


if __name__ == "__main__":
    sys.exit(main())
