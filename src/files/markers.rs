//! The body of a prompt file: markers, and the texts between them.
//!
//! It does not know front matter. Invariant: a text that looks like a marker is never taken for one after `write`,
//! because it has a backslash more.

use super::prompt::PromptFileError;
use crate::model::content::{Body, Message, MessageContent, Part, Role, Said};

/// The placeholder that `{{history}}` stands for.
const HISTORY: &str = "history";

#[derive(Debug, PartialEq)]
enum Marker<'a> {
    /// `{{role "system"}}`
    Role(&'a str),
    /// `{{placeholder "examples"}}`, or `{{history}}`
    Placeholder(&'a str),
    /// `{{media url="…"}}`, or `{{media url=variable}}`; none when it is neither.
    Media(Option<String>),
}

/// Which lines are markers: only roles, while none has been seen that makes the body a conversation.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Text,
    Chat,
}

/// Reads a body that begins at line `first` of the file.
pub(super) fn parse(body: &str, first: usize) -> Result<Body, PromptFileError> {
    let chat = body.split_inclusive('\n').any(|line| matches!(marker(line, Kind::Text), Some(Marker::Role(_))));
    if !chat {
        let text: String = body.split_inclusive('\n').map(|line| unescape(line, Kind::Text)).collect();
        return Ok(Body::Text(without_last_line_end(text)));
    }
    let mut messages = Vec::new();
    let mut open: Option<Open> = None;
    for (index, line) in body.split_inclusive('\n').enumerate() {
        let number = first + index;
        match marker(line, Kind::Chat) {
            Some(Marker::Role(name)) => {
                messages.extend(open.take().map(Open::close));
                let role = role(name).ok_or_else(|| PromptFileError::Role { line: number, role: name.to_owned() })?;
                open = Some(Open { role, text: String::new(), parts: Vec::new() });
            }
            Some(Marker::Placeholder(name)) => {
                messages.extend(open.take().map(Open::close));
                messages.push(Message::Placeholder { name: name.to_owned() });
            }
            Some(Marker::Media(url)) => {
                let open = open.as_mut().ok_or(PromptFileError::MediaWithoutRole { line: number })?;
                open.close_text();
                open.parts.push(Part::Image { url: url.ok_or(PromptFileError::Media { line: number })? });
            }
            None => match &mut open {
                Some(open) => open.text.push_str(unescape(line, Kind::Chat)),
                None if line.trim().is_empty() => {}
                None if messages.is_empty() => return Err(PromptFileError::TextWithoutRole { line: number }),
                None => return Err(PromptFileError::TextAfterPlaceholder { line: number }),
            },
        }
    }
    messages.extend(open.map(Open::close));
    Ok(Body::Messages(messages))
}

/// Writes a body; none when markers cannot say it.
pub(super) fn write(body: &Body) -> Option<String> {
    let messages = match body {
        Body::Text(text) => return Some(escape(text, Kind::Text)),
        Body::Messages(messages) => messages,
    };
    let mut written = String::new();
    let mut said_any = false;
    for message in messages {
        match message {
            Message::Placeholder { name } if name == HISTORY => written.push_str("{{history}}\n"),
            Message::Placeholder { name } => {
                let name = quotable(name)?;
                written.extend(["{{placeholder \"", name, "\"}}\n"]);
            }
            Message::Said(said) => {
                said_any = true;
                write_said(&mut written, said)?;
            }
        }
    }
    said_any.then_some(written)
}

fn write_said(written: &mut String, said: &Said) -> Option<()> {
    if said.name.is_some() || !said.tool_calls.is_empty() || said.tool_call_id.is_some() {
        return None;
    }
    written.extend(["{{role \"", role_name(said.role), "\"}}\n"]);
    let parts = match &said.content {
        MessageContent::Text(text) => {
            written.push_str(&escape(text, Kind::Chat));
            return Some(());
        }
        MessageContent::Parts(parts) => parts,
    };
    let image = |part: &Part| matches!(part, Part::Image { .. });
    let texts_meet = parts.iter().zip(parts.iter().skip(1)).any(|(a, b)| !image(a) && !image(b));
    if texts_meet || !parts.iter().any(image) {
        return None;
    }
    for part in parts {
        match part {
            Part::Text { text } if text.trim().is_empty() => return None,
            Part::Text { text } => written.push_str(&escape(text, Kind::Chat)),
            Part::Image { url } => written.extend(["{{media url=\"", quotable(url)?, "\"}}\n"]),
        }
    }
    Some(())
}

