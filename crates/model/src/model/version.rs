//! A version: one immutable state of a prompt.

use semver::Version as Semver;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::content_id::ContentId;
use super::name::PromptName;
use super::time::Timestamp;

/// Longest name of an author or actor, in bytes.
pub const ACTOR_BYTES_MAX: usize = 200;

/// One immutable state of a prompt. Only `retired` and `archived` can change.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Version {
    /// 1, 2, 3 … per prompt; never reused.
    pub number: u64,
    /// The id of the content as served.
    pub content_id: ContentId,
    /// The id of the content as written, if it has includes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_id: Option<ContentId>,
    /// Derived from the effect on callers: major, minor or patch.
    #[schema(value_type = String, pattern = r"^[0-9]+\.[0-9]+\.[0-9]+$", example = "2.1.0")]
    pub semver: Semver,
    /// The author.
    pub author: String,
    /// The reason.
    pub message: String,
    /// When it was published.
    pub created: Timestamp,
    /// The commit that published it.
    pub commit: u64,
    /// The included versions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub includes: Vec<Include>,
    /// Time, person and reason of its retirement, if it is retired.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retired: Option<Retired>,
    /// When its content was archived; its id and everything else remain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archived: Option<Timestamp>,
}

/// A version that is included in another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Include {
    /// The prompt.
    pub name: PromptName,
    /// The version.
    pub version: u64,
    /// The id of its content.
    pub content_id: ContentId,
}

/// When, by whom and why a version was retired.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[allow(missing_docs, reason = "time, author and message")]
pub struct Retired {
    pub at: Timestamp,
    pub actor: String,
    pub message: String,
}

/// The effect of a version on callers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Bump {
    /// Wording only.
    Patch,
    /// Adds something; existing callers keep working.
    Minor,
    /// May break existing callers.
    Major,
}

impl Bump {
    /// The number that follows `previous` after this change; the first version is 1.0.0.
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

impl Bump {
    /// Every bump, the smallest first.
    pub const ALL: [Self; 3] = [Self::Patch, Self::Minor, Self::Major];

    /// Its name in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Patch => "patch",
            Self::Minor => "minor",
            Self::Major => "major",
        }
    }
}

impl std::str::FromStr for Bump {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|bump| bump.as_str() == text).ok_or("use major, minor or patch")
    }
}

impl std::fmt::Display for Bump {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The effect of a change on callers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct InterfaceChange {
    /// Major if callers may break.
    pub bump: Bump,
    /// The reason.
    pub reasons: Vec<String>,
}
