//! A version: one immutable state of a prompt.

use semver::Version as Semver;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::content_id::ContentId;
use super::name::PromptName;
use super::time::Timestamp;

/// Longest message of a commit (the why), in characters.
pub const MESSAGE_CHARACTERS_MAX: usize = 2_000;
/// Longest name of an author or actor, in bytes.
pub const ACTOR_BYTES_MAX: usize = 200;

/// One immutable state of a prompt. Only `retired` can change, and only the serving of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Version {
    /// 1, 2, 3 … per prompt; never used twice.
    pub number: u64,
    /// Which bytes it serves.
    pub content_id: ContentId,
    /// Which bytes its author wrote, where includes were flattened into what it serves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_id: Option<ContentId>,
    /// Derived from what changed for callers: major, minor or patch.
    #[schema(value_type = String, pattern = r"^[0-9]+\.[0-9]+\.[0-9]+$", example = "2.1.0")]
    pub semver: Semver,
    /// Who wrote it.
    pub author: String,
    /// Why.
    pub message: String,
    /// When it was published.
    pub created: Timestamp,
    /// The commit that published it.
    pub commit: u64,
    /// What was flattened into it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub includes: Vec<Include>,
    /// Since it must not be deployed any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retired: Option<Retired>,
    /// Since when its content is dropped; its id and everything else stays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archived: Option<Timestamp>,
}

/// A prompt that was flattened into a version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Include {
    /// Which prompt.
    pub name: PromptName,
    /// Which version of it.
    pub version: u64,
    /// Which bytes.
    pub content_id: ContentId,
}

/// When, by whom and why a version was retired.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[allow(missing_docs, reason = "when, by whom and why")]
pub struct Retired {
    pub at: Timestamp,
    pub actor: String,
    pub message: String,
}

/// How much a version changes for its callers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Bump {
    /// Callers see other words.
    Patch,
    /// Callers may use something new.
    Minor,
    /// Callers must change, or break.
    Major,
}

impl Bump {
    /// The number that follows `previous` after this change; the first version is 1.0.0.
    #[must_use]
    pub fn after(self, previous: Option<&Semver>) -> Semver {
        match (self, previous) {
            (_, None) => Semver::new(1, 0, 0),
            (Self::Major, Some(previous)) => Semver::new(previous.major.saturating_add(1), 0, 0),
            (Self::Minor, Some(previous)) => Semver::new(previous.major, previous.minor.saturating_add(1), 0),
            (Self::Patch, Some(previous)) => {
                Semver::new(previous.major, previous.minor, previous.patch.saturating_add(1))
            }
        }
    }
}

impl std::fmt::Display for Bump {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Patch => "patch",
            Self::Minor => "minor",
            Self::Major => "major",
        })
    }
}
