//! The messages of OTLP in protobuf, read span by span.

use std::borrow::Cow;

use serde_json::{Map, Value as Json};

use super::attributes::Attributes;
use super::batch::{Batch, Options};
use super::reason::{Reason, Reasons};
use super::record::{Exception, LogRecord, Span, SpanEvent, span_context, span_id};
use super::score::read_log;
use super::span::read_span;
use super::value::Value;
use super::wire::{Fields, Raw, Truncated};
use super::{ITEMS_MAX, NESTING_MAX, SPAN_EVENTS_MAX, VALUE_BYTES_MAX};

/// Reads an `ExportTraceServiceRequest`.
pub(super) fn traces(body: &[u8], options: &Options, batch: &mut Batch) -> Result<(), Truncated> {
    items(body, batch, |item, resource, batch| match span(item, &mut batch.reasons) {
        Ok(span) => read_span(&span, resource, options, batch),
        Err(reason) => batch.reject(reason),
    })
}

/// Reads an `ExportLogsServiceRequest`.
pub(super) fn logs(body: &[u8], options: &Options, batch: &mut Batch) -> Result<(), Truncated> {
    items(body, batch, |item, resource, batch| match log(item, &mut batch.reasons) {
        Ok(record) => read_log(&record, resource, options, batch),
        Err(reason) => batch.reject(reason),
    })
}

/// Goes through an `ExportMetricsServiceRequest`.
pub(super) fn metrics(body: &[u8]) -> Result<(), Truncated> {
    Fields::of(body).try_for_each(|field| field.map(drop))
}

/// Visits the spans or log records of a request, each with the attributes of its resource: in both messages a resource
/// and its groups, the groups of a resource, and the items of a group have the same numbers.
fn items<'a>(
    body: &'a [u8],
    batch: &mut Batch,
    mut visit: impl FnMut(&'a [u8], &Attributes<'a>, &mut Batch),
) -> Result<(), Truncated> {
    for of_resource in messages(body, 1) {
        let of_resource = of_resource?;
        let mut resource = Attributes::default();
        for message in messages(of_resource, 1) {
            for attribute in messages(message?, 1) {
                attribute_into(&mut resource, attribute?, &mut batch.reasons);
            }
        }
        for of_scope in messages(of_resource, 2) {
            for item in messages(of_scope?, 2) {
                let item = item?;
                if batch.next_item() {
                    visit(item, &resource, batch);
                }
            }
        }
    }
    Ok(())
}

/// The messages, texts or bytes in the fields of this number; those of another form are not known, and left out.
fn messages(message: &[u8], number: u64) -> impl Iterator<Item = Result<&[u8], Truncated>> {
    Fields::of(message).filter_map(move |field| match field {
        Ok((of, raw)) => raw.bytes().filter(|_| of == number).map(Ok),
        Err(truncated) => Some(Err(truncated)),
    })
}

fn text(bytes: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}

fn span<'a>(message: &'a [u8], reasons: &mut Reasons) -> Result<Span<'a>, Reason> {
    // The ids first: without them it is most likely no span, and then nothing else in it means anything.
    let (mut trace, mut own) = (None, None);
    for field in Fields::of(message) {
        match field {
            Ok((1, Raw::Bytes(bytes))) => trace = Some(bytes),
            Ok((1, Raw::Fixed64(_))) => return Err(Reason::WrongSignal),
            Ok((2, Raw::Bytes(bytes))) => own = Some(bytes),
            Ok(_) => {}
            Err(Truncated) => return Err(Reason::Malformed),
        }
    }
    let context = trace.zip(own).and_then(|(trace, own)| span_context(trace, own)).ok_or(Reason::InvalidId)?;
    let mut span = Span::new(context);
    for (number, raw) in Fields::of(message).flatten() {
        match (number, raw) {
            (4, Raw::Bytes(bytes)) => span.parent = span_id(bytes),
            (7, Raw::Fixed64(time)) => span.start_ns = time,
            (8, Raw::Fixed64(time)) => span.end_ns = time,
            (9, Raw::Bytes(bytes)) => attribute_into(&mut span.attributes, bytes, reasons),
            (11, Raw::Bytes(bytes)) if span.events.len() < SPAN_EVENTS_MAX => span.events.extend(event(bytes, reasons)),
            (11, Raw::Bytes(_)) => reasons.add(Reason::TooManyAttributes, 1),
            (15, Raw::Bytes(bytes)) => {
                let codes = Fields::of(bytes).flatten().filter(|(number, _)| *number == 3);
                span.failed = codes.filter_map(|(_, raw)| raw.varint()).last() == Some(2);
            }
            _ => {}
        }
    }
    Ok(span)
}

