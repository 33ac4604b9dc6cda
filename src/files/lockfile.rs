//! `bookholder.lock`: the versions of the prompt files of a folder, as they were last pulled or pushed.
//!
//! It does not compare the folder with anything; `cli` does. Invariant: prompts are sorted by name without duplicates,
//! and each has the path that `path_of` gives its name, so a lock file can never point outside its folder.

use serde::{Deserialize, Serialize};

use super::path::path_of;
use crate::json::plain_reason;
use crate::model::content_id::ContentId;
use crate::model::name::{Label, PromptName};
use crate::model::position::Position;
use crate::model::source::PublishedFile;

/// The name of a lock file.
pub const LOCKFILE_NAME: &str = "bookholder.lock";
/// The version of the format that is written and read.
pub const LOCKFILE_VERSION: u32 = 1;
/// Largest lock file, in bytes: 100,000 prompts with long names.
pub const LOCKFILE_BYTES_MAX: usize = 64 * 1024 * 1024;
/// The comment at the start of a lock file.
const HEADING: &str = "# Written by `bookholder pull` and `bookholder push`. Do not edit: pull again.\n";

/// What was last pulled or pushed, from or to where, and at which position.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lockfile {
    /// The version of the format.
    version: u32,
    /// The label whose versions were pulled; absent in a folder that was only pushed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<Label>,
    /// Whether the files have the text of their includes, and not the includes.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub inline: bool,
    /// The name of the registry.
    pub registry: String,
    /// The position of the registry.
    pub position: Position,
    /// The prompts, sorted by name.
    #[serde(default, rename = "prompt", skip_serializing_if = "Vec::is_empty")]
    prompts: Vec<LockedPrompt>,
}

/// One prompt file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockedPrompt {
    /// Which prompt.
    pub name: PromptName,
    /// Its version.
    pub version: u64,
    /// The content ID.
    pub content_id: ContentId,
    /// The path of its file, relative to the lock file.
    pub file: String,
    /// The ID of the content as written in the file, if it differs: without variables that the server added, or with
    /// includes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub written_id: Option<ContentId>,
}

/// Why a text is not a lock file, or a lock file cannot be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "each message says what its variant means")]
pub enum LockfileError {
    #[error("the lock file is {bytes} bytes long; the limit is {LOCKFILE_BYTES_MAX} bytes")]
    TooLong { bytes: usize },
    #[error("cannot read the lock file: {reason}; delete it and pull again")]
    Decode { reason: String },
    #[error("the lock file has version {0}, but this program reads {LOCKFILE_VERSION}; upgrade bookholder")]
    Version(u32),
    #[error("the lock file lists `{0}` twice; delete it and pull again")]
    Twice(PromptName),
    #[error("the lock file lists `{name}` at an unexpected path `{file}`; delete it and pull again")]
    File { name: PromptName, file: String },
    #[error("cannot write the lock file: {reason}")]
    Encode { reason: String },
}

impl LockedPrompt {
    /// A prompt in the file with its default path.
    #[must_use]
    pub fn new(name: PromptName, version: u64, content_id: ContentId) -> Self {
        let file = path_of(&name);
        Self { name, version, content_id, file, written_id: None }
    }

    /// The same, for a file that writes its content differently.
    #[must_use]
    pub fn written_as(self, id: ContentId) -> Self {
        Self { written_id: (id != self.content_id).then_some(id), ..self }
    }

    /// What was last done with this file.
    pub fn done(&self) -> PublishedFile {
        PublishedFile { version: self.version, content_id: self.written_id.unwrap_or(self.content_id) }
    }
}

impl Lockfile {
    /// A lock file of these prompts, in any order.
    #[must_use]
    pub fn new(label: Option<Label>, registry: String, position: Position, mut prompts: Vec<LockedPrompt>) -> Self {
        prompts.sort_by(|a, b| a.name.cmp(&b.name));
        prompts.dedup_by(|a, b| a.name == b.name);
        Self { version: LOCKFILE_VERSION, label, inline: false, registry, position, prompts }
    }

    /// The prompts, sorted by name without duplicates.
    pub fn prompts(&self) -> &[LockedPrompt] {
        &self.prompts
    }

