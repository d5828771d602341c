"""Why a peer does not keep to a script: what it does instead, in a sentence. Seen on the wire, and in its source.

What is not listed here and not kept either is something to look into: a change of the peer's, or a fault of ours.
"""

from __future__ import annotations

from fulmen.conformance.script import Script

LND: dict[str, tuple[str, ...]] = {
    "Its init names no chain at all.": ("init names the chain",),
    "It goes on, and asks for its own chain's channels; the BOLTs say MAY.": (
        "init on other chains only closes the connection",
    ),
    "It keeps what it does not know of a message's extension, odd or even, and goes on.": (
        "an unknown even TLV in open_channel closes the connection",
    ),
    "It passes over messages of unknown types, odd or even.": ("an unknown even message closes the connection",),
    "It passes over messages about channels that it does not have, without a word.": (
        "a message about an unknown channel is answered by an error",
        "channel_reestablish of an unknown channel is answered by an error",
        "funding_created without open_channel is refused",
        "a channel whose funding does not come within 2016 blocks is forgotten",
    ),
    "As the fundee it leaves the feerate to the opener, whatever it is.": (
        "open_channel is refused: a feerate that no node relays",
        "open_channel is refused: a feerate of 4000 sat/vB",
    ),
    "Without a channel_type it takes the type that the features of both sides speak for.": (
        "open_channel is refused: no channel_type",
    ),
    "An empty channel_type stands for the oldest format with it, the one without option_static_remotekey.": (
        "open_channel is refused: an empty channel_type",
    ),
    "It looks at its own features only; of the receiver the BOLTs ask no more.": (
        "open_channel is refused: 2^24 satoshi without option_support_large_channel",
    ),
    "It takes a signature whatever its S is, and brings it into the form with low S itself.": (
        "a signature with high S in funding_created fails the channel",
        "a signature with high S in funding_signed fails the channel",
        "commitment_signed is refused: a signature with high S",
        "commitment_signed is refused: an HTLC signature with high S",
    ),
    "It knows no fee_range: it names the fee that it finds right, and both meet somewhere in between.": (
        "the fee proposed lies in the range that was offered",
        "closing_signed is refused: its range is not the node's",
        "closing_signed is refused: a fee that does not come nearer",
    ),
    "It keeps an offer that comes too early, and answers it once the last HTLC is gone.": (
        "closing_signed is refused: an HTLC is left",
    ),
    "It keeps an upfront script of a form that was not negotiated.": (
        "open_channel is refused: an upfront script of taproot, without option_shutdown_anysegwit",
        "accept_channel is refused: an upfront script of taproot, without option_shutdown_anysegwit",
    ),
    "It answers with its own, whatever still waits to be signed for.": (
        "shutdown is refused: an update of the sender waits for its signature",
    ),
    "What comes for a channel that is not ready waits until it is.": (
        "update_add_htlc is refused: the channel is not ready",
    ),
    "It takes a signature that changes nothing but the number, and revokes.": (
        "commitment_signed is refused: nothing has changed",
    ),
    "It looks at no last secret where nothing can have been revoked.": (
        "channel_reestablish is refused: a last secret where there was none",
    ),
    "It looks at the signature of an offer only when it agrees to the fee, and answers with an offer of its own.": (
        "closing_signed is refused: a wrong signature",
        "closing_signed is refused: a signature with high S",
        "closing_signed is refused: a fee above the funder's balance",
    ),
    "It takes the HTLC into its commitment, and fails it afterwards.": (
        "update_add_htlc is refused: an expiry that is a time",
    ),
    "It takes any code that it does not know for an onion with a wrong key, and fails the HTLC upstream with that.": (
        "update_fail_malformed_htlc is refused: no BADONION bit",
    ),
    "It speaks of a channel, also after a reconnection, only once its funding is in a block.": (
        "the fundee remembers from funding_signed on",
    ),
    "It fails no channel for it: it hangs up, and takes the channel up again on the next connection.": (
        "a failed channel is an error again after a reconnection",
    ),
    "It stops using the channel until the next connection, and publishes nothing: that is left to its peer.": (
        "an error fails the channel, and its commitment is published",
        "an error about all channels fails the channel, too",
    ),
    "It does not know the bit dont_forward: its private update looks like a public one.": (
        "a channel_update for the peer alone is not to be passed on",
    ),
    "It takes a channel from its first confirmation on.": ("channel_announcement is ignored: one confirmation",),
    "It does not look at a script that is empty.": ("shutdown to nothing is complained of",),
    "It passes over the HTLC, and says nothing more.": ("update_add_htlc after shutdown is refused",),
    "It forgets a channel in the block that spends its output.": (
        "a channel is forgotten 72 blocks after its output was spent, and not before",
    ),
    "It drops gossip that is wrong without a word.": (
        "a wrong signature is complained of",
        "a wrong signature in channel_update is complained of",
    ),
}
"""A reason, and the names of the scripts that fail for it."""

