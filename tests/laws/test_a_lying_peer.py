"""A peer that holds its keys and says what it likes: no order of messages freezes a channel or moves our money.

A seed plays the peer. It signs any commitment that the other end would take and reveals any secret of its own, so that
lies reach as deep as honest messages do.
"""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest
from tests.builders.channels import (
    CAPACITY_SAT,
    CHANNEL,
    CHANNEL_ID,
    FEATURES,
    FUNDING,
    KEY_INDEX,
    TOYS,
    born,
    keys_of,
    preimage_of,
)
from tests.laws.channel_family import FAMILY, check_commitments, pay
from tests.laws.world import Host, World

from fulmen.core.base.env import Env
from fulmen.core.base.faults import PeerFault
from fulmen.core.base.ids import BlockHash, CommandId, NodeId, PaymentHash, Preimage, Secret, Signature, scid
from fulmen.core.base.machine import Disconnected, Event, Lull, Step
from fulmen.core.base.mount import Mount
from fulmen.core.base.outer import Block, ChainRewound, HeightReached, OutputSpent, Send, TxConfirmed
from fulmen.core.base.peers import ChannelErrored, MessageReceived, PeerReady
from fulmen.core.base.units import BlockHeight, FeeratePerKw, Msat, Sat
from fulmen.core.bitcoin.transaction import Tx, TxIn
from fulmen.core.channel.closing import drained, sign_closing, variants
from fulmen.core.channel.commands import CloseChannel
from fulmen.core.channel.dance import local_view
from fulmen.core.channel.state import Channel, Link
from fulmen.core.channel.state import Phase as Stage
from fulmen.core.channel.table import checks, decide
from fulmen.core.channel.updates import FeeratesChanged
from fulmen.core.commitments.building import build
from fulmen.core.commitments.htlcs import Fulfilled
from fulmen.core.crypto.hashes import sha256
from fulmen.core.crypto.secp256k1 import sign_ecdsa
from fulmen.core.crypto.shachain import index_of, per_commitment_secret
from fulmen.core.signer import signing
from fulmen.core.transactions.formats import ANCHORS_ZERO_FEE_HTLC, STATIC_REMOTEKEY
from fulmen.core.transactions.funding import funding_output
from fulmen.core.transactions.keys import derive_secret
from fulmen.core.wire.messages.closing import ClosingSigned, FeeRange, Shutdown
from fulmen.core.wire.messages.opening import ChannelReady
from fulmen.core.wire.messages.updates import (
    ChannelReestablish,
    CommitmentSigned,
    RevokeAndAck,
    UpdateAddHtlc,
    UpdateFailHtlc,
    UpdateFailMalformedHtlc,
    UpdateFee,
    UpdateFulfillHtlc,
)

SCRIPTS = (b"\x00\x14" + b"\x01" * 20, b"\x00\x14" + b"\x02" * 20, b"\x6a\x02no", b"")
AMOUNTS = (0, 1, 353_999, 354_000, 1_000_000, 60_000_000, 380_000_000, 1 << 63)
IDS = (0, 1, 2, 3, 4, 5, (1 << 64) - 1)
FEERATES = (0, 253, 1000, 5000, 100_000, 250_000, (1 << 32) - 1)


class Alone(World):
    """One host, whose peer is Hypothesis."""

    def by_id(self, node_id: NodeId) -> Host:
        return next(iter(self.hosts.values()))

    def cut(self, one: Host, other: Host) -> None:
        one.run([(CHANNEL, Disconnected())])

    def send(self, sender: Host, action: Send) -> None:
        pass


def paid(paying: list[int]) -> Any:
    """The toys, with a payer that may hear of a failure after it was paid, as a liar can make it."""

    def loud(mount: Mount) -> Mount:
        def decide(state: Any, event: Event, env: Env) -> Step[Any]:
            if isinstance(event, Fulfilled) and event.key.id not in paying:
                paying.append(event.key.id)
            return mount.decide(state, event, env)

        return replace(mount, decide=decide)

    return tuple(loud(toy) if toy.kind == "payer" else toy for toy in TOYS)


