//! Number formatting and parsing as in Python, and jinja2's filters that differ from the engine's.

use std::io;

use minijinja::value::{Kwargs, Value, ValueKind};
use minijinja::{Error, ErrorKind};
use serde::Serialize;
use serde_json::ser::{CompactFormatter, Formatter, PrettyFormatter};

use super::budget::refusal;
use crate::json::{scientific, written};

/// Largest indentation of JSON, in spaces.
const INDENT_MAX: usize = 16;

/// A floating-point number as Python prints it; `None` for other values.
pub(super) fn float(value: &Value) -> Option<String> {
    if value.kind() != ValueKind::Number || value.is_integer() {
        return None;
    }
    f64::try_from(value.clone()).ok().map(repr)
}

/// The shortest digits of the number: plain from 0.0001 to below 10¹⁶, else with an exponent.
fn repr(number: f64) -> String {
    if number.is_nan() {
        return "nan".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 { "inf" } else { "-inf" }.to_owned();
    }
    let magnitude = number.abs();
    if magnitude == 0.0 || (1e-4..1e16).contains(&magnitude) {
        return written(number);
    }
    let (digits, exponent) = scientific(number);
    format!("{digits}e{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.unsigned_abs())
}

/// A value as Python's `json.dumps` writes it, but in the order of its keys and without escaping letters.
pub(super) fn json(value: &Value, indent: Option<usize>) -> Result<String, Error> {
    let mut bytes = Vec::new();
    let blanks = vec![b' '; indent.unwrap_or(0).min(INDENT_MAX)];
    let within =
        if indent.is_some() { JsonLayout::Lines(PrettyFormatter::with_indent(&blanks)) } else { JsonLayout::Line };
    let written = value.serialize(&mut serde_json::Serializer::with_formatter(&mut bytes, PythonFormatter { within }));
    written.map_err(|error| refusal(format!("this value is not JSON: {error}")))?;
    String::from_utf8(bytes).map_err(|error| refusal(error.to_string()))
}

/// `int`: an integer, parsed from a string in a base, or the default if the value is invalid.
#[allow(clippy::needless_pass_by_value, reason = "the engine hands arguments over")]
pub(super) fn to_int(
    value: &Value,
    default: Option<Value>,
    base: Option<u32>,
    options: Kwargs,
) -> Result<Value, Error> {
    let base = match base {
        None => options.get::<Option<u32>>("base")?,
        some => some,
    };
    let default = default_of(value, default, &options)?.unwrap_or_else(|| Value::from(0));
    let whole = match value.as_str() {
        Some(text) => {
            let whole = in_base(text.trim(), base.unwrap_or(10)).map(Value::from);
            whole.or_else(|| truncated(text.trim().parse().ok()?))
        }
        None if value.is_number() || value.kind() == ValueKind::Bool => match i128::try_from(value.clone()) {
            Ok(number) => Some(Value::from(number)),
            Err(_) => f64::try_from(value.clone()).ok().and_then(truncated),
        },
        None => None,
    };
    Ok(whole.unwrap_or(default))
}

/// The number of a string in a base from 2 to 36; in base 0, by its prefix.
fn in_base(text: &str, base: u32) -> Option<i128> {
    let negative = text.starts_with('-');
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let mut letters = digits.chars();
    let named = match (letters.next(), letters.next().map(|letter| letter.to_ascii_lowercase())) {
        (Some('0'), Some('b')) => Some(2),
        (Some('0'), Some('o')) => Some(8),
        (Some('0'), Some('x')) => Some(16),
        _ => None,
    };
    let (base, digits) = match named {
        // In other bases the letter is a digit, or invalid.
        Some(named) if base == named || base == 0 => (named, letters.as_str()),
        _ if base == 0 && digits.starts_with('0') && digits.contains(|digit| digit != '0') => return None,
        _ if base == 0 => (10, digits),
        _ if (2..=36).contains(&base) => (base, digits),
        _ => return None,
    };
    if digits.starts_with(['-', '+']) {
        return None;
    }
    let sign = if negative { "-" } else { "" };
    i128::from_str_radix(&format!("{sign}{digits}"), base).ok()
}

/// `float`: a floating-point number, or the default if the value is invalid.
#[allow(clippy::needless_pass_by_value, reason = "the engine hands arguments over")]
pub(super) fn to_float(value: &Value, default: Option<Value>, options: Kwargs) -> Result<Value, Error> {
    let default = default_of(value, default, &options)?.unwrap_or_else(|| Value::from(0.0));
    let number = match value.as_str() {
        Some(text) => text.trim().parse::<f64>().ok(),
        None if value.kind() == ValueKind::Bool => Some(if value.is_true() { 1.0 } else { 0.0 }),
        None => f64::try_from(value.clone()).ok(),
    };
    Ok(number.map_or(default, Value::from))
}

fn default_of(value: &Value, default: Option<Value>, options: &Kwargs) -> Result<Option<Value>, Error> {
    if value.is_undefined() {
        return Err(ErrorKind::UndefinedError.into());
    }
    let default = match default {
        None => options.get::<Option<Value>>("default")?,
        some => some,
    };
    options.assert_all_used()?;
    Ok(default)
}

/// A number without its fraction.
fn truncated(number: f64) -> Option<Value> {
    format!("{:.0}", number.trunc()).parse::<i128>().ok().map(Value::from)
}

/// `replace`: every occurrence of a string by another, or the first few.
#[allow(clippy::needless_pass_by_value, reason = "the engine hands arguments over")]
pub(super) fn replace(text: &Value, old: &Value, new: &Value, count: Option<i64>) -> Result<String, Error> {
    let written = |value: &Value| match value.as_str() {
        Some(text) => Ok(text.to_owned()),
        None if value.is_number() => Ok(value.to_string()),
        None if value.is_undefined() => Err(ErrorKind::UndefinedError.into()),
        None => Err(refusal(format!("`replace` needs strings, not a {}", value.kind()))),
    };
    let count = count.and_then(|count| usize::try_from(count).ok()).unwrap_or(usize::MAX);
    Ok(written(text)?.replacen(&written(old)?, &written(new)?, count))
}

/// `escape`: escapes a value for HTML, once.
pub(super) fn escape(value: &Value) -> Result<Value, Error> {
    if value.is_undefined() {
        return Err(ErrorKind::UndefinedError.into());
    }
    if value.is_safe() {
        return Ok(value.clone());
    }
    let mut escaped = String::new();
    for c in value.to_string().chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&#34;"),
            '\'' => escaped.push_str("&#39;"),
            _ => escaped.push(c),
        }
    }
    Ok(Value::from_safe_string(escaped))
}

