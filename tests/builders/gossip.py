"""Signed gossip of small made-up networks, and the real sample."""

from __future__ import annotations

import json
import lzma

from tests.builders.vectors import ROOT

from fulmen.core.base.ids import ChainHash, NodeId, OutPoint, scid
from fulmen.core.base.machine import Tell
from fulmen.core.base.outer import HangUp
from fulmen.core.commitments.announcing import AnnouncementHalf
from fulmen.core.crypto.secp256k1 import point_of, sign_ecdsa
from fulmen.core.gossip.desk import Gossip, PassOn
from fulmen.core.gossip.intake import FundingOutput, funding_script
from fulmen.core.gossip.policy import GossipPolicy
from fulmen.core.gossip.signatures import NO_SIGNATURE, all_hold
from fulmen.core.signer.announcing import announcement_digest, message_digest, sign_announcement
from fulmen.core.wire import decode, encode
from fulmen.core.wire.features import GOSSIP_QUERIES, GOSSIP_QUERIES_EX, Features, optional
from fulmen.core.wire.messages.gossip import ChannelAnnouncement, ChannelUpdate, NodeAnnouncement

CHAIN = ChainHash(bytes.fromhex("6fe28c0ab6f1b372c1a6a246ae63f74f931e8365e15a089c68d6190000000000"))
NOW = 1_750_000_000
FEATURES = optional(GOSSIP_QUERIES, GOSSIP_QUERIES_EX)


def secret(number: int) -> bytes:
    return number.to_bytes(32, "big")


_BY_ID = sorted((point_of(secret(number)), secret(number)) for number in range(1, 41))
NODES = [NodeId(node_id) for node_id, _ in _BY_ID]
"""Forty node ids in byte order: NODES[i] < NODES[i + 1]."""
SECRETS = [key for _, key in _BY_ID]


def a_channel(number: int, one: int = 0, two: int = 1, **changes: object) -> bytes:
    """A signed channel_announcement of the two nodes with these places in NODES."""
    one, two = sorted((one, two))
    bitcoin = [secret(1000 + 2 * number), secret(1001 + 2 * number)]
    message = ChannelAnnouncement(
        NO_SIGNATURE,
        NO_SIGNATURE,
        NO_SIGNATURE,
        NO_SIGNATURE,
        b"",
        CHAIN,
        scid(100 + number, 1, 0),
        NODES[one],
        NODES[two],
        point_of(bitcoin[0]),
        point_of(bitcoin[1]),
    ).but(**changes)
    digest = announcement_digest(encode(message))
    return encode(
        message.but(
            node_signature_1=sign_ecdsa(SECRETS[one], digest),
            node_signature_2=sign_ecdsa(SECRETS[two], digest),
            bitcoin_signature_1=sign_ecdsa(bitcoin[0], digest),
            bitcoin_signature_2=sign_ecdsa(bitcoin[1], digest),
        )
    )


def an_update(number: int, signer: int = 0, direction: int = 0, **changes: object) -> bytes:
    """A signed channel_update of channel `number` by the node with this place in NODES."""
    message = ChannelUpdate(
        NO_SIGNATURE, CHAIN, scid(100 + number, 1, 0), NOW, 1, direction, 80, 1, 1000, 10, 1_000_000_000
    ).but(**changes)
    return encode(message.but(signature=sign_ecdsa(SECRETS[signer], message_digest(encode(message)))))


def a_node(place: int, **changes: object) -> bytes:
    """A signed node_announcement of the node with this place in NODES."""
    alias = f"node {place}".encode().ljust(32, b"\0")
    message = NodeAnnouncement(NO_SIGNATURE, b"", NOW, NODES[place], b"\1\2\3", alias, b"").but(**changes)
    return encode(message.but(signature=sign_ecdsa(SECRETS[place], message_digest(encode(message)))))


def an_outpoint(number: int) -> OutPoint:
    return OutPoint(number.to_bytes(32, "big"), 0)


def real_messages() -> list[tuple[bytes, bool | None]]:
    """(frame, whether its signatures are valid) of mainnet in June 2025."""
    return [(bytes.fromhex(row["hex"]), row["valid"]) for row in _rows("mainnet_2025-06_raw_messages.jsonl.xz")]


