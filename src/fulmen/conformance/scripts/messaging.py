"""BOLT 1: `init`, unknown messages, TLV extensions, errors, warnings, pings."""

from __future__ import annotations

from fulmen.conformance.defaults.numbers import FEATURES, OTHER_CHAIN, UNKNOWN_CHANNEL
from fulmen.conformance.script import (
    ChainHash,
    Connect,
    Contains,
    Expect,
    ExpectClosed,
    ExpectQuiet,
    ExpectSilence,
    FundChannel,
    Length,
    Level,
    Ours,
    Script,
    Send,
    SendBroken,
    SendRaw,
)
from fulmen.conformance.scripts import good
from fulmen.conformance.scripts.common import ACCEPTED, HELLO
from fulmen.core.wire.features import OPTION_SCID_ALIAS, OPTION_ZEROCONF, Features

CLOSE = "MUST close the connection."
NO_STREAM = "MUST fail to parse the `tlv_stream`."
INVALID = "if the `extension` is invalid: - MUST close the connection."
ODD_IGNORED = "upon receiving a message of _odd_, unknown type: - MUST ignore the received message."
EVEN_CLOSES = f"upon receiving a message of _even_, unknown type: - {CLOSE}"
NO_SUCH_CHANNEL = "if no existing channel is referred to by `channel_id`: - MUST ignore the message."
TOO_SHORT = f"upon receiving a known message with insufficient length for the contents: - {CLOSE}"
UNKNOWN_ODD, UNKNOWN_EVEN = 43_691, 43_690
"""Messages of the custom range that nobody has defined."""
ODD_BIT, EVEN_BIT = 1_001, 1_000
"""Feature bits that nobody has defined."""


def frame(number: int, payload: bytes = b"") -> bytes:
    """A message from its type and payload."""
    return number.to_bytes(2, "big") + payload


def offering(*bits: int) -> bytes:
    """What a fake peer offers, and these bits."""
    return (FEATURES | Features.of(*bits)).to_bytes()


INIT = (
    Script(
        name="init comes first",
        ids=("B1-6",),
        quotes=("MUST send `init` as the first Lightning message for any connection.",),
        steps=(Connect(), Expect("init"), Send("init"), ExpectQuiet()),
    ),
    Script(
        name="init names the chain",
        ids=("B1-6",),
        level=Level.SHOULD,
        quotes=("SHOULD set `networks` to all chains it will gossip or open channels for.",),
        steps=(Connect(), Expect("init", {"networks": Contains(ChainHash())})),
    ),
    Script(
        name="nothing but init is said before the peer's init",
        good=good.INIT,
        ids=("B1-6",),
        quotes=("MUST wait to receive `init` before sending any other messages.",),
        steps=(Connect(), Expect("init"), Send("ping", {"num_pong_bytes": 3}), ExpectSilence()),
    ),
    Script(
        name="unknown odd feature bits are ignored",
        ids=("B1-7",),
        quotes=("upon receiving unknown _odd_ feature bits that are non-zero: - MUST ignore the bit.",),
        steps=(Connect(), Expect("init"), Send("init", {"features": offering(ODD_BIT)}), ExpectQuiet()),
    ),
    Script(
        name="an unknown even feature bit closes the connection",
        good=good.INIT,
        ids=("B1-7",),
        quotes=(f"upon receiving unknown _even_ feature bits that are non-zero: - {CLOSE}",),
        steps=(Connect(), Expect("init"), Send("init", {"features": offering(EVEN_BIT)}), ExpectClosed()),
    ),
    Script(
        name="an unknown even bit counts in globalfeatures, too",
        good=good.INIT,
        ids=("B1-6", "B1-7"),
        quotes=("MUST combine (bitwise OR) the two feature bitmaps into one logical `features` map.",),
        steps=(
            Connect(),
            Expect("init"),
            Send("init", {"globalfeatures": Features.of(EVEN_BIT).to_bytes()}),
            ExpectClosed(),
        ),
    ),
    Script(
        name="a feature without what it needs closes the connection",
        good=good.INIT,
        ids=("B1-7",),
        quotes=(f"if the feature vector does not set all known, transitive dependencies: - {CLOSE}",),
        steps=(
            Connect(),
            Expect("init"),
            # The dependency that most nodes know: option_zeroconf on option_scid_alias.
            Send("init", {"features": Features.of(1, 9, 13, 15, 45, OPTION_ZEROCONF + 1).to_bytes()}),
            ExpectClosed(),
        ),
    ),
    Script(
        name="features padded with zeros are the same features",
        ids=("B1-6",),
        quotes=("The `features` field MUST be padded to bytes with 0s.",),
        steps=(Connect(), Expect("init"), Send("init", {"features": bytes(8) + offering()}), ExpectQuiet()),
    ),
    Script(
        name="init on other chains only closes the connection",
        good=good.INIT,
        ids=("B1-7",),
        level=Level.SHOULD,
        quotes=("upon receiving `networks` containing no common chains - MAY close the connection.",),
        steps=(Connect(), Expect("init"), Send("init", {"networks": (OTHER_CHAIN,)}), ExpectClosed()),
    ),
    Script(
        name="init may name other chains beside ours, and leave the chains out",
        ids=("B1-7",),
        quotes=("The optional `networks` indicates the chains the node is interested in.",),
        steps=(Connect(), Expect("init"), Send("init", {"networks": None}), ExpectQuiet()),
    ),
)

