//! The body of a prompt file: markers, and the texts between them.
//!
//! It does not handle front matter. A marker can be anywhere in a line, as in dotprompt: spaces beside it belong to it,
//! and so does the end of its line if nothing follows. Invariant: `write` adds a backslash to text that looks like a
//! marker, so that it is never parsed as one.

use super::error::PromptFileError;
use crate::model::content::{Body, Message, MessageContent, Part, Role, RoleMessage};

/// The placeholder of `{{history}}`.
const HISTORY: &str = "history";
/// The separators between words on one line.
const BLANKS: [char; 2] = [' ', '\t'];
/// Words after a name that make it a jinja expression.
const JINJA_WORDS: [&str; 7] = ["if", "else", "is", "in", "not", "and", "or"];

#[derive(Clone, Debug, PartialEq)]
enum Marker<'a> {
    /// `{{role "system"}}`
    Role(&'a str),
    /// `{{placeholder "examples"}}`, or `{{history}}`
    Placeholder(&'a str),
    /// `{{media url="…"}}`, or `{{media url=variable}}`
    Media(String),
    /// An invalid marker, as written.
    Wrong(&'static str),
}

/// Which markers are recognized: without a role marker in the body, `{{history}}` is a variable.
#[derive(Clone, Copy, PartialEq)]
enum MarkerKind {
    Text,
    Chat,
}

/// Parses a body that begins at line `first` of the file.
pub(super) fn parse(body: &str, first: usize) -> Result<Body, PromptFileError> {
    let is_role = |found: MarkerCandidate<'_>| !found.is_escaped(body) && matches!(found.marker, Marker::Role(_));
    let chat = markers(body, MarkerKind::Text).any(is_role);
    let kind = if chat { MarkerKind::Chat } else { MarkerKind::Text };
    let mut reader = Reader { messages: Vec::new(), open: None, text: String::new() };
    let (mut from, mut line, mut counted) = (0, first, 0);
    for found in markers(body, kind) {
        line += newlines(body, counted, found.start);
        counted = found.start;
        if found.is_escaped(body) {
            reader.text.push_str(between(body, from, found.start.saturating_sub(1)));
            reader.text.push_str(between(body, found.start, found.end));
            from = found.end;
            continue;
        }
        reader.text.push_str(between(body, from, found.start));
        let rest = between(body, found.end, body.len());
        from = found.end + behind(rest);
        let beside = reader.text.rsplit('\n').next().is_some_and(|line| !line.trim().is_empty());
        reader.text.truncate(reader.text.trim_end_matches(BLANKS).len());
        if matches!(found.marker, Marker::Placeholder(_)) && (beside || !ends_line(rest, kind)) {
            return Err(PromptFileError::PlaceholderInLine { line, written: found.written(body) });
        }
        if !chat {
            return Err(match found.marker {
                Marker::Wrong(form) => PromptFileError::Marker { line, written: found.written(body), form },
                Marker::Media(_) => PromptFileError::MediaWithoutRole { line },
                _ => PromptFileError::PlaceholderInText { line },
            });
        }
        reader.close_message(line)?;
        reader.take(&found, body, line)?;
    }
    reader.text.push_str(between(body, from, body.len()));
    if !chat {
        return Ok(Body::Text(without_last_line_end(reader.text)));
    }
    line += newlines(body, counted, body.len());
    reader.close_message(line)?;
    reader.messages.extend(reader.open.map(OpenMessage::close));
    Ok(Body::Messages(reader.messages))
}

/// A conversation that is being parsed.
struct Reader {
    messages: Vec<Message>,
    open: Option<OpenMessage>,
    /// Where the text after the last marker begins.
    text: String,
}

impl Reader {
    /// Adds the text before this line's marker to the open message.
    fn close_message(&mut self, line: usize) -> Result<(), PromptFileError> {
        let text = std::mem::take(&mut self.text);
        let start = line.saturating_sub(text.trim_start().matches('\n').count());
        match &mut self.open {
            Some(open) => open.text.push_str(&text),
            None if text.trim().is_empty() => {}
            None if self.messages.is_empty() => return Err(PromptFileError::TextWithoutRole { line: start }),
            None => return Err(PromptFileError::TextAfterPlaceholder { line: start }),
        }
        Ok(())
    }

    fn take(&mut self, found: &MarkerCandidate<'_>, body: &str, line: usize) -> Result<(), PromptFileError> {
        match &found.marker {
            Marker::Role(name) => {
                let role = Role::named(name).ok_or_else(|| PromptFileError::Role { line, role: (*name).to_owned() })?;
                self.messages.extend(self.open.take().map(OpenMessage::close));
                self.open = Some(OpenMessage { role, text: String::new(), parts: Vec::new() });
            }
            Marker::Placeholder(name) => {
                self.messages.extend(self.open.take().map(OpenMessage::close));
                self.messages.push(Message::Placeholder { name: (*name).to_owned() });
            }
            Marker::Media(url) => {
                let open = self.open.as_mut().ok_or(PromptFileError::MediaWithoutRole { line })?;
                open.close_text();
                open.parts.push(Part::image(url.clone()));
            }
            Marker::Wrong(form) => {
                return Err(PromptFileError::Marker { line, written: found.written(body), form });
            }
        }
        Ok(())
    }
}

/// Writes a body; `None` if markers cannot express it.
pub(super) fn write(body: &Body) -> Option<String> {
    let messages = match body {
        Body::Text(text) => return Some(escape(text, MarkerKind::Text)),
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

fn write_said(written: &mut String, said: &RoleMessage) -> Option<()> {
    if !said.fields.is_empty() {
        return None;
    }
    written.extend(["{{role \"", said.role.as_str(), "\"}}\n"]);
    let parts = match &said.content {
        MessageContent::Text(text) => {
            written.push_str(&escape(text, MarkerKind::Chat));
            return Some(());
        }
        MessageContent::Parts(parts) => parts,
        MessageContent::Null | MessageContent::Absent => return None,
    };
    let image = |part: &Part| part.only_image().is_some();
    let texts_meet = parts.iter().zip(parts.iter().skip(1)).any(|(a, b)| !image(a) && !image(b));
    if texts_meet || !parts.iter().any(image) {
        return None;
    }
    for part in parts {
        match (part.only_text(), part.only_image()) {
            (Some(text), _) if !text.trim().is_empty() => written.push_str(&escape(text, MarkerKind::Chat)),
            (_, Some(url)) => written.extend(["{{media url=\"", quotable(url)?, "\"}}\n"]),
            _ => return None,
        }
    }
    Some(())
}

/// A message whose end has not been reached.
struct OpenMessage {
    role: Role,
    text: String,
    parts: Vec<Part>,
}

impl OpenMessage {
    /// Turns the text since the last image into a part; blank lines around images are only layout.
    fn close_text(&mut self) {
        let text = std::mem::take(&mut self.text);
        if !text.trim().is_empty() {
            self.parts.push(Part::text(without_last_line_end(text)));
        }
    }

    fn close(mut self) -> Message {
        let content = if self.parts.is_empty() {
            MessageContent::Text(without_last_line_end(self.text))
        } else {
            self.close_text();
            MessageContent::Parts(self.parts)
        };
        Message::Said(RoleMessage::new(self.role, content))
    }
}

/// Text that looks like a marker, and its position.
struct MarkerCandidate<'a> {
    marker: Marker<'a>,
    start: usize,
    end: usize,
}

impl MarkerCandidate<'_> {
    /// Whether a backslash escapes it.
    fn is_escaped(&self, body: &str) -> bool {
        between(body, 0, self.start).ends_with('\\')
    }

    /// The marker as written, shortened for an error message.
    fn written(&self, body: &str) -> String {
        let rest = between(body, self.start, body.len());
        let line = rest.lines().next().unwrap_or_default();
        let end = line.find("}}").map_or(line.len(), |end| end + 2);
        between(line, 0, end).chars().take(60).collect()
    }
}

/// Everything in a text that looks like a marker, in order.
fn markers(text: &str, kind: MarkerKind) -> impl Iterator<Item = MarkerCandidate<'_>> {
    let mut from = 0;
    std::iter::from_fn(move || {
        while let Some(offset) = text.get(from..)?.find("{{") {
            let start = from + offset;
            let rest = between(text, start, text.len());
            let run = rest.bytes().take_while(|byte| *byte == b'{').count();
            from = start + run;
            if run == 2
                && let Some((marker, length)) = read(rest, kind)
            {
                // Text that is not a marker can be followed by one.
                from = if matches!(marker, Marker::Wrong(_)) { from } else { start + length };
                return Some(MarkerCandidate { marker, start, end: from });
            }
        }
        None
    })
}

/// The marker at the start of a text, and its length.
fn read(text: &str, kind: MarkerKind) -> Option<(Marker<'_>, usize)> {
    let inner = text.strip_prefix("{{")?.trim_start_matches(BLANKS);
    let length = inner.find(|c: char| !c.is_ascii_lowercase()).unwrap_or(inner.len());
    let (word, rest) = inner.split_at_checked(length)?;
    let argument = rest.trim_start_matches(BLANKS);
    let spaced = argument.len() < rest.len();
    let (marker, rest) = match word {
        HISTORY if kind == MarkerKind::Chat && argument.starts_with("}}") => (Marker::Placeholder(HISTORY), argument),
        "role" if spaced => match quoted(argument) {
            Some((name, rest)) => (Marker::Role(name), rest),
            None if is_written_wrong(argument) => return Some((Marker::Wrong("{{role \"system\"}}"), 2)),
            None => return None,
        },
        "placeholder" if spaced => match quoted(argument) {
            Some((name, rest)) => (Marker::Placeholder(name), rest),
            None if is_written_wrong(argument) => return Some((Marker::Wrong("{{placeholder \"examples\"}}"), 2)),
            None => return None,
        },
        "media" if spaced => match argument.strip_prefix("url=").and_then(media_url) {
            Some((url, rest)) => (Marker::Media(url), rest),
            None if is_written_wrong(argument) => return Some((Marker::Wrong(MEDIA), 2)),
            None => return None,
        },
        "section" if spaced && is_written_wrong(argument) => return Some((Marker::Wrong(SECTION), 2)),
        _ => return None,
    };
    match rest.trim_start_matches(BLANKS).strip_prefix("}}") {
        Some(rest) => Some((marker, text.len() - rest.len())),
        None => match marker {
            Marker::Role(_) => Some((Marker::Wrong("{{role \"system\"}}"), 2)),
            Marker::Media(_) => Some((Marker::Wrong(MEDIA), 2)),
            _ => Some((Marker::Wrong("{{placeholder \"examples\"}}"), 2)),
        },
    }
}

const MEDIA: &str = "{{media url=\"https://…\"}} or {{media url=variable}}";
const SECTION: &str = "{{placeholder \"name\"}}, as there are no sections";

/// Whether a marker's word is followed by a string, a name or `key=`, which no template expression has there.
fn is_written_wrong(argument: &str) -> bool {
    let length = argument.find(|c: char| c != '_' && !c.is_alphanumeric()).unwrap_or(argument.len());
    let word = between(argument, 0, length);
    argument.starts_with(['"', '\'']) || !word.is_empty() && !JINJA_WORDS.contains(&word)
}

/// A quoted string is the URL, a bare word the variable with the URL; and the rest.
fn media_url(argument: &str) -> Option<(String, &str)> {
    if let Some((url, rest)) = quoted(argument) {
        return Some((url.to_owned(), rest));
    }
    let length = argument.find(|c: char| c != '_' && c != '.' && !c.is_alphanumeric()).unwrap_or(argument.len());
    let (variable, rest) = argument.split_at_checked(length).filter(|(word, _)| !word.is_empty())?;
    Some((format!("{{{{{variable}}}}}"), rest))
}

/// A quoted string, and the rest.
fn quoted(argument: &str) -> Option<(&str, &str)> {
    let quote = argument.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    let inside = argument.get(1..)?;
    let end = inside.find(['\n', quote])?;
    Some((inside.get(..end)?, inside.get(end..)?.strip_prefix(quote)?))
}

/// The text, if it can be quoted on one line.
fn quotable(text: &str) -> Option<&str> {
    (!text.contains(['"', '\n'])).then_some(text)
}

/// How much after a marker belongs to it: spaces, and the line break.
fn behind(rest: &str) -> usize {
    let text = rest.trim_start_matches(BLANKS);
    let next = text.trim_start_matches('\r').strip_prefix('\n');
    rest.len() - next.unwrap_or(text).len()
}

/// Whether there is no text between a marker and the end of its line, or the next marker.
fn ends_line(rest: &str, kind: MarkerKind) -> bool {
    let rest = rest.trim_start_matches(BLANKS);
    let line = rest.trim_start_matches('\r');
    line.is_empty() || line.starts_with('\n') || read(rest, kind).is_some()
}

fn between(text: &str, from: usize, to: usize) -> &str {
    text.get(from..to).unwrap_or_default()
}

fn newlines(text: &str, from: usize, to: usize) -> usize {
    between(text, from, to).matches('\n').count()
}

/// The text with its markers escaped and the closing line break.
fn escape(text: &str, kind: MarkerKind) -> String {
    let mut written = String::with_capacity(text.len() + 2);
    let mut from = 0;
    for found in markers(text, kind) {
        written.push_str(between(text, from, found.start));
        written.push('\\');
        from = found.start;
    }
    written.push_str(between(text, from, text.len()));
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
