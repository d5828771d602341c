"""Every node's channel and on-chain balances and fees, beside what they must be."""

from __future__ import annotations

from rich.text import Text

from demo.fees import Fee
from demo.screen import plain_table, sat
from demo.story import Story
from fulmen.lab.nodes import OVER, Node
from fulmen.lab.waiting import Deviation

TITLE = "The books"


def play(story: Story) -> None:
    """Compare; the figures on the left are the story's own and come from no node.

    Each transaction's fee is compared: weight times feerate, or a bound where a penalty's rises with time.
    """
    ledger, screen = story.ledger, story.screen
    ledger.check_sum()
    table = plain_table("", "must be", "node says", "")
    wrong = []
    for name, node in story.stage.nodes.items():
        node.await_quiet()
        table.add_row(Text(str(node), style="bold"))
        for what, must, says in _lines(story, name, node):
            holds = must == says
            table.add_row(f"  {what}", sat(must), sat(says), Text("✓" if holds else "✗", "green" if holds else "red"))
            if not holds:
                wrong.append(f"{node}, {what}: must be {sat(must)}, is {sat(says)}")
        fees = [fee for fee in ledger.miner_fees if fee.payer == name]
        least, most = sum(fee.least_sat for fee in fees), sum(fee.most_sat for fee in fees)
        bounds = sat(least * 1000) if least == most else f"{sat(least * 1000)} to {sat(most * 1000)}"
        holds = all(fee.holds for fee in fees)
        sign = Text("✓" if holds else "✗", "green" if holds else "red")
        table.add_row("  fees to miners", bounds, sat(ledger.chain_fees_sat[name] * 1000), sign)
        wrong += [_wrong_fee(node, fee) for fee in fees if not fee.holds]
    screen.table(table)
    if wrong:
        raise Deviation("\n".join(wrong))
    given = sum(ledger.given_sat.values())
    settled = f"{ledger.htlcs_on_chain} HTLCs settled by the chain, " if ledger.htlcs_on_chain else ""
    screen.good(
        f"{ledger.payments} payments, {settled}{sat(given * 1000)} given, and every millisatoshi is where it must be"
    )


def _wrong_fee(node: Node, fee: Fee) -> str:
    must = f"{fee.least_sat}" if fee.least_sat == fee.most_sat else f"{fee.least_sat} to {fee.most_sat}"
    return f"{node}, fee of {fee.what}: must be {must} sat, is {fee.paid_sat} sat"


def _lines(story: Story, name: str, node: Node) -> list[tuple[str, int, int]]:
    """(what, what it must be, what the node says), in millisatoshi."""
    ledger = story.ledger
    lines = []
    rows = {row["channel_id"]: row for row in node.channels() if row["state"] not in OVER}
    for channel in ledger.channels.values():
        if name in channel.msat:
            must = channel.msat[name] if channel.is_open else 0
            says = rows[channel.channel_id]["to_us_msat"] if channel.channel_id in rows else 0
            lines.append((f"channel {channel.name}", must, int(says)))
    lines.append(("on chain", ledger.coins_sat[name] * 1000, node.coins_sat * 1000))
    lines.append(("routing fees paid", ledger.routing_paid_msat[name], node.routing_paid_msat()))
    lines.append(("routing fees earned", ledger.routing_earned_msat[name], node.routing_earned_msat()))
    return lines