/// The layout of JSON: on one line, or one value per line.
enum JsonLayout<'i> {
    Line,
    Lines(PrettyFormatter<'i>),
}

/// Adds a space after commas and colons, and formats numbers as Python does.
struct PythonFormatter<'i> {
    within: JsonLayout<'i>,
}

/// Adapts this formatter to the interface of `serde_json`.
macro_rules! laid_out {
    ($($name:ident($($argument:ident: $kind:ty),*);)*) => {
        $(fn $name<W: ?Sized + io::Write>(&mut self, writer: &mut W $(, $argument: $kind)*) -> io::Result<()> {
            match &mut self.within {
                JsonLayout::Line => CompactFormatter.$name(writer $(, $argument)*),
                JsonLayout::Lines(lines) => lines.$name(writer $(, $argument)*),
            }
        })*
    };
}

impl Formatter for PythonFormatter<'_> {
    laid_out! {
        begin_array();
        end_array();
        end_array_value();
        begin_object();
        end_object();
        end_object_value();
    }

    fn write_f64<W: ?Sized + io::Write>(&mut self, writer: &mut W, value: f64) -> io::Result<()> {
        writer.write_all(repr(value).as_bytes())
    }

    fn begin_array_value<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        match &mut self.within {
            JsonLayout::Line => writer.write_all(if first { b"" } else { b", " }),
            JsonLayout::Lines(lines) => lines.begin_array_value(writer, first),
        }
    }

    fn begin_object_key<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        match &mut self.within {
            JsonLayout::Line => writer.write_all(if first { b"" } else { b", " }),
            JsonLayout::Lines(lines) => lines.begin_object_key(writer, first),
        }
    }

    fn begin_object_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b": ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_python_writes_them() {
        for (number, expected) in [
            (1e16, "1e+16"),
            (1.5e300, "1.5e+300"),
            (0.00001, "1e-05"),
            (0.0001, "0.0001"),
            (-123_456_789.125, "-123456789.125"),
            (2.0, "2.0"),
            (0.0, "0.0"),
            (9_999_999_999_999_998.0, "9999999999999998.0"),
            (f64::INFINITY, "inf"),
        ] {
            assert_eq!(repr(number), expected);
        }
    }
}
