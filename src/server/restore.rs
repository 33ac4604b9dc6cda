//! Making a data directory of a backup.
//!
//! The backup is copied into a folder of its own in the data directory and proved there, before anything else is done.
//! Then the copy gets another epoch, the keys are put where they belong, and one rename puts the database into its place.
//! A process that is killed before leaves nothing that starts, and the same command begins again; one that fails leaves
//! nothing at all.

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::offline::{OfflineError, Proof, prove};
use crate::clock::Clock;
use crate::registry::directory::{FIRST_START_FOLDER, RESTORE_FOLDER, TRUST_FOLDER};
use crate::registry::founding::{FoundingError, begin_epoch, published_trust};
use crate::registry::seal::{CHECKPOINT_KEY_FILE, KEYS_FOLDER, ROOT_KEY_FILE, read_key};
use crate::store::create;
use crate::store::files::{WATERMARK_FILE, replace, sync_directory};
use crate::store::regular::open_regular;
use crate::store::{Options, REGISTRY_FILE, Store, StoreError};
use crate::trust::records::read_back;
use crate::trust::root::RootKeyId;

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

/// Makes a data directory of a backup, with the registry's keys, and begins a new epoch in it, so
/// that replicas never take the restored copy for the registry that went on after the backup.
///
/// # Errors
/// The directory is not empty or held another registry, keys are missing or of another one, the backup cannot be read or
/// does not prove itself, or writing fails. Then the directory is as it was.
pub fn restore(backup: &Path, data: &Path, keys: &Path, clock: &Arc<dyn Clock>) -> Result<(u64, Proof), OfflineError> {
    if [CHECKPOINT_KEY_FILE, ROOT_KEY_FILE].iter().any(|name| !keys.join(name).is_file()) {
        return Err(OfflineError::NoKeys { path: keys.to_owned() });
    }
    let key_files = key_files(keys)?;
    let source = open_backup(backup)?;
    let mut attempt = Attempt { new: !data.exists(), data, written: Vec::new() };
    create::directory(data)?;
    // Who has it works in the same folder, which is not this one's to clear.
    let _lock = create::lock(data)?;
    let restored = attempt.run(&Work { backup, source, keys, key_files, clock });
    if restored.is_err() {
        attempt.undo();
    }
    restored
}

/// What is to be restored.
struct Work<'a> {
    backup: &'a Path,
    source: File,
    keys: &'a Path,
    key_files: Vec<KeyFile>,
    clock: &'a Arc<dyn Clock>,
}

/// A private key, as its file has it.
struct KeyFile {
    name: std::ffi::OsString,
    bytes: Vec<u8>,
}

/// One try, and what it has to take back.
struct Attempt<'a> {
    data: &'a Path,
    /// Whether the data directory was not there before.
    new: bool,
    /// Private keys that were put into the data directory.
    written: Vec<PathBuf>,
}

impl Attempt<'_> {
    fn run(&mut self, work: &Work<'_>) -> Result<(u64, Proof), OfflineError> {
        self.check_target()?;
        self.check_keys(work)?;
        let aside = self.data.join(RESTORE_FOLDER);
        clear(&aside)?;
        create::directory(&aside)?;
        let copy = aside.join(REGISTRY_FILE);
        let mut to = std::fs::OpenOptions::new().write(true).create_new(true).open(&copy)?;
        std::io::copy(&mut &work.source, &mut to)?;
        to.sync_all()?;
        drop(to);
        let restored = renew(&aside, self.data, work)?;
        self.put_keys(work)?;
        std::fs::rename(&copy, self.data.join(REGISTRY_FILE))?;
        sync_directory(self.data)?;
        // From here on it is restored; what is left of the work is cleared by the next start too.
        for folder in [RESTORE_FOLDER, FIRST_START_FOLDER] {
            let _next_time = clear(&self.data.join(folder));
        }
        Ok(restored)
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
    fn check_keys(&self, work: &Work<'_>) -> Result<(), OfflineError> {
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

    fn put_keys(&mut self, work: &Work<'_>) -> Result<(), OfflineError> {
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

/// Proves the copy of a backup, and begins another epoch in it.
fn renew(aside: &Path, data: &Path, work: &Work<'_>) -> Result<(u64, Proof), OfflineError> {
    let refuse = |reason: String| OfflineError::Backup { path: work.backup.to_owned(), reason };
    let in_backup = |error: OfflineError| match error {
        OfflineError::Store(error) | OfflineError::Founding(FoundingError::Store(error)) => match unreadable(error) {
            Ok(reason) => refuse(reason),
            Err(error) => error.into(),
        },
        error => error,
    };
    // Damage may make the database panic: that is an answer here.
    let shattered = || refuse("its structure does not hold together".to_owned());
    let guarded = |step: &mut dyn FnMut() -> Result<Proof, OfflineError>| {
        catch_unwind(AssertUnwindSafe(step)).unwrap_or_else(|_| Err(shattered())).map_err(in_backup)
    };
    let opened = catch_unwind(|| Store::open(&Options { directory: aside.to_owned(), create: false }));
    let store = opened.map_err(|_| shattered())?.map_err(|error| in_backup(error.into()))?;
    let restored = (|| {
        let mut proving = || {
            let proof = prove(&store.read()?)?;
            match proof.report.differences.first() {
                Some(first) => Err(refuse(format!("{first} ({} differences)", proof.report.differences.len()))),
                None => Ok(proof),
            }
        };
        let root_key = guarded(&mut proving)?.root_key;
        let root_key = root_key.ok_or_else(|| refuse("it holds no registry".to_owned()))?;
        let after = last_epoch(data, root_key)?;
        let mut epoch = 0;
        let mut beginning = || {
            epoch = begin_epoch(&store, work.keys, after, work.clock)?;
            proving()
        };
        let proof = guarded(&mut beginning)?;
        Ok((epoch, proof))
    })();
    store.close_blocking();
    restored
}

/// The last epoch that the directory's own records know, when a registry lost its database there: the new one has to be
/// above it, whatever the backup knows.
fn last_epoch(data: &Path, root_key: RootKeyId) -> Result<u64, OfflineError> {
    let (roots, epochs) = published_trust(data)?;
    let Ok((chain, epochs)) = read_back(None, &roots, &epochs) else { return Ok(0) };
    if chain.key_id() != root_key {
        return Err(OfflineError::OtherRegistry { path: data.to_owned(), held: chain.key_id(), backup: root_key });
    }
    Ok(epochs.iter().map(|epoch| epoch.record().epoch).max().unwrap_or(0))
}

/// What is wrong with a backup, where an error says so; else the error, which is of this machine.
fn unreadable(error: StoreError) -> Result<String, StoreError> {
    match error {
        StoreError::Damaged { reason, .. } => Ok(reason),
        StoreError::Newer { found, known, .. } => {
            Ok(format!("it was written by a newer bookholder (schema {found}, this one reads up to {known})"))
        }
        StoreError::Absent { .. } => Ok("it is empty".to_owned()),
        StoreError::Aborted | StoreError::Torn => Ok("its structure does not hold together".to_owned()),
        error if error.is_damage() || matches!(error, StoreError::RecordVersion { .. }) => Ok(error.to_string()),
        error => Err(error),
    }
}

/// The private keys in a folder; the two that every registry has must hold keys.
fn key_files(keys: &Path) -> Result<Vec<KeyFile>, OfflineError> {
    for name in [CHECKPOINT_KEY_FILE, ROOT_KEY_FILE] {
        read_key(&keys.join(name))?;
    }
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