/// A message whose end has not been read.
struct Open {
    role: Role,
    text: String,
    parts: Vec<Part>,
}

impl Open {
    /// Turns the text since the last image into a part; blank lines around images are only layout.
    fn close_text(&mut self) {
        let text = std::mem::take(&mut self.text);
        if !text.trim().is_empty() {
            self.parts.push(Part::Text { text: without_last_line_end(text) });
        }
    }

    fn close(mut self) -> Message {
        let content = if self.parts.is_empty() {
            MessageContent::Text(without_last_line_end(self.text))
        } else {
            self.close_text();
            MessageContent::Parts(self.parts)
        };
        Message::Said(Said { role: self.role, content, name: None, tool_calls: Vec::new(), tool_call_id: None })
    }
}

/// The marker that a line is, if it is nothing else.
fn marker(line: &str, kind: Kind) -> Option<Marker<'_>> {
    let line = line.trim_end_matches([' ', '\t', '\r', '\n']);
    let inner = line.strip_prefix("{{")?.strip_suffix("}}")?.trim_matches([' ', '\t']);
    let (word, argument) = inner.split_once([' ', '\t']).map_or((inner, ""), |(word, rest)| (word, rest.trim()));
    match (word, kind) {
        ("role", _) => quoted(argument).map(Marker::Role),
        (HISTORY, Kind::Chat) if argument.is_empty() => Some(Marker::Placeholder(HISTORY)),
        ("placeholder", Kind::Chat) => quoted(argument).map(Marker::Placeholder),
        ("media", Kind::Chat) => argument.strip_prefix("url=").map(|url| Marker::Media(media_url(url))),
        _ => None,
    }
}

/// A quoted text is the address, a bare word the variable that holds it.
fn media_url(argument: &str) -> Option<String> {
    let variable = |word: &str| !word.is_empty() && word.chars().all(|c| c == '_' || c == '.' || c.is_alphanumeric());
    match quoted(argument) {
        Some(url) => Some(url.to_owned()),
        None if variable(argument) => Some(format!("{{{{{argument}}}}}")),
        None => None,
    }
}

fn quoted(argument: &str) -> Option<&str> {
    let inside = |quote: char| argument.strip_prefix(quote)?.strip_suffix(quote).filter(|text| !text.contains(quote));
    inside('"').or_else(|| inside('\''))
}

/// The text when it can stand between quotes on one line.
fn quotable(text: &str) -> Option<&str> {
    (!text.contains(['"', '\n'])).then_some(text)
}

fn escaped(line: &str, kind: Kind) -> bool {
    marker(line.trim_start_matches('\\'), kind).is_some()
}

fn unescape(line: &str, kind: Kind) -> &str {
    line.strip_prefix('\\').filter(|rest| escaped(rest, kind)).unwrap_or(line)
}

/// The text with its markers defused and the line end that closes it.
fn escape(text: &str, kind: Kind) -> String {
    let mut written = String::with_capacity(text.len() + 2);
    for line in text.split_inclusive('\n') {
        if escaped(line, kind) {
            written.push('\\');
        }
        written.push_str(line);
    }
    written.push_str(if text.ends_with('\r') { "\r\n" } else { "\n" });
    written
}

fn without_last_line_end(mut text: String) -> String {
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    text
}

/// Reads a role; `model` is what dotprompt calls the assistant.
fn role(name: &str) -> Option<Role> {
    match name {
        "system" => Some(Role::System),
        "user" => Some(Role::User),
        "assistant" | "model" => Some(Role::Assistant),
        "tool" => Some(Role::Tool),
        _ => None,
    }
}

const fn role_name(role: Role) -> &'static str {
    match role {
        Role::System => "system",
        Role::User => "user",
        Role::Assistant => "assistant",
        Role::Tool => "tool",
    }
}
