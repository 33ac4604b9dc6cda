//! Reads recorded responses: with the version that produced each, the deployment that served it, and its scores.
//!
//! A response is as readable as its prompt; one that belongs to no known version is there for callers that can read
//! every prompt. To all others it looks as if it were absent.

use super::{IngestError, Recorder};
use crate::api::telemetry::{
    AttributionFailure, CostOrigin, FoundBy, ProducedBy, RecordedResponse, RecordedResponses, RecordedScore,
    ReportedPrompt, ReportedValue, ScoredPart,
};
use crate::model::reference::Selector;
use crate::model::stamp::stamp;
use crate::model::time::Timestamp;
use crate::model::usd::Usd;
use crate::resolve::CatalogueView;
use crate::telemetry::event::{
    self, Attributed, AttributedBy, Attribution, CostSource, Response, Score, ScoreTarget, ScoreValue, SpanContext,
    Unattributed,
};
use crate::telemetry::store::{Found, RESPONSES_MAX};

impl Recorder {
    /// The response with an id, or of a span, and the others of its trace; or the responses of a trace. None if there
    /// is none that can be read. Blocks.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn response(
        &self,
        id: &str,
        view: &CatalogueView,
        with_content: bool,
    ) -> Result<Option<RecordedResponses>, IngestError> {
        let reading = Reading { view, with_content };
        let found = match (self.store().response(id)?, span(id)) {
            (None, Some(span)) => self.store().span(&span)?,
            (found, _) => found,
        };
        if let Some(found) = found.filter(|found| reading.can_read(&found.response)) {
            let span = found.response.span;
            let of_trace = span.map(|span| self.store().trace(&span.trace)).transpose()?.unwrap_or_default();
            let (of_trace, truncated) = newest(of_trace);
            let others = of_trace.into_iter().filter(|other| other.response.span != span);
            let (others, responses) = (reading.all(others), reading.all([found]));
            return Ok(Some(RecordedResponses { responses, others, truncated }));
        }
        let Some(trace) = event::hex(id) else { return Ok(None) };
        Ok(reading.non_empty(self.store().trace(&trace)?))
    }

    /// The responses of a conversation; none if there is none that can be read. Blocks.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn session(
        &self,
        id: &str,
        view: &CatalogueView,
        with_content: bool,
    ) -> Result<Option<RecordedResponses>, IngestError> {
        Ok(Reading { view, with_content }.non_empty(self.store().session(id)?))
    }
}

/// One reader, and what they see.
struct Reading<'v> {
    view: &'v CatalogueView,
    with_content: bool,
}

impl Reading<'_> {
    fn can_read(&self, response: &Response) -> bool {
        match &response.attribution {
            Attribution::Version(attributed) => self.view.scope().reads(attributed.prompt.as_str()),
            Attribution::Pending | Attribution::Unattributed(_) => self.view.scope().reads_everything(),
        }
    }

    fn all(&self, found: impl IntoIterator<Item = Found>) -> Vec<RecordedResponse> {
        let readable = found.into_iter().filter(|found| self.can_read(&found.response));
        readable.map(|found| self.recorded(found)).collect()
    }

    fn non_empty(&self, found: Vec<Found>) -> Option<RecordedResponses> {
        let (found, truncated) = newest(found);
        let responses = self.all(found);
        (!responses.is_empty()).then_some(RecordedResponses { responses, others: Vec::new(), truncated })
    }

    fn recorded(&self, Found { response, scores }: Found) -> RecordedResponse {
        let ended = Timestamp::from_ms(response.ended_ms);
        let began = Timestamp::from_ms(response.began_ms());
        let (version, unattributed) = match response.attribution {
            Attribution::Version(attributed) => (Some(attributed), None),
            Attribution::Pending => (None, Some(AttributionFailure::UnknownPrompt)),
            Attribution::Unattributed(reason) => (None, Some(unattributed(reason))),
        };
        let deployments = version.as_ref().and_then(|by| {
            // What was deployed is told as far as it is known; a registry that cannot be read is told elsewhere.
            let serving = |at| self.view.deployments_serving(&by.prompt, by.version, by.label.as_ref(), at).ok();
            // A stamp can be of a version that was deployed while the call was on its way.
            serving(began).filter(|found| !found.is_empty()).or_else(|| serving(ended))
        });
        let model_of_version = version.as_ref().and_then(|by| {
            let version = self.view.version(&by.prompt, &Selector::Version(by.version)).ok()?;
            version.content.model.map(|model| model.name)
        });
        let (cost_source, price_table) = match response.cost.map(|cost| cost.source) {
            None => (None, None),
            Some(CostSource::Reported) => (Some(CostOrigin::Reported), None),
            Some(CostSource::Table(id)) => (Some(CostOrigin::PriceTable), Some(hex(&id))),
        };
        let body = response.body.filter(|_| self.with_content).unwrap_or_default();
        let json = |text: Option<String>| text.and_then(|text| serde_json::from_str(&text).ok());
        RecordedResponse {
            id: response.id,
            trace_id: response.span.map(|span| hex(&span.trace)),
            span_id: response.span.map(|span| hex(&span.span)),
            parent_span_id: response.parent.map(|span| hex(&span)),
            ended,
            provider: response.provider,
            model_requested: response.model_requested,
            model: response.model_used,
            model_of_version,
            service_tier: response.service_tier,
            input_tokens: response.tokens.input,
            cache_read_tokens: response.tokens.cache_read,
            cache_write_tokens: sum(response.tokens.cache_write, response.tokens.cache_write_1h),
            output_tokens: response.tokens.output,
            reasoning_tokens: response.tokens.reasoning,
            latency_ms: response.latency_us.map(milliseconds),
            first_token_ms: response.first_token_us.map(milliseconds),
            cost_usd: response.cost.map(|cost| Usd::from_pico(cost.pico_usd.into())),
            cost_source,
            price_table,
            error: response.error,
            session: response.session,
            user: response.user,
            environment: response.environment,
            version: version.map(produced_by),
            unattributed,
            reported: ReportedPrompt {
                prompt: response.claim.prompt,
                version: response.claim.version,
                stamp: response.claim.stamp,
                label: response.claim.label,
                subject: response.claim.subject,
            },
            deployments: deployments.unwrap_or_default(),
            scores: scores.into_iter().map(score).collect(),
            input: json(body.input),
            output: json(body.output),
        }
    }
}

