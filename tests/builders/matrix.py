"""The output matrix of BOLT 5: every output of every commitment, whatever becomes of it, seen from alice.

A cell is a close on an embedded chain with real consensus. It ends when both ends have nothing left to do, and then
each satoshi has to be where BOLT 5 puts it, and each owner of an HTLC to have heard the one right verdict.
"""

from __future__ import annotations

from typing import NamedTuple

from tests.builders.channels import KEY_INDEX
from tests.builders.cheats import LONG_DELAY, cheat, htlc_txs, mine_exactly, worth
from tests.builders.closes import check_money
from tests.builders.court import Court
from tests.builders.env import FEERATES
from tests.builders.onchain import DELAY, Plan, Planned

from fulmen.core.base.ids import OutPoint
from fulmen.core.base.outer import WantPublished
from fulmen.core.base.units import FeeratePerKw, Sat
from fulmen.core.bitcoin.script import p2wpkh
from fulmen.core.bitcoin.transaction import Tx, TxOut, parse_tx
from fulmen.core.commitments.building import build
from fulmen.core.commitments.commitment import LOCAL
from fulmen.core.node.watching import chain_tx
from fulmen.core.onchain.state import Claim
from fulmen.core.signer.requests import SignSpend
from fulmen.core.transactions.commitment import CommitmentTx, Role
from fulmen.core.transactions.formats import ANCHORS_ZERO_FEE_HTLC, STATIC_REMOTEKEY
from fulmen.core.transactions.spending import spend_second_stage, sweep_anchor, sweep_tx

FORMATS = (ANCHORS_ZERO_FEE_HTLC.name, STATIC_REMOTEKEY.name)
REVOKED = ("revoked", "revoked, long delay")
"""With a delay after which a cheater has its own that presses at once, and with one that leaves time for batches."""
COMMITMENTS = ("local", "remote", "next", *REVOKED)
BALANCES = ("to_local", "to_remote")
ANCHORS = ("own anchor", "their anchor")
HTLCS = ("offered", "received")
TRIMMED = ("trimmed offered", "trimmed received")
OUTPUTS = (*BALANCES, *ANCHORS, *HTLCS, *TRIMMED)
EVENTS = (
    "we spend",
    "they spend",
    "they show the preimage",
    "timeout",
    "reorg before final",
    "reorg after final",
    "only in one",
    "RBF of ours",
    "double spend in our batch",
    "reorg under our batch",
)
RICH = Sat(2_000_000)


class Cell(NamedTuple):
    """One case."""

    format: str
    commitment: str
    output: str
    event: str

    @property
    def name(self) -> str:
        return " / ".join(self)


def all_cells() -> list[Cell]:
    """Every case that can be."""
    every = [Cell(f, c, o, e) for f in FORMATS for c in COMMITMENTS for o in OUTPUTS for e in EVENTS]
    return [cell for cell in every if not why_not(cell)]


def is_ours(cell: Cell) -> bool:
    """Whether a balance or anchor is ours to take."""
    if cell.output in ANCHORS:
        return cell.output == "own anchor" and cell.commitment not in REVOKED
    return cell.commitment in REVOKED or (cell.output == "to_local") == (cell.commitment == "local")


