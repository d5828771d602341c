"""A channel at the moment of its close, on paper: commitments written down as a test needs them, and no chain.

Each is signed by the real keys of the other end, where anybody will ask for its signatures.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

from tests.builders.channels import CAPACITY_SAT, FUNDING, KEY_INDEX, env_of, keys_of, terms_of
from tests.builders.onchain import ALICE_MSAT, DEADLINES, NAMES, Plan, Planned, keys_of_end, owner_of

from fulmen.core.base.env import Env
from fulmen.core.base.ids import BlockHash, NodeId, OutPoint, PaymentHash, channel_id_of
from fulmen.core.base.machine import Address, Keep
from fulmen.core.base.outer import Block, WantPublished
from fulmen.core.base.policy import Policy
from fulmen.core.base.units import BlockHeight, CltvDelta, FeeratePerKw, Msat
from fulmen.core.bitcoin.transaction import Tx, parse_tx
from fulmen.core.commitments.building import build
from fulmen.core.commitments.close import ChannelAtClose, KnownPreimage, OfferOwner
from fulmen.core.commitments.commitment import LOCAL, REMOTE, Side
from fulmen.core.commitments.htlcs import Htlc
from fulmen.core.commitments.params import ChannelParams, Funding
from fulmen.core.commitments.revoked import keep_revoked
from fulmen.core.commitments.updates import Add
from fulmen.core.commitments.view import CommitmentView
from fulmen.core.crypto.hashes import sha256
from fulmen.core.crypto.shachain import Shachain, index_of
from fulmen.core.signer.requests import SignFundingSpend
from fulmen.core.signer.signing import sign_commitment


class Papers:
    """What both ends of a channel have signed."""

    def __init__(self, plan: Plan, funding: OutPoint = FUNDING, start_height: int = 500) -> None:
        self.plan = plan
        self.funding = funding
        self.start_height = BlockHeight(start_height)
        self.channel_id = channel_id_of(funding)
        self.address = Address("onchain", self.channel_id)
        self.keys = {name: keys_of_end(name) for name in NAMES}
        self.feerates = plan.feerates
        self.policy = Policy(deadlines=DEADLINES)
        self._closes: dict[str, ChannelAtClose] = {}

    def other(self, name: str) -> str:
        return "bob" if name == "alice" else "alice"

    def env_at(self, name: str, height: int) -> Env:
        """What an end may know when the tip of the chain is at this height."""
        tip = Block(BlockHeight(height), BlockHash(bytes(32)))
        return replace(_env_of(name), tip=tip, policy=self.policy, feerates=self.feerates)

    def kept(self) -> list[Keep]:
        """What alice's channel has written of HTLCs that bob's commitment 5 holds no more, and those before do."""
        rows = []
        for planned in self.plan.htlcs:
            if "bob_last" in planned.within and "bob" not in planned.within:
                expiry, amount = self.expiry(planned), Msat(planned.amount_msat)
                add = Add(0, planned.id, amount, PaymentHash(sha256(planned.preimage)), expiry, since=1)
                rows.append(keep_revoked(self.params("alice"), add, planned.key("alice", self.channel_id).direction, 5))
        return [row for row in rows if row is not None]

    def params(self, name: str) -> ChannelParams:
        delays = {"to_self_delay": CltvDelta(self.plan.to_self_delay)}
        return ChannelParams(
            self.channel_id,
            NodeId(self.keys[self.other(name)].node_id),
            KEY_INDEX,
            name == "alice",
            False,
            b"",
            self.plan.format,
            0,
            terms_of(name, **delays),
            terms_of(self.other(name), **delays),
        )

    def _funding(self) -> Funding:
        return Funding(self.funding, CAPACITY_SAT, self.plan.format)

    def _commitment(self, seen_by: str, which: str, number: int) -> CommitmentView:
        """One of the four commitments, spelled out from one end; its owner is `alice` or `bob`."""
        owner = "alice" if which == "alice" else "bob"
        held = [planned for planned in self.plan.htlcs if which in planned.within]
        alice = ALICE_MSAT - sum(planned.amount_msat for planned in held if planned.by == "alice")
        bob = CAPACITY_SAT * 1000 - ALICE_MSAT - sum(planned.amount_msat for planned in held if planned.by == "bob")
        ours, theirs = (alice, bob) if seen_by == "alice" else (bob, alice)
        return CommitmentView(
            self.params(seen_by),
            self._funding(),
            LOCAL if owner == seen_by else REMOTE,
            number,
            self.keys[owner].per_commitment_point(KEY_INDEX, number),
            FeeratePerKw(self.plan.feerate),
            Msat(ours),
            Msat(theirs),
            tuple(
                Htlc(
                    planned.key(seen_by, self.channel_id),
                    Msat(planned.amount_msat),
                    PaymentHash(sha256(planned.preimage)),
                    self.expiry(planned),
                )
                for planned in held
            ),
        )

    def expiry(self, planned: Planned) -> BlockHeight:
        return BlockHeight(self.start_height + planned.expires_in)

    def view(self, name: str, side: Side) -> CommitmentView:
        """A commitment as one end has it, with the other end's signatures where it is its own."""
        if side is REMOTE:
            return self._commitment(name, self.other(name), 5)
        which, number = (name, 5) if name == "alice" or not self.plan.bob_has_next else ("bob_next", 6)
        view = self._commitment(name, which, number)
        return view.but(funding=self._signed(name, which, number))

    def _signed(self, name: str, which: str, number: int) -> Funding:
        other = self.other(name)
        secrets = self.keys[other]._of(KEY_INDEX)
        signature, htlcs = sign_commitment(self._commitment(other, which, number), secrets)
        return self._funding().but(peer_signature=signature, peer_htlc_signatures=htlcs)

    def revoked(self, number: int = 4) -> Tx:
        """A commitment that bob has revoked, signed by both all the same."""
        view = self._commitment("bob", "bob_last", number)
        signed = view.but(funding=self._signed("bob", "bob_last", number))
        want = WantPublished("revoked", build(view).tx.serialize(), (SignFundingSpend(signed),))
        return parse_tx(self.keys["bob"].complete(want))

    def at_close(self, name: str) -> ChannelAtClose:
        """What a channel would hand over."""
        if name not in self._closes:
            self._closes[name] = self._at_close(name)
        return self._closes[name]

    def _at_close(self, name: str) -> ChannelAtClose:
        local = self.view(name, LOCAL)
        other = self.other(name)
        number = 3 if self.plan.outdated and name == "alice" else 5
        remote_next = None
        if name == "alice" and (self.plan.bob_has_next or self.plan.next_is_lost):
            remote_next = self._commitment("alice", "bob_next", 6)
        return ChannelAtClose(
            self.params(name),
            local.funding,
            local,
            self._commitment(name, other, number),
            remote_next,
            _secrets_of(other, number),
            self.plan.outdated and name == "alice",
            tuple(
                KnownPreimage(planned.key(name, self.channel_id), planned.preimage)
                for planned in self.plan.htlcs
                if planned.by != name and (name, planned.id) in self.plan.known
            ),
            tuple(
                OfferOwner(planned.key(name, self.channel_id), owner_of(name, planned), planned.id)
                for planned in self.plan.htlcs
                if planned.by == name
            ),
        )


@lru_cache(maxsize=8)
def _env_of(name: str) -> Env:
    return env_of(name)


@lru_cache(maxsize=8)
def _secrets_of(name: str, upto: int) -> Shachain:
    chain = Shachain()
    for number in range(upto):
        chain = chain.insert(index_of(number), keys_of(name)._per_commitment_secret(KEY_INDEX, number))
    return chain
