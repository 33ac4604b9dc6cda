//! Names of principals, roles, access tokens, policies, rule sets, webhooks and drafts.

use super::schema::{built_schema, text};

/// Longest name of a principal, role, access token, policy, rule set or webhook, in bytes.
pub const HANDLE_BYTES_MAX: usize = 64;

/// A string schema for the name of a principal, role, access token, policy, rule set, webhook or draft.
pub struct Handle;
built_schema!(
    Handle = text("A name: 1 to 64 characters from a-z, 0-9, `.`, `_`, `-` and `@`, but neither `.` nor `..`.", "ada")
        .min_length(Some(1))
        .max_length(Some(HANDLE_BYTES_MAX))
        .pattern(Some(r"^([a-z0-9_@-]|\.[a-z0-9_@-]|\.\.[a-z0-9._@-])[a-z0-9._@-]*$"))
);

/// Whether a text is a valid name of a principal, role, access token, policy, rule set or webhook.
#[must_use]
pub fn is_handle(text: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-@".contains(&b);
    // As a segment of a path, `.` and `..` would name something else.
    (1..=HANDLE_BYTES_MAX).contains(&text.len()) && text.bytes().all(allowed) && text != "." && text != ".."
}
