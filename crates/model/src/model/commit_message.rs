//! The message of a change: its reason, in the history and the audit log.

use super::schema::{built_schema, text};

/// Longest message (the reason for a change), in characters.
pub const MESSAGE_CHARACTERS_MAX: usize = 2_000;

/// A character that is not Unicode white space, which is trimmed from a message.
const NOT_BLANK: &str = r"[^\t-\r \u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]";

/// A message (the reason for a change) in the OpenAPI document.
pub struct CommitMessage;
built_schema!(
    CommitMessage = text("The reason for the change, shown in the history and the audit log.", "Greet by name")
        .min_length(Some(1))
        .max_length(Some(MESSAGE_CHARACTERS_MAX))
        .pattern(Some(NOT_BLANK))
);
