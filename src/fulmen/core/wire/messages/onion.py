"""Onion messages. BOLT 4, "Onion Messages"."""

from __future__ import annotations

from fulmen.core.base.ids import Point
from fulmen.core.base.record import Record
from fulmen.core.wire.codecs import Blob
from fulmen.core.wire.declare import message
from fulmen.core.wire.tlv import UnknownTlvs


@message(513, bolt=4, section="onion_message")
class OnionMessage(Record):
    """An onion without money."""

    path_key: Point
    onion_message_packet: Blob
    unknown: UnknownTlvs = ()