fn event<'a>(message: &'a [u8], reasons: &mut Reasons) -> Option<SpanEvent<'a>> {
    let mut event = SpanEvent::default();
    for field in Fields::of(message) {
        match field {
            Ok((1, Raw::Fixed64(time))) => event.time_ns = time,
            Ok((2, Raw::Bytes(bytes))) => event.name = text(bytes),
            Ok((3, Raw::Bytes(bytes))) => attribute_into(&mut event.attributes, bytes, reasons),
            Ok(_) => {}
            Err(Truncated) => {
                reasons.add(Reason::BadValue, 1);
                return None;
            }
        }
    }
    event.exception = Exception::of(&event);
    Some(event)
}

fn log<'a>(message: &'a [u8], reasons: &mut Reasons) -> Result<LogRecord<'a>, Reason> {
    let mut record = LogRecord::default();
    let (mut trace, mut span) = (None, None);
    for field in Fields::of(message) {
        match field.map_err(|_| Reason::Malformed)? {
            (1, Raw::Fixed64(time)) => record.time_ns = time,
            (1, Raw::Bytes(_)) => return Err(Reason::WrongSignal),
            (11, Raw::Fixed64(time)) => record.observed_ns = time,
            (5, Raw::Bytes(bytes)) => record.body = value(bytes, 0, reasons),
            (6, Raw::Bytes(bytes)) => attribute_into(&mut record.attributes, bytes, reasons),
            (9, Raw::Bytes(bytes)) => trace = Some(bytes),
            (10, Raw::Bytes(bytes)) => span = Some(bytes),
            (12, Raw::Bytes(bytes)) => record.event_name = text(bytes),
            _ => {}
        }
    }
    record.context = trace.zip(span).and_then(|(trace, span)| span_context(trace, span));
    Ok(record)
}

/// Adds a `KeyValue`.
fn attribute_into<'a>(attributes: &mut Attributes<'a>, message: &'a [u8], reasons: &mut Reasons) {
    let (mut name, mut any): (&[u8], &[u8]) = (&[], &[]);
    for field in Fields::of(message) {
        match field {
            Ok((1, Raw::Bytes(bytes))) => name = bytes,
            Ok((2, Raw::Bytes(bytes))) => any = bytes,
            Ok(_) => {}
            Err(Truncated) => return reasons.add(Reason::BadValue, 1),
        }
    }
    attributes.add(&text(name), reasons, |reasons| value(any, 0, reasons));
}

/// Reads an `AnyValue`; counts one that is too long, too deep or damaged.
fn value<'a>(message: &'a [u8], depth: usize, reasons: &mut Reasons) -> Option<Value<'a>> {
    if message.len() > VALUE_BYTES_MAX {
        reasons.add(Reason::ValueTooLong, 1);
        return None;
    }
    any(message, depth).unwrap_or_else(|_| {
        reasons.add(Reason::BadValue, 1);
        None
    })
}

fn any(message: &[u8], depth: usize) -> Result<Option<Value<'_>>, Truncated> {
    if depth > NESTING_MAX {
        return Err(Truncated);
    }
    let mut value = None;
    for field in Fields::of(message) {
        value = match field? {
            (1, Raw::Bytes(bytes)) => Some(Value::Text(text(bytes))),
            (2, Raw::Varint(number)) => Some(Value::Bool(number != 0)),
            (3, Raw::Varint(number)) => Some(Value::Int(number.cast_signed())),
            (4, Raw::Fixed64(bits)) => Some(Value::Double(f64::from_bits(bits))),
            (5, Raw::Bytes(bytes)) => {
                let items = messages(bytes, 1).map(|item| json_of(item?, depth));
                Some(Value::Tree(Json::Array(items.collect::<Result<_, _>>()?)))
            }
            (6, Raw::Bytes(bytes)) => {
                let mut map = Map::new();
                for pair in messages(bytes, 1) {
                    let (mut name, mut value) = (Cow::Borrowed(""), Json::Null);
                    for field in Fields::of(pair?) {
                        match field? {
                            (1, Raw::Bytes(bytes)) => name = text(bytes),
                            (2, Raw::Bytes(bytes)) => value = json_of(bytes, depth)?,
                            _ => {}
                        }
                    }
                    map.insert(name.into_owned(), value);
                }
                Some(Value::Tree(Json::Object(map)))
            }
            _ => value,
        };
    }
    Ok(value)
}

fn json_of(message: &[u8], depth: usize) -> Result<Json, Truncated> {
    Ok(any(message, depth + 1)?.map_or(Json::Null, Value::into_json))
}

impl Batch {
    /// Counts a span or log record; false if there were too many.
    pub(super) fn next_item(&mut self) -> bool {
        self.items += 1;
        let fits = self.items <= ITEMS_MAX;
        if !fits {
            self.reject(Reason::TooManyItems);
        }
        fits
    }

    /// Counts a span or log record that is rejected.
    pub(super) fn reject(&mut self, reason: Reason) {
        self.reasons.add(reason, 1);
        self.rejected_items += 1;
    }
}
