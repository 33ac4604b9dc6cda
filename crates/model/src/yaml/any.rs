//! Reads YAML that another program defines, as YAML 1.2 says: its core schema, with anchors and merge keys.

use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle, Span, StrInput, Tag};
use serde_json::{Map, Value};

use super::LEVELS_MAX;
use crate::json::{Path, Step, number};

/// Most values of a document, those that aliases repeat included.
const VALUES_MAX: usize = 2_000_000;
/// Most bytes of all its texts, those that aliases repeat included.
const TEXT_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Reads one document; `null` if it is empty.
///
/// # Errors
/// It is not YAML, has a value that JSON cannot hold, repeats a key, or is too large once aliases are replaced.
pub fn read_any(text: &str) -> Result<Value, String> {
    let mut reader = Reader {
        parser: Parser::new_from_str(text),
        path: Path::default(),
        anchors: HashMap::new(),
        size: Size::default(),
    };
    let value = loop {
        match reader.next()? {
            (Event::StreamStart | Event::DocumentStart(_), _) => {}
            (Event::StreamEnd, _) => return Ok(Value::Null),
            (event, span) => break reader.value(event, span)?,
        }
    };
    loop {
        match reader.next()? {
            (Event::DocumentEnd | Event::Nothing, _) => {}
            (Event::StreamEnd, _) => return Ok(value),
            (_, span) => {
                return Err(format!("line {}: a second YAML document begins here; keep only one", span.start.line()));
            }
        }
    }
}

/// How much was read.
#[derive(Clone, Copy, Debug, Default)]
struct Size {
    values: usize,
    bytes: usize,
}

/// A value that aliases repeat.
struct Anchored {
    value: Value,
    size: Size,
    levels: usize,
}

