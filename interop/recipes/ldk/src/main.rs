//! An LDK node that is driven by lines of JSON over TCP.
//!
//! `ldk-peer SETTINGS.json` starts the node that the settings describe and listens for its driver on `control_port` of
//! 127.0.0.1. Each line is a command, `{"id": 1, "do": "pay", "invoice": "…"}`; its answer is `{"id": 1, "ok": …}` or
//! `{"id": 1, "error": "…"}`. Commands run side by side, each in a thread of its own: one that waits for a peer does
//! not hold up the others. What happens in the node is kept for `{"do": "events", "from": 0}`, and goes to stdout.

mod commands;
mod events;
mod show;

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::{env, fs, process, thread};

use ldk_node::bitcoin::secp256k1::PublicKey;
use ldk_node::bitcoin::Network;
use ldk_node::config::{AnchorChannelsConfig, Config};
use ldk_node::liquidity::LSPS2ServiceConfig;
use ldk_node::{Builder, Node};
use serde_json::{json, Value};

/// The node, and what has happened in it since it started.
pub struct Driven {
    pub node: Node,
    pub events: Mutex<Vec<Value>>,
}

fn start(settings: &Value) -> Result<Node, String> {
    let text = |name: &str| settings[name].as_str().ok_or(format!("the settings name no {name}"));
    let peers = |name: &str| -> Result<Vec<PublicKey>, String> {
        let listed = settings[name].as_array().cloned().unwrap_or_default();
        listed.iter().map(|key| key.as_str().unwrap_or("").parse().map_err(|_| format!("{name}: no node id"))).collect()
    };
    let address = text("listen")?.parse().map_err(|_| "listen: no address".to_string())?;
    let mut config = Config::default();
    config.storage_dir_path = text("directory")?.to_string();
    config.network = Network::Regtest;
    config.trusted_peers_0conf = peers("zeroconf_from")?;
    config.anchor_channels_config = match settings["anchors"].as_bool() {
        Some(false) => None,
        _ => Some(AnchorChannelsConfig::default()),
    };

    let mut builder = Builder::from_config(config);
    let mut seed = [0u8; 64];
    let bytes = text("seed")?.as_bytes();
    seed[..bytes.len().min(64)].copy_from_slice(&bytes[..bytes.len().min(64)]);
    builder.set_entropy_seed_bytes(seed);
    builder.set_filesystem_logger(None, Some(ldk_node::logger::LogLevel::Trace));
    builder.set_listening_addresses(vec![address]).map_err(|e| e.to_string())?;
    builder.set_node_alias(text("alias")?.to_string()).map_err(|e| e.to_string())?;
    builder.set_gossip_source_p2p();
    // Nothing else makes it forward over unannounced channels. Nobody asks for the service itself.
    builder.set_liquidity_provider_lsps2(LSPS2ServiceConfig {
        require_token: None,
        advertise_service: false,
        channel_opening_fee_ppm: 0,
        channel_over_provisioning_ppm: 0,
        min_channel_opening_fee_msat: 0,
        min_channel_lifetime: 1,
        max_client_to_self_delay: 2016,
        min_payment_size_msat: 0,
        max_payment_size_msat: u64::MAX,
        client_trusts_lsp: false,
    });
    let port = settings["rpc_port"].as_u64().ok_or("the settings name no rpc_port")? as u16;
    let (user, password) = (text("rpc_user")?, text("rpc_password")?);
    builder.set_chain_source_bitcoind_rpc("127.0.0.1".into(), port, user.into(), password.into());
    let node = builder.build().map_err(|e| e.to_string())?;
    node.start().map_err(|e| e.to_string())?;
    Ok(node)
}

fn serve(driven: &Arc<Driven>, stream: TcpStream) {
    let Ok(writer) = stream.try_clone() else { return };
    let writer = Arc::new(Mutex::new(writer));
    for line in BufReader::new(stream).lines().map_while(Result::ok) {
        let (driven, writer) = (Arc::clone(driven), Arc::clone(&writer));
        thread::spawn(move || {
            let command: Value = serde_json::from_str(&line).unwrap_or(Value::Null);
            let answer = match commands::obey(&driven, &command) {
                Ok(answer) => json!({"id": command["id"], "ok": answer}),
                Err(why) => json!({"id": command["id"], "error": why}),
            };
            // A driver that is gone wants no answer.
            let _ = writeln!(writer.lock().unwrap(), "{answer}");
        });
    }
}

fn fail(why: impl std::fmt::Display) -> ! {
    eprintln!("ldk-peer: {why}");
    process::exit(1);
}

fn main() {
    let path = env::args().nth(1).unwrap_or_else(|| fail("usage: ldk-peer SETTINGS.json"));
    let text = fs::read_to_string(&path).unwrap_or_else(|why| fail(why));
    let settings: Value = serde_json::from_str(&text).unwrap_or_else(|why| fail(why));
    let control = settings["control_port"].as_u64().unwrap_or_else(|| fail("the settings name no control_port"));
    let listener = TcpListener::bind(("127.0.0.1", control as u16)).unwrap_or_else(|why| fail(why));
    let node = start(&settings).unwrap_or_else(|why| fail(why));
    println!("{} is up", node.node_id());
    let driven = Arc::new(Driven { node, events: Mutex::new(Vec::new()) });

    let watched = Arc::clone(&driven);
    thread::spawn(move || loop {
        let event = events::shown(&watched.node.wait_next_event());
        println!("{event}");
        watched.events.lock().unwrap().push(event);
        let _ = watched.node.event_handled();
    });
    for stream in listener.incoming().flatten() {
        let driven = Arc::clone(&driven);
        thread::spawn(move || serve(&driven, stream));
    }
}
