//! The latest external source of a prompt's content: a file that was published, or an imported history.

use serde::{Deserialize, Serialize};

use super::content_id::ContentId;

/// What was last published for one prompt from one place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublishedFile {
    /// The version that was created from the file, or that already matched it.
    pub version: u64,
    /// The ID of the content as written in the file.
    pub content_id: ContentId,
}

/// The state of a prompt after its last imported change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportedPrompt {
    /// The latest version.
    pub version: u64,
    /// Whether the prompt was removed.
    pub removed: bool,
}
