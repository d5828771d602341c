"""What a channel is: its terms, two logs, a few commitments, and how far opening and closing have come."""

from __future__ import annotations

import enum

from fulmen.core.base.ids import ChannelId, CommandId, Point, Preimage, ShortChannelId, Signature
from fulmen.core.base.outer import Block
from fulmen.core.base.policy import DeadlinePolicy, ForwardPolicy
from fulmen.core.base.record import Record
from fulmen.core.base.units import BlockHeight, CltvDelta, FeeratePerKw, Msat, Sat, Timestamp
from fulmen.core.bitcoin.accounts import KeyPath
from fulmen.core.commitments.announcing import AnnouncementHalf
from fulmen.core.commitments.commitment import LOCAL, REMOTE, Commitment, Totals
from fulmen.core.commitments.params import ChannelParams, Funding
from fulmen.core.commitments.updates import Log
from fulmen.core.crypto.shachain import Shachain


class Phase(enum.IntEnum):
    """Where a channel stands between nothing and nothing."""

    NONE = 0
    CREATED = 1
    """We opened, and wait for `funding_signed`. Passing."""
    AWAITING_READY = 2
    """The funding is out; `channel_ready` is missing from one side or both."""
    NORMAL = 3
    SHUTDOWN = 4
    """A `shutdown` went or came; HTLCs drain."""
    CLOSING = 5
    """A mutual close is signed by both and published."""
    FAILED = 6
    """We publish our commitment transaction, or wait for the peer's when ours is outdated."""
    SPENT = 7
    """The funding output is spent in a block; onchain resolves it."""
    CLOSED = 8
    """Over: resolved deep enough, or forgotten before it was ever funded."""


class Link(enum.IntEnum):
    """How much we may say to the peer about this channel right now. Passing."""

    OFFLINE = 0
    REESTABLISHING = 1
    """Ours is sent; we wait for the peer's `channel_reestablish`."""
    READY = 2


class Negotiation(Record):
    """The closing fee negotiation of this connection (it restarts on reconnection). Passing."""

    our_fee_sat: Sat | None = None
    our_min_sat: Sat = Sat(0)
    our_max_sat: Sat = Sat(0)
    their_fee_sat: Sat | None = None
    sent_range: bool = False


class HeldPreimage(Record):
    """A preimage and the HTLC it settles."""

    id: int
    preimage: Preimage


class Agreed(Record):
    """A mutual close both have signed."""

    tx: bytes
    """Serialised, without witness."""
    peer_signature: Signature
    highest_fee_sat: Sat = Sat(0)
    """The most that we would have paid as the opener."""
    fee_sat: Sat = Sat(0)
    """The `fee_satoshis` of both."""


class Deferred(Record):
    """A close without the peer that waits until the peer has been asked where it stands."""

    since: BlockHeight
    """The blocks after this one count."""
    reason: str
    error: str
    """What our `error` message will say."""


_NO_COMMITMENT = Commitment(LOCAL, 0, 0, 0, FeeratePerKw(0), Totals(Msat(0), Msat(0)))


