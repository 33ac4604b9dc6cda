//! Writes JSON values as YAML that every parser reads the same.

use serde_json::{Map, Value};

/// Indentation of each level, in spaces.
const INDENT: usize = 2;
/// Longest string that is written as a key on one line, in bytes; YAML allows 1,024 characters.
const KEY_BYTES_MAX: usize = 1_000;

/// Writes a map, each value in the usual style; everything ambiguous is quoted.
#[must_use]
pub fn write(fields: &Map<String, Value>) -> String {
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
