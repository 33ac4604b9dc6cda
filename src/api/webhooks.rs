//! Webhooks on the wire: how one is kept, and how it is shown.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::read::Page;
use crate::json;
use crate::model::pattern::Pattern;
use crate::model::time::Timestamp;
use crate::model::webhook::{Delivery, Disabled, WebhookFormat};

/// A webhook to keep, in place of one of the same name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WebhookRequest {
    /// Where events are posted to: `https://…`, unless the operator allows its network.
    pub url: String,
    /// Which events: exact types such as `prompt.label.moved`, beginnings such as `prompt.*`, or `*`.
    #[serde(default = "every_event")]
    pub events: Vec<String>,
    /// Which prompts; an event of no prompt passes only where every prompt does.
    #[serde(default = "Pattern::everything")]
    pub prompts: Pattern,
    /// How the receiver wants to be told.
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
    /// Seconds for which the old secret signs as well, so that the receiver can change; at most 30 days.
    #[serde(default, deserialize_with = "json::whole")]
    pub overlap_s: u64,
}

/// Why a webhook shall rest.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SuspensionRequest {
    /// In the actor's words; may be empty.
    #[serde(default)]
    pub message: String,
}

/// A test that is on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TestAnswer {
    /// The audit entry that the event is; the webhook's deliveries say what became of it.
    pub seq: u64,
}

/// A webhook as it can be shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WebhookView {
    /// Its name.
    pub name: String,
    /// Where events are posted to; without what comes behind the host where that is a credential.
    pub url: String,
    /// Which events.
    pub events: Vec<String>,
    /// Which prompts.
    pub prompts: Pattern,
    /// How it wants to be told.
    pub format: WebhookFormat,
    /// Since when.
    pub created: Timestamp,
    /// Since when nothing is sent, and why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disabled: Option<Disabled>,
    /// The first failure since something arrived last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failing_since: Option<Timestamp>,
    /// Attempts that failed since something arrived last.
    pub failures: u32,
    /// How many deliveries wait.
    pub pending: u64,
    /// The audit entry up to which it was decided what to send.
    pub cursor: u64,
    /// Until when the secret before the last rotation signs as well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_until: Option<Timestamp>,
    /// The secret; only in the answer that makes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
}

/// Deliveries, newest first.
pub type DeliveryPage = Page<Delivery>;
