"""Alice, Bob and Carol in a row, with real channels, circuits, invoices, payments and path finding between them."""

from __future__ import annotations

from collections import deque
from typing import Any

from tests.builders.channels import CAPACITY_SAT, FEATURES, TOYS, born, env_of, keys_of
from tests.laws.channel_family import check_commitments, check_mirror
from tests.laws.world import Family, Host, World, deliver_everything_twice

from fulmen.adapters.store.codec import Codec
from fulmen.core.base.env import Env
from fulmen.core.base.ids import BlockHash, CommandId, NodeId, OutPoint, PaymentHash, Txid, channel_id_of
from fulmen.core.base.machine import Action, Address, Disconnected, Event
from fulmen.core.base.mount import Mount
from fulmen.core.base.outer import Answer, Block, HeightReached, TimeReached, WantTime
from fulmen.core.base.peers import MessageReceived, PeerReady
from fulmen.core.base.retention import RETENTION as ROWS
from fulmen.core.base.units import BlockHeight, Msat, Timestamp
from fulmen.core.bitcoin.networks import REGTEST
from fulmen.core.channel.state import Channel
from fulmen.core.channel.table import MOUNT as CHANNEL
from fulmen.core.payments.invoice import MOUNT as INVOICE
from fulmen.core.payments.invoice import Invoice
from fulmen.core.payments.payment import Payment
from fulmen.core.payments.payments import MOUNT as PAYMENT
from fulmen.core.payments.receiving import REGISTER, CancelInvoice, CreateInvoice
from fulmen.core.payments.register import MOUNT as INVOICES
from fulmen.core.payments.sending import Pay, payment_address, terms_of
from fulmen.core.routing.finder import Finder
from fulmen.core.routing.requests import FindRoute, RouteAnswered
from fulmen.core.switch.circuit import Circuit
from fulmen.core.switch.circuits import MOUNT as CIRCUIT
from fulmen.core.switch.words import invoice_address

NAMES = ("alice", "bob", "carol")
AB, BC = OutPoint(Txid(b"\xab" * 32), 0), OutPoint(Txid(b"\xbc" * 32), 0)
PAIRS = {("alice", "bob"): (AB, 1), ("bob", "carol"): (BC, 2)}
OPENER_MSAT = 600_000_000


def channel_between(one: str, other: str) -> Address | None:
    """The channel of two hosts."""
    pair = PAIRS.get((one, other)) or PAIRS.get((other, one))
    return None if pair is None else Address("channel", channel_id_of(pair[0]))


