"""Two nodes meet: BOLT 8 and BOLT 1."""

from __future__ import annotations

from demo.waiting import until

from interop.lab import Lab
from interop.scenario import scenario

TITLE = "Meeting"


@scenario("we connect to them")
def we_connect(lab: Lab) -> None:
    us, them = lab.our("dora", coins=False), lab.them
    answer = us.call("connect", id=them.address)
    assert answer["id"] == them.id and answer["direction"] == "out"
    until(lambda: lab.connected(us, them), "both say that they are connected")
    us.call("disconnect", id=them.id, force=True)
    until(lambda: us.id not in them.peers(), "they have seen us go")


@scenario("they connect to us")
def they_connect(lab: Lab) -> None:
    us, them = lab.our("dora", coins=False), lab.them
    them.connect(us.address)
    until(lambda: lab.connected(us, them), "both say that they are connected")
    them.disconnect(us.id)
    until(lambda: not any(row["connected"] for row in us.call("listpeers")["peers"]), "we have seen them go")
