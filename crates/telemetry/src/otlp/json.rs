//! The messages of OTLP in JSON, read span by span.
//!
//! Lists are cut into their elements first and each is read when it is its turn, so that a wrong one is counted, and
//! values of no interest are never built. Names are in lower camel case, ids in hexadecimal, numbers of 64 bits are
//! texts or numbers, and unknown fields are ignored.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, SeqAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Map, Value as Json};

use super::attributes::Attributes;
use super::batch::{Batch, DecodeError, Options, Signal};
use super::reason::{Reason, Reasons};
use super::record::{Exception, LogRecord, Span, SpanEvent, span_context, span_id};
use super::score::read_log;
use super::span::read_span;
use super::value::Value;
use super::{NESTING_MAX, SPAN_EVENTS_MAX, VALUE_BYTES_MAX};
use crate::event::hex;

/// Elements of any list that are looked at.
const LIST_MAX: usize = 65_536;

/// The elements of a list, not read yet, and how many were above the limit; `null` is an empty list.
#[derive(Default)]
struct List<'a> {
    elements: Vec<&'a RawValue>,
    more: u64,
}

impl<'de: 'a, 'a> Deserialize<'de> for List<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Elements;

        impl<'de> Visitor<'de> for Elements {
            type Value = List<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a list")
            }

            fn visit_unit<E>(self) -> Result<Self::Value, E> {
                Ok(List::default())
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
                let mut read = List::default();
                while read.elements.len() < LIST_MAX {
                    let Some(element) = list.next_element()? else { return Ok(read) };
                    read.elements.push(element);
                }
                while list.next_element::<IgnoredAny>()?.is_some() {
                    read.more += 1;
                }
                Ok(read)
            }
        }

        deserializer.deserialize_any(Elements)
    }
}

/// The fields of all messages between a request and its items, as each has some of them.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Level<'a> {
    #[serde(borrow)]
    resource_spans: List<'a>,
    #[serde(borrow)]
    resource_logs: List<'a>,
    #[serde(borrow)]
    resource: Option<&'a RawValue>,
    #[serde(borrow)]
    scope_spans: List<'a>,
    #[serde(borrow)]
    scope_logs: List<'a>,
    #[serde(borrow)]
    spans: List<'a>,
    #[serde(borrow)]
    log_records: List<'a>,
    #[serde(borrow)]
    attributes: List<'a>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct RawSpan<'a> {
    #[serde(borrow)]
    trace_id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    span_id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    parent_span_id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    start_time_unix_nano: Option<&'a RawValue>,
    #[serde(borrow)]
    end_time_unix_nano: Option<&'a RawValue>,
    #[serde(borrow)]
    attributes: List<'a>,
    #[serde(borrow)]
    events: List<'a>,
    #[serde(borrow)]
    status: Option<RawStatus<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RawStatus<'a> {
    #[serde(borrow)]
    code: Option<&'a RawValue>,
}

/// An event of a span, and a log record.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct RawEvent<'a> {
    #[serde(borrow)]
    time_unix_nano: Option<&'a RawValue>,
    #[serde(borrow)]
    observed_time_unix_nano: Option<&'a RawValue>,
    #[serde(borrow)]
    trace_id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    span_id: Option<Cow<'a, str>>,
    #[serde(borrow, alias = "eventName")]
    name: Option<Cow<'a, str>>,
    #[serde(borrow)]
    attributes: List<'a>,
    #[serde(borrow)]
    body: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct RawAttribute<'a> {
    #[serde(borrow, default)]
    key: Cow<'a, str>,
    #[serde(borrow, default)]
    value: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[expect(clippy::struct_field_names, reason = "they are called so")]
struct RawAny<'a> {
    #[serde(borrow)]
    string_value: Option<Cow<'a, str>>,
    bool_value: Option<bool>,
    #[serde(borrow)]
    int_value: Option<&'a RawValue>,
    #[serde(borrow)]
    double_value: Option<&'a RawValue>,
    #[serde(borrow)]
    array_value: Option<RawValues<'a>>,
    #[serde(borrow)]
    kvlist_value: Option<RawValues<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RawValues<'a> {
    #[serde(borrow)]
    values: List<'a>,
}

/// Reads an `ExportTraceServiceRequest`.
pub(super) fn traces(body: &[u8], options: &Options, batch: &mut Batch) -> Result<(), DecodeError> {
    items(body, Signal::Traces, batch, |item, resource, batch| match span(item, &mut batch.reasons) {
        Ok(span) => read_span(&span, resource, options, batch),
        Err(reason) => batch.reject(reason),
    })
}

