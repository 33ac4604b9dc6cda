//! Metadata of a prompt: owner, tags, description, and the prompts that its output feeds.
//!
//! It does not affect what is served, so it is not part of the replicated state.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::handle::is_handle;
use super::name::PromptName;

/// Most tags of a prompt.
pub const TAGS_MAX: usize = 20;
/// Most prompts that the output of one can feed.
pub const FEEDS_MAX: usize = 20;
/// Longest tag, in bytes, which are its characters.
pub const TAG_BYTES_MAX: usize = 40;
/// Longest description, in characters.
pub const DESCRIPTION_CHARACTERS_MAX: usize = 1_000;

/// Owner, tags and description of a prompt, and the prompts that its output feeds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct About {
    /// The owner: a principal or a team, 1 to 64 characters from a-z 0-9 . _ - @.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// Tags for searching: at most 20, each 1 to 40 characters from a-z 0-9 . _ -.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub tags: BTreeSet<String>,
    /// The description, at most 1,000 characters.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// The prompts that get its output as their input, at most 20: the chain behind it.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub feeds: BTreeSet<PromptName>,
}

/// Why metadata is invalid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "each message says what its variant means")]
pub enum AboutError {
    #[error("invalid owner `{0}`: use 1 to 64 characters from a-z 0-9 . _ - @")]
    Owner(String),
    #[error("invalid tag `{0}`: use 1 to 40 characters from a-z 0-9 . _ -")]
    Tag(String),
    #[error("there are {0} tags; the limit is 20")]
    Tags(usize),
    #[error("the description has {0} characters; the limit is 1,000")]
    Description(usize),
    #[error("it feeds {0} prompts; the limit is 20")]
    Feeds(usize),
}

impl About {
    /// The same values if they are within limits; space around the description is removed.
    ///
    /// # Errors
    /// The field that is invalid.
    pub fn checked(mut self) -> Result<Self, AboutError> {
        let excerpt = |text: &str| text.chars().take(TAG_BYTES_MAX).collect::<String>();
        if let Some(owner) = self.owner.as_ref().filter(|owner| !is_handle(owner)) {
            return Err(AboutError::Owner(excerpt(owner)));
        }
        if self.tags.len() > TAGS_MAX {
            return Err(AboutError::Tags(self.tags.len()));
        }
        if let Some(tag) = self.tags.iter().find(|tag| !is_tag(tag)) {
            return Err(AboutError::Tag(excerpt(tag)));
        }
        if self.feeds.len() > FEEDS_MAX {
            return Err(AboutError::Feeds(self.feeds.len()));
        }
        self.description = self.description.trim().to_owned();
        let characters = self.description.chars().count();
        if characters > DESCRIPTION_CHARACTERS_MAX {
            return Err(AboutError::Description(characters));
        }
        Ok(self)
    }

    /// Whether all fields are empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Whether a text can be a tag.
#[must_use]
pub fn is_tag(text: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_.".contains(&b);
    (1..=TAG_BYTES_MAX).contains(&text.len()) && text.bytes().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owner_tags_and_description_have_limits() {
        let check = |owner: &str, tags: &[&str], description: &str, expected: &str| {
            let tags = tags.iter().map(|tag| (*tag).to_owned()).collect();
            let about =
                About { owner: Some(owner.to_owned()), tags, description: description.to_owned(), ..About::default() };
            let found = about.checked().err().map(|error| error.to_string()).unwrap_or_default();
            assert!(found.contains(expected) && found.is_empty() == expected.is_empty(), "{found:?} {expected:?}");
        };
        check("team-a@example.com", &["a", "x-1_2.3"], " why \n", "");
        check("Team A", &[], "", "invalid owner `Team A`");
        check("", &[], "", "owner");
        check("a", &["Big"], "", "invalid tag `Big`");
        check("a", &[&"t".repeat(41)], "", "invalid tag");
        check("a", &[""], "", "invalid tag");
        let many: Vec<String> = (0..21).map(|n| format!("t{n}")).collect();
        check("a", &many.iter().map(String::as_str).collect::<Vec<_>>(), "", "there are 21 tags");
        check("a", &[], &"é".repeat(1_000), "");
        check("a", &[], &"é".repeat(1_001), "1001 characters");
        let trimmed = About { description: " \n".to_owned(), ..About::default() }.checked().expect("fits");
        assert!(trimmed.is_empty());
        assert!(serde_json::from_str::<About>(r#"{"tagz":[]}"#).is_err());
        let feeds = (0..21).map(|n| format!("a/b{n}").parse().expect("a name")).collect();
        let many = About { feeds, ..About::default() }.checked().expect_err("too many").to_string();
        assert_eq!(many, "it feeds 21 prompts; the limit is 20");
    }
}
