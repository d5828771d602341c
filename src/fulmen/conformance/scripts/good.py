"""Good twins: what refusals are about, with nothing wrong in it. A node that refuses all has to be seen through.

They are no scripts of their own: `Script.good` names them, and the runner plays each once, before the first refusal.
"""

from __future__ import annotations

from fulmen.conformance.script import BOB, Expect, ExpectQuiet, Script, Send, Step
from fulmen.conformance.scripts.common import (
    ACCEPTED,
    AGAIN,
    FORWARDED,
    HELLO,
    OPENED,
    SHUT,
    USED,
    asked,
    commit,
    offered,
    take,
)


def twin(of: str, *steps: Step) -> Script:
    """Steps that a node goes through if it takes what they are about."""
    return Script(name=f"a good {of}", ids=(), quotes=(), steps=steps)


INIT = twin("init", *HELLO, ExpectQuiet())
PING = twin("ping", *HELLO, Send("ping"), Expect("pong"))
OPEN_CHANNEL = twin("open_channel", *ACCEPTED)
FUNDING_CREATED = twin("funding_created", *ACCEPTED, Send("funding_created"), Expect("funding_signed"))
CHANNEL_READY = twin("channel_ready", *OPENED, ExpectQuiet())
ACCEPT_CHANNEL = twin("accept_channel", *asked(), Send("accept_channel"), Expect("funding_created"))
FUNDING_SIGNED = twin(
    "funding_signed",
    *asked(),
    Send("accept_channel"),
    Expect("funding_created"),
    Send("funding_signed"),
    ExpectQuiet(),
)
UPDATE_ADD_HTLC = twin("update_add_htlc", *OPENED, *offered(), *take("update_fail_htlc"))
REMOVALS = {
    message: twin(message, *FORWARDED, Send(message, peer=BOB), *commit(BOB))
    for message in ("update_fulfill_htlc", "update_fail_htlc", "update_fail_malformed_htlc")
}
FORWARD = twin("HTLC to be passed on", *FORWARDED)
UPDATE_FEE = twin("update_fee", *OPENED, Send("update_fee"), *commit())
SHUTDOWN = twin("shutdown", *USED, *SHUT)
CLOSING_SIGNED = twin("closing_signed", *USED, *SHUT, Send("closing_signed"), Expect("closing_signed"))
CHANNEL_REESTABLISH = twin(
    "channel_reestablish", *USED, *AGAIN, Expect("channel_reestablish"), Send("channel_reestablish"), ExpectQuiet()
)
QUERY = twin(
    # Some that are asked say nothing, and go on.
    "query_short_channel_ids",
    *HELLO,
    Send("query_short_channel_ids"),
    Send("ping"),
    Expect("pong"),
)
