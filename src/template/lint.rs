//! Warns about what is allowed but suspicious: texts that other clients render differently, characters that nobody
//! sees, and control tokens of chat templates.
//!
//! Warnings never stop a publication, and nothing is changed. At most [`WARNINGS_MAX`] of them, in the order of
//! the texts.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::model::content::{Body, Content, Message, MessageContent, Part, Role, Said, Syntax};

use super::error::excerpt;
use super::mustache::{self, Kind};
use super::{jinja, scan};

/// Most warnings of one content.
pub const WARNINGS_MAX: usize = 100;
/// Most warnings of one kind in one text.
const SAME_MAX: usize = 10;
/// Control tokens of widespread chat templates.
const CONTROL_TOKENS: [&str; 19] = [
    "<|im_start|>",
    "<|im_end|>",
    "<|im_sep|>",
    "<|endoftext|>",
    "<|begin_of_text|>",
    "<|end_of_text|>",
    "<|start_header_id|>",
    "<|end_header_id|>",
    "<|eot_id|>",
    "<|eom_id|>",
    "<|python_tag|>",
    "<|system|>",
    "<|user|>",
    "<|assistant|>",
    "<|end|>",
    "<start_of_turn>",
    "<end_of_turn>",
    "[INST]",
    "[/INST]",
];

/// Something suspicious in a content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Warning {
    /// Which kind: stable, for machines.
    pub code: Code,
    /// What it is and what to do, for people.
    pub message: String,
    /// Which of the content's texts, counted from 1.
    pub text: usize,
    /// Which line of that text, counted from 1.
    pub line: usize,
}

/// The kinds of warnings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Code {
    /// Mustache that other clients render and this syntax leaves as it is.
    OtherClients,
    /// Delimiters of another syntax than the content's.
    OtherSyntax,
    /// A character that nobody sees, or that turns the direction of text.
    InvisibleCharacter,
    /// A control token of a chat template.
    ControlToken,
    /// For information: a variable in a system message, where untrusted values should not be.
    SystemVariable,
}

/// Looks for what is suspicious in a content.
#[must_use]
pub fn lint(content: &Content) -> Vec<Warning> {
    let mut warnings = Vec::new();
    for (index, (text, system)) in texts(content).into_iter().enumerate() {
        if warnings.len() >= WARNINGS_MAX {
            break;
        }
        let mut report = Report { text, index, found: Vec::new() };
        report.syntax(content.syntax);
        report.characters();
        report.control_tokens();
        if system {
            report.system_variables(content.syntax);
        }
        report.found.sort_by_key(|(at, _, _)| *at);
        warnings.extend(report.warnings());
    }
    warnings.truncate(WARNINGS_MAX);
    warnings
}

/// Every text, and whether it is said in the role of the system.
fn texts(content: &Content) -> Vec<(&str, bool)> {
    match &content.body {
        Body::Text(text) => vec![(text.as_str(), false)],
        Body::Messages(messages) => messages.iter().flat_map(message_texts).collect(),
    }
}

fn message_texts(message: &Message) -> Vec<(&str, bool)> {
    let Message::Said(Said { role, content, .. }) = message else { return Vec::new() };
    let system = *role == Role::System;
    match content {
        MessageContent::Text(text) => vec![(text.as_str(), system)],
        MessageContent::Parts(parts) => parts
            .iter()
            .map(|part| {
                let (Part::Text { text } | Part::Image { url: text }) = part;
                (text.as_str(), system)
            })
            .collect(),
    }
}

/// What is found in one text.
struct Report<'t> {
    text: &'t str,
    index: usize,
    found: Vec<(usize, Code, String)>,
}

