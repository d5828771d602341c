//! What the node holds, as JSON.

use ldk_node::lightning::routing::gossip::ChannelUpdateInfo;
use ldk_node::{BalanceDetails, ChannelDetails, LightningBalance, Node, PendingSweepBalance};
use serde_json::{json, Value};

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// How many HTLCs a channel holds, as far as its balances tell: those that are dust on the chain count as one.
fn htlcs(of: &ChannelDetails, balances: &BalanceDetails) -> usize {
    let here = |balance: &&LightningBalance| match balance {
        LightningBalance::MaybeTimeoutClaimableHTLC { channel_id, .. }
        | LightningBalance::MaybePreimageClaimableHTLC { channel_id, .. }
        | LightningBalance::ContentiousClaimable { channel_id, .. } => *channel_id == of.channel_id,
        LightningBalance::ClaimableOnChannelClose {
            channel_id,
            outbound_payment_htlc_rounded_msat,
            outbound_forwarded_htlc_rounded_msat,
            inbound_claiming_htlc_rounded_msat,
            inbound_htlc_rounded_msat,
            ..
        } => {
            let dust_msat = outbound_payment_htlc_rounded_msat
                + outbound_forwarded_htlc_rounded_msat
                + inbound_claiming_htlc_rounded_msat
                + inbound_htlc_rounded_msat;
            *channel_id == of.channel_id && dust_msat > 0
        }
        _ => false,
    };
    balances.lightning_balances.iter().filter(here).count()
}

pub fn channel(of: &ChannelDetails, balances: &BalanceDetails) -> Value {
    json!({
        "htlcs": htlcs(of, balances),
        "channel_id": of.channel_id.to_string(),
        "peer": of.counterparty_node_id.to_string(),
        "funding": of.funding_txo.map(|outpoint| outpoint.to_string()),
        "scid": of.short_channel_id,
        "alias": of.inbound_scid_alias,
        "amount_sat": of.channel_value_sats,
        "outbound_msat": of.outbound_capacity_msat,
        "inbound_msat": of.inbound_capacity_msat,
        "reserve_sat": of.unspendable_punishment_reserve,
        "feerate_per_kw": of.feerate_sat_per_1000_weight,
        "ours": of.is_outbound,
        "ready": of.is_channel_ready,
        "usable": of.is_usable,
        "announced": of.is_announced,
        "confirmations": of.confirmations,
        "confirmations_required": of.confirmations_required,
        "to_self_delay": of.force_close_spend_delay,
    })
}

fn in_channel(of: &LightningBalance) -> Value {
    let (kind, amount_sat, height) = match of {
        LightningBalance::ClaimableOnChannelClose { amount_satoshis, .. } => ("open", amount_satoshis, None),
        LightningBalance::ClaimableAwaitingConfirmations { amount_satoshis, confirmation_height, .. } => {
            ("awaiting_confirmations", amount_satoshis, Some(confirmation_height))
        }
        LightningBalance::ContentiousClaimable { amount_satoshis, timeout_height, .. } => {
            ("contentious", amount_satoshis, Some(timeout_height))
        }
        LightningBalance::MaybeTimeoutClaimableHTLC { amount_satoshis, claimable_height, .. } => {
            ("by_timeout", amount_satoshis, Some(claimable_height))
        }
        LightningBalance::MaybePreimageClaimableHTLC { amount_satoshis, expiry_height, .. } => {
            ("by_preimage", amount_satoshis, Some(expiry_height))
        }
        LightningBalance::CounterpartyRevokedOutputClaimable { amount_satoshis, .. } => {
            ("revoked", amount_satoshis, None)
        }
    };
    json!({"kind": kind, "amount_sat": amount_sat, "height": height})
}

fn in_sweep(of: &PendingSweepBalance) -> Value {
    let (kind, amount_sat) = match of {
        PendingSweepBalance::PendingBroadcast { amount_satoshis, .. } => ("to_broadcast", amount_satoshis),
        PendingSweepBalance::BroadcastAwaitingConfirmation { amount_satoshis, .. } => ("broadcast", amount_satoshis),
        PendingSweepBalance::AwaitingThresholdConfirmations { amount_satoshis, .. } => ("confirmed", amount_satoshis),
    };
    json!({"kind": kind, "amount_sat": amount_sat})
}

pub fn balances(of: &BalanceDetails) -> Value {
    json!({
        "onchain_sat": of.total_onchain_balance_sats,
        "spendable_sat": of.spendable_onchain_balance_sats,
        "reserve_sat": of.total_anchor_channels_reserve_sats,
        "lightning_sat": of.total_lightning_balance_sats,
        "lightning": of.lightning_balances.iter().map(in_channel).collect::<Vec<_>>(),
        "sweeps": of.pending_balances_from_channel_closures.iter().map(in_sweep).collect::<Vec<_>>(),
    })
}

fn direction(of: &Option<ChannelUpdateInfo>) -> Value {
    of.as_ref().map_or(Value::Null, |update| {
        json!({
            "enabled": update.enabled,
            "cltv_expiry_delta": update.cltv_expiry_delta,
            "htlc_minimum_msat": update.htlc_minimum_msat,
            "htlc_maximum_msat": update.htlc_maximum_msat,
            "fee_base_msat": update.fees.base_msat,
            "fee_proportional_millionths": update.fees.proportional_millionths,
        })
    })
}

/// The public channels and nodes that it has heard of.
pub fn graph(of: &Node) -> Value {
    let graph = of.network_graph();
    let channel = |scid: u64| {
        graph.channel(scid).map(|found| {
            json!({
                "scid": scid,
                "node_one": hex(found.node_one.as_slice()),
                "node_two": hex(found.node_two.as_slice()),
                "one_to_two": direction(&found.one_to_two),
                "two_to_one": direction(&found.two_to_one),
            })
        })
    };
    let node = |id| {
        let said = graph.node(&id).and_then(|found| found.announcement_info);
        json!({"node_id": hex(id.as_slice()), "alias": said.map(|said| said.alias().to_string())})
    };
    json!({
        "channels": graph.list_channels().into_iter().filter_map(channel).collect::<Vec<_>>(),
        "nodes": graph.list_nodes().into_iter().map(node).collect::<Vec<_>>(),
    })
}
