"""Outer actions and wants: what leaves the process, and how each survives a crash.

*Derivable*: a pure `wants(state)` is compared with what is in place after each batch and at start; no set/cancel
pairs. *Losable*: logs, progress, pong. What is owed to a peer after a reconnect follows from the state (BOLT 2,
"Message Retransmission"), so `Send` is derivable too.
"""

from __future__ import annotations

from typing import Any

from fulmen.core.base.ids import BlockHash, CommandId, NodeId, OutPoint, Txid
from fulmen.core.base.machine import Action, Address, Event
from fulmen.core.base.record import Record
from fulmen.core.base.units import BlockHeight, Timestamp


class SignRequest(Record):
    """What a key holder is asked to give: a signature or a per-commitment secret."""


class Send(Action):
    """A message to a peer. `sign` names what the key holder fills in before it leaves."""

    to: NodeId
    message: Record
    sign: tuple[SignRequest, ...] = ()


class HangUp(Action):
    """Close the connection to a peer, after what was sent before it."""

    to: NodeId
    reason: str


class Answer(Action):
    """The answer to a caller. It is given once what it says is true on disk.

    `result` is a Record or a plain JSON value; `refused` is set instead when the answer is no.
    """

    command_id: CommandId
    result: Any = None
    refused: Any = None
    sign: tuple[SignRequest, ...] = ()


class Notify(Action):
    """Losable news for whoever listens: logs, progress, the live view of a payment.

    No name in `about` is `event`: that is the topic's own in a line of the log.
    """

    topic: str
    about: dict[str, Any]


class Linger(Action):
    """Losable: tell this machine `Lingered` after a moment whose length chance draws, up to so many milliseconds.

    A crash ends it without a word: what it was for is begun anew by whoever tells the machine again.
    """

    to: Address
    at_most_ms: int


class Lingered(Event):
    """The moment is over."""


class Want(Record, tag=True):
    """Something that has to be in place for as long as the state says so."""


class WantSpendWatch(Want):
    """Tell me when this output is spent (in a block; in the mempool too, when the source sees it)."""

    outpoint: OutPoint
    script_pubkey: bytes
    since: BlockHeight = BlockHeight(0)


class WantTxWatch(Want):
    """Tell me when this transaction is in a block. `script_pubkey` is one of its outputs, for sources that need it."""

    txid: Txid
    script_pubkey: bytes
    since: BlockHeight = BlockHeight(0)


class WantScriptWatch(Want):
    """Tell me of every transaction that pays to this script (the wallet)."""

    script_pubkey: bytes


class WantMempoolWatch(Want):
    """Tell me when this transaction is no longer in the mempool, or a block spends what it spends (`TxGone`)."""

    txid: Txid
    spends: tuple[OutPoint, ...]


class WantHeight(Want):
    """Wake me with every new block while the tip is at this height or above, and at once if it is so already."""

    height: BlockHeight


class WantTime(Want):
    """Wake me when the wall clock is at this time or past it."""

    at: Timestamp


class WantChannels(Want):
    """Tell me (`ChannelsMoved`) when a channel of ours can be used, or cannot any more. The node itself sees to it."""


class WantConnection(Want):
    """Open a connection to this node: one attempt over its addresses, answered by `Connected` or `ConnectFailed`.

    `addresses` are "host:port"; the shell adds those that gossip knows. Another `asked_by` is another attempt.
    """

    node_id: NodeId
    addresses: tuple[str, ...] = ()
    asked_by: tuple[CommandId, ...] = ()
    """The callers on whose behalf is dialed; none where we come back by ourselves."""


class WantPublished(Want):
    """This transaction is to be in the mempool or in a block; it is sent again with every block.

    `tx` is complete (serialised) unless `sign` says what the key holder adds first. `name` says in logs what it is.
    `parents` are complete unconfirmed transactions that it spends: a source that takes packages gets them with it.
    """

    name: str
    tx: bytes
    sign: tuple[SignRequest, ...] = ()
    parents: tuple[bytes, ...] = ()


class Block(Record):
    """Where a chain fact stands."""

    height: BlockHeight
    hash: BlockHash


class TxConfirmed(Event):
    """A watched transaction is in a block. `tx` is the raw transaction, `index` its place in the block."""

    txid: Txid
    tx: bytes
    block: Block
    index: int


class OutputSpent(Event):
    """A watched output was spent by `tx` (raw), in `block`, or in the mempool when that is None."""

    outpoint: OutPoint
    tx: bytes
    block: Block | None


class ScriptPaid(Event):
    """A transaction pays to, or spends from, a watched script of the wallet."""

    txid: Txid
    tx: bytes
    block: Block | None


class TxGone(Event):
    """A transaction that was in the mempool is no longer there, or can never be in a block any more."""

    txid: Txid


class HeightReached(Event):
    """The wanted height has come; `tip` is the chain's tip now."""

    tip: Block


class ChannelsMoved(Event):
    """A channel of ours came back, went away, or has room again: what `Env.views` show of them is another now."""


class TimeReached(Event):
    """The wanted time has come."""

    now: Timestamp


class ChainRewound(Event):
    """Blocks above this height are no longer in the chain, also at start: what they said is unsaid."""

    to: BlockHeight


class PublishFailed(Event):
    """The chain source refused a transaction that was to be published, in its own words."""

    name: str
    txid: Txid
    reason: str
