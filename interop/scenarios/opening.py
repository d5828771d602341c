"""Channels open: BOLT 2, "Channel Establishment v1", in each form that both sides have.

Each is paid over both ways and closed together, so that its transactions were real ones.
"""

from __future__ import annotations

from fulmen.api.errors import RpcError
from fulmen.lab.members import Order, PeerRefused
from fulmen.lab.waiting import until
from interop.lab import Anybody, Lab
from interop.peers.peer import Can, Peer
from interop.scenario import scenario
from interop.us import Us

TITLE = "Opening"

SAT = 1_000_000
PUSH_SAT = 300_000
LEAST_SAT = 500_000
"""More than any of them asks for by itself."""
TINY_SAT = 10_000
"""Less than they ask for; we would not."""
TOO_SMALL = "funding_satoshis out of range"
THEIR_TOO_SMALL = {
    "lnd": "below min chan size",
    "electrum": "The peer disconnected",
}
"""What they call it."""


@scenario("we open, announced", Can.ANNOUNCED)
def we_open_announced(lab: Lab) -> None:
    _open_and_use(lab, lab.our("erin"), lab.them, Order(SAT, PUSH_SAT))


@scenario("they open, announced", Can.ANNOUNCED)
def they_open_announced(lab: Lab) -> None:
    _open_and_use(lab, lab.them, lab.our("erin"), Order(SAT, PUSH_SAT))


@scenario("we open, unannounced")
def we_open_unannounced(lab: Lab) -> None:
    _open_and_use(lab, lab.our("erin"), lab.them, Order(SAT, PUSH_SAT, announce=False))


@scenario("they open, unannounced")
def they_open_unannounced(lab: Lab) -> None:
    _open_and_use(lab, lab.them, lab.our("erin"), Order(SAT, PUSH_SAT, announce=False))


@scenario("we open, static_remotekey", Can.STATIC_REMOTEKEY)
def we_open_static_remotekey(lab: Lab) -> None:
    us = lab.our("fritz", {"policy.opening.anchors": "false"})
    _open_and_use(lab, us, lab.them, Order(SAT, PUSH_SAT, announce=Can.ANNOUNCED in lab.them.can, anchors=False))


@scenario("they open, static_remotekey", Can.STATIC_REMOTEKEY)
def they_open_static_remotekey(lab: Lab) -> None:
    us = lab.our("fritz", {"policy.opening.anchors": "false"})
    _open_and_use(lab, lab.them, us, Order(SAT, PUSH_SAT, announce=Can.ANNOUNCED in lab.them.can, anchors=False))


@scenario("we open, option_scid_alias", Can.SCID_ALIAS)
def we_open_with_alias(lab: Lab) -> None:
    us = lab.our("erin")
    lab.connect(us, lab.them)
    outpoint = us.open(lab.them.id, Order(SAT, PUSH_SAT, announce=False, scid_alias=True))
    lab.bury(outpoint, us, lab.them)
    # No invoice tells where it stands on the chain.
    asked = us.ask(1_000_000, exposeprivatechannels=True)
    [[hop]] = us.call("decode", string=asked.bolt11)["routes"]
    assert hop["short_channel_id"] == us.at(outpoint)["alias_remote"] != lab.scid(outpoint)
    _use(lab, outpoint, us, lab.them)


@scenario(
    "they open, option_scid_alias",
    Can.SCID_ALIAS,
    lacks={"ldk": "ldk-node 0.7.1 has no way to ask for it when it opens"},
)
def they_open_with_alias(lab: Lab) -> None:
    us = lab.our("erin")
    _open_and_use(lab, lab.them, us, Order(SAT, PUSH_SAT, announce=False, scid_alias=True))


@scenario("we open, zero-conf", Can.ZEROCONF_IN)
def we_open_zeroconf(lab: Lab) -> None:
    us = lab.our("zoe", {"policy.opening.zeroconf_peers": lab.them.id})
    lab.them.accept_unconfirmed(us.id)
    _zeroconf(lab, us, lab.them)


@scenario("they open, zero-conf", Can.ZEROCONF_OUT)
def they_open_zeroconf(lab: Lab) -> None:
    us = lab.our("zoe", {"policy.opening.zeroconf_peers": lab.them.id})
    _zeroconf(lab, lab.them, us)


@scenario("we open, larger than 2^24 sat", Can.WUMBO, lacks={"ldk": "accepts none so large, by its own policy"})
def we_open_large(lab: Lab) -> None:
    _open_and_use(lab, lab.our("erin"), lab.them, Order(30_000_000, 10_000_000))


@scenario("they open, larger than 2^24 sat", Can.WUMBO)
def they_open_large(lab: Lab) -> None:
    _open_and_use(lab, lab.them, lab.our("erin"), Order(30_000_000, 10_000_000))


