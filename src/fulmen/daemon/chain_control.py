"""Tell a regtest what to do: find blocks, give coins, undo blocks. Dev verbs only; no other chain obeys."""

from __future__ import annotations

from collections.abc import Sequence

from fulmen.adapters.chain import RpcClient

BURN = "51"
"""A script that anybody could spend: rewards that nobody asked for."""


class EmbeddedControl:
    """The embedded chain, or a bitcoind in regtest, by its RPC."""

    def __init__(self, client: RpcClient) -> None:
        self._client = client

    async def mine(self, blocks: int, address: str | None) -> Sequence[str]:
        """Find blocks now; their hashes, oldest first."""
        if address is not None:
            return await self._client.call(list[str], "generatetoaddress", blocks, address)
        return await self._client.call(list[str], "generatetodescriptor", blocks, f"raw({BURN})")

    async def faucet(self, address: str, sat: int) -> str:
        """Give coins to an address; the transaction's id."""
        return await self._client.call(str, "faucet", address, f"{sat // 100_000_000}.{sat % 100_000_000:08d}")

    async def reorg(self, depth: int) -> Sequence[str]:
        """Undo so many blocks and find one more than that instead."""
        height = await self._client.call(int, "getblockcount")
        first = await self._client.call(str, "getblockhash", height - depth + 1)
        await self._client.call_or_null(object, "invalidateblock", first)
        return await self.mine(depth + 1, None)
