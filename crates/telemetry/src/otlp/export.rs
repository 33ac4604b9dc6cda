//! Recorded events as bodies of OTLP: responses as spans, scores as log records, with the version that was found.
//!
//! The names are the newest of the semantic conventions; what they have no name for begins with `bookholder.`. The same
//! event is always the same span, so that a collector can recognize what it is sent twice.

use std::collections::BTreeMap;

use super::write::{Attributes, Message};
use crate::event::{
    Attributed, AttributedBy, Attribution, Cost, CostSource, Event, Operation, Response, Score, ScoreTarget,
    ScoreValue, SpanContext, Unattributed,
};
use crate::model::response_tags::{BUCKET, LABEL, PROMPT_NAME, PROMPT_VERSION, RULE, STAMP};
use crate::model::stamp::stamp;

/// The name of the instrumentation scope.
const SCOPE: &str = "bookholder";
/// Nanoseconds of a millisecond, and of a microsecond.
const MS_NS: u64 = 1_000_000;
const US_NS: u64 = 1_000;
/// A span of a client, in the enumeration of OTLP.
const CLIENT: u64 = 3;
/// A status of an error, in the enumeration of OTLP.
const STATUS_ERROR: u64 = 2;

/// Bodies of requests in protobuf; empty where there is nothing to send.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Export {
    /// An `ExportTraceServiceRequest`.
    pub traces: Vec<u8>,
    /// An `ExportLogsServiceRequest`.
    pub logs: Vec<u8>,
}

/// The requests for events; `block` tells events without an id of their own from those of other blocks.
#[must_use]
pub fn export(block: u64, events: &[Event]) -> Export {
    // A resource is the environment of an application.
    let mut spans: BTreeMap<Option<&str>, Message> = BTreeMap::new();
    let mut records = Message::default();
    for (index, event) in events.iter().enumerate() {
        match event {
            Event::Response(response) => {
                let of_environment = spans.entry(response.environment.as_deref()).or_insert_with(scope);
                of_environment.message(2, &span(response, block, index));
            }
            Event::Score(score) => records.message(2, &record(score)),
        }
    }
    let mut traces = Message::default();
    for (environment, scope_spans) in spans {
        traces.message(1, &of_resource(environment, &scope_spans));
    }
    let mut logs = Message::default();
    if !records.is_empty() {
        let mut scope_logs = scope();
        scope_logs.append(&records);
        logs.message(1, &of_resource(None, &scope_logs));
    }
    Export { traces: traces.into_bytes(), logs: logs.into_bytes() }
}

/// A `ScopeSpans` or `ScopeLogs` with its scope.
fn scope() -> Message {
    let mut scope = Message::default();
    scope.text(1, SCOPE);
    let mut of_scope = Message::default();
    of_scope.message(1, &scope);
    of_scope
}

/// A `ResourceSpans` or `ResourceLogs` of one group.
fn of_resource(environment: Option<&str>, group: &Message) -> Message {
    let mut attributes = Attributes::new(1);
    attributes.text("service.name", SCOPE);
    attributes.optional("deployment.environment.name", environment);
    let mut whole = Message::default();
    whole.message(1, attributes.message());
    whole.message(2, group);
    whole
}

/// A `Span`.
fn span(response: &Response, block: u64, index: usize) -> Message {
    let context = response.span.unwrap_or_else(|| context_of(response, block, index));
    let end_ns = u64::try_from(response.ended_ms).unwrap_or(0).saturating_mul(MS_NS);
    let took_ns = response.latency_us.unwrap_or(0).saturating_mul(US_NS);
    let operation = match response.operation {
        Operation::Chat => "chat",
        Operation::TextCompletion => "text_completion",
        Operation::Embeddings => "embeddings",
    };
    let model = response.model_requested.as_deref().or(response.model_used.as_deref());
    let mut span = Message::default();
    span.bytes(1, &context.trace);
    span.bytes(2, &context.span);
    if let Some(parent) = &response.parent {
        span.bytes(4, parent);
    }
    span.text(5, &model.map_or_else(|| operation.to_owned(), |model| format!("{operation} {model}")));
    span.number(6, CLIENT);
    span.fixed(7, end_ns.saturating_sub(took_ns));
    span.fixed(8, end_ns);
    let mut attributes = Attributes::new(9);
    attributes.text("gen_ai.operation.name", operation);
    claimed(&mut attributes, response);
    counted(&mut attributes, response);
    attributed(&mut attributes, response);
    span.append(attributes.message());
    if response.error.is_some() {
        let mut status = Message::default();
        status.number(3, STATUS_ERROR);
        span.message(15, &status);
    }
    span
}

/// The ids of a response that had no span.
fn context_of(response: &Response, block: u64, index: usize) -> SpanContext {
    let mut hasher = blake3::Hasher::new_derive_key("bookholder telemetry 2026 exported span");
    match &response.id {
        Some(id) => hasher.update(id.as_bytes()),
        None => hasher.update(&block.to_le_bytes()).update(&u64::try_from(index).unwrap_or(u64::MAX).to_le_bytes()),
    };
    let (mut trace, mut span) = ([0; 16], [0; 8]);
    let mut bytes = hasher.finalize_xof();
    bytes.fill(&mut trace);
    bytes.fill(&mut span);
    SpanContext { trace, span }
}