struct Reader<'a> {
    parser: Parser<'a, StrInput<'a>>,
    path: Path,
    anchors: HashMap<usize, Anchored>,
    size: Size,
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Result<(Event<'a>, Span), String> {
        match self.parser.next_event() {
            Some(Ok(event)) => Ok(event),
            Some(Err(error)) => Err(format!("line {}: {}", error.marker().line(), error.info())),
            None => Ok((Event::StreamEnd, Span::default())),
        }
    }

    /// An error at a position, and what to do.
    fn refuse(&self, span: Span, what: &str) -> String {
        format!("line {}: {} {what}", span.start.line(), self.path.place())
    }

    fn count(&mut self, size: Size, span: Span) -> Result<(), String> {
        self.size.values = self.size.values.saturating_add(size.values);
        self.size.bytes = self.size.bytes.saturating_add(size.bytes);
        if self.size.values > VALUES_MAX {
            return Err(self.refuse(span, &format!("is beyond {VALUES_MAX} values; split the file")));
        }
        if self.size.bytes > TEXT_BYTES_MAX {
            return Err(self.refuse(span, &format!("is beyond {TEXT_BYTES_MAX} bytes of text; split the file")));
        }
        Ok(())
    }

    fn value(&mut self, event: Event<'a>, span: Span) -> Result<Value, String> {
        self.leveled(event, span).map(|(value, _)| value)
    }

    /// A value and its nesting depth.
    fn leveled(&mut self, event: Event<'a>, span: Span) -> Result<(Value, usize), String> {
        let too_deep = || format!("line {}: values are nested more than {LEVELS_MAX} levels deep", span.start.line());
        if self.path.0.len() > LEVELS_MAX {
            return Err(too_deep());
        }
        let before = self.size;
        let (anchor, value, levels) = match event {
            Event::Alias(anchor) => {
                let Some(anchored) = self.anchors.get(&anchor) else {
                    return Err(self.refuse(span, "is an alias of the value that it is in; write the value itself"));
                };
                if self.path.0.len() + anchored.levels > LEVELS_MAX {
                    return Err(too_deep());
                }
                let size = anchored.size;
                let levels = anchored.levels;
                self.count(size, span)?;
                let value = self.anchors.get(&anchor).map(|anchored| anchored.value.clone()).unwrap_or_default();
                return Ok((value, levels));
            }
            Event::Scalar(text, style, anchor, tag) => {
                self.count(Size { values: 1, bytes: text.len() }, span)?;
                let tag = tag.as_deref().and_then(core_tag);
                let value = match (tag, style) {
                    (None, ScalarStyle::Plain) | (Some("null" | "bool" | "int" | "float"), _) => {
                        self.plain(&text, span)?
                    }
                    _ => Value::String(text.into_owned()),
                };
                (anchor, value, 0)
            }
            Event::SequenceStart(anchor, _) => {
                self.count(Size { values: 1, bytes: 0 }, span)?;
                let (items, levels) = self.list()?;
                (anchor, Value::Array(items), levels + 1)
            }
            Event::MappingStart(anchor, _) => {
                self.count(Size { values: 1, bytes: 0 }, span)?;
                let (fields, levels) = self.map(span)?;
                (anchor, Value::Object(fields), levels + 1)
            }
            _ => return Err(self.refuse(span, "has no value")),
        };
        if anchor > 0 {
            let size =
                Size { values: self.size.values - before.values, bytes: self.size.bytes.saturating_sub(before.bytes) };
            self.count(size, span)?;
            self.anchors.insert(anchor, Anchored { value: value.clone(), size, levels });
        }
        Ok((value, levels))
    }

    fn list(&mut self) -> Result<(Vec<Value>, usize), String> {
        let (mut items, mut levels) = (Vec::new(), 0);
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok((items, levels)),
                (Event::StreamEnd, span) => return Err(self.refuse(span, "is not closed")),
                (event, span) => {
                    self.path.0.push(Step::Index(items.len()));
                    let (item, below) = self.leveled(event, span)?;
                    self.path.0.pop();
                    levels = levels.max(below);
                    items.push(item);
                }
            }
        }
    }

    fn map(&mut self, start: Span) -> Result<(Map<String, Value>, usize), String> {
        let (mut fields, mut merged, mut levels) = (Map::new(), Map::new(), 0);
        loop {
            let (merges, key) = match self.next()? {
                (Event::MappingEnd, _) => break,
                (event @ Event::Scalar(..), span) => {
                    let merges = matches!(&event, Event::Scalar(text, ScalarStyle::Plain, _, None) if text == "<<");
                    let key = match self.value(event, span)? {
                        Value::String(key) => key,
                        other => other.to_string(),
                    };
                    self.path.0.push(Step::Key(key.clone()));
                    if !merges && fields.contains_key(&key) {
                        let place = self.path.place();
                        return Err(format!("line {}: the key {place} appears twice; remove one", span.start.line()));
                    }
                    (merges, key)
                }
                (Event::StreamEnd, _) => return Err(self.refuse(start, "is not closed")),
                (_, span) => return Err(self.refuse(span, "has a key that is not a string; write a string")),
            };
            let (event, span) = self.next()?;
            let (value, below) = self.leveled(event, span)?;
            levels = levels.max(below);
            if merges {
                self.merge(&mut merged, value, span)?;
            } else {
                fields.insert(key, value);
            }
            self.path.0.pop();
        }
        for (key, value) in merged {
            fields.entry(key).or_insert(value);
        }
        Ok((fields, levels))
    }

    /// Adds the keys of the maps that `<<` names, of which the first wins.
    fn merge(&self, merged: &mut Map<String, Value>, value: Value, span: Span) -> Result<(), String> {
        let maps = match value {
            Value::Array(maps) => maps,
            map => vec![map],
        };
        for map in maps {
            let Value::Object(fields) = map else {
                return Err(self.refuse(span, "merges a value that is not a map; name maps"));
            };
            for (key, value) in fields {
                merged.entry(key).or_insert(value);
            }
        }
        Ok(())
    }

    /// A value without quotes, by the core schema.
    fn plain(&self, text: &str, span: Span) -> Result<Value, String> {
        match text {
            "" | "~" | "null" | "Null" | "NULL" => return Ok(Value::Null),
            "true" | "True" | "TRUE" => return Ok(Value::Bool(true)),
            "false" | "False" | "FALSE" => return Ok(Value::Bool(false)),
            _ => {}
        }
        let Some(written) = number_of(text) else { return Ok(Value::String(text.to_owned())) };
        number(&written).map(Value::Number).map_err(|fault| {
            let short: String = text.chars().take(48).collect();
            self.refuse(span, &format!("is {short}, {fault}"))
        })
    }
}

/// The name of a tag of the core schema.
fn core_tag(tag: &Tag) -> Option<&str> {
    tag.is_yaml_core_schema().then_some(tag.suffix.as_str())
}

