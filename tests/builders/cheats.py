"""Bob cheats: he gets a commitment into a block that he has revoked, and perhaps its HTLC transactions behind it."""

from __future__ import annotations

from collections.abc import Iterable

from tests.builders.channels import KEY_INDEX
from tests.builders.court import Court
from tests.builders.onchain import DELAY, Plan, Planned

from fulmen.core.base.ids import OutPoint, Txid
from fulmen.core.base.outer import WantPublished
from fulmen.core.bitcoin.transaction import Tx, parse_tx
from fulmen.core.onchain.local_close import matters_of_local
from fulmen.core.onchain.matters import Matter, Spent
from fulmen.core.signer.requests import SignHtlcTx
from fulmen.core.transactions.formats import ANCHOR_SAT
from fulmen.regtest import faucet

DEAD_OFFER = Planned(0, "alice", 40_000_000, expires_in=1, within=("bob_last",))
LIVING_OFFER = Planned(1, "alice", 41_000_000, expires_in=1, within=("alice", "bob", "bob_last"))
DEAD_RECEIVED = Planned(2, "bob", 42_000_000, expires_in=1, within=("bob_last",))
LIVING_RECEIVED = Planned(3, "bob", 43_000_000, expires_in=1, within=("alice", "bob", "bob_last"))
NEWER = Planned(4, "alice", 44_000_000, expires_in=1, within=("alice", "bob"))
TWINS = (
    Planned(5, "alice", 45_000_000, expires_in=1, within=("bob_last",)),
    Planned(6, "alice", 45_000_000, expires_in=1, within=("bob_last",), same_hash_as=5),
    Planned(7, "alice", 45_000_000, expires_in=1, within=("alice", "bob", "bob_last"), same_hash_as=5),
)
TRIMMED = Planned(8, "bob", 300_000, expires_in=1, within=("bob_last",))
HTLCS = (DEAD_OFFER, LIVING_OFFER, DEAD_RECEIVED, LIVING_RECEIVED, NEWER, *TWINS, TRIMMED)


LONG_DELAY = 30
"""More than `security_delay`: while it runs penalties for what a cheater has to wait for share a transaction."""


def a_court(format: str, htlcs: tuple[Planned, ...] = HTLCS, to_self_delay: int = DELAY) -> Court:
    """Nobody has done anything yet; the revoked commitments held HTLCs of every sort."""
    return Court(Plan(format, htlcs, to_self_delay=to_self_delay))


def cheat(court: Court, number: int = 4) -> Tx:
    """Bob's revoked commitment is in a block."""
    tx = court.revoked(number)
    mine_exactly(court, tx)
    return tx


def mine_exactly(court: Court, *txs: Tx) -> None:
    """A miner is bob's friend: the next block holds these and nothing else."""
    court.regtest.mine_exactly(txs, faucet.SCRIPT_PUBKEY)
    court.hear_of_block()


def htlc_txs(court: Court, htlcs: Iterable[Planned], number: int = 4, *, joined: bool = False) -> tuple[Tx, ...]:
    """The HTLC transactions with which bob gets ahead of a penalty; `joined` into one, for all of one kind."""
    view = court._commitment("bob", "bob_last", number)
    close = court.at_close("bob").but(local=view, funding=court._signed("bob", "bob_last", number))
    matters = {
        matter.output.key.id: matter
        for matter in matters_of_local(Spent(close, court.revoked(number), court.tip))
        if matter.output is not None and matter.output.key is not None
    }
    chosen = [(planned, matters[planned.id]) for planned in htlcs]
    if not joined:
        return tuple(_signed(court, ((planned, matter),), view.per_commitment_point) for planned, matter in chosen)
    return (_signed(court, tuple(chosen), view.per_commitment_point),)


def _signed(court: Court, chosen: tuple[tuple[Planned, Matter], ...], point: bytes) -> Tx:
    inputs, outputs, requests, locktime = [], [], [], 0
    for index, (planned, matter) in enumerate(chosen):
        assert matter.htlc_tx is not None and matter.output is not None
        tx = matter.htlc_tx.tx
        inputs += tx.inputs
        outputs += tx.outputs
        locktime = max(locktime, tx.locktime)
        requests.append(
            SignHtlcTx(
                KEY_INDEX,
                point,  # type: ignore[arg-type]
                court.plan.format,
                matter.output,
                matter.htlc_tx.peer_signature,
                planned.preimage if planned.by == "alice" else None,
                index,
            )
        )
    tx = Tx(2, tuple(inputs), tuple(outputs), locktime)
    return parse_tx(court.keys["bob"].complete(WantPublished("cheat", tx.serialize(), tuple(requests))))


def worth(court: Court, revoked: Tx, *second_stages: Tx) -> int:
    """All that is in a revoked commitment but for the anchors, less the fees of HTLC transactions made of it."""
    anchors = 2 * ANCHOR_SAT if "anchors" in court.plan.format else 0
    fees = 0
    for tx in second_stages:
        fees += sum(_amount(revoked, i.outpoint) for i in tx.inputs) - sum(out.amount_sat for out in tx.outputs)
    return sum(out.amount_sat for out in revoked.outputs) - anchors - fees


def stages_in_blocks(court: Court, revoked: Tx) -> tuple[Tx, ...]:
    """The transactions in blocks that take outputs of a revoked commitment, and are not alice's."""
    found: dict[Txid, Tx] = {}
    for vout in range(len(revoked.outputs)):
        txid = court.regtest.txs.spender(revoked.outpoint(vout))
        if txid is not None and txid not in court.alice.published:
            entry, index = court.regtest.txs.get(txid) or (None, 0)
            assert entry is not None
            found[txid] = court.regtest.chain.block(entry).txs[index]
    return tuple(found.values())


def _amount(revoked: Tx, outpoint: OutPoint) -> int:
    assert outpoint.txid == revoked.txid
    return revoked.outputs[outpoint.vout].amount_sat
