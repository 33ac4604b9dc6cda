//! What one reader can see, decided in one place.
//!
//! Every query of the [`Catalogue`](super::Catalogue) needs a scope. It has the rules at the time of the request. It is
//! created where a caller is authenticated, and is cheap to clone.

use std::sync::Arc;

use super::error::ResolveError;
use crate::model::pattern::Pattern;
use crate::model::reference::VersionRef;

/// Longest part of a hidden name that an error repeats, in characters.
const SHOWN_CHARACTERS: usize = 200;

/// What one reader can see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadScope {
    /// The prompts; absent for all of them.
    prompts: Option<Arc<Readable>>,
    audits: bool,
}

/// The prompts that a reader can see.
#[derive(Debug, PartialEq, Eq)]
struct Readable {
    who: String,
    /// Every prompt that matches one of these.
    granted: Vec<Pattern>,
    /// Within the limits of the access token.
    bound: Option<Pattern>,
    everything: bool,
}

impl ReadScope {
    /// Everything: for the node itself, and for commands on its directory.
    #[must_use]
    pub const fn node() -> Self {
        Self { prompts: None, audits: true }
    }

    /// Every prompt and nothing else: for readers without an access token, if reads are open.
    #[must_use]
    pub const fn open() -> Self {
        Self { prompts: None, audits: false }
    }

    /// What a principal's grants allow, within the limits of their access token.
    #[must_use]
    pub fn of(who: &str, granted: Vec<Pattern>, bound: Option<Pattern>, audits: bool) -> Self {
        let everything =
            granted.iter().any(Pattern::is_everything) && bound.as_ref().is_none_or(Pattern::is_everything);
        Self { prompts: Some(Arc::new(Readable { who: who.to_owned(), granted, bound, everything })), audits }
    }

    /// Whether every prompt can be read.
    #[must_use]
    pub fn reads_everything(&self) -> bool {
        self.prompts.as_ref().is_none_or(|readable| readable.everything)
    }

    /// Whether a prompt can be read.
    #[must_use]
    pub fn reads(&self, prompt: &str) -> bool {
        let Some(readable) = &self.prompts else { return true };
        readable.everything
            || (readable.bound.as_ref().is_none_or(|bound| bound.matches(prompt))
                && readable.granted.iter().any(|pattern| pattern.matches(prompt)))
    }

    /// Rejects a prompt that cannot be read.
    pub fn check(&self, prompt: &str) -> Result<(), ResolveError> {
        if self.reads(prompt) {
            return Ok(());
        }
        Err(ResolveError::Unreadable { name: self.who(), prompt: prompt.chars().take(SHOWN_CHARACTERS).collect() })
    }

    /// Rejects what covers more than single prompts, unless all of them can be read.
    ///
    /// # Errors
    /// They cannot.
    pub fn check_everything(&self, what: &'static str) -> Result<(), ResolveError> {
        if self.reads_everything() { Ok(()) } else { Err(ResolveError::Narrow { name: self.who(), what }) }
    }

    /// Rejects the audit log, unless it can be read.
    pub fn check_audit(&self) -> Result<(), ResolveError> {
        if self.audits { Ok(()) } else { Err(ResolveError::AuditUnreadable) }
    }

    /// Removes versions of unreadable prompts.
    pub fn hide_unreadable(&self, versions: &mut Vec<VersionRef>) {
        versions.retain(|one| self.reads(one.name.as_str()));
    }

    fn who(&self) -> String {
        self.prompts.as_ref().map(|readable| readable.who.clone()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> Pattern {
        text.parse().expect(text)
    }

    #[test]
    fn limited_token_reads_the_intersection_of_grants_and_limit() {
        let scope = ReadScope::of("ann", vec![pattern("support/**")], Some(pattern("**/agent")), false);
        for (prompt, expected) in [("support/agent", true), ("support/tone", false), ("sales/agent", false)] {
            assert_eq!(scope.reads(prompt), expected, "{prompt}");
            assert_eq!(scope.check(prompt).is_ok(), expected, "{prompt}");
        }
        let version = |text: &str| text.parse::<VersionRef>().expect(text);
        let mut listed = vec![version("support/agent@3"), version("sales/agent@1")];
        scope.hide_unreadable(&mut listed);
        assert_eq!(listed, [version("support/agent@3")]);
        assert!(scope.check_everything("contents").is_err() && scope.check_audit().is_err());
    }

    #[test]
    fn open_reading_shows_every_prompt_and_no_audit_log() {
        assert!(ReadScope::open().reads_everything() && ReadScope::open().check_audit().is_err());
        assert!(ReadScope::node().reads_everything() && ReadScope::node().check_audit().is_ok());
        assert!(ReadScope::of("root", vec![Pattern::everything()], None, true).reads_everything());
        assert!(!ReadScope::of("root", vec![Pattern::everything()], Some(pattern("a/*")), true).reads_everything());
    }
}
