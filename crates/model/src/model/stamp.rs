//! The stamp that an application logs with a response.

use super::content_id::ContentId;
use super::name::PromptName;

/// Writes the stamp of one version, for example `support/agent@7+3f9a1c2b7d41`.
pub fn stamp(name: &PromptName, version: u64, content: &ContentId) -> String {
    format!("{name}@{version}+{}", content.short())
}
