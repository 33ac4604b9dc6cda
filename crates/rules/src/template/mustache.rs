//! The mustache syntax: `{{name}}` is a variable, `{{> prompt}}` an include, everything else is literal.
//!
//! Deliberately less than Mustache: sections, partial blocks, comments, `{{{x}}}` and `{{&x}}` stay in the text
//! unchanged, as in Langfuse's Python client. Any text parses; the concatenated segments are the text.

use std::ops::Range;

use crate::model::content::VARIABLE_BYTES_MAX;

/// Longest reference of an include, in bytes.
pub(super) const REFERENCE_BYTES_MAX: usize = 300;

/// A piece of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Segment<'t> {
    /// Its bytes in the text.
    pub span: Range<usize>,
    /// Its meaning.
    pub kind: Kind<'t>,
}

/// The meaning of a piece of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind<'t> {
    /// Literal text.
    Text(&'t str),
    /// The value of this variable.
    Variable(&'t str),
    /// Another prompt's text.
    Include(&'t str),
}

/// Splits a text into segments, lazily, in time linear in its length.
pub(super) fn segments(text: &str) -> Segments<'_> {
    Segments { text, at: 0, ready: None }
}

/// The iterator of [`segments`].
pub(super) struct Segments<'t> {
    text: &'t str,
    at: usize,
    ready: Option<Segment<'t>>,
}

impl<'t> Iterator for Segments<'t> {
    type Item = Segment<'t>;

    fn next(&mut self) -> Option<Segment<'t>> {
        if let Some(tag) = self.ready.take() {
            return Some(tag);
        }
        let start = self.at;
        let bytes = self.text.as_bytes();
        while let Some(offset) = self.text.get(self.at..).and_then(|rest| rest.find('{')) {
            let open = self.at.saturating_add(offset);
            let run = bytes.iter().skip(open).take_while(|b| **b == b'{').count();
            self.at = open.saturating_add(run);
            if run != 2 {
                continue;
            }
            let Some((kind, end)) = tag(self.text, self.at) else { continue };
            self.at = end;
            let tag = Segment { span: open..end, kind };
            if open == start {
                return Some(tag);
            }
            self.ready = Some(tag);
            return self.literal(start..open);
        }
        self.at = self.text.len();
        if start < self.text.len() { self.literal(start..self.text.len()) } else { None }
    }
}

impl<'t> Segments<'t> {
    fn literal(&self, span: Range<usize>) -> Option<Segment<'t>> {
        let text = self.text.get(span.clone())?;
        Some(Segment { span, kind: Kind::Text(text) })
    }
}

/// Parses the text after `{{`: its meaning, and where its `}}` ends.
fn tag(text: &str, start: usize) -> Option<(Kind<'_>, usize)> {
    let after = text.get(start..)?;
    let inner = after.trim_start();
    let (kind, rest) = if let Some(partial) = inner.strip_prefix('>') {
        let end = partial.bytes().take(REFERENCE_BYTES_MAX).position(|b| matches!(b, b'{' | b'}' | b'\n'))?;
        let reference = partial.get(..end)?.trim();
        if reference.is_empty() {
            return None;
        }
        (Kind::Include(reference), partial.get(end..)?)
    } else {
        let end = inner.find(|c: char| !in_name(c)).unwrap_or(inner.len());
        let (name, rest) = inner.split_at_checked(end)?;
        if !is_name(name) {
            return None;
        }
        (Kind::Variable(name), rest.trim_start())
    };
    let rest = rest.strip_prefix("}}")?;
    Some((kind, text.len().checked_sub(rest.len())?))
}

fn letter(c: char) -> bool {
    c == '_' || c.is_alphabetic()
}

fn in_name(c: char) -> bool {
    letter(c) || c.is_alphanumeric() || c == '.' || c == '-'
}

/// Whether a name is valid for a variable (the rule of `model::content`).
fn is_name(name: &str) -> bool {
    name.len() <= VARIABLE_BYTES_MAX && name.chars().next().is_some_and(letter) && name.chars().all(in_name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        let mut whole = String::new();
        let parts: Vec<String> = segments(text)
            .map(|segment| {
                whole.push_str(&text[segment.span.clone()]);
                match segment.kind {
                    Kind::Text(text) => format!("{text:?}"),
                    Kind::Variable(name) => format!("${name}"),
                    Kind::Include(reference) => format!(">{reference}"),
                }
            })
            .collect();
        assert_eq!(whole, text, "nothing is lost");
        parts.join(" ")
    }

    #[test]
    fn only_names_in_two_braces_are_variables() {
        for (text, expected) in [
            ("", ""),
            ("a", r#""a""#),
            ("{{a}}", "$a"),
            ("{{ a }}{{\nb.c-d }}", "$a $b.c-d"),
            ("Hi {{_x1}}!", r#""Hi " $_x1 "!""#),
            ("{{größe}}", "$größe"),
            (r#"{"k":{{v}}}"#, r#""{\"k\":" $v "}""#),
            ("{{{x}}}", r#""{{{x}}}""#),
            ("{{#c}}{{/c}}{{&x}}{{! n}}{{^d}}", r#""{{#c}}{{/c}}{{&x}}{{! n}}{{^d}}""#),
            ("{{1a}} {{a b}} {{}} {{ }} {{a}", r#""{{1a}} {{a b}} {{}} {{ }} {{a}""#),
            ("{{ {{a}} }}", r#""{{ " $a " }}""#),
            ("{% if x %}{# y #}", r#""{% if x %}{# y #}""#),
            ("{{> shared/tone@3 }}{{>a b}}", ">shared/tone@3 >a b"),
            ("{{>}} {{> a\nb}} {{> a}", r#""{{>}} {{> a\nb}} {{> a}""#),
        ] {
            assert_eq!(shown(text), expected, "{text}");
        }
        assert_eq!(segments(&format!("{{{{{}}}}}", "x".repeat(101))).count(), 1);
    }

    #[test]
    fn hostile_texts_take_linear_time() {
        for unit in ["{", "{{", "{{a", "{{ ", "{{>", "}}", "{{{a}}}", "{{>a{"] {
            let text = unit.repeat((1 << 20) / unit.len());
            assert_eq!(segments(&text).map(|segment| segment.span.len()).sum::<usize>(), text.len(), "{unit}");
        }
        let spaces = format!("{}{}", "{{".repeat(1 << 18), " ".repeat(1 << 19));
        assert_eq!(segments(&spaces).count(), 1);
    }
}
