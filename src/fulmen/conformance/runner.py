"""Playing scripts: step by step, with a trace of everything that was said.

A script passes when its last step is done. It fails when the node says something else than is expected, says nothing
in time, or sends what cannot be right. The trace shows what happened before.
"""

from __future__ import annotations

import enum
import time
from collections.abc import Callable, Iterable, Sequence

from fulmen.conformance.chain import NodeLags
from fulmen.conformance.channel import NodeIsWrong
from fulmen.conformance.checking import shown, why_not
from fulmen.conformance.defaults.compose import compose
from fulmen.conformance.defaults.numbers import FUNDING_SAT
from fulmen.conformance.defaults.values import resolve
from fulmen.conformance.links import LinkClosed, Subject
from fulmen.conformance.peer import Announced, Cast, FakePeer
from fulmen.conformance.script import (
    PATIENCE_S,
    Ask,
    Connect,
    Disconnect,
    Expect,
    ExpectBroadcast,
    ExpectClosed,
    ExpectComplaint,
    ExpectEach,
    ExpectError,
    ExpectFailure,
    ExpectGossip,
    ExpectNoGossip,
    ExpectQuiet,
    ExpectSilence,
    ExpectSpent,
    FundAnnounced,
    FundChannel,
    Level,
    Mine,
    Scid,
    Script,
    Send,
    SendBroken,
    SendRaw,
    SpendAnnounced,
    Step,
)
from fulmen.core.base.faults import Fault, Malformed
from fulmen.core.base.ids import ShortChannelId, scid
from fulmen.core.base.record import Record
from fulmen.core.base.units import Sat
from fulmen.core.bitcoin.transaction import Tx, TxIn, TxOut
from fulmen.core.crypto.hashes import sha256
from fulmen.core.crypto.secp256k1 import sign_ecdsa
from fulmen.core.gossip.encodings import encode_scids
from fulmen.core.peer.delivery import printable
from fulmen.core.transactions.funding import funding_digest, funding_output, funding_witness
from fulmen.core.wire import UnknownMessage, decode, encode, name_of, type_of
from fulmen.core.wire.declare import KINDS
from fulmen.core.wire.features import TABLE
from fulmen.core.wire.messages.setup import ErrorMessage, Init, Ping, Pong, WarningMessage

GOSSIP = range(256, 266)
QUIET_PONG = 321
"""An unlikely length, so that the pong of `ExpectQuiet` is known."""
POLL_S = 1.0
STRANGERS_WAIT_S = 2.0
"""Of silence, and a node has told a stranger all that it knows."""
BLOCKS_AT_ONCE = 100
LIMIT_S = 300.0
"""How long one script may take, waits and all."""


class Verdict(enum.Enum):
    """How a script ended."""

    PASSED = "passed"
    FAILED = "failed"
    WARNED = "warning"
    """It failed, and what it holds the node to is a SHOULD."""
    NOT_RUN = "not run"


class Line(Record):
    """One line of a trace."""

    peer: str
    arrow: str
    """`→` to the node, `←` from it, `·` for what happened beside the wire."""
    text: str


class Outcome(Record):
    """How one script ended, and why."""

    script: Script
    verdict: Verdict
    reason: str = ""
    trace: tuple[Line, ...] = ()
    seconds: float = 0.0
    unfinished: bool = False
    """It was begun, and could not be played to its end; counts as not run."""


class ScriptFailed(Exception):
    """The node did not do what a step expects."""


class TookTooLong(Exception):
    """The time of the script is up."""


def run_all(
    scripts: Iterable[Script],
    subject: Subject,
    seed: bytes,
    done: Callable[[Outcome], None] = lambda _outcome: None,
    limit_s: float = LIMIT_S,
) -> list[Outcome]:
    """Play scripts one after another; `done` hears of each."""
    outcomes: list[Outcome] = []
    for script in scripts:
        outcome = run(script, subject, seed, limit_s)
        outcomes.append(outcome)
        done(outcome)
    return outcomes


