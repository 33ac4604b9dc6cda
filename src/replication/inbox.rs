//! The inbox of a replica: which of its bundles are worth evaluating, newest first.
//!
//! A removable medium contains whatever others put there: old bundles, half-copied ones, a thousand folders, a failing
//! disk. So one thread at a time reads it, with a deadline; bundles that claim to be older than the current state are
//! skipped silently; and an evaluated bundle is not evaluated again until it changes. The claims of a bundle only
//! affect the order.

use std::collections::{BTreeMap, VecDeque};
use std::fs::{DirEntry, File};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;

use super::bundle::{Bundle, CHECKPOINT};
use super::exchange::{Event, Rejection, Step};
use crate::crypto::note::Note;
use crate::model::position::Position;
use crate::store::regular::open_regular;
use crate::trust::accept::StateRank;
use crate::trust::checkpoint::{CHECKPOINT_BYTES_MAX, Checkpoint};

/// Most bundles evaluated per scan; the oldest are left for the next scan.
const BUNDLES_MAX: usize = 1_000;
/// Most evaluations that are remembered; beyond that, the oldest are dropped and repeated.
const JUDGED_MAX: usize = 20_000;
/// How long until a rejected bundle is evaluated again: a clock may have been corrected, or a key learned.
const JUDGED_MS: u64 = 5 * 60 * 1_000;
/// Files of one bundle in its fingerprint.
const FILES_MAX: usize = 10_000;

/// The result of reading the medium of the inbox.
pub(super) enum BundleRead {
    Looked(Result<Listing, Rejection>),
    /// A bundle without its data.
    Offered(Candidate, Result<Event, Rejection>),
    /// The data of a verified step, and the position at the time of verification.
    Opened(Candidate, Box<Step>, Option<Position>, Result<File, Rejection>),
}

/// The unverified position of a bundle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Claims {
    rank: StateRank,
    issued: i64,
    state: [u8; 32],
}

impl Claims {
    pub(super) fn of(checkpoint: &Checkpoint) -> Self {
        let rank = StateRank { root: checkpoint.root, position: checkpoint.position() };
        Self { rank, issued: checkpoint.issued, state: checkpoint.state }
    }

    /// Whether it could be useful to a replica with this state: a newer state, a later signature, or proof of another
    /// history.
    pub(super) fn concerns(&self, held: Option<&Self>) -> bool {
        held.is_none_or(|held| {
            self.rank > held.rank || (self.rank == held.rank && (self.issued > held.issued || self.state != held.state))
        })
    }
}

/// A bundle to evaluate.
#[derive(Debug)]
pub(super) struct Candidate {
    pub(super) directory: PathBuf,
    /// Absent if its checkpoint cannot be read; the evaluation reports why.
    pub(super) claims: Option<Claims>,
    fingerprint: [u8; 32],
}

/// The result of scanning an inbox.
#[derive(Debug, Default)]
pub(super) struct Listing {
    /// Newest first.
    pub(super) candidates: VecDeque<Candidate>,
    /// Number of bundles left out.
    pub(super) left_out: usize,
    /// The claims of bundles that were rejected and have not changed since.
    pub(super) refused: Vec<Option<Claims>>,
}

impl Listing {
    /// Whether the inbox has no rejected bundle that could be useful to a replica with this state.
    pub(super) fn is_well(&self, held: Option<&Claims>) -> bool {
        let matters = |claims: &Option<Claims>| claims.is_none_or(|claims| claims.concerns(held));
        !self.refused.iter().any(matters)
    }
}

/// Recently checked bundles, by fingerprint.
#[derive(Debug, Default)]
struct RecentVerdicts(BTreeMap<[u8; 32], BundleVerdict>);

#[derive(Clone, Copy, Debug)]
struct BundleVerdict {
    at_ms: u64,
    refused: bool,
}

/// The state of an inbox; clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct Inbox(Arc<Mutex<RecentVerdicts>>);