/// Reads an `ExportLogsServiceRequest`.
pub(super) fn logs(body: &[u8], options: &Options, batch: &mut Batch) -> Result<(), DecodeError> {
    items(body, Signal::Logs, batch, |item, resource, batch| match log(item, &mut batch.reasons) {
        Ok(record) => read_log(&record, resource, options, batch),
        Err(reason) => batch.reject(reason),
    })
}

/// Goes through an `ExportMetricsServiceRequest`.
pub(super) fn metrics(body: &[u8]) -> Result<(), DecodeError> {
    level(text(body)?).map(drop)
}

/// Visits the spans or log records of a request, each with the attributes of its resource.
fn items<'a>(
    body: &'a [u8],
    signal: Signal,
    batch: &mut Batch,
    mut visit: impl FnMut(&'a RawValue, &Attributes<'a>, &mut Batch),
) -> Result<(), DecodeError> {
    let request = level(text(body)?)?;
    let (resources, others, path) = match signal {
        Signal::Traces => (request.resource_spans, request.resource_logs, "/v1/logs"),
        Signal::Logs | Signal::Metrics => (request.resource_logs, request.resource_spans, "/v1/traces"),
    };
    if resources.elements.is_empty() && !others.elements.is_empty() {
        return Err(DecodeError::WrongSignal(path));
    }
    batch.left_out(resources.more);
    for of_resource in resources.elements {
        let of_resource = level(of_resource.get())?;
        let mut resource = Attributes::default();
        if let Some(raw) = of_resource.resource.filter(|raw| raw.get() != "null") {
            attributes_into(&mut resource, &level(raw.get())?.attributes, &mut batch.reasons);
        }
        let scopes = if signal == Signal::Traces { of_resource.scope_spans } else { of_resource.scope_logs };
        batch.left_out(scopes.more);
        for of_scope in scopes.elements {
            let of_scope = level(of_scope.get())?;
            let found = if signal == Signal::Traces { of_scope.spans } else { of_scope.log_records };
            for item in found.elements {
                if batch.next_item() {
                    visit(item, &resource, batch);
                }
            }
            batch.left_out(found.more);
        }
    }
    Ok(())
}

fn text(body: &[u8]) -> Result<&str, DecodeError> {
    std::str::from_utf8(body).map_err(|error| DecodeError::Json(error.to_string()))
}

fn level(json: &str) -> Result<Level<'_>, DecodeError> {
    object(json).map_err(|error| DecodeError::Json(error.to_string()))
}

/// Reads an object; serde would take a list of its fields for one too.
fn object<'a, T: Deserialize<'a>>(json: &'a str) -> Result<T, serde_json::Error> {
    if json.trim_start().starts_with('[') {
        return Err(serde::de::Error::custom("expected an object, found a list"));
    }
    serde_json::from_str(json)
}

fn span<'a>(json: &'a RawValue, reasons: &mut Reasons) -> Result<Span<'a>, Reason> {
    let raw: RawSpan<'a> = object(json.get()).map_err(|_| Reason::Malformed)?;
    let context = context(raw.trace_id.as_deref(), raw.span_id.as_deref()).ok_or(Reason::InvalidId)?;
    let mut span = Span::new(context);
    span.parent = raw.parent_span_id.as_deref().and_then(hex::<8>).and_then(|id| span_id(&id));
    span.start_ns = raw.start_time_unix_nano.map_or(0, nanos);
    span.end_ns = raw.end_time_unix_nano.map_or(0, nanos);
    let code = raw.status.and_then(|status| status.code).map(RawValue::get);
    span.failed = code.is_some_and(|code| matches!(code, "2" | "\"STATUS_CODE_ERROR\""));
    attributes_into(&mut span.attributes, &raw.attributes, reasons);
    let left_out = raw.events.elements.len().saturating_sub(SPAN_EVENTS_MAX) as u64 + raw.events.more;
    if left_out > 0 {
        reasons.add(Reason::TooManyAttributes, left_out);
    }
    for event in raw.events.elements.into_iter().take(SPAN_EVENTS_MAX) {
        let Ok(raw) = object::<RawEvent<'a>>(event.get()) else {
            reasons.add(Reason::BadValue, 1);
            continue;
        };
        let mut event = SpanEvent { name: raw.name.unwrap_or_default(), ..SpanEvent::default() };
        event.time_ns = raw.time_unix_nano.map_or(0, nanos);
        attributes_into(&mut event.attributes, &raw.attributes, reasons);
        event.exception = Exception::of(&event);
        span.events.push(event);
    }
    Ok(span)
}

