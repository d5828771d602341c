"""`python -m demo.playground`: a node of one's own with two neighbours, up until Ctrl-C, and how to use it.

The neighbours are shops: pay them, let them pay you. Channels are open and hold money on both sides.
"""

from __future__ import annotations

import shlex
import sys
import time
from pathlib import Path

from rich.text import Text

from demo.screen import Screen, plain_table, sat
from demo.stage import Stage
from demo.story import settings_of
from fulmen.core.base.faults import Fault
from fulmen.lab.signals import end_like_ctrl_c
from fulmen.lab.waiting import Deviation, until

ME, NEIGHBOURS = "you", ("bakery", "bookshop")
CAPACITY_SAT = 2_000_000
PUSH_MSAT = 1_000_000_000
COINS_SAT = 10_000_000
BLOCK_EVERY_S = 20
NEIGHBOUR_ID = "BAKERY_NODE_ID"
"""Stands for it in an example."""


def main() -> int:
    """Set it up, say how to use it, wait for Ctrl-C, take it down."""
    end_like_ctrl_c()
    screen = Screen()
    try:
        with Stage() as stage:
            screen.say("Starting a chain and three nodes ...")
            _set_up(stage)
            _explain(stage, screen)
            _stay(stage)
    except (Deviation, Fault) as wrong:
        screen.wrong(wrong)
        return 1
    except KeyboardInterrupt:
        screen.say("\nStopped; nothing is left behind.")
    return 0


def _set_up(stage: Stage) -> None:
    """You - bakery - bookshop, and you - bookshop: each channel half yours, half theirs."""
    stage.open({name: settings_of("bob") for name in (ME, *NEIGHBOURS)})
    stage.give(dict.fromkeys((ME, *NEIGHBOURS), COINS_SAT))
    opened = []
    for opener, other in ((ME, NEIGHBOURS[0]), NEIGHBOURS):
        answer = stage.fund(opener, other, CAPACITY_SAT, push_msat=PUSH_MSAT)
        stage.chain.transaction(answer["txid"])
        opened.append((answer["channel_id"], opener, other))
    stage.lock_in(opened)
    me = stage[ME]
    until(lambda: len(me.call("listchannels")["channels"]) == 2 * len(opened), "gossip has gone round")


def _explain(stage: Stage, screen: Screen) -> None:
    fulmen = Path(sys.executable).with_name("fulmen")
    program = shlex.quote(str(fulmen)) if fulmen.exists() else f"{shlex.quote(sys.executable)} -m fulmen.cli"
    names = {ME: "fulmen", **{name: name for name in NEIGHBOURS}}
    lines = [f"alias {alias}={shlex.quote(f'{program} --dir {stage[name].home}')}" for name, alias in names.items()]
    table = plain_table("", "node id", "on chain", "in channels")
    for name in (ME, *NEIGHBOURS):
        node = stage[name]
        channels = sum(row["to_us_msat"] for row in node.channels())
        table.add_row(Text(name, style="bold"), f"{node.id[:20]}…", sat(node.coins_sat * 1000), sat(channels))
    screen.table(table)
    screen.say("You have a channel with the bakery, and the bakery has one with the bookshop.")
    screen.say("Paste this into a second terminal:\n")
    for line in lines:
        screen.type(line)
    screen.say("\nThen, for example:\n")
    for command, meaning in EXAMPLES:
        screen.type(command.replace(NEIGHBOUR_ID, stage[NEIGHBOURS[0]].id), meaning)
    screen.say(
        f"\nA block is found every {BLOCK_EVERY_S} seconds, and at once when you say `fulmen mine`. "
        "Ctrl-C stops everything and removes its data."
    )


EXAMPLES = (
    ("fulmen getinfo", "who you are"),
    ("bookshop invoice 5k book-1 'a novel'", "the bookshop asks for 5,000 sat"),
    ("fulmen pay lnbcrt...", "pay what it printed, over the bakery"),
    ("fulmen invoice 2sat refund-1 'too much'", "ask for money yourself; pay it as bakery or bookshop"),
    ("fulmen listpeerchannels", "what your channels can carry"),
    ("fulmen listpays", "what you paid"),
    ("bakery listforwards", "what the bakery earned on the way"),
    (f"fulmen close {NEIGHBOUR_ID}", "close the channel; then `fulmen mine` and `fulmen listfunds`"),
    ("fulmen --help", "everything else"),
)


def _stay(stage: Stage) -> None:
    """Find a block now and then, until told to stop.

    Raises:
        Deviation: a process has died.
        KeyboardInterrupt: that was it.
    """
    programs = [stage.chain.program, *(node.program for node in stage.nodes.values())]
    while True:
        for _ in range(BLOCK_EVERY_S):
            time.sleep(1.0)
            for program in programs:
                if not program.alive:
                    raise Deviation(f"{program.name} has ended:\n{program.last_words()}")
        stage.chain.mine(1)


if __name__ == "__main__":
    sys.exit(main())
