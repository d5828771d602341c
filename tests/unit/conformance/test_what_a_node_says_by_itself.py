"""Scripts about what a node says by itself hold it to what they quote: one that says something else fails them."""

from __future__ import annotations

import pytest
from tests.builders.liars import Change, forging, played, saying

from fulmen.conformance.defaults.numbers import OTHER_CHAIN, P2PKH
from fulmen.conformance.own_node import NodeUnderTest
from fulmen.conformance.runner import Verdict
from fulmen.core.base.ids import ShortChannelId, scid, scid_parts
from fulmen.core.base.record import Record
from fulmen.core.channel.state import Channel
from fulmen.core.gossip.encodings import decode_scids, decode_timestamps, encode_scids, encode_timestamps
from fulmen.core.wire.messages.gossip import ChannelUpdate, ReplyChannelRange
from fulmen.core.wire.messages.opening import AcceptChannel, ChannelReady, OpenChannel
from fulmen.core.wire.messages.setup import Init

OPENS = "open_channel brings an upfront script of an allowed form, or an empty one"
ACCEPTS = "accept_channel brings an upfront script of an allowed form, or an empty one"
P2WPKH = b"\0\x14" + bytes(20)


@pytest.mark.parametrize("networks", [None, (), (OTHER_CHAIN,)])
def test_a_node_that_does_not_name_its_chain_is_warned(networks: tuple[bytes, ...] | None):
    outcome = played("init names the chain", forging(saying(Init, networks=networks)))
    assert outcome.verdict is Verdict.WARNED and "networks is" in outcome.reason


def test_a_node_may_name_more_chains_than_its_own():
    outcome = played("init names the chain", forging(saying(Init, networks=lambda own: (OTHER_CHAIN, *own))))
    assert outcome.verdict is Verdict.PASSED, outcome.reason


@pytest.mark.parametrize(("name", "kind"), [(OPENS, OpenChannel), (ACCEPTS, AcceptChannel)])
@pytest.mark.parametrize(
    ("script", "verdict"),
    [(None, Verdict.FAILED), (P2PKH, Verdict.FAILED), (b"", Verdict.PASSED), (P2WPKH, Verdict.PASSED)],
)
def test_an_upfront_script_is_there_and_one_that_may_be(name: str, kind: type, script: bytes | None, verdict: Verdict):
    outcome = played(name, forging(saying(kind, upfront_shutdown_script=script)))
    assert outcome.verdict is verdict, outcome.reason


def test_a_node_that_closes_to_another_script_than_it_said_fails():
    name = "shutdown to the script agreed on is answered, by one to the node's own"
    outcome = played(name, forging(saying(AcceptChannel, upfront_shutdown_script=P2WPKH)))
    assert outcome.verdict is Verdict.FAILED and "as its accept_channel has it" in outcome.reason
    outcome = played(name, forging(saying(AcceptChannel, upfront_shutdown_script=b"")))
    assert outcome.verdict is Verdict.PASSED, outcome.reason


@pytest.mark.parametrize("lies", [True, False])
def test_an_alias_is_not_the_real_id(lies: bool):
    node = NodeUnderTest(b"forger")

    def real(alias: ShortChannelId) -> ShortChannelId:
        states = (node.node.state(address) for address in node.node.addresses("channel"))
        own = next(state.scid for state in states if isinstance(state, Channel) and state.scid is not None)
        return own if lies else alias

    name = "channel_ready brings an alias where scid_alias was negotiated"
    outcome = played(name, forging(saying(ChannelReady, alias=real), node=node))
    assert outcome.verdict is (Verdict.FAILED if lies else Verdict.PASSED), outcome.reason


def test_a_private_update_goes_by_the_alias_or_the_real_id():
    name = "a channel_update for the peer alone is not to be passed on"
    outcome = played(name, forging(saying(ChannelUpdate, short_channel_id=scid(16_000_000, 1, 1)), signs=True))
    assert outcome.verdict is Verdict.FAILED and "short_channel_id is" in outcome.reason


# -- reply_channel_range -----------------------------------------------------------------------------------------------

ALL_BLOCKS = "query_channel_range of all blocks is answered to its end"
FEW_BLOCKS = "query_channel_range of a few blocks is answered for those"
KNOWN = "query_channel_range is answered with the channels that the node knows"
EXTENDED = "query_channel_range is answered with timestamps and checksums, if they are wanted"
SILENT = "nothing of reply_channel_range"


def parts(*numbers: tuple[int, int, int]) -> Change:
    """A reply in several: their `first_blocknum`, `number_of_blocks` and `sync_complete`."""

    def change(message: Record) -> Record | list[Record]:
        if not isinstance(message, ReplyChannelRange):
            return message
        return [
            message.but(first_blocknum=first, number_of_blocks=count, sync_complete=complete)
            for first, count, complete in numbers
        ]

    return change


