//! Parses YAML as JSON values, or rejects it; and writes such values.
//!
//! YAML has several ways to write a value, and its versions disagree about some. Accepted are forms with one meaning
//! for every parser: strings in every style, `null` and `~`, `true` and `false`, numbers in JSON syntax, lists and
//! maps. Forms that could mean something else are rejected with line and path: duplicate keys and keys that are not
//! strings, anchors, aliases and merge keys, tags, multiple documents, and words that some parsers take for a number or
//! boolean and others for a string (`010`, `0x1F`, `0o17`, `1_000`, `12:30`, `.inf`, `.nan`, `+1`; `yes`, `no`, `on`,
//! `off`, which are strings as keys). Dates are strings. The output quotes everything ambiguous.

use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle, Span};
use serde_json::{Map, Value};

use crate::json::{Path, Step, number};

/// Maximum nesting depth; JSON parsers stop there, too.
const LEVELS_MAX: usize = 100;

/// A map, and the line of each of its keys.
#[derive(Debug, Default)]
pub(super) struct Read {
    pub fields: Map<String, Value>,
    pub lines: HashMap<String, usize>,
}

/// Parses one map whose first line is line `first`; empty input is an empty map.
pub(super) fn read(text: &str, first: usize) -> Result<Read, String> {
    let mut reader = Reader { parser: Parser::new_from_str(text), path: Path::default(), first, lines: HashMap::new() };
    let value = loop {
        match reader.next()? {
            (Event::StreamStart | Event::DocumentStart(_), _) => {}
            (Event::StreamEnd, _) => return Ok(Read::default()),
            (event, span) => break reader.value(event, span)?,
        }
    };
    let end = loop {
        match reader.next()? {
            (Event::DocumentEnd | Event::Nothing, _) => {}
            (Event::StreamEnd, _) => break None,
            (_, span) => break Some(span),
        }
    };
    if let Some(span) = end {
        return Err(format!("line {}: a second YAML document begins here; keep only one", reader.line(span)));
    }
    match value {
        Value::Object(fields) => Ok(Read { fields, lines: reader.lines }),
        Value::Null => Ok(Read::default()),
        _ => Err(format!("line {first}: front matter is a map of keys; write `key: value`")),
    }
}

