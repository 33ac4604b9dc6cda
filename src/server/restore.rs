//! Making a data directory of a backup.
//!
//! The backup is copied into a folder of its own in the data directory and proved there, before anything else is done.
//! Then the copy gets another epoch, the keys are put where they belong, and one rename puts the database into its place.
//! Root keys sign the epoch: here, or where they are, in a draft of it.
//! A process that is killed before leaves nothing that starts, and the same command begins again; one that fails leaves
//! nothing at all.

use std::fs::File;
use std::os::unix::fs::OpenOptionsExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::ceremony::{CeremonyError, Draft};
use super::offline::{OfflineError, VerifiedDirectory, verify_transaction};
use crate::clock::Clock;
use crate::registry::bootstrap::BootstrapError;
use crate::registry::directory::{FIRST_START_FOLDER, RESTORE_FOLDER, TRUST_FOLDER};
use crate::registry::new_epoch::NewEpoch;
use crate::registry::signer::{CHECKPOINT_KEY_FILE, KEYS_FOLDER, ROOT_KEY_FILE, read_key};
use crate::registry::trust_files;
use crate::store::create;
use crate::store::files::{WATERMARK_FILE, replace, sync_directory};
use crate::store::regular::open_regular;
use crate::store::{Options, REGISTRY_FILE, Store, StoreError};

/// What a data directory may hold besides when a backup is restored into it: what a registry that lost its database
/// leaves, what was cut short, and what a new file system holds.
const ALLOWED: [&str; 10] = [
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
];
/// What every private key file is called.
const KEY_SUFFIX: &str = "key";

/// Who signs the new epoch.
#[derive(Clone, Copy, Debug)]
pub enum Signing<'a> {
    /// `root.key` in the folder of keys, where it is, and the root keys in these files.
    Keys(&'a [PathBuf]),
    /// The signatures of the draft in this file.
    Signed(&'a Path),
}

/// Makes a data directory of a backup, with the registry's keys, and begins a new epoch in it, so
/// that replicas never take the restored copy for the registry that went on after the backup.
///
/// # Errors
/// The directory is not empty or held another registry, keys are missing or of another one, the backup cannot be read or
/// does not prove itself, or writing fails. Then the directory is as it was.
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

/// Drafts the epoch that a restore of this backup into this directory begins, into a new file, for root keys that are on
/// other machines. Nothing is restored.
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

/// Works in a data directory, and leaves it as it was where the work fails.
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
    // Who has it works in the same folder, which is not this one's to clear.
    let _lock = create::lock(data)?;
    let done = work(&mut attempt, &RestoreJob { backup, source, keys, key_files });
    if done.is_err() {
        attempt.undo();
    }
    done
}

/// What is to be restored.
struct RestoreJob<'a> {
    backup: &'a Path,
    source: File,
    keys: &'a Path,
    key_files: Vec<KeyFile>,
}

/// A private key, as its file has it.
struct KeyFile {
    name: std::ffi::OsString,
    bytes: Vec<u8>,
}

/// One try, and what it has to take back.
struct RestoreAttempt<'a> {
    data: &'a Path,
    /// Whether the data directory was not there before.
    new: bool,
    /// Private keys that were put into the data directory.
    written: Vec<PathBuf>,
}

impl RestoreAttempt<'_> {
    /// Copies the backup aside, proves it, and lets `step` work on it with the epoch that is to come; what it made, and
    /// the proof of what is there now.
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

    /// Puts the keys and the database into their places.
    fn finish(&mut self, work: &RestoreJob<'_>) -> Result<(), OfflineError> {
        self.put_keys(work)?;
        std::fs::rename(self.data.join(RESTORE_FOLDER).join(REGISTRY_FILE), self.data.join(REGISTRY_FILE))?;
        sync_directory(self.data)?;
        // From here on it is restored; what is left of the work is cleared by the next start too.
        for folder in [RESTORE_FOLDER, FIRST_START_FOLDER] {
            let _next_time = clear(&self.data.join(folder));
        }
        Ok(())
    }

    /// Refuses to restore over something.
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

    /// Refuses to write over other private keys, unless a first start made them and did not come to use them.
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

    /// Leaves the directory as it was.
    fn undo(&self) {
        let _best_effort = clear(&self.data.join(RESTORE_FOLDER));
        for path in &self.written {
            let _best_effort = std::fs::remove_file(path);
        }
        if self.new {
            // Only what is empty goes.
            let _best_effort = std::fs::remove_dir(self.data.join(KEYS_FOLDER));
            let _best_effort = std::fs::remove_dir(self.data);
        }
    }
}

/// Proves the copy of a backup before and after a step.
fn renew<T>(
    aside: &Path,
    data: &Path,
    work: &RestoreJob<'_>,
    step: impl FnOnce(&Store, NewEpoch) -> Result<T, CeremonyError>,
) -> Result<(T, VerifiedDirectory), CeremonyError> {
    let refuse = |reason: String| OfflineError::Backup { path: work.backup.to_owned(), reason };
    let in_backup = |error: CeremonyError| match error {
        CeremonyError::Offline(OfflineError::Store(error) | OfflineError::Founding(BootstrapError::Store(error)))
        | CeremonyError::Founding(BootstrapError::Store(error))
        | CeremonyError::Store(error) => match unreadable(error) {
            Ok(reason) => refuse(reason).into(),
            Err(error) => error.into(),
        },
        CeremonyError::Founding(error) => OfflineError::Founding(error).into(),
        error => error,
    };
    // Damage may make the database panic: that is an answer here.
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

/// What is wrong with a backup, where an error says so; else the error, which is of this machine.
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

/// The private keys in a folder; the one that signs checkpoints must hold a key.
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

/// Removes a folder with all in it, where it is.
fn clear(folder: &Path) -> std::io::Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
