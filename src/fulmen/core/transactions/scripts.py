"""The witness scripts of all outputs, byte for byte as BOLT 3 writes them.

Source: BOLT 3, "Funding Transaction Output", "Commitment Transaction Outputs" and "HTLC-Timeout and HTLC-Success
Transactions".
"""

from __future__ import annotations

from functools import lru_cache

from fulmen.core.base.ids import PaymentHash, Point
from fulmen.core.base.units import BlockHeight
from fulmen.core.bitcoin.opcodes import (
    OP_2,
    OP_16,
    OP_CHECKLOCKTIMEVERIFY,
    OP_CHECKMULTISIG,
    OP_CHECKSEQUENCEVERIFY,
    OP_CHECKSIG,
    OP_CHECKSIGVERIFY,
    OP_DROP,
    OP_DUP,
    OP_ELSE,
    OP_ENDIF,
    OP_EQUAL,
    OP_EQUALVERIFY,
    OP_HASH160,
    OP_IF,
    OP_IFDUP,
    OP_NOTIF,
    OP_SIZE,
    OP_SWAP,
)
from fulmen.core.bitcoin.script import multisig, number, push
from fulmen.core.crypto.hashes import hash160, ripemd160

of_a_channel = lru_cache(maxsize=4096)
"""What is the same in all commitments of a channel is written once."""


@of_a_channel
def funding_script(funding_pubkey: Point, other_funding_pubkey: Point) -> bytes:
    """2-of-2 of both funding keys, the lesser first, whichever way they are given."""
    return multisig(2, *sorted((funding_pubkey, other_funding_pubkey)))


def to_local_script(revocationpubkey: Point, to_self_delay: int, delayedpubkey: Point) -> bytes:
    """The owner after a delay, or the other end at once if this was revoked.

    It stands in `to_local` and in the output of both HTLC transactions.
    """
    return (
        OP_IF
        + push(revocationpubkey)
        + OP_ELSE
        + number(to_self_delay)
        + OP_CHECKSEQUENCEVERIFY
        + OP_DROP
        + push(delayedpubkey)
        + OP_ENDIF
        + OP_CHECKSIG
    )


@of_a_channel
def to_remote_script(paymentpubkey: Point, csv: int) -> bytes:
    """The other end, `csv` blocks after the commitment (option_anchors; without it this output is P2WPKH)."""
    return push(paymentpubkey) + OP_CHECKSIGVERIFY + number(csv) + OP_CHECKSEQUENCEVERIFY


@of_a_channel
def anchor_script(funding_pubkey: Point) -> bytes:
    """One end at once, or anyone after 16 blocks."""
    return push(funding_pubkey) + OP_CHECKSIG + OP_IFDUP + OP_NOTIF + OP_16 + OP_CHECKSEQUENCEVERIFY + OP_ENDIF


class HtlcScripts:
    """The HTLC scripts of one commitment. Only hash and expiry differ from HTLC to HTLC; the rest is made once."""

    __slots__ = (
        "_after_expiry",
        "_after_hash_offered",
        "_before_expiry",
        "_before_hash_offered",
        "_before_hash_received",
    )

    def __init__(self, revocationpubkey: Point, owner_htlcpubkey: Point, other_htlcpubkey: Point, csv: int) -> None:
        revocation = OP_DUP + OP_HASH160 + push(hash160(revocationpubkey)) + OP_EQUAL + OP_IF + OP_CHECKSIG + OP_ELSE
        preimage_or_not = push(other_htlcpubkey) + OP_SWAP + OP_SIZE + number(32) + OP_EQUAL
        both = OP_2 + OP_SWAP + push(owner_htlcpubkey) + OP_2 + OP_CHECKMULTISIG
        hash_follows = OP_HASH160 + b"\x14"
        wait = number(csv) + OP_CHECKSEQUENCEVERIFY + OP_DROP if csv else b""

        self._before_hash_offered = revocation + preimage_or_not + OP_NOTIF + OP_DROP + both + OP_ELSE + hash_follows
        self._after_hash_offered = OP_EQUALVERIFY + OP_CHECKSIG + OP_ENDIF + wait + OP_ENDIF

        self._before_hash_received = revocation + preimage_or_not + OP_IF + hash_follows
        self._before_expiry = OP_EQUALVERIFY + both + OP_ELSE + OP_DROP
        self._after_expiry = OP_CHECKLOCKTIMEVERIFY + OP_DROP + OP_CHECKSIG + OP_ENDIF + wait + OP_ENDIF

    def offered(self, payment_hash: PaymentHash) -> bytes:
        """Offered by the owner: back to it by HTLC-timeout, or to the other end with the preimage."""
        return self._before_hash_offered + ripemd160(payment_hash) + self._after_hash_offered

    def received(self, payment_hash: PaymentHash, cltv_expiry: BlockHeight) -> bytes:
        """Received by the owner: to it by HTLC-success, or back to the other end after the expiry."""
        return b"".join(
            (
                self._before_hash_received,
                ripemd160(payment_hash),
                self._before_expiry,
                number(cltv_expiry),
                self._after_expiry,
            )
        )
