//! The differences between two contents, for display.
//!
//! Texts are compared line by line, messages by alignment, everything else as JSON before and after. Any two contents
//! are compared within a fixed amount of work: if two texts differ too much for that, everything is shown as removed
//! and added.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write};
use std::hash::Hash;

use serde::Serialize;
use serde_json::Value;
use similar::{Algorithm, DiffOp, DiffTag, capture_diff_slices, group_diff_ops};

use crate::json;
use crate::model::comparison::{Diff, MessageChange, SyntaxChange, ValueChange, VariableChange};
use crate::model::content::{Body, Content, Message, MessageContent, RoleMessage, Variable};

/// Number of context lines around a change.
const CONTEXT_LINES: usize = 3;
/// Context for the whole text: more lines than any text has.
const CONTEXT_LINES_WHOLE: usize = 1 << 30;
/// Most comparisons of lines in one diff: lines of one text times lines of the other.
const WORK_COMPARISONS_MAX: usize = 64_000_000;

/// How much context is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Context {
    /// A few lines.
    #[default]
    Around,
    /// The whole changed text.
    Whole,
}

/// Compares two contents.
pub fn diff(from: &Content, to: &Content) -> Diff {
    diff_in(from, to, Context::Around)
}

/// Compares two contents, with the given context.
pub fn diff_in(from: &Content, to: &Content, context: Context) -> Diff {
    let mut work = Comparison::new(context);
    let (text, messages) = match (&from.body, &to.body) {
        (Body::Text(from), Body::Text(to)) => ((from != to).then(|| work.unified(from, to)), Vec::new()),
        (Body::Messages(from), Body::Messages(to)) => (None, work.messages(from, to)),
        (Body::Text(from), Body::Messages(to)) => (Some(work.unified(from, "")), work.messages(&[], to)),
        (Body::Messages(from), Body::Text(to)) => (Some(work.unified("", to)), work.messages(from, &[])),
    };
    Diff {
        syntax: (from.syntax != to.syntax).then_some(SyntaxChange { before: from.syntax, after: to.syntax }),
        text,
        messages,
        variables: variables(from, to),
        model: change(from.model.as_ref(), to.model.as_ref()),
        tools: change(Some(&from.tools), Some(&to.tools)),
        response_schema: change(from.response_schema.as_ref(), to.response_schema.as_ref()),
        config: change(Some(&from.config), Some(&to.config)),
    }
}

fn change<T: Serialize>(before: Option<&T>, after: Option<&T>) -> Option<ValueChange> {
    let json = |value: Option<&T>| value.and_then(|value| serde_json::to_value(value).ok()).unwrap_or(Value::Null);
    let (before, after) = (json(before), json(after));
    (!json::same(&before, &after)).then(|| ValueChange::new(before, after))
}

fn variables(from: &Content, to: &Content) -> Vec<VariableChange> {
    let by_name = |content: &Content| -> BTreeMap<String, Variable> {
        content.variables.iter().map(|variable| (variable.name.clone(), variable.clone())).collect()
    };
    let (mut before, mut after) = (by_name(from), by_name(to));
    let names: BTreeSet<String> = before.keys().chain(after.keys()).cloned().collect();
    names
        .into_iter()
        .map(|name| VariableChange { before: before.remove(&name), after: after.remove(&name), name })
        .filter(|change| change.before != change.after)
        .collect()
}

/// Compares items one after another within one work limit.
#[derive(Debug)]
pub struct Comparison {
    /// Number of remaining comparisons.
    left: usize,
    context: Context,
}

impl Comparison {
    /// With its full work limit.
    #[must_use]
    pub const fn new(context: Context) -> Self {
        Self { left: WORK_COMPARISONS_MAX, context }
    }

    /// The unified hunks between two values as pretty-printed JSON; null is empty.
    pub fn values(&mut self, before: &Value, after: &Value) -> String {
        let json = |value: &Value| match value {
            Value::Null => String::new(),
            value => format!("{value:#}\n"),
        };
        self.unified(&json(before), &json(after))
    }

