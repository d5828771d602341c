"""LND 0.21.3-beta, over its REST API without TLS and macaroons; and btcd, which the same Go modules build."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

from fulmen.lab.chains import PASSWORD, USER, ChainDaemon
from fulmen.lab.http_json import ask
from fulmen.lab.lnd import LndNode
from fulmen.lab.members import PeerRefused
from interop.peers.acceptor import Acceptor
from interop.peers.peer import Asked, Can, NotPaid, Options, Peer, Terms, Wrong
from interop.ports import Ports
from interop.recipe import Recipe
from interop.tls_front import HOST, TlsFront
from interop.toolchains import GO_TOOL

TAGS = (
    "signrpc walletrpc chainrpc invoicesrpc routerrpc peersrpc watchtowerrpc wtclientrpc neutrinorpc autopilotrpc "
    "monitoring kvdb_sqlite dev"
)
GO = Recipe(
    name="go",
    version="lnd-0.21.3-beta",
    programs=("bin/lnd", "bin/lncli", "bin/btcd"),
    tools=(GO_TOOL,),
    steps=(("go", "build", "-trimpath", "-tags", TAGS, "-ldflags", "-s -w", "-o", "{out}/bin/", "tool"),),
)

TO_SELF_DELAY = 6
"""Blocks that the other side has to wait after a close of its own: sweeps are awaited here."""
PAY_S = 50


class Lnd(LndNode, Peer):
    """One lnd."""

    kind = "lnd"
    can = frozenset(Can) - {Can.LEGACY, Can.FOLLOWS, Can.HOLDS_BACK}

    def __init__(self, name: str, home: Path, ports: Ports, chain: ChainDaemon, options: Options | None = None) -> None:
        self._options = options or Options()
        self._acceptor: Acceptor | None = None
        self._front: TlsFront | None = None
        self._ports = ports
        super().__init__(name, home, ports, chain, program=(str(GO.program("lnd")),), open_to_all=True)

    def arguments(self) -> tuple[str, ...]:
        """What it is started with."""
        return (
            *super().arguments(),
            *("--logging.file.disable", "--accept-keysend", "--keep-failed-payment-attempts"),
            *(
                "--sweeper.batchwindowduration=1s",
                "--maxpendingchannels=10",
                f"--bitcoin.defaultremotedelay={TO_SELF_DELAY}",
                "--bitcoin.defaultchanconfs=3",
            ),
            *("--protocol.wumbo-channels", "--protocol.option-scid-alias", "--protocol.zero-conf"),
            *(() if self._options.anchors else ("--protocol.no-anchors",)),
            *(f"--hodl.{mode}" for mode in self._options.hodl),
            *self._options.more,
        )

    def chain_arguments(self) -> tuple[str, ...]:
        """Where its chain is; of btcd it asks for TLS, which nobody else in the lab speaks."""
        if self._chain.dialect != "btcd":
            return super().chain_arguments()
        if self._front is None:
            self._front = TlsFront(self._ports.take(), self._chain.port, self.home)
        return (
            *("--bitcoin.node=btcd", f"--btcd.rpchost={HOST}:{self._front.port}"),
            *(f"--btcd.rpcuser={USER}", f"--btcd.rpcpass={PASSWORD}", f"--btcd.rpccert={self._front.certificate}"),
        )

    # ---- life ----------------------------------------------------------------------------------

    def start(self) -> None:
        """Start it, and wait until it serves."""
        self.launch()
        self.ready()

    def stop(self) -> None:
        """Stop it gracefully."""
        self._forget_acceptor()
        super().stop()

    def kill(self) -> None:
        """kill -9."""
        self._forget_acceptor()
        super().kill()

    def _forget_acceptor(self) -> None:
        if self._acceptor is not None:
            self._acceptor.close()
            self._acceptor = None

    def restart(self, options: Options) -> None:
        """Stop it, and start it with other options."""
        self.stop()
        self._options = options
        self.start()

    # ---- peers and channels --------------------------------------------------------------------

    def disconnect(self, node_id: str) -> None:
        """Hang up."""
        self._checked(self._ask("DELETE", f"/v1/peers/{node_id}"))

    def balance_msat(self, outpoint: str) -> int:
        """Its own, in whole satoshis, as it shows them; commitment fees and anchors of a channel it opened added."""
        row = self._channel(outpoint)
        return int(row.get("local_balance", 0)) * 1000

    def pending(self, outpoint: str) -> int:
        """HTLCs in it."""
        return len(self._channel(outpoint).get("pending_htlcs", ()))

    def close(self, outpoint: str, *, force: bool = False) -> None:
        """Close it; does not wait for its end."""
        txid, _, vout = outpoint.partition(":")
        query = "force=true" if force else "sat_per_vbyte=2"
        # The answer is a stream that ends with the closing transaction in a block.
        path = f"/v1/channels/{txid}/{vout}?{query}&no_wait=true"
        self._checked(ask(self._rest, "DELETE", path, first=True))

    def closing(self, outpoint: str) -> dict[str, Any]:
        """Where it lists a channel that is being closed: {"where": …} and its row; empty when nowhere."""
        pending = self._get("/v1/channels/pending")
        for where in ("waiting_close_channels", "pending_force_closing_channels", "pending_closing_channels"):
            for row in pending.get(where, ()):
                if row["channel"]["channel_point"] == outpoint:
                    return {"where": where, **row}
        return {}

    def closed(self, outpoint: str) -> dict[str, Any]:
        """What it remembers of a channel that is over."""
        rows = self._get("/v1/channels/closed")["channels"]
        return next((row for row in rows if row["channel_point"] == outpoint), {})

    def feerate_per_kw(self, outpoint: str) -> int:
        """Of its commitment."""
        return int(self._channel(outpoint)["fee_per_kw"])

    def accept_unconfirmed(self, node_id: str) -> None:
        """Say yes to channels, of anybody, that are used before they are confirmed, from now on."""
        if self._acceptor is None:
            self._acceptor = Acceptor(self._rest)

    # ---- money ---------------------------------------------------------------------------------

    def invoice(self, msat: int | None, *, hints: bool = False) -> Asked:
        """Ask for money."""
        made = self._post("/v1/invoices", {"value_msat": str(msat or 0), "private": hints})
        return Asked(made["payment_request"], base64.b64decode(made["r_hash"]).hex())

    def paid(self, payment_hash: str) -> bool:
        """Whether it was settled."""
        return bool(self._get(f"/v1/invoice/{payment_hash}")["state"] == "SETTLED")

    def invoice_state(self, payment_hash: str) -> str:
        """OPEN, ACCEPTED, SETTLED or CANCELED."""
        return str(self._get(f"/v1/invoice/{payment_hash}")["state"])

    def pay(self, bolt11: str, *, msat: int | None = None, max_fee_msat: int | None = None) -> str:
        """Pay and wait for the end."""
        body: dict[str, Any] = {
            "payment_request": bolt11,
            "timeout_seconds": PAY_S,
            "fee_limit_msat": str(100_000 if max_fee_msat is None else max_fee_msat),
            "no_inflight_updates": True,
            "allow_self_payment": True,
        }
        if msat is not None:
            body["amt_msat"] = str(msat)
        answer = self._post("/v2/router/send", body, PAY_S + 30)
        last = (answer[-1] if isinstance(answer, list) else answer)["result"]
        if last["status"] == "SUCCEEDED":
            return str(last["payment_preimage"])
        failures = [htlc["failure"] for htlc in last.get("htlcs", ()) if htlc.get("failure")]
        if not failures:
            raise NotPaid(last["failure_reason"])
        raise NotPaid(last["failure_reason"], failures[-1]["code"], int(failures[-1]["failure_source_index"]))

    def payments(self) -> list[dict[str, Any]]:
        """All that it remembers of payments out."""
        return list(self._get("/v1/payments?include_incomplete=true")["payments"])

    def send_over(self, nodes: list[str], msat: int, asked: Asked, wrong: Wrong) -> str:
        """Have it build the route, change it, and send over it; the failure's name, or nothing."""
        decoded = self._get(f"/v1/payreq/{asked.bolt11}")
        secret = decoded["payment_addr"] if wrong.secret is None else base64.b64encode(wrong.secret).decode()
        wanted = {
            "amt_msat": str(msat),
            "final_cltv_delta": int(decoded["cltv_expiry"]),
            "hop_pubkeys": [_base64(node) for node in nodes],
            "payment_addr": secret,
        }
        route = self._post("/v2/router/route", wanted)["route"]
        hops = route["hops"]
        if wrong.htlc_msat is not None:
            route["total_amt_msat"] = str(wrong.htlc_msat)
        if wrong.htlc_expiry is not None:
            route["total_time_lock"] = wrong.htlc_expiry
        if wrong.forward_msat is not None:
            hops[0]["amt_to_forward_msat"] = str(wrong.forward_msat)
        if wrong.forward_expiry is not None:
            hops[0]["expiry"] = wrong.forward_expiry
        if wrong.next_scid is not None:
            hops[1]["chan_id"] = str(scid_number(wrong.next_scid))
        if wrong.last_tlv is not None:
            kind, value = wrong.last_tlv
            hops[-1]["custom_records"] = {str(kind): base64.b64encode(value).decode()}
        attempt = self._post("/v2/router/route/send", {"payment_hash": _base64(asked.payment_hash), "route": route})
        return str(attempt["failure"]["code"]) if attempt.get("failure") else ""

    def send_message(self, node_id: str, kind: int, payload: bytes) -> None:
        """Send a peer any message from 32768 on."""
        encoded = base64.b64encode(payload).decode()
        self._post("/v1/custommessage", {"peer": _base64(node_id), "type": kind, "data": encoded})

    # ---- the graph -----------------------------------------------------------------------------

    def channels_known(self) -> list[str]:
        """All channels of its graph."""
        return sorted(scid_text(int(edge["channel_id"])) for edge in self._get("/v1/graph")["edges"])

    def terms_known(self, scid: str, of_node: str) -> Terms | None:
        """What a node asks for forwarding over a channel."""
        try:
            edge = self._get(f"/v1/graph/edge/{scid_number(scid)}")
        except PeerRefused:
            return None
        policy = edge["node1_policy" if edge["node1_pub"] == of_node else "node2_policy"]
        if policy is None:
            return None
        return Terms(
            int(policy["fee_base_msat"]),
            int(policy["fee_rate_milli_msat"]),
            int(policy["time_lock_delta"]),
            bool(policy["disabled"]),
        )

    def alias_known(self, node_id: str) -> str:
        """A node's alias."""
        try:
            return str(self._get(f"/v1/graph/node/{node_id}")["node"]["alias"])
        except PeerRefused:
            return ""

    def set_terms(self, outpoint: str, terms: Terms) -> None:
        """Change what forwarding over a channel costs."""
        txid, _, vout = outpoint.partition(":")
        self._post(
            "/v1/chanpolicy",
            {
                "chan_point": {"funding_txid_str": txid, "output_index": int(vout)},
                "base_fee_msat": str(terms.base_msat),
                "fee_rate_ppm": terms.proportional_millionths,
                "time_lock_delta": terms.cltv_expiry_delta,
            },
        )

    # ---- held invoices -------------------------------------------------------------------------

    def hold_invoice(self, msat: int, payment_hash: str) -> Asked:
        """Ask for money that is held."""
        wanted = {"hash": _base64(payment_hash), "value_msat": str(msat), "private": True}
        return Asked(self._post("/v2/invoices/hodl", wanted)["payment_request"], payment_hash)

    def held(self, payment_hash: str) -> bool:
        """Whether the money is there."""
        return self.invoice_state(payment_hash) == "ACCEPTED"

    def settle(self, preimage: str) -> None:
        """Take it."""
        self._post("/v2/invoices/settle", {"preimage": _base64(preimage)})

    def cancel(self, payment_hash: str) -> None:
        """Give it back."""
        self._post("/v2/invoices/cancel", {"payment_hash": _base64(payment_hash)})


def scid_number(scid: str) -> int:
    """BLOCKxTXxOUT as one number."""
    block, index, vout = map(int, scid.split("x"))
    return block << 40 | index << 16 | vout


def scid_text(scid: int) -> str:
    """The number as BLOCKxTXxOUT."""
    return f"{scid >> 40}x{scid >> 16 & 0xFFFFFF}x{scid & 0xFFFF}"


def _base64(hexadecimal: str) -> str:
    return base64.b64encode(bytes.fromhex(hexadecimal)).decode()