def why_not(cell: Cell) -> str:
    """Why there is no such case; empty if there is."""
    format, commitment, output, event = cell
    revoked = commitment in REVOKED
    if output in ANCHORS and format != ANCHORS_ZERO_FEE_HTLC.name:
        return "this format has no anchors"
    if output in ANCHORS and revoked and event != "they spend":
        return "nobody lifts a cheat"
    if output not in HTLCS and event in (
        "they show the preimage",
        "double spend in our batch",
        "reorg under our batch",
    ):
        return "no other key spends it" if output in (*BALANCES, *ANCHORS) else "there is no output"
    if output in TRIMMED:
        return "there is no output" if event in ("we spend", "they spend", "RBF of ours") else ""
    if output not in HTLCS:
        if event in ("timeout", "only in one"):
            return "it holds no HTLC"
        if event in ("we spend", "RBF of ours") and not is_ours(cell):
            return "it is not ours"
        if event == "they spend" and output in BALANCES and is_ours(cell):
            return "" if revoked and output == "to_local" else "only we can spend it"
        return ""
    if output == "received" and event == "they show the preimage":
        return "the preimage of what they offered is ours to show"
    if event == "timeout" and revoked:
        return "a penalty waits for no expiry"
    if event == "RBF of ours" and commitment == "local" and format == STATIC_REMOTEKEY.name:
        return "the peer has signed its fee"
    if event == "double spend in our batch" and format == STATIC_REMOTEKEY.name and commitment in ("local", "revoked"):
        return "each has a transaction of its own"
    if event == "reorg under our batch" and not revoked:
        return "only we have second stages on it, or nobody"
    return ""