def run(script: Script, subject: Subject, seed: bytes, limit_s: float = LIMIT_S) -> Outcome:
    """Play one script. Its fake peers have keys of their own, made from the seed and the script's name.

    Args:
        limit_s: what is not played to its end by then counts as not run.
    """
    reason = _why_not_run(script, subject)
    if reason:
        return Outcome(script, Verdict.NOT_RUN, reason)
    started = time.monotonic()
    play = Play(script, subject, sha256(seed + script.name.encode()), started + limit_s)
    verdict, reason, unfinished = Verdict.PASSED, "", False
    failed = Verdict.FAILED if script.level is Level.MUST else Verdict.WARNED
    try:
        play.perform()
    except Unsuited as unsuited:
        verdict, reason = Verdict.NOT_RUN, str(unsuited)
    except TookTooLong:
        verdict, reason, unfinished = Verdict.NOT_RUN, f"{play.at}: not played to its end within {limit_s:g} s", True
    except NodeLags as lags:
        verdict, reason, unfinished = Verdict.NOT_RUN, f"{play.at}: {lags.name}: {lags}", True
    except (ScriptFailed, NodeIsWrong) as failure:
        verdict, reason = failed, f"{play.at}: {failure}"
    except LinkClosed as closed:
        verdict, reason = failed, f"{play.at}: {closed}"
    except Fault as fault:
        verdict, reason = failed, f"{play.at}: {fault.name}: {fault}"
    finally:
        play.clear()
    return Outcome(script, verdict, reason, tuple(play.trace), time.monotonic() - started, unfinished)


def _why_not_run(script: Script, subject: Subject) -> str:
    if script.needs_chain and subject.coins is None:
        return "needs a chain (--chain)"
    if script.needs_operator and subject.operator is None:
        return "needs somebody who tells the node what to do (--open-command, --close-command)"
    return ""


class Unsuited(Exception):
    """The node does not offer what the script is about."""


