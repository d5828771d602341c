"""Why the wallet says no."""

from __future__ import annotations

from fulmen.core.base.faults import Refused


class InsufficientFunds(Refused):
    """There are not enough coins that can be spent now."""


class DustOutput(Refused):
    """An output is so small that nodes do not relay it."""


class AmountTooLarge(Refused):
    """An output is larger than all the money there will ever be."""


class NothingToPay(Refused):
    """A transaction needs an output."""


class CoinUnavailable(Refused):
    """A coin that was named is not ours, not confirmed (nor change of our own), spent, reserved, or named twice."""


class TransactionTooHeavy(Refused):
    """It would take more inputs than a standard transaction can have: pay a smaller amount, or in several steps."""


class ReservationUnknown(Refused):
    """No coins are reserved under this name: it was released, or a crash forgot it."""


class PurposeUnknown(Refused):
    """Addresses are of purpose 84 (P2WPKH) or 86 (P2TR)."""


class AlreadyPaid(Refused):
    """This command was carried out long ago; the details name its transaction."""


class ChainSaidNonsense(Refused):
    """The chain source gave a transaction that is none, or is another."""