impl Inbox {
    /// Scans a folder and its subfolders for bundles that could be useful to a replica with this state.
    pub(super) fn list(&self, inbox: &Path, held: Option<Claims>, now_ms: u64) -> io::Result<Listing> {
        let folders = std::fs::read_dir(inbox)?.filter_map(Result::ok).map(|entry| entry.path());
        let mut listing = Listing::default();
        let mut found = Vec::new();
        for directory in std::iter::once(inbox.to_owned()).chain(folders.filter(|path| path.is_dir())) {
            let Some(candidate) = Candidate::find(directory, held.as_ref()) else { continue };
            match self.judgement(&candidate.fingerprint, now_ms) {
                Some(BundleVerdict { refused: true, .. }) => listing.refused.push(candidate.claims),
                Some(_) => {}
                None => found.push(candidate),
            }
            if found.len() >= 2 * BUNDLES_MAX {
                listing.left_out += keep_newest(&mut found);
            }
        }
        listing.left_out += keep_newest(&mut found);
        listing.candidates = found.into();
        Ok(listing)
    }

    fn judgement(&self, fingerprint: &[u8; 32], now_ms: u64) -> Option<BundleVerdict> {
        let judged = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh =
            |judgement: &&BundleVerdict| !judgement.refused || now_ms.saturating_sub(judgement.at_ms) < JUDGED_MS;
        judged.0.get(fingerprint).filter(fresh).copied()
    }

    /// Records the evaluation of a bundle, until it changes.
    pub(super) fn record_verdict(&self, candidate: &Candidate, refused: bool, now_ms: u64) {
        let mut judged = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if judged.0.len() >= JUDGED_MAX
            && let Some(oldest) = judged.0.iter().min_by_key(|(_, judgement)| judgement.at_ms).map(|(key, _)| *key)
        {
            judged.0.remove(&oldest);
        }
        judged.0.insert(candidate.fingerprint, BundleVerdict { at_ms: now_ms, refused });
    }
}

impl Candidate {
    /// The bundle in a folder, if it could be useful to a replica with this state.
    fn find(directory: PathBuf, held: Option<&Claims>) -> Option<Self> {
        let bundle = Bundle::find(&directory)?;
        let mut hasher = blake3::Hasher::new();
        let mut note = Vec::new();
        let read = open_regular(&bundle.tree().join(CHECKPOINT))
            .and_then(|file| file.take(CHECKPOINT_BYTES_MAX as u64 + 1).read_to_end(&mut note));
        let checkpoint = read.ok().and_then(|_| Note::parse(&note, CHECKPOINT_BYTES_MAX).ok());
        let claims = checkpoint.and_then(|note| Checkpoint::parse(note.text()).ok()).map(|it| Claims::of(&it));
        if claims.is_some_and(|claims| !claims.concerns(held)) {
            return None;
        }
        hasher.update(&note);
        for folder in ["root", "epoch", "view/all/manifest", "view/all/snapshot"] {
            hash_files(&mut hasher, &bundle.tree().join(folder));
        }
        Some(Self { directory, claims, fingerprint: hasher.finalize().into() })
    }

    /// Whether it could still be useful to a replica with this state.
    pub(super) fn concerns(&self, held: Option<&Claims>) -> bool {
        self.claims.is_none_or(|claims| claims.concerns(held))
    }
}

/// Hashes the metadata of files in a folder: names, sizes and times, not their contents.
fn hash_files(hasher: &mut blake3::Hasher, folder: &Path) {
    let mut entries: Vec<DirEntry> =
        std::fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok).take(FILES_MAX).collect();
    entries.sort_by_key(DirEntry::file_name);
    for entry in entries {
        hasher.update(entry.file_name().as_encoded_bytes());
        if let Ok(file) = entry.metadata() {
            for number in [file.len(), file.mtime().cast_unsigned(), file.mtime_nsec().cast_unsigned(), file.ino()] {
                hasher.update(&number.to_le_bytes());
            }
        }
    }
}

/// Sorts bundles, newest first, and drops those beyond the limit per scan; returns how many.
fn keep_newest(found: &mut Vec<Candidate>) -> usize {
    found.sort_by(|one, other| other.claims.cmp(&one.claims).then_with(|| one.directory.cmp(&other.directory)));
    let left_out = found.len().saturating_sub(BUNDLES_MAX);
    found.truncate(BUNDLES_MAX);
    left_out
}

