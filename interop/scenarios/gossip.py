"""What is said of channels and nodes reaches the other: BOLT 7."""

from __future__ import annotations

from fulmen.lab.waiting import until
from interop.lab import Lab
from interop.peers.peer import Can, Terms
from interop.scenario import scenario

TITLE = "Gossip"


@scenario("we learn their graph from nothing", Can.ANNOUNCED, Can.FORWARDS)
def we_learn(lab: Lab) -> None:
    _row(lab)
    newcomer = lab.our("gustav", coins=False)
    newcomer.call("connect", id=lab.them.address)
    known = {lab.scid(outpoint) for outpoint in _row(lab)}
    until(
        lambda: known <= {row["short_channel_id"] for row in newcomer.call("listchannels")["channels"]}, "we know all"
    )
    # LDK looks every 30 seconds whether it should say its name.
    until(
        lambda: _aliases(lab) <= {row.get("alias") for row in newcomer.call("listnodes")["nodes"]},
        "and their names",
        70,
    )


@scenario("they learn our graph from nothing", Can.ANNOUNCED, Can.GRAPH)
def they_learn(lab: Lab) -> None:
    outpoints = _row(lab)
    newcomer = lab.their("greta", coins=False)
    newcomer.connect(lab.us.address)
    known = {lab.scid(outpoint) for outpoint in outpoints}
    until(lambda: known <= set(newcomer.channels_known()), f"{newcomer} knows all", 60)
    names = {node.id: node.name for node in (lab.us, lab.our("bob"))}
    until(lambda: {node: newcomer.alias_known(node) for node in names} == names, f"{newcomer} knows our names", 60)
    terms = [(lab.scid(outpoint), end) for outpoint, ends in outpoints.items() for end in ends]
    until(lambda: all(newcomer.terms_known(*each) for each in terms), f"{newcomer} knows all terms", 60)


@scenario("a new channel between others reaches both", Can.ANNOUNCED, Can.GRAPH)
def a_new_channel(lab: Lab) -> None:
    us, them, bob = lab.us, lab.them, lab.our("bob")
    lab.standing(us, them)
    outpoint = lab.channel(us, bob)
    scid = lab.scid(outpoint)
    until(lambda: scid in them.channels_known(), "they know a channel between two of us", 30)
    until(lambda: them.terms_known(scid, us.id), "they know what we ask for", 30)
    until(lambda: them.terms_known(scid, bob.id), f"they know what {bob} asks for", 30)


@scenario("new terms of ours are seen by them", Can.ANNOUNCED, Can.GRAPH)
def our_terms(lab: Lab) -> None:
    us, them = lab.us, lab.them
    outpoint = lab.standing(us, them)
    scid = lab.scid(outpoint)
    wanted = Terms(1234, 567, 99)
    channel_id = us.at(outpoint)["channel_id"]
    us.call("setchannel", id=channel_id, feebase=1234, feeppm=567, cltvdelta=99)
    until(lambda: them.terms_known(scid, us.id) == wanted, f"they know {wanted}", 30)
    us.call("setchannel", id=channel_id, feebase=1000, feeppm=1, cltvdelta=80)
    until(lambda: them.terms_known(scid, us.id) == Terms(1000, 1, 80), "they know the old terms again", 30)


@scenario("new terms of theirs are seen by us", Can.ANNOUNCED, Can.POLICY)
def their_terms(lab: Lab) -> None:
    us, them = lab.us, lab.them
    outpoint = lab.standing(us, them)
    scid = lab.scid(outpoint)

    def known() -> tuple[int, int, int]:
        rows = us.call("listchannels", short_channel_id=scid)["channels"]
        row = next(row for row in rows if row["source"] == them.id)
        return row["base_fee_millisatoshi"], row["fee_per_millionth"], row["delay"]

    before = known()
    them.set_terms(outpoint, Terms(2345, 678, 111))
    until(lambda: known() == (2345, 678, 111), "we know the new terms", 30)
    them.set_terms(outpoint, Terms(*before))
    until(lambda: known() == before, "we know the old terms again", 30)


@scenario(
    "a channel that is closed leaves both graphs",
    Can.ANNOUNCED,
    Can.GRAPH,
    lacks={"ldk": "keeps a closed channel of others in its graph until its updates are two weeks old"},
)
def a_closed_channel(lab: Lab) -> None:
    us, them, bob = lab.us, lab.them, lab.our("bob")
    outpoint = lab.channel(us, bob)
    scid = lab.scid(outpoint)
    until(lambda: scid in them.channels_known(), "they know the channel", 30)
    lab.chain.mine_with(us.shut(outpoint)["txid"])
    # BOLT 7: "SHOULD forget a channel after a 72-block delay"
    lab.mine(75)
    until(lambda: scid not in them.channels_known(), "they have forgotten the channel", 30)
    until(lambda: not us.call("listchannels", short_channel_id=scid)["channels"], "we have forgotten it")


def _row(lab: Lab) -> dict[str, tuple[str, str]]:
    """Channels between us and them, and of one of ours with each: outpoint -> its ends."""
    us, them, bob = lab.us, lab.them, lab.our("bob")
    return {lab.standing(us, them): (us.id, them.id), lab.standing(them, bob): (them.id, bob.id)}


def _aliases(lab: Lab) -> set[str]:
    return {lab.us.name, lab.them.name, lab.our("bob").name}