    /// The edits from one list to another; beyond the work limit, only the common start and end are kept.
    fn operations<T: Ord + Hash>(&mut self, before: &[T], after: &[T]) -> Vec<DiffOp> {
        let mut numbers: BTreeMap<&T, usize> = BTreeMap::new();
        let mut number = |item| {
            let next = numbers.len();
            *numbers.entry(item).or_insert(next)
        };
        let before: Vec<usize> = before.iter().map(&mut number).collect();
        let after: Vec<usize> = after.iter().map(&mut number).collect();
        let same = |(a, b): &(&usize, &usize)| a == b;
        let start = before.iter().zip(&after).take_while(same).count();
        let (rest_before, rest_after) =
            (before.get(start..).unwrap_or_default(), after.get(start..).unwrap_or_default());
        let end = rest_before.iter().rev().zip(rest_after.iter().rev()).take_while(same).count();
        let (old_len, new_len) = (rest_before.len().saturating_sub(end), rest_after.len().saturating_sub(end));
        // If little matches, the search takes up to the square of the total length in steps.
        let both = if old_len == 0 || new_len == 0 { 0 } else { old_len.saturating_add(new_len) };
        if let Some(left) = self.left.checked_sub(both.saturating_mul(both)) {
            self.left = left;
            return capture_diff_slices(Algorithm::Myers, &before, &after);
        }
        let mut operations = Vec::with_capacity(3);
        if start > 0 {
            operations.push(DiffOp::Equal { old_index: 0, new_index: 0, len: start });
        }
        operations.push(DiffOp::Replace { old_index: start, old_len, new_index: start, new_len });
        if end > 0 {
            let (old_index, new_index) = (start.saturating_add(old_len), start.saturating_add(new_len));
            operations.push(DiffOp::Equal { old_index, new_index, len: end });
        }
        operations
    }

    /// The unified hunks between two texts.
    fn unified(&mut self, before: &str, after: &str) -> String {
        let old: Vec<&str> = before.split_inclusive('\n').collect();
        let new: Vec<&str> = after.split_inclusive('\n').collect();
        let operations = self.operations(&old, &new);
        // Most texts end without a line break: that is worth a line only where one of the two has it.
        let marked = before.ends_with('\n') != after.ends_with('\n') && !before.is_empty() && !after.is_empty();
        let mut output = String::new();
        let context = match self.context {
            Context::Around => CONTEXT_LINES,
            Context::Whole => CONTEXT_LINES_WHOLE,
        };
        for hunk in group_diff_ops(operations, context) {
            let span = |range: fn(&DiffOp) -> std::ops::Range<usize>| {
                let start = hunk.first().map_or(0, |operation| range(operation).start);
                start..hunk.last().map_or(start, |operation| range(operation).end)
            };
            let _ = writeln!(output, "@@ -{} +{} @@", lines(&span(DiffOp::old_range)), lines(&span(DiffOp::new_range)));
            for operation in &hunk {
                let (tag, old_range, new_range) = operation.as_tag_tuple();
                let sign = if tag == DiffTag::Equal { ' ' } else { '-' };
                push_lines(&mut output, sign, old.get(old_range).unwrap_or_default(), marked);
                if tag != DiffTag::Equal {
                    push_lines(&mut output, '+', new.get(new_range).unwrap_or_default(), marked);
                }
            }
        }
        output
    }

    fn messages(&mut self, before: &[Message], after: &[Message]) -> Vec<MessageChange> {
        let old: Vec<String> = before.iter().map(print).collect();
        let new: Vec<String> = after.iter().map(print).collect();
        let mut changes = Vec::new();
        for operation in self.operations(&old, &new) {
            let (tag, old_range, new_range) = operation.as_tag_tuple();
            if tag == DiffTag::Equal {
                continue;
            }
            let pairs = old_range.len().max(new_range.len());
            let (mut old_range, mut new_range) = (old_range, new_range);
            for _ in 0..pairs {
                let (before, after) = (old_range.next(), new_range.next());
                let text = |texts: &'_ [String], index: Option<usize>| {
                    index.and_then(|index| texts.get(index)).cloned().unwrap_or_default()
                };
                let unified = self.unified(&text(&old, before), &text(&new, after));
                changes.push(MessageChange { before, after, unified });
            }
        }
        changes
    }
}