struct Reader<'a> {
    parser: Parser<'a, saphyr_parser::StrInput<'a>>,
    path: Path,
    first: usize,
    /// Of the keys of the outermost map.
    lines: HashMap<String, usize>,
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Result<(Event<'a>, Span), String> {
        match self.parser.next_event() {
            Some(Ok(event)) => Ok(event),
            Some(Err(error)) => {
                let line = self.first.saturating_add(error.marker().line()).saturating_sub(1);
                Err(format!("line {line}: {}", error.info()))
            }
            None => Ok((Event::StreamEnd, Span::default())),
        }
    }

    fn line(&self, span: Span) -> usize {
        self.first.saturating_add(span.start.line()).saturating_sub(1)
    }

    /// An error at a position, and what to do.
    fn refuse(&self, span: Span, what: &str) -> String {
        format!("line {}: {} {what}", self.line(span), self.path.place())
    }

    fn value(&mut self, event: Event<'a>, span: Span) -> Result<Value, String> {
        if self.path.0.len() > LEVELS_MAX {
            return Err(format!("line {}: values are nested more than {LEVELS_MAX} levels deep", self.line(span)));
        }
        match event {
            Event::Alias(_) => Err(self.refuse(span, "is an alias (`*name`); write the value itself")),
            Event::Scalar(_, _, anchor, _) | Event::SequenceStart(anchor, _) | Event::MappingStart(anchor, _)
                if anchor > 0 =>
            {
                Err(self.refuse(span, "has an anchor (`&name`); write the value without it"))
            }
            Event::Scalar(_, _, _, Some(_)) | Event::SequenceStart(_, Some(_)) | Event::MappingStart(_, Some(_)) => {
                Err(self.refuse(span, "has a tag (`!name`); write the value without it"))
            }
            Event::Scalar(text, ScalarStyle::Plain, ..) => self.plain(&text, span),
            Event::Scalar(text, ..) => Ok(Value::String(text.into_owned())),
            Event::SequenceStart(..) => self.list(),
            Event::MappingStart(..) => self.map(span),
            _ => Err(self.refuse(span, "has no value")),
        }
    }

    fn list(&mut self) -> Result<Value, String> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(Value::Array(items)),
                (event, span) => {
                    self.path.0.push(Step::Index(items.len()));
                    items.push(self.value(event, span)?);
                    self.path.0.pop();
                }
            }
        }
    }

    fn map(&mut self, start: Span) -> Result<Value, String> {
        let mut fields = Map::new();
        loop {
            let key = match self.next()? {
                (Event::MappingEnd, _) => return Ok(Value::Object(fields)),
                (event @ Event::Scalar(..), span) => {
                    let plain = matches!(&event, Event::Scalar(_, ScalarStyle::Plain, ..));
                    let value = match event {
                        Event::Scalar(text, ScalarStyle::Plain, 0, None) if is_switch(&text) => {
                            text.into_owned().into()
                        }
                        event => self.value(event, span)?,
                    };
                    let key = match value {
                        Value::String(key) if plain && key == "<<" => {
                            return Err(self.refuse(span, "has a merge key (`<<`); write the keys themselves"));
                        }
                        Value::String(key) => key,
                        other => {
                            let what = format!("has the key {other}, which is not a string; write it in quotes");
                            return Err(self.refuse(span, &what));
                        }
                    };
                    if self.path.0.is_empty() {
                        self.lines.insert(key.clone(), self.line(span));
                    }
                    self.path.0.push(Step::Key(key.clone()));
                    if fields.contains_key(&key) {
                        let (line, key) = (self.line(span), self.path.place());
                        return Err(format!("line {line}: the key {key} appears twice; remove one"));
                    }
                    key
                }
                (Event::StreamEnd, _) => return Err(self.refuse(start, "is not closed")),
                (_, span) => return Err(self.refuse(span, "has a key that is not a string; write a string")),
            };
            let (event, span) = self.next()?;
            let value = self.value(event, span)?;
            self.path.0.pop();
            fields.insert(key, value);
        }
    }

    /// A value without quotes.
    fn plain(&self, text: &str, span: Span) -> Result<Value, String> {
        match text {
            "" | "~" | "null" | "Null" | "NULL" => return Ok(Value::Null),
            "true" | "True" | "TRUE" => return Ok(Value::Bool(true)),
            "false" | "False" | "FALSE" => return Ok(Value::Bool(false)),
            _ => {}
        }
        if is_switch(text) {
            let what = format!(
                "is {text}, which some YAML readers take for a boolean; write true or false, or a string in \
                    quotes"
            );
            return Err(self.refuse(span, &what));
        }
        if !is_numeric(text) {
            return Ok(Value::String(text.to_owned()));
        }
        number(text).map(Value::Number).map_err(|fault| {
            let short: String = text.chars().take(48).collect();
            self.refuse(span, &format!("is {short}, {fault}"))
        })
    }
}

/// Indentation of each level, in spaces.
const INDENT: usize = 2;
/// Longest string that is written as a key on one line, in bytes; YAML allows 1,024 characters.
const KEY_BYTES_MAX: usize = 1_000;

/// Writes a map, each value in the usual style.
pub(super) fn write(fields: &Map<String, Value>) -> String {
    let mut out = String::new();
    for (key, value) in fields {
        write_entry(&mut out, 0, key, value);
    }
    out
}

/// Writes a key and its value, at the start of a line.
fn write_entry(out: &mut String, indent: usize, key: &str, value: &Value) {
    let key = scalar(key);
    if key.len() > KEY_BYTES_MAX {
        out.extend(["? ", &key, "\n", &" ".repeat(indent)]);
    } else {
        out.push_str(&key);
    }
    out.push(':');
    write_value(out, indent, value);
}

/// Writes a value after `:` or `-` at this indentation.
fn write_value(out: &mut String, indent: usize, value: &Value) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            out.push('\n');
            for (key, value) in fields {
                out.push_str(&" ".repeat(indent + INDENT));
                write_entry(out, indent + INDENT, key, value);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            out.push('\n');
            for item in items {
                out.push_str(&" ".repeat(indent));
                out.push('-');
                write_item(out, indent, item);
            }
        }
        Value::String(text) => match block(text, indent + INDENT) {
            Some(block) => out.push_str(&block),
            None => out.extend([" ", &scalar(text), "\n"]),
        },
        other => out.extend([" ", &other.to_string(), "\n"]),
    }
}

/// Writes an item of a list after its `-`; a map begins on the same line.
fn write_item(out: &mut String, indent: usize, item: &Value) {
    match item {
        Value::Object(fields) if !fields.is_empty() => {
            for (number, (key, value)) in fields.iter().enumerate() {
                out.push_str(&if number == 0 { " ".to_owned() } else { " ".repeat(indent + INDENT) });
                write_entry(out, indent + INDENT, key, value);
            }
        }
        Value::Array(items) if !items.is_empty() => write_value(out, indent + INDENT, item),
        _ => write_value(out, indent, item),
    }
}

