//! Drafts: named working copies of a prompt.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::content::Content;
use super::name::PromptName;
use super::time::Timestamp;

/// Most drafts of one prompt.
pub const DRAFTS_MAX: usize = 100;
/// Saves of one draft that are remembered; older ones are forgotten.
pub const DRAFT_SAVES_MAX: u64 = 100;

/// A working copy as it was saved.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Draft {
    /// Of which prompt; it may not exist yet.
    #[schema(value_type = String)]
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
    /// When.
    #[schema(value_type = String)]
    pub saved: Timestamp,
}
