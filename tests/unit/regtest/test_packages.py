"""Packages, version-3 families and ephemeral dust, in Bitcoin Core's words."""

from __future__ import annotations

import pytest
from tests.builders.regtest import P2A, a_funded_node, output_of

from fulmen.core.base.units import Sat
from fulmen.core.bitcoin.transaction import Tx, TxIn, TxOut
from fulmen.regtest.consensus import Rejected
from fulmen.regtest.manners import Admitted
from fulmen.regtest.packages import AlreadyThere, try_all


def an_ephemeral_pair(wallet, coin, spare, *, fee=2000, version=3):
    """A parent without fee that has a pay-to-anchor output of nothing, and the child that pays for both."""
    parent = wallet.spend([coin], [TxOut(coin[1], wallet.script), TxOut(Sat(0), P2A)], version=version)
    child = wallet.spend(
        [(parent.outpoint(1), Sat(0)), spare], [TxOut(Sat(spare[1] - fee), wallet.script)], version=version
    )
    return parent, child


def test_a_parent_without_fee_and_its_child_are_taken_together():
    node, wallet, [coin, spare] = a_funded_node(coins=2)
    parent, child = an_ephemeral_pair(wallet, coin, spare)
    with pytest.raises(Rejected, match="min relay fee not met, 0 < "):
        node.submit_tx(parent)
    outcome = node.submit_package([parent, child])
    assert outcome.refused == ""
    both = [outcome.outcomes[tx.wtxid] for tx in (parent, child)]
    assert all(isinstance(each, Admitted) and each.effective_fee == 2000 for each in both)
    [entry] = node.mine(1)
    assert [tx.txid for tx in node.chain.block(entry).txs[1:]] == [parent.txid, child.txid]


def test_a_package_below_the_floor_is_refused():
    node, wallet, [coin, spare] = a_funded_node(coins=2)
    parent, child = an_ephemeral_pair(wallet, coin, spare, fee=10)
    outcome = node.submit_package([parent, child])
    assert outcome.refused == "transaction failed"
    assert str(outcome.outcomes[child.wtxid]).startswith("min relay fee not met, 10 < ")
    assert len(node.pool) == 0


def test_dust_must_be_spent_by_the_child():
    node, wallet, [coin] = a_funded_node()
    parent = wallet.spend([coin], [TxOut(coin[1], wallet.script), TxOut(Sat(0), P2A)], version=3)
    child = wallet.spend([output_of(parent)], [TxOut(Sat(coin[1] - 5000), wallet.script)], version=3)
    outcome = node.submit_package([parent, child])
    assert outcome.refused == "unspent-dust"
    assert str(outcome.outcomes[child.wtxid]).startswith("missing-ephemeral-spends, tx ")


def test_what_passes_alone_passes_alone():
    node, wallet, [coin] = a_funded_node()
    parent = wallet.pay(coin, fee=1000)
    child = wallet.pay(output_of(parent), fee=1000)
    node.submit_tx(parent)
    outcome = node.submit_package([parent, child])
    assert isinstance(outcome.outcomes[parent.wtxid], AlreadyThere)
    assert outcome.outcomes[child.wtxid].includes == (child.wtxid,)
    assert outcome.refused == ""


@pytest.mark.parametrize(
    ("order", "reason"),
    [
        ("child first", "package-not-sorted"),
        ("twice", "package-contains-duplicates"),
        ("rivals", "conflict-in-package"),
    ],
)
def test_a_malformed_package_is_refused_as_a_whole(order, reason):
    node, wallet, [coin] = a_funded_node()
    parent = wallet.pay(coin, fee=1000)
    child = wallet.pay(output_of(parent), fee=1000)
    txs = {
        "child first": [child, parent],
        "twice": [parent, parent],
        "rivals": [parent, wallet.pay(coin, fee=2000)],
    }[order]
    assert node.submit_package(txs).refused == reason


def test_a_package_replaces_a_package():
    node, wallet, [coin, spare, more] = a_funded_node(coins=3)
    first = an_ephemeral_pair(wallet, coin, spare)
    node.submit_package(list(first))
    second_parent = wallet.spend([coin], [TxOut(Sat(coin[1] - 1000), wallet.script), TxOut(Sat(1000), P2A)], version=3)
    anchor = TxIn(second_parent.outpoint(1))
    child = Tx(3, (anchor, TxIn(more[0])), (TxOut(Sat(more[1] + 1000 - 20_000), wallet.script),))
    child = wallet.sign(child, [Sat(0), more[1]])
    outcome = node.submit_package([second_parent, child])
    assert outcome.refused == ""
    assert set(outcome.outcomes[child.wtxid].replaced) == {tx.txid for tx in first}
    assert len(node.pool) == 2


def test_a_version_3_child_has_one_parent_and_no_sibling_unless_it_pays_more():
    node, wallet, [coin] = a_funded_node()
    node.submit_tx(parent := wallet.pay(coin, fee=1000, version=3, parts=2))
    node.submit_tx(child := wallet.pay(output_of(parent), fee=1000, version=3))
    cheap = wallet.pay(output_of(parent, 1), fee=1000, version=3)
    with pytest.raises(Rejected, match=r"insufficient fee \(including sibling eviction\), rejecting replacement"):
        node.submit_tx(cheap)
    better = wallet.pay(output_of(parent, 1), fee=3000, version=3)
    assert node.submit_tx(better).replaced == (child.txid,)


@pytest.mark.parametrize(("parent_version", "child_version"), [(3, 2), (2, 3)])
def test_versions_do_not_mix(parent_version, child_version):
    node, wallet, [coin] = a_funded_node()
    node.submit_tx(parent := wallet.pay(coin, fee=1000, version=parent_version))
    with pytest.raises(Rejected, match=r"TRUC-violation, .*cannot spend from"):
        node.submit_tx(wallet.pay(output_of(parent), fee=1000, version=child_version))


def test_a_version_3_child_is_small_and_has_no_grandparent():
    node, wallet, [coin] = a_funded_node()
    node.submit_tx(parent := wallet.pay(coin, fee=1000, version=3))
    with pytest.raises(Rejected, match=r"TRUC-violation, version=3 child tx .* is too big"):
        node.submit_tx(wallet.pay(output_of(parent), fee=50_000, version=3, parts=40))
    node.submit_tx(child := wallet.pay(output_of(parent), fee=1000, version=3))
    with pytest.raises(Rejected, match=r"TRUC-violation, .* would have too many ancestors"):
        node.submit_tx(wallet.pay(output_of(child), fee=1000, version=3))


def test_trying_several_takes_nothing_and_lets_nobody_pay_for_another():
    node, wallet, [coin, spare] = a_funded_node(coins=2)
    parent = wallet.pay(coin, fee=1000)
    child = wallet.pay(output_of(parent), fee=1000)
    outcome = try_all(node.admission, [parent, child])
    assert {type(each) for each in outcome.outcomes.values()} == {Admitted}
    pair = an_ephemeral_pair(wallet, coin, spare)
    assert str(try_all(node.admission, pair).outcomes[pair[0].wtxid]).startswith("min relay fee not met")
    assert len(node.pool) == 0
