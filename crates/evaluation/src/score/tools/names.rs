//! The names of the tools that an answer calls, in the formats of several providers, also where a text has them as JSON.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use regex::Regex;
use serde_json::Value;

use super::super::javascript::is_space;

/// Most brackets without a partner.
const UNMATCHED_MAX: usize = 65_536;
/// How often the length of a text is read to find JSON in it.
const PASSES_MAX: usize = 4;

/// The beginning of a code block, or its end.
static FENCE: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new("^[ \t]*(`{3,}|~{3,})").ok());
/// The beginning of an item of a list.
static ITEM: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new("^[ \t]*(?:[-+*]|[0-9]+[.)])[ \t]+").ok());

fn insert(name: Option<&Value>, names: &mut BTreeSet<String>) -> bool {
    let name = name.and_then(Value::as_str);
    names.extend(name.map(str::to_owned));
    name.is_some()
}

/// The name of an element that is a call in the format of Anthropic or Google.
fn typed<'v>(value: &'v Value, kinds: &[&str]) -> Option<&'v Value> {
    let kind = value.get("type").and_then(Value::as_str)?;
    value.get("name").filter(|name| kinds.contains(&kind) && name.is_string())
}

/// The names in a value.
pub(super) fn in_value(value: &Value) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let called =
        |value: &'_ Value| value.get("functionCall").filter(|call| call.is_object() || call.is_array()).cloned();
    match value {
        Value::String(text) => return in_text(text).unwrap_or_default(),
        Value::Object(fields) => {
            if let Some(Value::Array(calls)) = fields.get("tool_calls") {
                for call in calls {
                    insert(call.get("function").and_then(|function| function.get("name")), &mut names);
                    insert(call.get("name"), &mut names);
                }
            } else if let Some(name) = typed(value, &["tool_use", "function_call"]) {
                insert(Some(name), &mut names);
            } else if let Some(call) = called(value) {
                insert(call.get("name"), &mut names);
            } else if let Some(Value::Array(calls)) = fields.get("toolCall").and_then(|call| call.get("functionCalls"))
            {
                for call in calls {
                    insert(call.get("name"), &mut names);
                }
            }
        }
        Value::Array(items) => {
            for item in items {
                if let Some(name) = typed(item, &["tool_use"]) {
                    insert(Some(name), &mut names);
                } else if let Some(call) = called(item) {
                    insert(call.get("name"), &mut names);
                } else if let Some(function) = item.get("function").filter(|one| one.is_object() || one.is_array()) {
                    insert(function.get("name"), &mut names);
                } else {
                    insert(item.get("name"), &mut names);
                }
            }
        }
        _ => {}
    }
    names
}

/// The names in a text: it is JSON, or has JSON at the beginning and to the end of lines, outside of code blocks.
///
/// # Errors
/// It has too many brackets that match nothing.
pub(super) fn in_text(text: &str) -> Result<BTreeSet<String>, String> {
    match serde_json::from_str::<Value>(text) {
        Ok(Value::String(inner)) => return in_text(&inner),
        Ok(value) => return Ok(in_value(&value)),
        Err(_) => {}
    }
    let mut names = BTreeSet::new();
    let mut left = text.len().saturating_mul(PASSES_MAX);
    let mut pending = blocks(text, false)?;
    while let Some((block, starts_line)) = pending.pop() {
        left = left
            .checked_sub(block.len())
            .ok_or_else(|| "the answer has too many brackets to find calls of tools in it".to_owned())?;
        match serde_json::from_str::<Value>(block) {
            Ok(value) if starts_line => names.append(&mut in_value(&value)),
            Ok(_) => {}
            Err(_) => pending.extend(blocks(block, true)?),
        }
    }
    Ok(names)
}

/// A bracket of a text outside of strings.
struct Bracket {
    at: usize,
    sign: u8,
    starts_line: bool,
    ends_line: bool,
}

impl Bracket {
    const fn opens(&self) -> bool {
        matches!(self.sign, b'{' | b'[')
    }

    const fn closes(&self, open: &Self) -> bool {
        matches!((open.sign, self.sign), (b'{', b'}') | (b'[', b']'))
    }
}

/// How wide a text is, with tabs to columns of four.
fn width(text: &str) -> usize {
    text.chars().fold(0, |column, character| column + if character == '\t' { 4 - column % 4 } else { 1 })
}

