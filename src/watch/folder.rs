//! Publishes the prompt files of a folder.
//!
//! A file is published when it has been unchanged for a while, so that no half-written file is published, and compared
//! with what was last published from it: the registry stores that (`registry/sources.rs`), so a restart changes
//! nothing. Deleting a file changes nothing either: prompts are removed explicitly. Skipped files and conflicts are
//! logged once for each reason, and listed in the status for as long as they exist.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::changes::Changes;
use super::tree;
use crate::api::status::{SkippedFile, WatchStatus};
use crate::files::compare::{ParsedFile, Plan};
use crate::files::folder::{RetryRounds, understand};
use crate::files::path::name_of;
use crate::files::prompt::PROMPT_FILE_BYTES_MAX;
use crate::model::name::PromptName;
use crate::registry::{Actor, Registry, RegistryError};

/// Number of skipped files in the status; the log has the rest.
const LISTED_MAX: usize = 100;
/// When to retry failures that are not the file's fault.
const AGAIN: Duration = Duration::from_secs(5);

/// The state of a watched folder; clones share it.
#[derive(Clone, Debug, Default)]
pub struct WatchReport(Arc<Mutex<Option<WatchStatus>>>);

impl WatchReport {
    /// The result of the last scan; absent if no folder is watched.
    pub fn get(&self) -> Option<WatchStatus> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, status: WatchStatus) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(status);
    }
}

/// Identifies an unchanged file without reading it.
///
/// Tools can set the modification time back, but not the change time, and a file that was renamed into place has
/// another inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stat {
    inode: u64,
    length: u64,
    modified_ns: (i64, i64),
    changed_ns: (i64, i64),
}

