"""Bitcoin Core's RPC as a chain source, and the servers that speak like it (bitcoind, btcd, litecoind, our own)."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from decimal import Decimal
from typing import Annotated

import msgspec

from fulmen.adapters.chain.dialects import Dialect
from fulmen.adapters.chain.faults import (
    SourceGarbage,
    SourceLied,
    SourceRefused,
    SourceWarmingUp,
    WrongNetwork,
)
from fulmen.adapters.chain.feerates import estimated
from fulmen.adapters.chain.rpc_client import Call, RpcClient, read_as
from fulmen.adapters.chain.source import FundingOutput, Published, TipStatus
from fulmen.core.base.env import Feerates
from fulmen.core.base.faults import Malformed
from fulmen.core.base.ids import BlockHash, OutPoint, ShortChannelId, Txid, scid_parts
from fulmen.core.base.outer import Block
from fulmen.core.base.policy import FeeratePolicy
from fulmen.core.base.units import MAX_MONEY_SAT, BlockHeight, Sat, Timestamp
from fulmen.core.bitcoin.block import (
    BitsMalformed,
    BlockHeader,
    ProofOfWorkMissing,
    WholeBlock,
    check_proof_of_work,
    check_whole,
    check_witness_commitment,
    merkle_root,
    parse_header,
    read_block,
)
from fulmen.core.bitcoin.networks import Network
from fulmen.core.bitcoin.transaction import TxOut, parse_tx
from fulmen.core.node.watching import ChainBlock, ChainTx, chain_block

HashText = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
Height = Annotated[int, msgspec.Meta(ge=0, lt=1 << 31)]
HeaderTime = Annotated[int, msgspec.Meta(ge=0, lt=1 << 32)]

NOT_FOUND = -5
OUT_OF_RANGE = -8
VERIFY_ERROR = -25
VERIFY_REJECTED = -26
ALREADY_IN_UTXO_SET = -27
METHOD_NOT_FOUND = -32601
ALREADY_IN_MEMPOOL_WORDS = (
    "txn-already-in-mempool",
    "txn-same-nonwitness-data-in-mempool",
    "already have transaction",
)
ALREADY_IN_CHAIN_WORDS = (
    "txn-already-known",
    "already exists in blockchain",
    "already in block chain",
    "already in utxo set",
)
MAX_MONEY_BTC = Decimal(MAX_MONEY_SAT).scaleb(-8)
MAX_MEMPOOL_COMPARED = 20_000
"""A larger mempool is not compared txid by txid, nor asked for: the names of a full one are 20 MB with every look."""
OUTPOINTS_PER_CALL = 1000
TXS_PER_BATCH = 50
"""A hundred of the largest that are relayed (400 kB each, twice that in hex) are more than we take as an answer."""
TXID_LISTS_KEPT = 512


class _ChainInfo(msgspec.Struct):
    blocks: Height
    headers: int = 0
    bestblockhash: HashText = "0" * 64
    initialblockdownload: bool = False


class _MempoolSize(msgspec.Struct):
    size: Annotated[int, msgspec.Meta(ge=0)] = 0
    """Of transactions."""


class _Header(msgspec.Struct):
    height: Height
    confirmations: int = 0
    time: HeaderTime = 0
    previousblockhash: HashText | None = None


class _BlockTxids(msgspec.Struct):
    tx: list[HashText]


class _ScriptPubkey(msgspec.Struct):
    hex: str


class _TxOut(msgspec.Struct):
    value: Decimal
    scriptPubKey: _ScriptPubkey
    confirmations: int = 0


class _Spender(msgspec.Struct):
    txid: HashText
    vout: int
    spendingtxid: HashText | None = None
    blockhash: HashText | None = None


class _PackageResult(msgspec.Struct):
    error: str = ""


class _PackageAnswer(msgspec.Struct, rename={"tx_results": "tx-results"}):
    package_msg: str = ""
    tx_results: dict[str, _PackageResult] = {}


class CoreSource:
    """A server that speaks Bitcoin Core's RPC."""

    def __init__(self, client: RpcClient, network: Network, dialect: Dialect, policy: FeeratePolicy) -> None:
        self._client = client
        self._network = network
        self._dialect = dialect
        self._policy = policy
        self._last_feerates: Feerates | None = None
        self._txids: OrderedDict[BlockHash, tuple[Txid, ...]] = OrderedDict()
        self._mempool_is_small = False
        """It was at the last look, and the answer came whole."""
        self.name = dialect.name
        self.asks_spenders = dialect.spending_prevout

    async def check(self) -> Block:
        """Whether it is on our network and has caught up; gives its tip."""
        genesis = _unshown(await self._client.call(HashText, "getblockhash", 0))
        if genesis != self._network.chain_hash:
            raise WrongNetwork("the chain source is on another chain", wanted=self._network.name, genesis=genesis[::-1])
        if self._dialect.chain_info:
            info = await self._client.call(_ChainInfo, "getblockchaininfo")
            # On regtest a chain that sleeps for a day calls itself "downloading": there is nothing to download.
            if info.initialblockdownload and self._network.is_real:
                raise SourceWarmingUp("still syncing", blocks=info.blocks, headers=info.headers)
            return Block(BlockHeight(info.blocks), BlockHash(_unshown(info.bestblockhash)))
        height = await self._client.call(Height, "getblockcount")
        return Block(
            BlockHeight(height), BlockHash(_unshown(await self._client.call(HashText, "getblockhash", height)))
        )

    async def tip(self, *, with_mempool: bool) -> TipStatus:
        """The best block's hash, and the names of what is unconfirmed."""
        if not with_mempool:
            best = await self._client.call(HashText, "getbestblockhash")
            return TipStatus(BlockHash(_unshown(best)), None)
        calls: list[Call] = [("getbestblockhash", ()), ("getmempoolinfo", ())]
        # One that was small at the last look is asked for in the same breath.
        small, self._mempool_is_small = self._mempool_is_small, False
        if small:
            calls.append(("getrawmempool", (False,)))
        answers = await self._client.batch(object, calls)
        newest = BlockHash(_unshown(read_as(HashText, answers[0], "getbestblockhash")))
        if read_as(_MempoolSize, answers[1], "getmempoolinfo").size > MAX_MEMPOOL_COMPARED:
            return TipStatus(newest, None)
        names = answers[2] if small else await self._client.call(object, "getrawmempool", False)
        txids = read_as(list[HashText], names, "getrawmempool")
        self._mempool_is_small = True
        return TipStatus(newest, tuple([Txid(_unshown(txid)) for txid in txids]))

    async def hash_at(self, height: BlockHeight) -> BlockHash | None:
        """The best chain's block at a height; None above its tip."""
        try:
            return BlockHash(_unshown(await self._client.call(HashText, "getblockhash", height)))
        except SourceRefused as refused:
            if refused.code in (OUT_OF_RANGE, NOT_FOUND, -1):
                return None
            raise

    async def parent_of(self, block_hash: BlockHash) -> BlockHash | None:
        """The block before one; None when the source does not know it."""
        header = await self._header(block_hash)
        if header is None or header.previousblockhash is None:
            return None
        return BlockHash(_unshown(header.previousblockhash))

    async def height_of(self, block_hash: BlockHash) -> BlockHeight | None:
        """The height of a block of the best chain; None when it is not there."""
        header = await self._header(block_hash)
        if header is None or header.confirmations < 1:
            return None
        return BlockHeight(header.height)

    async def time_of(self, block_hash: BlockHash) -> Timestamp | None:
        """What a block's header says about when it was made."""
        header = await self._header(block_hash)
        return None if header is None else Timestamp(header.time)

    async def block(self, height: BlockHeight, block_hash: BlockHash) -> ChainBlock:
        """A whole block; one that we cannot read is given transaction by transaction."""
        raw = _bytes(await self._client.call(str, "getblock", _shown(block_hash), 0))
        try:
            header = parse_header(raw[:80])
            if header.hash != block_hash:
                raise SourceLied("another block than was asked for", asked=block_hash[::-1], got=header.hash[::-1])
            check_proof_of_work(header, self._network)
        except (BitsMalformed, ProofOfWorkMissing):
            raise SourceLied("nobody worked for this block", block_hash=block_hash[::-1]) from None
        except Malformed:
            raise SourceGarbage("this is no block", block_hash=block_hash[::-1]) from None
        try:
            whole = read_block(raw)
        except Malformed:
            return await self._block_by_txids(Block(height, block_hash), header)
        self._check(height, whole)
        return chain_block(height, whole)

    async def spenders(self, outpoints: Sequence[OutPoint]) -> dict[OutPoint, Txid] | None:
        """Who spends these outputs in the mempool."""
        if not self._dialect.spending_prevout:
            return None
        found: dict[OutPoint, Txid] = {}
        for start in range(0, len(outpoints), OUTPOINTS_PER_CALL):
            asked = [
                {"txid": _shown(outpoint.txid), "vout": outpoint.vout}
                for outpoint in outpoints[start : start + OUTPOINTS_PER_CALL]
            ]
            for answer in await self._client.call(list[_Spender], "gettxspendingprevout", asked):
                if answer.spendingtxid is not None and answer.blockhash is None:
                    outpoint = OutPoint(Txid(_unshown(answer.txid)), answer.vout)
                    found[outpoint] = Txid(_unshown(answer.spendingtxid))
        return found

    async def transactions(self, txids: Sequence[Txid]) -> dict[Txid, bytes]:
        """Unconfirmed transactions, raw."""
        found: dict[Txid, bytes] = {}
        for start in range(0, len(txids), TXS_PER_BATCH):
            asked = txids[start : start + TXS_PER_BATCH]
            calls: list[Call] = [("getrawtransaction", (_shown(txid), 0)) for txid in asked]
            for txid, answer in zip(asked, await self._client.batch(str, calls), strict=True):
                if isinstance(answer, str):
                    found[txid] = _bytes(answer)
                elif not isinstance(answer, SourceRefused):
                    raise answer
        return found

    async def unspent(self, outpoint: OutPoint) -> TxOut | None:
        """A confirmed output that no block spends."""
        answer = await self._client.call_or_null(_TxOut, "gettxout", _shown(outpoint.txid), outpoint.vout, False)
        return None if answer is None else _output_of(answer)

    async def funding_output(self, short_channel_id: ShortChannelId) -> FundingOutput | None:
        """The unspent output that a short channel id names."""
        height, index, vout = scid_parts(short_channel_id)
        block_hash = await self.hash_at(BlockHeight(height))
        if block_hash is None:
            return None
        txids = await self._txids_of(block_hash)
        if index >= len(txids):
            return None
        outpoint = OutPoint(txids[index], vout)
        answer = await self._client.call_or_null(_TxOut, "gettxout", _shown(outpoint.txid), vout, False)
        return None if answer is None else FundingOutput(outpoint, _output_of(answer), answer.confirmations)

    async def feerates(self) -> Feerates:
        """Estimates within floor and cap; when the source has none, the last ones, or a fallback."""
        self._last_feerates = await estimated(
            self._client, self._dialect, self._network, self._policy, self._last_feerates
        )
        return self._last_feerates

    async def publish(self, tx: bytes) -> Published:
        """Hand a transaction over. Doing so again is fine."""
        # Any feerate: it was decided with the cap of our policy already.
        params = (tx.hex(), 0) if self._dialect.max_fee_rate else (tx.hex(), True)
        try:
            await self._client.call(str, "sendrawtransaction", *params)
        except SourceRefused as refused:
            words = refused.words.lower()
            if refused.code == ALREADY_IN_UTXO_SET or any(known in words for known in ALREADY_IN_CHAIN_WORDS):
                return Published(True, confirmed=True)
            if any(known in words for known in ALREADY_IN_MEMPOOL_WORDS):
                return Published(True)
            if refused.code == METHOD_NOT_FOUND:
                raise
            return Published(False, refused.words)
        return Published(True)

    async def publish_package(self, txs: Sequence[bytes]) -> Published:
        """Hand a child with its parents over, the child last."""
        if not self._dialect.packages or len(txs) == 1:
            return await self._publish_each(txs)
        try:
            answer = await self._client.call(_PackageAnswer, "submitpackage", [tx.hex() for tx in txs], 0)
        except SourceRefused as refused:
            if refused.code == METHOD_NOT_FOUND:
                return await self._publish_each(txs)
            return Published(False, refused.words)
        if answer.package_msg == "success":
            return Published(True)
        words = [result.error for result in answer.tx_results.values() if result.error]
        # A parent that is in a block already cannot be in a package: then its child stands alone.
        if any("txn-already-known" in each for each in words):
            return await self._publish_each(txs)
        return Published(False, "; ".join([answer.package_msg, *words]))

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def _publish_each(self, txs: Sequence[bytes]) -> Published:
        outcome = Published(False, "nothing to publish")
        for tx in txs:
            outcome = await self.publish(tx)
        return outcome

    async def _header(self, block_hash: BlockHash) -> _Header | None:
        try:
            return await self._client.call(_Header, "getblockheader", _shown(block_hash), True)
        except SourceRefused as refused:
            if refused.code in (NOT_FOUND, OUT_OF_RANGE, -1):
                return None
            raise

    async def _txids_of(self, block_hash: BlockHash) -> tuple[Txid, ...]:
        found = self._txids.get(block_hash)
        if found is None:
            answer = await self._client.call(_BlockTxids, "getblock", _shown(block_hash), 1)
            found = tuple([Txid(_unshown(txid)) for txid in answer.tx])
            self._txids[block_hash] = found
            if len(self._txids) > TXID_LISTS_KEPT:
                self._txids.popitem(last=False)
        return found

    def _check(self, height: BlockHeight, whole: WholeBlock) -> None:
        """Whether these are the transactions that the header commits to, with their witnesses.

        A witness is in no txid, and a preimage that is shown on the chain is in a witness: without this a server that
        serves blocks without them (bitcoind's -rpcserialversion=0), or changes them, hides it.

        Raises:
            SourceLied
        """
        try:
            check_whole(whole)
            if height >= self._network.segwit_height:
                check_witness_commitment(whole)
        except Malformed as fault:
            said = whole.header.hash[::-1]
            raise SourceLied("this is not what the block commits to", block_hash=said, why=fault.name) from None

    async def _block_by_txids(self, block: Block, header: BlockHeader) -> ChainBlock:
        """A block that our parser refuses though miners took it: what can be read of it, the rest by name.

        Raises:
            SourceLied: these are not the names that the header commits to.
        """
        txids = await self._txids_of(block.hash)
        if not txids or merkle_root(list(txids)) != (header.merkle_root, False):
            # It may have been a slip: next time the source is asked again.
            self._txids.pop(block.hash, None)
            raise SourceLied("these are not the transactions of the block", block_hash=block.hash[::-1])
        raws: dict[Txid, bytes] = {}
        for start in range(0, len(txids), TXS_PER_BATCH):
            asked = txids[start : start + TXS_PER_BATCH]
            calls: list[Call] = [("getrawtransaction", (_shown(txid), 0, _shown(block.hash))) for txid in asked]
            for txid, answer in zip(asked, await self._client.batch(str, calls), strict=True):
                if isinstance(answer, str):
                    raws[txid] = _bytes(answer)
        seen = tuple([_read(txid, raws.get(txid, b"")) for txid in txids])
        readable = tuple([each.tx for each in seen if each.tx is not None])
        if len(readable) == len(seen):
            self._check(block.height, WholeBlock(header, readable))
        return ChainBlock(block, header.previous, seen)


def _read(txid: Txid, raw: bytes) -> ChainTx:
    try:
        tx = parse_tx(raw)
    except Malformed:
        return ChainTx(txid, raw, None)
    return ChainTx(txid, raw, tx if tx.txid == txid else None)


def _output_of(answer: _TxOut) -> TxOut:
    value = answer.value
    # What is no number cannot be compared, and what is out of bounds cannot be scaled: first the one, then the other.
    sat = int(value.scaleb(8)) if value.is_finite() and 0 <= value <= MAX_MONEY_BTC else -1
    # Scaling rounds: only what comes back as the same value was whole.
    if sat < 0 or Decimal(sat).scaleb(-8) != value:
        raise SourceGarbage("an output has an amount that cannot be", value=str(value)[:40])
    return TxOut(Sat(sat), _bytes(answer.scriptPubKey.hex))


def _bytes(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise SourceGarbage("an answer is not hex", begins=text[:40]) from None


def _shown(hash_bytes: bytes) -> str:
    return hash_bytes[::-1].hex()


def _unshown(text: str) -> bytes:
    return bytes.fromhex(text)[::-1]
