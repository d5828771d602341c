"""Bitcoin Core's own validation as a judge, through py-bitcoinkernel.

The kernel keeps a chain of its own in a directory that lives as long as the judge: one inside the data directory of
the chain, so that what a killed process left there goes with the next; else one for temporary files. It follows our
active chain: when its tip is not the parent of the block it is shown (after `invalidateblock`, at start), it begins
anew and reads our active chain again, which costs about 0.2 ms a block. It reads the machine's clock, so a block that
`setmocktime` dates more than two hours ahead is judged by its scripts alone until the clock has caught up.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import pbk
from pbk.script import PrecomputedTransactionData

from fulmen.core.bitcoin.transaction import TxOut
from fulmen.regtest.judge import KERNEL, BlockContext
from fulmen.regtest.params import MAX_FUTURE_BLOCK_TIME

_FLAGS = pbk.ScriptVerificationFlags.ALL


class KernelJudge:
    """Core's script interpreter and Core's block validation."""

    name = KERNEL

    def __init__(self, home: Path | None = None) -> None:
        pbk.logging_set_options(pbk.LoggingOptions(log_timestamps=False))
        self._home = home
        self._directory = ""
        self._manager: pbk.ChainstateManager | None = None
        self._context: pbk.Context | None = None
        self._verdict = ""
        self._ahead_until = 0

    def scripts(self, tx: bytes, spent: Sequence[TxOut]) -> str:
        """Core's interpreter under all consensus flags; it gives no reason."""
        parsed = pbk.Transaction(tx)
        if len(parsed.inputs) != len(spent):
            return "spent outputs do not match inputs"
        outputs = [pbk.TransactionOutput(pbk.ScriptPubkey(out.script_pubkey), out.amount_sat) for out in spent]
        shared = PrecomputedTransactionData(parsed, outputs)
        for index, out in enumerate(spent):
            script = pbk.ScriptPubkey(out.script_pubkey)
            if not script.verify(out.amount_sat, parsed, shared, index, _FLAGS):
                return f"input {index} script failed"
        return ""

    def block(self, block: bytes, context: BlockContext) -> str:
        """Core's ProcessNewBlock on a chain that ends with the block's parent."""
        header = pbk.BlockHeader(block[:80])
        self._ahead_until = max(self._ahead_until, int(header.timestamp.timestamp()))
        if self._ahead_until > time.time() + MAX_FUTURE_BLOCK_TIME:
            return self._all_scripts(block, context)
        if self._tip() != bytes(header.prev_hash):
            self._follow(context)
        reason = self._process(block)
        if not reason and self._tip() != bytes(header.block_hash):
            reason = "not connected"
        return reason

    def close(self) -> None:
        """Forget the kernel's chain and its directory."""
        self._manager = None
        self._context = None
        if self._directory:
            shutil.rmtree(self._directory, ignore_errors=True)
            self._directory = ""

    def _new_directory(self) -> str:
        if self._home is None:
            return tempfile.mkdtemp(prefix="fulmen-kernel-")
        directory = self._home / "kernel"
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(mode=0o700)
        return str(directory)

    def _all_scripts(self, block: bytes, context: BlockContext) -> str:
        parsed = pbk.Block(block)
        for tx, spent in zip(list(parsed.transactions)[1:], context.spent, strict=True):
            if reason := self.scripts(bytes(tx), spent):
                return reason
        return ""

    def _tip(self) -> bytes:
        if self._manager is None:
            return b""
        chain = self._manager.get_active_chain()
        return bytes(chain.block_tree_entries[chain.height].block_hash)

    def _follow(self, context: BlockContext) -> None:
        self.close()
        self._directory = self._new_directory()
        options = pbk.ContextOptions()
        options.set_chainparams(pbk.ChainParameters(pbk.ChainType.REGTEST))
        options.set_validation_interface(pbk.ValidationInterfaceCallbacks(block_checked=self._on_block_checked))
        self._context = pbk.Context(options)
        manager = pbk.ChainstateManagerOptions(self._context, self._directory, f"{self._directory}/blocks")
        manager.update_block_tree_db_in_memory(True)
        manager.update_chainstate_db_in_memory(True)
        self._manager = pbk.ChainstateManager(manager)
        self._manager.import_blocks([])
        for ancestor in context.ancestors():
            self._process(ancestor)

    def _process(self, block: bytes) -> str:
        assert self._manager is not None
        self._verdict = ""
        try:
            self._manager.process_block(pbk.Block(block))
        except pbk.ProcessBlockException:
            return self._verdict or "block refused"
        except RuntimeError:
            return "block does not parse"
        return self._verdict

    def _on_block_checked(self, _data: object, _block: object, state: pbk.BlockValidationState) -> None:
        if state.validation_mode is not pbk.ValidationMode.VALID:
            self._verdict = f"block refused: {state.block_validation_result.name.lower().replace('_', ' ')}"