/// A multi-line string as a block, if a block can express it.
fn block(text: &str, indent: usize) -> Option<String> {
    let (lines, header) = match text.strip_suffix('\n') {
        Some(lines) => (lines, " |\n"),
        None => (text, " |-\n"),
    };
    let shown = |c: char| c == '\n' || (c.is_ascii() && !c.is_ascii_control()) || c.is_alphanumeric();
    let fits = text.contains('\n')
        && text.chars().all(shown)
        && !lines.is_empty()
        && !lines.starts_with([' ', '\n'])
        && !lines.ends_with('\n');
    fits.then(|| {
        let pad = " ".repeat(indent);
        let line = |line: &str| if line.is_empty() { "\n".to_owned() } else { format!("{pad}{line}\n") };
        lines.split('\n').map(line).fold(header.to_owned(), |all, line| all + &line)
    })
}

/// A string on one line: plain if every parser reads it as this string, else quoted.
fn scalar(text: &str) -> String {
    const WORDS: [&str; 10] = ["null", "true", "false", "yes", "no", "on", "off", "y", "n", "none"];
    let inside = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/' | ' ' | '$');
    let plain = text.starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '_' | '$' | '/'))
        && text.chars().all(inside)
        && !text.ends_with(' ')
        && !WORDS.contains(&text.to_ascii_lowercase().as_str());
    if plain { text.to_owned() } else { Value::from(text).to_string() }
}

/// Whether some YAML parser takes a word for a boolean, and others for a string.
fn is_switch(text: &str) -> bool {
    ["yes", "no", "on", "off"].iter().any(|word| text.eq_ignore_ascii_case(word))
}