class Row(World):
    """The three of them. Questions to path finding wait until the world has time for them."""

    def __init__(self, seed: int = 0, *, twice: bool = False) -> None:
        self.questions: deque[tuple[Host, FindRoute]] = deque()
        self.starts = self.commands = 0
        self.paid: list[tuple[str, PaymentHash]] = []
        codec = Codec()  # what comes back from disk is what the store can read
        mounts: tuple[Mount, ...] = (CHANNEL, CIRCUIT, INVOICES, INVOICE, PAYMENT, *TOYS[2:])
        if twice:
            mounts = tuple(map(deliver_everything_twice, mounts))
        family = Family(
            mounts=mounts,
            keys=keys_of,
            verify=lambda keys: keys.verify,
            connected=self._connected,
            parted=self._parted,
            heard=self._heard,
            env=self._env,
            node_id=lambda name: keys_of(name).node_id,
            asked=self._asked,
            rewrite=lambda value: codec.unpack(codec.pack(value)),
        )
        super().__init__(family, NAMES, seed)
        for (name, other), (point, index) in PAIRS.items():
            for here, there, opens in ((name, other, True), (other, name, False)):
                birth = born(
                    here,
                    there,
                    keys_of(there).node_id,
                    is_opener=opens,
                    opener_msat=OPENER_MSAT,
                    point=point,
                    key_index=index,
                )
                address = Address("channel", channel_id_of(point))
                self.hosts[here].run([(address, birth), (address, Disconnected())])
        for host in self.hosts.values():
            while host.disk.sync():
                pass

    def _env(self, name: str) -> Env:
        self.starts += 1  # a process that starts again draws other dice
        fresh = env_of(name + str(self.starts))
        return env_of(name, node_id=keys_of(name).node_id, chain_hash=REGTEST.chain_hash, entropy=fresh.entropy)

    def _name(self, node_id: NodeId) -> str:
        return next(name for name in NAMES if keys_of(name).node_id == node_id)

    def _to(self, peer: NodeId, event: Event) -> list[tuple[Address, Event]]:
        """An event for each channel that the host may have with this peer; a host without one ignores it."""
        name = self._name(peer)
        addresses = [channel_between(name, other) for other in NAMES]
        return [(address, event) for address in addresses if address is not None]

    def _connected(self, peer: NodeId) -> list[tuple[Address, Event]]:
        return self._to(peer, PeerReady(peer, FEATURES, FEATURES))

    def _parted(self, peer: NodeId) -> list[tuple[Address, Event]]:
        return self._to(peer, Disconnected())

    def _heard(self, _peer: NodeId, message: Any) -> list[tuple[Address, Event]]:
        return [(Address("channel", message.channel_id), MessageReceived(message))]

    def connect(self, one: Host, other: Host) -> None:
        """Alice and Carol do not know each other."""
        if channel_between(one.name, other.name) is not None:
            super().connect(one, other)

    def _asked(self, host: Host, action: Action) -> None:
        if isinstance(action, FindRoute):
            self.questions.append((host, action))

    def answer_questions(self) -> bool:
        """Path finding answers; a host that is down never hears it."""
        moved = bool(self.questions)
        while self.questions:
            host, question = self.questions.popleft()
            if host.node is not None:
                answer = Finder().find(question.request, Timestamp(0))
                host.run([(question.reply_to, RouteAnswered(question.ref, answer))])
        return moved

    def pass_time(self, seconds: int) -> None:
        """All clocks move, and whoever wanted to be woken is."""
        self.seconds += seconds
        for host in self.hosts.values():
            if host.node is not None:
                now = Timestamp(env_of(host.name).wall + self.seconds)
                due = [address for address, want in host.node.wants() if isinstance(want, WantTime) and want.at <= now]
                host.run([(address, TimeReached(now)) for address in due])

    def pass_blocks(self, height: int) -> None:
        """The chain is at this height, and whoever keeps rows hears of it."""
        for host in self.hosts.values():
            host.run([(ROWS, HeightReached(Block(BlockHeight(height), BlockHash(bytes(32)))))])
        while any(host.disk.sync() for host in self.hosts.values()):
            self.pass_time(1)

    def step(self, crashes: bool = True) -> None:
        """One thing happens."""
        if self.random.randrange(10) == 0:
            self.answer_questions()
        elif self.random.randrange(40) == 0:
            self.pass_time(1)
        else:
            super().step(crashes)

    def settle(self, rounds: int = 1000) -> None:
        """Until nothing is left to say, to find, or to wait for."""
        for _ in range(rounds):
            super().settle(rounds)
            if self.answer_questions():
                continue
            waiting = [
                want
                for host in self.hosts.values()
                if host.node is not None
                for address, want in host.node.wants()
                if isinstance(want, WantTime) and address.kind in ("payment", "circuit")
            ]
            if not waiting:
                return
            self.pass_time(1)
        raise AssertionError("payments do not come to rest")

    def bring_up(self) -> None:
        """All are up and connected, and their channels have said hello."""
        for host in self.hosts.values():
            if host.node is None:
                host.start()
        for one, other in PAIRS:
            self.connect(self.hosts[one], self.hosts[other])
        for _ in range(4):
            for host in self.hosts.values():
                host.disk.sync()
            for sender, receiver in list(self.links):
                self.deliver(sender, receiver)

    # -- what people do ----

    def invoice(self, name: str, amount_msat: int | None) -> str:
        """The text of a new invoice of this host; after a crash it is asked for again."""
        host = self.hosts[name]
        amount = None if amount_msat is None else Msat(amount_msat)
        command_id = self._command("invoice")
        while not self.answers[command_id]:
            if host.node is None:
                host.start()
            command_id = self._command("invoice")
            host.run([(REGISTER, CreateInvoice(command_id, amount, "test"))])
            while host.disk.sync():
                pass
        result = self.answers[command_id][0].result
        assert result is not None, self.answers[command_id][0].refused
        text: str = result.bolt11
        return text

    def cancel(self, name: str, text: str) -> None:
        """This host takes an invoice back."""
        command_id = self._command("cancel")
        self.hosts[name].run([(REGISTER, CancelInvoice(command_id, payment_hash=terms_of(text).payment_hash))])

    def pay(self, name: str, text: str, amount_msat: int | None = None, retry_for_s: int = 60) -> CommandId:
        """This host pays an invoice; the answer comes in time."""
        terms = terms_of(text, None if amount_msat is None else Msat(amount_msat))
        command_id = self._command("pay")
        self.paid.append((name, terms.payment_hash))
        self.hosts[name].run([(payment_address(terms.payment_hash), Pay(command_id, terms, retry_for_s=retry_for_s))])
        return command_id

    def _command(self, what: str) -> CommandId:
        self.commands += 1
        return CommandId(what.encode().ljust(8, b"-") + self.commands.to_bytes(8, "big"))

    def answer(self, command_id: CommandId) -> Answer | None:
        """What was answered, if anything."""
        return self.answers[command_id][0] if self.answers[command_id] else None

    # -- what is true ----

    def stored(self, host: Host, address: Address) -> Any:
        """A machine's state, live or cold."""
        assert host.node is not None
        live = host.node.state(address)
        return live if live is not None else host.disk.read(address)

    def payment(self, name: str, payment_hash: PaymentHash) -> Payment | None:
        """How a payment stands."""
        state: Payment | None = self.stored(self.hosts[name], payment_address(payment_hash))
        return state

    def received(self, payment_hash: PaymentHash) -> Invoice:
        """The invoice of a payment hash, whoever has it."""
        found = [self.stored(host, invoice_address(payment_hash)) for host in self.hosts.values()]
        (state,) = [state for state in found if state is not None]
        assert isinstance(state, Invoice)
        return state

    def channel(self, name: str, other: str) -> Channel:
        """A host's end of its channel."""
        address = channel_between(name, other)
        node = self.hosts[name].node
        assert address is not None and node is not None
        state = node.state(address)
        assert isinstance(state, Channel)
        return state

    def balance(self, name: str) -> int:
        """What is this host's in all its channels, in msat."""
        others = [other for other in NAMES if channel_between(name, other) is not None]
        return sum(self.channel(name, other).local.totals.local_msat for other in others)

    def circuits(self, name: str) -> list[Circuit]:
        """The circuits of a host that are not over."""
        node = self.hosts[name].node
        assert node is not None
        return [state for address in node.addresses("circuit") if isinstance(state := node.state(address), Circuit)]


