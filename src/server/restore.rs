//! Creates a data directory from a backup.
//!
//! The backup is copied into a separate folder in the data directory and verified there first. Then the copy gets a new
//! epoch, the keys are put in place, and one rename moves the database into place. Root keys sign the epoch: here, or
//! elsewhere, in a draft of it. A process that is killed earlier leaves nothing that could start, and the same command
//! starts over; one that fails leaves nothing at all.

use std::fs::File;
use std::os::unix::fs::OpenOptionsExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::ceremony::{CeremonyError, Draft};
use super::offline::{OfflineError, VerifiedDirectory, verify_transaction};
use crate::clock::Clock;
use crate::evaluation::store::EVALUATIONS_FILE;
use crate::registry::directory::{FIRST_START_FOLDER, RESTORE_FOLDER};
use crate::registry::epochs::BootstrapError;
use crate::registry::new_epoch::NewEpoch;
use crate::signing::key_files::{CHECKPOINT_KEY_FILE, KEYS_FOLDER, ROOT_KEY_FILE, read_key};
use crate::signing::trust_files;
use crate::signing::trust_files::TRUST_FOLDER;
use crate::store::create;
use crate::store::files::{WATERMARK_FILE, replace, sync_directory};
use crate::store::regular::open_regular;
use crate::store::{Options, REGISTRY_FILE, Store, StoreError};
use crate::telemetry::store::TELEMETRY_FILE;

/// What a data directory can contain when a backup is restored into it: the remains of a registry that lost its
/// database, interrupted work, and what a new file system has.
const ALLOWED: [&str; 12] = [
    KEYS_FOLDER,
    TRUST_FOLDER,
    FIRST_START_FOLDER,
    RESTORE_FOLDER,
    WATERMARK_FILE,
    "address",
    "bookholder.toml",
    "lost+found",
    "registry.redb.damaged",
    "registry.redb.new",
    TELEMETRY_FILE,
    EVALUATIONS_FILE,
];
/// The file name extension of private keys.
const KEY_SUFFIX: &str = "key";

/// The signers of the new epoch.
#[derive(Clone, Copy, Debug)]
pub enum Signing<'a> {
    /// `root.key` in the folder of keys, if it exists, and the root keys in these files.
    Keys(&'a [PathBuf]),
    /// The signatures of the draft in this file.
    Signed(&'a Path),
}

/// Creates a data directory from a backup, with the registry's keys, and begins a new epoch, so that replicas never
/// mistake the copy for the registry that continued after the backup.
///
/// # Errors
/// The directory is not empty or had another registry, keys are missing or do not match, the backup cannot be read or
/// verified, or writing fails. Then the directory is unchanged.
pub fn restore(
    backup: &Path,
    data: &Path,
    keys: &Path,
    signing: Signing<'_>,
    clock: &Arc<dyn Clock>,
) -> Result<(u64, VerifiedDirectory), CeremonyError> {
    attempt(backup, data, keys, |attempt, work| {
        let restored = attempt.prepare(work, |store, next| match signing {
            Signing::Keys(files) => {
                let mut signers = Vec::new();
                let own = keys.join(ROOT_KEY_FILE);
                for path in files.iter().chain(own.exists().then_some(&own)) {
                    signers.push(read_key(path)?);
                }
                let epoch = next.sign(&signers, clock.now_ms().div_euclid(1_000))?;
                Ok(next.begin(store, keys, (None, &epoch), clock)?)
            }
            Signing::Signed(path) => {
                let (root, epoch) = Draft::read_signed(path)?;
                Ok(next.begin(store, keys, (Some(&root), &epoch), clock)?)
            }
        })?;
        attempt.finish(work)?;
        Ok(restored)
    })
}

/// Drafts the epoch that a restore of this backup into this directory begins, into a new file, for root keys on other
/// machines. Nothing is restored.
///
/// # Errors
/// As [`restore`], or the file exists or cannot be written.
pub fn draft_epoch(
    backup: &Path,
    data: &Path,
    keys: &Path,
    out: &Path,
    clock: &Arc<dyn Clock>,
) -> Result<Draft, CeremonyError> {
    attempt(backup, data, keys, |attempt, work| {
        let issued = clock.now_ms().div_euclid(1_000);
        let drafted = attempt.prepare(work, |_, next| {
            Draft::of_epoch(next.chain().clone(), |root| next.record(root, issued), issued, out)
        });
        attempt.undo();
        Ok(drafted?.0)
    })
}

/// Works in a data directory, and restores its previous state if the work fails.
fn attempt<T>(
    backup: &Path,
    data: &Path,
    keys: &Path,
    work: impl FnOnce(&mut RestoreAttempt<'_>, &RestoreJob<'_>) -> Result<T, CeremonyError>,
) -> Result<T, CeremonyError> {
    if !keys.join(CHECKPOINT_KEY_FILE).is_file() {
        return Err(OfflineError::NoKeys { path: keys.to_owned() }.into());
    }
    let key_files = key_files(keys)?;
    let source = open_backup(backup)?;
    let mut attempt = RestoreAttempt { new: !data.exists(), data, written: Vec::new() };
    create::directory(data)?;
    // Another process that holds the lock works in the same folder, which must not be cleared.
    let _lock = create::lock(data)?;
    let done = work(&mut attempt, &RestoreJob { backup, source, keys, key_files });
    if done.is_err() {
        attempt.undo();
    }
    done
}

/// The inputs of a restore.
struct RestoreJob<'a> {
    backup: &'a Path,
    source: File,
    keys: &'a Path,
    key_files: Vec<KeyFile>,
}

