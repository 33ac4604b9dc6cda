//! Warns about what is valid but suspicious: delimiters that are printed unchanged, invisible characters, and control
//! tokens of chat templates.
//!
//! Warnings never prevent publishing, and nothing is changed. At most [`WARNINGS_MAX`] of them, in the order of the
//! texts.

use crate::model::content::{Body, Content, Message, MessageContent, RoleMessage, Syntax};
use crate::model::warning::{Code, Warning};

use super::error::excerpt;
use super::mustache::{self, Kind};

/// Most warnings of one content.
pub const WARNINGS_MAX: usize = 100;
/// Most warnings of one kind in one text.
const SAME_MAX: usize = 10;
/// Most characters of an unchanged delimiter that are shown.
const SHOWN_CHARACTERS_MAX: usize = 60;
/// Words that start a statement of jinja.
const STATEMENTS: [&str; 15] = [
    "if", "elif", "else", "endif", "for", "endfor", "set", "endset", "macro", "endmacro", "include", "raw", "endraw",
    "with", "filter",
];
/// Control tokens of common chat templates.
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

/// A warning that is not about a text.
fn beside(code: Code, message: String) -> Warning {
    Warning { code, message, text: 0, line: 0 }
}

/// Finds suspicious things in a content.
pub fn lint(content: &Content) -> Vec<Warning> {
    let mut warnings = Vec::new();
    for (index, text) in content.texts().enumerate() {
        if warnings.len() >= WARNINGS_MAX {
            break;
        }
        let mut report = Report { text, index, found: Vec::new() };
        report.syntax(content.syntax);
        report.characters();
        report.control_tokens();
        report.found.sort_by_key(|(at, _, _)| *at);
        warnings.extend(report.warnings());
    }
    warnings.extend(passed_on(content));
    warnings.truncate(WARNINGS_MAX);
    warnings
}

/// Parts that are passed on unchanged, but contain what would be a variable in a text.
fn passed_on(content: &Content) -> Vec<Warning> {
    let messages = match &content.body {
        Body::Messages(messages) if content.syntax != Syntax::Plain => messages.as_slice(),
        _ => &[],
    };
    let mut warnings = Vec::new();
    for (index, message) in messages.iter().enumerate() {
        let Message::Said(RoleMessage { content: MessageContent::Parts(parts), .. }) = message else { continue };
        for (at, part) in parts.iter().enumerate().filter(|(_, part)| part.template().is_none()) {
            if warnings.len() < SAME_MAX && part.fields().values().any(|value| value.to_string().contains("{{")) {
                let kind = excerpt(part.kind());
                let message = format!(
                    "messages[{index}].content[{at}] is a part of type `{kind}`, which is passed on unchanged: \
                        {{{{…}}}} in it is not replaced"
                );
                warnings.push(beside(Code::PassedOn, message));
            }
        }
    }
    warnings
}