    /// The prompt with this name.
    pub fn get(&self, name: &PromptName) -> Option<&LockedPrompt> {
        let at = self.prompts.binary_search_by(|prompt| prompt.name.cmp(name)).ok()?;
        self.prompts.get(at)
    }

    /// Parses a lock file.
    ///
    /// # Errors
    /// It is not a lock file, has another version, or violates the invariant.
    pub fn parse(text: &str) -> Result<Self, LockfileError> {
        if text.len() > LOCKFILE_BYTES_MAX {
            return Err(LockfileError::TooLong { bytes: text.len() });
        }
        let decode =
            |error: toml::de::Error| LockfileError::Decode { reason: plain_reason(error.message(), "a table") };
        let version: VersionOnly = toml::from_str(text).map_err(decode)?;
        if version.version != LOCKFILE_VERSION {
            return Err(LockfileError::Version(version.version));
        }
        let mut lockfile: Self = toml::from_str(text).map_err(decode)?;
        lockfile.prompts.sort_by(|a, b| a.name.cmp(&b.name));
        for (prompt, next) in lockfile.prompts.iter().zip(lockfile.prompts.iter().skip(1)) {
            if prompt.name == next.name {
                return Err(LockfileError::Twice(prompt.name.clone()));
            }
        }
        match lockfile.prompts.iter().find(|prompt| prompt.file != path_of(&prompt.name)) {
            Some(prompt) => Err(LockfileError::File { name: prompt.name.clone(), file: prompt.file.clone() }),
            None => Ok(lockfile),
        }
    }

    /// Writes the lock file.
    ///
    /// # Errors
    /// A version number that TOML cannot hold (2^63 or more).
    pub fn write(&self) -> Result<String, LockfileError> {
        let toml = toml::to_string(self).map_err(|error| LockfileError::Encode { reason: error.to_string() })?;
        Ok(format!("{HEADING}{toml}"))
    }
}

#[derive(Deserialize)]
struct VersionOnly {
    version: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Lockfile {
        let prompt =
            |name: &str, version| LockedPrompt::new(name.parse().expect(name), version, ContentId::of(name.as_bytes()));
        let position = Position { epoch: 1, seq: 4529 };
        let prompts = vec![prompt("support/agent", 7), prompt("a \"b\"?", 1)];
        Lockfile::new(Some(Label::production()), "main".to_owned(), position, prompts)
    }

    #[test]
    fn lock_file_is_sorted_and_reads_back() {
        let text = sample().write().expect("small numbers");
        assert!(text.starts_with(HEADING), "{text}");
        assert!(text.contains("version = 1\nlabel = \"production\"\nregistry = \"main\"\nposition = \"1.4529\"\n"));
        assert!(text.contains("[[prompt]]\nname = \"support/agent\"\nversion = 7\ncontent_id = \"b3:"), "{text}");
        assert!(text.find("a%22").or(text.find("%22b")) < text.find("support"), "{text}");
        assert_eq!(Lockfile::parse(&text), Ok(sample()));
        assert_eq!(sample().get(&"support/agent".parse().expect("a name")).map(|prompt| prompt.version), Some(7));
    }

    #[test]
    fn tampered_lock_file_is_refused() {
        let text = sample().write().expect("small numbers");
        for (from, to, part) in [
            ("version = 1\nlabel", "version = 2\nlabel", "upgrade bookholder"),
            ("file = \"support/agent.prompt\"", "file = \"../../etc/passwd\"", "unexpected path"),
            ("label = \"production\"", "label = \"Production\"", "cannot read"),
            ("registry = \"main\"", "registry = \"main\"\ncolour = 1", "colour"),
        ] {
            let changed = text.replacen(from, to, 1);
            assert_ne!(changed, text);
            let message = Lockfile::parse(&changed).expect_err(to).to_string();
            assert!(message.contains(part), "{to}: {message}");
        }
        let twice = format!("{text}{}", text.get(text.find("[[prompt]]").expect("prompts")..).expect("a boundary"));
        assert!(Lockfile::parse(&twice).expect_err("twice").to_string().contains("twice"));
    }
}
