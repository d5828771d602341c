"""What can become true of a channel, and how each fact changes it.

Durable facts stand alone: what they make durable they carry (law 2a), so folding the journal gives the same state as
having lived through it, less what a disconnect forgets anyway.
"""

from fulmen.core.channel.facts.dance import AnswerAwaited, CommitmentReceived, CommitmentSent, RevocationReceived
from fulmen.core.channel.facts.ending import (
    ChannelFailed,
    CloseAgreed,
    Closed,
    CloseDeferred,
    ClosersChanged,
    FundingSpent,
    FundingUnspent,
    Negotiated,
    Outdated,
    PatienceSet,
    ShutdownDropped,
    ShutdownExchanged,
    ShutdownReceived,
    ShutdownSeen,
    ShutdownSent,
    ShutdownWanted,
)
from fulmen.core.channel.facts.link import LinkChanged, forget
from fulmen.core.channel.facts.opening import (
    Created,
    DeadlineSet,
    FundingConfirmed,
    FundingUnconfirmed,
    Opened,
    PolicySet,
    ReadyReceived,
    ReadySent,
    RemoteHalfKept,
    ScidAssigned,
)
from fulmen.core.channel.facts.proposals import LocalProposed, PreimageHeld, PreimageLearned, RemoteProposed

__all__ = [
    "AnswerAwaited",
    "ChannelFailed",
    "CloseAgreed",
    "CloseDeferred",
    "Closed",
    "ClosersChanged",
    "CommitmentReceived",
    "CommitmentSent",
    "Created",
    "DeadlineSet",
    "FundingConfirmed",
    "FundingSpent",
    "FundingUnconfirmed",
    "FundingUnspent",
    "LinkChanged",
    "LocalProposed",
    "Negotiated",
    "Opened",
    "Outdated",
    "PatienceSet",
    "PolicySet",
    "PreimageHeld",
    "PreimageLearned",
    "ReadyReceived",
    "ReadySent",
    "RemoteHalfKept",
    "RemoteProposed",
    "RevocationReceived",
    "ScidAssigned",
    "ShutdownDropped",
    "ShutdownExchanged",
    "ShutdownReceived",
    "ShutdownSeen",
    "ShutdownSent",
    "ShutdownWanted",
    "forget",
]