LDK: dict[str, tuple[str, ...]] = {
    "It looks at single bits of features, and not at what they need.": (
        "a feature without what it needs closes the connection",
    ),
    "Data that is no UTF-8 is a message to it that cannot be read: it hangs up.": (
        "a warning that is no text changes nothing",
    ),
    "It hangs up at an error about all channels, whether there are any or not.": (
        "an empty error about all channels of a peer without channels is ignored",
    ),
    "It has a least feerate, and no highest: the opener pays.": ("open_channel is refused: a feerate of 4000 sat/vB",),
    "It offers the feature, and its settings, those of ldk-node, take no more than 16,777,215 sat.": (
        "a large channel is accepted where both offer it",
    ),
    "It takes a reserve below its own dust limit: it is on the peer's risk.": (
        "accept_channel is refused: a reserve below the opener's dust limit",
    ),
    "It still takes the forms of old, P2PKH and P2SH.": (
        "shutdown to a key hash of the old kind is complained of",
        "open_channel is refused: an upfront script of no allowed form",
        "accept_channel is refused: an upfront script of no allowed form",
    ),
    "Its settings, those of ldk-node, set no limit to it.": (
        "open_channel is refused: a reserve out of reason",
        "open_channel is refused: a least HTLC out of reason",
        "open_channel is refused: a limit in flight out of reason",
        "accept_channel is refused: a reserve out of reason",
        "accept_channel is refused: a least HTLC out of reason",
        "accept_channel is refused: a limit in flight out of reason",
    ),
    "It looks whether it knows the type itself, and not whether its peer offers it.": (
        "open_channel is refused: a channel_type with anchors, which was not negotiated",
        "open_channel is refused: a channel_type with scid_alias, which was not negotiated",
    ),
    "It takes a signature that changes nothing but the number, and revokes.": (
        "commitment_signed is refused: nothing has changed",
    ),
    "It looks at no last secret where nothing can have been revoked.": (
        "channel_reestablish is refused: a last secret where there was none",
    ),
    "It sends a warning and keeps the connection.": (
        "shutdown to another script than agreed on fails the connection",
        "channel_reestablish is refused: next_revocation_number is too small",
    ),
    "Its sha256_of_onion is that of the 1,300 bytes for the hops, and not of the whole packet.": (
        "an onion with another version is failed as malformed",
        "an onion with a key that is no point is failed as malformed",
        "an onion with a wrong HMAC is failed as malformed",
    ),
    "It has forgotten the channel by then, and says nothing of it.": (
        "a failed channel is an error again after a reconnection",
    ),
    "It looks at no spends: a channel stays until its updates are two weeks old.": (
        "a channel is forgotten 72 blocks after its output was spent, and not before",
        "channel_update is ignored: the output is spent, and it does not disable",
    ),
    "It offers gossip_queries, and answers no query_short_channel_ids.": (
        "query_short_channel_ids of what nobody knows comes to an end",
        "query_short_channel_ids of another chain is answered by having nothing",
    ),
    "A filter decides only whether it sends what it knows; what comes later it passes on to all who sent one.": (
        "what is outside of the filter is not passed on",
    ),
    "It does not set the bit dont_forward: its private update looks like a public one.": (
        "a channel_update for the peer alone is not to be passed on",
    ),
}

DEVIATIONS = {"lnd": LND, "ldk": LDK}


def reason_of(key: str, script: Script) -> str:
    """Why this peer does not keep to this script; empty when nobody knows, or when it does."""
    return next((reason for reason, names in DEVIATIONS[key].items() if script.name in names), "")
