//! Requests and answers for webhooks.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::read::Page;
use crate::json;
use crate::model::pattern::Pattern;
use crate::model::time::Timestamp;
use crate::model::webhook::{Delivery, Disabled, WebhookFormat};

/// A webhook to create, or to replace the one with the same name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WebhookRequest {
    /// The URL that events are posted to: `https://…`, unless the operator allows its network.
    pub url: String,
    /// Event filters: exact types such as `prompt.label.moved`, prefixes such as `prompt.*`, or `*`.
    #[serde(default = "every_event")]
    pub events: Vec<String>,
    /// Prompts; an event without a prompt is only sent if the pattern matches all prompts.
    #[serde(default = "Pattern::everything")]
    pub prompts: Pattern,
    /// The format of the messages.
    #[serde(default)]
    pub format: WebhookFormat,
}

fn every_event() -> Vec<String> {
    vec!["*".to_owned()]
}

/// How to replace a webhook's secret.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WebhookRotation {
    /// Seconds for which the old secret signs too, so that the receiver can switch; at most 30 days.
    #[serde(default, deserialize_with = "json::whole")]
    pub overlap_s: u64,
}

/// Why a webhook is disabled.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SuspensionRequest {
    /// The reason; can be empty.
    #[serde(default)]
    pub message: String,
}

/// A test event that was queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TestAnswer {
    /// The audit entry of the event; see the deliveries of the webhook for the result.
    pub seq: u64,
}

/// A webhook without its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WebhookView {
    /// Its name.
    pub name: String,
    /// The URL that events are posted to; without its path if that is a credential.
    pub url: String,
    /// Event filters.
    pub events: Vec<String>,
    /// The prompts.
    pub prompts: Pattern,
    /// The format of the messages.
    pub format: WebhookFormat,
    /// When it was created.
    pub created: Timestamp,
    /// Since when it is disabled, and why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disabled: Option<Disabled>,
    /// The first failure since the last successful delivery.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failing_since: Option<Timestamp>,
    /// Failed attempts since the last successful delivery.
    pub failures: u32,
    /// Number of pending deliveries.
    pub pending: u64,
    /// The last audit entry that was processed for this webhook.
    pub cursor: u64,
    /// Until when the secret before the last rotation signs too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_until: Option<Timestamp>,
    /// The secret; only in the response that creates it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
}

/// Deliveries, newest first.
pub type DeliveryPage = Page<Delivery>;
