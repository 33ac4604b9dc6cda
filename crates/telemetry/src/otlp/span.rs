//! What a span says: whether it is a call of a model, and which.

use std::borrow::Cow;

use super::LATENCY_US_MAX;
use super::attributes::Attributes;
use super::batch::{Batch, Options};
use super::content::Conversation;
use super::names::Field;
use super::node::{Call, Inherited, Node};
use super::reason::{Reason, Reasons};
use super::record::{Exception, Span, believed_ms, inherited};
use super::score::scores_of_span;
use super::usage::{cost, has_usage, tokens};
use super::value::{Value, whole};
use crate::event::{Attribution, ID_BYTES_MAX, NAME_BYTES_MAX, Operation, Response, cut};

/// Nanoseconds of a microsecond.
const US_NS: u64 = 1_000;
/// Microseconds of a second.
const S_US: f64 = 1e6;
/// Microseconds of a millisecond.
const MS_US: f64 = 1e3;

/// Names of events that mark the first token, or each one.
const FIRST_TOKEN_EVENTS: [&str; 4] = [
    "First Token Stream Event",
    "gen_ai.content.completion.chunk",
    "llm.content.completion.chunk",
    "ai.stream.firstChunk",
];

/// Reads a span into a batch.
pub(super) fn read_span(span: &Span<'_>, resource: &Attributes<'_>, options: &Options, batch: &mut Batch) {
    let inherited = inherited(&span.attributes, resource);
    let usage = has_usage(&span.attributes);
    let operation = match kind(&span.attributes) {
        Kind::Call(operation) => Some(operation),
        // Unless a call in it turns out to have the same usage.
        Kind::Unknown if usage => Some(Operation::Chat),
        Kind::Unknown | Kind::Other => None,
    };
    scores_of_span(span, operation.is_some(), options, batch);
    let call = operation.map(|operation| {
        Box::new(Call {
            response: response(span, operation, &inherited, options, &mut batch.reasons),
            has_usage: usage,
        })
    });
    batch.nodes.push(Node {
        context: span.context,
        parent: span.parent,
        inherited: (!inherited.is_empty()).then(|| Box::new(inherited)),
        system: None,
        call,
        is_span: true,
    });
}

/// What kind of span it is, as its instrumentation says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// A call of a model.
    Call(Operation),
    /// Something else, which may carry the sums of calls below it: an agent, a chain, a tool.
    Other,
    /// Nothing says.
    Unknown,
}

/// The kind of a span, by the first of the conventions that says it.
fn kind(attributes: &Attributes<'_>) -> Kind {
    let by = |field, kind: fn(&str) -> Option<Operation>| {
        attributes.text(field).map(|text| kind(&text).map_or(Kind::Other, Kind::Call))
    };
    let conventions = [
        by(Field::Operation, |name| match name {
            "chat" | "generate_content" | "responses" => Some(Operation::Chat),
            "text_completion" | "completion" => Some(Operation::TextCompletion),
            "embeddings" | "embedding" => Some(Operation::Embeddings),
            _ => None,
        }),
        by(Field::OpenInferenceKind, |kind| match kind {
            "LLM" => Some(Operation::Chat),
            "EMBEDDING" => Some(Operation::Embeddings),
            _ => None,
        }),
        by(Field::AiOperation, |name| {
            let step = name.rsplit('.').next().unwrap_or(name);
            match step {
                "doGenerate" | "doStream" => Some(Operation::Chat),
                "doEmbed" => Some(Operation::Embeddings),
                _ => None,
            }
        }),
        by(Field::LangfuseType, |kind| match kind.to_ascii_lowercase().as_str() {
            "generation" => Some(Operation::Chat),
            "embedding" => Some(Operation::Embeddings),
            _ => None,
        }),
        by(Field::RequestType, |kind| match kind {
            "chat" => Some(Operation::Chat),
            "completion" => Some(Operation::TextCompletion),
            "embedding" => Some(Operation::Embeddings),
            _ => None,
        }),
        attributes.has(Field::TraceloopKind).then_some(Kind::Other),
    ];
    conventions.into_iter().flatten().next().unwrap_or(Kind::Unknown)
}