/// A private key, as in its file.
struct KeyFile {
    name: std::ffi::OsString,
    bytes: Vec<u8>,
}

/// One attempt, and what to undo.
struct RestoreAttempt<'a> {
    data: &'a Path,
    /// Whether the data directory was created.
    new: bool,
    /// Private keys that were added to the data directory.
    written: Vec<PathBuf>,
}

impl RestoreAttempt<'_> {
    /// Copies the backup to a separate folder, verifies it, and runs `step` on it with the next epoch; returns its
    /// result, and the verification of the final state.
    fn prepare<T>(
        &self,
        work: &RestoreJob<'_>,
        step: impl FnOnce(&Store, NewEpoch) -> Result<T, CeremonyError>,
    ) -> Result<(T, VerifiedDirectory), CeremonyError> {
        self.check_target()?;
        self.check_keys(work)?;
        let aside = self.data.join(RESTORE_FOLDER);
        clear(&aside)?;
        create::directory(&aside)?;
        let mut to =
            std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(aside.join(REGISTRY_FILE))?;
        std::io::copy(&mut &work.source, &mut to)?;
        to.sync_all()?;
        drop(to);
        renew(&aside, self.data, work, step)
    }

    /// Moves the keys and the database into place.
    fn finish(&mut self, work: &RestoreJob<'_>) -> Result<(), OfflineError> {
        self.put_keys(work)?;
        std::fs::rename(self.data.join(RESTORE_FOLDER).join(REGISTRY_FILE), self.data.join(REGISTRY_FILE))?;
        sync_directory(self.data)?;
        // From here on it is restored; the next start also removes leftovers.
        for folder in [RESTORE_FOLDER, FIRST_START_FOLDER] {
            let _next_time = clear(&self.data.join(folder));
        }
        Ok(())
    }

    /// Refuses to restore over existing data.
    fn check_target(&self) -> Result<(), OfflineError> {
        for entry in std::fs::read_dir(self.data)? {
            let entry = entry?;
            let name = entry.file_name();
            let empty = name == REGISTRY_FILE && entry.metadata()?.len() == 0;
            if !empty && !ALLOWED.iter().any(|allowed| name == *allowed) {
                let name = name.to_string_lossy().into_owned();
                return Err(OfflineError::NotEmpty { path: self.data.to_owned(), name });
            }
        }
        Ok(())
    }

    /// Refuses to overwrite other private keys, unless an interrupted first start created them.
    fn check_keys(&self, work: &RestoreJob<'_>) -> Result<(), OfflineError> {
        if self.data.join(FIRST_START_FOLDER).exists() {
            return Ok(());
        }
        for key in &work.key_files {
            let path = self.data.join(KEYS_FOLDER).join(&key.name);
            if path.exists() && std::fs::read(&path)? != key.bytes {
                return Err(OfflineError::OtherKeys { path, keys: work.keys.to_owned() });
            }
        }
        Ok(())
    }

    fn put_keys(&mut self, work: &RestoreJob<'_>) -> Result<(), OfflineError> {
        let folder = self.data.join(KEYS_FOLDER);
        create::directory(&folder)?;
        for key in &work.key_files {
            let path = folder.join(&key.name);
            if std::fs::read(&path).is_ok_and(|there| there == key.bytes) {
                continue;
            }
            self.written.push(path.clone());
            replace(&path, &key.bytes, 0o600)?;
        }
        Ok(())
    }

    /// Restores the previous state of the directory.
    fn undo(&self) {
        let _best_effort = clear(&self.data.join(RESTORE_FOLDER));
        for path in &self.written {
            let _best_effort = std::fs::remove_file(path);
        }
        if self.new {
            // Only empty directories are removed.
            let _best_effort = std::fs::remove_dir(self.data.join(KEYS_FOLDER));
            let _best_effort = std::fs::remove_dir(self.data);
        }
    }
}