/// The newest of responses that are in order, as many as are listed; and whether there are older ones.
fn newest(mut found: Vec<Found>) -> (Vec<Found>, bool) {
    let older = found.len().saturating_sub(RESPONSES_MAX);
    found.drain(..older);
    (found, older > 0)
}

fn produced_by(attributed: Attributed) -> ProducedBy {
    let Attributed { prompt, version, content_id, label, arm, by } = attributed;
    ProducedBy {
        stamp: stamp(&prompt, version, &content_id),
        prompt,
        version,
        content_id,
        label,
        rule: arm.and_then(|arm| arm.rule),
        bucket: arm.and_then(|arm| arm.bucket),
        found_by: match by {
            AttributedBy::Version => FoundBy::Version,
            AttributedBy::Label => FoundBy::Label,
            AttributedBy::Stamp => FoundBy::Stamp,
            AttributedBy::ContentId => FoundBy::ContentId,
            AttributedBy::Text => FoundBy::Text,
        },
    }
}

const fn unattributed(reason: Unattributed) -> AttributionFailure {
    match reason {
        Unattributed::NoPrompt => AttributionFailure::NoPrompt,
        Unattributed::UnknownPrompt => AttributionFailure::UnknownPrompt,
        Unattributed::UnknownVersion => AttributionFailure::UnknownVersion,
        Unattributed::AmbiguousSplit => AttributionFailure::AmbiguousSplit,
    }
}

fn score(score: Score) -> RecordedScore {
    RecordedScore {
        name: score.name,
        value: match score.value {
            ScoreValue::Number(number) => ReportedValue::Number(number.number()),
            ScoreValue::Boolean(passed) => ReportedValue::Boolean(passed),
            ScoreValue::Category(text) => ReportedValue::Category(text),
        },
        about: match score.target {
            ScoreTarget::Response(_) | ScoreTarget::Span(_) => ScoredPart::Response,
            ScoreTarget::Trace(_) => ScoredPart::Trace,
            ScoreTarget::Session(_) => ScoredPart::Session,
            ScoreTarget::Version { .. } => ScoredPart::Version,
        },
        evaluator: score.evaluator,
        explanation: score.explanation,
        at: Timestamp::from_ms(score.at_ms),
    }
}

/// A span as a trace id and a span id with `-` between.
fn span(text: &str) -> Option<SpanContext> {
    let (trace, span) = text.split_once('-')?;
    Some(SpanContext { trace: event::hex(trace)?, span: event::hex(span)? })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn sum(one: Option<u64>, other: Option<u64>) -> Option<u64> {
    match (one, other) {
        (None, None) => None,
        (one, other) => Some(one.unwrap_or_default().saturating_add(other.unwrap_or_default())),
    }
}

#[allow(clippy::cast_precision_loss, reason = "a duration of 285 years fits")]
fn milliseconds(us: u64) -> f64 {
    us as f64 / 1e3
}