/// A medium that may hang: one thread at a time reads it, with a deadline.
#[derive(Clone, Debug)]
pub(super) struct MediumReader(Arc<Semaphore>);

impl Default for MediumReader {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(1)))
    }
}

impl MediumReader {
    /// Reads on a thread that can block. If it is still stuck after the deadline it is abandoned, and nothing is read
    /// until it returns.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        deadline: Duration,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Rejection> {
        let slow = |detail: String| Rejection { reason: "slow_medium", detail };
        let permit = Arc::clone(&self.0).try_acquire_owned().map_err(|_| {
            slow("an earlier read of the bundle has not finished; check that its medium is still connected".into())
        })?;
        let reading = tokio::task::spawn_blocking(move || {
            let _until_it_is_back = permit;
            work()
        });
        match tokio::time::timeout(deadline, reading).await {
            Ok(read) => read.map_err(|error| Rejection { reason: "missing", detail: error.to_string() }),
            Err(_) => Err(slow(format!("reading the bundle took longer than {} s", deadline.as_secs()))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::position::Position;

    fn claims(seq: u64, issued: i64) -> Claims {
        Claims { rank: StateRank { root: 1, position: Position { epoch: 1, seq } }, issued, state: [0; 32] }
    }

    fn candidate(number: usize) -> Candidate {
        let seq = u64::try_from(number).expect("small");
        Candidate {
            directory: PathBuf::from(format!("{number:05}")),
            claims: Some(claims(seq, 0)),
            fingerprint: [0; 32],
        }
    }

    #[test]
    fn only_newer_states_later_signatures_and_other_histories_concern_a_replica() {
        let held = claims(7, 100);
        let other = Claims { state: [1; 32], ..claims(7, 50) };
        for (offered, concerns) in [
            (claims(8, 1), true),
            (claims(7, 101), true),
            (claims(7, 100), false),
            (claims(6, 999), false),
            (other, true),
        ] {
            assert_eq!(offered.concerns(Some(&held)), concerns, "{offered:?}");
            assert!(offered.concerns(None));
        }
    }

    #[test]
    fn newest_of_1300_bundles_is_first_although_the_oldest_are_left_out() {
        let mut found: Vec<Candidate> = (0..1_300).map(candidate).collect();
        found.reverse();
        found.swap(3, 1_250);
        found.push(Candidate { claims: None, ..candidate(0) });
        assert_eq!(keep_newest(&mut found), 301);
        assert_eq!(found[0].claims, Some(claims(1_299, 0)));
        assert_eq!(found.last().expect("some").claims, Some(claims(300, 0)));
    }

    #[test]
    fn refused_bundle_is_judged_again_when_it_changes_or_after_five_minutes() {
        let inbox = Inbox::default();
        let (refused, taken) = (candidate(1), Candidate { fingerprint: [1; 32], ..candidate(2) });
        inbox.record_verdict(&refused, true, 1_000);
        inbox.record_verdict(&taken, false, 1_000);
        let known = |fingerprint, now_ms| inbox.judgement(&fingerprint, now_ms).map(|judgement| judgement.refused);
        assert_eq!(
            (known([0; 32], 2_000), known([1; 32], 2_000), known([2; 32], 2_000)),
            (Some(true), Some(false), None)
        );
        assert_eq!((known([0; 32], 1_000 + JUDGED_MS), known([1; 32], 1_000 + JUDGED_MS)), (None, Some(false)));
    }

    #[tokio::test]
    async fn hanging_medium_is_abandoned_until_its_read_returns() {
        let medium = MediumReader::default();
        let (release, stuck) = std::sync::mpsc::channel::<()>();
        let read = medium.read(Duration::ZERO, move || stuck.recv().is_ok()).await;
        assert_eq!(read.expect_err("too slow").reason, "slow_medium");
        let second = medium.read(Duration::from_secs(60), || ()).await;
        assert!(second.expect_err("still stuck").detail.contains("has not finished"));
        release.send(()).expect("a stuck read");
        let back = async {
            while medium.read(Duration::from_secs(60), || ()).await.is_err() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), back).await.expect("it is back");
    }
}