/// A range of lines, as in a hunk's header.
fn lines(range: &std::ops::Range<usize>) -> String {
    match range.len() {
        0 => format!("{},0", range.start),
        1 => range.start.saturating_add(1).to_string(),
        count => format!("{},{count}", range.start.saturating_add(1)),
    }
}

/// Writes lines with their sign; `marked` says which of them has no line break.
fn push_lines(output: &mut String, sign: char, lines: &[&str], marked: bool) {
    for line in lines {
        output.push(sign);
        output.push_str(line);
        if !line.ends_with('\n') {
            output.push_str(if marked { "\n\\ No newline at end of text\n" } else { "\n" });
        }
    }
}

/// A message as lines of text: its role, then its content.
fn print(message: &Message) -> String {
    let mut text = String::new();
    let _ = match message {
        Message::Placeholder { name } => writeln!(text, "placeholder: {name}"),
        Message::Said(said) => print_said(&mut text, said),
    };
    text
}

fn print_said(output: &mut String, said: &RoleMessage) -> fmt::Result {
    output.write_str(said.role.as_str())?;
    if let Some(name) = said.name() {
        write!(output, " ({name})")?;
    }
    if let Some(call) = said.tool_call_id() {
        write!(output, " answering {call}")?;
    }
    output.write_str(":\n")?;
    match &said.content {
        MessageContent::Text(text) => push_text(output, text)?,
        MessageContent::Parts(parts) => {
            for part in parts {
                if let Some(text) = part.only_text() {
                    output.write_str("[text]\n")?;
                    push_text(output, text)?;
                } else if let Some(url) = part.only_image() {
                    writeln!(output, "[image] {url}")?;
                } else {
                    let fields = part.fields().iter().filter(|(key, _)| *key != "type");
                    writeln!(output, "[{}]", part.kind())?;
                    fields.into_iter().try_for_each(|(key, value)| writeln!(output, "{key}: {value}"))?;
                }
            }
        }
        MessageContent::Null => output.write_str("null\n")?,
        MessageContent::Absent => {}
    }
    said.tool_calls().iter().try_for_each(|call| writeln!(output, "[tool call] {call}"))?;
    said.other_fields().try_for_each(|(key, value)| writeln!(output, "[{key}] {value}"))
}