impl Stat {
    fn of(metadata: &std::fs::Metadata) -> Self {
        Self {
            inode: metadata.ino(),
            length: metadata.len(),
            modified_ns: (metadata.mtime(), metadata.mtime_nsec()),
            changed_ns: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    /// How long the file has been unchanged, by the clock of this machine.
    #[allow(clippy::disallowed_methods, reason = "the clock that stamps files, which no Clock stands for")]
    fn age(&self) -> Duration {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let (seconds, ns) = self.modified_ns.max(self.changed_ns);
        let changed = Duration::new(u64::try_from(seconds).unwrap_or_default(), u32::try_from(ns).unwrap_or_default());
        now.saturating_sub(changed)
    }
}

/// Publishes from a folder, at the start and after every change, until told to stop.
pub async fn watch(
    directory: PathBuf,
    quiet: Duration,
    registry: Registry,
    report: WatchReport,
    stop: CancellationToken,
) {
    let mut changes = Changes::of(directory.clone()).await;
    let absolute = std::path::absolute(&directory).unwrap_or_else(|_| directory.clone());
    let place = blake3::hash(absolute.as_os_str().as_encoded_bytes()).to_hex();
    let mut folder = Folder {
        directory,
        quiet,
        registry,
        report,
        source: format!("watch {place}"),
        first: true,
        seen: BTreeMap::new(),
        waiting: BTreeMap::new(),
        told: BTreeMap::new(),
        blocked: BTreeSet::new(),
    };
    loop {
        // The folder may be large, or on a slow disk.
        let looked = tokio::task::spawn_blocking(move || {
            let look = folder.scan();
            (folder, look)
        });
        let looked = tokio::select! {
            () = stop.cancelled() => return,
            looked = looked => looked,
        };
        let look = match looked {
            Ok((back, look)) => {
                folder = back;
                look
            }
            Err(error) => {
                tracing::error!(%error, "the folder is no longer watched");
                return;
            }
        };
        let again = folder.publish(look).await;
        if !changes.next(&stop, again).await {
            return;
        }
    }
}

/// The result of scanning the folder.
#[derive(Default)]
struct FolderScan {
    /// Files to publish.
    taken: Vec<Taken>,
    /// When to scan again without a change.
    again: Option<Duration>,
}

struct Folder {
    directory: PathBuf,
    quiet: Duration,
    registry: Registry,
    report: WatchReport,
    /// The name of this folder in the registry's records.
    source: String,
    /// Whether this is the first scan: then files that are old by the clock need no quiet time.
    first: bool,
    /// Processed files, with their identity.
    seen: BTreeMap<PathBuf, Stat>,
    /// Files that may still be written, with their identity, and since when.
    waiting: BTreeMap<PathBuf, (Stat, Instant)>,
    /// Skipped files and conflicts with their reason, as logged.
    told: BTreeMap<PathBuf, String>,
    /// Files that wait for their includes.
    blocked: BTreeSet<PathBuf>,
}

/// A file to process.
struct Taken {
    path: PathBuf,
    name: PromptName,
    written: ParsedFile,
}

impl Folder {
    /// Scans the folder, and reads changed files.
    fn scan(&mut self) -> FolderScan {
        let tree = match tree::find(&self.directory) {
            Ok(tree) => tree,
            Err(error) => {
                self.log_once(Path::new("."), format!("cannot read the folder: {error}"));
                return FolderScan { again: Some(AGAIN), ..FolderScan::default() };
            }
        };
        for path in self.seen.keys().filter(|path| !tree.files.contains_key(*path)) {
            tracing::info!(path = %path.display(), "a prompt file was deleted; its prompt stays until it is removed");
        }
        self.seen.retain(|path, _| tree.files.contains_key(path));
        self.waiting.retain(|path, _| tree.files.contains_key(path));
        self.told.retain(|path, _| tree.files.contains_key(path) || tree.skipped.contains_key(path));
        for (path, reason) in tree.skipped {
            self.log_once(&path, reason);
        }
        self.retry_includes();
        let mut again = None;
        let mut owners: BTreeMap<PromptName, &PathBuf> = BTreeMap::new();
        let mut taken = Vec::new();
        for (path, metadata) in &tree.files {
            let name = match name_of(path) {
                Ok(name) => name,
                Err(error) => {
                    self.log_once(path, error.to_string());
                    continue;
                }
            };
            if let Some(other) = owners.insert(name.clone(), path) {
                self.log_once(path, format!("it is the same prompt as {}", other.display()));
                owners.insert(name, other);
                continue;
            }
            if metadata.len() == 0 {
                // It is still being written, or writing failed.
                self.log_once(path, "it is empty".to_owned());
                continue;
            }
            let stat = Stat::of(metadata);
            if self.seen.get(path) == Some(&stat) {
                continue;
            }
            if let Some(wait) = self.still_busy(path, stat) {
                again = Some(again.map_or(wait, |again: Duration| again.min(wait)));
                continue;
            }
            match self.read(path, stat) {
                Ok(Some((name, written))) => taken.push(Taken { path: path.clone(), name, written }),
                // It changed while it was read.
                Ok(None) => {
                    again = Some(again.map_or(self.quiet, |again: Duration| again.min(self.quiet)));
                    continue;
                }
                Err(reason) => self.log_once(path, reason),
            }
            self.waiting.remove(path);
            self.seen.insert(path.clone(), stat);
        }
        self.first = false;
        FolderScan { taken, again }
    }

    /// Publishes the result of a scan; returns when to scan again without a change.
    async fn publish(&mut self, look: FolderScan) -> Option<Duration> {
        let FolderScan { taken, mut again } = look;
        if self.publish_all(taken).await {
            again = Some(again.map_or(AGAIN, |again| again.min(AGAIN)));
        }
        self.publish_report();
        again
    }

    /// How much longer a file must be unchanged to count as quiet; absent if it does.
    fn still_busy(&mut self, path: &Path, stat: Stat) -> Option<Duration> {
        // Another machine's clock may have set the file's time, so its age counts only at the start.
        let age = if self.first { stat.age() } else { Duration::ZERO };
        let waited = waited(&mut self.waiting, path, stat, Instant::now());
        let left = self.quiet.saturating_sub(waited.max(age));
        (!left.is_zero()).then_some(left)
    }

    /// Reads a file; `None` if it changed while reading.
    fn read(&self, path: &Path, stat: Stat) -> Result<Option<(PromptName, ParsedFile)>, String> {
        let wrong = |error: std::io::Error| format!("cannot read it: {error}");
        let mut file = std::fs::File::open(self.directory.join(path)).map_err(wrong)?;
        let mut bytes = Vec::new();
        let limit = PROMPT_FILE_BYTES_MAX as u64 + 1;
        (&mut file).take(limit).read_to_end(&mut bytes).map_err(wrong)?;
        if Stat::of(&file.metadata().map_err(wrong)?) != stat {
            return Ok(None);
        }
        understand(path, &bytes).map(Some)
    }

    /// Publishes files, included ones first; returns whether some have to be retried.
    async fn publish_all(&mut self, taken: Vec<Taken>) -> bool {
        let mut rounds = RetryRounds::new(taken);
        let (mut refused, mut again) = (BTreeMap::new(), false);
        while let Some(one) = rounds.next_to_try() {
            let message = format!("changed in the file {}", one.path.display());
            let actor = Actor::operator("folder watch");
            let (name, written) = (one.name.clone(), one.written.clone());
            match self.registry.publish_file(&actor, Some(&self.source), name, written, &message).await {
                Ok(outcome) => {
                    let path = one.path.display().to_string();
                    if let Some(stamp) = outcome.stamp {
                        tracing::info!(path, stamp, "published a prompt file");
                    } else if outcome.changed {
                        tracing::info!(path, "deployed a prompt file that was published before");
                    }
                    match left_alone(&one.name, &outcome.plan) {
                        Some(reason) => self.log_once(&one.path, reason),
                        None => drop(self.told.remove(&one.path)),
                    }
                }
                Err(RegistryError::Include { reference, reason }) => {
                    refused.insert(one.path.clone(), RegistryError::Include { reference, reason }.to_string());
                    rounds.put_back(one);
                }
                Err(error) => {
                    if matches!(error, RegistryError::Store(_) | RegistryError::Clock(_)) {
                        // Not the file's fault: retried.
                        again = true;
                        self.seen.remove(&one.path);
                    }
                    self.log_once(&one.path, reason_of(&error));
                }
            }
        }
        for one in rounds.left() {
            self.log_once(&one.path, refused.remove(&one.path).unwrap_or_default());
            self.blocked.insert(one.path);
        }
        again
    }

    /// Retries files that wait for their includes, which may exist by now.
    fn retry_includes(&mut self) {
        for path in std::mem::take(&mut self.blocked) {
            if let Some(stat) = self.seen.remove(&path) {
                // It is quiet already.
                let since = Instant::now().checked_sub(self.quiet).unwrap_or_else(Instant::now);
                self.waiting.insert(path, (stat, since));
            }
        }
    }

    /// Logs once why a file is skipped or in conflict.
    fn log_once(&mut self, path: &Path, reason: String) {
        if self.told.get(path) != Some(&reason) {
            tracing::warn!(path = %path.display(), reason, "skipped a prompt file");
            self.told.insert(path.to_owned(), reason);
        }
    }

    fn publish_report(&self) {
        let skipped = |(path, reason): (&PathBuf, &String)| SkippedFile {
            path: path.display().to_string(),
            reason: reason.clone(),
        };
        self.report.set(WatchStatus {
            folder: self.directory.display().to_string(),
            files: self.seen.len().saturating_add(self.waiting.len()),
            skipped_count: self.told.len(),
            skipped: self.told.iter().take(LISTED_MAX).map(skipped).collect(),
        });
    }
}

/// How long a file has been observed unchanged.
fn waited(waiting: &mut BTreeMap<PathBuf, (Stat, Instant)>, path: &Path, stat: Stat, now: Instant) -> Duration {
    match waiting.get(path) {
        Some((before, since)) if *before == stat => now.saturating_duration_since(*since),
        _ => {
            waiting.insert(path.to_owned(), (stat, now));
            Duration::ZERO
        }
    }
}

/// Why a valid file was not, or not completely, applied.
fn left_alone(name: &PromptName, plan: &Plan) -> Option<String> {
    match plan {
        Plan::Left(moved) => {
            let version = moved.newest;
            Some(format!("it did not change, and {moved}; `bookholder pull`, or copy {name}@{version} into the file"))
        }
        Plan::Conflict(moved) => Some(format!(
            "{moved}; merge both with `bookholder draft merge`, or publish the file with `bookholder publish {name}`"
        )),
        Plan::Same { version, left, .. } if !left.is_empty() => {
            let labels: Vec<&str> = left.iter().map(crate::model::name::Label::as_str).collect();
            let labels = labels.join(", ");
            Some(format!(
                "others deployed to {labels} after version {version}; it is left unchanged: use \
                 `bookholder deploy` to change it"
            ))
        }
        _ => None,
    }
}

/// Why a file was rejected, and what to do.
fn reason_of(error: &RegistryError) -> String {
    match error {
        RegistryError::BreaksCallers { .. } => {
            format!("{error}; publish it yourself with `bookholder publish --label LABEL --allow-major`")
        }
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wait_for_quiet_begins_again_with_every_change_of_a_file() {
        let (mut waiting, path, start) = (BTreeMap::new(), Path::new("a.prompt"), Instant::now());
        let at = |ms| start + Duration::from_millis(ms);
        let stat = |length| Stat { inode: 1, length, modified_ns: (1, 0), changed_ns: (1, 0) };
        for (length, now_ms, waited_ms) in
            [(10, 0, 0), (10, 1_900, 1_900), (20, 1_950, 0), (20, 3_949, 1_999), (20, 3_950, 2_000)]
        {
            let waited = waited(&mut waiting, path, stat(length), at(now_ms));
            assert_eq!(waited, Duration::from_millis(waited_ms), "at {now_ms}");
        }
    }
}
