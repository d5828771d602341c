//! The commands that the node obeys.

use ldk_node::bitcoin::secp256k1::PublicKey;
use ldk_node::bitcoin::{Address, Network};
use ldk_node::config::ChannelConfig;
use ldk_node::lightning::offers::offer::Offer;
use ldk_node::lightning::routing::router::RouteParametersConfig;
use ldk_node::lightning_invoice::{Bolt11Invoice, Bolt11InvoiceDescription, Description};
use ldk_node::lightning_types::payment::{PaymentHash, PaymentPreimage};
use ldk_node::payment::PaymentDetails;
use ldk_node::{ChannelDetails, Node};
use serde_json::{json, Value};

use crate::show;
use crate::Driven;

type Answer = Result<Value, String>;

fn words(fault: impl std::fmt::Display) -> String {
    fault.to_string()
}

/// What a command names, read as what it must be.
struct Command<'a>(&'a Value);

impl Command<'_> {
    fn text(&self, name: &str) -> Result<&str, String> {
        self.0[name].as_str().ok_or(format!("{name} is missing"))
    }

    fn parsed<T: std::str::FromStr>(&self, name: &str) -> Result<T, String> {
        self.text(name)?.parse().map_err(|_| format!("{name} cannot be read"))
    }

    fn number(&self, name: &str) -> Result<u64, String> {
        self.0[name].as_u64().ok_or(format!("{name} is missing"))
    }

    fn is(&self, name: &str) -> bool {
        self.0[name].as_bool().unwrap_or(false)
    }

    fn bytes32(&self, name: &str) -> Result<[u8; 32], String> {
        let text = self.text(name)?;
        let digits = |at: usize| text.get(2 * at..2 * at + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok());
        let bytes: Option<Vec<u8>> = (0..32).map(digits).collect();
        bytes.filter(|_| text.len() == 64).and_then(|b| b.try_into().ok()).ok_or(format!("{name}: not 32 bytes in hex"))
    }

    fn hash(&self) -> Result<PaymentHash, String> {
        Ok(PaymentHash(self.bytes32("payment_hash")?))
    }
}

fn find_channel(node: &Node, command: &Command) -> Result<ChannelDetails, String> {
    let named = command.text("channel_id")?;
    node.list_channels().into_iter().find(|c| c.channel_id.to_string() == named).ok_or("no such channel".into())
}

fn open(node: &Node, command: &Command) -> Answer {
    let (peer, address): (PublicKey, _) = (command.parsed("node_id")?, command.parsed("address")?);
    let amount_sat = command.number("amount_sat")?;
    let push_msat = command.0["push_msat"].as_u64();
    let opened = if command.is("announced") {
        node.open_announced_channel(peer, address, amount_sat, push_msat, None)
    } else {
        node.open_channel(peer, address, amount_sat, push_msat, None)
    };
    opened.map(|id| json!({"user_channel_id": id.0.to_string()})).map_err(words)
}

fn close(node: &Node, command: &Command, force: bool) -> Answer {
    let channel = find_channel(node, command)?;
    let (id, peer) = (channel.user_channel_id, channel.counterparty_node_id);
    let closed = if force { node.force_close_channel(&id, peer, None) } else { node.close_channel(&id, peer) };
    closed.map(|()| json!({})).map_err(words)
}

fn set_policy(node: &Node, command: &Command) -> Answer {
    let channel = find_channel(node, command)?;
    let config = ChannelConfig {
        forwarding_fee_base_msat: command.number("fee_base_msat")? as u32,
        forwarding_fee_proportional_millionths: command.number("fee_proportional_millionths")? as u32,
        cltv_expiry_delta: command.number("cltv_expiry_delta")? as u16,
        ..channel.config
    };
    node.update_channel_config(&channel.user_channel_id, channel.counterparty_node_id, config)
        .map(|()| json!({}))
        .map_err(words)
}

/// An invoice; with a payment_hash it holds the payment until `claim` or `fail`.
fn invoice(node: &Node, command: &Command) -> Answer {
    let text = Description::new(command.0["description"].as_str().unwrap_or("").to_string()).map_err(words)?;
    let description = Bolt11InvoiceDescription::Direct(text);
    let expiry_s = command.0["expiry_s"].as_u64().unwrap_or(3600) as u32;
    let bolt11 = node.bolt11_payment();
    let hash = if command.0["payment_hash"].is_string() { Some(command.hash()?) } else { None };
    let made = match (command.0["amount_msat"].as_u64(), hash) {
        (Some(amount_msat), None) => bolt11.receive(amount_msat, &description, expiry_s),
        (Some(amount_msat), Some(hash)) => bolt11.receive_for_hash(amount_msat, &description, expiry_s, hash),
        (None, None) => bolt11.receive_variable_amount(&description, expiry_s),
        (None, Some(hash)) => bolt11.receive_variable_amount_for_hash(&description, expiry_s, hash),
    };
    let made = made.map_err(words)?;
    Ok(json!({"invoice": made.to_string(), "payment_hash": made.payment_hash().to_string()}))
}

fn pay(node: &Node, command: &Command) -> Answer {
    let invoice: Bolt11Invoice = command.parsed("invoice")?;
    let route = command.0["max_fee_msat"].as_u64().map(|max_fee_msat| RouteParametersConfig {
        max_total_routing_fee_msat: Some(max_fee_msat),
        ..Default::default()
    });
    let bolt11 = node.bolt11_payment();
    let sent = match command.0["amount_msat"].as_u64() {
        Some(amount_msat) => bolt11.send_using_amount(&invoice, amount_msat, route),
        None => bolt11.send(&invoice, route),
    };
    sent.map(|_| json!({"payment_hash": invoice.payment_hash().to_string()})).map_err(words)
}

