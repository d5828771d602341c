"""The story's own books: what every node must have, computed from what happened and never from what a node says.

Coins that were given, the amount of each funding, each payment, each routing fee by the price that was published, and
each transaction's fee as the chain tells it: what goes in less what comes out, beside what it must be (`fees`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from demo import fees
from demo.chain import Spending
from demo.fees import Fee, exactly
from fulmen.lab.waiting import Deviation, expect

ANCHOR_SAT = 330
"""BOLT 3, "Commitment Transaction Anchor Outputs": two of them, paid by the opener."""
DUST_SAT = 354
"""Smaller balances have no output."""
TO_SELF_DELAY = 144
"""How long whoever closes alone has to wait, so that the other side could object."""


@dataclass(frozen=True)
class Price:
    """What a node asks for passing a payment on (BOLT 7, "HTLC Fees")."""

    base_msat: int
    proportional_millionths: int

    def fee_msat(self, amount_msat: int) -> int:
        """For an amount that goes out."""
        return self.base_msat + amount_msat * self.proportional_millionths // 1_000_000


@dataclass(frozen=True)
class Pending:
    """An HTLC that is in a channel when one side closes it alone."""

    offered_by: str
    offered_to: str
    amount_msat: int
    is_paid: bool
    """Whether its preimage is shown; else it goes back when it has expired."""

    @property
    def sat(self) -> int:
        """Its output."""
        return self.amount_msat // 1000

    @property
    def winner(self) -> str:
        """Whose it is in the end."""
        return self.offered_to if self.is_paid else self.offered_by


@dataclass
class Channel:
    """Who owns what in a channel."""

    channel_id: str
    opener: str
    other: str
    capacity_sat: int
    msat: dict[str, int]
    feerate_per_kw: int
    """Of its commitments: what the chain asked when it was opened, and has asked ever since."""
    is_open: bool = True

    @property
    def name(self) -> str:
        """Its two ends."""
        return f"{self.opener.capitalize()}-{self.other.capitalize()}"

    def shares_sat(self, fee_sat: int, anchors: int = 0, pending: Sequence[Pending] = ()) -> dict[str, int]:
        """What a close gives each side: the opener pays the fee and the anchors, and whole satoshi leave.

        BOLT 2, "Closing Negotiation", and BOLT 3, "Fee Payment".

        Args:
            pending: HTLCs with outputs of their own. What each of them ends as stands in `msat` already.
        """
        theirs = self._share_msat(self.other, pending) // 1000
        theirs = theirs if theirs >= DUST_SAT else 0
        ours = self.capacity_sat - fee_sat - anchors * ANCHOR_SAT - theirs - sum(htlc.sat for htlc in pending)
        return {self.opener: ours, self.other: theirs}

    def odd_sat(self, pending: Sequence[Pending] = ()) -> int:
        """What miners get because outputs hold whole satoshis, where more than one of them shares the channel."""
        shares = sum(self._share_msat(name, pending) // 1000 for name in self.msat)
        return self.capacity_sat - shares - sum(htlc.sat for htlc in pending)

    def _share_msat(self, name: str, pending: Sequence[Pending]) -> int:
        return self.msat[name] - sum(htlc.amount_msat for htlc in pending if htlc.winner == name)


@dataclass
class Ledger:
    """All that must be true of money."""

    prices: dict[str, Price]
    coins_sat: Counter[str] = field(default_factory=Counter)
    given_sat: Counter[str] = field(default_factory=Counter)
    chain_fees_sat: Counter[str] = field(default_factory=Counter)
    routing_paid_msat: Counter[str] = field(default_factory=Counter)
    routing_earned_msat: Counter[str] = field(default_factory=Counter)
    miner_fees: list[Fee] = field(default_factory=list)
    """Each transaction's, beside what it must be."""
    channels: dict[str, Channel] = field(default_factory=dict)
    anchors_left_sat: int = 0
    """In anchor outputs that nobody has spent."""
    payments: int = 0
    htlcs_on_chain: int = 0
    """That were settled there, by preimage or by timeout."""

    # ---- coins ---------------------------------------------------------------------------------

    def given(self, name: str, sat: int) -> None:
        """Coins out of nothing."""
        self.coins_sat[name] += sat
        self.given_sat[name] += sat

    def opened(
        self, channel_id: str, opener: str, other: str, capacity_sat: int, funding: Spending, push_msat: int = 0
    ) -> Channel:
        """A funding transaction: the opener pays the capacity and the transaction's fee."""
        expect(capacity_sat in funding.outputs_sat, f"the funding {funding.txid} has no output of {capacity_sat} sat")
        must = fees.funding_sat(funding.tx, funding.feerate_per_kw)
        self._pay_chain(exactly(opener, f"the funding {funding.txid}", funding.fee_sat, must))
        self.coins_sat[opener] -= capacity_sat
        msat = {opener: capacity_sat * 1000 - push_msat, other: push_msat}
        channel = Channel(channel_id, opener, other, capacity_sat, msat, funding.feerate_per_kw)
        self.channels[channel.name] = channel
        return channel

    def closed_together(self, channel: Channel, close: Spending) -> dict[str, int]:
        """A mutual close: everybody's share is in the wallet at once."""
        shares = channel.shares_sat(close.fee_sat)
        self._expect_outputs(close, [sat for sat in shares.values() if sat])
        channel.is_open = False
        must = fees.closing_sat(close.tx, close.feerate_per_kw) + channel.odd_sat()
        self._pay_from_channel(exactly(channel.opener, f"the close {close.txid}", close.fee_sat, must))
        for name, sat in shares.items():
            self.coins_sat[name] += sat
        return shares

    def closed_alone(
        self,
        channel: Channel,
        closer: str,
        close: Spending,
        spenders: Callable[[str], Iterable[tuple[int, Spending]]],
        pending: Sequence[Pending] = (),
    ) -> dict[str, int]:
        """A commitment transaction, and the transactions that took its outputs.

        Args:
            spenders: who took the outputs of a transaction: its txid -> (output, transaction) each.
            pending: the HTLCs in it. An HTLC of the closer's is taken by a transaction whose one output waits for him,
                one of the other side's goes to his wallet at once (BOLT 5).
        """
        shares = channel.shares_sat(close.fee_sat, anchors=2, pending=pending)
        owned = [(name, sat) for name, sat in shares.items() if sat]
        owned += [(htlc.winner, htlc.sat) for htlc in pending]
        self._expect_outputs(close, [*(sat for _, sat in owned), ANCHOR_SAT, ANCHOR_SAT])
        channel.is_open = False
        must = fees.commitment_sat(channel.feerate_per_kw, len(pending)) + channel.odd_sat(pending)
        self._pay_from_channel(exactly(channel.opener, f"the commitment {close.txid}", close.fee_sat, must))
        self.anchors_left_sat += 2 * ANCHOR_SAT
        taken = {close.outputs_sat[output]: spending for output, spending in spenders(close.txid)}
        seconds = [htlc.sat for htlc in pending if htlc.winner == closer]
        sweeps = []
        for name, sat in owned:
            if sat not in taken:
                raise Deviation(f"nobody has taken the {sat} sat of {name} from the commitment {close.txid}")
            last = self._second_stage(name, sat, taken[sat], spenders) if sat in seconds else taken[sat]
            sweeps.append((name, last))
            self.coins_sat[name] += sat
        # Who is patient takes several of his outputs at once.
        for name, sweep in {sweep.txid: (name, sweep) for name, sweep in sweeps}.values():
            inputs = sum(sweep.txid == other.txid for _, other in sweeps)
            expect(len(sweep.inputs) == inputs, f"the sweep {sweep.txid} spends more than the outputs of {name}")
            must = fees.sweep_sat(sweep.tx, sweep.feerate_per_kw)
            self._pay_chain(exactly(name, f"the sweep {sweep.txid}", sweep.fee_sat, must))
        self.htlcs_on_chain += len(pending)
        return shares

    def _second_stage(
        self, name: str, sat: int, htlc_tx: Spending, spenders: Callable[[str], Iterable[tuple[int, Spending]]]
    ) -> Spending:
        """An HTLC transaction, which hands all of the HTLC on and whose fee is the wallet's matter: who took that."""
        txid = htlc_tx.txid
        expect(htlc_tx.outputs_sat[0] == sat, f"the HTLC transaction {txid} does not hand on {sat} sat")
        must = fees.htlc_tx_sat(htlc_tx.tx, htlc_tx.feerate_per_kw)
        self._pay_chain(exactly(name, f"the HTLC transaction {txid}", htlc_tx.fee_sat, must))
        for output, spending in spenders(txid):
            if output == 0:
                return spending
        raise Deviation(f"nobody has taken the {sat} sat of {name} from the HTLC transaction {txid}")

    def cheated(self, channel: Channel, cheater: str, close: Spending, sweeps: Iterable[tuple[int, Spending]]) -> int:
        """A revoked commitment, all of which went to the other side but for the anchors: how much that was."""
        victim = channel.other if cheater == channel.opener else channel.opener
        taken = dict(sweeps)
        channel.is_open = False
        must = fees.commitment_sat(channel.feerate_per_kw)  # all amounts of this channel were whole satoshis
        self._pay_from_channel(exactly(channel.opener, f"the commitment {close.txid}", close.fee_sat, must))
        all_of_it = 0
        for output, sat in enumerate(close.outputs_sat):
            if sat == ANCHOR_SAT:
                self.anchors_left_sat += sat
                continue
            if output not in taken:
                raise Deviation(f"nobody has taken the {sat} sat of output {output} of the commitment {close.txid}")
            self.coins_sat[victim] += sat
            penalty = taken[output]
            least = fees.sweep_sat(penalty.tx, penalty.feerate_per_kw)
            rising = fees.most_for_penalty_sat(sat, penalty.height - 1 - close.height, TO_SELF_DELAY)
            what = f"the penalty {penalty.txid}"
            self._pay_chain(Fee(victim, what, penalty.fee_sat, least, max(least, rising)))
            all_of_it += sat
        return all_of_it

    def _pay_chain(self, fee: Fee) -> None:
        self.coins_sat[fee.payer] -= fee.paid_sat
        self._pay_from_channel(fee)

    def _pay_from_channel(self, fee: Fee) -> None:
        self.chain_fees_sat[fee.payer] += fee.paid_sat
        self.miner_fees.append(fee)

    def _expect_outputs(self, tx: Spending, wanted: Sequence[int]) -> None:
        expect(
            sorted(tx.outputs_sat) == sorted(wanted),
            f"the close {tx.txid} pays {sorted(tx.outputs_sat)}, but the books say {sorted(wanted)} sat",
        )

    # ---- payments ------------------------------------------------------------------------------

    def between(self, one: str, two: str) -> Channel:
        """The open channel of two nodes."""
        for channel in self.channels.values():
            if channel.is_open and {one, two} == {channel.opener, channel.other}:
                return channel
        raise Deviation(f"{one} and {two} have no open channel")

    def fee_msat(self, amount_msat: int, *path: str) -> int:
        """What the nodes between the ends of a path ask for an amount that arrives."""
        total = amount_msat
        for name in reversed(path[1:-1]):
            total += self.prices[name].fee_msat(total)
        return total - amount_msat

    def paid(self, amount_msat: int, *path: str) -> None:
        """A payment that arrived."""
        sent = amount_msat + self.fee_msat(amount_msat, *path)
        self.routing_paid_msat[path[0]] += sent - amount_msat
        for one, two in pairwise(path):
            msat = self.between(one, two).msat
            msat[one] -= sent
            msat[two] += sent
            if two != path[-1]:
                passed = amount_msat + self.fee_msat(amount_msat, *path[path.index(two) :])
                self.routing_earned_msat[two] += sent - passed
                sent = passed
        self.payments += 1

    # ---- sums ----------------------------------------------------------------------------------

    def channels_msat(self, name: str) -> int:
        """All that a node has in open channels."""
        return sum(channel.msat.get(name, 0) for channel in self.channels.values() if channel.is_open)

    def check_sum(self) -> None:
        """Nothing came from nowhere and nothing is gone.

        Raises:
            Deviation
        """
        given = sum(self.given_sat.values())
        open_sat = sum(channel.capacity_sat for channel in self.channels.values() if channel.is_open)
        there = sum(self.coins_sat.values()) + open_sat + sum(self.chain_fees_sat.values()) + self.anchors_left_sat
        expect(given == there, f"{given} sat were given, but {there} sat are accounted for")
