//! What the system text of a version is: whole, or the parts of it that do not change.

use crate::model::content::{Body, Content, Syntax};
use crate::model::message::{Message, MessageContent, Part, RoleMessage};
use crate::telemetry::system_text::{BETWEEN_MESSAGES, SystemText, with_line_feeds};
use crate::telemetry::text_pattern::TextPattern;
use crate::template::marks::{Mark, marks};

/// What a version is recognized by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum VersionText {
    /// The hash of its text, which has no variables.
    Whole([u8; 32]),
    /// What its text has between its variables.
    Parts(TextPattern),
}

/// What a version is recognized by, given its content: its system messages, or its text, if it has no messages. None if
/// it has no system text, or one that depends on conditions or loops.
pub(super) fn text_of(content: &[u8]) -> Option<VersionText> {
    let content = Content::from_json(content).ok()?;
    let texts: Vec<String> = match &content.body {
        Body::Text(text) => vec![text.clone()],
        Body::Messages(messages) => messages.iter().filter_map(system_message).collect(),
    };
    let mut literals = vec![String::new()];
    for text in texts.iter().map(|text| text.trim()).filter(|text| !text.is_empty()) {
        if literals.len() > 1 || literals.first().is_some_and(|first| !first.is_empty()) {
            push(&mut literals, BETWEEN_MESSAGES);
        }
        add_literals(&mut literals, content.syntax, text)?;
    }
    if let [whole] = literals.as_slice() {
        return SystemText::of([whole.as_str()]).map(|text| VersionText::Whole(text.hash));
    }
    // Whitespace at the ends is not part of what is compared.
    let last = literals.len() - 1;
    let trimmed = literals.into_iter().enumerate().map(|(index, literal)| {
        let literal = with_line_feeds(&literal);
        let literal = match index {
            0 => literal.trim_start(),
            index if index == last => literal.trim_end(),
            _ => &literal,
        };
        literal.to_owned()
    });
    Some(VersionText::Parts(TextPattern::new(trimmed)))
}

/// The text of a system message: that of its parts on lines of their own.
fn system_message(message: &Message) -> Option<String> {
    let Message::Said(RoleMessage { role, content, .. }) = message else { return None };
    if !role.is_system() {
        return None;
    }
    match content {
        MessageContent::Text(text) => Some(text.clone()),
        MessageContent::Parts(parts) => {
            let texts = parts.iter().filter(|part| !part.is_image()).filter_map(Part::template);
            Some(texts.filter(|text| !text.is_empty()).collect::<Vec<_>>().join("\n"))
        }
        MessageContent::Null | MessageContent::Absent => None,
    }
}

/// Adds what does not change in a text; none if that cannot be told.
fn add_literals(literals: &mut Vec<String>, syntax: Syntax, text: &str) -> Option<()> {
    // A tag that trims whitespace changes the text beside it, and raw text is not what is written.
    let changes_more = syntax == Syntax::Jinja && ["{%", "{#", "{{-", "-}}"].iter().any(|tag| text.contains(tag));
    if changes_more {
        return None;
    }
    for mark in marks(syntax, text) {
        match mark {
            Mark::Text(text) => push(literals, text),
            Mark::Variable(_) => literals.push(String::new()),
            Mark::Include(_) | Mark::Logic(_) => return None,
        }
    }
    Some(())
}

fn push(literals: &mut [String], text: &str) {
    if let Some(last) = literals.last_mut() {
        last.push_str(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(text: &str) -> Option<VersionText> {
        SystemText::of([text]).map(|text| VersionText::Whole(text.hash))
    }

    #[allow(clippy::unnecessary_wraps, reason = "as in the rows of the table")]
    fn parts(literals: &[&str]) -> Option<VersionText> {
        Some(VersionText::Parts(TextPattern::new(literals.iter().map(|literal| (*literal).to_owned()))))
    }

    #[test]
    fn version_is_recognized_by_its_system_messages_or_its_text() {
        let system = r#"{"role":"system","content":"Be kind."}"#;
        for (content, expected) in [
            (r#"{"text":" Be kind.\n"}"#.to_owned(), whole("Be kind.")),
            (r#"{"text":"Be {{how}} always."}"#.to_owned(), parts(&["Be ", " always."])),
            (r#"{"text":"{{a}}{{b}}"}"#.to_owned(), parts(&["", ""])),
            (r#"{"text":"Be {{how}}","syntax":"plain"}"#.to_owned(), whole("Be {{how}}")),
            (r#"{"text":"Be {{ how | lower }}.\r\nOk","syntax":"jinja"}"#.to_owned(), parts(&["Be ", ".\nOk"])),
            (r#"{"text":"{% if a %}Be kind.{% endif %}","syntax":"jinja"}"#.to_owned(), None),
            (r#"{"text":"Be {{- how }}","syntax":"jinja"}"#.to_owned(), None),
            (r#"{"text":"{{> a@1}}"}"#.to_owned(), None),
            (r#"{"text":" "}"#.to_owned(), None),
            (format!(r#"{{"messages":[{system},{{"role":"user","content":"{{{{q}}}}"}}]}}"#), whole("Be kind.")),
            (
                format!(r#"{{"messages":[{system},{{"role":"developer","content":"Be {{{{how}}}}"}}]}}"#),
                parts(&["Be kind.\n\nBe ", ""]),
            ),
            (
                r#"{"messages":[{"role":"system","content":[{"type":"text","text":"Be kind."},{"type":"text","text":"Be brief."}]}]}"#
                    .to_owned(),
                whole("Be kind.\nBe brief."),
            ),
            (r#"{"messages":[{"role":"user","content":"Be kind."}]}"#.to_owned(), None),
            (r#"{"messages":[{"type":"placeholder","name":"history"}]}"#.to_owned(), None),
        ] {
            assert_eq!(text_of(content.as_bytes()), expected, "{content}");
        }
    }
}
