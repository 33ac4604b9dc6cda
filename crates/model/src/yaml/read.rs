//! Reads YAML with one meaning for every parser.

use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle, Span};
use serde_json::{Map, Value};

use super::LEVELS_MAX;
use super::words::{is_numeric, is_switch};
use crate::json::{Path, Step, number};

/// A map, and the line of each of its keys.
#[derive(Debug, Default)]
pub struct Read {
    /// The map.
    pub fields: Map<String, Value>,
    /// The line of each key.
    pub lines: HashMap<String, usize>,
}

/// Parses one map whose first line is line `first`; empty input is an empty map. `what` names the text in errors, for
/// example `front matter`.
///
/// # Errors
/// The text is not a map, or has a form with more than one meaning; with line and path.
pub fn read(text: &str, first: usize, what: &str) -> Result<Read, String> {
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
        _ => Err(format!("line {first}: {what} is a map of keys; write `key: value`")),
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
