//! Reads YAML as promptfoo does where it takes text for JSON: one document of the core schema.

use std::borrow::Cow;

use saphyr_parser::{Event, Parser, ScalarStyle, StrInput};
use serde_json::{Map, Value};

/// Deepest nesting.
const LEVELS_MAX: usize = 100;
/// The namespace of the standard tags.
const STANDARD: &str = "tag:yaml.org,2002:";

/// Reads one document; an empty one is `null`.
pub(super) fn read(text: &str) -> Result<Value, String> {
    let mut parser = Parser::new_from_str(text);
    let mut document = None;
    loop {
        match next(&mut parser)? {
            Event::StreamEnd => return Ok(document.unwrap_or(Value::Null)),
            Event::StreamStart | Event::DocumentStart(_) | Event::DocumentEnd | Event::Nothing => {}
            _ if document.is_some() => return Err("there is a second document".to_owned()),
            event => document = Some(value(&mut parser, event, 0)?),
        }
    }
}

fn next<'t>(parser: &mut Parser<'t, StrInput<'t>>) -> Result<Event<'t>, String> {
    match parser.next_event() {
        Some(Ok((event, _))) => Ok(event),
        Some(Err(error)) => Err(error.to_string()),
        None => Ok(Event::StreamEnd),
    }
}

fn value<'t>(parser: &mut Parser<'t, StrInput<'t>>, event: Event<'t>, level: usize) -> Result<Value, String> {
    if level > LEVELS_MAX {
        return Err(format!("values are nested more than {LEVELS_MAX} levels deep"));
    }
    let tag = match &event {
        Event::Scalar(_, _, _, tag) | Event::SequenceStart(_, tag) | Event::MappingStart(_, tag) => tag.as_deref(),
        _ => None,
    };
    if let Some(tag) = tag.filter(|tag| tag.handle != STANDARD) {
        return Err(format!("the tag `{tag}` is unknown"));
    }
    match event {
        Event::Scalar(text, ScalarStyle::Plain, _, None) => Ok(plain(&text)),
        Event::Scalar(text, ..) => Ok(Value::String(text.into_owned())),
        Event::SequenceStart(..) => {
            let mut items = Vec::new();
            loop {
                match next(parser)? {
                    Event::SequenceEnd => return Ok(Value::Array(items)),
                    event => items.push(value(parser, event, level + 1)?),
                }
            }
        }
        Event::MappingStart(..) => {
            let mut fields = Map::new();
            loop {
                let key = match next(parser)? {
                    Event::MappingEnd => return Ok(Value::Object(fields)),
                    Event::SequenceStart(..) => return Err("a list cannot be a key".to_owned()),
                    event => value(parser, event, level + 1)?,
                };
                let event = next(parser)?;
                fields.insert(super::super::javascript::string(&key).into_owned(), value(parser, event, level + 1)?);
            }
        }
        _ => Err("aliases are not supported; write the value itself".to_owned()),
    }
}

/// A word without quotes.
fn plain(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" => return Value::Bool(true),
        "false" | "False" | "FALSE" => return Value::Bool(false),
        _ => {}
    }
    let radix = |prefix, radix| text.strip_prefix(prefix).and_then(|digits| u64::from_str_radix(digits, radix).ok());
    if let Some(number) = radix("0x", 16).or_else(|| radix("0o", 8)).or_else(|| radix("0b", 2)) {
        return number.into();
    }
    let digits = text.trim_start_matches(['+', '-']);
    let is_number = text.len() - digits.len() <= 1
        && digits.starts_with(|first: char| first.is_ascii_digit() || first == '.')
        && digits.contains(|digit: char| digit.is_ascii_digit())
        && digits
            .chars()
            .all(|character| character.is_ascii_digit() || matches!(character, '.' | 'e' | 'E' | '+' | '-'));
    if is_number {
        if let Ok(whole) = text.parse::<i64>() {
            return whole.into();
        }
        if let Some(number) = text.parse().ok().and_then(serde_json::Number::from_f64) {
            return Value::Number(number);
        }
    }
    Value::String(text.to_owned())
}

/// A text whose comments begin with `#` instead of `//`.
pub(super) fn comments(text: &str) -> Cow<'_, str> {
    if !text.contains("//") {
        return Cow::Borrowed(text);
    }
    text.split('\n').map(line).collect::<Vec<_>>().join("\n").into()
}

fn line(line: &str) -> String {
    let characters: Vec<char> = line.chars().collect();
    let at = |index: usize| characters.get(index).copied();
    let is_letter = |character: Option<char>| character.is_some_and(|letter| letter.is_ascii_alphabetic());
    let mut output = String::with_capacity(line.len());
    let mut quote: Option<char> = None;
    let mut backslashes = 0_usize;
    let mut word = 0;
    for (index, &character) in characters.iter().enumerate() {
        let before = index.checked_sub(1).and_then(at);
        if before.is_some_and(super::super::javascript::is_space) {
            word = index;
        }
        match quote {
            Some(open) => {
                let closes =
                    character == open && backslashes.is_multiple_of(2) && (open == '"' || !is_letter(at(index + 1)));
                if closes {
                    quote = None;
                }
            }
            None if character == '"' || (character == '\'' && !is_letter(before)) => quote = Some(character),
            None if character == '/' && at(index + 1) == Some('/') => {
                let is_address = characters
                    .get(word..index + 2)
                    .is_some_and(|word| word.windows(3).any(|three| three == [':', '/', '/']));
                if !is_address {
                    let slashes = characters.iter().skip(index).take_while(|slash| **slash == '/').count();
                    output.push_str(&"#".repeat(slashes / 2));
                    output.extend(characters.iter().skip(index + slashes));
                    return output;
                }
            }
            None => {}
        }
        backslashes = if character == '\\' { backslashes + 1 } else { 0 };
        output.push(character);
    }
    output
}
