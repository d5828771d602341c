"""LDK, by `ldk-node` and a small driver of ours around it (`recipes/ldk`), which listens to lines of JSON."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from fulmen.core.crypto.hashes import sha256
from fulmen.lab.chains import ChainDaemon
from fulmen.lab.ldk import LdkNode
from fulmen.lab.members import PeerRefused
from fulmen.lab.waiting import Deviation, until
from interop.peers.lnd import scid_text
from interop.peers.peer import Asked, Can, NotPaid, Options, Peer, Terms
from interop.ports import Ports
from interop.recipe import Recipe, Tool
from interop.toolchains import cargo

LDK = Recipe(
    name="ldk",
    version="0.7.1",
    programs=("bin/ldk-peer",),
    tools=(cargo("1.88"), Tool("cc", ("gcc",))),
    steps=(
        ("cargo", "build", "--release", "--locked", "--jobs", "{jobs}"),
        ("mkdir", "-p", "{out}/bin"),
        ("cp", "target/release/ldk-peer", "{out}/bin/"),
    ),
)
PAYMENT_S = 150.0
SAID_S = 5.0


class Ldk(LdkNode, Peer):
    """One LDK node."""

    kind = "ldk"
    can = frozenset(
        {
            *(Can.ANCHORS, Can.STATIC_REMOTEKEY, Can.ANNOUNCED, Can.SCID_ALIAS, Can.ZEROCONF_IN, Can.WUMBO),
            *(
                Can.FORWARDS,
                Can.HINTS,
                Can.GRAPH,
                Can.POLICY,
                Can.HOLD,
                Can.LETS_STAND,
                Can.FORCE_CLOSE,
                Can.KILL,
                Can.PAYS_MANY,
                Can.FOLLOWS,
                Can.FEES,
            ),
        }
    )

    def __init__(self, name: str, home: Path, ports: Ports, chain: ChainDaemon, options: Options | None = None) -> None:
        self._options = options or Options()
        self._earlier: list[dict[str, Any]] = []
        super().__init__(name, home, ports, chain, program=(str(LDK.program("ldk-peer")),))

    def settings(self) -> dict[str, Any]:
        """What it is started with."""
        return {
            **super().settings(),
            "rpc_port": self._options.chain_port or self._chain.port,
            "anchors": self._options.anchors,
            "zeroconf_from": list(self._options.more),
        }

    # ---- life ----------------------------------------------------------------------------------

    def start(self) -> None:
        """Start it, and wait until it answers."""
        # It does not say again after a restart what it was sure to have said.
        self._earlier += self.events
        self.launch()
        self.ready()

    def stop(self) -> None:
        """Stop it gracefully."""
        if self.process.alive:
            self.ask_to_stop()
            until(lambda: not self.process.alive, f"{self} stops", 60)

    def restart(self, options: Options) -> None:
        """Stop it, and start it in another way."""
        self.stop()
        self._options = options
        self.start()

    def accept_unconfirmed(self, node_id: str) -> None:
        """Say yes to channels of a node that are used before they are confirmed."""
        self.restart(replace(self._options, more=(node_id,)))

    # ---- peers and channels --------------------------------------------------------------------

    def disconnect(self, node_id: str) -> None:
        """Hang up."""
        self.call("disconnect", node_id=node_id)

    def balance_msat(self, outpoint: str) -> int:
        """What is its own in a channel: what it can send, and what it must leave there."""
        row = self._channel(outpoint)
        return int(row["outbound_msat"]) + 1000 * int(row["reserve_sat"] or 0)

    def pending(self, outpoint: str) -> int:
        """How many HTLCs are in a channel."""
        return int(self._channel(outpoint)["htlcs"])

    def close(self, outpoint: str, *, force: bool = False) -> None:
        """Close a channel, together or alone."""
        self.call("force_close" if force else "close", channel_id=self._channel(outpoint)["channel_id"])

    def feerate_per_kw(self, outpoint: str) -> int:
        """Of its commitment."""
        return int(self._channel(outpoint)["feerate_per_kw"])

    # ---- money ---------------------------------------------------------------------------------

    def invoice(self, msat: int | None, *, hints: bool = False) -> Asked:
        """Ask for money; LDK itself puts hints into it when it has no public channel."""
        made = self.call("invoice", amount_msat=msat)
        return Asked(made["invoice"], made["payment_hash"])

    def paid(self, payment_hash: str) -> bool:
        """Whether an invoice of its own was paid; it says so a moment after it has shown the preimage."""

        def said() -> bool:
            rows = self.call("payments")
            return any(row["id"] == payment_hash and row["status"] == "Succeeded" for row in rows)

        with suppress(Deviation):
            return until(said, f"{self} says that it was paid", SAID_S)
        return False

    def pay(self, bolt11: str, *, msat: int | None = None, max_fee_msat: int | None = None) -> str:
        """Pay an invoice and wait for the end; the preimage."""
        self.happened("PaymentFailed")
        seen = len(self.events)
        try:
            payment_hash = self.call("pay", invoice=bolt11, amount_msat=msat, max_fee_msat=max_fee_msat)["payment_hash"]
        except PeerRefused as why:
            raise NotPaid(str(why)) from why

        life = self.process.pid

        def ended() -> dict[str, Any] | None:
            self.happened("PaymentFailed")
            if self.process.pid != life:
                raise PeerRefused("pay: it was started anew meanwhile")
            for event in self.events[seen:]:
                if event["event"] in ("PaymentSuccessful", "PaymentFailed") and event["payment_hash"] == payment_hash:
                    return event
            return None

        event = until(ended, f"{self} comes to an end with its payment", PAYMENT_S)
        if event["event"] == "PaymentFailed":
            raise NotPaid(event["reason"])
        return str(event["preimage"])

    # ---- what only some can do -----------------------------------------------------------------

    def channels_known(self) -> list[str]:
        """Short channel ids of all channels in its graph."""
        return [scid_text(row["scid"]) for row in self.call("graph")["channels"]]

    def terms_known(self, scid: str, of_node: str) -> Terms | None:
        """What a node asks for forwarding over a channel, as far as it knows."""
        for row in self.call("graph")["channels"]:
            if scid_text(row["scid"]) != scid:
                continue
            said = row["one_to_two"] if row["node_one"] == of_node else row["two_to_one"]
            if said is None:
                return None
            return Terms(
                said["fee_base_msat"],
                said["fee_proportional_millionths"],
                said["cltv_expiry_delta"],
                disabled=not said["enabled"],
            )
        return None

    def alias_known(self, node_id: str) -> str:
        """A node's alias, empty while it has not heard it."""
        return next((row["alias"] or "" for row in self.call("graph")["nodes"] if row["node_id"] == node_id), "")

    def set_terms(self, outpoint: str, terms: Terms) -> None:
        """Change what forwarding over a channel costs."""
        self.call(
            *("set_policy",),
            channel_id=self._channel(outpoint)["channel_id"],
            fee_base_msat=terms.base_msat,
            fee_proportional_millionths=terms.proportional_millionths,
            cltv_expiry_delta=terms.cltv_expiry_delta,
        )

    def hold_invoice(self, msat: int, payment_hash: str) -> Asked:
        """Ask for money that is held until `settle` or `cancel`."""
        made = self.call("invoice", amount_msat=msat, payment_hash=payment_hash)
        return Asked(made["invoice"], payment_hash)

    def held(self, payment_hash: str) -> bool:
        """Whether the money for a held invoice is there."""
        return self._held(payment_hash) is not None

    def settle(self, preimage: str) -> None:
        """Take what is held."""
        payment_hash = sha256(bytes.fromhex(preimage)).hex()
        held = self._held(payment_hash)
        if held is None:
            raise PeerRefused(f"nothing is held for {payment_hash}")
        self.call("claim", payment_hash=payment_hash, preimage=preimage, amount_msat=held["amount_msat"])

    def cancel(self, payment_hash: str) -> None:
        """Give back what is held."""
        self.call("fail", payment_hash=payment_hash)

    def _held(self, payment_hash: str) -> dict[str, Any] | None:
        def of_this(event: dict[str, Any]) -> bool:
            return event["event"] == "PaymentClaimable" and bool(event["payment_hash"] == payment_hash)

        said = next((event for event in self._earlier if of_this(event)), None)
        return said or self.happened("PaymentClaimable", of_this)