def real_channels() -> list[tuple[bytes, int]]:
    """(channel_announcement, capacity in sat) of mainnet from 2018 to 2020."""
    rows = _rows("mainnet_2018-2020_channel_announcements.jsonl.xz")
    return [(bytes.fromhex(row["hex"]), row["capacity_sat"]) for row in rows]


def _rows(name: str) -> list[dict]:
    text = lzma.decompress((ROOT / "gossip" / name).read_bytes()).decode()
    return [json.loads(line) for line in text.splitlines()]


class World:
    """Gossip desks joined to each other, with a chain and key holders that answer at once."""

    def __init__(self, **policy: object) -> None:
        self.now = NOW
        self.policy = GossipPolicy(**policy)
        self.desks: dict[bytes, Gossip] = {}
        self.chain: dict[int, FundingOutput] = {}
        self.sent: list[tuple[bytes, bytes, bytes]] = []
        """(from, to, frame) of everything that went over a wire."""
        self.hung_up: list[tuple[bytes, bytes]] = []
        self.kept: dict[tuple[bytes, bytes], AnnouncementHalf] = {}
        """What channels were told to remember: by node and channel."""
        self.links: set[tuple[bytes, bytes]] = set()

    def desk(self, place: int, features: Features = FEATURES, **policy: object) -> Gossip:
        """The node with this place in NODES."""
        desk = Gossip(self.policy.but(**policy), CHAIN, NODES[place], features)
        self.desks[NODES[place]] = desk
        return desk

    def fund(self, *frames: bytes) -> None:
        """Let the chain have the funding outputs of these channel_announcements."""
        for frame in frames:
            message = decode(frame)
            number = message.short_channel_id >> 40
            self.chain[message.short_channel_id] = FundingOutput(
                an_outpoint(number), 10_000_000, funding_script(message)
            )

    def connect(self, one: int, two: int, features: Features = FEATURES) -> None:
        """Join two nodes, known to us or not."""
        for here, there in ((one, two), (two, one)):
            self.links.add((NODES[here], NODES[there]))
            if (desk := self.desks.get(NODES[here])) is not None:
                desk.connected(NODES[there], features, None, self.now)

    def disconnect(self, one: int, two: int) -> None:
        for here, there in ((one, two), (two, one)):
            self.links.discard((NODES[here], NODES[there]))
            if (desk := self.desks.get(NODES[here])) is not None:
                desk.disconnected(NODES[there], self.now)

    def settle(self) -> None:
        """Deliver and answer until nobody has anything to say."""
        busy = True
        while busy:
            busy = False
            for node_id, desk in self.desks.items():
                busy |= self._answer(node_id, desk)

    def run(self, seconds: int, step: int = 1) -> None:
        """Let time pass."""
        for _ in range(0, seconds, step):
            self.now += step
            for desk in self.desks.values():
                desk.tick(self.now)
            self.settle()

    def frames(self, sender: int, receiver: int) -> list[object]:
        """The messages that one node sent another."""
        pair = NODES[sender], NODES[receiver]
        return [decode(frame) for one, two, frame in self.sent if (one, two) == pair]

    def _answer(self, node_id: bytes, desk: Gossip) -> bool:
        questions, lookups, unsigned = desk.take_checks(), desk.take_lookups(), desk.take_to_sign()
        for question in questions:
            desk.checked(question.ticket, all_hold(question.checks), self.now)
        for place in lookups:
            desk.looked_up(place, self.chain.get(place), self.now)
        for ticket, asked in unsigned:
            index = asked.request.key_index
            signatures = sign_announcement(
                asked.request, SECRETS[NODES.index(node_id)], None if index is None else secret(index)
            )
            desk.signed(ticket, *signatures, self.now)
        actions = desk.take_actions()
        for action in actions:
            if isinstance(action, Tell):
                self.kept[node_id, action.to.key] = action.event.half
                continue
            if isinstance(action, HangUp):
                self.hung_up.append((node_id, action.to))
                continue
            frame = action.frame if isinstance(action, PassOn) else encode(action.message)
            self.sent.append((node_id, action.to, frame))
            there = self.desks.get(action.to)
            if there is not None and (node_id, action.to) in self.links and frame[0] == 1:
                there.receive(node_id, frame, self.now)
        return bool(questions or lookups or unsigned or actions)
