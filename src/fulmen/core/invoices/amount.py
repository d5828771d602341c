"""The human-readable part of an invoice: `ln`, the chain's prefix, and perhaps an amount.

BOLT 11, "Human-Readable Part". The unit is whole coins; a millisatoshi is 10 pico.
"""

from __future__ import annotations

from fulmen.core.base.faults import Malformed
from fulmen.core.base.units import MAX_MONEY_SAT, Msat, to_msat

MULTIPLIERS = {"m": 100_000_000, "u": 100_000, "n": 100}
"""Millisatoshis in one of each; `p` is a tenth of one, and no multiplier is a whole coin."""
COIN_MSAT = 100_000_000_000
PREFIXES = ("lnbc", "lntb", "lntbs", "lnbcrt", "lnltc", "lntltc", "lnrltc")
"""Bitcoin (mainnet, testnet, signet, regtest) and litecoin (mainnet, testnet, regtest)."""


class NotAnInvoice(Malformed):
    """The human-readable part does not start with `ln`."""


class UnknownPrefix(Malformed):
    """The invoice is for a chain that we do not know."""


class AmountMalformed(Malformed):
    """The amount is no positive whole number followed by at most one multiplier."""


class AmountTooFine(Malformed):
    """The amount is no whole number of millisatoshis."""


class AmountTooLarge(Malformed):
    """The amount is more than all the money there is."""


def read_hrp(hrp: str) -> tuple[str, Msat | None]:
    """The chain's prefix (`lnbc`) and the amount in a human-readable part, lower case.

    Raises:
        NotAnInvoice, UnknownPrefix, AmountMalformed, AmountTooFine, AmountTooLarge: it breaks BOLT 11.
    """
    if not hrp.startswith("ln"):
        raise NotAnInvoice("an invoice starts with ln and the prefix of its chain")
    letters = next((at for at in range(2, len(hrp)) if hrp[at] in "0123456789"), len(hrp))
    prefix, amount = hrp[:letters], hrp[letters:]
    # BOLT 11: "if it does NOT understand the `prefix`: MUST fail the payment."
    if prefix not in PREFIXES:
        raise UnknownPrefix("the invoice is for an unknown chain", prefix=prefix[:20])
    return prefix, read_amount(amount) if amount else None


def read_amount(amount: str) -> Msat:
    """The millisatoshis in an amount like `2500u`.

    Raises:
        AmountMalformed, AmountTooFine, AmountTooLarge: it breaks BOLT 11.
    """
    multiplier = amount[-1:] if amount[-1:] in ("m", "u", "n", "p") else ""
    digits = amount[: len(amount) - len(multiplier)]
    # BOLT 11: "if `amount` contains a non-digit OR is followed by anything except a `multiplier`: MUST fail"
    if not (digits.isascii() and digits.isdigit()):
        raise AmountMalformed("an amount is a whole number and one of m, u, n, p", amount=amount[:30])
    significant = digits.lstrip("0")
    if len(significant) > 20:
        raise AmountTooLarge("the amount is more than all coins", amount=amount[:30])
    number = int(significant or "0")
    if number == 0:
        raise AmountMalformed("an amount is above zero", amount=amount[:30])
    if multiplier == "p":
        # BOLT 11: "if multiplier is `p` and the last decimal of `amount` is not 0: MUST fail the payment."
        if number % 10:
            raise AmountTooFine("the amount is no whole number of millisatoshis", amount=amount[:30])
        amount_msat = number // 10
    else:
        amount_msat = number * MULTIPLIERS.get(multiplier, COIN_MSAT)
    if amount_msat > to_msat(MAX_MONEY_SAT):
        raise AmountTooLarge("the amount is more than all coins", amount=amount[:30])
    return Msat(amount_msat)


def write_amount(amount_msat: Msat) -> str:
    """The shortest text of an amount above zero."""
    for multiplier, size in (("", COIN_MSAT), *MULTIPLIERS.items()):
        if amount_msat % size == 0:
            return f"{amount_msat // size}{multiplier}"
    return f"{amount_msat * 10}p"
