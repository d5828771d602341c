"""What the wallet stores reads back equal."""

from __future__ import annotations

from tests.builders.wallets import HTLC_REQUEST, OLD, a_block, a_command, a_payment, a_wallet, step_of, told

from fulmen.adapters.store.codec import Codec
from fulmen.core.base.outer import ChainRewound
from fulmen.core.base.units import BlockHeight, Sat
from fulmen.core.wallet.commands import NewAddress, Withdraw


def test_every_durable_fact_and_the_state_read_back_equal() -> None:
    wallet = a_wallet(50_000, 60_000, 70_000)
    facts = []
    for event in (
        NewAddress(a_command(1)),
        HTLC_REQUEST,
        Withdraw(a_command(2), b"\x00\x14" + bytes(20), Sat(30_000)),
        ChainRewound(BlockHeight(99)),
        told(a_payment(7, 5_000, OLD), a_block(250)),
        told(a_payment(8, 5_000, OLD), a_block(450)),
    ):
        step = step_of(wallet, event)
        facts += [fact for fact in step.facts if not fact.passing]
        wallet = step.state
    assert len({type(fact) for fact in facts}) >= 5
    codec = Codec()
    assert [codec.unpack(codec.pack(fact)) for fact in facts] == facts
    assert codec.unpack(codec.pack(wallet)) == wallet
