"""What the peer hears of a signature of its own that fits nothing (B1-8): the transaction that it was to fit."""

from __future__ import annotations

from typing import Any

import pytest
from tests.builders.channels import CHANNEL_ID, FUNDING, born, preimage_of
from tests.builders.closing_channels import drained_channel, signed_by
from tests.builders.dancing import commitment_of
from tests.builders.normal_channels import ALICE, BOB, a_normal_channel

from fulmen.core.base.env import Env
from fulmen.core.base.faults import PeerFault
from fulmen.core.base.ids import ChannelId, NodeId, PaymentHash, Secret, Signature
from fulmen.core.base.machine import Faulted, Step
from fulmen.core.base.mount import CheckFailed
from fulmen.core.base.outer import Notify, Send
from fulmen.core.base.peers import MessageReceived
from fulmen.core.base.units import BlockHeight, Msat, Timestamp
from fulmen.core.bitcoin.transaction import Tx, parse_tx
from fulmen.core.channel.closing import closing_tx, fee_limits
from fulmen.core.channel.dance import local_view
from fulmen.core.channel.facts import Created
from fulmen.core.channel.failing import MAX_DATA, do_remedy, words_to_peer
from fulmen.core.channel.faults import BadClosingSignature, BadCommitmentSignature, UnexpectedMessage
from fulmen.core.channel.funding import ChannelProposed
from fulmen.core.channel.opening import first_view
from fulmen.core.channel.state import Channel, Phase
from fulmen.core.channel.table import checks, decide, initial
from fulmen.core.commitments.building import build
from fulmen.core.crypto.hashes import sha256
from fulmen.core.signer.checks import CheckClosing, CheckRevocation, disputed
from fulmen.core.transactions.commitment import CommitmentTx
from fulmen.core.wire.features import OPTION_ANCHORS, OPTION_STATIC_REMOTEKEY, optional
from fulmen.core.wire.messages.closing import ClosingSigned
from fulmen.core.wire.messages.opening import FundingSigned
from fulmen.core.wire.messages.setup import ErrorMessage, WarningMessage
from fulmen.core.wire.messages.updates import UpdateAddHtlc
from fulmen.core.wire.registry import MAX_MESSAGE, encode

WRONG = Signature(bytes(63) + b"\x01")


def refused(channel: Channel, message: Any, env: Env) -> Step[Channel]:
    """What comes of a message whose signature is wrong, as the node does it."""
    event = MessageReceived(message)
    check = next(check for check in checks(channel, event, env) if not check.holds())
    with pytest.raises(PeerFault) as caught:
        decide(channel, CheckFailed(event, check), env)
    assert isinstance(caught.value, PeerFault)
    return decide(channel, Faulted(event, caught.value), env)


def shown(step: Step[Channel]) -> Tx:
    """The transaction in our `error`."""
    (error,) = [one.message for one in step.actions if isinstance(one, Send) and isinstance(one.message, ErrorMessage)]
    return parse_tx(bytes.fromhex(error.data.decode("ascii").rpartition(": ")[2]))


def with_htlcs() -> tuple[Channel, CommitmentTx]:
    """Two HTLCs have been proposed to Bob, who is to hear the signatures on this commitment."""
    channel = a_normal_channel("bob")
    for number in range(2):
        hash_ = PaymentHash(sha256(preimage_of(number)))
        add = UpdateAddHtlc(CHANNEL_ID, number, Msat(5_000_000 + number), hash_, BlockHeight(500), bytes(1366))
        channel = decide(channel, MessageReceived(add), BOB).state
    return channel, build(local_view(channel, channel.local_pending, BOB))


def test_a_commitment_that_was_signed_wrongly_is_shown() -> None:
    channel, commitment = with_htlcs()
    step = refused(channel, commitment_of("bob", channel, "alice").but(signature=WRONG), BOB)
    assert shown(step) == commitment.tx and step.state.phase is Phase.FAILED


@pytest.mark.parametrize("wrong", [0, 1])
def test_of_an_htlc_that_was_signed_wrongly_its_transaction_is_shown(wrong: int) -> None:
    channel, commitment = with_htlcs()
    signed = commitment_of("bob", channel, "alice")
    signatures = list(signed.htlc_signature)
    signatures[wrong] = WRONG
    step = refused(channel, signed.but(htlc_signature=tuple(signatures)), BOB)
    assert shown(step) == commitment.htlc_tx(commitment.htlcs[wrong])


def test_a_close_that_was_signed_wrongly_is_shown_as_we_would_have_signed_it() -> None:
    channel = drained_channel("bob")
    fee = fee_limits(channel, BOB)[1]
    message = ClosingSigned(CHANNEL_ID, fee, signed_by("alice", channel, fee + 1))
    assert shown(refused(channel, message, BOB)) == closing_tx(channel, fee)


def test_a_first_commitment_that_was_signed_wrongly_is_shown() -> None:
    opened = born("alice", "bob", NodeId(b"bob".rjust(33, b"\x02")), is_opener=True, minimum_depth=3).opened
    created = Created(opened, b"coins", None, Timestamp(0))
    features = optional(OPTION_STATIC_REMOTEKEY, OPTION_ANCHORS).to_bytes()
    event = ChannelProposed(created, ChannelId(b"t" * 32), features, features)
    channel = decide(initial(CHANNEL_ID), event, ALICE).state
    tx = shown(refused(channel, FundingSigned(CHANNEL_ID, WRONG), ALICE))
    assert tx == build(first_view(opened, ALICE)).tx and tx.inputs[0].outpoint == FUNDING


def test_what_is_kept_and_logged_of_it_is_short() -> None:
    channel, commitment = with_htlcs()
    step = refused(channel, commitment_of("bob", channel, "alice").but(signature=WRONG), BOB)
    (failed,) = [one for one in step.actions if isinstance(one, Notify)]
    assert commitment.tx.serialize().hex() not in str(failed)
    assert commitment.tx.serialize().hex() in step.state.error_to_send


@pytest.mark.parametrize("phase", [Phase.NORMAL, Phase.CLOSING])
def test_a_transaction_that_does_not_fit_into_a_message_is_left_out(phase: Phase) -> None:
    channel = a_normal_channel("alice").but(phase=phase)
    room = (MAX_DATA - len(f"{BadCommitmentSignature(number=1)}: ")) // 2
    for size, is_in in ((room, True), (room + 1, False)):
        fault = BadCommitmentSignature(tx=b"\x02" * size, number=1)
        sent = [one.message for one in do_remedy(channel, fault, ALICE).actions if isinstance(one, Send)]
        (message,) = [one for one in sent if isinstance(one, ErrorMessage | WarningMessage)]
        assert (b"02" * size in message.data) is is_in
        assert str(fault).encode() in message.data and len(encode(message)) <= MAX_MESSAGE


def test_without_a_transaction_there_is_only_what_was_wrong() -> None:
    for fault in (BadClosingSignature(fee_satoshis=3), UnexpectedMessage(what="it")):
        assert words_to_peer(fault) == str(fault)
    assert disputed(CheckClosing((), WRONG)) == b"", "nothing can be closed at this fee"
    assert disputed(CheckRevocation(7, 1, BOB.per_commitment_point(7, 1), Secret(bytes(32)))) == b""
