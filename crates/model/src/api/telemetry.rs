//! Reports of what models answered, and of how good it was.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::read::Assignment;
use crate::json;
use crate::model::content_id::ContentId;
use crate::model::deployment::Deployment;
use crate::model::name::{Label, PromptName};
use crate::model::time::Timestamp;
use crate::model::usd::Usd;

/// Most responses or scores in one request.
pub const REPORTS_MAX: usize = 1_000;
/// Most categories that a score declares.
pub const SCORE_CATEGORIES_MAX: usize = 100;
/// Largest batch of a replica, in bytes.
pub const TELEMETRY_BATCH_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Largest body of OTLP, in bytes, after decompression.
pub const OTLP_BODY_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Responses to record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReportResponsesRequest {
    /// The responses; 1 to 1,000.
    #[serde(deserialize_with = "json::objects")]
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
    /// The version: its number (also as a JSON number), a label, or `b3:` and its content ID.
    #[serde(default, deserialize_with = "json::text_or_whole_option", skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The `label` of the resolve answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// The `assignment` of the resolve answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assignment: Option<Assignment>,
    /// The subject that the prompt was resolved for, if the label serves a split and the stamp is not known.
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
    /// Tokens that the model read, cached ones included. A number smaller than those that were read from and written to
    /// a cache leaves them out, as in the usage of Anthropic: they are added.
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
    #[serde(deserialize_with = "json::objects")]
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
    /// The lowest number that this score can be; a lower `value` is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<f64>,
    /// The highest number that this score can be; a higher `value` is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<f64>,
    /// The words that this score can be; another `value` is refused.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub categories: Vec<String>,
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
    /// Reports of what happened longer ago than single responses and scores are kept for (`telemetry_events_days`): not
    /// recorded. A replica leaves this to its primary, too.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub too_old: u64,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
const fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// The answer to an exporter of OpenTelemetry.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct OtlpAnswer {
    /// What was not accepted, or accepted with a warning; absent if there is nothing to say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partial_success: Option<PartialSuccess>,
}

/// What an exporter sent that was not accepted. Do not send it again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PartialSuccess {
    /// Number of rejected spans.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rejected_spans: Option<String>,
    /// Number of rejected log records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rejected_log_records: Option<String>,
    /// Number of rejected data points.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rejected_data_points: Option<String>,
    /// The reasons.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_message: Option<String>,
}

/// An error as exporters of OpenTelemetry read it: `google.rpc.Status`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RpcStatus {
    /// The code of gRPC, for example 3 for an invalid request and 16 for a missing access token.
    pub code: u8,
    /// What is wrong, and what to do.
    pub message: String,
}

/// Recorded responses of models.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RecordedResponses {
    /// What was asked for, oldest first: one response, or those of a trace or a session.
    pub responses: Vec<RecordedResponse>,
    /// The other responses of the same trace, oldest first, if one response was asked for.
    pub others: Vec<RecordedResponse>,
    /// Whether the trace or session has older responses, which are not listed: the newest 1,000 are.
    #[serde(default)]
    pub truncated: bool,
}

/// A recorded response, the version that produced it, and its scores.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RecordedResponse {
    /// The ID of the response.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The trace: 32 hex digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
    /// The span in the trace: 16 hex digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub span_id: Option<String>,
    /// The span around it: 16 hex digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_span_id: Option<String>,
    /// When it was complete.
    pub ended: Timestamp,
    /// Who runs the model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// The model that was requested.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_requested: Option<String>,
    /// The model that answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The model that the version names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_of_version: Option<String>,
    /// The service tier that answered, if it is not the standard one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_tier: Option<String>,
    /// Tokens that the model read, cached ones included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_tokens: Option<u64>,
    /// Input tokens that were read from a cache.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_read_tokens: Option<u64>,
    /// Input tokens that were written to a cache.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_write_tokens: Option<u64>,
    /// Tokens that the model wrote, reasoning included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_tokens: Option<u64>,
    /// Output tokens that were reasoning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning_tokens: Option<u64>,
    /// How long it took, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency_ms: Option<f64>,
    /// How long the first token took, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_token_ms: Option<f64>,
    /// What it cost; absent if that is unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost_usd: Option<Usd>,
    /// Where the cost comes from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost_source: Option<CostOrigin>,
    /// The price table of a computed cost: the first 16 hex digits of its ID.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price_table: Option<String>,
    /// The kind of error, if the call failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The conversation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// The user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Where the application ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    /// The version that produced it; absent if that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<ProducedBy>,
    /// Why the version is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unattributed: Option<AttributionFailure>,
    /// What the application said about the prompt.
    pub reported: ReportedPrompt,
    /// The deployments by which labels served that version at that time: that of the label that was asked for, or of
    /// every label if none is known.
    pub deployments: Vec<Deployment>,
    /// Its scores, and those of its trace and session, oldest first.
    pub scores: Vec<RecordedScore>,
    /// What was sent to the model, as recorded; only for callers with an access token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<Value>,
    /// What the model answered, as recorded; only for callers with an access token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Value>,
}

impl RecordedResponse {
    /// The ID to ask for it by: its own, or that of its span; none if it has neither.
    #[must_use]
    pub fn address(&self) -> Option<String> {
        let of_span = || Some(format!("{}-{}", self.trace_id.as_ref()?, self.span_id.as_ref()?));
        self.id.clone().or_else(of_span)
    }
}

/// Where a cost comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CostOrigin {
    /// The application or the provider reported it.
    Reported,
    /// It was computed from a price table.
    PriceTable,
}

/// The version that produced a response.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProducedBy {
    /// The prompt.
    pub prompt: PromptName,
    /// The version number.
    pub version: u64,
    /// The content ID.
    pub content_id: ContentId,
    /// The stamp.
    pub stamp: String,
    /// The label that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<Label>,
    /// Index of the rule that chose it, from 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<u16>,
    /// The slot of the subject in the split that chose it, of 10,000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bucket: Option<u16>,
    /// How it was found.
    pub found_by: FoundBy,
}

/// How the version of a response was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum FoundBy {
    /// By the version number.
    Version,
    /// By the label, which served it when the call began; if it served nothing then, when the report arrived.
    Label,
    /// By the stamp.
    Stamp,
    /// By the content ID.
    ContentId,
    /// By the system text.
    Text,
}

/// Why the version of a response is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AttributionFailure {
    /// The application named no prompt.
    NoPrompt,
    /// There is no prompt of that name.
    UnknownPrompt,
    /// The prompt has no such version, label or content.
    UnknownVersion,
    /// The label serves several versions, and the subject is not known.
    AmbiguousSplit,
}

/// What an application said about the prompt of a response.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReportedPrompt {
    /// The prompt's name or a reference.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt: Option<String>,
    /// The version, label or content ID.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The stamp.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stamp: Option<String>,
    /// The label.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// The subject that the prompt was resolved for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
}

/// A recorded score.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RecordedScore {
    /// What is scored.
    pub name: String,
    /// The score.
    pub value: ReportedValue,
    /// What it is about.
    pub about: ScoredPart,
    /// Who or what scored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evaluator: Option<String>,
    /// The reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub explanation: Option<String>,
    /// When it was scored.
    pub at: Timestamp,
}

/// What a score is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ScoredPart {
    /// The response itself.
    Response,
    /// The whole trace.
    Trace,
    /// The whole session.
    Session,
    /// The version as a whole.
    Version,
}
