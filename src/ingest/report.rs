//! Reports in our own JSON, as events.

use serde_json::Value;

use super::error::IngestError;
use crate::api::telemetry::{REPORTS_MAX, ReportedResponse, ReportedScore, ReportedValue, SCORE_CATEGORIES_MAX};
use crate::model::time::Timestamp;
use crate::telemetry::event::{
    Arm, Body, Claim, Cost, CostSource, EXPLANATION_BYTES_MAX, ID_BYTES_MAX, NAME_BYTES_MAX, Operation,
    REFERENCE_BYTES_MAX, Response, Score, ScoreTarget, ScoreValue, SpanContext, TOKENS_MAX, Tokens, cut, hex,
};
use crate::telemetry::moments::Millionths;
use crate::telemetry::otlp::{recorded_content, system_text_of_input};

/// Pico-dollars in a dollar.
const PICO: f64 = 1e12;
/// The largest cost of one response, in dollars.
const COST_USD_MAX: f64 = 1e6;
/// The longest duration of one response, in milliseconds: 30 days.
const DURATION_MS_MAX: f64 = 2.592e9;
/// How far ahead of this node's clock a report may be, in milliseconds; later ones count as of now.
const AHEAD_MS_MAX: i64 = 5 * 60 * 1_000;
/// The first moment that counts as such, in milliseconds since 1970: the year 2000.
const FIRST_MS: i64 = 946_684_800_000;

/// Refuses no reports, and more than there may be.
pub(super) fn check_number(field: &str, number: usize) -> Result<(), IngestError> {
    if (1..=REPORTS_MAX).contains(&number) {
        return Ok(());
    }
    Err(IngestError::Field { field: field.to_owned(), reason: "send 1 to 1,000 in one request" })
}

/// A reported response as an event.
pub(super) fn response(index: usize, reported: ReportedResponse, now_ms: i64) -> Result<Response, IngestError> {
    let at = |field: &str| format!("responses[{index}].{field}");
    let span = span(&at, reported.trace_id.as_deref(), reported.span_id.as_deref())?;
    let ended_ms = moment(reported.ended, now_ms);
    let system = reported.input.as_ref().and_then(system_text_of_input);
    let said = |content: Option<Value>, role| {
        content.filter(|content| !content.is_null()).map(|content| recorded_content(&content, role))
    };
    let (input, output) = (said(reported.input, "user"), said(reported.output, "assistant"));
    let body = (input.is_some() || output.is_some()).then(|| Box::new(Body { input, output }));
    Ok(Response {
        id: id(reported.id),
        span,
        parent: None,
        ended_ms,
        operation: Operation::Chat,
        provider: name(reported.provider),
        model_requested: name(reported.model_requested),
        model_used: name(reported.model),
        tokens: Tokens {
            input: tokens(reported.input_tokens),
            cache_read: tokens(reported.cache_read_tokens),
            cache_write: tokens(reported.cache_write_tokens),
            output: tokens(reported.output_tokens),
            reasoning: tokens(reported.reasoning_tokens),
            ..Tokens::default()
        }
        .with_cached_input(),
        latency_us: duration(&at("latency_ms"), reported.latency_ms)?,
        first_token_us: duration(&at("first_token_ms"), reported.first_token_ms)?,
        cost: cost(&at("cost_usd"), reported.cost_usd)?,
        error: name(reported.error),
        session: id(reported.session),
        user: id(reported.user),
        environment: name(reported.environment),
        claim: Claim {
            prompt: reported.prompt.map(|text| cut(text, REFERENCE_BYTES_MAX)),
            version: reported.version.map(|text| cut(text, ID_BYTES_MAX)),
            stamp: reported.stamp.map(|text| cut(text, REFERENCE_BYTES_MAX)),
            label: name(reported.label),
            arm: reported
                .assignment
                .and_then(|by| Arm::new(by.rule.and_then(|rule| u16::try_from(rule).ok()), by.bucket)),
            system: system.as_ref().map(|system| system.hash),
            subject: id(reported.subject),
        },
        body,
        system_text: system.map(|system| system.text),
        ..Response::default()
    })
}

/// A reported score as an event; `version_of` looks up the version that a stamp names.
pub(super) fn score(
    index: usize,
    reported: ReportedScore,
    now_ms: i64,
    version_of: impl Fn(&str) -> Option<ScoreTarget>,
) -> Result<Score, IngestError> {
    let at = |field: &str| format!("scores[{index}].{field}");
    let wrong = |field: &str, reason| IngestError::Field { field: at(field), reason };
    let named = [&reported.response, &reported.trace_id, &reported.session, &reported.stamp];
    if named.into_iter().flatten().count() != 1 {
        return Err(wrong("response", "use exactly one of `response`, `trace_id`, `session` and `stamp`"));
    }
    check_range(&wrong, &reported)?;
    let target = if let Some(response) = reported.response {
        ScoreTarget::Response(cut(response, ID_BYTES_MAX))
    } else if let Some(session) = reported.session {
        ScoreTarget::Session(cut(session, ID_BYTES_MAX))
    } else if let Some(stamp) = &reported.stamp {
        version_of(stamp).ok_or_else(|| wrong("stamp", "no version here has this stamp or reference"))?
    } else if reported.span_id.is_some() {
        let span = span(&at, reported.trace_id.as_deref(), reported.span_id.as_deref())?;
        ScoreTarget::Span(span.ok_or_else(|| wrong("trace_id", "a span needs its trace"))?)
    } else {
        let trace = id_of(reported.trace_id.as_deref().unwrap_or_default());
        ScoreTarget::Trace(trace.ok_or_else(|| wrong("trace_id", "use 32 hex digits, not all zero"))?)
    };
    if reported.name.trim().is_empty() {
        return Err(wrong("name", "say what is scored, for example `helpfulness`"));
    }
    let value = match reported.value {
        ReportedValue::Boolean(passed) => ScoreValue::Boolean(passed),
        ReportedValue::Number(number) => {
            let number = Millionths::try_from(number).map_err(|_| wrong("value", "use a number from -1e9 to 1e9"))?;
            ScoreValue::Number(number)
        }
        ReportedValue::Category(text) => match text.as_str() {
            "true" => ScoreValue::Boolean(true),
            "false" => ScoreValue::Boolean(false),
            _ => ScoreValue::Category(cut(text, NAME_BYTES_MAX)),
        },
    };
    Ok(Score {
        target,
        name: cut(reported.name, NAME_BYTES_MAX),
        value,
        evaluator: id(reported.evaluator),
        explanation: reported.explanation.map(|text| cut(text, EXPLANATION_BYTES_MAX)),
        at_ms: moment(reported.at, now_ms),
        id: id(reported.id),
    })
}