fn push_text(output: &mut String, text: &str) -> fmt::Result {
    output.write_str(text)?;
    if text.ends_with('\n') { Ok(()) } else { output.write_str("\n") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::content::Syntax;

    /// A diff as text: lines start with `+`, `-`, `@` or a space; headings with a letter.
    fn shown(diff: &Diff) -> String {
        let mut output = String::new();
        write(diff, &mut output).expect("a string takes every text");
        output
    }

    fn write(diff: &Diff, f: &mut String) -> fmt::Result {
        if let Some(SyntaxChange { before, after }) = &diff.syntax {
            let name = |syntax: &Syntax| format!("{syntax:?}").to_lowercase();
            write!(f, "syntax\n-{}\n+{}\n", name(before), name(after))?;
        }
        if let Some(text) = &diff.text {
            write!(f, "text\n{text}")?;
        }
        for MessageChange { before, after, unified } in &diff.messages {
            let place = |index: usize| index.saturating_add(1);
            match (before, after) {
                (Some(before), Some(after)) if before == after => writeln!(f, "message {}", place(*after))?,
                (Some(before), Some(after)) => writeln!(f, "message {}, was {}", place(*after), place(*before))?,
                (Some(before), None) => writeln!(f, "message {} removed", place(*before))?,
                (None, after) => writeln!(f, "message {} added", place(after.unwrap_or(0)))?,
            }
            f.write_str(unified)?;
        }
        if !diff.variables.is_empty() {
            f.write_str("variables\n")?;
        }
        for VariableChange { before, after, .. } in &diff.variables {
            let json = |variable: &Variable| serde_json::to_string(variable).unwrap_or_default();
            if let Some(before) = before {
                writeln!(f, "-{}", json(before))?;
            }
            if let Some(after) = after {
                writeln!(f, "+{}", json(after))?;
            }
        }
        let mut work = Comparison::new(Context::Around);
        let values = [
            ("model", &diff.model),
            ("tools", &diff.tools),
            ("response_schema", &diff.response_schema),
            ("config", &diff.config),
        ];
        for (heading, change) in values {
            let Some(ValueChange { before, after, order_only }) = change else { continue };
            let note = if *order_only { " (key order changed)" } else { "" };
            write!(f, "{heading}{note}\n{}", work.values(before, after))?;
        }
        Ok(())
    }

    fn content(json: &str) -> Content {
        Content::from_json(json.as_bytes()).expect(json)
    }

    fn check(from: &str, to: &str, expected: &str) {
        let diff = diff(&content(from), &content(to));
        assert_eq!(shown(&diff), expected, "{from}\n{to}");
        assert_eq!(diff.is_empty(), expected.is_empty());
        let json = serde_json::to_string(&diff).expect("a diff is JSON");
        assert_eq!(serde_json::from_str::<Diff>(&json).expect("and reads back"), diff);
    }

    #[test]
    fn texts_differ_by_lines() {
        let same = r#"{"text":"a"}"#;
        check(same, same, "");
        check(
            r#"{"text":"1\n2\n3\n4\n5\n6\n7\n8\n9\n"}"#,
            r#"{"text":"1\n2\n3\n4\nfive\n6\n7\n8\n9\n"}"#,
            "text\n@@ -2,7 +2,7 @@\n 2\n 3\n 4\n-5\n+five\n 6\n 7\n 8\n",
        );
        check(r#"{"text":"a"}"#, r#"{"text":"a\nb"}"#, "text\n@@ -1 +1,2 @@\n-a\n+a\n+b\n");
        check(r#"{"text":"a"}"#, r#"{"text":"a\n"}"#, "text\n@@ -1 +1 @@\n-a\n\\ No newline at end of text\n+a\n");
        check(r#"{"text":"a\n"}"#, r#"{"text":"b"}"#, "text\n@@ -1 +1 @@\n-a\n+b\n\\ No newline at end of text\n");
        check(r#"{"text":""}"#, r#"{"text":"a"}"#, "text\n@@ -0,0 +1 @@\n+a\n");
        check(r#"{"text":""}"#, r#"{"text":"a\n"}"#, "text\n@@ -0,0 +1 @@\n+a\n");
        check(
            r#"{"text":"a\n"}"#,
            r#"{"messages":[{"role":"user","content":"a"}],"syntax":"plain"}"#,
            "syntax\n-mustache\n+plain\ntext\n@@ -1 +0,0 @@\n-a\nmessage 1 added\n@@ -0,0 +1,2 @@\n+user:\n+a\n",
        );
    }

    #[test]
    fn diff_can_show_the_whole_changed_text() {
        let lines =
            |word: &str| (0..40).map(|n| format!("{}\n", if n == 20 { word } else { "same" })).collect::<String>();
        let text = |word: &str| Content::text(Syntax::Plain, lines(word));
        let whole = diff_in(&text("a"), &text("b"), Context::Whole).text.expect("a difference");
        assert!(whole.starts_with("@@ -1,40 +1,40 @@\n same\n"), "{whole}");
        assert_eq!(whole.lines().count(), 42);
        assert_eq!(diff(&text("a"), &text("b")).text.expect("a difference").lines().count(), 9);
    }

    #[test]
    fn messages_are_aligned() {
        let said = |role: &str, text: &str| format!(r#"{{"role":"{role}","content":"{text}"}}"#);
        let chat = |messages: &[String]| format!(r#"{{"messages":[{}]}}"#, messages.join(","));
        let placeholder = r#"{"type":"placeholder","name":"h"}"#.to_owned();
        let (system, user) = (said("system", "s"), said("user", "u"));
        check(
            &chat(&[system.clone(), user.clone()]),
            &chat(&[system.clone(), placeholder.clone(), user.clone()]),
            "message 2 added\n@@ -0,0 +1 @@\n+placeholder: h\n",
        );
        check(
            &chat(&[placeholder, system.clone(), user.clone()]),
            &chat(&[system, said("user", "v")]),
            "message 1 removed\n@@ -1 +0,0 @@\n-placeholder: h\nmessage 2, was 3\n@@ -1,2 +1,2 @@\n user:\n-u\n+v\n",
        );
        let parts = r#"{"messages":[{"role":"tool","name":"n","tool_call_id":"c","content":[{"type":"text","text":"t"},{"type":"image","url":"i"}]}]}"#;
        check(&chat(&[]), parts, "message 1 added\n@@ -0,0 +1,4 @@\n+tool (n) answering c:\n+[text]\n+t\n+[image] i\n");
    }

    #[test]
    fn other_fields_are_shown_before_and_after() {
        check(
            r#"{"text":"a","variables":[{"name":"x"},{"name":"y"}],"model":{"name":"m"},"config":{"k":1,"l":2}}"#,
            r#"{"text":"a","variables":[{"name":"y","required":true},{"name":"z"}],"config":{"k":1,"l":3},"tools":[1],"response_schema":{}}"#,
            "variables\n-{\"name\":\"x\",\"required\":false}\n-{\"name\":\"y\",\"required\":false}\n\
             +{\"name\":\"y\",\"required\":true}\n+{\"name\":\"z\",\"required\":false}\n\
             model\n@@ -1,3 +0,0 @@\n-{\n-  \"name\": \"m\"\n-}\n\
             tools\n@@ -1 +1,3 @@\n-[]\n+[\n+  1\n+]\n\
             response_schema\n@@ -0,0 +1 @@\n+{}\n\
             config\n@@ -1,4 +1,4 @@\n {\n   \"k\": 1,\n-  \"l\": 2\n+  \"l\": 3\n }\n",
        );
    }

    #[test]
    fn hostile_contents_are_compared_within_limits() {
        let lines = |word: &str, count: usize| (0..count).map(|n| format!("{word}{n}\n")).collect::<String>();
        let (from, to) = (lines("a", 100_000), lines("b", 100_000));
        let found = diff(
            &Content::text(Syntax::Plain, format!("same\n{from}end\n")),
            &Content::text(Syntax::Plain, format!("same\n{to}end\n")),
        );
        let text = found.text.expect("a difference");
        assert!(text.starts_with("@@ -1,100002 +1,100002 @@\n same\n-a0\n"), "{}", &text[..40]);
        assert!(text.ends_with("+b99999\n end\n"));
        assert_eq!(text.lines().count(), 200_003);
        let flip = "x\ny\n".repeat(1 << 18);
        let found = diff(&Content::text(Syntax::Plain, &flip), &Content::text(Syntax::Plain, format!("z\n{flip}y\n")));
        assert!(!found.is_empty());
        let chat = |word: &str| Content {
            body: Body::Messages(
                (0..1_000)
                    .map(|n| {
                        let content = MessageContent::Text(format!("{n}{}", lines(word, 300)));
                        Message::Said(RoleMessage::new(crate::model::content::Role::User, content))
                    })
                    .collect(),
            ),
            ..Content::text(Syntax::Plain, "")
        };
        assert_eq!(diff(&chat("a"), &chat("b")).messages.len(), 1_000);
    }
}
