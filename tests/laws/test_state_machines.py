"""The laws as Hypothesis sees them: it chooses what happens next, and shrinks what goes wrong to its shortest story.

Two channels, and three nodes in a row; any order of messages, syncs, cuts and crashes, at any point.
"""

from __future__ import annotations

from dataclasses import replace

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from tests.builders.channels import CHANNEL, Outcome
from tests.laws.channel_family import a_world, channel_of, check_at_rest, check_commitments, outcome, pay
from tests.laws.payment_family import NAMES, Row, check_money
from tests.laws.world import Host, World

from fulmen.core.base.machine import Lull
from fulmen.core.base.units import FeeratePerKw
from fulmen.core.channel.state import Link
from fulmen.core.channel.updates import FeeratesChanged
from fulmen.core.transactions.formats import ANCHORS_ZERO_FEE_HTLC, STATIC_REMOTEKEY

AMOUNTS = st.sampled_from([1, 353_999, 354_000, 1_000_000, 20_000_000, 90_000_000])


class Happenings(RuleBasedStateMachine):
    """What can happen to any world."""

    world: World

    def host(self, index: int) -> Host:
        """One of them."""
        hosts = list(self.world.hosts.values())
        return hosts[index % len(hosts)]

    @rule(link=st.integers(0, 5), count=st.integers(1, 4))
    def messages_arrive(self, link: int, count: int) -> None:
        links = sorted(self.world.links)
        for _ in range(count if links else 0):
            self.world.deliver(*links[link % len(links)])

    @rule(host=st.integers(0, 2), count=st.integers(1, 3))
    def a_disk_syncs(self, host: int, count: int) -> None:
        self.host(host).disk.sync(count)

    @rule(host=st.integers(0, 2))
    def nothing_is_left_to_read(self, host: int) -> None:
        self.host(host).run([Lull()])

    @rule(one=st.integers(0, 2), other=st.integers(0, 2))
    def two_meet(self, one: int, other: int) -> None:
        self.world.connect(self.host(one), self.host(other))

    @rule(one=st.integers(0, 2), other=st.integers(0, 2))
    def a_connection_breaks(self, one: int, other: int) -> None:
        self.world.cut(self.host(one), self.host(other))

    @rule(host=st.integers(0, 2))
    def a_process_dies(self, host: int) -> None:
        self.host(host).crash()

    @rule(host=st.integers(0, 2))
    def a_process_starts(self, host: int) -> None:
        if self.host(host).node is None:
            self.host(host).start()


class TwoChannels(Happenings):
    """Alice and Bob with one channel."""

    @initialize(format=st.sampled_from([ANCHORS_ZERO_FEE_HTLC.name, STATIC_REMOTEKEY.name]))
    def begin(self, format: str) -> None:
        self.world = a_world(format=format)
        self.payments: list[tuple[Host, bytes, int]] = []

    @rule(host=st.integers(0, 1), amount_msat=AMOUNTS)
    def somebody_pays(self, host: int, amount_msat: int) -> None:
        payer = self.host(host)
        if payer.node is not None and channel_of(payer).link is Link.READY:
            self.payments.append((payer, pay(payer, len(self.payments), amount_msat), amount_msat))

    @rule(feerate=st.sampled_from([253, 600, 1000, 1500, 2500, 6000, 15000]))
    def prices_on_the_chain_change(self, feerate: int) -> None:
        opener = self.host(0)
        if opener.node is not None:
            dearer = opener.env.feerates.but(commitment_per_kw=FeeratePerKw(feerate))
            opener.env = replace(opener.env, feerates=dearer)
            opener.run([(CHANNEL, FeeratesChanged())])

    @invariant()
    def every_commitment_balances(self) -> None:
        for host in self.world.hosts.values():
            if host.node is not None:
                check_commitments(channel_of(host))

    def teardown(self) -> None:
        self.world.settle()
        check_at_rest(self.world)
        alice = self.host(0)
        expected = 600_000_000
        for payer, command_id, amount_msat in self.payments:
            ended = outcome(payer, command_id)  # type: ignore[arg-type]
            assert ended is not Outcome.PENDING
            if ended is Outcome.PAID:
                expected += -amount_msat if payer is alice else amount_msat
        assert channel_of(alice).local.totals.local_msat == expected


class ThreeNodes(Happenings):
    """Alice, Bob and Carol in a row, who invoice and pay each other."""

    @initialize(seed=st.integers(0, 1 << 16))
    def begin(self, seed: int) -> None:
        self.row = self.world = Row(seed)
        self.row.bring_up()

    @rule(payer=st.integers(0, 2), payee=st.integers(0, 2), amount_msat=st.integers(1_000, 50_000_000))
    def somebody_pays(self, payer: int, payee: int, amount_msat: int) -> None:
        if payer != payee and self.host(payer).node is not None:
            self.row.pay(NAMES[payer], self.row.invoice(NAMES[payee], amount_msat))

    @rule()
    def path_finding_answers(self) -> None:
        self.row.answer_questions()

    @rule(seconds=st.integers(1, 30))
    def time_passes(self, seconds: int) -> None:
        self.row.pass_time(seconds)

    def teardown(self) -> None:
        self.row.settle()
        check_money(self.row)


_SLOW = {"deadline": None, "suppress_health_check": list(HealthCheck)}
TwoChannels.TestCase.settings = settings(max_examples=60, stateful_step_count=60, **_SLOW)
ThreeNodes.TestCase.settings = settings(max_examples=25, stateful_step_count=50, **_SLOW)
TestTwoChannels = TwoChannels.TestCase
TestThreeNodes = ThreeNodes.TestCase
