"""Node aliases: 32 bytes that anybody chose, made safe to look at.

BOLT 7, "Security Considerations for Node Aliases".
"""

from __future__ import annotations

import unicodedata

from fulmen.core.base.faults import Refused

_UNSEEN = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")
"""Unicode categories that control, hide or reorder what stands around them."""


class BadAlias(Refused):
    """An alias of ours that does not fit into 32 bytes, or that would be shown otherwise than it was written."""


def display_alias(alias: bytes) -> str:
    """An alias as people may see it: no control, format or unassigned characters, no broken UTF-8.

    What cannot be shown becomes U+FFFD. The text is still the other node's own claim, and HTML must escape it.
    """
    text = alias.rstrip(b"\0").decode("utf-8", "replace")
    return "".join("\ufffd" if unicodedata.category(letter) in _UNSEEN else letter for letter in text)


def alias_bytes(text: str) -> bytes:
    """Our own alias as the wire has it.

    Raises:
        BadAlias.
    """
    encoded = text.encode("utf-8", "replace")
    # BOLT 7: "MUST set `alias` to a valid UTF-8 string, with any `alias` trailing-bytes equal to 0"
    if len(encoded) > 32 or display_alias(encoded) != text:
        raise BadAlias(alias=text)
    return encoded.ljust(32, b"\0")
