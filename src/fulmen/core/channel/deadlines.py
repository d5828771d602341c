"""When a channel has to close by itself, and how long it asks its peer first if this process has not heard from it yet.

BOLT 2, "cltv_expiry_delta Selection". Why it asks: docs/decisions/why-a-restarted-node-asks-before-it-closes.md.
"""

from __future__ import annotations

from fulmen.core.base.env import Env
from fulmen.core.base.policy import DeadlinePolicy
from fulmen.core.base.units import BlockHeight
from fulmen.core.channel.state import Channel
from fulmen.core.commitments.commitment import active


def next_deadline(channel: Channel, env_grace: int, fulfilled_deadline: int) -> BlockHeight | None:
    """The height at which the channel has to fail if nothing changes until then (B2-37), or None.

    An offered HTLC may linger `env_grace` blocks beyond its expiry; a received one whose preimage we hold has to be
    gone `fulfilled_deadline` blocks before it.
    """
    offered, claimed = _expiries(channel)
    heights = [expiry + env_grace for expiry in offered] + [expiry - fulfilled_deadline for expiry in claimed]
    return BlockHeight(min(heights)) if heights else None


def has_to_ask(channel: Channel, env: Env) -> bool:
    """Whether the peer may yet say that we are behind: what an old copy of the state would publish is revoked (law 9).

    A crash does not lengthen the wait: it is counted from where it began.
    """
    if channel.met:
        return False
    began = since(channel, env)
    return env.height < asks_until(channel, env.policy.deadlines, began)


def reading_first(env: Env) -> bool:
    """Whether the blocks that were found before the start are still being read. Bursts after it are no reason to wait:
    where blocks always come several at once, nothing would ever be due."""
    return env.behind and env.read_at is None


def since(channel: Channel, env: Env) -> BlockHeight:
    """The block after which those count that are waited for: while the chain is being read no peer is listened to."""
    if channel.deferred is not None:
        return channel.deferred.since
    return env.height if env.read_at is None else env.read_at


def asks_until(channel: Channel, policy: DeadlinePolicy, began: BlockHeight) -> BlockHeight:
    """The height at which a channel that began to wait at `began` waits no longer.

    An HTLC whose last good moment to close would be waited away shortens this, to one block at the least; where that
    moment has passed before we could ask, and with it all that haste could save, nothing does.
    """
    offered, claimed = _expiries(channel)
    until = began + policy.restart_grace
    for expiry in offered:
        # From here on the HTLC upstream has to be given back or claimed on the chain.
        lost = expiry + max(1, policy.cltv_expiry_delta - policy.fulfilled_deadline)
        until = min(until, _no_later_than(lost, lost, began, until))
    for expiry in claimed:
        until = min(until, _no_later_than(expiry - policy.fulfilled_deadline // 2, expiry, began, until))
    return BlockHeight(until)


def _no_later_than(last: int, lost: int, began: int, until: int) -> int:
    return max(began + 1, last) if began < lost else until


def _expiries(channel: Channel) -> tuple[list[int], list[int]]:
    """Of HTLCs that we offered and of received ones that we claim, in all commitments that can be published."""
    offered: list[int] = []
    claimed: list[int] = []
    if not (channel.local_log.adds or channel.remote_log.adds):
        return offered, claimed
    held = {preimage.id for preimage in channel.held_preimages}
    for commitment in (channel.local, channel.remote, channel.remote_next):
        if commitment is None:
            continue
        ours, theirs = active(commitment, channel.local_log, channel.remote_log)
        offered.extend(add.cltv_expiry for add in ours)
        claimed.extend(add.cltv_expiry for add in theirs if add.id in held)
    return offered, claimed
