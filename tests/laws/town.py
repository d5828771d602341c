"""Alice, Bob and Carol as whole nodes: every machine of the daemon, its watcher and publisher, on the embedded chain.

What they say to each other crosses as bytes, what they store goes through the codec, and what they publish has to pass
the chain's mempool and its judge. People ask until they are answered, as people do whose node was started again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

from tests.builders.channels import env_of, keys_of
from tests.builders.env import FEERATES
from tests.builders.regtest import a_node
from tests.laws.chain_in_memory import ChainInMemory, at_once
from tests.laws.world import Family, Host, LawBroken, World

from fulmen.adapters.chain.publisher import Publisher
from fulmen.adapters.chain.watcher import ChainWatcher
from fulmen.adapters.keys.in_process import InProcessKeys
from fulmen.adapters.store.codec import Codec
from fulmen.core.base.env import Env
from fulmen.core.base.faults import Fault
from fulmen.core.base.funds import WalletView
from fulmen.core.base.ids import CommandId, NodeId, OutPoint, PaymentHash, Txid
from fulmen.core.base.machine import Action, Address, Disconnected, Event, Lull
from fulmen.core.base.outer import Block, Send, TimeReached, WantPublished, WantTime
from fulmen.core.base.peers import Connected
from fulmen.core.base.policy import DeadlinePolicy, ForwardPolicy, OpeningPolicy, Policy
from fulmen.core.base.units import BlockHeight, CltvDelta, Msat, Sat, Timestamp
from fulmen.core.bitcoin.networks import REGTEST
from fulmen.core.bitcoin.transaction import Tx, TxOut, parse_tx
from fulmen.core.channel.state import Channel, Link, Phase
from fulmen.core.node import Freeze, WantsChanged
from fulmen.core.node.machines import mounts
from fulmen.core.node.tips import ADDRESS as CHAIN
from fulmen.core.node.tips import BlockRead, Tips
from fulmen.core.payments.payment import Payment
from fulmen.core.payments.receiving import REGISTER, CreateInvoice
from fulmen.core.payments.sending import Pay, payment_address, terms_of
from fulmen.core.peer.frames import event_of
from fulmen.core.routing.finder import Finder
from fulmen.core.routing.requests import FindRoute, HintHop, RouteAnswered
from fulmen.core.signer.requests import SignFundingSpend
from fulmen.core.switch.words import invoice_address
from fulmen.core.transactions.formats import ANCHOR_SAT
from fulmen.core.wallet.balance import balance
from fulmen.core.wallet.machine import ADDRESS as WALLET
from fulmen.core.wallet.state import Wallet
from fulmen.core.wire import encode
from fulmen.core.wire.messages.updates import RevokeAndAck
from fulmen.regtest.node import RegtestNode
from fulmen.sim.disk import SimulatedDisk

NAMES = ("alice", "bob", "carol")
NEIGHBOURS = (("alice", "bob"), ("bob", "carol"))
POLICY = Policy(
    opening=OpeningPolicy(minimum_depth=1, to_self_delay=CltvDelta(6)),
    deadlines=DeadlinePolicy(
        cltv_expiry_delta=CltvDelta(12),
        min_final_cltv_expiry_delta=CltvDelta(9),
        fulfilled_deadline=CltvDelta(6),
        resolved_depth=CltvDelta(8),
        reorg_safe_depth=CltvDelta(3),
    ),
    forward=ForwardPolicy(cltv_expiry_delta=CltvDelta(12)),
)
NOBODY = "nobody"
TWO_OF_TWO = b"\x52\xae"
"""How the script of a funding output ends."""
COINS_SAT = Sat(2_000_000)
"""What each has in the beginning, in two coins."""


class Resident(Host):
    """A whole node with its eyes on the chain and its hand in the mempool."""

    watcher: ChainWatcher | None = None
    publisher: Publisher

    @property
    def town(self) -> Town:
        """Where it lives."""
        assert isinstance(self.world, Town)
        return self.world

    def start(self) -> None:
        """From the disk alone."""
        self._early: list[WantsChanged] = []
        self._fresh: list[tuple[Address, Txid]] = []
        self._taken: dict[tuple[Address, WantPublished], Txid] = {}
        self._again = self.has_read_the_chain = False
        self.watcher = None
        self.publisher = Publisher(self.town.source)
        super().start()
        self.env = replace(self.env, tip=at_once(self.town.source.check()))
        node = self.node
        if node is None:
            return
        tips = node.state(CHAIN)
        passed = tips.blocks if isinstance(tips, Tips) else ()
        self.watcher = ChainWatcher(self.town.source, passed, self._deliver)
        for change in self._early:
            self._change(self.watcher, change)

    def crash(self) -> None:
        """The process dies."""
        super().crash()
        self.watcher = None

    def look(self) -> bool:
        """At the chain, and at what is to be published. True if anything came of it."""
        watcher = self.watcher
        if watcher is None:
            return False
        before = self.batches
        at_once(watcher.step())
        self.has_read_the_chain = self.watcher is watcher
        fresh, self._fresh = self._fresh, []
        again, self._again = self._again, False
        if self.watcher is watcher and (fresh or again):
            self.run(at_once(self.publisher.publish(None if again else fresh)))
        return self.batches != before or bool(fresh)

    async def _deliver(self, events: Any, tip: Block) -> None:
        if self.node is None:
            return
        moved = tip != self.env.tip
        self.env = replace(self.env, tip=tip)
        self._again = self._again or moved
        if events:
            self.run([*events, Lull()])
        self.run([(CHAIN, BlockRead(tip))])

    def _wanted(self, wants: WantsChanged) -> None:
        if self.node is None or self._breathes_its_last():
            return
        if self.watcher is None:
            self._early.append(wants)
        else:
            self._change(self.watcher, wants)

    def _change(self, watcher: ChainWatcher, wants: WantsChanged) -> None:
        watcher.wants_changed(wants)
        for address, want in wants.removed:
            if isinstance(want, WantPublished) and (address, want) in self._taken:
                self.publisher.drop(address, self._taken.pop((address, want)))
        for address, want in wants.added:
            if isinstance(want, WantPublished):
                self._publish(address, want)

    def _publish(self, address: Address, want: WantPublished) -> None:
        try:
            raw = self.keys.complete(want)
        except Fault as fault:
            self.run([(address, Freeze(str(fault)))])
            return
        for request in want.sign:
            if isinstance(request, SignFundingSpend):
                self._check_not_revoked(request.view.params.key_index, request.view.number)
        txid = parse_tx(raw).txid
        self.town.published.setdefault(txid, self.name)
        self._taken[address, want] = txid
        self.publisher.add(address, want.name, raw, want.parents)
        self._fresh.append((address, txid))

    def _perform(self, sender: Address, action: Action) -> None:
        if isinstance(action, Send) and isinstance(action.message, RevokeAndAck):
            self.town.revealed[self.name].append(action.message.per_commitment_secret)
        super()._perform(sender, action)

    def _check_not_revoked(self, key_index: int, number: int) -> None:
        """Law 9, by what this node has said in all its lives, and not by what it remembers."""
        if self.keys._per_commitment_secret(key_index, number) in self.town.revealed[self.name]:
            raise LawBroken(f"{self.name} publishes commitment {number}, which is revoked")


@dataclass(frozen=True)
class Evening:
    """A town at rest: what is on its disks, and its chain. Nothing else outlives the night."""

    disks: dict[str, SimulatedDisk]
    chain: RegtestNode
    seconds: int
    commands: int
    published: dict[Txid, str]
    revealed: dict[str, list[bytes]]
    paid: list[tuple[str, str, PaymentHash]]
    notes: dict[str, Any] = field(default_factory=dict)
    """What a story remembers."""


class Town(World):
    """The three, their links, their chain, and those who ask them for something."""

    hosts_are = Resident

    def __init__(self, evening: Evening | None = None) -> None:
        evening = evening if evening is not None else _first_evening()
        self.chain = deepcopy(evening.chain)
        self.source = ChainInMemory(self.chain)
        self.commands = evening.commands
        self.starts = 0
        self.published = dict(evening.published)
        """Whose transaction it is: all that anybody ever handed over."""
        self.revealed = deepcopy(evening.revealed)
        """The per-commitment secrets that left a node."""
        self.paid = list(evening.paid)
        self.notes = dict(evening.notes)
        self.questions: deque[tuple[Host, FindRoute]] = deque()
        self.apart: list[tuple[str, str]] = []
        """Neighbours who do not find each other."""
        self.held: dict[tuple[str, str], tuple[int, ...]] = {}
        """From the first message of one of these types on, a link brings nothing more."""
        family = Family(
            mounts=(),
            mounts_of=_mounts_of,
            keys=keys_of,
            verify=lambda keys: keys.verify,
            connected=lambda peer: [(Address("peer", peer), Connected(True, "127.0.0.1:9735"))],
            parted=lambda peer: [(Address("peer", peer), Disconnected())],
            heard=lambda peer, frame: [(Address("peer", peer), event_of(frame))],
            env=self._env,
            node_id=_node_id,
            asked=self._asked,
        )
        disks = {name: disk.copy() for name, disk in evening.disks.items()}
        super().__init__(family, NAMES, disks=disks)
        self.seconds = evening.seconds

    def evening(self) -> Evening:
        """What is left when everybody is at rest and the lights go out."""
        self.settle()
        return Evening(
            {name: host.disk.copy() for name, host in self.hosts.items()},
            deepcopy(self.chain),
            self.seconds,
            self.commands,
            dict(self.published),
            deepcopy(self.revealed),
            list(self.paid),
            dict(self.notes),
        )

    def _env(self, name: str) -> Env:
        self.starts += 1  # a process that starts again draws other dice
        fresh = env_of(f"{name} {self.starts} {self.seconds} {self.commands}")
        keys = keys_of(name)
        return env_of(
            name,
            node_id=keys.node_id,
            chain_hash=REGTEST.chain_hash,
            entropy=fresh.entropy,
            policy=POLICY,
            feerates=FEERATES,
        )

    # -- what moves ------------------------------------------------------------------------------

    def send(self, sender: Host, action: Send) -> None:
        """As bytes."""
        queue = self.links.get((sender.name, self.by_id(action.to).name))
        if queue is not None:
            queue.append(encode(action.message))

    def deliver(self, sender: str, receiver: str) -> bool:
        """Unless the link is held."""
        queue = self.links.get((sender, receiver))
        if queue and int.from_bytes(queue[0][:2], "big") in self.held.get((sender, receiver), ()):
            return False
        return super().deliver(sender, receiver)

    def connect(self, one: Host, other: Host) -> None:
        """Neighbours who have read the chain, as the daemon does it."""
        pair = (one.name, other.name)
        ready = all(isinstance(host, Resident) and host.has_read_the_chain for host in (one, other))
        if pair in NEIGHBOURS and pair not in self.apart and ready:
            super().connect(one, other)

    def part(self, one: str, other: str) -> None:
        """They lose each other, and do not meet again."""
        self.apart.append((one, other))
        self.cut(self.hosts[one], self.hosts[other])

    def let_go(self) -> None:
        """No link is held any more; what was on its way is lost, as by a connection that breaks."""
        self.held.clear()
        for one, other in NEIGHBOURS:
            self.cut(self.hosts[one], self.hosts[other])

    def _asked(self, host: Host, action: Action) -> None:
        if isinstance(action, FindRoute):
            self.questions.append((host, action))

    def _answer_questions(self) -> bool:
        moved = bool(self.questions)
        while self.questions:
            host, question = self.questions.popleft()
            if host.node is not None:
                request = question.request
                known = self._gossip() if request.destination == _node_id("alice") else ()
                answer = Finder().find(request.but(hints=request.hints + known), Timestamp(0))
                host.run([(question.reply_to, RouteAnswered(question.ref, answer))])
        return moved

    def _gossip(self) -> tuple[tuple[HintHop, ...], ...]:
        """What the network would know: from Bob to Alice over their announced channel."""
        if self.hosts["alice"].node is None:
            return ()
        costs = POLICY.forward
        return tuple(
            (
                HintHop(
                    _node_id("bob"),
                    one.scid,
                    costs.fee_base_msat,
                    costs.fee_proportional_millionths,
                    costs.cltv_expiry_delta,
                ),
            )
            for one in self.channels("alice", "bob")
            if one.scid is not None and one.terms.announce
        )

    def turn(self) -> bool:
        """Everybody does what can be done now. False if that is nothing."""
        moved = False
        hosts = [host for host in self.hosts.values() if isinstance(host, Resident)]
        for host in hosts:
            if host.node is None:
                host.start()
                moved = True
            moved = bool(host.disk.sync()) or moved
            moved = host.look() or moved
            moved = bool(host.disk.sync()) or moved
        for one, other in NEIGHBOURS:
            before = len(self.links)
            self.connect(self.hosts[one], self.hosts[other])
            moved = moved or len(self.links) != before
        # A message takes a turn on its way, so that two may cross.
        on_their_way = {link: len(queue) for link, queue in self.links.items()}
        moved = self._answer_questions() or moved
        for host in hosts:
            host.run([Lull()])
            moved = bool(host.disk.sync()) or host.node is None or moved
        for (sender, receiver), count in on_their_way.items():
            for _ in range(count):
                moved = self.deliver(sender, receiver) or moved
        return moved

    def settle(self, rounds: int = 400, until: Callable[[], bool] = lambda: False) -> None:
        """Until nothing is left to say, to find, to publish, or to wait a moment for."""
        for _ in range(rounds):
            if until():
                return
            if not self.turn() and not self._pass_a_second():
                return
        raise LawBroken("the town does not come to rest")

    def _pass_a_second(self) -> bool:
        """If anybody waits for the clock, and not for a peer's ping."""
        soon = self.seconds + 120
        wanted = [
            want.at
            for host in self.hosts.values()
            if host.node is not None
            for address, want in host.node.wants()
            if isinstance(want, WantTime) and address.kind in ("payment", "circuit", "opening", "channel")
        ]
        start = env_of("alice").wall
        if not any(at <= start + soon for at in wanted):
            return False
        self.seconds += 1
        now = Timestamp(start + self.seconds)
        for host in self.hosts.values():
            if host.node is not None:
                due = [
                    address
                    for address, want in host.node.wants()
                    if isinstance(want, WantTime) and want.at <= now and address.kind != "peer"
                ]
                host.run([(address, TimeReached(now)) for address in due])
        return True

    def mine(self, count: int = 1) -> None:
        """Blocks, with time between them."""
        for _ in range(count):
            self.settle()
            self.chain.mine(1)
            self.settle()

    # -- what people do --------------------------------------------------------------------------

    def ask(
        self,
        name: str,
        to: Address | Callable[[], Address],
        command: Callable[[CommandId], Event],
        done: Callable[[], bool] = lambda: False,
        again: type[Fault] | tuple[()] = (),
    ) -> Any:
        """A caller asks, and asks again when nobody answers, unless he sees that it is done. Gives the answer.

        Args:
            again: a refusal after which one asks again.
        """
        for _ in range(4):
            self.settle()
            command_id = self.says(name, to if isinstance(to, Address) else to(), command)
            self.settle()
            if self.answers[command_id]:
                answer = self.answers[command_id][0]
                if answer.refused is None:
                    return answer.result
                if not isinstance(answer.refused, again):
                    raise answer.refused
            if done():
                return None
        raise LawBroken(f"{name} never answers")

    def says(self, name: str, to: Address, command: Callable[[CommandId], Event]) -> CommandId:
        """A caller asks; whoever waits for the answer looks for it later."""
        self.commands += 1
        command_id = CommandId(b"command-" + self.commands.to_bytes(8, "big"))
        self.hosts[name].run([(to, command(command_id)), Lull()])
        return command_id

    def invoice(self, name: str, amount_msat: int) -> str:
        """The text of a new invoice."""
        made = self.ask(
            name, REGISTER, lambda asked: CreateInvoice(asked, Msat(amount_msat), "test", private_hints=True)
        )
        text: str = made.bolt11
        return text

    def begin_to_pay(self, *wishes: tuple[str, str, str]) -> None:
        """(payer, payee, text of the invoice): all in one breath; and see to it that all have begun."""
        everything = [(payer, payee, terms_of(text, None)) for payer, payee, text in wishes]
        self.paid += [(payer, payee, terms.payment_hash) for payer, payee, terms in everything]
        for _ in range(4):
            self.settle()
            missing = [wish for wish in everything if self.payment(wish[0], wish[2].payment_hash) is None]
            for payer, _payee, terms in missing:
                self.says(payer, payment_address(terms.payment_hash), lambda asked, terms=terms: Pay(asked, terms))
            if not missing:
                return
        raise LawBroken("somebody cannot pay")

    def pays(self, name: str, payee: str, text: str) -> Any:
        """Pay an invoice, and ask until it is said how that went: a `PaymentDone`, or the reason why not."""
        terms = terms_of(text, None)
        self.paid.append((name, payee, terms.payment_hash))
        try:
            return self.ask(name, payment_address(terms.payment_hash), lambda asked: Pay(asked, terms))
        except Fault as refused:
            return refused

    # -- what is true ----------------------------------------------------------------------------

    def node_id(self, name: str) -> NodeId:
        """Who that is."""
        return _node_id(name)

    def channels(self, name: str, other: str) -> list[Channel]:
        """A host's channels with another whose funding is on the chain or on its way there.

        Who accepts a channel keeps it for a while, though its opener may have died and forgotten it.
        """
        node = self.hosts[name].node
        assert node is not None
        found = [node.state(address) for address in node.addresses("channel")]
        return [
            one
            for one in found
            if isinstance(one, Channel)
            and one.params is not None
            and one.params.node_id == _node_id(other)
            and self._is_known(one.funding.outpoint.txid)
        ]

    def _is_known(self, txid: Txid) -> bool:
        return self.chain.txs.get(txid) is not None or self.chain.pool.get(txid) is not None

    def channel(self, name: str, other: str) -> Channel:
        """The one."""
        (channel,) = self.channels(name, other)
        return channel

    def is_usable(self, name: str, other: str) -> bool:
        """Whether both ends can use their one channel."""
        ends = [*self.channels(name, other), *self.channels(other, name)]
        return [(end.phase, end.link) for end in ends] == [(Phase.NORMAL, Link.READY)] * 2

    def script_of(self, name: str) -> bytes:
        """A script of a wallet that nobody was given yet."""
        node = self.hosts[name].node
        assert node is not None
        view = node.views["wallet"]
        assert isinstance(view, WalletView)
        return view.script_pubkey

    def coins_sat(self, name: str) -> int:
        """What a wallet has in blocks."""
        node = self.hosts[name].node
        assert node is not None
        state = node.state(WALLET)
        assert isinstance(state, Wallet)
        everything = balance(state, BlockHeight(self.chain.chain.height), Sat(0))
        return everything.total_sat - everything.pending_sat

    def fees_sat(self) -> dict[str, int]:
        """What the transactions of each have paid to miners. Closes are of nobody: who paid for one is in its terms."""
        paid = dict.fromkeys((*NAMES, NOBODY), 0)
        for txid, publisher in self.published.items():
            tx = self.confirmed(txid)
            if tx is not None:
                whose = NOBODY if tx.inputs[0].witness[-1].endswith(TWO_OF_TWO) else publisher
                paid[whose] += sum(self._output(spent.outpoint).amount_sat for spent in tx.inputs)
                paid[whose] -= sum(output.amount_sat for output in tx.outputs)
        return paid

    def left_over_sat(self) -> int:
        """Anchors that nobody found worth taking."""
        txs = [tx for txid in self.published if (tx := self.confirmed(txid)) is not None]
        anchors = [tx.outpoint(at) for tx in txs for at, out in enumerate(tx.outputs) if out.amount_sat == ANCHOR_SAT]
        return ANCHOR_SAT * sum(self.chain.chain.coins.get(anchor) is not None for anchor in anchors)

    def confirmed(self, txid: Txid) -> Tx | None:
        """A transaction in a block."""
        found = self.chain.txs.get(txid)
        return None if found is None else self.chain.chain.block(found[0]).txs[found[1]]

    def _output(self, outpoint: OutPoint) -> TxOut:
        tx = self.confirmed(outpoint.txid)
        assert tx is not None
        return tx.outputs[outpoint.vout]

    def stored(self, name: str, address: Address) -> Any:
        """A machine's state, live or cold."""
        node = self.hosts[name].node
        assert node is not None
        live = node.state(address)
        return live if live is not None else node.read_cold(address)

    def payment(self, name: str, payment_hash: PaymentHash) -> Payment | None:
        """How a payment stands."""
        state: Payment | None = self.stored(name, payment_address(payment_hash))
        return state

    def received(self, name: str, payment_hash: PaymentHash) -> Any:
        """The invoice of a payment hash."""
        return self.stored(name, invoice_address(payment_hash))


@lru_cache(maxsize=8)
def _keys(name: str) -> InProcessKeys:
    return keys_of(name)


def _node_id(name: str) -> NodeId:
    return _keys(name).node_id


@lru_cache(maxsize=8)
def _mounts_of(name: str) -> Any:
    return mounts(_keys(name).accounts)


_codec = Codec()


def _rewrite(value: Any) -> Any:
    """What comes back from disk is what the store can read."""
    return _codec.unpack(_codec.pack(value))


@lru_cache(maxsize=1)
def _first_evening() -> Evening:
    """Everybody has two coins and no channel, and no node was ever started."""
    chain = a_node()
    chain.mine(101)
    nobody = {name: [] for name in NAMES}
    return Evening({name: SimulatedDisk(_rewrite) for name in NAMES}, chain, 0, 0, {}, nobody, [])
