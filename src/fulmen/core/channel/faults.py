"""What a peer can do wrong on a channel, and what our own callers can ask that cannot be.

Each class is one rule; the first line of its docstring is what the peer and the operator read.
"""

from __future__ import annotations

from typing import Any, ClassVar

from fulmen.core.base.faults import PeerFault, Refused, Remedy


class ChannelFault(PeerFault):
    """The peer broke a rule of its channel."""

    section: ClassVar[str] = ""
    remedy_due: ClassVar[Remedy] = Remedy.FAIL_CHANNEL

    def __init__(self, remedy: Remedy | None = None, **details: Any) -> None:
        text = (type(self).__doc__ or "").strip().splitlines()[0].rstrip(".")
        super().__init__(text, remedy or self.remedy_due, bolt=2, rule=self.section, **details)


class SignatureFault(ChannelFault):
    """A signature of the peer does not fit."""

    def __init__(self, remedy: Remedy | None = None, *, tx: bytes = b"", **details: Any) -> None:
        super().__init__(remedy, **details)
        self.tx = tx
        """The transaction that it was to fit, unsigned: for the peer, and too long for a log."""


class UnexpectedMessage(ChannelFault):
    """A message that has no place in the state the channel is in."""

    section = "Peer Protocol for Channel Management"
    remedy_due = Remedy.WARN_AND_CLOSE


# -- opening


class OpeningRefused(ChannelFault):
    """The terms of the new channel cannot be accepted."""

    section = "The `open_channel` Message"


class BadFundingSignature(SignatureFault):
    """The signature on the first commitment transaction is not valid."""

    section = "The `funding_created` Message"


class FundingMismatch(ChannelFault):
    """The funding output does not pay the agreed amount to the agreed script."""

    section = "The `channel_ready` Message"


class TooManyAliases(ChannelFault):
    """There are more new aliases for this channel than are remembered; the last one stays."""

    section = "The `channel_ready` Message"
    remedy_due = Remedy.WARN


# -- updates


class HtlcIdOutOfOrder(ChannelFault):
    """HTLC ids have to go up by one."""

    section = "Adding an HTLC"


class AmountBelowMinimum(ChannelFault):
    """The HTLC is smaller than our htlc_minimum_msat, or nothing at all."""

    section = "Adding an HTLC"
    remedy_due = Remedy.WARN_AND_CLOSE


class ExpiryNotAHeight(ChannelFault):
    """A cltv_expiry of 500000000 or more would be a time."""

    section = "Adding an HTLC"


class TooManyHtlcs(ChannelFault):
    """More HTLCs than our max_accepted_htlcs."""

    section = "Adding an HTLC"


class TooMuchInFlight(ChannelFault):
    """HTLCs worth more than our max_htlc_value_in_flight_msat."""

    section = "Adding an HTLC"


class CannotAfford(ChannelFault):
    """The peer cannot afford the update above its reserve, the fee and the anchors."""

    section = "Adding an HTLC"


class TooMuchInFees(ChannelFault):
    """HTLCs and feerate together take too much of the channel for the fee of a commitment."""

    section = "Updating Fees"


class AddAfterShutdown(ChannelFault):
    """An HTLC after the peer's own shutdown."""

    section = "Closing Initiation: `shutdown`"


class HtlcUnknown(ChannelFault):
    """There is no such HTLC in the current commitment."""

    section = "Removing an HTLC"


class HtlcNotCommitted(ChannelFault):
    """The HTLC is not irrevocably committed yet."""

    section = "Removing an HTLC"


class AlreadySettled(ChannelFault):
    """The HTLC was settled before."""

    section = "Removing an HTLC"


class PreimageMismatch(ChannelFault):
    """The preimage does not hash to the payment hash."""

    section = "Removing an HTLC"


class BadOnionBitMissing(ChannelFault):
    """A malformed failure needs the BADONION bit."""

    section = "Removing an HTLC"


class NotTheFeePayer(ChannelFault):
    """Only the opener may change the feerate."""

    section = "Updating Fees"


class FeerateOutOfRange(ChannelFault):
    """The feerate is too low to confirm in time, or unreasonably high."""

    section = "Updating Fees"


class TooManyFeeChanges(ChannelFault):
    """Too many feerates were proposed and none made irrevocable."""

    section = "Updating Fees"
    remedy_due = Remedy.WARN_AND_CLOSE


# -- dance


class NothingToCommit(ChannelFault):
    """A commitment_signed has to include at least one update."""

    section = "Committing Updates So Far"


class BadCommitmentSignature(SignatureFault):
    """A signature on our commitment transaction or one of its HTLC transactions is not valid."""

    section = "Committing Updates So Far"


class WrongSignatureCount(ChannelFault):
    """There has to be one HTLC signature per HTLC output."""

    section = "Committing Updates So Far"


class UnexpectedRevocation(ChannelFault):
    """A revoke_and_ack that nobody waits for."""

    section = "Completing the Transition to the Updated State"


class RevocationMissing(ChannelFault):
    """You answer pings, but not our commitment_signed."""

    section = "Completing the Transition to the Updated State"
    remedy_due = Remedy.WARN_AND_CLOSE


class BadRevocationSecret(ChannelFault):
    """The per_commitment_secret does not belong to the revoked commitment."""

    section = "Completing the Transition to the Updated State"


# -- reconnection


class CommitmentNumberMismatch(ChannelFault):
    """The peer's commitment numbers do not fit to ours."""

    section = "Message Retransmission"


class BadReestablishSecret(ChannelFault):
    """The peer's your_last_per_commitment_secret is not ours."""

    section = "Message Retransmission"


class PeerForgotEverything(ChannelFault):
    """A next_commitment_number of zero asks us to publish."""

    section = "Message Retransmission"


# -- closing


class BadShutdownScript(ChannelFault):
    """The shutdown script has none of the allowed forms, or is not the one agreed on."""

    section = "Closing Initiation: `shutdown`"
    remedy_due = Remedy.WARN_AND_CLOSE


class PendingUpdatesAtShutdown(ChannelFault):
    """A shutdown must not come while updates of the peer wait for our commitment."""

    section = "Closing Initiation: `shutdown`"


class BadClosingSignature(SignatureFault):
    """The signature fits neither variant of the closing transaction."""

    section = "Legacy Closing Negotiation: `closing_signed`"


class ClosingFeeOutOfRange(ChannelFault):
    """The closing fee is out of the agreed range."""

    section = "Legacy Closing Negotiation: `closing_signed`"
    remedy_due = Remedy.WARN_AND_CLOSE


class ClosingDust(ChannelFault):
    """An output of the closing transaction is dust."""

    section = "Legacy Closing Negotiation: `closing_signed`"


# -- our own callers


class ChannelNotUsable(Refused):
    """The channel is not in a state in which this can be done."""


class ClosesElsewhere(ChannelNotUsable):
    """The channel pays to another script when it is closed: it was agreed on at its opening, or said already."""


class ForwardTooHasty(Refused):
    """Forwarding would leave fewer blocks than `policy.deadlines.cltv_expiry_delta`, by which we act on the chain."""


class OpeningNotPossible(Refused):
    """The channel cannot be opened like this."""