fn claimed(attributes: &mut Attributes, response: &Response) {
    for (key, text) in [
        ("gen_ai.provider.name", &response.provider),
        ("gen_ai.request.model", &response.model_requested),
        ("gen_ai.response.model", &response.model_used),
        ("gen_ai.response.id", &response.id),
        ("gen_ai.conversation.id", &response.session),
        ("user.id", &response.user),
        ("error.type", &response.error),
    ] {
        attributes.optional(key, text.as_deref());
    }
    if let Some(body) = &response.body {
        attributes.optional("gen_ai.input.messages", body.input.as_deref());
        attributes.optional("gen_ai.output.messages", body.output.as_deref());
    }
}

#[allow(clippy::cast_precision_loss, reason = "conventions want floats, and 53 bits are enough")]
fn counted(attributes: &mut Attributes, response: &Response) {
    let tokens = response.tokens;
    let written = [tokens.cache_write, tokens.cache_write_1h].into_iter().flatten().reduce(u64::saturating_add);
    for (key, number) in [
        ("gen_ai.usage.input_tokens", tokens.input),
        ("gen_ai.usage.output_tokens", tokens.output),
        ("gen_ai.usage.cache_read.input_tokens", tokens.cache_read),
        // The newest name, and the one before that most receivers know.
        ("gen_ai.usage.cache_write.input_tokens", written),
        ("gen_ai.usage.cache_creation.input_tokens", written),
        ("gen_ai.usage.reasoning.output_tokens", tokens.reasoning),
    ] {
        attributes.number(key, number);
    }
    if let Some(us) = response.first_token_us {
        attributes.double("gen_ai.response.time_to_first_chunk", us as f64 / 1e6);
    }
    if let Some(Cost { pico_usd, source }) = response.cost {
        attributes.double("gen_ai.usage.cost.amount", pico_usd as f64 / 1e12);
        attributes.text("gen_ai.usage.cost.currency", "USD");
        let source = match source {
            CostSource::Reported => "provider",
            CostSource::Table(_) => "local",
        };
        attributes.text("gen_ai.usage.cost.source", source);
    }
}

/// The version that was found; else what the application said, and why that was not enough.
fn attributed(attributes: &mut Attributes, response: &Response) {
    let reason = match &response.attribution {
        Attribution::Version(found) => return version(attributes, found),
        Attribution::Pending => Unattributed::UnknownPrompt,
        Attribution::Unattributed(reason) => *reason,
    };
    let claim = &response.claim;
    for (key, text) in
        [(PROMPT_NAME, &claim.prompt), (PROMPT_VERSION, &claim.version), (STAMP, &claim.stamp), (LABEL, &claim.label)]
    {
        attributes.optional(key, text.as_deref());
    }
    let reason = match reason {
        Unattributed::NoPrompt => "no_prompt",
        Unattributed::UnknownPrompt => "unknown_prompt",
        Unattributed::UnknownVersion => "unknown_version",
        Unattributed::AmbiguousSplit => "ambiguous_split",
    };
    attributes.text("bookholder.unattributed", reason);
}

fn version(attributes: &mut Attributes, found: &Attributed) {
    attributes.text(PROMPT_NAME, found.prompt.as_str());
    attributes.text(PROMPT_VERSION, &found.version.to_string());
    attributes.text(STAMP, &stamp(&found.prompt, found.version, &found.content_id));
    attributes.text("bookholder.content_id", &found.content_id.to_string());
    attributes.optional(LABEL, found.label.as_ref().map(crate::model::name::Label::as_str));
    attributes.number(RULE, found.arm.and_then(|arm| arm.rule).map(u64::from));
    attributes.number(BUCKET, found.arm.and_then(|arm| arm.bucket).map(u64::from));
    let found_by = match found.by {
        AttributedBy::Version => "version",
        AttributedBy::Label => "label",
        AttributedBy::Stamp => "stamp",
        AttributedBy::ContentId => "content_id",
        AttributedBy::Text => "text",
    };
    attributes.text("bookholder.found_by", found_by);
}

/// A `LogRecord`.
fn record(score: &Score) -> Message {
    let at_ns = u64::try_from(score.at_ms).unwrap_or(0).saturating_mul(MS_NS);
    let mut attributes = Attributes::new(6);
    attributes.text("gen_ai.evaluation.name", &score.name);
    match &score.value {
        ScoreValue::Number(number) => attributes.double("gen_ai.evaluation.score.value", number.number()),
        ScoreValue::Boolean(passed) => {
            attributes.double("gen_ai.evaluation.score.value", f64::from(u8::from(*passed)));
            attributes.text("gen_ai.evaluation.score.label", if *passed { "pass" } else { "fail" });
        }
        ScoreValue::Category(label) => attributes.text("gen_ai.evaluation.score.label", label),
    }
    attributes.optional("gen_ai.evaluation.explanation", score.explanation.as_deref());
    attributes.optional("gen_ai.evaluation.evaluator.name", score.evaluator.as_deref());
    attributes.optional("gen_ai.evaluation.id", score.id.as_deref());
    let mut record = Message::default();
    record.fixed(1, at_ns);
    match &score.target {
        ScoreTarget::Response(id) => attributes.text("gen_ai.response.id", id),
        ScoreTarget::Session(id) => attributes.text("gen_ai.conversation.id", id),
        ScoreTarget::Version { prompt, version } => {
            attributes.text(PROMPT_NAME, prompt.as_str());
            attributes.text(PROMPT_VERSION, &version.to_string());
        }
        ScoreTarget::Trace(trace) => record.bytes(9, trace),
        ScoreTarget::Span(span) => {
            record.bytes(9, &span.trace);
            record.bytes(10, &span.span);
        }
    }
    record.append(attributes.message());
    record.fixed(11, at_ns);
    record.text(12, "gen_ai.evaluation.result");
    record
}