/// Warnings about one text.
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

    /// Delimiters of other syntaxes.
    fn syntax(&mut self, syntax: Syntax) {
        match syntax {
            Syntax::Plain => {
                if let Some(at) = self.first_variable() {
                    let message = "looks like a variable, but the syntax is plain, so it is printed unchanged";
                    self.found.push((at, Code::OtherSyntax, message.to_owned()));
                }
            }
            Syntax::Mustache => {
                if let Some(at) = find_any(self.text, &["{%", "{#"]).filter(|at| jinja_statement(self.text, *at)) {
                    let message =
                        "looks like jinja, but the syntax is mustache, so it is printed unchanged; use `syntax: jinja`";
                    self.found.push((at, Code::OtherSyntax, message.to_owned()));
                }
                self.printed_tags();
            }
            Syntax::Jinja => {}
        }
    }

    fn first_variable(&self) -> Option<usize> {
        mustache::segments(self.text)
            .find(|segment| !matches!(segment.kind, Kind::Text(_)))
            .map(|found| found.span.start)
    }

    /// Text that looks like a tag and is printed unchanged.
    fn printed_tags(&mut self) {
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
                if let Some((code, message)) = tag_like(run, rest) {
                    found.push((start.saturating_add(open), code, message));
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
        // Joins the parts of an emoji or the letters of some scripts: common, and visible.
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
                let message = format!("invisible character U+{:04X}; remove it unless it is intended", u32::from(c));
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
}

fn find_any(text: &str, needles: &[&str]) -> Option<usize> {
    needles.iter().filter_map(|needle| text.find(needle)).min()
}

/// Whether a `{%` or `{#` is closed on its line, or starts like a statement or comment.
fn jinja_statement(text: &str, at: usize) -> bool {
    let line = text.get(at..).and_then(|rest| rest.lines().next()).unwrap_or_default();
    let inside = line.get(2..).unwrap_or_default();
    let word = inside.trim_start_matches(['-', '+', ' ', '\t']).split(|c: char| !c.is_ascii_lowercase()).next();
    let is_statement = line.starts_with("{%") && word.is_some_and(|word| STATEMENTS.contains(&word));
    let is_comment = line.starts_with("{#") && inside.starts_with([' ', '-']);
    line.contains("%}") || line.contains("#}") || is_statement || is_comment
}

/// The warning about `{{` (or more braces) in a mustache text that starts no tag of ours.
fn tag_like(run: usize, rest: &str) -> Option<(Code, String)> {
    let line = rest.lines().next().unwrap_or_default();
    let inside = line.get(run..).unwrap_or_default();
    let closed = inside.find("}}").filter(|close| inside.find("{{").is_none_or(|open| open > *close));
    let first = inside.trim_start_matches([' ', '\t']).chars().next();
    let is_name = first.is_some_and(|c| c == '_' || c.is_alphabetic());
    let end = closed.map_or_else(|| inside.find("{{").unwrap_or(inside.len()), |close| close.saturating_add(2));
    let end = run.saturating_add(end).saturating_add(usize::from(run == 3 && closed.is_some()));
    let written = line.get(..end).unwrap_or(line).trim_end();
    let mut shown: String = written.chars().take(SHOWN_CHARACTERS_MAX).collect();
    if shown.len() < written.len() {
        shown.push('…');
    }
    let what = match (run, first) {
        (3, _) if is_name => "use two braces, as nothing is escaped here",
        (2, Some('#' | '^' | '/')) => "loops and conditions need `syntax: jinja`",
        (2, Some('&')) => "remove the `&`, as nothing is escaped here",
        (2, Some('!')) => "comments need `syntax: jinja`, as {# … #}",
        (2, Some('>')) => "write an include as {{> name}} or {{> name@3}}",
        (2, Some('=')) => "the delimiters cannot be changed",
        (2, _) if closed.is_none() => {
            let message = format!("`{shown}` has no `}}}}` on its line, so it is printed unchanged; close it");
            return Some((Code::UnclosedTag, message));
        }
        (2, _) => {
            let message = format!(
                "`{shown}` is neither a variable nor an include, so it is printed unchanged; a variable is a name of \
                    letters, digits, `_`, `.` and `-`; for anything else use `syntax: jinja`"
            );
            return Some((Code::UnknownTag, message));
        }
        _ => return None,
    };
    Some((Code::OtherClients, format!("`{shown}` is printed unchanged here, but some clients interpret it; {what}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::content::Role;
    use crate::model::warning::Code;

    fn run(content: &Content) -> Vec<(Code, usize, usize)> {
        lint(content).into_iter().map(|warning| (warning.code, warning.text, warning.line)).collect()
    }

    #[test]
    fn suspicious_text_is_reported_with_its_line() {
        use Code::{ControlToken, InvisibleCharacter, OtherClients, OtherSyntax};
        for (syntax, text, expected) in [
            (Syntax::Mustache, "Hi {{a}}, {\"k\": {}} and {1} 100%", vec![]),
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
    fn unsupported_tags_get_a_warning_with_a_hint() {
        for (text, code, part) in [
            ("Hello {{name} and {{ b", Code::UnclosedTag, "`{{name} and` has no `}}`"),
            ("x\n{{ b", Code::UnclosedTag, "`{{ b` has no `}}`"),
            ("{{role \"system\"}}", Code::UnknownTag, "`{{role \"system\"}}` is neither"),
            ("{{upper name}}", Code::UnknownTag, "`{{upper name}}` is neither"),
            ("{{1st}}", Code::UnknownTag, "a name of letters"),
            ("{{ \"k\": 1 }}", Code::UnknownTag, "neither a variable"),
            ("{{#each items}}", Code::OtherClients, "loops and conditions need `syntax: jinja`"),
            ("{{!comment}}", Code::OtherClients, "comments need"),
            ("{{{raw}}}", Code::OtherClients, "`{{{raw}}}` is printed unchanged"),
            ("{{&x}}", Code::OtherClients, "remove the `&`"),
            ("a {% if x", Code::OtherSyntax, "syntax: jinja"),
            ("a {# note", Code::OtherSyntax, "syntax: jinja"),
        ] {
            let warnings = lint(&Content::text(Syntax::Mustache, text));
            let first = warnings.first().expect(text);
            assert_eq!(first.code, code, "{text}");
            assert!(first.message.contains(part), "{text}: {}", first.message);
        }
        for text in ["{\"a\": {\"b\": 1}}", "\\frac{a}{b}", "{{a}} {b} {{> c@2}} 100%}", "{{{{a", "{%", "{#1}"] {
            assert_eq!(lint(&Content::text(Syntax::Mustache, text)), [], "{text}");
        }
    }

    #[test]
    fn part_that_is_passed_on_with_braces_is_warned_about() {
        let parts = r#"{"messages":[{"role":"user","content":[{"type":"file","file":{"file_id":"{{id}}"}},{"type":"text","text":"{{id}}"}]}]}"#;
        let warnings = lint(&Content::from_json(parts.as_bytes()).expect("a content"));
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert_eq!(warnings[0].code, Code::PassedOn);
        assert!(warnings[0].message.starts_with("messages[0].content[0] is a part of type `file`"), "{warnings:?}");
    }

    #[test]
    fn hostile_texts_give_bounded_warnings_quickly() {
        for unit in ["{{#a}}", "{{{a}}}", "\u{200B}", "<|im_start|>", "{{", "{%", "{% x %}", "{{ a }}"] {
            for syntax in [Syntax::Mustache, Syntax::Jinja, Syntax::Plain] {
                let content = Content::text(syntax, unit.repeat((1 << 20) / unit.len()));
                assert!(lint(&content).len() <= WARNINGS_MAX, "{unit}");
            }
        }
        let said = Message::Said(RoleMessage::new(Role::System, MessageContent::Text("{{#a}}\u{200B}".repeat(100))));
        let content = Content { body: Body::Messages(vec![said; 100]), ..Content::text(Syntax::Mustache, "") };
        assert_eq!(lint(&content).len(), WARNINGS_MAX);
    }
}
