"""Channels open: BOLT 2, "Channel Establishment v1", in each form that both sides have."""

from __future__ import annotations

from interop.lab import Lab
from interop.peers.peer import Can, Order
from interop.scenario import scenario

TITLE = "Opening"


@scenario("we open, announced", Can.ANNOUNCED)
def we_open(lab: Lab) -> None:
    outpoint = lab.channel(lab.us, lab.them, Order(1_000_000, 300_000))
    assert not lab.us.at(outpoint)["private"]
    assert lab.us.at(outpoint)["to_us_msat"] == 700_000_000


@scenario("they open, announced", Can.ANNOUNCED)
def they_open(lab: Lab) -> None:
    outpoint = lab.channel(lab.them, lab.us, Order(1_000_000, 300_000))
    assert not lab.us.at(outpoint)["private"]
    assert lab.us.at(outpoint)["to_us_msat"] == 300_000_000
