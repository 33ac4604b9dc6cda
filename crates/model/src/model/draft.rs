//! Drafts: unpublished work on a prompt.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::content::Content;
use super::name::PromptName;
use super::time::Timestamp;

/// Most drafts of one prompt.
pub const DRAFTS_MAX: usize = 100;
/// Most drafts started by one principal.
pub const DRAFTS_OF_ONE_MAX: u64 = 200;
/// The same limit for a registry.
pub const DRAFTS_OF_ALL_MAX: u64 = 10_000;
/// Most bytes of drafts and their saves that one principal saved, as JSON.
pub const DRAFTS_OF_ONE_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// The same limit for a registry.
pub const DRAFTS_BYTES_MAX: u64 = 1024 * 1024 * 1024;
/// Number of saved revisions that are kept per draft.
pub const DRAFT_SAVES_MAX: usize = 100;
/// Bytes of saved revisions that are kept per draft, as JSON: a hundred revisions of a long prompt, or eight of the
/// longest. The newest is kept whatever its size.
pub const DRAFT_SAVES_BYTES_MAX: usize = 8 * 1024 * 1024;

/// A draft as saved.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Draft {
    /// The prompt, which does not have to exist yet.
    pub prompt: PromptName,
    /// Its name, unique for the prompt.
    pub name: String,
    /// The version it is based on; 0 if the prompt had none.
    pub parent: u64,
    /// The number of the save: 1, 2, 3 …
    pub revision: u64,
    /// The content.
    pub content: Content,
    /// The principal that began it.
    pub author: String,
    /// The principal that saved this revision.
    pub saved_by: String,
    /// All principals that saved the draft so far, also of saves that are no longer kept.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub makers: BTreeSet<String>,
    /// When it was saved.
    pub saved: Timestamp,
}

/// A draft as saved, without its content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DraftSummary {
    /// The prompt, which does not have to exist yet.
    pub prompt: PromptName,
    /// Its name, unique for the prompt.
    pub name: String,
    /// The version it is based on; 0 if the prompt had none.
    pub parent: u64,
    /// The number of the save: 1, 2, 3 …
    pub revision: u64,
    /// Its size, in bytes of JSON.
    #[serde(default)]
    pub bytes: u64,
    /// The principal that began it.
    pub author: String,
    /// The principal that saved this revision.
    pub saved_by: String,
    /// When it was saved.
    pub saved: Timestamp,
}
