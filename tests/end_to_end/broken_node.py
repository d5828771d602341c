"""A node with a bug of its own, to see what its key holder makes of it: `python -m tests.end_to_end.broken_node …`.

From its third commitment on it asks for the secret of the newest instead of the last; and once a caller closes the
channel it would publish one that is revoked, if the file `publishes-revoked` lies in its directory.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from fulmen.cli.main import main
from fulmen.core.base.env import Env
from fulmen.core.base.outer import Send
from fulmen.core.channel import dance, table
from fulmen.core.channel.state import Channel
from fulmen.core.commitments.view import CommitmentView, view_of

_right = dance.send_revocation


def _reveals_the_newest(channel: Channel, env: Env) -> Send:
    send = _right(channel, env)
    (request,) = send.sign
    return send if channel.local.number < 3 else send.but(sign=(request.but(number=channel.local.number),))


def _publishes_the_last(*parts: Any) -> CommitmentView:
    view = view_of(*parts)
    return view.but(number=view.number - 1)


if __name__ == "__main__":
    home = Path(sys.argv[sys.argv.index("--dir") + 1])
    if (home / "publishes-revoked").exists():
        table.view_of = _publishes_the_last
    else:
        dance.send_revocation = _reveals_the_newest
    main()
