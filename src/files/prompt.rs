//! The `.prompt` file: optional YAML front matter between `---` lines, then the body.
//!
//! It does not check limits or templates of a content; `Content::to_canonical` and `template` do. Invariant:
//! `parse(write(content))` is `content`, for every valid content whose file is within the limit.
//!
//! The body is a text prompt, byte for byte, unless it has a role marker such as `{{role "system"}}`; then it is a chat
//! prompt, and each message is the text between its marker and the next. Text that looks like a marker is written with
//! a backslash, which is removed when it is parsed. A conversation that markers cannot express (names, tool calls,
//! other parts) is in the front matter under `messages:`, with an empty body.
//!
//! The last line break (`\n` or `\r\n`) of a body, and of each message, belongs to the file and not to the text; a text
//! that ends in a bare `\r` is therefore closed by `\r\n`. Every other byte is kept, including line breaks. A byte
//! order mark at the start is dropped.

pub use super::error::{PROMPT_FILE_BYTES_MAX, PromptFileError};
use super::front_matter::{self, FrontMatter, is_fence};
use super::markers;
use crate::model::content::{Body, Content};
use crate::model::name::Label;

/// The file name extension of a prompt file.
pub const PROMPT_FILE_EXTENSION: &str = "prompt";

/// The media type of a prompt file.
pub const PROMPT_FILE_MEDIA: &str = "text/vnd.bookholder.prompt";

const BYTE_ORDER_MARK: char = '\u{feff}';

/// The contents of a prompt file.
#[derive(Clone, Debug, PartialEq)]
pub struct PromptFile {
    /// The content of the version.
    pub content: Content,
    /// Labels to deploy it to when it is published.
    pub labels: Vec<Label>,
}

/// Parses a prompt file.
///
/// # Errors
/// The error, and its line.
pub fn parse(file: &str) -> Result<PromptFile, PromptFileError> {
    if file.len() > PROMPT_FILE_BYTES_MAX {
        return Err(PromptFileError::TooLong { bytes: file.len() });
    }
    let file = file.strip_prefix(BYTE_ORDER_MARK).unwrap_or(file);
    let parts = split(file)?;
    let front = match parts.front {
        Some(front) => front_matter::parse(front).map_err(|reason| PromptFileError::FrontMatter { reason })?,
        None => FrontMatter::default(),
    };
    let body = match front.messages {
        None => markers::parse(parts.body, parts.body_line)?,
        Some(messages) => match parts.body.lines().position(|line| !line.trim().is_empty()) {
            Some(line) => return Err(PromptFileError::BodyBesideMessages { line: parts.body_line + line }),
            None => Body::Messages(messages),
        },
    };
    let content = Content {
        syntax: front.syntax,
        body,
        variables: front.variables,
        model: front.model,
        tools: front.tools,
        response_schema: front.response_schema,
        config: front.config,
    };
    Ok(PromptFile { content, labels: front.labels })
}

/// Writes a content as a prompt file that reads back as the same content.
pub fn write(content: &Content) -> String {
    let body = markers::write(&content.body);
    let messages = match (&body, &content.body) {
        (None, Body::Messages(messages)) => Some(messages.clone()),
        _ => None,
    };
    let body = body.unwrap_or_default();
    let front = FrontMatter {
        syntax: content.syntax,
        model: content.model.clone(),
        variables: content.variables.clone(),
        tools: content.tools.clone(),
        response_schema: content.response_schema.clone(),
        config: content.config.clone(),
        labels: Vec::new(),
        messages,
    };
    let front = front_matter::write(&front);
    let begins_like_front_matter = body.starts_with(BYTE_ORDER_MARK) || body.lines().next().is_some_and(is_fence);
    if front.is_empty() && !begins_like_front_matter { body } else { format!("---\n{front}---\n{body}") }
}

struct Parts<'a> {
    front: Option<&'a str>,
    body: &'a str,
    /// The line of the file at which the body begins.
    body_line: usize,
}

fn split(file: &str) -> Result<Parts<'_>, PromptFileError> {
    let mut lines = file.split_inclusive('\n');
    let Some(first) = lines.next().filter(|line| is_fence(line)) else {
        return Ok(Parts { front: None, body: file, body_line: 1 });
    };
    let mut end = first.len();
    for (index, line) in lines.enumerate() {
        if is_fence(line) {
            let front = file.get(first.len()..end).unwrap_or_default();
            let body = file.get(end + line.len()..).unwrap_or_default();
            return Ok(Parts { front: Some(front), body, body_line: index + 3 });
        }
        end += line.len();
    }
    Err(PromptFileError::Unclosed)
}
