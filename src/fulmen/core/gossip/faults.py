"""What a peer can do wrong in gossip, and why a message may go unheeded without anybody being wrong."""

from __future__ import annotations

import enum

from fulmen.core.base.faults import PeerFault, Remedy


class Ignored(enum.Enum):
    """Why a message of gossip changed nothing."""

    UNKNOWN_CHAIN = "it is about another chain"
    DUPLICATE = "we have it"
    OLDER = "we have a newer one"
    SAME_TIME = "another one was made in the same second"
    STALE = "it is older than two weeks"
    FROM_THE_FUTURE = "its time has not come"
    NO_TIME = "its timestamp is zero"
    NOT_SORTED = "node_id_1 is not less than node_id_2"
    BLACKLISTED = "one of its nodes contradicted itself"
    TOO_LONG = "it is longer than we keep"
    TOO_YOUNG = "its funding is not deep enough"
    NO_FUNDING = "its funding output does not exist, is spent, or pays to other keys"
    NOT_LOOKED_UP = "the chain source does not say what its funding output is"
    SPENT = "its funding output is spent"
    UNKNOWN_CHANNEL = "we do not know its channel"
    UNKNOWN_NODE = "its node has no channel"
    PRIVATE = "it is not to be passed on"
    RATE_LIMITED = "its node says too much"
    FULL = "we keep as many as we want to"
    BUSY = "too much is being looked at already"


class GossipFault(PeerFault):
    """The peer broke a rule of BOLT 7."""

    remedy_of_rule = Remedy.WARN_AND_CLOSE

    def __init__(self, **details: object) -> None:
        sentence = (type(self).__doc__ or "").split("\n")[0].rstrip(".")
        super().__init__(sentence, self.remedy_of_rule, bolt=7, rule=type(self).__name__, **details)


class MalformedGossip(GossipFault):
    """A gossip message that cannot be read."""


class BadGossipSignature(GossipFault):
    """A gossip message with a signature that is not its node's."""


class BadAddresses(GossipFault):
    """A node_announcement whose addresses end in the middle of one."""

    remedy_of_rule = Remedy.WARN


class UnknownEncoding(GossipFault):
    """An array of short channel ids, timestamps or flags in an encoding that is not 0."""


class BadArray(GossipFault):
    """An array that is no whole number of elements, or has another number of them than it needs."""


class QueryTooSoon(GossipFault):
    """A query while the one before it is still being answered."""

    remedy_of_rule = Remedy.WARN


class UnaskedReply(GossipFault):
    """A reply to a query that we did not send."""

    remedy_of_rule = Remedy.IGNORE


class BadRangeReply(GossipFault):
    """A reply_channel_range that goes backwards, is about other blocks, or has no end."""


class BadAnnouncementSignatures(GossipFault):
    """announcement_signatures that do not sign the channel's announcement."""
