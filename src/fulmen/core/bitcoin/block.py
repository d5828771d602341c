"""Blocks: headers, proof of work, merkle roots, and what a coinbase must say. BIP 34, BIP 141."""

from __future__ import annotations

from functools import cached_property
from hashlib import scrypt
from struct import Struct

from fulmen.core.base.faults import Malformed
from fulmen.core.base.ids import BlockHash
from fulmen.core.base.record import Record
from fulmen.core.base.units import BlockHeight, Sat
from fulmen.core.bitcoin.cursor import Cursor, compact_size
from fulmen.core.bitcoin.networks import Network
from fulmen.core.bitcoin.opcodes import OP_0, OP_RETURN
from fulmen.core.bitcoin.script import decode_number, number, parts_of, push
from fulmen.core.bitcoin.transaction import NULL_OUTPOINT, SEQUENCE_FINAL, Tx, TxIn, TxOut, read_tx
from fulmen.core.crypto.hashes import sha256d

HEADER_BYTES = 80
MAX_BLOCK_WEIGHT = 4_000_000
COINBASE_MATURITY = 100
COMMITMENT_HEADER = b"\xaa\x21\xa9\xed"
"""Begins the push of a witness commitment (BIP 141)."""
WITNESS_RESERVED = bytes(32)

_HEADER = Struct("<I32s32sIII")


class HeaderLengthWrong(Malformed):
    """A header is not 80 bytes."""


class BitsMalformed(Malformed):
    """The compact target is negative, zero or too large."""


class ProofOfWorkMissing(Malformed):
    """The header's hash is above its target, or the target above the chain's limit."""


class BlockTooLarge(Malformed):
    """A block is heavier than 4,000,000 weight units."""


class BlockWithoutCoinbase(Malformed):
    """A block's first transaction mints nothing, or a later one does."""


class MerkleRootWrong(Malformed):
    """The header does not commit to these transactions, or they are repeated (CVE-2012-2459)."""


class WitnessCommitmentWrong(Malformed):
    """The coinbase does not commit to the witnesses (BIP 141)."""


class WitnessUnexpected(WitnessCommitmentWrong):
    """There are witnesses and no commitment."""


class WitnessReservedWrong(WitnessCommitmentWrong):
    """The coinbase's witness is not one item of 32 bytes."""


class CoinbaseHeightWrong(Malformed):
    """The coinbase does not begin with the block's height (BIP 34)."""


class BlockHeader(Record, dict=True):
    """Eighty bytes that chain a block to the one before."""

    version: int
    previous: BlockHash
    merkle_root: bytes
    time: int
    bits: int
    nonce: int

    @cached_property
    def hash(self) -> BlockHash:
        """The block's name, internal byte order."""
        return BlockHash(sha256d(self.serialize()))

    @property
    def target(self) -> int:
        """Raises: BitsMalformed."""
        return target_of(self.bits)

    @property
    def work(self) -> int:
        """The expected number of hashes that it took."""
        return (1 << 256) // (self.target + 1)

    def serialize(self) -> bytes:
        """80 bytes: version, previous hash, merkle root, time, bits, nonce."""
        return _HEADER.pack(self.version, self.previous, self.merkle_root, self.time, self.bits, self.nonce)


class WholeBlock(Record):
    """A header and all transactions under it."""

    header: BlockHeader
    txs: tuple[Tx, ...]

    @property
    def weight(self) -> int:
        """Weight units, header and count included."""
        return 4 * (HEADER_BYTES + len(compact_size(len(self.txs)))) + sum(tx.weight for tx in self.txs)

    def serialize(self) -> bytes:
        """The bytes as they travel, with witnesses."""
        return b"".join((self.header.serialize(), compact_size(len(self.txs)), *[tx.serialize() for tx in self.txs]))


def parse_header(data: bytes) -> BlockHeader:
    """Read a header.

    Raises:
        HeaderLengthWrong
    """
    if len(data) != HEADER_BYTES:
        raise HeaderLengthWrong(bytes=len(data))
    version, previous, merkle_root, time, bits, nonce = _HEADER.unpack(data)
    return BlockHeader(version, BlockHash(previous), merkle_root, time, bits, nonce)


def parse_block(data: bytes) -> WholeBlock:
    """Read a block, and see that it is whole: one coinbase, and a header that commits to the transactions.

    Proof of work, the witness commitment and the height are checked by functions of their own.

    Raises:
        Malformed: by the name of what is wrong.
    """
    block = read_block(data)
    check_whole(block)
    return block


def check_whole(block: WholeBlock) -> None:
    """Raises: BlockWithoutCoinbase, MerkleRootWrong, BlockTooLarge."""
    if [tx.is_coinbase for tx in block.txs] != [True] + [False] * (len(block.txs) - 1):
        raise BlockWithoutCoinbase
    root, repeated = merkle_root([tx.txid for tx in block.txs])
    if root != block.header.merkle_root or repeated:
        raise MerkleRootWrong(repeated=repeated)
    if block.weight > MAX_BLOCK_WEIGHT:
        raise BlockTooLarge(weight=block.weight)


