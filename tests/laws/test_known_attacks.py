"""What has cost other nodes money or peace, where no test of a room bears its name. `docs/security.md` has all."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.builders.channels import KEY_INDEX, keys_of
from tests.builders.closes import both_formats, check_money, closed, either
from tests.builders.matrix import COMMITMENTS, FORMATS, Board, Cell
from tests.builders.normal_channels import ALICE, a_normal_channel
from tests.builders.onchain import Plan, Planned
from tests.laws import node_family as nodes

from fulmen.core.base.ids import OutPoint, Signature, channel_id_of
from fulmen.core.base.peers import MessageReceived
from fulmen.core.channel import opening
from fulmen.core.channel.dance import local_view
from fulmen.core.channel.faults import OpeningRefused
from fulmen.core.commitments.building import build
from fulmen.core.crypto.secp256k1 import sign_ecdsa
from fulmen.core.signer.checks import CheckCommitment
from fulmen.core.transactions import formats
from fulmen.core.wire.messages.opening import FundingCreated

ORDER = 0xFFFFFFFF_FFFFFFFF_FFFFFFFF_FFFFFFFE_BAAEDCE6_AF48A03B_BFD25E8C_D0364141
"""Of secp256k1's group."""

# -- preimages --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("commitment", COMMITMENTS)
def test_a_preimage_shown_on_any_commitment_is_claimed_upstream(format: str, commitment: str) -> None:
    """Eclair up to 0.11 looked only at the HTLCs of its own commitment."""
    Board(Cell(format, commitment, "offered", "they show the preimage")).play()


@both_formats
@either
def test_what_was_fulfilled_on_chain_is_not_failed_back_after_a_restart(closer: str, format: str) -> None:
    """LND up to 0.18.5 failed HTLCs back upstream, after a restart, that had been claimed downstream."""
    offer = Planned(0, "alice")
    court = closed(closer, Plan(format, (offer,), known=(("bob", 0),)))
    while not court.alice.fate_of(offer):
        court.mine()
    for _ in range(3):
        court.alice.crash()
        court.settle()
        court.mine()
    court.mine_until_resolved()
    assert court.alice.fate_of(offer) == ["fulfilled"]
    check_money(court, closer, {0: "bob"})


@both_formats
@either
def test_htlcs_of_equal_hash_and_amount_are_told_apart_on_the_chain(closer: str, format: str) -> None:
    """LDK up to 0.1.12 and 0.2.5 took one for the other."""
    offers = tuple(Planned(n, "alice", same_hash_as=0) for n in range(2))
    received = tuple(Planned(n, "bob", same_hash_as=10) for n in (10, 11))
    court = closed(closer, Plan(format, offers + received, known=(("alice", 10), ("alice", 11))))
    court.mine_until_resolved()
    assert [court.alice.fate_of(offer) for offer in offers] == [["failed"]] * 2
    assert [court.bob.fate_of(offer) for offer in received] == [["fulfilled"]] * 2
    check_money(court, closer, {0: "alice", 1: "alice", 10: "alice", 11: "alice"})


# -- openings ---------------------------------------------------------------------------------------------------------


def bob_waits_for_the_funding() -> tuple[Any, FundingCreated]:
    """Alice's `funding_created` is on its way; what bob thinks of the opening, and the message."""
    world = nodes.a_world()
    alice, bob = world.hosts.values()
    nodes.open_channel(alice, bob)
    found: list[Any] = []
    while not found:
        for sender, receiver in list(world.links):
            waiting = world.links[sender, receiver]
            found = [message for message in waiting if isinstance(message, FundingCreated)]
            if found:
                break
            world.deliver(sender, receiver)
        for host in world.hosts.values():
            host.disk.sync(10)
    assert bob.node is not None
    [address] = bob.node.addresses("opening")
    return bob.node.state(address), found[0]


def test_a_funding_outpoint_that_carries_a_channel_carries_no_second_one() -> None:
    """Of one output a peer could make two channels (CLN, 2026)."""
    waiting, message = bob_waits_for_the_funding()
    outpoint = OutPoint(message.funding_txid, message.funding_output_index)
    env, event = nodes.env_of("bob"), MessageReceived(message)
    assert opening.MOUNT.checks(waiting, event, env)
    taken = replace(env, views={f"channel:{channel_id_of(outpoint).hex()}": object()})
    with pytest.raises(OpeningRefused, match="carries a channel already"):
        opening.MOUNT.checks(waiting, event, taken)
    with pytest.raises(OpeningRefused, match="carries a channel already"):
        opening.MOUNT.decide(waiting, event, taken)


def test_a_funding_txid_of_zeros_is_only_a_bad_signature() -> None:
    """An assertion on it stopped CLN before 26.04."""
    waiting, message = bob_waits_for_the_funding()
    (check,) = opening.MOUNT.checks(waiting, MessageReceived(message.but(funding_txid=bytes(32))), nodes.env_of("bob"))
    assert isinstance(check, CheckCommitment) and not check.holds()


def test_no_format_has_anchors_and_htlc_transactions_that_pay_fees() -> None:
    """With both, whoever adds inputs to an HTLC transaction can take the fee of another (SIGHASH_SINGLE)."""
    for form in formats.FORMATS:
        assert form.anchors is formats.Anchors.NONE or not form.htlc_tx_pays_fee


# -- signatures -------------------------------------------------------------------------------------------------------


def test_a_signature_with_a_high_s_does_not_hold() -> None:
    """CVE-2020-26895: LND took what no node relays."""
    channel = a_normal_channel("alice")
    view = local_view(channel, channel.local, ALICE)
    low = sign_ecdsa(keys_of("bob")._of(KEY_INDEX).funding, build(view).digest)
    high = low[:32] + (ORDER - int.from_bytes(low[32:], "big")).to_bytes(32, "big")
    assert CheckCommitment(view, low).holds()
    assert not CheckCommitment(view, Signature(high)).holds()


# -- hashing ----------------------------------------------------------------------------------------------------------


def test_hash_randomisation_is_never_switched_off() -> None:
    """Names that strangers choose are keys of our tables; with a known seed they could be made to collide."""
    root = Path(__file__).parents[2]
    for folder in ("src", "demo", "scripts"):
        for path in (root / folder).rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                assert "PYTHONHASHSEED" not in path.read_text(encoding="utf-8", errors="replace"), path
    assert sys.flags.hash_randomization or "PYTHONHASHSEED" in os.environ
