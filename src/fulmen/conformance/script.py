"""What a script is: steps and values as plain data, and which sentences of the BOLTs they hold a node to.

A script says what fake peers send and what the node under test has to answer. Whatever is not said in a step has a
sensible default that the fake peer computes: keys, points, signatures, the next id. So a step shows only what matters:

    Send("update_add_htlc", {"amount_msat": 0}), ExpectFailure()
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Any

from fulmen.core.base.record import Record

ALICE, BOB = "alice", "bob"
"""The fake peers. Most scripts need one."""
PATIENCE_S = 10.0
"""How long an answer may take, if a step does not say otherwise."""


class Level(enum.Enum):
    """How bad it is when a script fails: a failed SHOULD is a warning."""

    MUST = "MUST"
    SHOULD = "SHOULD"


# -- values: what may stand in a field instead of a plain number or bytes ----------------------------------------------


class Value(Record):
    """Something that is known only when the script is played."""


class Plus(Value):
    """The default, and this much more (or less)."""

    by: int


class Flipped(Value):
    """The default with its last bit turned."""


class FirstByte(Value):
    """The default with another first byte."""

    byte: int


class HighS(Value):
    """The default signature with the other S: valid for ECDSA, and not what BOLT 2 allows."""


class Said(Value):
    """What the node said in its last message of this name."""

    message: str
    field: str
    """Or a field of a field, after a dot."""
    plus: int = 0
    peer: str = ""
    """To whom; empty for the peer of the step."""


class Ours(Value):
    """What the peer of the step said itself in its last message of this name."""

    message: str
    field: str
    plus: int = 0


class PreimageOf(Value):
    """The preimage of a payment with this number."""

    number: int


class HashOf(Value):
    """The payment_hash of a payment with this number."""

    number: int


class Height(Value):
    """The height of the chain, and this much more."""

    plus: int = 0


class Now(Value):
    """Seconds since 1970 by the node's clock, and this much more."""

    plus: int = 0


class Onion(Value):
    """An onion for the node: to be forwarded over its channel with this peer, or for itself when that is empty."""

    to: str = ""
    fee_off_by: int | None = None
    """Give the node the fee that it told that peer, and so many msat more; without it, ample."""


class OnionHash(Value):
    """The SHA-256 of the onion in our last `update_add_htlc`."""


class Fees(Value):
    """A `fee_range`."""

    least: Any
    most: Any


class Script22(Value):
    """A P2WPKH script of the fake peer's, one for each number."""

    number: int = 0


class Disabled(Value):
    """The default flags of a `channel_update`, and the bit that disables."""


class OtherEnd(Value):
    """The default flags of a `channel_update`, and the direction of the other end."""


class NodeOf(Value):
    """The node id of a fake peer."""

    peer: str


class NewChannelId(Value):
    """The channel_id that follows from `funding_created`."""


class Scid(Value):
    """The short channel id of a channel that a fake peer has with the node, or of the one that gossip speaks of.

    Of a channel with the node it is the alias that the node gave, unless the `real` one is asked for.
    """

    peer: str = ""
    plus: int = 0
    real: bool = False


class Scids(Value):
    """An array of short channel ids as queries carry it: the announced channel's."""


class ChainHash(Value):
    """Which chain it is that the node is on."""


# -- conditions: what a field of the node's message has to be ----------------------------------------------------------


class Condition(Record):
    """Something that a field is held to. A plain value, or a `Value`, has to be equal."""


class AtLeast(Condition):
    """A number that is not smaller."""

    number: Any


class AtMost(Condition):
    """A number that is not larger."""

    number: Any


class Between(Condition):
    """A number that is neither smaller than the one nor larger than the other."""

    least: int
    most: int


class HasBit(Condition):
    """A feature bitmap that has this bit."""

    bit: int


class Lacks(Condition):
    """A bitmap (or a number) that has none of these bits."""

    bits: tuple[int, ...]


class Length(Condition):
    """So many bytes."""

    count: int


class OneOf(Condition):
    """Equal to one of these."""

    values: tuple[Any, ...]


class AllOf(Condition):
    """All of these hold."""

    conditions: tuple[Any, ...]


class Contains(Condition):
    """An array with this among its elements."""

    element: Any


class Not(Condition):
    """Not equal to this."""

    value: Any


class Present(Condition):
    """There at all."""


class ShutdownScript(Condition):
    """A script of one of the forms that `shutdown` allows."""


class AgreedScript(Condition):
    """The `upfront_shutdown_script` that the node has given in its last message of this name, if it gave one."""

    message: str


# -- steps -------------------------------------------------------------------------------------------------------------


class Step(Record, kw_only=True):
    """One thing that a fake peer does, or waits for."""

    peer: str = ALICE


class Connect(Step):
    """Connect and shake hands (BOLT 8). Nothing is said yet."""


class Disconnect(Step):
    """Close the connection; what was in no signed commitment is forgotten."""


class Send(Step):
    """Send a message: the fake peer's default with these fields instead."""

    message: str
    fields: Mapping[str, Any] = {}


class SendRaw(Step):
    """Send these bytes as a message: type and payload."""

    frame: bytes


class SendBroken(Step):
    """Send a message whose frame is cut, or has bytes added, after it was made."""

    message: str
    fields: Mapping[str, Any] = {}
    cut: int = 0
    added: bytes = b""


