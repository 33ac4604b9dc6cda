//! Judgments: events of OpenTelemetry (`gen_ai.evaluation.result`), as log records or on spans, and the attributes
//! that evaluators of Phoenix set.

use super::attributes::{Attributes, ListPart};
use super::batch::{Batch, Options};
use super::names::{Field, List, Part};
use super::node::Node;
use super::reason::Reason;
use super::record::{LogRecord, Span, believed_ms, inherited};
use super::value::Value;
use super::{SPAN_SCORES_MAX, content::Conversation};
use crate::event::{
    Claim, EXPLANATION_BYTES_MAX, ID_BYTES_MAX, NAME_BYTES_MAX, Score, ScoreTarget, ScoreValue, SpanContext, cut,
};
use crate::model::name::PromptName;
use crate::moments::Millionths;

/// The name of the event.
const EVENT: &str = "gen_ai.evaluation.result";

/// Reads a log record into a batch: a score, or a part of a conversation that belongs to a span.
pub(super) fn read_log(record: &LogRecord<'_>, resource: &Attributes<'_>, options: &Options, batch: &mut Batch) {
    let in_attributes = record.attributes.text(Field::EventName).unwrap_or_default();
    let event_name = if record.event_name.is_empty() { &*in_attributes } else { &*record.event_name };
    if event_name == EVENT {
        let time_ns = if record.time_ns == 0 { record.observed_ns } else { record.time_ns };
        let target = target(&record.attributes, resource, record.context);
        match target.and_then(|target| score_of(&record.attributes, target, time_ns, options, batch)) {
            Ok(score) => batch.scores.push(score),
            Err(reason) => batch.reject(reason),
        }
    } else if let Some(context) = record.context {
        read_message(event_name, record, context, batch);
    }
}

/// Reads the system text from a log record, where older instrumentations put it.
fn read_message(event_name: &str, record: &LogRecord<'_>, context: SpanContext, batch: &mut Batch) {
    let mut conversation = Conversation::default();
    match &record.body {
        Some(Value::Tree(body)) if event_name == "gen_ai.system.message" => conversation.add_system(body),
        _ => conversation.add_event(event_name, &record.attributes),
    }
    let Some(system) = conversation.system_text() else { return };
    batch.nodes.push(Node {
        context,
        parent: None,
        inherited: None,
        system: Some(Box::new(system)),
        call: None,
        is_span: false,
    });
}

/// Reads the scores of a span into a batch.
pub(super) fn scores_of_span(span: &Span<'_>, is_call: bool, options: &Options, batch: &mut Batch) {
    let own = ScoreTarget::Span(span.context);
    let of_trace = ScoreTarget::Trace(span.context.trace);
    // A judgment of a whole run is on its root; it is about every response in it.
    let of_span = if is_call || span.parent.is_some() { own.clone() } else { of_trace.clone() };
    let mut scores = Vec::new();
    for (list, target) in [(List::SpanScores, of_span), (List::TraceScores, of_trace)] {
        scores.extend(flattened_scores(&span.attributes, list, &target, span.end_ns, options, batch));
    }
    for event in span.events.iter().filter(|event| event.name == EVENT) {
        let target = event.attributes.text(Field::ResponseId);
        let target = target.map_or_else(|| own.clone(), |id| ScoreTarget::Response(cut(id.into_owned(), ID_BYTES_MAX)));
        scores.push(score_of(&event.attributes, target, event.time_ns, options, batch));
    }
    for (index, score) in scores.into_iter().enumerate() {
        match score {
            Ok(_) if index >= SPAN_SCORES_MAX => batch.reasons.add(Reason::TooManyScores, 1),
            Ok(score) => batch.scores.push(score),
            Err(reason) => batch.reasons.add(reason, 1),
        }
    }
}

/// What a judgment in a log record is about: the response that it names, the span that it belongs to, or the prompt.
fn target(
    attributes: &Attributes<'_>,
    resource: &Attributes<'_>,
    context: Option<SpanContext>,
) -> Result<ScoreTarget, Reason> {
    // The ID was given on purpose; the span is the one that was current.
    if let Some(id) = attributes.text(Field::ResponseId) {
        return Ok(ScoreTarget::Response(cut(id.into_owned(), ID_BYTES_MAX)));
    }
    if let Some(context) = context {
        return Ok(ScoreTarget::Span(context));
    }
    let inherited = inherited(attributes, resource);
    let version = version_of(&inherited.claim).map(|(prompt, version)| ScoreTarget::Version { prompt, version });
    version.or_else(|| inherited.session.map(ScoreTarget::Session)).ok_or(Reason::ScoreWithoutTarget)
}