def read_block(data: bytes, *, lawful: bool = True) -> WholeBlock:
    """Read what has the form of a block.

    Args:
        lawful: refuse transactions that no rule allows, see `parse_unlawful_tx`.

    Raises:
        Malformed: by the name of what is wrong.
    """
    if len(data) > MAX_BLOCK_WEIGHT:
        raise BlockTooLarge(bytes=len(data))
    cursor = Cursor(data)
    header = parse_header(cursor.take(HEADER_BYTES))
    block = WholeBlock(header, tuple([read_tx(cursor, lawful=lawful) for _ in range(cursor.count(10))]))
    cursor.finish()
    return block


def merkle_root(leaves: list[bytes]) -> tuple[bytes, bool]:
    """The root over hashes in internal byte order, and whether two neighbours are equal (CVE-2012-2459)."""
    level, repeated = leaves, False
    while len(level) > 1:
        repeated |= any(level[at] == level[at + 1] for at in range(0, len(level) - 1, 2))
        if len(level) % 2:
            level = [*level, level[-1]]
        level = [sha256d(level[at] + level[at + 1]) for at in range(0, len(level), 2)]
    return level[0], repeated


def target_of(bits: int) -> int:
    """The number that a block's hash must not exceed.

    Raises:
        BitsMalformed
    """
    size, mantissa = bits >> 24, bits & 0x7FFFFF
    target = mantissa << 8 * (size - 3) if size > 3 else mantissa >> 8 * (3 - size)
    if bits & 0x800000 or target == 0 or target >> 256:
        raise BitsMalformed(bits=hex(bits))
    return target


def bits_of(target: int) -> int:
    """A target in its compact form, rounded down."""
    size = (target.bit_length() + 7) // 8
    mantissa = target >> 8 * (size - 3) if size > 3 else target << 8 * (3 - size)
    if mantissa & 0x800000:
        mantissa >>= 8
        size += 1
    return size << 24 | mantissa


def has_proof_of_work(header: BlockHeader, network: Network) -> bool:
    """True if the header's hash is at most its target.

    Raises:
        BitsMalformed
    """
    if network.scrypt_proof_of_work:
        data = header.serialize()
        proof = scrypt(data, salt=data, n=1024, r=1, p=1, dklen=32)
    else:
        proof = header.hash
    return int.from_bytes(proof, "little") <= header.target


def check_proof_of_work(header: BlockHeader, network: Network) -> None:
    """Raises: BitsMalformed, ProofOfWorkMissing."""
    if header.target > target_of(network.pow_limit_bits):
        raise ProofOfWorkMissing("the target is above the chain's limit", bits=hex(header.bits))
    if not has_proof_of_work(header, network):
        raise ProofOfWorkMissing(hash=header.hash[::-1])


def witness_commitment(txs: tuple[Tx, ...], reserved: bytes = WITNESS_RESERVED) -> bytes:
    """The script_pubkey by which a coinbase commits to all witnesses; its own wtxid counts as zero (BIP 141)."""
    root, _ = merkle_root([bytes(32), *[tx.wtxid for tx in txs[1:]]])
    return OP_RETURN + push(COMMITMENT_HEADER + sha256d(root + reserved))


def commitment_in(coinbase: Tx) -> bytes | None:
    """The first 38 bytes of the output by which a coinbase commits to witnesses, or None (BIP 141)."""
    start = OP_RETURN + bytes((36,)) + COMMITMENT_HEADER
    # BIP 141: "If there are more than one scriptPubKey matching the pattern, the one with highest output index"
    said = [o.script_pubkey[:38] for o in coinbase.outputs if o.script_pubkey.startswith(start)]
    return next((script for script in reversed(said) if len(script) == 38), None)


def check_witness_commitment(block: WholeBlock) -> None:
    """Raises: WitnessUnexpected, WitnessReservedWrong, WitnessCommitmentWrong."""
    coinbase = block.txs[0]
    said = commitment_in(coinbase)
    if said is None:
        if any(tx.has_witness for tx in block.txs):
            raise WitnessUnexpected
        return
    witness = coinbase.inputs[0].witness
    if len(witness) != 1 or len(witness[0]) != 32:
        raise WitnessReservedWrong
    if said != witness_commitment(block.txs, witness[0]):
        raise WitnessCommitmentWrong


def coinbase_tx(height: BlockHeight, outputs: tuple[TxOut, ...], txs: tuple[Tx, ...], extra: bytes = b"") -> Tx:
    """The coinbase of a block with these other transactions, which commits to their witnesses.

    Args:
        outputs: who gets the reward; the commitment is added.
        extra: up to 90 bytes that make it unlike any other.
    """
    script_sig = number(height) + (push(extra) if extra else OP_0)
    mint = TxIn(NULL_OUTPOINT, script_sig, SEQUENCE_FINAL, (WITNESS_RESERVED,))
    empty = Tx(2, (mint,), outputs)
    return empty.but(outputs=(*outputs, TxOut(Sat(0), witness_commitment((empty, *txs)))))


def coinbase_height(coinbase: Tx) -> BlockHeight:
    """The height with which a coinbase begins (BIP 34).

    Raises:
        CoinbaseHeightWrong: it begins with something else.
    """
    script_sig = coinbase.inputs[0].script_sig
    try:
        opcode, pushed = next(parts_of(script_sig))
        height = opcode - 0x50 if pushed is None else decode_number(pushed)
    except (Malformed, StopIteration):
        raise CoinbaseHeightWrong(script_sig=script_sig) from None
    if height < 0 or not script_sig.startswith(number(height)):
        raise CoinbaseHeightWrong(script_sig=script_sig)
    return BlockHeight(height)
