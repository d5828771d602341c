"""The directory is gone and the words are there: coins come back, and what lost channels owe comes home."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from demo.ledger import ANCHOR_SAT
from demo.stage import Stage

import fulmen
from fulmen.adapters.keys.seedfile import PASSWORD_VARIABLE, open_seed
from fulmen.cli.processes import REGTEST_PASSWORD
from fulmen.core.bitcoin.bip39 import mnemonic_of
from fulmen.lab.nodes import NETWORK, Node
from fulmen.lab.waiting import until

CAPACITY_SAT = 400_000
PUSH_MSAT = 150_000_000


def lose_all_but_the_words(node: Node) -> None:
    """Its disk dies; a new one gets the seed back from its words."""
    words = mnemonic_of(open_seed(node.home / NETWORK / "seed", REGTEST_PASSWORD))
    node.kill()
    shutil.rmtree(node.home)
    node.home.mkdir(mode=0o700)
    home = str(Path(fulmen.__file__).parent.parent)
    subprocess.run(
        [sys.executable, "-m", "fulmen.cli", "--dir", str(node.home), "--network", NETWORK, "init", "--restore"],
        input=words.encode(),
        env={**os.environ, "PYTHONPATH": home, PASSWORD_VARIABLE: REGTEST_PASSWORD},
        check=True,
        capture_output=True,
    )


def test_the_words_bring_back_coins_and_the_balances_of_lost_channels(stage: Stage) -> None:
    stage.open({"alice": {}, "bob": {}, "carol": {"policy.opening.anchors": "false"}})
    alice, bob, carol = stage["alice"], stage["bob"], stage["carol"]
    stage.give({"alice": 1_500_000})
    opened = [
        stage.fund("alice", other, CAPACITY_SAT, push_msat=PUSH_MSAT, announce=False) for other in ("bob", "carol")
    ]
    (with_bob, with_carol) = (answer["channel_id"] for answer in opened)
    stage.lock_in([(with_bob, "alice", "bob"), (with_carol, "alice", "carol")])
    for _ in range(3):
        alice.call("withdraw", destination=str(bob.call("newaddr")["bech32"]), satoshi="50000")
        stage.mine()
    coins, node_id = alice.coins_sat, alice.id

    lose_all_but_the_words(alice)
    # One peer gives up while she is away: its format pays her key alone.
    closed = stage.chain
    first = closed.transaction(carol.call("close", id=with_carol, force=True)["txid"])
    stage.mine()
    alice.start()
    assert alice.id == node_id and alice.coins_sat == 0
    found = alice.call("rescan")
    assert found["transactions"] >= 6 and found["lost_outputs"] == 1
    (sweep,) = found["txids"]
    until(lambda: sweep in stage.chain.call("getrawmempool"), "what Carol owed is on its way")
    stage.mine()
    due = CAPACITY_SAT - PUSH_MSAT // 1000 - first.fee_sat
    fee = stage.chain.transaction(sweep).fee_sat
    alice.await_coins(coins + due - fee)

    # The other is told that nobody knows the channel, and closes it; she looks out for that, also after a restart.
    assert alice.stop() == 0
    alice.start()
    bob.connect(alice)
    until(lambda: bob.channel(with_bob).get("failed_because"), "Bob heard that the channel is lost")
    funding = opened[0]["txid"]
    until(lambda: len(stage.chain.call("getrawmempool")) > 0, "Bob's commitment is published")
    stage.mine()
    (close,) = [one for _, one in stage.chain.spenders(funding) if len(one.outputs_sat) >= 3]
    ours = CAPACITY_SAT - PUSH_MSAT // 1000 - close.fee_sat - 2 * ANCHOR_SAT
    until(lambda: stage.chain.is_spent(close.txid, close.outputs_sat.index(ours)), "Alice takes her balance")
    stage.mine()
    last = dict(stage.chain.spenders(close.txid))[close.outputs_sat.index(ours)]
    alice.await_coins(coins + due - fee + ours - last.fee_sat)
    assert alice.call("rescan")["lost_outputs"] == 0