/// The version that a claim names by its number; labels and content ids mean another one at another time, or need a look.
fn version_of(claim: &Claim) -> Option<(PromptName, u64)> {
    let reference = claim.stamp.as_deref().or(claim.prompt.as_deref())?;
    let (name, version) = match reference.split_once('@') {
        Some((name, version)) => (name, version.split_once('+').map_or(version, |(number, _)| number)),
        None => (reference, claim.version.as_deref()?),
    };
    let number = version.strip_prefix('v').unwrap_or(version).parse().ok().filter(|number| *number > 0)?;
    Some((name.parse().ok()?, number))
}

fn score_of(
    attributes: &Attributes<'_>,
    target: ScoreTarget,
    time_ns: u64,
    options: &Options,
    batch: &mut Batch,
) -> Result<Score, Reason> {
    let text = |field, bytes| Some(cut(attributes.text(field)?.into_owned(), bytes));
    let parts = Parts {
        name: text(Field::ScoreName, NAME_BYTES_MAX),
        number: attributes.number(Field::ScoreValue),
        label: text(Field::ScoreLabel, NAME_BYTES_MAX),
        evaluator: text(Field::ScoreEvaluator, ID_BYTES_MAX),
        explanation: text(Field::ScoreExplanation, EXPLANATION_BYTES_MAX),
        id: text(Field::ScoreId, ID_BYTES_MAX),
    };
    parts.score(target, believed_ms(time_ns, options.now_ms, &mut batch.reasons))
}

fn flattened_scores(
    attributes: &Attributes<'_>,
    list: List,
    target: &ScoreTarget,
    time_ns: u64,
    options: &Options,
    batch: &mut Batch,
) -> Vec<Result<Score, Reason>> {
    let mut found: Vec<(u16, Parts)> = Vec::new();
    for ListPart { index, part, value } in attributes.list(list) {
        if found.last().is_none_or(|(last, _)| *last != index) {
            found.push((index, Parts::default()));
        }
        let Some((_, parts)) = found.last_mut() else { break };
        let text = |bytes| Some(cut(value.text()?.into_owned(), bytes));
        match part {
            Part::Name => parts.name = text(NAME_BYTES_MAX),
            Part::Number => parts.number = value.number(),
            Part::Label => parts.label = text(NAME_BYTES_MAX),
            Part::Explanation => parts.explanation = text(EXPLANATION_BYTES_MAX),
            Part::Evaluator => parts.evaluator = text(ID_BYTES_MAX),
            Part::Id => parts.id = text(ID_BYTES_MAX),
            Part::Role | Part::Text => {}
        }
    }
    if found.is_empty() {
        return Vec::new();
    }
    let at_ms = believed_ms(time_ns, options.now_ms, &mut batch.reasons);
    found.into_iter().map(|(_, parts)| parts.score(target.clone(), at_ms)).collect()
}

/// A judgment in parts.
#[derive(Default)]
struct Parts {
    name: Option<String>,
    number: Option<f64>,
    label: Option<String>,
    evaluator: Option<String>,
    explanation: Option<String>,
    id: Option<String>,
}

impl Parts {
    fn score(self, target: ScoreTarget, at_ms: i64) -> Result<Score, Reason> {
        let name = self.name.ok_or(Reason::ScoreWithoutName)?;
        let value = match (self.number, self.label) {
            (Some(number), _) => ScoreValue::Number(Millionths::try_from(number).map_err(|_| Reason::ScoreOutOfRange)?),
            (None, Some(label)) => match label.to_ascii_lowercase().as_str() {
                "pass" | "passed" | "true" => ScoreValue::Boolean(true),
                "fail" | "failed" | "false" => ScoreValue::Boolean(false),
                _ => ScoreValue::Category(label),
            },
            (None, None) => return Err(Reason::ScoreWithoutValue),
        };
        Ok(Score { target, name, value, evaluator: self.evaluator, explanation: self.explanation, at_ms, id: self.id })
    }
}