class ALyingPeer:
    """One end of a channel and a peer that says anything at all."""

    def __init__(self, chance: random.Random) -> None:
        self.random = chance
        opener, depth = self.random.random() < 0.5, self.random.choice([0, 0, 0, 3])
        format = self.random.choice([ANCHORS_ZERO_FEE_HTLC.name, STATIC_REMOTEKEY.name])
        self.patient = self.random.random() < 0.8
        """A patient liar says nothing that would end the channel at once."""
        self.name, self.liar = ("alice", "bob") if opener else ("bob", "alice")
        self.keys = keys_of(self.liar)
        self.liar_id = NodeId(self.liar.encode().rjust(33, b"\x02"))
        self.paid: list[int] = []
        self.amounts: dict[int, int] = {}
        """Of our offers, by id."""
        self.payments = 0
        self.last = Channel(channel_id=CHANNEL_ID)
        self.story: list[str] = []
        family = replace(FAMILY, mounts=(FAMILY.mounts[0], *paid(self.paid)))
        self.world = Alone(family, (self.name,))
        birth = born(self.name, self.liar, self.liar_id, is_opener=opener, format=format, minimum_depth=depth)
        self.host.run([(CHANNEL, birth)])
        self.start_msat = 600_000_000 if opener else 400_000_000
        self.ready()
        self.host.disk.sync(100)

    def go(self, steps: int, happenings: list[tuple[int, str, dict[str, Any]]]) -> None:
        """So many things happen."""
        weights = [weight for weight, _, _ in happenings]
        for _ in range(steps):
            _, what, choices = self.random.choices(happenings, weights)[0]
            chosen = {name: self.random.choice(values) for name, values in choices.items()}
            self.story.append(f"{what}({chosen})")
            getattr(self, what)(**chosen)
            self.check()

    @property
    def host(self) -> Host:
        return next(iter(self.world.hosts.values()))

    def channel(self) -> Channel:
        assert self.host.node is not None
        state = self.host.node.state(CHANNEL)
        return state if isinstance(state, Channel) else self.last

    def say(self, message: Any) -> None:
        if self.patient and self.ends(message):
            return
        self.host.run([(CHANNEL, MessageReceived(message))])
        self.host.disk.sync(100)

    def ends(self, message: Any) -> bool:
        """Whether the channel would not live on with this message."""
        channel, event = self.channel(), MessageReceived(message)
        env = replace(self.host.env, views={})
        try:
            held = all(check.holds() for check in checks(channel, event, env))
            return not held or decide(channel, event, env).state.phase in (Stage.FAILED, Stage.CLOSED)
        except PeerFault:
            return True

    def secret(self, number: int) -> Secret:
        return per_commitment_secret(self.keys._of(KEY_INDEX).per_commitment_seed, index_of(number))

    # -- what a peer can say ------------------------------------------------------------------------------------------

    def ready(self) -> None:
        self.say(ChannelReady(CHANNEL_ID, self.keys.per_commitment_point(KEY_INDEX, 1), scid(16_000_000, 1, 1)))

    def add(self, skip: int, amount: int, number: int, expiry: int, count: int) -> None:
        onion = number.to_bytes(8, "big") + bytes(1358)
        hash_ = PaymentHash(sha256(preimage_of(number)))
        for _ in range(count):
            add_id = max(0, self.channel().remote_log.next_id + skip)
            self.say(UpdateAddHtlc(CHANNEL_ID, add_id, Msat(amount), hash_, BlockHeight(expiry), onion))

    def fulfill(self, htlc: int, right: bool) -> None:
        preimage = preimage_of(htlc) if right else Preimage(bytes(32))
        self.say(UpdateFulfillHtlc(CHANNEL_ID, htlc, preimage))

    def fail(self, htlc: int, size: int) -> None:
        self.say(UpdateFailHtlc(CHANNEL_ID, htlc, bytes(size)))

    def fail_malformed(self, htlc: int, code: int) -> None:
        self.say(UpdateFailMalformedHtlc(CHANNEL_ID, htlc, bytes(32), code))

    def change_fee(self, feerate: int, count: int) -> None:
        for _ in range(count):
            self.say(UpdateFee(CHANNEL_ID, FeeratePerKw(feerate)))

    def sign(self, spoil: int) -> None:
        channel = self.channel()
        view = local_view(channel, channel.local_pending, self.host.env)
        commitment = build(view)
        secrets = self.keys._of(KEY_INDEX)
        htlc_secret = derive_secret(secrets.htlc, view.per_commitment_point)
        htlcs = tuple(sign_ecdsa(htlc_secret, digest) for digest in commitment.htlc_digests())
        signature = sign_ecdsa(secrets.funding, commitment.digest)
        if spoil == 1:
            signature = Signature(bytes(64))
        if spoil == 2:
            htlcs = htlcs[1:] if htlcs else (signature,)
        self.say(CommitmentSigned(CHANNEL_ID, signature, htlcs))

    def revoke(self, off: int, zero: bool) -> None:
        number = self.channel().remote.number
        secret = Secret(bytes(32)) if zero else self.secret(max(0, number + off))
        self.say(RevokeAndAck(CHANNEL_ID, secret, self.keys.per_commitment_point(KEY_INDEX, number + 2)))

    def reestablish(self, commitment: Any, revocation: int, secret: str) -> None:
        channel = self.channel()
        next_commitment = 0 if commitment == "zero" else channel.last_signed.number + 1 + commitment
        next_revocation = max(0, channel.local.number + revocation) % (1 << 64)
        ours = keys_of(self.name)._of(KEY_INDEX).per_commitment_seed
        last = Secret(bytes(32))
        if secret == "right" and 0 < next_revocation <= channel.local.number:
            last = per_commitment_secret(ours, index_of(next_revocation - 1))
        if secret == "wrong":
            last = Secret(b"\x01" * 32)
        if secret == "huge":
            last = Secret(b"\xff" * 32)
        point = self.keys.per_commitment_point(KEY_INDEX, channel.remote.number)
        self.say(ChannelReestablish(CHANNEL_ID, max(0, next_commitment), next_revocation, last, point))

    def shut_down(self, script: bytes) -> None:
        self.say(Shutdown(CHANNEL_ID, script))

    def offer_close(self, fee: int, range_: bool, which: int) -> None:
        channel, signature = self.channel(), Signature(bytes(64))
        if drained(channel):
            found = variants(channel, Sat(fee))
            if found:
                signature = signing.sign_closing(
                    sign_closing(channel, found[which % len(found)]), self.keys._of(KEY_INDEX)
                )
        self.say(ClosingSigned(CHANNEL_ID, Sat(fee), signature, FeeRange(Sat(0), Sat(fee)) if range_ else None))

    def err(self) -> None:
        self.host.run([(CHANNEL, ChannelErrored(b"\xff\x00error"))])

    def leave(self) -> None:
        self.host.run([(CHANNEL, Disconnected())])

    def come(self, honest: bool) -> None:
        self.host.run([(CHANNEL, PeerReady(self.liar_id, FEATURES, FEATURES))])
        if honest and self.channel().link is Link.REESTABLISHING:
            self.reestablish(0, 0, "right")

    def dance(self, times: int) -> None:
        """Both sign and revoke, as honest ends do."""
        for _ in range(times):
            self.come(True)
            self.lull()
            self.sign(0)
            if self.channel().remote_next is not None:
                self.revoke(0, False)

    # -- what happens to us -------------------------------------------------------------------------------------------

    def we_pay(self, amount: int) -> None:
        pay(self.host, self.payments, amount)
        self.payments += 1

    def lull(self) -> None:
        self.host.run([Lull()])
        self.host.disk.sync(100)

    def blocks_come(self, height: int) -> None:
        tip = Block(BlockHeight(max(height, self.host.env.height)), BlockHash(bytes(32)))
        self.host.env = replace(self.host.env, tip=tip)
        self.host.run([(CHANNEL, HeightReached(tip))])

    def the_funding_confirms(self) -> None:
        channel = self.channel()
        if channel.params is None:
            return
        local, remote = channel.terms.local.basepoints, channel.terms.remote.basepoints
        output = funding_output(local.funding_pubkey, remote.funding_pubkey, CAPACITY_SAT)
        raw = Tx(2, (TxIn(FUNDING, b"", 0),), (output, output), 0).serialize()
        block = Block(BlockHeight(100), BlockHash(bytes(32)))
        self.host.run([(CHANNEL, TxConfirmed(FUNDING.txid, raw, block, 1))])

    def the_chain_rewinds(self, to: int) -> None:
        self.host.run([(CHANNEL, ChainRewound(BlockHeight(to)))])

    def somebody_publishes(self, which: str) -> None:
        channel = self.channel()
        if channel.params is None or channel.fundings == ():
            return
        view = local_view(channel, channel.local, self.host.env)
        tx = build(view).tx
        block = Block(BlockHeight(101), BlockHash(b"b" * 32)) if which == "local" else None
        self.host.run([(CHANNEL, OutputSpent(FUNDING, tx.serialize(), block))])
        self.host.disk.sync(100)

    def we_close(self, force: bool) -> None:
        self.host.run([(CHANNEL, CloseChannel(CommandId(b"c" * 16), SCRIPTS[0], force=force))])

    def feerates_move(self, feerate: int) -> None:
        feerates = self.host.env.feerates
        self.host.env = replace(self.host.env, feerates=feerates.but(commitment_per_kw=FeeratePerKw(feerate)))
        self.host.run([(CHANNEL, FeeratesChanged())])

    def we_crash(self) -> None:
        env = self.host.env
        self.host.crash()
        self.host.start()
        self.host.env = env

    # -- what always holds --------------------------------------------------------------------------------------------

    def check(self) -> None:
        """Nothing freezes, commitments balance, and only a preimage moves our money, whoever publishes what."""
        assert not self.host.frozen, self.host.frozen[0].about
        assert self.host.node is not None
        channel = self.host.node.state(CHANNEL)
        if not isinstance(channel, Channel) or channel.params is None:
            return
        self.last = channel
        check_commitments(channel)
        self.amounts.update({add.id: add.amount_msat for add in channel.local_log.adds})
        spent = sum(self.amounts[htlc] for htlc in self.paid)
        for commitment in (channel.local, channel.remote, channel.remote_next):
            if commitment is not None:
                assert commitment.totals.local_msat + commitment.totals.offered_msat >= self.start_msat - spent