impl Report<'_> {
    fn warnings(self) -> Vec<Warning> {
        let (mut line, mut from) = (1_usize, 0_usize);
        let mut warnings = Vec::with_capacity(self.found.len());
        for (at, code, message) in self.found {
            let between = self.text.get(from..at).unwrap_or_default();
            line = line.saturating_add(between.matches('\n').count());
            from = at;
            warnings.push(Warning { code, message, text: self.index.saturating_add(1), line });
        }
        warnings
    }

    /// Delimiters that mean something elsewhere.
    fn syntax(&mut self, syntax: Syntax) {
        match syntax {
            Syntax::Plain => {
                if let Some(at) = self.first_variable() {
                    let message = "looks like a variable, but the syntax is plain and it stays as it is";
                    self.found.push((at, Code::OtherSyntax, message.to_owned()));
                }
            }
            Syntax::Mustache => {
                if let Some(at) = find_any(self.text, &["{%", "{#"]).filter(|at| jinja_statement(self.text, *at)) {
                    let message = "looks like jinja, but the syntax is mustache and it stays as it is; choose jinja";
                    self.found.push((at, Code::OtherSyntax, message.to_owned()));
                }
                self.other_clients();
            }
            Syntax::Jinja => {}
        }
    }

    fn first_variable(&self) -> Option<usize> {
        mustache::segments(self.text)
            .find(|segment| !matches!(segment.kind, Kind::Text(_)))
            .map(|found| found.span.start)
    }

    /// Mustache that this syntax leaves as it is.
    fn other_clients(&mut self) {
        let text = self.text;
        let literals = mustache::segments(text).filter_map(|segment| match segment.kind {
            Kind::Text(literal) => Some((segment.span.start, literal)),
            _ => None,
        });
        let mut found = Vec::new();
        for (start, literal) in literals {
            let mut from = 0;
            while let Some(offset) = literal.get(from..).and_then(|rest| rest.find("{{")) {
                let open = from.saturating_add(offset);
                let rest = literal.get(open..).unwrap_or_default();
                let run = rest.bytes().take_while(|b| *b == b'{').count();
                let inside = rest.get(run..).unwrap_or_default().trim_start_matches([' ', '\t']);
                let what = match (run, inside.chars().next()) {
                    (3, Some(c)) if c == '_' || c.is_alphabetic() => "`{{{…}}}`",
                    (2, Some('#' | '^' | '/')) => "a section",
                    (2, Some('&')) => "`{{&…}}`",
                    (2, Some('!')) => "a comment",
                    (2, Some('>')) => "an include without a usable name",
                    (2, Some('=')) => "a change of delimiters",
                    _ => "",
                };
                if !what.is_empty() {
                    let message =
                        format!("{what} stays as it is here, but some clients (Langfuse's for JavaScript) render it");
                    found.push((start.saturating_add(open), Code::OtherClients, message));
                    if found.len() >= SAME_MAX {
                        self.found.append(&mut found);
                        return;
                    }
                }
                from = open.saturating_add(run);
            }
        }
        self.found.append(&mut found);
    }

    fn characters(&mut self) {
        let invisible = |c: &char| {
            matches!(c, '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}' | '\u{2066}'..='\u{2069}' | '\u{FEFF}')
                || matches!(c, '\u{E0000}'..='\u{E007F}')
        };
        // Joins the parts of an emoji or the letters of some scripts: common, and seen.
        let joiner = |at: usize, c: char| {
            c == '\u{200D}'
                && self.text.get(..at).and_then(|before| before.chars().next_back()).is_some_and(|c| !c.is_ascii())
        };
        let found: Vec<(usize, Code, String)> = self
            .text
            .char_indices()
            .filter(|(at, c)| invisible(c) && !joiner(*at, *c))
            .take(SAME_MAX)
            .map(|(at, c)| {
                let message = format!("the invisible character U+{:04X}; remove it unless it is meant", u32::from(c));
                (at, Code::InvisibleCharacter, message)
            })
            .collect();
        self.found.extend(found);
    }

    fn control_tokens(&mut self) {
        for token in CONTROL_TOKENS {
            if let Some(at) = self.text.find(token) {
                let message = format!("`{token}` is a control token of a chat template; a model may obey it");
                self.found.push((at, Code::ControlToken, message));
            }
        }
    }

    fn system_variables(&mut self, syntax: Syntax) {
        let names: BTreeSet<&str> = match syntax {
            Syntax::Plain => return,
            Syntax::Mustache => mustache::segments(self.text)
                .filter_map(|segment| match segment.kind {
                    Kind::Variable(name) => Some(name),
                    _ => None,
                })
                .collect(),
            Syntax::Jinja => jinja::names(self.text).map(|names| names.into_keys().collect()).unwrap_or_default(),
        };
        let text = self.text;
        for name in names.into_iter().take(SAME_MAX) {
            let message =
                format!("the system message holds the variable `{}`; do not fill it from users' input", excerpt(name));
            self.found.push((place_of(text, syntax, name), Code::SystemVariable, message));
        }
    }
}