fn claim(node: &Node, command: &Command) -> Answer {
    let preimage = PaymentPreimage(command.bytes32("preimage")?);
    let amount_msat = command.number("amount_msat")?;
    let claimed = node.bolt11_payment().claim_for_hash(command.hash()?, amount_msat, preimage);
    claimed.map(|()| json!({})).map_err(words)
}

fn payment(of: &PaymentDetails) -> Value {
    json!({
        "id": show::hex(&of.id.0),
        "amount_msat": of.amount_msat,
        "fee_msat": of.fee_paid_msat,
        "direction": format!("{:?}", of.direction),
        "status": format!("{:?}", of.status),
    })
}

fn send_onchain(node: &Node, command: &Command) -> Answer {
    let address: Address<_> = command.parsed("to")?;
    let address = address.require_network(Network::Regtest).map_err(words)?;
    let sent = node.onchain_payment().send_to_address(&address, command.number("amount_sat")?, None);
    sent.map(|txid| json!({"txid": txid.to_string()})).map_err(words)
}

fn status(node: &Node) -> Value {
    let status = node.status();
    json!({
        "node_id": node.node_id().to_string(),
        "height": status.current_best_block.height,
        "block": status.current_best_block.block_hash.to_string(),
        "announced_at": status.latest_node_announcement_broadcast_timestamp,
    })
}

fn peers(node: &Node) -> Value {
    let shown = |peer: ldk_node::PeerDetails| {
        json!({"node_id": peer.node_id.to_string(), "address": peer.address.to_string(), "connected": peer.is_connected})
    };
    node.list_peers().into_iter().map(shown).collect()
}

fn offer(node: &Node, command: &Command) -> Answer {
    let description = command.0["description"].as_str().unwrap_or("");
    let bolt12 = node.bolt12_payment();
    let made = match command.0["amount_msat"].as_u64() {
        Some(amount_msat) => bolt12.receive(amount_msat, description, None, None),
        None => bolt12.receive_variable_amount(description, None),
    };
    made.map(|offer| json!({"offer": offer.to_string()})).map_err(words)
}

fn pay_offer(node: &Node, command: &Command) -> Answer {
    let offer: Offer = command.parsed("offer")?;
    let bolt12 = node.bolt12_payment();
    let sent = match command.0["amount_msat"].as_u64() {
        Some(amount_msat) => bolt12.send_using_amount(&offer, amount_msat, None, None, None),
        None => bolt12.send(&offer, None, None, None),
    };
    sent.map(|id| json!({"id": show::hex(&id.0)})).map_err(words)
}

fn splice(node: &Node, command: &Command, inwards: bool) -> Answer {
    let channel = find_channel(node, command)?;
    let (id, peer) = (channel.user_channel_id, channel.counterparty_node_id);
    let amount_sat = command.number("amount_sat")?;
    let begun = if inwards {
        node.splice_in(&id, peer, amount_sat)
    } else {
        let to = node.onchain_payment().new_address().map_err(words)?;
        node.splice_out(&id, peer, &to, amount_sat)
    };
    begun.map(|()| json!({})).map_err(words)
}

/// Do what a command says.
pub fn obey(driven: &Driven, command: &Value) -> Answer {
    let (node, command) = (&driven.node, Command(command));
    match command.text("do")? {
        "node_id" => Ok(json!({"node_id": node.node_id().to_string()})),
        "stop" => {
            let _ = node.stop();
            std::process::exit(0)
        }
        "events" => {
            let events = driven.events.lock().unwrap();
            let from = command.number("from")? as usize;
            Ok(events.iter().skip(from).cloned().collect())
        }
        "status" => Ok(status(node)),
        "sync" => node.sync_wallets().map(|()| status(node)).map_err(words),
        "new_address" => {
            node.onchain_payment().new_address().map(|to| json!({"address": to.to_string()})).map_err(words)
        }
        "send_onchain" => send_onchain(node, &command),
        "balances" => Ok(show::balances(&node.list_balances())),
        "connect" => node
            .connect(command.parsed("node_id")?, command.parsed("address")?, command.is("remember"))
            .map(|()| json!({}))
            .map_err(words),
        "disconnect" => node.disconnect(command.parsed("node_id")?).map(|()| json!({})).map_err(words),
        "peers" => Ok(peers(node)),
        "channels" => {
            let balances = node.list_balances();
            Ok(node.list_channels().iter().map(|channel| show::channel(channel, &balances)).collect())
        }
        "graph" => Ok(show::graph(node)),
        "open" => open(node, &command),
        "close" => close(node, &command, false),
        "force_close" => close(node, &command, true),
        "set_policy" => set_policy(node, &command),
        "splice_in" => splice(node, &command, true),
        "splice_out" => splice(node, &command, false),
        "invoice" => invoice(node, &command),
        "claim" => claim(node, &command),
        "fail" => node.bolt11_payment().fail_for_hash(command.hash()?).map(|()| json!({})).map_err(words),
        "pay" => pay(node, &command),
        "keysend" => node
            .spontaneous_payment()
            .send(command.number("amount_msat")?, command.parsed("node_id")?, None)
            .map(|id| json!({"payment_hash": show::hex(&id.0)}))
            .map_err(words),
        "payments" => Ok(node.list_payments().iter().map(payment).collect()),
        "offer" => offer(node, &command),
        "pay_offer" => pay_offer(node, &command),
        unknown => Err(format!("no such command: {unknown}")),
    }
}
