//! A span or a log record as it was sent, and what it says of its caller and its time.

use std::borrow::Cow;

use super::attributes::Attributes;
use super::names::Field;
use super::node::Inherited;
use super::reason::{Reason, Reasons};
use super::value::Value;
use super::{EARLIEST_MS, FUTURE_MS_MAX};
use crate::event::{Arm, Claim, ID_BYTES_MAX, NAME_BYTES_MAX, SpanContext, cut};

/// Nanoseconds of a millisecond.
pub(super) const MS_NS: u64 = 1_000_000;

/// A span, with those of its attributes that are of interest.
#[derive(Debug)]
pub(super) struct Span<'a> {
    pub(super) context: SpanContext,
    pub(super) parent: Option<[u8; 8]>,
    pub(super) start_ns: u64,
    pub(super) end_ns: u64,
    pub(super) attributes: Attributes<'a>,
    pub(super) events: Vec<SpanEvent<'a>>,
    /// Whether its status is an error.
    pub(super) failed: bool,
}

impl Span<'_> {
    pub(super) fn new(context: SpanContext) -> Self {
        Self {
            context,
            parent: None,
            start_ns: 0,
            end_ns: 0,
            attributes: Attributes::default(),
            events: Vec::new(),
            failed: false,
        }
    }
}

/// An event of a span.
#[derive(Debug, Default)]
pub(super) struct SpanEvent<'a> {
    pub(super) time_ns: u64,
    pub(super) name: Cow<'a, str>,
    pub(super) attributes: Attributes<'a>,
    pub(super) exception: Option<Exception>,
}

/// The kind of an exception that was recorded on a span.
#[derive(Clone, Debug)]
pub(super) struct Exception(pub(super) String);

impl Exception {
    pub(super) fn of(event: &SpanEvent<'_>) -> Option<Self> {
        let kind = event.attributes.text(Field::ExceptionType).filter(|_| event.name == "exception")?;
        // Python has the module before the name, which says little and changes between versions.
        let name = kind.rsplit(['.', ':']).next().unwrap_or(&kind);
        Some(Self(name.to_owned()))
    }
}

/// A log record.
#[derive(Debug, Default)]
pub(super) struct LogRecord<'a> {
    pub(super) context: Option<SpanContext>,
    pub(super) time_ns: u64,
    pub(super) observed_ns: u64,
    pub(super) event_name: Cow<'a, str>,
    pub(super) attributes: Attributes<'a>,
    pub(super) body: Option<Value<'a>>,
}

/// The ids of a span; none if a length is wrong or one is all zero.
pub(super) fn span_context(trace: &[u8], span: &[u8]) -> Option<SpanContext> {
    let trace: [u8; 16] = trace.try_into().ok()?;
    (trace != [0; 16]).then_some(SpanContext { trace, span: span_id(span)? })
}

/// The id of a span in its trace.
pub(super) fn span_id(bytes: &[u8]) -> Option<[u8; 8]> {
    bytes.try_into().ok().filter(|id| *id != [0; 8])
}

/// What a span says that holds for the calls below it too.
pub(super) fn inherited(attributes: &Attributes<'_>, resource: &Attributes<'_>) -> Inherited {
    let text = |field, bytes| {
        let text = attributes.text(field).or_else(|| resource.text(field))?;
        Some(cut(text.into_owned(), bytes))
    };
    let mut claim = Claim {
        prompt: text(Field::Prompt, ID_BYTES_MAX),
        version: text(Field::Version, ID_BYTES_MAX),
        stamp: text(Field::Stamp, ID_BYTES_MAX),
        label: text(Field::Label, NAME_BYTES_MAX),
        arm: arm(attributes),
        system: None,
        subject: text(Field::Subject, ID_BYTES_MAX),
    };
    if claim.prompt.is_none() {
        let ours = attributes.text(Field::PromptVendor).is_some_and(|vendor| vendor.eq_ignore_ascii_case("bookholder"));
        claim.prompt = text(Field::PromptId, ID_BYTES_MAX).filter(|_| ours);
    }
    if claim.prompt.is_none()
        && let Some(object) = attributes.json(Field::PromptObject)
        && let Some(name) = object.get("name").and_then(serde_json::Value::as_str)
    {
        claim.prompt = Some(cut(name.to_owned(), ID_BYTES_MAX));
        let version =
            object.get("version").map(|version| version.as_str().map_or_else(|| version.to_string(), str::to_owned));
        claim.version = claim.version.or(version).map(|version| cut(version, ID_BYTES_MAX));
    }
    if claim.prompt.is_none() && claim.stamp.is_none() {
        // Conventions without a name have room for a version alone: a stamp or a reference names both.
        if claim.version.as_deref().is_some_and(|version| version.contains('@')) {
            let reference = claim.version.take();
            if reference.as_deref().is_some_and(|reference| reference.contains('+')) {
                claim.stamp = reference;
            } else {
                claim.prompt = reference;
            }
        }
    }
    if !claim.names_prompt() {
        // A version of nothing: other registries' templates have one too.
        (claim.version, claim.label, claim.arm) = (None, None, None);
    }
    Inherited {
        claim,
        session: text(Field::Session, ID_BYTES_MAX),
        user: text(Field::User, ID_BYTES_MAX),
        environment: text(Field::Environment, NAME_BYTES_MAX),
    }
}

/// How a split or rules chose the version.
fn arm(attributes: &Attributes<'_>) -> Option<Arm> {
    let number = |field| attributes.text(field)?.parse().ok();
    Arm::new(number(Field::Rule), number(Field::Bucket))
}

/// A time in milliseconds; that of arrival if it is not believed.
pub(super) fn believed_ms(time_ns: u64, now_ms: i64, reasons: &mut Reasons) -> i64 {
    let time_ms = i64::try_from(time_ns / MS_NS).unwrap_or(i64::MAX);
    if (EARLIEST_MS..=now_ms.saturating_add(FUTURE_MS_MAX)).contains(&time_ms) {
        return time_ms;
    }
    reasons.add(Reason::TimeClamped, 1);
    now_ms
}