class Board:
    """One cell, set up and played."""

    def __init__(self, cell: Cell) -> None:
        self.cell = cell
        self.closer = "alice" if cell.commitment == "local" else "bob"
        self.is_revoked = cell.commitment in REVOKED
        self.delay = LONG_DELAY if cell.commitment == REVOKED[1] else DELAY
        self.htlcs = self._htlcs()
        lifts = cell.output in ANCHORS
        feerates = FEERATES
        if lifts:
            feerates = FEERATES.but(closing_per_kw=FeeratePerKw(4000), urgent_per_kw=FeeratePerKw(4000))
        self.taken_by = {planned.id: planned.by for planned in self.htlcs}
        self.verdicts = {planned.id: "failed" for planned in self.htlcs}
        self.court = Court(
            Plan(
                cell.format,
                self.htlcs,
                feerate=253 if lifts else 1000,
                feerates=feerates,
                bob_has_next=cell.commitment == "next",
                next_is_lost=cell.event == "only in one" and cell.commitment in ("local", "remote"),
                known=self._known(),
                coin_sat=RICH,
                to_self_delay=self.delay,
            )
        )
        self.stages: tuple[Tx, ...] = ()
        self.lost_sat = 0
        """What a cheater got after all, who kept our transactions out of blocks until his delay was over."""

    def play(self) -> None:
        """From the close to its end."""
        if self.cell.output in ANCHORS:
            self._play_anchor()
        else:
            self._close()
            self._happen()
        self._finish()

    # -- what there is --

    @property
    def _subject(self) -> Planned:
        return self.htlcs[0]

    @property
    def _we_know(self) -> bool:
        """Whether alice has the preimage of what she received."""
        return self.cell.output == "received" and self.cell.event not in ("they spend", "timeout", "only in one")

    def _htlcs(self) -> tuple[Planned, ...]:
        _, commitment, output, event = self.cell
        if output in BALANCES:
            stages = 2 if self.is_revoked and event == "they spend" and output == "to_local" else 0
            return tuple(Planned(n, "bob", 50_000_000 + n * 1_000_000, 1, ("bob_last",)) for n in range(stages))
        if output in ANCHORS:
            return self._htlcs_for_lifting()
        by = "alice" if "offered" in output else "bob"
        amount = 300_000 if output in TRIMMED else 50_000_000
        within: tuple[str, ...] = ("alice", "bob", "bob_next", "bob_last")
        if event == "only in one":
            within = {"local": ("alice",), "remote": ("bob",), "next": ("bob_next",)}.get(commitment, ("bob_last",))
        elif not self.is_revoked:
            within = within[:3]
        expires_in = 20 if event == "double spend in our batch" and output == "received" and not self.is_revoked else 4
        if self.is_revoked and output == "received":
            expires_in = 1
        count = 3 if event.endswith("our batch") else 1
        return tuple(Planned(n, by, amount + n * 1_000_000, expires_in, within) for n in range(count))

    def _htlcs_for_lifting(self) -> tuple[Planned, ...]:
        """Who lifts the commitment of the other end has an HTLC to claim on it."""
        lifter = "alice" if self.cell.output == "own anchor" else "bob"
        if (
            lifter == self.closer
            or self.is_revoked
            or (self.cell.event == "they spend" and self.cell.output == "own anchor")
        ):
            return ()
        return (Planned(0, self.closer, 50_000_000, 14),)

    def _known(self) -> tuple[tuple[str, int], ...]:
        if self.cell.output in ANCHORS:
            return tuple(("bob" if planned.by == "alice" else "alice", planned.id) for planned in self.htlcs)
        if self._we_know:
            return tuple(("alice", planned.id) for planned in self.htlcs)
        return ()

    @property
    def _commitment(self) -> CommitmentTx:
        if self.is_revoked:
            return build(self.court._commitment("bob", "bob_last", 4))
        return build(self.court.view(self.closer, LOCAL))

    def _outpoint(self, planned: Planned) -> OutPoint:
        [output] = [o for o in self._commitment.htlcs if o.key is not None and o.key.id == planned.id]
        return OutPoint(self._commitment.txid, output.vout)

    # -- what happens --

    def _close(self) -> None:
        if self.is_revoked:
            cheat(self.court)
        else:
            mine_exactly(self.court, parse_tx(self.court.hosts[self.closer].commitment()))
        if self._we_know or self.is_revoked:
            # On a revoked commitment all of it is alice's, whoever offered it.
            self.taken_by = dict.fromkeys(self.taken_by, "alice")
        if self._we_know:
            self.verdicts = dict.fromkeys(self.verdicts, "fulfilled")

    def _happen(self) -> None:
        event = self.cell.event
        if event == "we spend" and self.cell.output in HTLCS and not self._we_know and not self.is_revoked:
            self._spend_before_they_know()
        elif event == "they spend" and self.cell.output in HTLCS:
            self._they_spend()
        elif event == "they spend" and self.is_revoked and self.cell.output == "to_local":
            self._balance_is_late()
        elif event == "they show the preimage":
            self._they_show_the_preimage()
        elif event == "reorg before final":
            self._undo_all()
        elif event == "RBF of ours":
            self._replace_ours()
        elif event == "double spend in our batch" and self.delay == LONG_DELAY:
            self._second_stage_is_late()
        elif event == "double spend in our batch":
            self._double_spend()
        elif event == "reorg under our batch":
            self._second_stage_is_undone()

    def _spend_before_they_know(self) -> None:
        """Bob learns the preimage when we have taken the HTLC back: too late."""
        while self.court.taker_of(self._outpoint(self._subject)) == "nobody":
            self.court.mine()
        self.court.claim("bob", self._subject)

    def _they_spend(self) -> None:
        if self.is_revoked:
            self.stages = htlc_txs(self.court, (self._subject,))
            mine_exactly(self.court, *self.stages)
        elif self.cell.output == "offered":
            self.court.claim("bob", self._subject)
            self.taken_by[0] = "bob"
        else:
            # We learn the preimage when bob has taken the HTLC back: too late.
            while self.court.taker_of(self._outpoint(self._subject)) == "nobody":
                self.court.mine()
            self.court.claim("alice", self._subject)
        if self.cell.output == "offered":
            self.verdicts[0] = "fulfilled"

    def _they_show_the_preimage(self) -> None:
        """In the mempool alone, from where it goes again."""
        mine_exactly(self.court)
        if self.is_revoked:
            [tx] = htlc_txs(self.court, (self._subject,))
        else:
            tx = bobs_claim(self.court, self._subject)
        lives = self.court.alice.disk.crashes
        self._alice_sees(tx)
        if self.court.alice.disk.crashes != lives:
            self._alice_sees(tx)  # it is still there when she is back
        self.court.empty_mempool()
        assert self.court.alice.fate_of(self._subject) == ["fulfilled"]
        if not self.is_revoked:
            while self.court.tip.height <= self.court.expiry(self._subject):
                mine_exactly(self.court)
            self.court.alice.publish()
            self.court.regtest.mine(1)
            self.court.hear_of_block()
        self.verdicts[0] = "fulfilled"

    def _alice_sees(self, tx: Tx) -> None:
        matcher = self.court.alice.matcher
        assert matcher is not None
        self.court.alice.inbox += matcher.unconfirmed([chain_tx(tx)])
        self.court.settle()

    def _undo_all(self) -> None:
        """Everything is taken back, the close itself included, and the mempool forgets it."""
        self.court.mine(6 if self.cell.output in ("offered", "to_local") else 3)
        self.court.rewind(self.court.tip.height - self.court.start_height)
        self.court.empty_mempool()
        assert self.court.alice.onchain.ending is None
        mine_exactly(self.court)
        mine_exactly(self.court)
        self._close()

    def _replace_ours(self) -> None:
        """What we published has to wait, and the market rises."""
        while not (before := self._ours()):
            mine_exactly(self.court)
        self._market_rises()
        after = self._ours()
        assert before.keys() == after.keys() and not self.court.alice.failures
        for outpoint, claim in before.items():
            assert self.court.regtest.pool.get(claim.txid) is None
            assert self.court.regtest.pool.get(after[outpoint].txid) is not None

    def _market_rises(self) -> None:
        self.court.publish()
        rates = self.court.feerates
        self.court.feerates = rates.but(
            closing_per_kw=FeeratePerKw(4 * rates.closing_per_kw), urgent_per_kw=FeeratePerKw(4 * rates.urgent_per_kw)
        )
        mine_exactly(self.court)
        self.court.publish()

    def _ours(self) -> dict[OutPoint, Claim]:
        """Alice's transactions that take the output in question, and are in no block."""
        state = self.court.alice.onchain
        if self.cell.output in HTLCS:
            wanted = [self._outpoint(self._subject)]
        else:
            ours = {"to_local": Role.TO_LOCAL, "to_remote": Role.TO_REMOTE}[self.cell.output]
            output = self._commitment.output(ours)
            assert output is not None
            wanted = [OutPoint(self._commitment.txid, output.vout)]
        return {o: state.claim_on[o] for o in wanted if o in state.claim_on and o not in state.taken_by}

    def _double_spend(self) -> None:
        """Our batch waits in the mempool, and bob gets one of its inputs into a block."""
        court, subject = self.court, self._subject
        if self.is_revoked:
            self._get_ahead(*htlc_txs(court, self.htlcs[:2], joined=True))
            return
        while len(self._batch()) != 3:
            mine_exactly(court)
        court.publish()
        if self.cell.output == "offered":
            rival = bobs_claim(court, subject)
            self.verdicts[0], self.taken_by[0] = "fulfilled", "bob"
        else:
            # A preimage once published is known, whoever takes the output in the end.
            while court.tip.height < court.expiry(subject):
                mine_exactly(court)
            [rival] = [tx for tx in wanted_by_bob(court) if tx.inputs[0].outpoint == self._outpoint(subject)][:1]
            self.taken_by[0] = "bob"
        others = [self._outpoint(planned) for planned in self.htlcs[1:]]
        before = {outpoint: court.alice.onchain.claim_on[outpoint].feerate_per_kw for outpoint in others}
        mine_exactly(court, rival)
        court.bob.published[rival.txid] = "rival"
        after = court.alice.onchain.claim_on
        assert all(after[outpoint].feerate_per_kw >= feerate for outpoint, feerate in before.items())

    def _get_ahead(self, *stages: Tx) -> None:
        """A cheater's HTLC transactions are in a block; those of what he received show preimages."""
        self.stages = stages
        mine_exactly(self.court, *stages)
        spent = [spent.outpoint for stage in stages for spent in stage.inputs]
        for planned in self.htlcs:
            if planned.by == "alice" and self._outpoint(planned) in spent:
                self.verdicts[planned.id] = "fulfilled"

    def _get_ahead_of_a_batch(self) -> tuple[OutPoint, ...]:
        """Each of a cheater's second stages; one penalty takes them all while there is time."""
        self._get_ahead(*htlc_txs(self.court, self.htlcs))
        outpoints = tuple(stage.outpoint(0) for stage in self.stages)
        together = len(outpoints) if self.delay == LONG_DELAY else 1
        assert len(self.court.alice.onchain.claim_on[outpoints[0]].outpoints) == together
        self.court.publish()
        return outpoints

    def _balance_is_late(self) -> None:
        """No block holds what we publish until the cheater may take his balance."""
        self._get_ahead_of_a_batch()
        balance = self._commitment.output(Role.TO_LOCAL)
        assert balance is not None
        self._takes_late(OutPoint(self._commitment.txid, balance.vout), balance.amount_sat)

    def _second_stage_is_late(self) -> None:
        """No block holds our batch until the cheater may take one of its inputs."""
        first, *_ = self._get_ahead_of_a_batch()
        self._takes_late(first, self.stages[0].outputs[0].amount_sat)

    def _takes_late(self, outpoint: OutPoint, amount_sat: Sat) -> None:
        for _ in range(self.delay):
            mine_exactly(self.court)
            self.court.publish()
        delayed = self._commitment.output(Role.TO_LOCAL)
        assert delayed is not None, "the script of second stages is that of the balance"
        spend = spend_second_stage(amount_sat, delayed.witness_script, self.delay)
        tx = sweep_tx(((outpoint, spend),), (TxOut(Sat(amount_sat - 1000), p2wpkh(bytes(20))),))
        point = self.court._commitment("bob", "bob_last", 4).per_commitment_point
        want = WantPublished("late", tx.serialize(), (SignSpend(KEY_INDEX, point, spend),))
        mine_exactly(self.court, parse_tx(self.court.keys["bob"].complete(want)))
        assert self.court.alice.onchain.taken_by[outpoint].txid == tx.txid
        self.lost_sat += amount_sat

    def _second_stage_is_undone(self) -> None:
        """The block with a batch's inputs goes; in the next one of them is missing, or is part of another transaction.

        What the others wait for does not come back.
        """
        court, before = self.court, self._get_ahead_of_a_batch()
        bids = {outpoint: court.alice.onchain.bid_on[outpoint].feerate_per_kw for outpoint in before}
        court.rewind(1)
        court.empty_mempool()
        others = self.stages[1:2]
        if self.cell.format == ANCHORS_ZERO_FEE_HTLC.name:
            self._get_ahead(*htlc_txs(court, (self.htlcs[0], self.htlcs[2]), joined=True), *others)
        else:
            self._get_ahead(*others)
        claim = court.alice.onchain.claim_on[before[1]]
        assert before[0] not in claim.outpoints and claim.feerate_per_kw >= bids[before[1]]

    def _batch(self) -> tuple[OutPoint, ...]:
        claim = self.court.alice.onchain.claim_on.get(self._outpoint(self._subject))
        return () if claim is None else claim.outpoints

    # -- anchors --

    def _play_anchor(self) -> None:
        lifter = "alice" if self.cell.output == "own anchor" else "bob"
        anchor = self._commitment.output(Role.LOCAL_ANCHOR if lifter == self.closer else Role.REMOTE_ANCHOR)
        assert anchor is not None
        outpoint = OutPoint(self._commitment.txid, anchor.vout)
        if self.cell.event == "they spend" and (self.cell.output == "own anchor" or self.is_revoked):
            self._anyone_takes(outpoint)
            return
        self._lift(lifter, outpoint)
        if self.cell.event == "RBF of ours":
            before = self.court.alice.onchain.claim_on[outpoint]
            self._market_rises()
            after = self.court.alice.onchain.claim_on[outpoint]
            assert self.court.regtest.pool.get(before.txid) is None is not self.court.regtest.pool.get(after.txid)
        self.court.mine()
        if self.cell.event == "reorg before final":
            self.court.rewind(1)
            self.court.empty_mempool()
            if lifter == self.closer:
                self.court.close_by(lifter)
            self.court.mine(2)
        assert self.court.taker_of(outpoint) == lifter
        for planned in self.htlcs:
            self.taken_by[planned.id] = lifter
            self.verdicts[planned.id] = "fulfilled"

    def _lift(self, lifter: str, anchor: OutPoint) -> None:
        """Until the lifter's child is in the mempool."""
        court = self.court
        if lifter == self.closer:
            court.close_by(lifter)
        else:
            court.regtest.submit_tx(parse_tx(court.hosts[self.closer].commitment()))
        for _ in range(8):
            court.publish()
            claim = court.hosts[lifter].onchain.claim_on.get(anchor)
            if claim is not None and court.regtest.pool.get(claim.txid) is not None:
                return
            mine_exactly(court)
        raise AssertionError("nobody lifts the commitment")

    def _anyone_takes(self, anchor: OutPoint) -> None:
        """BOLT 3: 16 blocks later an anchor is anybody's."""
        self._close()
        for _ in range(16):
            mine_exactly(self.court)
        [output] = [o for o in self._commitment.outputs if o.vout == anchor.vout]
        spend = sweep_anchor(output)
        tx = sweep_tx(((anchor, spend),), (TxOut(Sat(300), p2wpkh(bytes(20))),))
        mine_exactly(self.court, tx.with_witness(0, *spend.witness(None)))

    # -- the end --

    def _finish(self) -> None:
        court = self.court
        court.mine_until_resolved(120)
        if self.cell.event == "reorg after final":
            court.rewind(3)
            court.mine(5)
        if self.is_revoked:
            assert court.gain_of("alice") == worth(court, court.revoked(), *self.stages) - self.lost_sat
            assert court.gain_of("bob") == 0
        else:
            held = {output.key.id for output in self._commitment.htlcs if output.key is not None}
            check_money(court, self.closer, {n: by for n, by in self.taken_by.items() if n in held})
        self._check_verdicts()

    def _check_verdicts(self) -> None:
        for planned in self.htlcs:
            if self.is_revoked and planned.by == "bob":
                continue  # a cheater's own books are not our affair
            if self.is_revoked and planned.within == ("bob_last",):
                continue  # its owner was told long ago
            fate = self.court.hosts[planned.by].fate_of(planned)
            assert fate == [self.verdicts[planned.id]], (self.cell.name, planned, fate)


def wanted_by_bob(court: Court) -> list[Tx]:
    """What bob wants to be published, complete."""
    return [parse_tx(court.bob._complete(want)) for want in court.bob.wanted()]


def bobs_claim(court: Court, planned: Planned) -> Tx:
    """Bob's transaction that takes what alice offered, with the preimage, and pays as much as he can."""
    court.claim("bob", planned)
    [want] = [want for want in court.bob.wanted() if want.name in ("received HTLC", "HTLC-success")]
    tx = parse_tx(want.tx)
    if want.name == "HTLC-success" and court.plan.format == STATIC_REMOTEKEY.name:
        return parse_tx(court.keys["bob"].complete(want))
    if want.name == "received HTLC":
        [output] = tx.outputs
        outputs = (output.but(amount_sat=Sat(planned.amount_msat // 1000 - 40_000)),)
    else:
        first, change = tx.outputs
        outputs = (first, change.but(amount_sat=Sat(change.amount_sat - 40_000)))
    dearer = WantPublished(want.name, tx.but(outputs=outputs).serialize(), want.sign)
    return parse_tx(court.keys["bob"].complete(dearer))
