"""Route hints of our invoices: which channels a payer that does not see them may come through.

BOLT 11, the `r` field; BOLT 2, `channel_ready`: hints use the alias that the peer gave us.
"""

from __future__ import annotations

from collections.abc import Sequence

from fulmen.core.base.ids import ShortChannelId
from fulmen.core.base.policy import ForwardPolicy
from fulmen.core.base.units import BlockHeight, Msat
from fulmen.core.commitments.htlcs import LinkView
from fulmen.core.invoices.invoice import HopHint
from fulmen.core.payments.receiving import PeerTerms

MAX_HINTS = 3
"""More make an invoice long, and tell more about us than a payer needs."""


def receivable_msat(links: Sequence[LinkView]) -> Msat:
    """The most that one channel can receive now."""
    return max((link.receivable_msat for link in links if link.usable), default=Msat(0))


def hinted(
    links: Sequence[LinkView], amount_msat: Msat | None, wanted: bool | None, height: BlockHeight
) -> tuple[LinkView, ...]:
    """The channels that an invoice names, the roomiest first: those that payers cannot see, or not yet.

    `wanted`: always, never, or (None) only where no channel that everybody may know can receive the amount.
    """
    if wanted is False:
        return ()
    able = [link for link in links if link.usable and link.receivable_msat >= (amount_msat or 1)]
    hidden = [link for link in able if not (link.announced and height >= link.announced_at)]
    # BOLT 11: "if there is NOT a public channel associated with its public key: MUST include at least one `r` field."
    if wanted is None and len(hidden) < len(able):
        return ()
    named = [link for link in hidden if _name(link) is not None]
    return tuple(sorted(named, key=lambda link: (-link.receivable_msat, link.channel_id))[:MAX_HINTS])


def route_hints(links: Sequence[LinkView], peer_terms: Sequence[PeerTerms] = ()) -> tuple[tuple[HopHint, ...], ...]:
    """One hint for each of these channels whose peer has said what it asks.

    Where none of them has, they are taken to ask what most do: a guess brings more payments than no hint at all.
    """
    policies = {terms.channel_id: terms.policy for terms in peer_terms}
    known = [link for link in links if link.channel_id in policies]
    return tuple((_hint(link, policies.get(link.channel_id, ForwardPolicy())),) for link in known or links)


def _name(link: LinkView) -> ShortChannelId | None:
    # BOLT 2: "MAY use any of the `alias` it received, in BOLT 11 `r` fields."
    name = link.remote_alias
    if name is None and not link.scid_alias_only:
        name = link.scid
    return None if name is None else ShortChannelId(name)


def _hint(link: LinkView, policy: ForwardPolicy) -> HopHint:
    name = _name(link)
    assert name is not None
    return HopHint(
        link.node_id, name, policy.fee_base_msat, policy.fee_proportional_millionths, policy.cltv_expiry_delta
    )
