//! What was last done from outside with a prompt: published from a file of some place, or imported with a history.

use serde::{Deserialize, Serialize};

use super::content_id::ContentId;

/// What was last published from a place for one prompt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublishedFile {
    /// The version that the file became, or was found to be.
    pub version: u64,
    /// The id of the content as the file wrote it then.
    pub content_id: ContentId,
}

/// What the last imported change of a prompt left there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportedPrompt {
    /// The newest version.
    pub version: u64,
    /// Whether the prompt was removed.
    pub removed: bool,
}