class Channel(Record, kw_only=True):
    """The state: nothing but its facts folded."""

    channel_id: ChannelId = ChannelId(b"")
    """The name under which this machine lives, known before anything else is."""
    phase: Phase = Phase.NONE
    link: Link = Link.OFFLINE
    params: ChannelParams | None = None
    fundings: tuple[Funding, ...] = ()

    local_log: Log = Log()
    remote_log: Log = Log()
    local: Commitment = _NO_COMMITMENT
    """Ours, the latest that the peer signed."""
    remote: Commitment = _NO_COMMITMENT.but(side=REMOTE)
    """The peer's, the latest into which it revoked."""
    remote_next: Commitment | None = None
    """The peer's, signed by us and not yet acknowledged by its `revoke_and_ack`."""
    local_pending: Commitment = _NO_COMMITMENT
    """What the peer would sign if it did so now."""
    remote_pending: Commitment = _NO_COMMITMENT.but(side=REMOTE)
    """What we would sign if we did so now."""

    remote_point: Point = Point(b"")
    """Of the peer's commitment `remote.number`."""
    remote_next_point: Point = Point(b"")
    """Of the one after it; empty until `channel_ready` brings the second."""
    revoked: Shachain = Shachain()
    """The peer's per-commitment secrets."""
    revoked_last: bool = False
    """Whether our last `revoke_and_ack` went out after our last `commitment_signed`: the order of a retransmission."""
    held_preimages: tuple[HeldPreimage, ...] = ()
    """Of received HTLCs: ours to claim, on the wire or on the chain."""
    learned_preimages: tuple[HeldPreimage, ...] = ()
    """Of offered HTLCs, as the peer showed them; their owners know them, too."""
    fees_earned_msat: Msat = Msat(0)
    """What passing on HTLCs that came in here has brought us."""

    funding_broadcast_at: BlockHeight = BlockHeight(0)
    ready_sent: bool = False
    ready_received: bool = False
    local_aliases: tuple[ShortChannelId, ...] = ()
    remote_alias: ShortChannelId | None = None
    remote_aliases: int = 0
    """How many different ones the peer has given, one after the other."""
    scid: ShortChannelId | None = None
    forward: ForwardPolicy | None = None
    previous_forward: ForwardPolicy | None = None
    """What `forward` was before its last change: HTLCs that meet it are taken until then."""
    previous_forward_until: Timestamp = Timestamp(0)

    local_features: bytes = b""
    remote_features: bytes = b""
    """Those of this connection. Passing."""
    created: Record | None = None
    """What we proposed in `funding_created`. Passing."""
    closers: tuple[CommandId, ...] = ()
    """Who waits to hear how the channel closes. Passing."""
    shutdown_wanted: bytes | None = None
    """The script a caller wants the close to pay to, until our `shutdown` can be sent: the peer may be away."""
    shutdown_sent: bytes | None = None
    shutdown_path: KeyPath | None = None
    """The key of our wallet behind the script that we wanted or sent, where it is one."""
    shutdown_received: bytes | None = None
    shutdown_on_this_link: bool = False
    their_shutdown_on_this_link: bool = False
    """Whether each `shutdown` was said on this connection. Passing."""
    closing_feerate_per_kw: FeeratePerKw | None = None
    negotiation: Negotiation = Negotiation()
    agreed: Agreed | None = None

    fail_reason: str = ""
    error_to_send: str = ""
    """What the `error` says that a failed channel sends at each reconnection."""
    local_point: Point = Point(b"")
    """Of our commitment, once it is to be published."""
    frozen: bool = False
    """We broke an invariant: no new update, signature or revocation until the operator has looked (law 8)."""
    outdated: bool = False
    """The peer proved that we are behind: never sign, revoke or publish again (law 9)."""
    spent_by: bytes = b""
    spent_in: Block | None = None

    awaited: int | None = None
    """The peer's commitment that was signed, and not acknowledged when the peer last answered a ping. Passing."""
    fulfilled_deadline: CltvDelta = DeadlinePolicy().fulfilled_deadline
    """How long before its expiry an HTLC that we claim has to be gone, so that we are woken in time."""
    remote_half: AnnouncementHalf | None = None
    """The peer's half of the channel_announcement."""
    close_alone_at: Timestamp | None = None
    """When whoever wants the channel closed has waited long enough for an agreement."""
    met: bool = False
    """The peer has said where it stands since this process began: our copy of the state is the last. Passing, with the
    process and not with the connection."""
    deferred: Deferred | None = None
    """A close that nothing stops any more, and that waits for the peer's word or for the end of its patience."""

    @property
    def closes(self) -> bool:
        """Whether a close is wanted or under way: no new HTLC is offered."""
        return self.shutdown_wanted is not None or self.phase > Phase.NORMAL

    @property
    def terms(self) -> ChannelParams:
        """The params of a channel that has come into being."""
        assert self.params is not None
        return self.params

    @property
    def funding(self) -> Funding:
        """The funding in force."""
        return self.fundings[-1]

    @property
    def last_signed(self) -> Commitment:
        """The peer's newest commitment that bears our signature."""
        return self.remote_next or self.remote
