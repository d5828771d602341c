"""Which scripts a mutual close may pay to. BOLT 2, "Closing Initiation: `shutdown`"."""

from __future__ import annotations

from fulmen.core.base.units import Sat
from fulmen.core.transactions.weights import DUST_P2WPKH, DUST_P2WSH, DUST_UNKNOWN_SEGWIT


def is_shutdown_script(script: bytes, *, anysegwit: bool) -> bool:
    """Whether a script has one of the forms that `shutdown` allows (without option_simple_close).

    1. `OP_0` `20` 20 bytes, 2. `OP_0` `32` 32 bytes, 3. with option_shutdown_anysegwit `OP_1` … `OP_16` and one push
    of 2 to 40 bytes.
    """
    if len(script) < 4 or script[1] != len(script) - 2:
        return False
    if script[0] == 0:
        return script[1] in (20, 32)
    return anysegwit and 0x51 <= script[0] <= 0x60 and 2 <= script[1] <= 40


def dust_limit_of(script: bytes) -> Sat:
    """Below this an output to such a script is not relayed (BOLT 3, "Dust Limits"): its beginning says which it is."""
    if script[:2] == b"\x00\x14":
        return DUST_P2WPKH
    if script[:2] == b"\x00\x20":
        return DUST_P2WSH
    return DUST_UNKNOWN_SEGWIT
