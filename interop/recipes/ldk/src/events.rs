//! What happens in the node, as JSON.

use ldk_node::Event;
use serde_json::{json, Value};

use crate::show::hex;

/// An event under the name that LDK gives it, with what a scenario may want to know of it.
pub fn shown(event: &Event) -> Value {
    match event {
        Event::PaymentSuccessful { payment_hash, payment_preimage, fee_paid_msat, .. } => json!({
            "event": "PaymentSuccessful",
            "payment_hash": hex(&payment_hash.0),
            "preimage": payment_preimage.map(|preimage| hex(&preimage.0)),
            "fee_msat": fee_paid_msat,
        }),
        Event::PaymentFailed { payment_hash, reason, .. } => json!({
            "event": "PaymentFailed",
            "payment_hash": payment_hash.map(|hash| hex(&hash.0)),
            "reason": reason.map(|reason| format!("{reason:?}")),
        }),
        Event::PaymentReceived { payment_hash, amount_msat, .. } => json!({
            "event": "PaymentReceived", "payment_hash": hex(&payment_hash.0), "amount_msat": amount_msat,
        }),
        Event::PaymentClaimable { payment_hash, claimable_amount_msat, claim_deadline, .. } => json!({
            "event": "PaymentClaimable",
            "payment_hash": hex(&payment_hash.0),
            "amount_msat": claimable_amount_msat,
            "claim_deadline": claim_deadline,
        }),
        Event::PaymentForwarded { prev_channel_id, next_channel_id, total_fee_earned_msat, .. } => json!({
            "event": "PaymentForwarded",
            "from_channel": prev_channel_id.to_string(),
            "to_channel": next_channel_id.to_string(),
            "fee_msat": total_fee_earned_msat,
        }),
        Event::ChannelPending { channel_id, counterparty_node_id, funding_txo, .. } => json!({
            "event": "ChannelPending",
            "channel_id": channel_id.to_string(),
            "peer": counterparty_node_id.to_string(),
            "funding": funding_txo.to_string(),
        }),
        Event::ChannelReady { channel_id, counterparty_node_id, .. } => json!({
            "event": "ChannelReady",
            "channel_id": channel_id.to_string(),
            "peer": counterparty_node_id.map(|peer| peer.to_string()),
        }),
        Event::ChannelClosed { channel_id, counterparty_node_id, reason, .. } => json!({
            "event": "ChannelClosed",
            "channel_id": channel_id.to_string(),
            "peer": counterparty_node_id.map(|peer| peer.to_string()),
            "reason": reason.as_ref().map(|reason| reason.to_string()),
        }),
        Event::SplicePending { channel_id, new_funding_txo, .. } => json!({
            "event": "SplicePending", "channel_id": channel_id.to_string(), "funding": new_funding_txo.to_string(),
        }),
        Event::SpliceFailed { channel_id, .. } => json!({
            "event": "SpliceFailed", "channel_id": channel_id.to_string(),
        }),
    }
}