/// Refuses a value that is not as the score declares.
fn check_range(wrong: &impl Fn(&str, &'static str) -> IngestError, score: &ReportedScore) -> Result<(), IngestError> {
    let ReportedScore { value, min, max, categories, .. } = score;
    let has_bounds = min.is_some() || max.is_some();
    if has_bounds && !categories.is_empty() {
        return Err(wrong("categories", "a score has `min` and `max`, or `categories`"));
    }
    if min.zip(*max).is_some_and(|(min, max)| min > max) {
        return Err(wrong("min", "it is above `max`"));
    }
    if categories.len() > SCORE_CATEGORIES_MAX {
        return Err(wrong("categories", "use at most 100"));
    }
    match value {
        ReportedValue::Number(_) if !categories.is_empty() => Err(wrong("value", "it is not one of `categories`")),
        ReportedValue::Number(number) if min.is_some_and(|min| *number < min) => {
            Err(wrong("value", "it is below `min`"))
        }
        ReportedValue::Number(number) if max.is_some_and(|max| *number > max) => {
            Err(wrong("value", "it is above `max`"))
        }
        ReportedValue::Boolean(_) if has_bounds || !categories.is_empty() => {
            Err(wrong("value", "`min`, `max` and `categories` are not for `true` and `false`"))
        }
        ReportedValue::Category(_) if has_bounds => Err(wrong("value", "use a number: the score has `min` or `max`")),
        ReportedValue::Category(text) if text.trim().is_empty() => Err(wrong("value", "it is empty")),
        ReportedValue::Category(text) if !categories.is_empty() && !categories.contains(text) => {
            Err(wrong("value", "it is not one of `categories`"))
        }
        ReportedValue::Number(_) | ReportedValue::Boolean(_) | ReportedValue::Category(_) => Ok(()),
    }
}

/// When something happened: now, where the report does not say, or cannot be right.
fn moment(reported: Option<Timestamp>, now_ms: i64) -> i64 {
    let reported = reported.map_or(now_ms, Timestamp::ms);
    if (FIRST_MS..=now_ms.saturating_add(AHEAD_MS_MAX)).contains(&reported) { reported } else { now_ms }
}

fn id(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.is_empty()).map(|text| cut(text, ID_BYTES_MAX))
}

fn name(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.is_empty()).map(|text| cut(text, NAME_BYTES_MAX))
}

fn tokens(number: Option<u64>) -> Option<u64> {
    number.map(|number| number.min(TOKENS_MAX))
}

fn duration(field: &str, ms: Option<f64>) -> Result<Option<u64>, IngestError> {
    let Some(ms) = ms else { return Ok(None) };
    if !(0.0..=DURATION_MS_MAX).contains(&ms) {
        return Err(IngestError::Field { field: field.to_owned(), reason: "use milliseconds, from 0 to 30 days" });
    }
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to 3e12, and whole")]
    let us = (ms * 1e3).round() as u64;
    Ok(Some(us))
}

fn cost(field: &str, usd: Option<f64>) -> Result<Option<Cost>, IngestError> {
    let Some(usd) = usd else { return Ok(None) };
    if !(0.0..=COST_USD_MAX).contains(&usd) {
        return Err(IngestError::Field { field: field.to_owned(), reason: "use US dollars, from 0 to 1,000,000" });
    }
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to 1e18, and whole")]
    let pico_usd = (usd * PICO).round() as u64;
    Ok(Some(Cost { pico_usd, source: CostSource::Reported }))
}

fn span(
    at: &impl Fn(&str) -> String,
    trace: Option<&str>,
    span: Option<&str>,
) -> Result<Option<SpanContext>, IngestError> {
    let wrong = |field: &str, reason| IngestError::Field { field: at(field), reason };
    match (trace, span) {
        (None, None) => Ok(None),
        (Some(trace), Some(span)) => {
            let trace = id_of(trace).ok_or_else(|| wrong("trace_id", "use 32 hex digits, not all zero"))?;
            let span = id_of(span).ok_or_else(|| wrong("span_id", "use 16 hex digits, not all zero"))?;
            Ok(Some(SpanContext { trace, span }))
        }
        (Some(_), None) => Err(wrong("span_id", "a trace needs the span of the call")),
        (None, Some(_)) => Err(wrong("trace_id", "a span needs its trace")),
    }
}

/// An id in hexadecimal digits, which is not all zero.
fn id_of<const N: usize>(text: &str) -> Option<[u8; N]> {
    hex(text).filter(|id| *id != [0; N])
}
