"""One end of a channel that closes: a node with its wallet, its keys and its disk, and what a test plans for it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from tests.builders.channels import keys_of
from tests.builders.env import FEERATES
from tests.laws.audits import audit

from fulmen.adapters.keys.in_process import InProcessKeys
from fulmen.adapters.store.codec import Codec
from fulmen.core.base.env import Env, Feerates
from fulmen.core.base.ids import (
    OFFERED,
    RECEIVED,
    ChannelId,
    HtlcKey,
    Preimage,
    Txid,
)
from fulmen.core.base.machine import Action, Address, Event, Fact, Lull, Step, evolves
from fulmen.core.base.mount import Mount
from fulmen.core.base.outer import ChainRewound, Notify, PublishFailed, WantPublished
from fulmen.core.base.policy import DeadlinePolicy
from fulmen.core.base.record import Record
from fulmen.core.base.units import BlockHeight, CltvDelta, FeeratePerKw, Msat, Sat
from fulmen.core.bitcoin.transaction import parse_tx
from fulmen.core.commitments.building import build
from fulmen.core.commitments.close import (
    ChannelResolved,
    CommitmentPublished,
)
from fulmen.core.commitments.commitment import LOCAL
from fulmen.core.commitments.htlcs import Failed, Fulfilled
from fulmen.core.commitments.view import CommitmentView
from fulmen.core.crypto.hashes import sha256
from fulmen.core.node import Batch, Gate, Limits, Node, WantsChanged
from fulmen.core.node.watching import Rescan, WatchMatcher
from fulmen.core.onchain.lifting import CHILD
from fulmen.core.onchain.machine import MOUNT
from fulmen.core.onchain.state import Onchain, initial
from fulmen.core.signer.guard import Guard
from fulmen.core.signer.requests import SignFundingSpend
from fulmen.core.transactions.formats import ANCHORS_ZERO_FEE_HTLC
from fulmen.core.wallet.balance import balance
from fulmen.core.wallet.machine import mount as wallet_mount
from fulmen.core.wallet.state import Wallet
from fulmen.regtest.consensus import Rejected
from fulmen.sim.disk import SimulatedDisk

if TYPE_CHECKING:
    from tests.builders.court import Court


class PublishesAnything(Guard):
    """Of the keys of a test that writes commitments down, revoked ones too, and plays no channel before."""

    def publish(self, view: CommitmentView) -> None:
        """Whatever it is."""


@lru_cache(maxsize=8)
def keys_of_end(name: str) -> InProcessKeys:
    """The keys of one end of a channel that only closes."""
    keys = keys_of(name)
    keys.guard = PublishesAnything(keys.accounts, keys.per_commitment_point, FeeratePerKw(250_000))
    return keys


NAMES = ("alice", "bob")
DELAY = 6
DEADLINES = DeadlinePolicy(resolved_depth=CltvDelta(12), reorg_safe_depth=CltvDelta(3))
ALICE_MSAT = Msat(600_000_000)
COIN_SAT = Sat(200_000)
"""What each wallet has in the beginning."""


@dataclass(frozen=True)
class Planned:
    """An HTLC of a test. `within` says which commitments hold it: alice's, bob's, bob's next, or bob's last one."""

    id: int
    by: str
    amount_msat: int = 50_000_000
    expires_in: int = 10
    within: tuple[str, ...] = ("alice", "bob", "bob_next")
    same_hash_as: int | None = None

    @property
    def preimage(self) -> Preimage:
        """What redeems it."""
        number = self.id if self.same_hash_as is None else self.same_hash_as
        return Preimage(sha256(b"planned %s %d" % (self.by.encode(), number)))

    def key(self, name: str, channel_id: ChannelId) -> HtlcKey:
        """Its name, seen from this end."""
        return HtlcKey(channel_id, OFFERED if self.by == name else RECEIVED, self.id)


def owner_of(name: str, planned: Planned) -> Address:
    """Who has offered an HTLC at this end."""
    return Address("owner", b"%s %d" % (name.encode(), planned.id))


@dataclass(frozen=True)
class Plan:
    """A channel at the moment of its close."""

    format: str = ANCHORS_ZERO_FEE_HTLC.name
    htlcs: tuple[Planned, ...] = ()
    feerate: int = 1000
    feerates: Feerates = FEERATES
    bob_has_next: bool = False
    """Whether alice has signed a next commitment of bob, and bob got it."""
    next_is_lost: bool = False
    """Alice has signed a next commitment of bob, and bob never got it."""
    known: tuple[tuple[str, int], ...] = ()
    """(end, HTLC id): who knows which preimage from the beginning."""
    coin_sat: Sat = COIN_SAT
    to_self_delay: int = DELAY
    """How long each end waits for what is its own on its own commitment."""
    outdated: bool = False
    """Alice has lost state: she knows no commitment of bob's after number 4."""