/// Verifies the copy of a backup before and after a step.
fn renew<T>(
    aside: &Path,
    data: &Path,
    work: &RestoreJob<'_>,
    step: impl FnOnce(&Store, NewEpoch) -> Result<T, CeremonyError>,
) -> Result<(T, VerifiedDirectory), CeremonyError> {
    let refuse = |reason: String| OfflineError::Backup { path: work.backup.to_owned(), reason };
    let in_backup = |error: CeremonyError| match error {
        CeremonyError::Offline(OfflineError::Store(error) | OfflineError::Bootstrap(BootstrapError::Store(error)))
        | CeremonyError::Bootstrap(BootstrapError::Store(error))
        | CeremonyError::Store(error) => match unreadable(error) {
            Ok(reason) => refuse(reason).into(),
            Err(error) => error.into(),
        },
        CeremonyError::Bootstrap(error) => OfflineError::Bootstrap(error).into(),
        error => error,
    };
    // Damage may make the database panic, which becomes an error here.
    let shattered = || refuse("its structure is inconsistent".to_owned()).into();
    let opened = catch_unwind(|| Store::open(&Options { directory: aside.to_owned(), create: false }));
    let store = opened.unwrap_or_else(|_| Err(StoreError::Torn)).map_err(|error| in_backup(error.into()))?;
    let proving = || -> Result<VerifiedDirectory, CeremonyError> {
        let proof = verify_transaction(&store.read()?)?;
        match proof.report.differences.first() {
            Some(first) => Err(refuse(format!("{first} ({} differences)", proof.report.differences.len())).into()),
            None => Ok(proof),
        }
    };
    let steps = || -> Result<(T, VerifiedDirectory), CeremonyError> {
        if proving()?.root_key.is_none() {
            return Err(refuse("it does not contain a registry".to_owned()).into());
        }
        let next = NewEpoch::of(&store, &trust_files::published(data)?, work.keys)?;
        Ok((step(&store, next)?, proving()?))
    };
    let renewed = catch_unwind(AssertUnwindSafe(steps)).unwrap_or_else(|_| Err(shattered())).map_err(in_backup);
    store.close_blocking();
    renewed
}

/// What is wrong with a backup, if the error is about it; otherwise the error, which is about this machine.
fn unreadable(error: StoreError) -> Result<String, StoreError> {
    match error {
        StoreError::Damaged { reason, .. } => Ok(reason),
        StoreError::Newer { found, known, .. } => {
            Ok(format!("it was written by a newer bookholder (schema {found}, this one reads up to {known})"))
        }
        StoreError::Absent { .. } => Ok("it is empty".to_owned()),
        StoreError::Aborted | StoreError::Torn => Ok("its structure is inconsistent".to_owned()),
        error if error.is_damage() || matches!(error, StoreError::RecordVersion { .. }) => Ok(error.to_string()),
        error => Err(error),
    }
}

/// The private keys in a folder; the one that signs checkpoints must be valid.
fn key_files(keys: &Path) -> Result<Vec<KeyFile>, OfflineError> {
    read_key(&keys.join(CHECKPOINT_KEY_FILE))?;
    let mut found = Vec::new();
    for entry in std::fs::read_dir(keys)? {
        let path = entry?.path();
        if let Some(name) = path.file_name().filter(|_| path.extension().is_some_and(|end| end == KEY_SUFFIX)) {
            found.push(KeyFile { name: name.to_owned(), bytes: std::fs::read(&path)? });
        }
    }
    Ok(found)
}

fn open_backup(path: &Path) -> Result<File, OfflineError> {
    let refuse = |reason: String| OfflineError::Backup { path: path.to_owned(), reason };
    open_regular(path).map_err(|error| refuse(error.to_string()))
}

/// Removes a folder with its contents, if it exists.
fn clear(folder: &Path) -> std::io::Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