/// Whether some YAML parser takes a word for a number.
fn is_numeric(text: &str) -> bool {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let word = unsigned.to_ascii_lowercase();
    if matches!(word.as_str(), ".inf" | ".nan") {
        return true;
    }
    let radix = |prefix: &str, digits: fn(&u8) -> bool| {
        word.strip_prefix(prefix)
            .is_some_and(|rest| !rest.is_empty() && rest.as_bytes().iter().all(|b| digits(b) || *b == b'_'))
    };
    if radix("0x", u8::is_ascii_hexdigit)
        || radix("0o", |b| (b'0'..b'8').contains(b))
        || radix("0b", |b| b"01".contains(b))
    {
        return true;
    }
    let (mantissa, exponent) =
        word.split_once('e').map_or((word.as_str(), None), |(mantissa, exponent)| (mantissa, Some(exponent)));
    let digits = |text: &str, more: &str| {
        !text.is_empty() && text.chars().all(|c| c.is_ascii_digit() || c == '_' || more.contains(c))
    };
    // `12:30` was a number in base 60.
    let sexagesimal = exponent.is_none()
        && mantissa.split(':').count() > 1
        && mantissa.split(':').all(|part| digits(part, "."))
        && mantissa.split(':').skip(1).all(|part| part.split('.').next().is_some_and(|part| part.len() <= 2));
    let decimal = mantissa.bytes().any(|byte| byte.is_ascii_digit())
        && mantissa.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        && mantissa.matches('.').count() <= 1
        && digits(mantissa, ".")
        && exponent.is_none_or(|exponent| digits(exponent.strip_prefix(['+', '-']).unwrap_or(exponent), ""));
    decimal || sexagesimal
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn value(yaml: &str) -> Value {
        read(&format!("v: {yaml}"), 2).expect(yaml).fields.remove("v").expect(yaml)
    }

    #[test]
    fn yaml_with_one_meaning_is_accepted_as_that_value() {
        for (yaml, expected) in [
            ("null", Value::Null),
            ("", Value::Null),
            ("~", Value::Null),
            ("true", json!(true)),
            ("False", json!(false)),
            ("'yes'", json!("yes")),
            ("{on: 1, no: 2}", json!({"on": 1, "no": 2})),
            ("yesterday", json!("yesterday")),
            ("y", json!("y")),
            ("2001-01-01", json!("2001-01-01")),
            ("2001-12-14t21:59:43.10-05:00", json!("2001-12-14t21:59:43.10-05:00")),
            ("1.2.3", json!("1.2.3")),
            ("1e", json!("1e")),
            ("3 apples", json!("3 apples")),
            ("\n  -", json!([null])),
            ("'010'", json!("010")),
            ("\"1_000\"", json!("1_000")),
            ("-12", json!(-12)),
            ("1.0", json!(1.0)),
            ("1e3", json!(1000.0)),
            ("|\n  a\n  b\n", json!("a\nb\n")),
            (">\n  a\n  b\n", json!("a b\n")),
            ("{z: 1, a: [x, {y: 2}]}", json!({"z": 1, "a": ["x", {"y": 2}]})),
            ("192.168.0.1", json!("192.168.0.1")),
            ("https://example.com:80", json!("https://example.com:80")),
        ] {
            assert!(crate::json::same(&value(yaml), &expected), "{yaml}: {}", value(yaml));
        }
        assert!(read("", 2).expect("nothing").fields.is_empty());
        assert!(read("# a remark\n", 2).expect("nothing").fields.is_empty());
    }

    #[test]
    fn written_yaml_reads_back_as_the_same_values() {
        let long = "k".repeat(2_000);
        let fields = json!({"z": 1, "a": {"yes": "no", "010": "1_000", "t": "12:30", "": "", "<<": "~", "x: y": " # "},
            "list": [[1, [2.0, []]], {"b": "x", "a": {}}, "one\ntwo\n", "- a", null, true, -0.0, 1e21],
            "text": "a\n\n  b: {{x}}\n---", "odd": "\u{85}\u{2028}\u{feff}\u{7f}\u{0}é", "tail": "a \nb\n\n",
            "version": "1.2.3", "path": "/a/b", "ref": "$ref", long: {"deep": [{"c": [{"d": "e"}]}]}});
        let fields = fields.as_object().expect("a map");
        let written = write(fields);
        let read = read(&written, 2).expect(&written).fields;
        assert!(crate::json::same_fields(&read, fields), "{written}");
        for part in
            ["z: 1\n", "  t: \"12:30\"\n", "text: |-\n  a\n\n    b: {{x}}\n  ---\n", "ref: $ref\n", "- b: x\n  a: {}\n"]
        {
            assert!(written.contains(part), "{part} in {written}");
        }
    }

    #[test]
    fn yaml_value_that_would_change_is_refused_with_line_and_path() {
        for (yaml, part) in [
            ("a: 1\nb:\n  c: 1\n  c: 2", "line 5: the key `b.c` appears twice"),
            ("a: 1\n'a': 2", "line 3: the key `a` appears twice"),
            ("a: [{b: 1, b: 2}]", "line 2: the key `a[0].b` appears twice"),
            ("a: 12345678901234567890", "line 2: `a` is 12345678901234567890, beyond 2^53 - 1"),
            ("a: 9007199254740993", "beyond 2^53 - 1"),
            ("a: [1, 0.1000000000000000055]", "`a[1]` is 0.1000000000000000055, which would become 0.1"),
            ("a: 1e400", "beyond the range"),
            ("a: -0", "write 0 or -0.0"),
            ("a: .inf", "`a` is .inf, which is not a JSON number"),
            ("a: -.INF", "not a JSON number"),
            ("a: .NaN", "not a JSON number"),
            ("a: 0x1F", "not a JSON number"),
            ("a: 0o17", "not a JSON number"),
            ("a: 0b11", "not a JSON number"),
            ("a: 010", "not a JSON number"),
            ("a: 1_000", "not a JSON number"),
            ("a: +1", "not a JSON number"),
            ("a: .5", "not a JSON number"),
            ("a: 1.", "not a JSON number"),
            (
                "a: yes",
                "`a` is yes, which some YAML readers take for a boolean; write true or false, or a string in \
                quotes",
            ),
            ("a: [NO]", "`a[0]` is NO, which some YAML readers"),
            ("a: {b: Off, on: 1}", "`a.b` is Off, which some YAML readers"),
            ("a: 12:30", "not a JSON number"),
            ("a: 190:20:30.15", "not a JSON number"),
            ("a: &x 1\nb: *x", "line 2: `a` has an anchor"),
            ("a: *x", "line 2"),
            ("a:\n  <<: {b: 1}", "`a` has a merge key"),
            ("1: a", "has the key 1, which is not a string"),
            ("a: {true: 1}", "`a` has the key true, which is not a string"),
            ("~: a", "has the key null"),
            ("? [a]\n: b", "has a key that is not a string"),
            ("a: !!int '3'", "`a` has a tag"),
            ("a: !x {b: 1}", "`a` has a tag"),
            ("a: 1\n---\nb: 2", "a second YAML document"),
            ("- a", "a map of keys"),
            ("text", "a map of keys"),
            ("a: [", "line "),
            ("a: \"", "line "),
        ] {
            let error = read(yaml, 2).expect_err(yaml);
            assert!(error.contains(part), "{yaml}: {error}");
        }
        let deep = format!("a: {}1{}", "[".repeat(500), "]".repeat(500));
        assert!(read(&deep, 2).is_err());
    }
}
