"""How much may be under way at once: what peers' HTLCs would cost us if we had to take them all on the chain.

A peer that goes silent with many HTLCs which we can claim makes us claim each of them before its expiry, in blocks that
are full, at the feerate of that day (flood and loot). What was not passed on has cost us nothing, so beyond a bound an
HTLC is given back where it would be forwarded or received; its channel lives on.
"""

from __future__ import annotations

from collections.abc import Iterable

from fulmen.core.base.env import Env
from fulmen.core.base.ids import ChannelId
from fulmen.core.base.units import Sat, Weight, fee_for_weight
from fulmen.core.commitments.htlcs import LinkView
from fulmen.core.transactions.formats import ANCHORS_ZERO_FEE_HTLC

CLAIM_WEIGHT = ANCHORS_ZERO_FEE_HTLC.htlc_success_weight
"""Of the transaction that claims one HTLC; the other forms weigh about as much."""


def too_much_under_way(channel_id: ChannelId, links: Iterable[LinkView], env: Env) -> str:
    """The name of the bound that received HTLCs are beyond, with all that came in over this channel; empty for none.

    The channel's own HTLC counts among them: it is committed already. Of a burst that is over a bound all are given
    back, for nobody knows which of them came first.
    """
    bounds = env.policy.flood
    links = list(links)
    peer = next((link.node_id for link in links if link.channel_id == channel_id), None)
    if sum(link.received_count for link in links) > bounds.max_received:
        return "received from all peers"
    siblings = [link for link in links if link.node_id == peer]
    if sum(link.received_count for link in siblings) > bounds.max_received_per_peer:
        return "received from one peer"
    value_msat = sum(link.received_msat for link in siblings)
    if value_msat > bounds.max_received_msat_per_peer:
        return "value received from one peer"
    # No more than a share of what is at stake is spent to save it, and what saving costs is lost as well. Below the
    # allowance small payments are not asked for that.
    price_sat = claims_cost_sat(sum(link.received_outputs for link in siblings), env)
    worth_sat = value_msat // 1000 * env.policy.sweep.budget_ppm // 1_000_000
    if price_sat > max(bounds.claims_allowance_sat, worth_sat):
        return "price of claiming what is received from one peer"
    return ""


def claims_cost_sat(outputs: int, env: Env) -> Sat:
    """What it costs now to claim so many HTLCs in time."""
    return fee_for_weight(env.feerates.urgent_per_kw, Weight(CLAIM_WEIGHT * outputs))
