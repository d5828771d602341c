"""What peers say to each other, as bytes and as values: BOLT 1, 2, 7, 9.

`decode(frame)` gives a message, `encode(message)` a frame. The messages are declared in `messages/`, one file per
family; importing this room declares them all.
"""

from fulmen.core.wire import messages
from fulmen.core.wire.registry import UnknownMessage, decode, encode, is_message, name_of, type_of

__all__ = ["UnknownMessage", "decode", "encode", "is_message", "messages", "name_of", "type_of"]
