"""Our own core as the node under test: in this process, with a clock that moves when a script waits.

All machines of a node, gossip in line, the embedded chain, and a store in memory. Nothing is decided here.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

from fulmen.adapters.keys.in_process import InProcessKeys
from fulmen.conformance.chain import Coins, EmbeddedChain
from fulmen.conformance.links import Link, LinkClosed, Subject
from fulmen.core.base.env import Env, Feerates
from fulmen.core.base.faults import Fault
from fulmen.core.base.funds import WalletView
from fulmen.core.base.ids import BlockHash, ChannelId, CommandId, NodeId, Secret, ShortChannelId, scid_parts
from fulmen.core.base.machine import Action, Address, Disconnected, Event, Lull
from fulmen.core.base.outer import (
    Block,
    HangUp,
    Notify,
    Send,
    TimeReached,
    Want,
    WantPublished,
    WantTime,
)
from fulmen.core.base.peers import Connected, GossipLink, GossipReceived
from fulmen.core.base.policy import OpeningPolicy, Policy
from fulmen.core.base.retention import Beginning, Outlived
from fulmen.core.base.stretch import Stretch, held
from fulmen.core.base.units import BlockHeight, FeeratePerKw, Monotonic, Sat, Timestamp
from fulmen.core.bitcoin.networks import REGTEST
from fulmen.core.bitcoin.transaction import parse_tx
from fulmen.core.channel.commands import CloseChannel, OpenTo
from fulmen.core.channel.state import Channel
from fulmen.core.crypto.hashes import sha256
from fulmen.core.crypto.secp256k1 import point_of
from fulmen.core.gossip.intake import FundingOutput
from fulmen.core.gossip.own import OwnNode
from fulmen.core.node import Batch, Freeze, Gate, Node, Stored, WantsChanged
from fulmen.core.node.cold import ColdRows, among
from fulmen.core.node.machines import mounts
from fulmen.core.node.own_channels import OwnChannels
from fulmen.core.node.tips import ADDRESS as CHAIN
from fulmen.core.node.tips import BlockRead
from fulmen.core.node.watching import ChainBlock, WatchMatcher, chain_block
from fulmen.core.peer.features import offered
from fulmen.core.peer.frames import event_of
from fulmen.core.routing.pathfinder import Pathfinder
from fulmen.core.routing.words import (
    BlockConnected,
    FundingLooked,
    GossipSigned,
    Heard,
    Leave,
    LookUp,
    OwnNodeIs,
    PassFrame,
    PeerDown,
    PeerUp,
    Settings,
    SignGossip,
    Tick,
    ToPathfinder,
)
from fulmen.core.wire import encode
from fulmen.core.wire.features import NODE
from fulmen.regtest.consensus import Rejected
from fulmen.regtest.judges import open_judge
from fulmen.regtest.node import RegtestNode

START = 1_700_000_000
"""Where the clock begins: in the past, for a judge with a clock of its own refuses blocks of the future."""
FEERATES = Feerates(*(FeeratePerKw(rate) for rate in (253, 1000, 1000, 1000, 2000, 500)))
MIN_DEPTH = 6
"""BOLT 7: a channel is announced with six confirmations."""
POLICY = Policy(opening=OpeningPolicy(dust_limit_sat=Sat(546), max_htlc_value_in_flight_ppm=900_000))
"""The limits lie where a peer can reach them: in flight our default is the capacity, and as a dust limit the least that
there may be, and nobody could break the rules about these alone."""
FUNDS_SAT = Sat(200_000_000)


class MemoryStore:
    """A store that is safe as soon as it is told to sync, and forgets all with the process."""

    def __init__(self) -> None:
        self._cold: dict[Address, Any] = {}
        self._ends: dict[Address, BlockHeight | None] = {}
        self._waiting: deque[Callable[[], None]] = deque()

    def load(self) -> Stored:
        """Nothing was stored before."""
        return Stored()

    def submit(self, batch: Batch, done: Callable[[], None]) -> None:
        """Keep what has left memory; the rest is in memory anyway."""
        for row in batch.cold:
            if row.row is None:
                self._cold.pop(row.address, None)
                self._ends.pop(row.address, None)
            else:
                self._cold[row.address] = row.row
                self._ends[row.address] = row.until
        self._waiting.append(done)

    def sync(self) -> None:
        """All that was submitted is safe."""
        while self._waiting:
            self._waiting.popleft()()

    def flush(self) -> None:
        """`sync` comes right after each run."""

    def on_failure(self, failed: Callable[[Fault], None]) -> None:
        """It never fails."""

    def read(self, address: Address) -> Any | None:
        """A cold row."""
        return self._cold.get(address)

    def read_stretch(self, wanted: Stretch) -> ColdRows:
        """Cold rows whose stretch holds a number."""
        return held(wanted, self._cold)

    def find(self, wanted: Beginning | Outlived) -> tuple[Address, ...]:
        """Where the cold rows are that may go."""
        return among(wanted, self._ends)


class OwnLink:
    """A connection inside this process, without encryption."""

    def __init__(self, node: NodeUnderTest, node_id: NodeId) -> None:
        self.node_id = node_id
        self.inbox: deque[bytes] = deque()
        self.closed = ""
        self._node = node

    def send(self, frame: bytes) -> None:
        """Give the node a message."""
        if not self.closed:
            self._node.post((Address("peer", self.node_id), event_of(frame)))

    def receive(self, within_s: float) -> bytes | None:
        """The next message; the clock moves on until there is one, or time is up."""
        waited = 0.0
        while not self.inbox:
            if self.closed:
                raise LinkClosed(self.closed)
            if waited >= within_s:
                return None
            waited += 1.0
            self._node.pass_second()
        return self.inbox.popleft()

    def close(self) -> None:
        """Hang up."""
        if not self.closed:
            self._node.cut(self, "we hung up")


class NodeUnderTest:
    """A whole node in memory."""

    def __init__(self, seed: bytes = b"the node under test", policy: Policy | None = None, judge: str = "") -> None:
        self._keys = InProcessKeys(sha256(seed))
        self._seed = seed
        self._seconds = 0
        self._asked = 0
        self._links: dict[NodeId, OwnLink] = {}
        self._queue: deque[tuple[Address, Event]] = deque()
        self._running = False
        self.news: list[Notify] = []
        """What it told its operator."""
        self._regtest = RegtestNode(open_judge(judge), self.now)
        self.chain = EmbeddedChain(self._regtest, self._blocks_came)
        self._block = Block(BlockHeight(0), BlockHash(self._regtest.chain.tip.hash))
        self._matcher = WatchMatcher(self._block)
        self._published: dict[WantPublished, None] = {}
        self._policy = policy if policy is not None else POLICY
        self._store = MemoryStore()
        self.node = Node(mounts(self._keys.accounts), self.env, verify=self._keys.verify, cold=self._store)
        self._gate = Gate(
            self.node, self._store, self._keys, perform=self._perform, wanted=self._wanted, refused=self._refused
        )
        features = offered(self._policy, NodeId(b""))
        settings = Settings(self._keys.node_id, REGTEST.chain_hash, features.to_bytes())
        self._pathfinder = Pathfinder(settings)
        self._tell(OwnNodeIs(OwnNode("conformance", b"\0\0\0", features.within(NODE).to_bytes())))
        self._own_channels = OwnChannels(self._channels, self.env, self._tell)
        self._submit(self.node.resume())

    # ---- what a test does with it ------------------------------------------------------------------------------------

    @property
    def node_id(self) -> NodeId:
        """Its name."""
        return self._keys.node_id

    def subject(self, coins: Coins | None = None) -> Subject:
        """This node, as the runner knows nodes."""
        coins = coins if coins is not None else Coins(self.chain, b"own node")
        return Subject(self.node_id, REGTEST, self.connect, self.now, self.wait, coins, self)

    def now(self) -> int:
        """Its clock."""
        return START + self._seconds

    def connect(self, secret: Secret) -> Link:
        """A fake peer connects: the handshake is done."""
        link = OwnLink(self, NodeId(point_of(secret)))
        before = self._links.get(link.node_id)
        if before is not None:
            before.closed = "replaced by a newer connection"
        self._links[link.node_id] = link
        self.post((Address("peer", link.node_id), Connected(True, "127.0.0.1:9735")))
        return link

    def wait(self, seconds: float) -> None:
        """Its clock moves on."""
        for _ in range(max(1, int(seconds))):
            self.pass_second()

    def open_channel(self, node_id: NodeId, amount_sat: Sat) -> None:
        """Open a channel to a connected peer."""
        self._have_funds()
        command_id = self._command()
        temporary = ChannelId(sha256(b"temporary" + command_id))
        self.post((Address("opening", node_id + temporary), OpenTo(command_id, node_id, amount_sat)))

    def close_channel(self, channel_id: ChannelId, funding: str) -> None:
        """Close a channel together with its peer."""
        self.post((Address("channel", channel_id), CloseChannel(self._command())))

    def cut(self, link: OwnLink, why: str) -> None:
        """A connection ends."""
        link.closed = why
        if self._links.get(link.node_id) is link:
            del self._links[link.node_id]
            self.post((Address("peer", link.node_id), Disconnected()))

    def pass_second(self) -> None:
        """The clock moves, and whoever wanted to be woken is."""
        self._seconds += 1
        now = Timestamp(self.now())
        self._tell(Tick())
        due = [address for address, want in self.node.wants() if isinstance(want, WantTime) and want.at <= now]
        self.post(*((address, TimeReached(now)) for address in due))

    def post(self, *events: tuple[Address, Event]) -> None:
        """Give events to machines, and run until nothing moves."""
        self._queue.extend(events)
        if self._running:
            return
        self._running = True
        try:
            while self._queue:
                waiting = list(self._queue)
                self._queue.clear()
                self._submit(self.node.run([*waiting, Lull()]))
            self._own_channels.look()
        finally:
            self._running = False
        if self._queue:
            self.post()

    def _submit(self, batch: Batch) -> None:
        self._gate.submit(batch)
        self._store.sync()

    def frozen(self) -> list[Notify]:
        """What the node says of machines of its own that were wrong."""
        return [news for news in self.news if news.topic == "frozen"]

    # ---- the outside of the node -------------------------------------------------------------------------------------

    def env(self) -> Env:
        """What it sees."""
        now = self.now()
        return Env(
            self._keys.node_id,
            Timestamp(now),
            Monotonic(float(now)),
            self._block,
            FEERATES,
            self._policy,
            self._entropy,
            self._keys.ecdh,
            self._keys.per_commitment_point,
            self._keys.basepoints,
            REGTEST.chain_hash,
            self.node.views,
        )

    def _entropy(self, purpose: str, length: int) -> bytes:
        self._asked += 1
        seed = sha256(self._seed + purpose.encode() + self._asked.to_bytes(8, "big"))
        return (seed * (length // 32 + 1))[:length]

    def _command(self) -> CommandId:
        self._asked += 1
        return CommandId(self._asked.to_bytes(16, "big"))

    def _channels(self) -> Iterator[Channel]:
        for address in self.node.addresses("channel"):
            state = self.node.state(address)
            if isinstance(state, Channel):
                yield state

    def _perform(self, _sender: Address, action: Action) -> None:
        match action:
            case Send():
                self._send(action.to, encode(action.message))
            case HangUp():
                self._hang_up(action.to, action.reason)
            case Notify():
                self.news.append(action)
            case GossipLink() if action.up:
                self._own_channels.look()
                self._tell(PeerUp(action.node_id, action.remote_features, action.networks))
            case GossipLink():
                self._own_channels.look()
                self._tell(PeerDown(action.node_id))
            case GossipReceived():
                self._tell(Heard(((action.node_id, action.raw),)))
            case _:
                pass  # answers to nobody, and questions for routes: nobody here pays

    def _send(self, to: NodeId, frame: bytes) -> None:
        link = self._links.get(to)
        if link is not None:
            link.inbox.append(frame)

    def _hang_up(self, to: NodeId, why: str) -> None:
        link = self._links.get(to)
        if link is not None:
            self.cut(link, f"the node hung up: {why}")

    def _refused(self, address: Address, fault: Fault) -> None:
        self.post((address, Freeze(str(fault))))

    # ---- gossip ------------------------------------------------------------------------------------------------------

    def _tell(self, word: ToPathfinder) -> None:
        now = Timestamp(self.now())
        self._pathfinder.hear(word, now)
        while self._pathfinder.work(now):
            pass
        for said in self._pathfinder.take():
            match said:
                case PassFrame():
                    self._send(said.to, said.frame)
                case Leave():
                    self._hang_up(said.to, said.reason)
                case LookUp():
                    for scid in said.scids:
                        self._tell(FundingLooked(scid, self._funding_of(scid)))
                case SignGossip():
                    self._tell(GossipSigned(said.ticket, *self._keys.announce(said.request)))
                case _:
                    pass

    def _funding_of(self, scid: ShortChannelId) -> FundingOutput | None:
        height, index, vout = scid_parts(scid)
        chain = self._regtest.chain
        entry = chain.at(height)
        if entry is None or chain.height - height + 1 < MIN_DEPTH:
            return None
        txs = chain.block(entry).txs
        if index >= len(txs) or vout >= len(txs[index].outputs):
            return None
        outpoint = txs[index].outpoint(vout)
        coin = chain.coins.get(outpoint)
        return None if coin is None else FundingOutput(outpoint, coin.output.amount_sat, coin.output.script_pubkey)

    # ---- the chain ---------------------------------------------------------------------------------------------------

    def _wanted(self, changed: WantsChanged) -> None:
        events, rescans = self._matcher.change(changed.added, changed.removed)
        for rescan in rescans:
            for height in range(rescan.first, rescan.last + 1):
                events += self._matcher.scan(self._read(height), rescan.wants)
        for _, want in changed.removed:
            self._published.pop(want, None) if isinstance(want, WantPublished) else None
        for _, want in changed.added:
            self._publish(want)
        self.post(*events)

    def _publish(self, want: Want) -> None:
        if isinstance(want, WantPublished):
            self._published[want] = None
            try:
                self._regtest.submit_tx(parse_tx(self._keys.complete(want)))
            except Rejected:
                return  # a rival is there already, or it is not final yet: it is tried again with every block

    def _blocks_came(self) -> None:
        while self._block.height < self._regtest.chain.height:
            block = self._read(self._block.height + 1)
            self._block = block.block
            spent = tuple(given.outpoint for found in block.txs if found.tx is not None for given in found.tx.inputs)
            self._tell(BlockConnected(block.block.height, spent))
            self.post(*self._matcher.connect(block), (CHAIN, BlockRead(block.block)))
        for want in list(self._published):
            self._publish(want)

    def _read(self, height: int) -> ChainBlock:
        chain = self._regtest.chain
        entry = chain.at(height)
        assert entry is not None, "only blocks of the active chain are read"
        return chain_block(BlockHeight(height), chain.block(entry))

    def _have_funds(self) -> None:
        """Coins for the node's own wallet."""
        wallet = self.node.views.get("wallet")
        assert isinstance(wallet, WalletView)
        self._regtest.give(wallet.script_pubkey, FUNDS_SAT)
        self._regtest.mine(1)
        self._blocks_came()