class Play:
    """One script being played."""

    def __init__(self, script: Script, subject: Subject, seed: bytes, end: float) -> None:
        self._script = script
        self._end = end
        self._subject = subject
        self._cast = Cast(subject, seed)
        for name in dict.fromkeys((*script.peers, "alice", "bob")):
            peer = self._cast.peers[name] = FakePeer(name, self._cast)
            funding = next((step for step in script.steps if isinstance(step, FundChannel) and step.peer == name), None)
            peer.funds_for_real = funding is not None
            peer.funding_off_by = funding.amount_off_by if funding is not None else 0
        self._strangers = 0
        self.trace: list[Line] = []
        self.at = ""
        """The step being played, in words."""

    def perform(self) -> None:
        """All steps, in order.

        Raises:
            ScriptFailed, NodeIsWrong, LinkClosed: the node did not keep to the script.
            TookTooLong: its time was up before its end.
            Fault: the script cannot be played.
        """
        for number, step in enumerate(self._script.steps, 1):
            self.at = f"step {number}, {_described(step)}"
            self._in_time()
            _PERFORM[type(step)](self, self._cast.peers[step.peer], self._patient(step))

    def _in_time(self) -> None:
        if time.monotonic() > self._end:
            raise TookTooLong

    def _patient(self, step: Step) -> Step:
        """The step, with as long a wait for an answer as this node is given."""
        within_s: float | None = getattr(step, "within_s", None)
        return step if within_s is None else step.but(within_s=within_s * self._subject.patience)

    def clear(self) -> None:
        """Hang up."""
        for peer in self._cast.peers.values():
            peer.parted()

    # ---- saying ------------------------------------------------------------------------------------------------------

    def connect(self, peer: FakePeer, _step: Connect) -> None:
        """Connect and shake hands."""
        peer.link = self._subject.connect(peer.secret)
        self._note(peer, "·", f"connects as {peer.node_id.hex()}")

    def disconnect(self, peer: FakePeer, _step: Disconnect) -> None:
        """Hang up."""
        peer.parted()
        self._note(peer, "·", "hangs up")

    def send(self, peer: FakePeer, step: Send) -> None:
        """Send a message."""
        message = compose(peer, step.message, step.fields)
        self._send(peer, encode(message), _line(message))
        peer.sent(message)

    def send_raw(self, peer: FakePeer, step: SendRaw) -> None:
        """Send bytes."""
        self._send(peer, step.frame, f"raw {shown(step.frame)}")

    def send_broken(self, peer: FakePeer, step: SendBroken) -> None:
        """Send a message that is too short or too long."""
        frame = encode(compose(peer, step.message, step.fields))
        frame = frame[: len(frame) - step.cut] + step.added
        self._send(peer, frame, f"{step.message}, {step.cut} bytes cut, {step.added.hex() or 'nothing'} added")

    def _send(self, peer: FakePeer, frame: bytes, text: str) -> None:
        self._note(peer, "→", text)
        if peer.link is not None:
            peer.link.send(frame)

    # ---- hearing -----------------------------------------------------------------------------------------------------

    def expect(self, peer: FakePeer, step: Expect) -> None:
        """One message."""
        self._next_of(peer, [step], step.within_s)

    def expect_each(self, peer: FakePeer, step: ExpectEach) -> None:
        """Several messages in any order."""
        missing = list(step.of)
        while missing:
            missing.remove(self._next_of(peer, missing, step.within_s))

    def expect_failure(self, peer: FakePeer, step: ExpectFailure) -> None:
        """An error, or the end of the connection."""
        try:
            while True:
                message = self._message(peer, step.within_s)
                if isinstance(message, ErrorMessage):
                    return
                if not isinstance(message, WarningMessage) and name_of(message) not in step.passing:
                    raise ScriptFailed(f"the node goes on with {name_of(message)}")
        except LinkClosed:
            peer.parted()

    def expect_error(self, peer: FakePeer, step: ExpectError) -> None:
        """An error."""
        while not isinstance(message := self._message(peer, step.within_s), ErrorMessage):
            if not isinstance(message, WarningMessage):
                raise ScriptFailed(f"the node goes on with {name_of(message)}")

    def expect_closed(self, peer: FakePeer, step: ExpectClosed) -> None:
        """The end of the connection."""
        try:
            while isinstance(message := self._message(peer, step.within_s), (WarningMessage, ErrorMessage)):
                pass
        except LinkClosed:
            peer.parted()
            return
        raise ScriptFailed(f"the node goes on with {name_of(message)}")

    def expect_complaint(self, peer: FakePeer, step: ExpectComplaint) -> None:
        """A warning, an error, or the end of the connection."""
        try:
            message = self._message(peer, step.within_s)
        except LinkClosed:
            peer.parted()
            return
        if not isinstance(message, (WarningMessage, ErrorMessage)):
            raise ScriptFailed(f"the node goes on with {name_of(message)}")

    def expect_quiet(self, peer: FakePeer, step: ExpectQuiet) -> None:
        """A pong, and nothing else, for a while."""
        self._send(peer, encode(Ping(QUIET_PONG, b"")), "ping, to see whether the node is there and has nothing to say")
        answered = False
        deadline = self._subject.now() + step.for_s
        while not answered or self._subject.now() < deadline:
            left = max(0.0, deadline - self._subject.now())
            message = self._message_or_none(peer, left if answered else PATIENCE_S * self._subject.patience)
            if message is None:
                if answered:
                    return
                raise ScriptFailed("the node does not answer a ping")
            if isinstance(message, Pong) and len(message.ignored) == QUIET_PONG:
                answered = True
            else:
                raise ScriptFailed(f"the node says {name_of(message)}, where nothing is due")

    def expect_silence(self, peer: FakePeer, step: ExpectSilence) -> None:
        """Nothing, or the end of the connection."""
        try:
            while (message := self._message_or_none(peer, step.for_s)) is not None:
                if not isinstance(message, (WarningMessage, ErrorMessage)):
                    raise ScriptFailed(f"the node says {name_of(message)}, where nothing is due")
        except LinkClosed:
            peer.parted()

    def expect_no_gossip(self, peer: FakePeer, step: ExpectNoGossip) -> None:
        """Whatever comes, none of these."""
        deadline = self._subject.now() + step.for_s
        while (left := deadline - self._subject.now()) > 0:
            message = self._message_or_none(peer, left, gossip=True)
            if message is not None and name_of(message) in step.messages and self._concerns_us(message):
                raise ScriptFailed(f"the node says {name_of(message)}")

    def _concerns_us(self, message: Record) -> bool:
        """Whether gossip is about the channels and peers of this script; a node has others to speak of."""
        names: set[object] = {self._cast.announced.scid} if self._cast.announced is not None else set()
        for peer in self._cast.peers.values():
            names.add(peer.node_id)
            if peer.channel is not None:
                names |= {peer.channel.channel_id, peer.channel.scid}
        return any(getattr(message, name, None) in names for name in ("short_channel_id", "channel_id", "node_id"))

    def expect_gossip(self, peer: FakePeer, step: ExpectGossip) -> None:
        """Ask for the announced channel until the answer is as expected, or time is up."""
        deadline = self._subject.now() + step.within_s
        if not step.known:
            # Give it the time to be wrong in.
            self.expect_quiet(peer, ExpectQuiet(1.0))
        while True:
            found = self._knows(peer, step)
            if found == step.known:
                return
            if not step.known or self._subject.now() >= deadline:
                wanted = "does not know" if step.known else "knows"
                raise ScriptFailed(f"the node {wanted} the {step.message}")
            self._message_or_none(peer, POLL_S)

    def _knows(self, peer: FakePeer, step: ExpectGossip) -> bool:
        wanted: ShortChannelId = resolve(peer, Scid() if step.scid is None else step.scid)
        if self._subject.answers_queries:
            known = self._asked_for(peer, step, wanted)
            if known is not None:
                return known
            self._subject.answers_queries = False
        return self._told_to_strangers(peer, step, wanted)

    def _asked_for(self, peer: FakePeer, step: ExpectGossip, wanted: ShortChannelId) -> bool | None:
        """What a query gives; None from a node that does not answer it."""
        message = compose(peer, "query_short_channel_ids", {"encoded_short_ids": encode_scids([wanted])})
        self._send(peer, encode(message), _line(message))
        found = False
        while (answer := self._message_or_none(peer, step.within_s, gossip=True)) is not None:
            peer.heard(answer)
            if name_of(answer) == "reply_short_channel_ids_end":
                return found
            found = found or _tells(peer, answer, step, wanted)
        return None

    def _told_to_strangers(self, peer: FakePeer, step: ExpectGossip, wanted: ShortChannelId) -> bool:
        """What somebody new is told who asks for all gossip: the other way to see what a node knows."""
        self._strangers += 1
        stranger = FakePeer(f"stranger {self._strangers}", self._cast)
        self.connect(stranger, Connect())
        try:
            self._next_of(stranger, [Expect("init")], step.within_s)
            for name in ("init", "gossip_timestamp_filter"):
                self.send(stranger, Send(name))
            found = False
            while (told := self._message_or_none(stranger, STRANGERS_WAIT_S, gossip=True)) is not None:
                found = found or _tells(peer, told, step, wanted)
            return found
        finally:
            stranger.parted()

    def _next_of(self, peer: FakePeer, expected: Sequence[Expect], within_s: float) -> Expect:
        names = {each.message: each for each in expected}
        gossip = any(type_of_name(name) in GOSSIP for name in names)
        deadline = self._subject.now() + within_s
        while True:
            message = self._message_or_none(peer, deadline - self._subject.now(), gossip=gossip)
            if message is None:
                raise ScriptFailed(f"nothing of {' or '.join(names)} came within {within_s:g} s")
            found = names.get(name_of(message))
            early = [each for each in expected if name_of(message) in each.ahead_of]
            if early and not why_not(peer, message, early[0].fields):
                raise ScriptFailed(f"the node says {name_of(message)} before {early[0].message}")
            if found is None and (isinstance(message, WarningMessage) or (gossip and type_of(message) in GOSSIP)):
                continue
            if found is None and any(name_of(message) in each.passing for each in expected):
                continue
            if found is None:
                raise ScriptFailed(f"the node says {name_of(message)}, not {' or '.join(names)}")
            if not found.lost:
                peer.heard(message)
            self._check_offers(peer, message)
            why = why_not(peer, message, found.fields)
            if not why:
                return found
            if gossip:
                continue
            raise ScriptFailed(why)

    def _check_offers(self, peer: FakePeer, message: Record) -> None:
        if isinstance(message, Init):
            missing = [TABLE[bit].name for bit in self._script.offers if not peer.node_features.supports(bit)]
            if missing:
                raise Unsuited(f"the node does not offer {', '.join(missing)}")

    def _message(self, peer: FakePeer, within_s: float, *, gossip: bool = False) -> Record:
        message = self._message_or_none(peer, within_s, gossip=gossip)
        if message is None:
            raise ScriptFailed(f"nothing came within {within_s:g} s")
        return message

    def _message_or_none(self, peer: FakePeer, within_s: float, *, gossip: bool = False) -> Record | None:
        """The next message that matters, before so many seconds have passed."""
        deadline = self._subject.now() + within_s
        while True:
            if peer.link is None:
                raise LinkClosed("the connection is closed")
            try:
                left = min(deadline - self._subject.now(), self._end - time.monotonic())
                frame = peer.link.receive(max(0.0, left))
            except LinkClosed as closed:
                self._note(peer, "·", str(closed))
                raise
            if frame is None:
                self._in_time()
                return None
            try:
                message = decode(frame)
            except Malformed as fault:
                self._note(peer, "←", f"unreadable {shown(frame)}")
                raise NodeIsWrong(f"a message that cannot be read: {fault}") from fault
            self._note(peer, "←", _line(message))
            if isinstance(message, Ping):
                self._send(peer, encode(Pong(bytes(message.num_pong_bytes))), "pong")
            elif isinstance(message, UnknownMessage) and not message.must_be_understood:
                continue
            elif type_of(message) in GOSSIP and not gossip:
                # Kept, for what comes later may speak of it.
                peer.heard(message)
            else:
                return message

    # ---- the chain and the operator ----------------------------------------------------------------------------------

    def fund_channel(self, peer: FakePeer, step: FundChannel) -> None:
        """Broadcast the funding and mine it."""
        coins, tx, channel = self._subject.coins, peer.funding_tx, peer.channel
        assert coins is not None
        if tx is not None:
            coins.chain.broadcast(tx)
        blocks = coins.mine(step.depth)
        self._note(peer, "·", f"{step.depth} blocks, the first with the funding transaction")
        assert channel is not None
        for block in blocks:
            for index, found in enumerate(block.txs):
                if found.txid == channel.outpoint.txid:
                    height = coins.chain.height() - len(blocks) + 1 + blocks.index(block)
                    channel.scid = scid(height, index, channel.outpoint.vout)

    def mine(self, peer: FakePeer, step: Mine) -> None:
        """Blocks, some at a time: a node that reads ten of them a second keeps up."""
        assert self._subject.coins is not None
        for mined in range(0, step.blocks, BLOCKS_AT_ONCE):
            self._subject.coins.mine(min(BLOCKS_AT_ONCE, step.blocks - mined))
            self._in_time()
        self._note(peer, "·", f"{step.blocks} blocks")

    def fund_announced(self, peer: FakePeer, step: FundAnnounced) -> None:
        """An output that alice and bob share."""
        coins = self._subject.coins
        assert coins is not None
        keys = [self._cast.peers[name].basepoints.funding_pubkey for name in ("alice", "bob")]
        tx = coins.pay([funding_output(keys[0], keys[1], FUNDING_SAT)])
        coins.chain.broadcast(tx)
        blocks = coins.mine(step.depth)
        height = coins.chain.height() - len(blocks) + 1
        index = [found.txid for found in blocks[0].txs].index(tx.txid)
        self._cast.announced = Announced(tx, scid(height, index, 0))
        self._note(peer, "·", f"{step.depth} blocks, the first with the output of {height}x{index}x0")

    def spend_announced(self, peer: FakePeer, step: SpendAnnounced) -> None:
        """Spend that output."""
        coins, announced = self._subject.coins, self._cast.announced
        assert coins is not None and announced is not None
        alice, bob = (self._cast.peers[name] for name in ("alice", "bob"))
        keys = alice.basepoints.funding_pubkey, bob.basepoints.funding_pubkey
        tx = Tx(2, (TxIn(announced.tx.outpoint(0)),), (TxOut(Sat(FUNDING_SAT - 1000), alice.script()),))
        digest = funding_digest(tx, *keys, FUNDING_SAT)
        signatures = [sign_ecdsa(end.secrets.funding, digest) for end in (alice, bob)]
        coins.chain.broadcast(tx.with_witness(0, *funding_witness(keys[0], signatures[0], keys[1], signatures[1])))
        coins.mine(step.depth)
        self._note(peer, "·", f"{step.depth} blocks, the first spends that output")

    def expect_spent(self, peer: FakePeer, step: ExpectSpent) -> None:
        """Look at the chain until the funding is spent."""
        coins, channel = self._subject.coins, peer.channel
        assert coins is not None and channel is not None
        self._look(
            peer, lambda: coins.chain.is_spent(channel.outpoint), "the funding output is not spent", step.within_s
        )
        self._note(peer, "·", "the funding output is spent")

    def expect_broadcast(self, peer: FakePeer, step: ExpectBroadcast) -> None:
        """Look at the chain until the funding is there."""
        coins, channel = self._subject.coins, peer.channel
        assert coins is not None and channel is not None
        self._look(peer, lambda: coins.chain.is_there(channel.outpoint), "no funding is published", step.within_s)
        self._note(peer, "·", "the funding transaction is published")

    def _look(self, peer: FakePeer, holds: Callable[[], bool], otherwise: str, within_s: float) -> None:
        """Look at the chain until something holds; what the node says meanwhile does not matter."""
        deadline = self._subject.now() + within_s
        while not holds():
            if self._subject.now() >= deadline:
                raise ScriptFailed(otherwise)
            try:
                self._message_or_none(peer, POLL_S)
            except LinkClosed:
                self._subject.wait(POLL_S)

    def ask(self, peer: FakePeer, step: Ask) -> None:
        """The operator."""
        operator = self._subject.operator
        assert operator is not None
        self._note(peer, "·", f"the operator is told to {step.command}")
        if step.command == "open":
            operator.open_channel(peer.node_id, Sat(step.fields.get("amount_sat", FUNDING_SAT)))
        else:
            assert peer.channel is not None
            operator.close_channel(peer.channel.channel_id, str(peer.channel.outpoint))

    def _note(self, peer: FakePeer, arrow: str, text: str) -> None:
        self.trace.append(Line(peer.name, arrow, text))


