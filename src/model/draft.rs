//! Drafts: named working copies of a prompt.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::content::Content;
use super::name::PromptName;
use super::time::Timestamp;

/// Most drafts of one prompt.
pub const DRAFTS_MAX: usize = 100;
/// Most drafts that one principal began.
pub const DRAFTS_OF_ONE_MAX: u64 = 200;
/// The same of a registry.
pub const DRAFTS_OF_ALL_MAX: u64 = 10_000;
/// Most bytes of drafts and their saves that one principal saved, as JSON.
pub const DRAFTS_OF_ONE_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// The same of a registry.
pub const DRAFTS_BYTES_MAX: u64 = 1024 * 1024 * 1024;
/// Saves of one draft that are remembered; older ones are forgotten.
pub const DRAFT_SAVES_MAX: usize = 100;
/// Bytes of the saves of one draft that are remembered, as JSON: a hundred of a long prompt, and eight of the longest.
/// Older ones are forgotten; the newest stays whatever its size.
pub const DRAFT_SAVES_BYTES_MAX: usize = 8 * 1024 * 1024;

/// A working copy as it was saved.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Draft {
    /// Of which prompt; it may not exist yet.
    pub prompt: PromptName,
    /// Its name among that prompt's drafts.
    pub name: String,
    /// The version it began from; 0 when the prompt had none.
    pub parent: u64,
    /// 1, 2, 3 …: which save this is.
    pub revision: u64,
    /// What it says.
    pub content: Content,
    /// Who began it.
    pub author: String,
    /// Who saved this.
    pub saved_by: String,
    /// Everybody who saved the draft so far, by name: old saves are forgotten, and who made some of it is not.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub makers: BTreeSet<String>,
    /// When.
    pub saved: Timestamp,
}

/// A working copy as it was saved, without what it says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DraftSummary {
    /// Of which prompt; it may not exist yet.
    pub prompt: PromptName,
    /// Its name among that prompt's drafts.
    pub name: String,
    /// The version it began from; 0 when the prompt had none.
    pub parent: u64,
    /// 1, 2, 3 …: which save this is.
    pub revision: u64,
    /// Bytes that are kept of it, as JSON.
    #[serde(default)]
    pub bytes: u64,
    /// Who began it.
    pub author: String,
    /// Who saved this.
    pub saved_by: String,
    /// When.
    pub saved: Timestamp,
}