fn log<'a>(json: &'a RawValue, reasons: &mut Reasons) -> Result<LogRecord<'a>, Reason> {
    let raw: RawEvent<'a> = object(json.get()).map_err(|_| Reason::Malformed)?;
    let mut record = LogRecord {
        context: context(raw.trace_id.as_deref(), raw.span_id.as_deref()),
        time_ns: raw.time_unix_nano.map_or(0, nanos),
        observed_ns: raw.observed_time_unix_nano.map_or(0, nanos),
        event_name: raw.name.unwrap_or_default(),
        body: raw.body.and_then(|body| value(body, reasons)),
        ..LogRecord::default()
    };
    attributes_into(&mut record.attributes, &raw.attributes, reasons);
    Ok(record)
}

fn attributes_into<'a>(attributes: &mut Attributes<'a>, list: &List<'a>, reasons: &mut Reasons) {
    if list.more > 0 {
        reasons.add(Reason::TooManyAttributes, list.more);
    }
    for element in &list.elements {
        match object::<RawAttribute<'a>>(element.get()) {
            Ok(RawAttribute { key, value: Some(raw) }) => {
                attributes.add(&key, reasons, |reasons| value(raw, reasons));
            }
            Ok(RawAttribute { value: None, .. }) => {}
            Err(_) => reasons.add(Reason::BadValue, 1),
        }
    }
}

/// Reads an `AnyValue`; counts one that is too long, too deep or wrong.
fn value<'a>(json: &'a RawValue, reasons: &mut Reasons) -> Option<Value<'a>> {
    if json.get().len() > VALUE_BYTES_MAX {
        reasons.add(Reason::ValueTooLong, 1);
        return None;
    }
    any(json, 0).unwrap_or_else(|Damaged| {
        reasons.add(Reason::BadValue, 1);
        None
    })
}

/// A value that is nested too deep, or that is none.
struct Damaged;

impl From<serde_json::Error> for Damaged {
    fn from(_: serde_json::Error) -> Self {
        Self
    }
}

/// The value of an `AnyValue`; none if it is empty.
fn any(json: &RawValue, depth: usize) -> Result<Option<Value<'_>>, Damaged> {
    if depth > NESTING_MAX {
        return Err(Damaged);
    }
    if json.get() == "null" {
        return Ok(None);
    }
    let raw: RawAny<'_> = object(json.get())?;
    let value = if let Some(text) = raw.string_value {
        Value::Text(text)
    } else if let Some(value) = raw.bool_value {
        Value::Bool(value)
    } else if let Some(number) = raw.int_value {
        Value::Int(number.get().trim_matches('"').parse().map_err(|_| Damaged)?)
    } else if let Some(number) = raw.double_value {
        Value::Double(number.get().trim_matches('"').parse().map_err(|_| Damaged)?)
    } else if let Some(list) = raw.array_value {
        let elements = list.values.elements.into_iter().map(|element| json_of(element, depth));
        Value::Tree(Json::Array(elements.collect::<Result<_, _>>()?))
    } else if let Some(list) = raw.kvlist_value {
        let mut map = Map::new();
        for pair in list.values.elements {
            let pair: RawAttribute<'_> = object(pair.get())?;
            let value = pair.value.map_or(Ok(Json::Null), |value| json_of(value, depth))?;
            map.insert(pair.key.into_owned(), value);
        }
        Value::Tree(Json::Object(map))
    } else {
        return Ok(None);
    };
    Ok(Some(value))
}

fn json_of(json: &RawValue, depth: usize) -> Result<Json, Damaged> {
    Ok(any(json, depth + 1)?.map_or(Json::Null, Value::into_json))
}

/// A time: a number, or a text with one.
fn nanos(json: &RawValue) -> u64 {
    json.get().trim_matches('"').parse().unwrap_or(0)
}

fn context(trace: Option<&str>, span: Option<&str>) -> Option<crate::event::SpanContext> {
    span_context(&hex::<16>(trace?)?, &hex::<8>(span?)?)
}

impl Batch {
    /// Counts what was not looked at because a list was too long.
    fn left_out(&mut self, count: u64) {
        if count > 0 {
            self.items += count;
            self.reasons.add(Reason::TooManyItems, count);
            self.rejected_items += count;
        }
    }
}
