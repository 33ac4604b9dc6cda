//! The files of a folder: which prompt each is, and in which order they can be published.

use std::collections::VecDeque;
use std::path::Path;

use super::compare::{ParsedFile, read};
use super::path::name_of;
use crate::api::problem::ErrorCode;
use crate::model::name::PromptName;

/// The content of a file, and its prompt, from the path in its folder.
pub fn understand(path: &Path, bytes: &[u8]) -> Result<(PromptName, ParsedFile), String> {
    let text =
        std::str::from_utf8(bytes).map_err(|error| format!("it is not UTF-8 from byte {} on", error.valid_up_to()))?;
    let name = name_of(path).map_err(|error| error.to_string())?;
    Ok((name, read(text)?))
}

/// Whether a file may be rejected because its includes are not published yet.
#[must_use]
pub const fn may_wait(code: ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::InvalidContent | ErrorCode::PromptNotFound | ErrorCode::VersionNotFound | ErrorCode::LabelNotFound
    )
}

/// Items that may depend on each other: each is tried, and those put back are tried again after the others, as long as
/// a round makes progress.
#[derive(Debug)]
pub struct RetryRounds<T> {
    waiting: VecDeque<T>,
    again: VecDeque<T>,
    /// Number of items at the start of the round.
    round: usize,
}

impl<T> RetryRounds<T> {
    /// All items, before the first round.
    #[must_use]
    pub fn new(all: Vec<T>) -> Self {
        Self { round: all.len(), waiting: all.into(), again: VecDeque::new() }
    }

    /// The next item to try; `None` when all are done, or a whole round made no progress.
    pub fn next_to_try(&mut self) -> Option<T> {
        if self.waiting.is_empty() && self.again.len() < self.round {
            self.waiting = std::mem::take(&mut self.again);
            self.round = self.waiting.len();
        }
        self.waiting.pop_front()
    }

    /// Puts an item back, to be tried again after the others.
    pub fn put_back(&mut self, one: T) {
        self.again.push_back(one);
    }

    /// The items that were put back and are not tried again.
    pub fn left(self) -> Vec<T> {
        self.waiting.into_iter().chain(self.again).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_with_includes_is_retried_until_no_progress() {
        let check = |all: &[(u32, u32)], tries: usize, left: &[u32]| {
            let (mut rounds, mut done, mut tried) = (RetryRounds::new(all.to_vec()), vec![0], 0);
            while let Some((own, needs)) = rounds.next_to_try() {
                tried += 1;
                if done.contains(&needs) { done.push(own) } else { rounds.put_back((own, needs)) }
            }
            let found: Vec<u32> = rounds.left().into_iter().map(|(own, _)| own).collect();
            assert_eq!((tried, found.as_slice()), (tries, left), "{all:?}");
        };
        check(&[], 0, &[]);
        check(&[(1, 0), (2, 0)], 2, &[]);
        check(&[(3, 2), (2, 1), (1, 0)], 3 + 2 + 1, &[]);
        check(&[(1, 9), (2, 0)], 2 + 1, &[1]);
        check(&[(1, 9)], 1, &[1]);
    }

    #[test]
    fn file_path_gives_the_prompt_name() {
        let (name, _) = understand(Path::new("support/agent.prompt"), b"Hi\n").expect("a prompt");
        assert_eq!(name.as_str(), "support/agent");
        for (path, bytes, part) in [
            ("a.prompt", &b"\xff"[..], "not UTF-8 from byte 0"),
            ("../a.prompt", b"Hi", "not a path inside"),
            ("/a.prompt", b"Hi", "not a path inside"),
            ("a.prompt", b"---\n", "front matter"),
        ] {
            let error = understand(Path::new(path), bytes).expect_err(path);
            assert!(error.contains(part), "{path}: {error}");
        }
    }
}