# -- a toy owner, circuit and channel: they write down what they are told ----------------------------------------------


class Told(Record):
    """What was said to a listener, each once."""

    events: tuple[Event, ...] = ()


class ToldNews(Fact):
    """Something was said."""

    event: Any


@evolves(ToldNews)
def _told(state: Told, fact: ToldNews) -> Told:
    return state.but(events=(*state.events, fact.event))


def _listen(state: Told, event: Event, _env: Env) -> Step[Told]:
    if isinstance(event, Lull) or event in state.events:
        return Step(state)
    return Step(state).fact(ToldNews(event))


def _listener(kind: str) -> Mount:
    return Mount(kind=kind, initial=lambda _key: Told(), decide=_listen)


# -- one end -----------------------------------------------------------------------------------------------------------


@dataclass
class Host:
    """One end: a node with wallet and keys."""

    court: Court
    name: str
    codec: Codec = field(default_factory=Codec)
    node: Node | None = None
    gate: Gate | None = None
    matcher: WatchMatcher | None = None
    notices: list[Notify] = field(default_factory=list)
    published: dict[Txid, str] = field(default_factory=dict)
    publishes_commitment: bool = False
    says_claimable: bool = False
    failures: list[PublishFailed] = field(default_factory=list)
    completed: dict[WantPublished, bytes] = field(default_factory=dict)
    rewound_to: BlockHeight | None = None
    """Since the last block the chain was set back to here; who was started again meanwhile hears of it."""
    breath: int | None = None
    """After so many more actions the process dies; None: it does not."""

    def __post_init__(self) -> None:
        self.disk = SimulatedDisk(lambda value: self.codec.unpack(self.codec.pack(value)))
        self.keys = keys_of_end(self.name)
        self.inbox: list[tuple[Address, Event]] = []
        self.rescans: list[Rescan] = []
        self.changed: list[WantsChanged] = []

    def start(self) -> None:
        tip = self.court.tip
        node = Node(
            (MOUNT, wallet_mount(self.keys.accounts), _listener("channel"), _listener("circuit"), _listener("owner")),
            lambda: self.court.env(self.name),
            verify=lambda _checks: None,
            cold=self.disk,
            limits=Limits(tail_rows=8, snapshots_per_batch=1),
            audit=audit,
        )
        self.node = node
        # A shell reads on behind the last block whose news is on disk: here the last one is read again.
        self.matcher = WatchMatcher(self.court.block_at(tip.height - 1))
        self.has_read_the_tip = False
        self.inbox, self.changed = [], []
        self.gate = Gate(
            node,
            self.disk,
            self.keys,
            perform=self._perform,
            wanted=self._wanted,
            refused=self._refused,
        )
        stored = self.disk.load()
        self._submit(node.resume(stored.snapshots, stored.rows))
        # A shell looks at the blocks that a wallet may have missed; here that is all of them.
        wallet = [want for want in self.node.wants() if want[0].kind == "wallet"]
        for height in range(1, tip.height + 1):
            self.inbox += self.matcher.scan(self.court.block(height), wallet)

    def crash(self) -> None:
        """Memory is gone."""
        if self.gate is not None:
            self.gate.shut()
        self.disk.crash()
        self.node = self.gate = self.matcher = self.breath = None
        self.inbox, self.changed = [], []

    def run(self, events: Iterable[tuple[Address, Event]]) -> None:
        if self.node is not None:
            self._submit(self.node.run(events))

    def pump(self) -> bool:
        """Hand in what waits, follow what is wanted; True if anything happened."""
        if self.node is None:
            self.start()
            # What the channel had not on disk it says again.
            if self.publishes_commitment:
                self.tell_published()
            self.court.tell_of_the_funding(self)
            if self.rewound_to is not None:
                undone = ChainRewound(self.rewound_to)
                self.inbox += [(Address("wallet"), undone), (self.court.address, undone)]
            return True
        assert self.matcher is not None
        moved = bool(self.disk.sync())
        if self.node is None:
            return True
        while self.changed and self.matcher is not None:
            moved = True
            change = self.changed.pop(0)
            events, rescans = self.matcher.change(change.added, change.removed)
            self.inbox += events
            for rescan in rescans:
                for height in range(rescan.first, rescan.last + 1):
                    self.inbox += self.matcher.scan(self.court.block(height), rescan.wants)
        if not self.has_read_the_tip and not moved and self.matcher is not None:
            self.has_read_the_tip = moved = True
            self.inbox += self.matcher.connect(self.court.block(self.court.tip.height))
        if self.inbox:
            events, self.inbox = self.inbox, []
            self.run(events)
            moved = True
        return moved

    def tell_published(self) -> None:
        """The channel failed and publishes our commitment."""
        close = self.court.at_close(self.name)
        claimable = tuple([known.key for known in close.preimages if self.says_claimable])
        self.inbox.append((self.court.address, CommitmentPublished(close.local, claimable)))

    def publish(self) -> None:
        """Send what is wanted to the mempool, as a shell does with every block."""
        if self.node is None:
            return
        ours = b""
        if self.publishes_commitment:
            ours = self.commitment()
            self._to_mempool(None, "our commitment", ours)
        wants = [(address, want) for address, want in self.node.wants() if isinstance(want, WantPublished)]
        # A shell hands a child over together with its parents; here parents, which are the wallet's, go first.
        wants.sort(key=lambda wanted: wanted[0].kind != "wallet")
        for address, want in wants:
            parents = want.parents or ((ours,) if want.name == CHILD and ours else ())
            self._to_mempool(address, want.name, self._complete(want), parents)

    def wanted(self) -> list[WantPublished]:
        """What it wants to be published, beside its commitment."""
        assert self.node is not None
        return [want for _, want in self.node.wants() if isinstance(want, WantPublished)]

    def commitment(self) -> bytes:
        """Our commitment, complete."""
        view = self.court.view(self.name, LOCAL)
        return self._complete(WantPublished("our commitment", build(view).tx.serialize(), (SignFundingSpend(view),)))

    def _complete(self, want: WantPublished) -> bytes:
        raw = self.completed.get(want)
        if raw is None:
            raw = self.completed[want] = self.keys.complete(want)
        return raw

    def _to_mempool(self, address: Address | None, name: str, raw: bytes, parents: tuple[bytes, ...] = ()) -> None:
        regtest, tx = self.court.regtest, parse_tx(raw)
        missing = [parent for parent in map(parse_tx, parents) if regtest.txs.get(parent.txid) is None]
        try:
            if missing:
                outcome = regtest.submit_package([*missing, tx])
                why = [str(one) for one in outcome.outcomes.values() if isinstance(one, Rejected)]
                if outcome.refused:
                    raise Rejected(outcome.refused, "; ".join(why))
            else:
                regtest.submit_tx(tx)
        except Rejected as why:
            if "already" in str(why) or regtest.txs.get(tx.txid) is not None:
                return
            failure = PublishFailed(name, tx.txid, str(why))
            self.failures.append(failure)
            if address is not None:
                self.inbox.append((address, failure))
            return
        self.published[tx.txid] = name

    # -- what it knows --

    @property
    def onchain(self) -> Onchain:
        state = None if self.node is None else self.node.state(self.court.address)
        if state is None:
            state = self.disk.read(self.court.address)
        return state if isinstance(state, Onchain) else initial(self.court.address.key)

    @property
    def is_resolved(self) -> bool:
        return any(isinstance(event, ChannelResolved) for event in self.told(Address("channel", self.court.channel_id)))

    def told(self, address: Address) -> tuple[Event, ...]:
        state = None if self.node is None else self.node.state(address)
        return () if state is None else state.events

    def owner_of(self, planned: Planned) -> Address:
        return owner_of(self.name, planned)

    def fate_of(self, planned: Planned) -> list[str]:
        """What the owner of an offered HTLC was told, in order."""
        said = []
        for event in self.told(self.owner_of(planned)):
            if isinstance(event, Fulfilled):
                assert event.preimage == planned.preimage
                said.append("fulfilled")
            if isinstance(event, Failed):
                assert event.on_chain
                said.append("failed")
        return said

    @property
    def coins_sat(self) -> int:
        """What the wallet has in blocks."""
        assert self.node is not None
        state = self.node.state(Address("wallet"))
        assert isinstance(state, Wallet)
        all_of_it = balance(state, self.court.tip.height, Sat(0))
        return all_of_it.total_sat - all_of_it.pending_sat

    @property
    def names(self) -> list[str]:
        """Of the transactions it published, sorted."""
        return sorted(self.published.values())

    def _submit(self, batch: Batch) -> None:
        assert self.gate is not None
        self.gate.submit(batch)

    def _dies(self) -> bool:
        """Whether it is dead, or dies now."""
        if self.node is None:
            return True
        if self.breath == 0:
            self.crash()
            return True
        if self.breath is not None:
            self.breath -= 1
        return False

    def _wanted(self, wants: WantsChanged) -> None:
        if not self._dies():
            self.changed.append(wants)

    def _perform(self, _sender: Address, action: Action) -> None:
        if self._dies():
            return
        if isinstance(action, Notify):
            assert action.topic != "frozen", action
            self.notices.append(action)

    def _refused(self, address: Address, fault: Any) -> None:
        raise AssertionError(f"{address} was refused a signature: {fault}")
