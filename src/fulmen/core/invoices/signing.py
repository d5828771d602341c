"""What the key holder is asked for an invoice, and what it does about it."""

from __future__ import annotations

from fulmen.core.base.ids import Secret
from fulmen.core.base.outer import SignRequest
from fulmen.core.crypto.secp256k1 import sign_recoverable
from fulmen.core.invoices.amount import read_hrp
from fulmen.core.invoices.bolt11 import UnsignedInvoice


class SignInvoice(SignRequest):
    """A recoverable signature by the node's key; the answer's `bolt11` becomes the invoice's text."""

    hrp: str
    words: bytes
    """Timestamp and fields, one 5-bit word a byte."""


def sign_invoice(request: SignInvoice, node_secret: Secret) -> str:
    """The text of the signed invoice.

    Raises:
        Malformed: the human-readable part is that of no invoice, so the digest could be that of something else.
    """
    read_hrp(request.hrp)
    waiting = UnsignedInvoice(request.hrp, request.words)
    return waiting.signed(sign_recoverable(node_secret, waiting.digest))
