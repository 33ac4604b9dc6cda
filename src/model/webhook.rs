//! Webhooks: who is told of what happens here, and what became of telling them.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::pattern::Pattern;
use super::time::Timestamp;

/// Most webhooks of a registry: each is looked at for every audit entry.
pub const WEBHOOKS_MAX: usize = 100;
/// Attempts of a delivery that are remembered, the last ones: a whole schedule, and some of a redelivery.
pub const ATTEMPTS_MAX: usize = 12;

/// How a receiver wants to be told.
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
    /// As it is written, for example `slack`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Standard => "standard",
            Self::Slack => "slack",
        }
    }
}

/// A receiver of events. Its secrets are kept apart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Webhook {
    /// Unique; 1 to 64 of a-z 0-9 . _ - @.
    pub name: String,
    /// Where events are posted to; may be a credential itself.
    pub url: String,
    /// Which events: exact types, `beginning.*`, or `*`.
    pub events: Vec<String>,
    /// Which prompts; an event of no prompt passes only where every prompt does.
    pub prompts: Pattern,
    /// How it wants to be told.
    pub format: WebhookFormat,
    /// Since when.
    pub created: Timestamp,
    /// Since when nothing is sent, and why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disabled: Option<Disabled>,
    /// The audit entry up to which it was decided what to send.
    pub cursor: u64,
    /// The first failure since something arrived last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failing_since: Option<Timestamp>,
    /// Attempts that failed since something arrived last.
    #[serde(default)]
    pub failures: u32,
    /// Until when it rests after a failure, or its receiver asked to be left alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quiet_until: Option<Timestamp>,
    /// How many of its deliveries are pending.
    #[serde(default)]
    pub pending: u64,
    /// How many of its deliveries are over and remembered.
    #[serde(default)]
    pub over: u64,
}

/// Why nothing is sent to a webhook.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Disabled {
    /// Since when.
    pub at: Timestamp,
    /// Who or what disabled it, and why.
    pub why: String,
}

/// One event on its way to one webhook.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Delivery {
    /// To which webhook.
    pub webhook: String,
    /// The audit entry that the event is of.
    pub seq: u64,
    /// Which effect of the entry the event is, from 0: publishing under a label makes a version, and moves the label.
    #[serde(default)]
    pub effect: u64,
    /// The header `webhook-id`, the same for every attempt.
    pub id: String,
    /// For example `prompt.label.moved`.
    pub event_type: String,
    /// What became of it.
    pub state: DeliveryState,
    /// The last attempts, oldest first.
    pub attempts: Vec<Attempt>,
    /// Attempts of the schedule that have been made.
    #[serde(default)]
    pub tried: u32,
    /// When the next attempt is due; none when it is over, or due as soon as it is its turn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_at: Option<Timestamp>,
    /// When it was over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Timestamp>,
}

/// What became of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum DeliveryState {
    /// It waits for its first or next attempt.
    Pending,
    /// The receiver has it.
    Delivered,
    /// It was given up.
    Failed,
}

impl DeliveryState {
    /// As it is written, for example `pending`.
    #[must_use]
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
    /// What the receiver answered; none when it could not be reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// What went wrong; none when it arrived.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
}

impl Delivery {
    /// An event that nobody tried to deliver yet.
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

    /// Remembers an attempt, and forgets the oldest beyond [`ATTEMPTS_MAX`].
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
    fn the_last_attempts_are_remembered_and_all_are_counted() {
        let mut delivery = Delivery::new("a", (7, 0), "msg_1_7".to_owned(), "prompt.label.moved".to_owned());
        for took_ms in 0..20 {
            delivery.remember(Attempt { at: Timestamp::from_ms(0), status: Some(500), error: None, took_ms });
        }
        let took: Vec<u64> = delivery.attempts.iter().map(|attempt| attempt.took_ms).collect();
        assert_eq!((took, delivery.tried), ((8..20).collect(), 20));
    }
}
