"""Chain sources: where blocks, unconfirmed spends, feerates and the way to the miners come from.

`source` says what any source gives; `core_source` speaks to Bitcoin Core's RPC and its dialects (`dialects`);
`watcher` follows a source and tells the node's machines what they wanted to know. A second source is what the first is
held against (`oversight`), and another way to the miners (`echo`).
"""

from fulmen.adapters.chain.core_source import CoreSource
from fulmen.adapters.chain.dialects import DIALECTS, Dialect
from fulmen.adapters.chain.echo import Echo
from fulmen.adapters.chain.faults import (
    AnotherChain,
    BlockUnreadable,
    ChainSourceFault,
    SourceGarbage,
    SourceLied,
    SourceRefused,
    SourceTimedOut,
    SourceUnauthorized,
    SourceUnreachable,
    SourceUntrusted,
    SourceWarmingUp,
    WrongNetwork,
)
from fulmen.adapters.chain.oversight import Alarm, Oversight
from fulmen.adapters.chain.publisher import Publisher
from fulmen.adapters.chain.rpc_client import Endpoint, RpcClient
from fulmen.adapters.chain.source import ChainSource, Published, TipStatus
from fulmen.adapters.chain.watcher import ChainWatcher

__all__ = [
    "DIALECTS",
    "Alarm",
    "AnotherChain",
    "BlockUnreadable",
    "ChainSource",
    "ChainSourceFault",
    "ChainWatcher",
    "CoreSource",
    "Dialect",
    "Echo",
    "Endpoint",
    "Oversight",
    "Published",
    "Publisher",
    "RpcClient",
    "SourceGarbage",
    "SourceLied",
    "SourceRefused",
    "SourceTimedOut",
    "SourceUnauthorized",
    "SourceUnreachable",
    "SourceUntrusted",
    "SourceWarmingUp",
    "TipStatus",
    "WrongNetwork",
]