# Ten blocks from the fiftieth on are asked for.
@pytest.mark.parametrize(
    ("numbers", "why"),
    [
        ([(50, 10, 1)], ""),
        ([(0, 1000, 1)], ""),
        ([(50, 4, 0), (54, 6, 1)], ""),
        ([(50, 5, 0), (54, 6, 1)], ""),
        ([(50, 10, 0), (59, 1, 1)], ""),
        ([(51, 9, 1)], "the first one has to hold block 50"),
        ([(40, 10, 0), (50, 10, 1)], "the first one has to hold block 50"),
        ([(50, 9, 1)], "calls itself the last, where 59 was asked for"),
        ([(50, 0, 1)], "the first one has to hold block 50"),
        ([(50, 4, 0), (49, 11, 1)], "after one that began with 50"),
        ([(50, 4, 0), (55, 5, 1)], "after one that ended before 54"),
        ([(50, 10, 0)], SILENT),
        ([(50, 10, 1), (59, 1, 1)], "follows the one with sync_complete"),
        ([(50, 4, 1), (54, 6, 1)], "calls itself the last, where 59 was asked for"),
    ],
)
def test_replies_begin_where_was_asked_go_on_and_end(numbers: list[tuple[int, int, int]], why: str):
    outcome = played(FEW_BLOCKS, forging(parts(*numbers)))
    assert outcome.verdict is (Verdict.FAILED if why else Verdict.PASSED) and why in outcome.reason, outcome.reason


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (saying(ReplyChannelRange, chain_hash=OTHER_CHAIN), "another chain"),
        (saying(ReplyChannelRange, number_of_blocks=1_000_000), "calls itself the last"),
        (saying(ReplyChannelRange, sync_complete=0), SILENT),
        (saying(ReplyChannelRange, encoded_short_ids=b"\1"), "cannot be read"),
        (saying(ReplyChannelRange, encoded_short_ids=b"\0half"), "cannot be read"),
    ],
)
def test_a_reply_about_all_blocks_is_about_all_of_them(change: Change, why: str):
    outcome = played(ALL_BLOCKS, forging(change))
    assert outcome.verdict is Verdict.FAILED and why in outcome.reason, outcome.reason


def _with(*more: ShortChannelId) -> Change:
    """The ids that it lists, and these behind them."""
    return saying(ReplyChannelRange, encoded_short_ids=lambda ids: encode_scids([*decode_scids(ids), *more]))


def _elsewhere(message: Record) -> Record:
    """Where one block was asked for, another one's channel stands with it."""
    if not isinstance(message, ReplyChannelRange) or message.number_of_blocks != 1:
        return message
    (known,) = decode_scids(message.encoded_short_ids)
    height, *_ = scid_parts(known)
    return message.but(encoded_short_ids=encode_scids([known, scid(height + 1, 0, 0)]))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (saying(ReplyChannelRange, encoded_short_ids=b"\0"), "do not list the channel"),
        (_with(scid(1, 1, 1)), "not in ascending order"),
        (_elsewhere, "of a block that it does not speak of"),
    ],
)
def test_channels_are_listed_in_order_and_in_their_blocks(change: Change, why: str):
    outcome = played(KNOWN, forging(change))
    assert outcome.verdict is Verdict.FAILED and why in outcome.reason, outcome.reason


def _stamps(change: int) -> Change:
    def changed(stamps: bytes) -> bytes:
        told = decode_timestamps(stamps, (len(stamps) - 1) // 8)
        return encode_timestamps([each + change for each in told])

    return saying(ReplyChannelRange, timestamps=changed)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (saying(ReplyChannelRange, timestamps=None), "no timestamps, or no checksums"),
        (saying(ReplyChannelRange, checksums=None), "no timestamps, or no checksums"),
        (saying(ReplyChannelRange, timestamps=b"\0"), "cannot be read"),
        (saying(ReplyChannelRange, checksums=lambda sums: sums[:-1]), "checksums for"),
        (saying(ReplyChannelRange, checksums=lambda sums: tuple(each ^ 1 for each in sums)), "expected"),
        (saying(ReplyChannelRange, checksums=lambda sums: sums[::-1]), "expected"),
        (_stamps(1), "expected"),
    ],
)
def test_timestamps_and_checksums_are_those_of_the_updates(change: Change, why: str):
    outcome = played(EXTENDED, forging(change))
    assert outcome.verdict is Verdict.WARNED and why in outcome.reason, outcome.reason