EXTENDED = Script(
    name="an unknown odd TLV in open_channel is ignored",
    ids=("B1-4",),
    quotes=("upon receiving a message with an `extension`: - MAY ignore the `extension`.",),
    steps=(*HELLO, SendBroken("open_channel", added=bytes.fromhex("c9014f")), Expect("accept_channel")),
)
# "upon receiving a message with an `extension`: - MAY ignore the `extension`." So what is wrong in one is tried
# where no node may do so: the `channel_type` of `open_channel` has to be read, and the `alias` of `channel_ready`.
EXTENSIONS = (
    Script(
        name="an unknown odd TLV in init is ignored",
        ids=("B1-4",),
        quotes=("otherwise, if `type` is odd: - MUST discard the next `length` bytes.",),
        steps=(Connect(), Expect("init"), SendBroken("init", added=bytes.fromhex("c9014f")), ExpectQuiet()),
    ),
    Script(
        name="TLVs in the wrong order close the connection",
        good=EXTENDED,
        ids=("B1-4",),
        quotes=("if decoded `type`s are not strictly-increasing", NO_STREAM),
        steps=(*HELLO, SendBroken("open_channel", added=bytes.fromhex("c9014fc7014f")), ExpectClosed()),
    ),
    Script(
        name="a TLV twice closes the connection",
        good=EXTENDED,
        ids=("B1-4",),
        quotes=("including situations when two or more occurrences of the same `type` are met",),
        steps=(*HELLO, SendBroken("open_channel", added=bytes.fromhex("c9014fc9014f")), ExpectClosed()),
    ),
    Script(
        name="a TLV longer than its message closes the connection",
        good=EXTENDED,
        ids=("B1-4",),
        quotes=(f"if `length` exceeds the number of bytes remaining in the message: - {NO_STREAM}",),
        steps=(*HELLO, SendBroken("open_channel", added=bytes.fromhex("c9ff4f")), ExpectClosed()),
    ),
    Script(
        name="a TLV type that is not minimal closes the connection",
        good=EXTENDED,
        ids=("B1-4",),
        quotes=(f"if a `type` or `length` is not minimally encoded: - {NO_STREAM}",),
        steps=(*HELLO, SendBroken("open_channel", added=bytes.fromhex("fd00c9014f")), ExpectClosed()),
    ),
    Script(
        name="a TLV length that is not minimal closes the connection",
        good=EXTENDED,
        ids=("B1-4",),
        quotes=(f"if a `type` or `length` is not minimally encoded: - {NO_STREAM}",),
        steps=(*HELLO, SendBroken("open_channel", added=bytes.fromhex("c9fd00014f")), ExpectClosed()),
    ),
    Script(
        name="an alias of 7 bytes in channel_ready closes the connection",
        good=good.CHANNEL_READY,
        ids=("B1-4",),
        offers=(OPTION_SCID_ALIAS,),
        quotes=(f"if `length` is not exactly equal to that required for the known encoding for `type`: - {NO_STREAM}",),
        steps=(
            *ACCEPTED,
            Send("funding_created"),
            Expect("funding_signed"),
            FundChannel(),
            Expect("channel_ready", within_s=30.0),
            SendBroken("channel_ready", {"alias": None}, added=b"\x01\x07" + bytes(7)),
            ExpectClosed(),
        ),
    ),
    EXTENDED,
    Script(
        name="an unknown even TLV in open_channel closes the connection",
        good=EXTENDED,
        ids=("B1-4", "B1-2"),
        quotes=(f"if `type` is even: - {NO_STREAM}", INVALID),
        steps=(*HELLO, SendBroken("open_channel", added=bytes.fromhex("c8014f")), ExpectClosed()),
    ),
)

