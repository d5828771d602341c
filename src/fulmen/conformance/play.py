"""One script, step by step: what fake peers say and wait for, the chain, and the node's operator."""

from __future__ import annotations

from collections.abc import Callable

from fulmen.conformance.defaults.numbers import FUNDING_SAT
from fulmen.conformance.hearing import Hearing
from fulmen.conformance.links import LinkClosed, Subject
from fulmen.conformance.peer import Announced, Cast, FakePeer
from fulmen.conformance.script import (
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
    ExpectRange,
    ExpectSilence,
    ExpectSpent,
    FundAnnounced,
    FundChannel,
    Mine,
    Script,
    Send,
    SendBroken,
    SendRaw,
    SpendAnnounced,
    Step,
)
from fulmen.conformance.talking import POLL_S, ScriptFailed
from fulmen.core.base.ids import scid
from fulmen.core.base.units import Sat
from fulmen.core.bitcoin.transaction import Tx, TxIn, TxOut
from fulmen.core.crypto.secp256k1 import sign_ecdsa
from fulmen.core.transactions.funding import funding_digest, funding_output, funding_witness

BLOCKS_AT_ONCE = 100


class Play(Hearing):
    """One script being played."""

    def __init__(self, script: Script, subject: Subject, seed: bytes, end: float) -> None:
        super().__init__(script, subject, Cast(subject, seed), end)
        for name in dict.fromkeys((*script.peers, "alice", "bob")):
            peer = self._cast.peers[name] = FakePeer(name, self._cast)
            funding = next((step for step in script.steps if isinstance(step, FundChannel) and step.peer == name), None)
            peer.funds_for_real = funding is not None
            peer.funding_off_by = funding.amount_off_by if funding is not None else 0
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

    def _patient(self, step: Step) -> Step:
        """The step, with as long a wait for an answer as this node is given."""
        within_s: float | None = getattr(step, "within_s", None)
        return step if within_s is None else step.but(within_s=within_s * self._subject.patience)

    def clear(self) -> None:
        """Hang up."""
        for peer in self._cast.peers.values():
            peer.parted()

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
    ExpectRange: Play.expect_range,
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


def _described(step: Step) -> str:
    what = getattr(step, "message", "")
    return f"{type(step).__name__} {what}".strip()
