//! Reports of what models answered, and of how good it was.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::json;
use crate::model::time::Timestamp;

/// Most responses or scores in one request.
pub const REPORTS_MAX: usize = 1_000;
/// Largest batch of a replica, in bytes.
pub const TELEMETRY_BATCH_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Largest body of a report, in bytes, after decompression.
pub const REPORT_BODY_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Responses to record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReportResponsesRequest {
    /// The responses; 1 to 1,000.
    pub responses: Vec<ReportedResponse>,
}

/// A response of a model, and which prompt it was for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReportedResponse {
    /// The ID of the response, as the provider or the application calls it. Reporting the same ID again changes nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The `stamp` of the resolved prompt. It says which version this is, whatever the labels serve now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stamp: Option<String>,
    /// The prompt's name or a reference, where the stamp is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt: Option<String>,
    /// The version: its number, a label, or `b3:` and its content ID.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The subject that the prompt was resolved for, if the label serves a split.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// When the response was complete; now when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Timestamp>,
    /// Who runs the model, for example `openai`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// The model that answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The model that was requested.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_requested: Option<String>,
    /// Tokens that the model read, cached ones included.
    #[serde(default, deserialize_with = "json::whole_option", skip_serializing_if = "Option::is_none")]
    pub input_tokens: Option<u64>,
    /// Input tokens that were read from a cache.
    #[serde(default, deserialize_with = "json::whole_option", skip_serializing_if = "Option::is_none")]
    pub cache_read_tokens: Option<u64>,
    /// Input tokens that were written to a cache.
    #[serde(default, deserialize_with = "json::whole_option", skip_serializing_if = "Option::is_none")]
    pub cache_write_tokens: Option<u64>,
    /// Tokens that the model wrote, reasoning included.
    #[serde(default, deserialize_with = "json::whole_option", skip_serializing_if = "Option::is_none")]
    pub output_tokens: Option<u64>,
    /// Output tokens that were reasoning.
    #[serde(default, deserialize_with = "json::whole_option", skip_serializing_if = "Option::is_none")]
    pub reasoning_tokens: Option<u64>,
    /// How long the response took, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency_ms: Option<f64>,
    /// How long the first token took, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_token_ms: Option<f64>,
    /// What the response cost, in US dollars, if the provider says so. Otherwise it is computed from the price table.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost_usd: Option<f64>,
    /// The kind of error, if the call failed, for example `rate_limited`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The conversation that the response is part of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// The user that the response is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Where the application runs, for example `production`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    /// The trace of the call: 32 hex digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
    /// The span of the call: 16 hex digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub span_id: Option<String>,
    /// The messages that were sent; recorded only where the node records content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<Value>,
    /// What the model answered; recorded only where the node records content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Value>,
}

/// Scores to record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReportScoresRequest {
    /// The scores; 1 to 1,000.
    pub scores: Vec<ReportedScore>,
}

/// A score: how good a response was. Exactly one of `response`, `trace_id`, `session` and `stamp` says of what.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReportedScore {
    /// The ID of the score. Reporting the same ID again changes nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The ID of the response. The score may arrive before the response.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response: Option<String>,
    /// The trace: 32 hex digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
    /// The span in the trace: 16 hex digits; the whole trace when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub span_id: Option<String>,
    /// The conversation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// The stamp of a version, or a reference to it, for a score of the version as a whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stamp: Option<String>,
    /// What is scored, for example `helpfulness`; 1 to 128 bytes.
    pub name: String,
    /// A number from -1e9 to 1e9, `true` or `false`, or one of a few words.
    pub value: ReportedValue,
    /// Who or what scored, for example `gpt-5-judge` or `support team`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evaluator: Option<String>,
    /// The reason for the score.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub explanation: Option<String>,
    /// When it was scored; now when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
}

/// The value of a score.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum ReportedValue {
    /// Passed or failed.
    Boolean(bool),
    /// A number.
    Number(f64),
    /// A category.
    Category(String),
}

/// How far a replica's telemetry is merged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MergedTelemetry {
    /// The last batch of this spool that the primary has; the replica can forget it and those before.
    pub merged: u64,
}

/// What became of reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReportAnswer {
    /// Reports that were recorded.
    pub recorded: u64,
    /// Reports that were recorded already. A replica leaves this to its primary and counts them as recorded.
    pub duplicates: u64,
}