IGNORED = Script(
    name="an unknown odd message is ignored",
    ids=("B1-2", "B1-3"),
    quotes=(ODD_IGNORED,),
    steps=(*HELLO, SendRaw(frame(UNKNOWN_ODD, b"whatever")), ExpectQuiet()),
)
UNKNOWN = (
    IGNORED,
    Script(
        name="an unknown odd message of the longest length is ignored",
        ids=("B1-1", "B1-2"),
        quotes=(ODD_IGNORED, "the maximum possible size is 65535 bytes."),
        steps=(*HELLO, SendRaw(frame(UNKNOWN_ODD, bytes(65_533))), ExpectQuiet()),
    ),
    Script(
        name="an unknown even message closes the connection",
        good=IGNORED,
        ids=("B1-2", "B1-3"),
        quotes=(EVEN_CLOSES,),
        steps=(*HELLO, SendRaw(frame(UNKNOWN_EVEN, b"whatever")), ExpectClosed()),
    ),
    Script(
        name="a message of one byte closes the connection",
        good=good.INIT,
        ids=("B1-1", "B1-2"),
        quotes=(TOO_SHORT,),
        steps=(*HELLO, SendRaw(b"\x00"), ExpectClosed()),
    ),
    Script(
        name="a ping that is too short closes the connection",
        good=good.PING,
        ids=("B1-2", "B1-5"),
        quotes=(TOO_SHORT,),
        steps=(*HELLO, SendRaw(frame(18, b"\x00")), ExpectClosed()),
    ),
    Script(
        name="an open_channel that is too short closes the connection",
        good=good.OPEN_CHANNEL,
        ids=("B1-2", "B1-5"),
        quotes=(TOO_SHORT,),
        steps=(
            *HELLO,
            SendBroken("open_channel", {"channel_type": None, "upfront_shutdown_script": None}, cut=1),
            ExpectClosed(),
        ),
    ),
    Script(
        name="a message about an unknown channel is answered by an error",
        good=good.INIT,
        ids=("B1-8",),
        level=Level.SHOULD,
        quotes=(
            "SHOULD send `error` with the unknown `channel_id` in reply to messages of type `32`-`255` related to "
            "unknown channels.",
        ),
        steps=(
            *HELLO,
            SendRaw(frame(38, UNKNOWN_CHANNEL + bytes(2))),
            Expect("error", {"channel_id": UNKNOWN_CHANNEL}),
        ),
    ),
)

ERRORS = (
    Script(
        name="an error about an unknown channel is ignored",
        ids=("B1-8",),
        quotes=(NO_SUCH_CHANNEL,),
        steps=(*HELLO, Send("error", {"channel_id": UNKNOWN_CHANNEL}), ExpectQuiet()),
    ),
    Script(
        name="a warning that is no text changes nothing",
        ids=("B1-8",),
        quotes=(NO_SUCH_CHANNEL, "upon receiving `warning`: - SHOULD log the message for later diagnosis."),
        steps=(*HELLO, Send("warning", {"data": bytes(range(256))}), ExpectQuiet()),
    ),
    Script(
        name="an empty error about all channels of a peer without channels is ignored",
        ids=("B1-8",),
        quotes=(NO_SUCH_CHANNEL, "MAY send an empty `data` field."),
        steps=(*HELLO, Send("error", {"data": b""}), ExpectQuiet()),
    ),
    Script(
        name="an error ends the channel that is being opened",
        good=good.FUNDING_CREATED,
        ids=("B1-8",),
        quotes=(
            "otherwise: - MUST fail the channel referred to by `channel_id`, if that channel is with the sending node.",
        ),
        steps=(
            *ACCEPTED,
            Send("error", {"channel_id": Ours("open_channel", "temporary_channel_id")}),
            ExpectQuiet(),
            # It may say that there is no such channel, or nothing.
            Send("funding_created"),
            ExpectSilence(3.0),
        ),
    ),
)

PADDED = Script(
    name="the padding of a pong is zeros",
    ids=("B1-9",),
    level=Level.SHOULD,
    quotes=("A node sending a `pong` message: - SHOULD set `ignored` to 0s.",),
    steps=(*HELLO, Send("ping", {"num_pong_bytes": 33}), Expect("pong", {"ignored": bytes(33)})),
)
PINGS = tuple(
    Script(
        name=f"a ping that asks for {count} bytes gets a pong with {count} bytes",
        ids=("B1-9",),
        quotes=(
            "if `num_pong_bytes` is less than 65532: - MUST respond by sending a `pong` message, with `byteslen` equal "
            "to `num_pong_bytes`.",
        ),
        steps=(*HELLO, Send("ping", {"num_pong_bytes": count}), Expect("pong", {"ignored": Length(count)})),
    )
    for count in (0, 1, 65_531)
) + tuple(
    Script(
        name=f"a ping that asks for {count} bytes is ignored",
        ids=("B1-9",),
        quotes=("otherwise (`num_pong_bytes` is **not** less than 65532): - MUST ignore the `ping`.",),
        steps=(*HELLO, Send("ping", {"num_pong_bytes": count}), ExpectQuiet()),
    )
    for count in (65_532, 65_535)
)

SCRIPTS: tuple[Script, ...] = (*INIT, *EXTENSIONS, *UNKNOWN, *ERRORS, *PINGS, PADDED)
