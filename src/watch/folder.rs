//! A folder of prompt files that is published from: whatever differs becomes a version.
//!
//! A file is published when its bytes are others than the last time, so nothing is published twice
//! and nobody else's version is undone by a file that did not change. A file that goes away changes
//! nothing: removing a prompt is said explicitly. A file that is wrong is reported and skipped.

use std::collections::BTreeMap;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use tokio_util::sync::CancellationToken;

use super::changes::Changes;
use crate::api::write::PublishRequest;
use crate::files::folder::understand;
use crate::files::prompt::{PROMPT_FILE_BYTES_MAX, PROMPT_FILE_EXTENSION, PromptFile};
use crate::model::name::PromptName;
use crate::registry::{Actor, Registry};

/// Most files of a folder that are looked at.
const FILES_MAX: usize = 100_000;
/// Deepest folder that is looked into: as deep as a name can be.
const DEPTH_MAX: usize = 100;

/// What tells that a file is the one that was looked at, without reading it.
///
/// Tools can set the time of modification back; the time of the last status change they cannot, and a file that was
/// renamed into place has another inode.
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
}

/// What a file was like when it was last read.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    stat: Stat,
    hash: blake3::Hash,
}

/// Publishes from a folder, at the start and after every change, until told to stop.
pub async fn watch(directory: PathBuf, registry: Registry, stop: CancellationToken) {
    let mut changes = Changes::of(directory.clone()).await;
    let mut folder = Folder { directory, registry, seen: BTreeMap::new() };
    loop {
        folder.look().await;
        if !changes.next(&stop).await {
            return;
        }
    }
}

struct Folder {
    directory: PathBuf,
    registry: Registry,
    seen: BTreeMap<PathBuf, Seen>,
}

impl Folder {
    async fn look(&mut self) {
        let mut files = BTreeMap::new();
        collect(&self.directory, 0, &mut files);
        for path in self.seen.keys().filter(|path| !files.contains_key(*path)) {
            let path = self.shown(path);
            tracing::info!(path = %path.display(), "a prompt file is gone; its prompt stays until it is removed");
        }
        self.seen.retain(|path, _| files.contains_key(path));
        for (path, stat) in files {
            if self.seen.get(&path).is_some_and(|seen| seen.stat == stat) {
                continue;
            }
            let Some(bytes) = self.read(&path) else { continue };
            let seen = Seen { stat, hash: blake3::hash(&bytes) };
            let before = self.seen.insert(path.clone(), seen.clone());
            if before.is_some_and(|before| before.hash == seen.hash) {
                continue;
            }
            match understand(self.shown(&path), &bytes) {
                Ok((name, file)) => self.publish(&path, name, file).await,
                Err(reason) => {
                    let path = self.shown(&path);
                    tracing::warn!(path = %path.display(), reason, "a prompt file is skipped");
                }
            }
        }
    }

    async fn publish(&mut self, path: &Path, name: PromptName, file: PromptFile) {
        let shown = self.shown(path).display().to_string();
        let request = PublishRequest {
            content: file.content,
            message: format!("changed in the file {shown}"),
            bump: None,
            expected_parent: None,
            labels: file.labels,
            allow_major: false,
            break_glass: None,
        };
        match self.registry.publish(&Actor::operator("folder watch"), name, request).await {
            Ok(published) if published.created => {
                tracing::info!(path = shown, stamp = published.stamp, "published a prompt file");
            }
            Ok(_) => {}
            Err(error) => {
                tracing::warn!(path = shown, reason = %error, "a prompt file is skipped");
                if matches!(error, crate::registry::RegistryError::Store(_)) {
                    // Not the file's fault: try it again with the next look.
                    self.seen.remove(path);
                }
            }
        }
    }

    fn read(&self, path: &Path) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        let limit = PROMPT_FILE_BYTES_MAX as u64 + 1;
        let read = std::fs::File::open(path).and_then(|file| file.take(limit).read_to_end(&mut bytes));
        match read {
            Ok(_) => Some(bytes),
            Err(reason) => {
                let path = self.shown(path);
                tracing::warn!(path = %path.display(), %reason, "a prompt file is skipped");
                None
            }
        }
    }

    fn shown<'a>(&self, path: &'a Path) -> &'a Path {
        path.strip_prefix(&self.directory).unwrap_or(path)
    }
}

/// Finds the prompt files below a folder; links and hidden names are left out.
fn collect(directory: &Path, depth: usize, files: &mut BTreeMap<PathBuf, Stat>) {
    for entry in std::fs::read_dir(directory).into_iter().flatten().filter_map(Result::ok) {
        let path = entry.path();
        let hidden = entry.file_name().to_string_lossy().starts_with('.');
        let Ok(kind) = entry.file_type() else { continue };
        if hidden || files.len() >= FILES_MAX {
            continue;
        }
        let is_prompt = path.extension().is_some_and(|extension| extension == PROMPT_FILE_EXTENSION);
        if kind.is_dir() && depth < DEPTH_MAX {
            collect(&path, depth + 1, files);
        } else if kind.is_file() && is_prompt {
            files.extend(entry.metadata().ok().map(|metadata| (path, Stat::of(&metadata))));
        }
    }
}
