"""One chain and four nodes are started, each a process of its own."""

from __future__ import annotations

import time

from demo.story import PLAYERS, Story, settings_of

TITLE = "The players"

JUDGES = {
    "kernel": "Bitcoin Core's own validation code judges every block (py-bitcoinkernel).",
    "btclib": "The second judge serves: btclib's engine, not Bitcoin Core's own validation code (py-bitcoinkernel).",
}


def play(story: Story) -> None:
    """Start them side by side and say who is who."""
    stage, screen = story.stage, story.screen
    began = time.monotonic()
    stage.open({name: settings_of(name) for name in PLAYERS})
    judge = stage.chain.judge
    screen.say(f"An embedded regtest chain is up. {JUDGES.get(judge, f'Its judge is {judge}.')}")
    for name in PLAYERS:
        node = stage[name]
        screen.say(f"  {node!s:6} {node.id[:16]}…  process {node.program.pid}, port {node.port}")
    screen.good(f"five processes up in {time.monotonic() - began:.1f} s")
