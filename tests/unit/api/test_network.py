"""The commands about the network against a graph of real messages."""

import asyncio

import pytest
from tests.builders.gossip import NODES, World, a_channel, a_node, an_update
from tests.builders.handle import RunningNode

import fulmen.api.commands  # noqa: F401  (fills the registry)
from fulmen.api.commands.graph import NoWay
from fulmen.api.dispatch import Dispatcher
from fulmen.api.errors import BadParameter, RpcError, code_of


def ask(node, method, params=None):
    return asyncio.run(Dispatcher(node).call(method, params))


@pytest.fixture(scope="module")
def node():
    """Knows the line 0 - 1 - 2, each channel with both prices, and what node 0 says of itself."""
    world = World()
    desk = world.desk(10)
    frames = [a_channel(1, 0, 1), a_channel(2, 1, 2)]
    world.fund(*frames)
    world.connect(10, 11)
    frames += [an_update(1, 0, 0), an_update(1, 1, 1), an_update(2, 1, 0), an_update(2, 2, 1), a_node(0)]
    for frame in frames:
        desk.receive(NODES[11], frame, world.now)
        world.settle()
    return RunningNode(graph=desk.graph)


def test_a_way_is_found_and_priced(node):
    (row,) = ask(node, "getroutes", [NODES[0].hex(), NODES[2].hex(), "5k"])["routes"]
    assert [hop["short_channel_id_dir"] for hop in row["path"]] == ["101x1x0/0", "102x1x0/0"]
    assert row["amount_msat"] == row["path"][-1]["amount_msat"] == 5_000_000
    assert row["path"][0]["amount_msat"] == 5_000_000 + 1000 + 50
    assert [hop["delay"] for hop in row["path"]] == [98, 18]


@pytest.mark.parametrize(
    "params", [["{0}", "{5}", 1000], ["{0}", "{0}", 1000], ["{0}", "{2}", "1btc"], ["{0}", "{2}", 1000, 10]]
)
def test_no_way_is_said_with_its_reason(node, params):
    filled = [one.format(*(key.hex() for key in NODES)) if isinstance(one, str) else one for one in params]
    with pytest.raises(RpcError, match="no way") as caught:
        ask(node, "getroutes", filled)
    assert code_of(caught.value) == 205
    assert caught.value.details["reason"]


@pytest.mark.parametrize(
    ("params", "says"),
    [
        ([NODES[0].hex(), NODES[5].hex(), 1000], "no announced channel leads to the destination"),
        ([NODES[5].hex(), NODES[0].hex(), 1000], "no announced channel leads away from the source"),
        ([NODES[5].hex(), NODES[5].hex(), 1000], "source and destination are the same node"),
        ([NODES[0].hex(), NODES[2].hex(), "800btc"], "no channel holds as much as that"),
    ],
)
def test_a_way_between_others_is_not_spoken_of_as_a_payment_of_ours(node, params, says):
    with pytest.raises(NoWay) as refused:
        ask(node, "getroutes", params)
    assert refused.value.message == f"There is no way: {says}."


def test_a_way_for_nothing_is_written_wrongly(node):
    with pytest.raises(BadParameter, match="above zero"):
        ask(node, "getroutes", [NODES[0].hex(), NODES[2].hex(), 0])


def test_channels_are_listed_a_direction_at_a_time(node):
    rows = ask(node, "listchannels")["channels"]
    assert [(row["short_channel_id"], row["direction"]) for row in rows] == [
        ("101x1x0", 0),
        ("101x1x0", 1),
        ("102x1x0", 0),
        ("102x1x0", 1),
    ]
    assert rows[0]["amount_msat"] == 10_000_000_000


def test_channels_are_chosen_by_name_source_and_destination(node):
    one = ask(node, "listchannels", {"short_channel_id": "102x1x0"})["channels"]
    assert {row["short_channel_id"] for row in one} == {"102x1x0"}
    away = ask(node, "listchannels", {"source": NODES[1].hex()})["channels"]
    assert [(row["short_channel_id"], row["destination"]) for row in away] == [
        ("101x1x0", NODES[0].hex()),
        ("102x1x0", NODES[2].hex()),
    ]
    assert ask(node, "listchannels", {"destination": NODES[5].hex()})["channels"] == ()


def test_a_long_list_comes_in_pages(node):
    first = ask(node, "listchannels", {"limit": 1})
    assert first["next"] == "101x1x0"
    second = ask(node, "listchannels", {"limit": 1, "start": first["next"]})
    assert second["channels"][0]["short_channel_id"] == "102x1x0"
    assert second["next"] is None
    ids, start = [], None
    while True:
        page = ask(node, "listnodes", {"limit": 1, "start": start})
        ids += [row["nodeid"] for row in page["nodes"]]
        if (start := page["next"]) is None:
            break
    assert ids == [node_id.hex() for node_id in NODES[:3]]


def test_a_node_is_shown_as_it_announces_itself(node):
    (said,) = ask(node, "listnodes", {"id": NODES[0].hex()})["nodes"]
    assert (said["alias"], said["color"]) == ("node 0", "010203")
    (silent,) = ask(node, "listnodes", {"id": NODES[1].hex()})["nodes"]
    assert silent == {"nodeid": NODES[1].hex()}
    assert ask(node, "listnodes", {"id": NODES[5].hex()})["nodes"] == ()