fn response(
    span: &Span<'_>,
    operation: Operation,
    inherited: &Inherited,
    options: &Options,
    reasons: &mut Reasons,
) -> Box<Response> {
    let attributes = &span.attributes;
    let name = |field| Some(cut(attributes.text(field)?.into_owned(), NAME_BYTES_MAX));
    let mut conversation = Conversation::of(attributes, options.record_content);
    for event in &span.events {
        conversation.add_event(&event.name, &event.attributes);
    }
    let mut claim = inherited.claim.clone();
    let system = conversation.system_text();
    claim.system = system.as_ref().map(|system| system.hash);
    Box::new(Response {
        id: attributes
            .text(Field::ResponseId)
            .map(Cow::into_owned)
            .or_else(|| id_in_output(attributes))
            .map(|id| cut(id, ID_BYTES_MAX)),
        span: Some(span.context),
        parent: span.parent,
        ended_ms: believed_ms(span.end_ns, options.now_ms, reasons),
        operation,
        provider: attributes.text(Field::Provider).map(|name| cut(provider(&name), NAME_BYTES_MAX)),
        model_requested: name(Field::ModelRequested),
        model_used: name(Field::ModelUsed),
        service_tier: name(Field::ServiceTier).map(|tier| tier.to_ascii_lowercase()).filter(|tier| !is_standard(tier)),
        tokens: tokens(attributes, reasons),
        latency_us: latency_us(span, reasons),
        first_token_us: first_token_us(span, reasons),
        cost: cost(attributes, reasons),
        error: error(span).map(|kind| cut(kind, NAME_BYTES_MAX)),
        session: inherited.session.clone(),
        user: inherited.user.clone(),
        environment: inherited.environment.clone(),
        claim,
        attribution: Attribution::Pending,
        body: if options.record_content { conversation.body() } else { None },
        system_text: system.map(|system| system.text),
        observed: None,
    })
}

/// Whether a service level is the one that is had without asking.
fn is_standard(tier: &str) -> bool {
    matches!(tier, "default" | "auto" | "standard" | "on_demand")
}

/// The name of a provider, without what the AI SDK adds to it.
fn provider(name: &str) -> String {
    let name = name.to_ascii_lowercase();
    let apis = [".chat", ".responses", ".completion", ".embedding", ".messages", ".generative-ai"];
    apis.iter().find_map(|api| name.strip_suffix(api)).unwrap_or(&name).to_owned()
}

/// The id in an answer that was recorded as it came, where no attribute has it.
fn id_in_output(attributes: &Attributes<'_>) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Answer<'a> {
        #[serde(borrow)]
        id: Cow<'a, str>,
    }

    let output = attributes.text(Field::OutputMessages).filter(|output| output.starts_with('{'))?;
    let answer: Answer<'_> = serde_json::from_str(&output).ok()?;
    Some(answer.id.into_owned())
}

/// How long a span took: a clock that is wrong still measures durations.
fn latency_us(span: &Span<'_>, reasons: &mut Reasons) -> Option<u64> {
    if span.start_ns == 0 || span.end_ns == 0 {
        return None;
    }
    let latency = span.end_ns.checked_sub(span.start_ns).map(|ns| ns / US_NS).filter(|us| *us <= LATENCY_US_MAX);
    if latency.is_none() {
        reasons.add(Reason::BadDuration, 1);
    }
    latency
}

/// How long the first token took: a number of seconds or milliseconds, or the time at which it came.
fn first_token_us(span: &Span<'_>, reasons: &mut Reasons) -> Option<u64> {
    let attributes = &span.attributes;
    let seconds = attributes.number(Field::FirstTokenSeconds).map(|seconds| seconds * S_US);
    let millis = attributes.number(Field::FirstTokenMillis).map(|millis| millis * MS_US);
    if let Some(us) = seconds.or(millis) {
        let us = whole(us, LATENCY_US_MAX);
        if us.is_none() {
            reasons.add(Reason::BadDuration, 1);
        }
        return us;
    }
    let event = span.events.iter().find(|event| FIRST_TOKEN_EVENTS.contains(&&*event.name));
    let at_ns = match event {
        Some(event) => event.time_ns,
        None => time_ns(&attributes.text(Field::FirstTokenAt)?)?,
    };
    let us = at_ns.checked_sub(span.start_ns)? / US_NS;
    (us <= LATENCY_US_MAX).then_some(us)
}

/// A time in words, which may stand in quotation marks.
fn time_ns(text: &str) -> Option<u64> {
    let time: jiff::Timestamp = text.trim_matches('"').parse().ok()?;
    u64::try_from(time.as_nanosecond()).ok()
}

/// The name of a class that Python wrote as `<class 'module.Name'>`; any other text as it is.
fn class_name(kind: &str) -> &str {
    let written = kind.strip_prefix("<class '").and_then(|kind| kind.strip_suffix("'>"));
    written.map_or(kind, |path| path.rsplit('.').next().unwrap_or(path))
}

/// The kind of error of a span that failed.
fn error(span: &Span<'_>) -> Option<String> {
    let attributes = &span.attributes;
    if let Some(kind) = attributes.text(Field::Error) {
        return Some(class_name(&kind).to_owned());
    }
    let finished_badly = || match attributes.value(Field::FinishReasons) {
        Some(Value::Tree(reasons)) => {
            reasons.as_array().is_some_and(|list| list.iter().any(|reason| reason == "error"))
        }
        Some(reason) => reason.text().is_some_and(|reason| matches!(&*reason, "error" | "[\"error\"]")),
        None => false,
    };
    let at_level = || attributes.text(Field::Level).is_some_and(|level| level.eq_ignore_ascii_case("error"));
    if !span.failed && !at_level() && !finished_badly() {
        return None;
    }
    let exception = span.events.iter().rev().find_map(|event| event.exception.as_ref());
    Some(exception.map_or_else(|| "error".to_owned(), |Exception(kind)| kind.clone()))
}
