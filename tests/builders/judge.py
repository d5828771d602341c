"""A script engine that is not ours: whether a spend is valid, by consensus and by what nodes relay."""

from btclib.script.engine import verify_input
from btclib.script.engine.flags import ScriptFlag
from btclib.tx import tx as btclib_tx
from btclib.tx import tx_out as btclib_tx_out

from fulmen.core.bitcoin.transaction import Tx, TxOut

EVERY_RULE = ScriptFlag(sum(flag.value for flag in ScriptFlag))


def verify_spend(tx: Tx, spent: list[TxOut], index: int = 0) -> None:
    """Run the scripts of one input.

    Raises:
        an exception of the engine: the spend is not valid.
    """
    outputs = [btclib_tx_out.TxOut.parse(output.serialize()) for output in spent]
    verify_input(outputs, btclib_tx.Tx.parse(tx.serialize()), index, EVERY_RULE)
