//! Creates the data directory of a database, and locks it.
//!
//! Creating, restoring and opening a database all hold the lock of its directory.

use std::fs::{File, TryLockError};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use super::error::{StoreError, refusal};
use super::files::REGISTRY_FILE;

/// Prevents other processes from opening, creating or restoring a database in the same directory, until it is dropped.
#[derive(Debug)]
pub struct DirectoryLock(File);

impl Drop for DirectoryLock {
    fn drop(&mut self) {
        // Closing the file would not release the lock: a child process may have inherited it.
        let _closed_anyway = self.0.unlock();
    }
}

/// Takes the lock of a directory.
///
/// # Errors
/// Another process holds it, or the directory cannot be opened.
pub fn lock(directory: &Path) -> Result<DirectoryLock, StoreError> {
    let path = directory.join(REGISTRY_FILE);
    let file = File::open(directory).map_err(|error| refusal(directory, error))?;
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => return Err(StoreError::InUse { path }),
        Ok(()) => return Ok(DirectoryLock(file)),
        Err(TryLockError::Error(_)) => {}
    }
    // Some network file systems support only locks on files, and some none.
    let Ok(database) = File::options().read(true).write(true).open(&path) else { return Ok(DirectoryLock(file)) };
    match database.try_lock() {
        Err(TryLockError::WouldBlock) => Err(StoreError::InUse { path }),
        Ok(()) | Err(TryLockError::Error(_)) => Ok(DirectoryLock(database)),
    }
}

/// Creates a directory that only its owner can read, with missing parents.
///
/// # Errors
/// The file system refuses.
pub fn directory(path: &Path) -> Result<(), StoreError> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|source| StoreError::NotWritable { path: path.to_owned(), source })
}

/// Whether a directory has a database file that is not empty or cannot be inspected: then nothing new is created beside
/// it.
#[must_use]
pub fn has_database(directory: &Path) -> bool {
    match std::fs::metadata(directory.join(REGISTRY_FILE)) {
        Ok(file) => file.len() > 0,
        Err(error) => error.kind() != std::io::ErrorKind::NotFound,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Options, Store};

    fn open(directory: &Path, create: bool) -> Result<Store, StoreError> {
        Store::open(&Options { directory: directory.to_owned(), create })
    }

    #[test]
    fn incomplete_new_database_is_recreated() {
        let directory = tempfile::tempdir().expect("a directory");
        std::fs::write(directory.path().join("registry.redb.new"), b"redb\x1a\n").expect("written");
        assert!(matches!(open(directory.path(), false), Err(StoreError::Absent { .. })));
        open(directory.path(), true).expect("opens").close_blocking();
        open(directory.path(), false).expect("opens").close_blocking();
        assert!(!directory.path().join("registry.redb.new").exists());
    }

    #[test]
    fn empty_file_is_not_a_database() {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join(REGISTRY_FILE);
        std::fs::write(&file, b"").expect("written");
        for create in [false, true] {
            let refused = open(directory.path(), create).err().expect("a refusal").to_string();
            assert!(refused.contains("registry.redb is damaged: it is empty"), "{refused}");
        }
        assert_eq!(std::fs::metadata(&file).expect("a file").len(), 0, "it was left alone");
    }

    #[test]
    fn directory_where_another_process_creates_a_database_is_in_use() {
        let directory = tempfile::tempdir().expect("a directory");
        let held = lock(directory.path()).expect("the lock");
        assert!(matches!(open(directory.path(), true), Err(StoreError::InUse { .. })));
        drop(held);
        open(directory.path(), true).expect("opens").close_blocking();
    }
}