HAPPENINGS: list[tuple[int, str, dict[str, Any]]] = [
    (1, "ready", {}),
    (
        8,
        "add",
        {
            "skip": [0] * 12 + [1, -1],
            "amount": AMOUNTS,
            "number": range(4),
            "expiry": [0, 90, 101, 130, 500, 499_999_999, 500_000_000],
            "count": [1, 1, 1, 3, 10],
        },
    ),
    (8, "fulfill", {"htlc": IDS, "right": [True, True, False]}),
    (3, "fail", {"htlc": IDS, "size": [0, 256, 65_000]}),
    (2, "fail_malformed", {"htlc": IDS, "code": [0, 5, 0x8000, 0xC005]}),
    (3, "change_fee", {"feerate": FEERATES, "count": [1, 2]}),
    (8, "sign", {"spoil": [0] * 8 + [1, 2]}),
    (8, "revoke", {"off": [0] * 8 + [1, -1], "zero": [False] * 9 + [True]}),
    (
        1,
        "reestablish",
        {
            "commitment": [0, 0, 0, 0, -1, 1, 1 << 40, "zero"],
            "revocation": [0, 0, 0, 0, -1, 1, 1 << 47, (1 << 64) - 1],
            "secret": ["right", "right", "zero", "wrong", "huge"],
        },
    ),
    (1, "shut_down", {"script": SCRIPTS}),
    (2, "offer_close", {"fee": [0, 1, 500, 5_000, 380_000, 1 << 63], "range_": [True, False], "which": range(3)}),
    (2, "leave", {}),
    (8, "come", {"honest": [True] * 7 + [False]}),
    (12, "dance", {"times": [1, 2, 3]}),
    (6, "we_pay", {"amount": AMOUNTS[1:6]}),
    (10, "lull", {}),
    (1, "blocks_come", {"height": [101, 101, 102, 103, 104]}),
    (1, "the_funding_confirms", {}),
    (3, "feerates_move", {"feerate": [253, 1000, 2000, 100_000]}),
    (2, "we_crash", {}),
]
ENDINGS: list[tuple[int, str, dict[str, Any]]] = [
    (1, "err", {}),
    (1, "blocks_come", {"height": [120, 498, 503, 5000]}),
    (1, "the_chain_rewinds", {"to": [99, 100]}),
    (1, "somebody_publishes", {"which": ["local", "remote"]}),
    (1, "we_close", {"force": [True, False]}),
]
"""How often each thing happens, and with which choices: while the channel lives, and what brings it to its end."""


@pytest.mark.parametrize("seed", range(24))
def test_a_lying_peer_freezes_nothing_and_takes_nothing(seed: int) -> None:
    liar = ALyingPeer(random.Random(seed))
    liar.go(120, HAPPENINGS)
    liar.go(40, HAPPENINGS + ENDINGS)