_PERFORM: dict[type[Step], Callable[..., None]] = {
    Connect: Play.connect,
    Disconnect: Play.disconnect,
    Send: Play.send,
    SendRaw: Play.send_raw,
    SendBroken: Play.send_broken,
    Expect: Play.expect,
    ExpectEach: Play.expect_each,
    ExpectFailure: Play.expect_failure,
    ExpectError: Play.expect_error,
    ExpectClosed: Play.expect_closed,
    ExpectComplaint: Play.expect_complaint,
    ExpectQuiet: Play.expect_quiet,
    ExpectSilence: Play.expect_silence,
    ExpectGossip: Play.expect_gossip,
    ExpectNoGossip: Play.expect_no_gossip,
    ExpectBroadcast: Play.expect_broadcast,
    ExpectSpent: Play.expect_spent,
    FundChannel: Play.fund_channel,
    FundAnnounced: Play.fund_announced,
    SpendAnnounced: Play.spend_announced,
    Mine: Play.mine,
    Ask: Play.ask,
}


def _tells(peer: FakePeer, message: Record, step: ExpectGossip, wanted: ShortChannelId) -> bool:
    """Whether a message is the gossip that a step asks for."""
    if name_of(message) != step.message or why_not(peer, message, step.fields):
        return False
    return getattr(message, "short_channel_id", wanted) == wanted


def type_of_name(name: str) -> int:
    """The number of a message."""
    return _NUMBERS[name]


_NUMBERS = {kind.name: kind.number for kind in KINDS.values()}


def _described(step: Step) -> str:
    what = getattr(step, "message", "")
    return f"{type(step).__name__} {what}".strip()


def _line(message: Record) -> str:
    """A message for a trace."""
    if isinstance(message, (ErrorMessage, WarningMessage)):
        return f"{name_of(message)} “{printable(message.data)}”"
    fields = ", ".join(
        f"{name}={shown(value)}"
        for name in message.__struct_fields__
        if (value := getattr(message, name)) not in (None, (), b"") and name not in ("channel_id", "chain_hash")
    )
    return f"{name_of(message)} {fields}".strip()