/// The byte where a variable stands first.
fn place_of(text: &str, syntax: Syntax, name: &str) -> usize {
    let place = match syntax {
        Syntax::Mustache => {
            mustache::segments(text).find(|segment| segment.kind == Kind::Variable(name)).map(|found| found.span.start)
        }
        _ => scan::pieces(text).filter_map(Result::ok).find_map(|piece| match piece {
            scan::Piece::Tag(tag) => tag.tokens.iter().find(|token| token.named(name)).map(|token| token.at),
            _ => None,
        }),
    };
    place.unwrap_or(0)
}

fn find_any(text: &str, needles: &[&str]) -> Option<usize> {
    needles.iter().filter_map(|needle| text.find(needle)).min()
}

/// Whether a `{%` or `{#` is closed on the same line.
fn jinja_statement(text: &str, at: usize) -> bool {
    let line = text.get(at..).and_then(|rest| rest.lines().next()).unwrap_or_default();
    line.contains("%}") || line.contains("#}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(content: &Content) -> Vec<(Code, usize, usize)> {
        lint(content).into_iter().map(|warning| (warning.code, warning.text, warning.line)).collect()
    }

    #[test]
    fn what_is_suspicious_is_found_with_its_line() {
        use Code::{ControlToken, InvisibleCharacter, OtherClients, OtherSyntax};
        for (syntax, text, expected) in [
            (Syntax::Mustache, "Hi {{a}}, {\"k\": {}} and {{ 1 }} 100%", vec![]),
            (Syntax::Mustache, "a\n{{#c}}x\n{{/c}}", vec![(OtherClients, 2), (OtherClients, 3)]),
            (Syntax::Mustache, "{{{x}}} {{&x}} {{! x}} {{^x}}", vec![(OtherClients, 1); 4]),
            (Syntax::Mustache, "a\n{% if x %}", vec![(OtherSyntax, 2)]),
            (Syntax::Mustache, "{# note #}", vec![(OtherSyntax, 1)]),
            (Syntax::Mustache, "{% is no tag", vec![]),
            (Syntax::Plain, "a\n\n{{ b }}", vec![(OtherSyntax, 3)]),
            (Syntax::Jinja, "{{ b }}{% if c %}{% endif %}{# d #}", vec![]),
            (
                Syntax::Jinja,
                "a\u{200B}\nb\u{202E}c\u{FEFF}\u{E0041}",
                vec![
                    (InvisibleCharacter, 1),
                    (InvisibleCharacter, 2),
                    (InvisibleCharacter, 2),
                    (InvisibleCharacter, 2),
                ],
            ),
            (Syntax::Plain, "👩\u{200D}🚀 a\u{200D}b", vec![(InvisibleCharacter, 1)]),
            (Syntax::Plain, "\n<|im_start|>system\n<|im_end|>", vec![(ControlToken, 2), (ControlToken, 3)]),
        ] {
            let expected: Vec<_> = expected.into_iter().map(|(code, line)| (code, 1, line)).collect();
            assert_eq!(run(&Content::text(syntax, text)), expected, "{text}");
        }
    }

    #[test]
    fn a_variable_in_a_system_message_is_named() {
        for (syntax, text) in [("mustache", "x\\n{{a}}"), ("jinja", "x\\n{{ a }}")] {
            let json = format!(
                r#"{{"messages":[{{"role":"user","content":"{{{{a}}}}"}},{{"role":"system","content":"{text}"}}],"syntax":"{syntax}"}}"#
            );
            let content = Content::from_json(json.as_bytes()).expect("a content");
            assert_eq!(run(&content), [(Code::SystemVariable, 2, 2)], "{syntax}");
            assert!(lint(&content)[0].message.contains("`a`"));
        }
    }

    #[test]
    fn hostile_texts_give_few_warnings_soon() {
        for unit in ["{{#a}}", "{{{a}}}", "\u{200B}", "<|im_start|>", "{{", "{%", "{% x %}", "{{ a }}"] {
            for syntax in [Syntax::Mustache, Syntax::Jinja, Syntax::Plain] {
                let content = Content::text(syntax, unit.repeat((1 << 20) / unit.len()));
                assert!(lint(&content).len() <= WARNINGS_MAX, "{unit}");
            }
        }
        let said = Message::Said(Said {
            role: Role::System,
            content: MessageContent::Text("{{#a}}\u{200B}".repeat(100)),
            name: None,
            tool_calls: Vec::new(),
            tool_call_id: None,
        });
        let content = Content { body: Body::Messages(vec![said; 100]), ..Content::text(Syntax::Mustache, "") };
        assert_eq!(lint(&content).len(), WARNINGS_MAX);
    }
}
