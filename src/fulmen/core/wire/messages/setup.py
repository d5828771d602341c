"""Setup, control and peer storage. BOLT 1."""

from __future__ import annotations

from typing import Annotated

from fulmen.core.base.ids import ChainHash, ChannelId
from fulmen.core.base.record import Record
from fulmen.core.wire.codecs import BYTES32, REST, Blob, Every, u16
from fulmen.core.wire.declare import Tlv, message
from fulmen.core.wire.tlv import UnknownTlvs


@message(16, bolt=1, section="init")
class Init(Record):
    """The first message both ways: what a node supports and requires."""

    globalfeatures: Blob
    features: Blob
    networks: Annotated[tuple[ChainHash, ...] | None, Tlv(1, Every(BYTES32))] = None
    remote_addr: Annotated[bytes | None, Tlv(3, REST)] = None
    """The address we are seen to come from, one descriptor as in `node_announcement`."""
    unknown: UnknownTlvs = ()


@message(17, bolt=1, section="error")
class ErrorMessage(Record):
    """The channel (all zero: every channel) has failed."""

    channel_id: ChannelId
    data: Blob
    unknown: UnknownTlvs = ()


@message(1, bolt=1, section="warning")
class WarningMessage(Record):
    """Something is wrong; nothing fails by it."""

    channel_id: ChannelId
    data: Blob
    unknown: UnknownTlvs = ()


@message(18, bolt=1, section="ping")
class Ping(Record):
    """Are you there? Answer with so many bytes."""

    num_pong_bytes: u16
    ignored: Blob
    unknown: UnknownTlvs = ()


@message(19, bolt=1, section="pong")
class Pong(Record):
    """The answer to a ping."""

    ignored: Blob
    unknown: UnknownTlvs = ()


@message(7, bolt=1, section="peer_storage")
class PeerStorage(Record):
    """Keep this for me, in place of what I gave you before."""

    blob: Blob
    unknown: UnknownTlvs = ()


@message(9, bolt=1, section="peer_storage_retrieval")
class PeerStorageRetrieval(Record):
    """What you gave me to keep."""

    blob: Blob
    unknown: UnknownTlvs = ()
