"""BOLT 2, from `funding_created` to `channel_ready`, and a funding that never comes."""

from __future__ import annotations

from fulmen.conformance.script import (
    ALICE,
    AllOf,
    AtLeast,
    Disconnect,
    Expect,
    ExpectComplaint,
    ExpectFailure,
    ExpectQuiet,
    ExpectSilence,
    Flipped,
    FundChannel,
    HighS,
    Level,
    Mine,
    NewChannelId,
    Not,
    Present,
    Scid,
    Script,
    Send,
)
from fulmen.conformance.scripts import good
from fulmen.conformance.scripts.common import ACCEPTED, HELLO, OPENED, hello
from fulmen.core.wire.features import (
    OPTION_SCID_ALIAS,
)

FUNDING = (
    Script(
        name="funding_signed signs the first commitment under the new id",
        ids=("B2-10", "B2-15"),
        quotes=(
            "`channel_id` by exclusive-OR of the `funding_txid` and the `funding_output_index` from the "
            "`funding_created` message.",
            "`signature` to the valid signature, using its `funding_pubkey` for the initial commitment transaction",
        ),
        steps=(
            *ACCEPTED,
            Send("funding_created"),
            Expect("funding_signed", {"channel_id": NewChannelId()}),
        ),
    ),
    Script(
        name="a wrong signature in funding_created fails the channel",
        good=good.FUNDING_CREATED,
        ids=("B2-15",),
        quotes=(
            "if `signature` is incorrect OR non-compliant with LOW-S-standard rule",
            "MUST send a `warning` and close the connection, or send an `error` and fail the channel.",
        ),
        steps=(*ACCEPTED, Send("funding_created", {"signature": Flipped()}), ExpectFailure()),
    ),
    Script(
        name="a signature with high S in funding_created fails the channel",
        good=good.FUNDING_CREATED,
        ids=("B2-15",),
        quotes=("if `signature` is incorrect OR non-compliant with LOW-S-standard rule",),
        steps=(*ACCEPTED, Send("funding_created", {"signature": HighS()}), ExpectFailure()),
    ),
    Script(
        name="funding_created without open_channel is refused",
        good=good.FUNDING_CREATED,
        ids=("B1-8", "B2-15"),
        level=Level.SHOULD,
        quotes=(
            "SHOULD send `error` for protocol violations or internal errors that make channels unusable or that make "
            "further communication unusable.",
        ),
        steps=(*ACCEPTED, Disconnect(), *HELLO, Send("funding_created"), ExpectComplaint()),
    ),
    Script(
        name="channel_ready waits for the depth that was asked for",
        ids=("B2-16",),
        quotes=(
            "if it is not the node opening the channel: - SHOULD wait until the funding transaction has reached "
            "`minimum_depth` before sending this message.",
        ),
        steps=(
            *HELLO,
            # As much as everybody takes: the more it is, the longer some nodes wait.
            Send("open_channel", {"funding_satoshis": 16_000_000}),
            Expect("accept_channel", {"minimum_depth": AtLeast(2)}),
            Send("funding_created"),
            Expect("funding_signed"),
            FundChannel(depth=1),
            Send("channel_ready"),
            ExpectQuiet(2.0),
            Mine(9),
            Expect("channel_ready", within_s=30.0),
        ),
    ),
    Script(
        name="channel_ready brings an alias where scid_alias was negotiated",
        ids=("B2-16",),
        offers=(OPTION_SCID_ALIAS,),
        quotes=(
            "if `option_scid_alias` was negotiated: - MUST set `short_channel_id` `alias`.",
            "otherwise: - MUST set `alias` to a value not related to the real `short_channel_id`.",
        ),
        steps=(
            *ACCEPTED,
            Send("funding_created"),
            Expect("funding_signed"),
            FundChannel(depth=6),
            # What else could relate them nobody can see from outside.
            Expect("channel_ready", {"alias": AllOf((Present(), Not(Scid(ALICE, real=True))))}, within_s=30.0),
        ),
    ),
    Script(
        name="no channel_ready for an output with another amount",
        good=good.CHANNEL_READY,
        ids=("B2-16",),
        quotes=(
            "MUST NOT send `channel_ready` unless outpoint of given by `funding_txid` and `funding_output_index` in "
            "the `funding_created` message pays exactly `funding_satoshis` to the scriptpubkey specified in [BOLT #3]",
        ),
        steps=(
            *ACCEPTED,
            Send("funding_created"),
            Expect("funding_signed"),
            FundChannel(depth=6, amount_off_by=-1),
            ExpectSilence(5.0),
        ),
    ),
    Script(
        name="channel_ready again changes nothing",
        ids=("B2-16",),
        quotes=("MAY send multiple `channel_ready` messages to the same peer with different `alias` values.",),
        steps=(*OPENED, Send("channel_ready", {"alias": 17}), Send("channel_ready", {"alias": 18}), ExpectQuiet()),
    ),
)

FORGOTTEN = (
    Script(
        name="a channel whose funding does not come within 2016 blocks is forgotten",
        ids=("B2-17",),
        level=Level.SHOULD,
        quotes=(
            "SHOULD forget the channel if it does not see the correct funding transaction after a timeout of 2016 "
            "blocks.",
        ),
        steps=(
            *ACCEPTED,
            Send("funding_created"),
            Expect("funding_signed"),
            Mine(2016),
            Disconnect(),
            *hello(),
            Send("channel_reestablish"),
            Expect("error", passing=("channel_reestablish",)),
        ),
    ),
)