@scenario(
    "a channel that we find too small is refused, and they hear why",
    differs={"electrum": "hangs up once an opening of its own is refused"},
)
def too_small_for_us(lab: Lab) -> None:
    us = lab.our("emil", {"policy.opening.min_funding_sat": str(LEAST_SAT)}, coins=False)
    lab.connect(us, lab.them)
    try:
        lab.them.open(us.id, Order(LEAST_SAT - 1, announce=False))
    except PeerRefused as refused:
        # Our own words, with the number that came: they have no bound there that they could mean.
        assert TOO_SMALL in str(refused) and str(LEAST_SAT - 1) in str(refused), refused
    else:
        raise AssertionError("a channel was opened that is smaller than we take")
    stays = lab.them.kind != "electrum"
    until(lambda: lab.connected(us, lab.them) is stays, "both are still connected, or Electrum hangs up")
    if not stays:
        lab.saw_it_differ()


@scenario(
    "a channel that they find too small is refused, and we hear why",
    differs={"electrum": "hangs up, and does not say why"},
    lacks={"ldk": "takes smaller ones than we would"},
)
def too_small_for_them(lab: Lab) -> None:
    us = lab.our("emma", {"policy.opening.min_funding_sat": "1000"})
    lab.connect(us, lab.them)
    try:
        us.open(lab.them.id, Order(TINY_SAT, announce=False))
    except RpcError as refused:
        assert THEIR_TOO_SMALL[lab.them.kind] in refused.message, refused.message
    else:
        raise AssertionError("a channel was opened that is smaller than they take")
    if lab.them.kind == "electrum":
        lab.saw_it_differ()


def _is_of_type(us: Us, outpoint: str, order: Order, of_theirs: frozenset[Can]) -> None:
    """Its type is what was asked for, as far as both have it, and nothing else."""
    names = ["static_remotekey"]
    if order.anchors and Can.ANCHORS in of_theirs:
        names.append("anchors")
    if order.scid_alias:
        names.append("scid_alias")
    if order.zeroconf:
        names.append("zeroconf")
    assert us.at(outpoint)["channel_type"]["names"] == [f"{name}/even" for name in names], us.at(outpoint)


def _open_and_use(lab: Lab, opener: Anybody, other: Anybody, order: Order) -> str:
    lab.connect(opener, other)
    outpoint = opener.open(other.id, order)
    lab.bury(outpoint, opener, other)
    us, them = (opener, other) if isinstance(opener, Us) else (other, opener)
    assert isinstance(us, Us) and isinstance(them, Peer)
    _is_of_type(us, outpoint, order, them.can)
    row = us.at(outpoint)
    assert row["private"] is not order.announce
    ours_sat = order.sat - order.push_sat if us is opener else order.push_sat
    assert row["to_us_msat"] == ours_sat * 1000, row["to_us_msat"]
    _use(lab, outpoint, us, them)
    return outpoint


def _zeroconf(lab: Lab, opener: Anybody, other: Anybody) -> None:
    lab.connect(opener, other)
    order = Order(SAT, PUSH_SAT, announce=False, zeroconf=True, scid_alias=True)
    outpoint = opener.open(other.id, order)
    us, them = (opener, other) if isinstance(opener, Us) else (other, opener)
    assert isinstance(us, Us) and isinstance(them, Peer)
    _is_of_type(us, outpoint, order, them.can)
    lab.await_usable(outpoint, us, them)
    assert "short_channel_id" not in us.at(outpoint)
    _pay_both_ways(lab, outpoint, us, them)
    lab.bury(outpoint, us, them)
    until(lambda: us.at(outpoint).get("short_channel_id") == lab.scid(outpoint), "we know where it stands on the chain")
    _use(lab, outpoint, us, them)


def _use(lab: Lab, outpoint: str, us: Us, them: Peer) -> None:
    """Pay both ways, then close together, by the opener."""
    _pay_both_ways(lab, outpoint, us, them)
    lab.quiet(outpoint, us, them)
    txid = us.shut(outpoint)["txid"]
    lab.chain.mine_with(txid)
    lab.mine(5)
    until(lambda: not them.has(outpoint), "they know that it is closed")


def _pay_both_ways(lab: Lab, outpoint: str, us: Us, them: Peer) -> None:
    before = us.at(outpoint)["to_us_msat"]
    asked = us.ask(7_000_001)
    them.pay(asked.bolt11)
    assert us.was_paid(asked)
    back = them.invoice(5_000_000)
    us.pays(back)
    assert them.paid(back.payment_hash)
    lab.quiet(outpoint, us, them)
    assert us.at(outpoint)["to_us_msat"] == before + 2_000_001
