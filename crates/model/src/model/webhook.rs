//! Webhooks: receivers of events, and deliveries to them.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::pattern::Pattern;
use super::time::Timestamp;

/// Most webhooks of a registry: each is checked for every audit entry.
pub const WEBHOOKS_MAX: usize = 100;
/// Number of attempts of a delivery that are stored, newest ones: a whole schedule and part of a redelivery.
pub const ATTEMPTS_MAX: usize = 12;

/// The format of the messages to a webhook.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum WebhookFormat {
    /// `{type, timestamp, data}`, as Standard Webhooks has it.
    #[default]
    Standard,
    /// `{text, blocks}`, as Slack's incoming webhooks read it.
    Slack,
}

impl WebhookFormat {
    /// Its name in JSON, for example `slack`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Standard => "standard",
            Self::Slack => "slack",
        }
    }
}

/// A receiver of events. Its secrets are stored separately.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Webhook {
    /// Unique; 1 to 64 characters from a-z 0-9 . _ - @.
    pub name: String,
    /// The URL that events are posted to; it can be a credential itself.
    pub url: String,
    /// Event filters: exact types, `prefix.*`, or `*`.
    pub events: Vec<String>,
    /// The prompts; an event without a prompt is only sent if the pattern matches all prompts.
    pub prompts: Pattern,
    /// The format of the messages.
    pub format: WebhookFormat,
    /// The time.
    pub created: Timestamp,
    /// Since when it is disabled, and why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disabled: Option<Disabled>,
    /// The last audit entry that was processed for this webhook.
    pub cursor: u64,
    /// The first failure since the last successful delivery.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failing_since: Option<Timestamp>,
    /// Failed attempts since the last successful delivery.
    #[serde(default)]
    pub failures: u32,
    /// Until when nothing is sent, after a failure or because the receiver asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quiet_until: Option<Timestamp>,
    /// Number of pending deliveries.
    #[serde(default)]
    pub pending: u64,
    /// Number of stored completed deliveries.
    #[serde(default)]
    pub over: u64,
}

/// Why a webhook is disabled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Disabled {
    /// The time.
    pub at: Timestamp,
    /// The reason, with who or what disabled it.
    pub why: String,
}

/// The delivery of one event to one webhook.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Delivery {
    /// The webhook.
    pub webhook: String,
    /// The audit entry of the event.
    pub seq: u64,
    /// The index of the event among those of the entry, from 0: publishing to a label creates a version and a
    /// deployment.
    #[serde(default)]
    pub effect: u64,
    /// The header `webhook-id`, the same for every attempt.
    pub id: String,
    /// The type of the event, for example `prompt.label.moved`.
    pub event_type: String,
    /// Its state.
    pub state: DeliveryState,
    /// The last attempts, oldest first.
    pub attempts: Vec<Attempt>,
    /// Attempts of the schedule that have been made.
    #[serde(default)]
    pub tried: u32,
    /// When the next attempt is due; absent if it is completed, or due at its turn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_at: Option<Timestamp>,
    /// When it was completed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Timestamp>,
}

/// The state of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum DeliveryState {
    /// It is waiting for its first or next attempt.
    Pending,
    /// The receiver accepted it.
    Delivered,
    /// It was given up.
    Failed,
}

impl DeliveryState {
    /// Its name in JSON, for example `pending`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Delivered => "delivered",
            Self::Failed => "failed",
        }
    }
}

/// One attempt to deliver.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Attempt {
    /// When it ended.
    pub at: Timestamp,
    /// The HTTP status of the receiver; absent if it could not be reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// What went wrong; absent if it was delivered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
}

impl Delivery {
    /// An event without delivery attempts.
    #[must_use]
    pub fn new(webhook: &str, (seq, effect): (u64, u64), id: String, event_type: String) -> Self {
        Self {
            webhook: webhook.to_owned(),
            seq,
            effect,
            id,
            event_type,
            state: DeliveryState::Pending,
            attempts: Vec::new(),
            tried: 0,
            next_at: None,
            ended: None,
        }
    }

    /// Records an attempt, and drops the oldest beyond [`ATTEMPTS_MAX`].
    pub fn remember(&mut self, attempt: Attempt) {
        self.attempts.push(attempt);
        let too_many = self.attempts.len().saturating_sub(ATTEMPTS_MAX);
        self.attempts.drain(..too_many);
        self.tried = self.tried.saturating_add(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_attempts_are_kept_and_all_are_counted() {
        let mut delivery = Delivery::new("a", (7, 0), "msg_1_7".to_owned(), "prompt.label.moved".to_owned());
        for took_ms in 0..20 {
            delivery.remember(Attempt { at: Timestamp::from_ms(0), status: Some(500), error: None, took_ms });
        }
        let took: Vec<u64> = delivery.attempts.iter().map(|attempt| attempt.took_ms).collect();
        assert_eq!((took, delivery.tried), ((8..20).collect(), 20));
    }
}