BEFORE = {
    "alice": OPENER_MSAT,
    "bob": CAPACITY_SAT * 1000 - OPENER_MSAT + OPENER_MSAT,
    "carol": CAPACITY_SAT * 1000 - OPENER_MSAT,
}
"""What everybody has before anything is paid."""


def check_money(row: Row) -> None:
    """At rest every payment is over, who paid has a receipt, and every msat is where it should be (law 4)."""
    owed = dict.fromkeys(NAMES, 0)
    for name, payment_hash in dict.fromkeys(row.paid):
        payment = row.payment(name, payment_hash)
        if payment is None:
            continue  # the caller's command was lost in a crash before it was on disk
        invoice = row.received(payment_hash)
        assert payment.status.value in ("complete", "failed"), payment
        assert (payment.status.value == "complete") == (invoice.status.value == "paid"), (payment, invoice)
        if payment.status.value == "complete":
            payee = next(
                host for host in NAMES if row.stored(row.hosts[host], invoice_address(payment_hash)) is not None
            )
            assert payment.preimage == invoice.preimage
            assert payment.terms is not None
            owed[name] -= payment.sent_msat
            owed[payee] += invoice.received_msat
            owed["bob"] += payment.sent_msat - invoice.received_msat if "bob" not in (name, payee) else 0
    for name in NAMES:
        assert row.balance(name) == BEFORE[name] + owed[name], name
        assert not row.circuits(name), name
        assert not row.hosts[name].frozen, row.hosts[name].frozen
    for name, other in PAIRS:
        here, there = row.channel(name, other), row.channel(other, name)
        check_commitments(here)
        check_commitments(there)
        check_mirror(here, there)
        assert not here.local_log.adds and not there.local_log.adds