class Expect(Step):
    """The node sends this message next, with these fields.

    Pings are answered; gossip, odd messages that nobody knows and warnings are let pass, unless they are what is
    expected.
    """

    message: str
    fields: Mapping[str, Any] = {}
    within_s: float = PATIENCE_S
    lost: bool = False
    """It never arrives, as far as the fake peer's books go: a connection that breaks at the wrong moment."""
    ahead_of: tuple[str, ...] = ()
    """Gossip about the same channel, or about a fake peer, that must not come before it."""
    passing: tuple[str, ...] = ()
    """What may come before it, and does not matter."""
    suited: Mapping[str, Any] = {}
    """What has to hold of its fields for the script to be about one rule alone; otherwise it is not run."""


class ExpectEach(Step):
    """The node sends all of these next, in any order."""

    of: tuple[Expect, ...]
    within_s: float = PATIENCE_S


class ExpectFailure(Step):
    """The node fails the channel, or the connection: an `error`, or it hangs up, before it says anything else."""

    within_s: float = PATIENCE_S
    passing: tuple[str, ...] = ()
    """What may come before it: nobody says in which order."""


class ExpectError(Step):
    """The node sends an `error`."""

    within_s: float = PATIENCE_S


class ExpectClosed(Step):
    """The node closes the connection; it may say why before."""

    within_s: float = PATIENCE_S


class ExpectComplaint(Step):
    """The node sends a `warning` or an `error`, or hangs up."""

    within_s: float = PATIENCE_S


class ExpectQuiet(Step):
    """The node is still there (it answers a ping), and has said nothing else for this long."""

    for_s: float = 0.5


class ExpectSilence(Step):
    """The node says nothing for this long, or hangs up: it waits for something that we have not said."""

    for_s: float = 1.0


class ExpectNoGossip(Step):
    """The node says none of these messages about the script's own channels and peers for so long.

    Only those count whose `fields` are so, as far as a message has them.
    """

    messages: tuple[str, ...]
    for_s: float
    fields: Mapping[str, Any] = {}


class ExpectRange(Step):
    """The node answers the peer's last `query_channel_range` to its end: in order, and about all that was asked for."""

    lists: bool = False
    """The channel that gossip speaks of is among the answers."""
    extended: bool = False
    """With timestamps and checksums: those of the updates that the fake peers sent."""
    within_s: float = PATIENCE_S


class ExpectGossip(Step):
    """The node has, or has not, a message of gossip about a channel: it is asked with a query.

    A node that answers no queries is judged by what it tells a stranger who wants all gossip; scripts about queries
    themselves say that it does not answer.

    `message` is `channel_announcement`, `channel_update` or `node_announcement`; the channel is the announced one,
    unless `scid` says another.
    """

    message: str
    scid: Any = None
    known: bool = True
    fields: Mapping[str, Any] = {}
    within_s: float = PATIENCE_S


class FundChannel(Step):
    """Broadcast the funding transaction of `funding_created`, and mine it this deep."""

    depth: int = 6
    amount_off_by: int = 0
    """Fund with so many satoshi more than agreed on: an output that is not the channel's."""


class FundAnnounced(Step):
    """Put the output of a channel between alice and bob on the chain, this deep: what gossip will announce."""

    depth: int = 6


class SpendAnnounced(Step):
    """Spend that output, this deep."""

    depth: int = 1


class Mine(Step):
    """Mine blocks."""

    blocks: int = 1


class ExpectBroadcast(Step):
    """The node has published the funding transaction of the channel that it opens."""

    within_s: float = PATIENCE_S


class ExpectSpent(Step):
    """The funding output of the peer's channel is spent by a transaction that the node publishes."""

    within_s: float = PATIENCE_S


class Ask(Step):
    """Tell the node's operator to do something: `open` (a channel to the peer) or `close` (the peer's channel).

    The names are those of the operator's commands: `--open-command`, `--close-command`.
    """

    command: str
    fields: Mapping[str, Any] = {}


# -- scripts -----------------------------------------------------------------------------------------------------------


class Script(Record, kw_only=True):
    """A scenario, and the sentences of the BOLTs that a node keeps by passing it."""

    name: str
    """A sentence about the protocol, unique among all scripts."""
    ids: tuple[str, ...]
    """What it covers (`ids`)."""
    quotes: tuple[str, ...]
    """The sentences, in the BOLTs' own words."""
    steps: tuple[Step, ...]
    level: Level = Level.MUST
    offers: tuple[int, ...] = ()
    """Features (even bits) that the node has to offer for this to make sense."""
    good: Script | None = None
    """The same with nothing wrong in it. A node that does not pass it refuses what is right, too, and keeps no rule by
    that: then this one is not run."""

    @property
    def needs_chain(self) -> bool:
        """Whether blocks have to be mined."""
        return any(
            isinstance(step, (FundChannel, FundAnnounced, SpendAnnounced, Mine, ExpectBroadcast, ExpectSpent))
            for step in self.steps
        )

    @property
    def asks(self) -> tuple[str, ...]:
        """What somebody has to tell the node to do."""
        return tuple(dict.fromkeys(step.command for step in self.steps if isinstance(step, Ask)))

    @property
    def peers(self) -> tuple[str, ...]:
        """The fake peers that play in it."""
        return tuple(dict.fromkeys(step.peer for step in self.steps))