/// The sign and the length of a fence at the beginning of a line, and what follows it.
fn fence(line: &str) -> Option<(char, usize, &str)> {
    let found = FENCE.as_ref()?.captures(line)?;
    let marks = found.get(1)?;
    Some((marks.as_str().chars().next()?, marks.len(), line.get(marks.end()..)?))
}

/// The brackets of a text; `None` where what was open before cannot be closed any more.
fn brackets(text: &str) -> Vec<Option<Bracket>> {
    let mut found = Vec::new();
    let mut open_fence: Option<(char, usize, usize)> = None;
    let mut containers: Vec<usize> = Vec::new();
    let mut next = 0;
    for whole in text.split('\n') {
        let offset = next;
        next += whole.len() + 1;
        let line = whole.trim_end_matches(is_space);
        let first = line.find(|character| !is_space(character));
        let indent = width(line.get(..first.unwrap_or(0)).unwrap_or(""));
        if open_fence.is_some_and(|(.., container)| !line.is_empty() && indent < container) {
            open_fence = None;
            found.push(None);
        }
        if let Some((sign, length, container)) = open_fence {
            let closes = fence(line).is_some_and(|(mark, marks, after)| {
                indent <= container + 3 && mark == sign && marks >= length && after.chars().all(is_space)
            });
            if closes {
                open_fence = None;
            }
            continue;
        }
        while !line.is_empty() && containers.last().is_some_and(|container| indent < *container) {
            containers.pop();
        }
        let item = ITEM.as_ref().and_then(|item| item.find(line));
        containers.extend(item.map(|item| width(item.as_str())));
        let container = containers.last().copied().unwrap_or(0);
        let inside = item.and_then(|item| line.get(item.end()..)).unwrap_or(line);
        if let Some((sign, length, after)) = fence(inside)
            && (item.is_some() || indent <= container + 3)
            && (sign != '`' || !after.contains('`'))
        {
            open_fence = Some((sign, length, container));
            found.push(None);
            continue;
        }
        if brackets_of_line(line, offset, first, &mut found) {
            found.push(None);
        }
    }
    found
}

/// Adds the brackets of a line; returns whether a string is open at its end.
fn brackets_of_line(line: &str, offset: usize, first: Option<usize>, found: &mut Vec<Option<Bracket>>) -> bool {
    let (mut in_string, mut escaped) = (false, false);
    for (at, sign) in line.bytes().enumerate() {
        match (in_string, sign) {
            (true, _) if escaped => escaped = false,
            (true, b'\\') => escaped = true,
            (_, b'"') => in_string = !in_string,
            (false, b'{' | b'[' | b'}' | b']') => {
                let (starts_line, ends_line) = (first == Some(at), at + 1 == line.len());
                found.push(Some(Bracket { at: offset + at, sign, starts_line, ends_line }));
            }
            _ => {}
        }
    }
    in_string
}

/// The parts of a text in matching brackets that end with a line, and whether each begins one; inside of the outermost
/// brackets if `skip_root`.
fn blocks(text: &str, skip_root: bool) -> Result<Vec<(&str, bool)>, String> {
    let brackets = brackets(text);
    let mut unmatched: Vec<&Bracket> = Vec::new();
    let mut barrier = 0;
    for bracket in &brackets {
        match bracket {
            None => barrier = unmatched.len(),
            Some(bracket) if bracket.opens() => unmatched.push(bracket),
            Some(bracket) if unmatched.len() > barrier && unmatched.last().is_some_and(|open| bracket.closes(open)) => {
                unmatched.pop();
            }
            Some(bracket) => {
                unmatched.push(bracket);
                barrier = unmatched.len();
            }
        }
        if unmatched.len() > UNMATCHED_MAX {
            return Err(format!("the answer has more than {UNMATCHED_MAX} brackets without a partner"));
        }
    }
    let mut unmatched = unmatched.into_iter().map(|bracket| bracket.at).peekable();
    let mut found = Vec::new();
    let mut depth = 0_usize;
    let mut start: Option<(&Bracket, usize)> = None;
    for bracket in brackets.iter().flatten() {
        if unmatched.next_if_eq(&bracket.at).is_some() {
            continue;
        }
        if bracket.opens() {
            if start.is_none() && depth == usize::from(skip_root) {
                start = Some((bracket, depth));
            }
            depth += 1;
            continue;
        }
        depth = depth.saturating_sub(1);
        if let Some((open, _)) = start.filter(|(_, level)| *level == depth) {
            if bracket.ends_line {
                found.extend(text.get(open.at..=bracket.at).map(|block| (block, open.starts_line)));
            }
            start = None;
        }
    }
    Ok(found)
}