/// A number of the core schema, as JSON writes it.
fn number_of(text: &str) -> Option<String> {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let sign = if text.starts_with('-') { "-" } else { "" };
    if matches!(unsigned, ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN" | ".NAN") {
        return Some(text.to_owned());
    }
    for (prefix, radix) in [("0x", 16), ("0o", 8)] {
        if let Some(digits) = text.strip_prefix(prefix).filter(|digits| digits.chars().all(|c| c.is_digit(radix))) {
            return u64::from_str_radix(digits, radix).ok().map(|value| value.to_string());
        }
    }
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    let exponent_digits = exponent.map(|exponent| exponent.strip_prefix(['+', '-']).unwrap_or(exponent));
    let fits = digits(whole)
        && fraction.is_none_or(digits)
        && !(whole.is_empty() && fraction.is_none_or(str::is_empty))
        && exponent_digits.is_none_or(|exponent| !exponent.is_empty() && digits(exponent));
    if !fits {
        return None;
    }
    let whole = whole.trim_start_matches('0');
    let whole = if whole.is_empty() { "0" } else { whole };
    let sign = if whole == "0" && fraction.is_none() && exponent.is_none() { "" } else { sign };
    let fraction = fraction.map(|fraction| format!(".{}", if fraction.is_empty() { "0" } else { fraction }));
    let exponent = exponent.map(|exponent| format!("e{exponent}"));
    Some(format!("{sign}{whole}{}{}", fraction.unwrap_or_default(), exponent.unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn core_schema_is_read_with_anchors_and_merge_keys() {
        for (yaml, expected) in [
            ("", json!(null)),
            ("# a remark", json!(null)),
            ("a: yes", json!({"a": "yes"})),
            ("[010, +1, .5, 1., 0x1F, 0o17, -0, 1_000, 12:30]", json!([10, 1, 0.5, 1.0, 31, 15, 0, "1_000", "12:30"])),
            ("[!!str 1, !!int \"1\", !own x, ! y]", json!(["1", 1, "x", "y"])),
            ("a: &x {b: 1}\nc: *x", json!({"a": {"b": 1}, "c": {"b": 1}})),
            (
                "a: &x {b: 1, c: 2}\nd: {<<: *x, c: 3}\ne: {<<: [{b: 5}, *x]}",
                json!({"a": {"b": 1, "c": 2}, "d": {"b": 1, "c": 3}, "e": {"b": 5, "c": 2}}),
            ),
            ("1: a\ntrue: b", json!({"1": "a", "true": "b"})),
            ("2001-01-01", json!("2001-01-01")),
        ] {
            assert_eq!(read_any(yaml).expect(yaml), expected, "{yaml}");
        }
    }

    #[test]
    fn yaml_that_is_wrong_or_too_large_is_refused_with_its_line() {
        for (yaml, part) in [
            ("a: 1\na: 2", "line 2: the key `a` appears twice"),
            ("a: 1\n---\nb: 2", "a second YAML document"),
            ("a: 12345678901234567890", "line 1: `a` is 12345678901234567890, beyond 2^53 - 1"),
            ("a: .inf", "not a JSON number"),
            ("a: &x [*x]", "line 1: `a[0]` is an alias of the value that it is in"),
            ("a: *y", "line 1"),
            ("a: {<<: 1}", "`a[\"<<\"]` merges a value that is not a map"),
            ("? [a]\n: b", "has a key that is not a string"),
            ("a: [", "line "),
        ] {
            let error = read_any(yaml).expect_err(yaml);
            assert!(error.contains(part), "{yaml}: {error}");
        }
        let laughs: String = (1..12)
            .map(|level| format!("a{level}: &a{level} [{}]\n", vec![format!("*a{}", level - 1); 10].join(", ")))
            .collect();
        let laughs = format!("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n{laughs}");
        assert!(read_any(&laughs).expect_err("a bomb").contains("is beyond 2000000 values"));
        let text = format!("a: &a {}\nb: [{}]", "x".repeat(1_000_000), vec!["*a"; 100].join(", "));
        assert!(read_any(&text).expect_err("a bomb").contains("bytes of text"));
        let deep: String =
            (1..12).map(|level| format!("a{level}: &a{level} [[[[[[[[[[*a{}]]]]]]]]]]\n", level - 1)).collect();
        let deep = format!("a0: &a0 [[[[[[[[[[[[[[[[[[[[x]]]]]]]]]]]]]]]]]]]]\n{deep}");
        assert!(read_any(&deep).expect_err("deep").contains("nested more than 100 levels"));
        assert!(read_any(&format!("{}x{}", "[".repeat(500), "]".repeat(500))).is_err());
    }
}
