//! Inspects a whole database, however damaged, without changing its file.

use std::path::{Path, PathBuf};

use super::create::{self, DirectoryLock};
use super::disk::{Access, FileMedium};
use super::error::StoreError;
use super::files::REGISTRY_FILE;
use super::opening::{Handle, damaged_database};
use super::read::ReadTxn;
use bookholder_database::guarded;

/// A database under inspection. No node may be running on it.
pub struct Inspection {
    path: PathBuf,
    handle: Handle,
    whole: bool,
    _lock: DirectoryLock,
}

impl Inspection {
    /// Opens the database of a data directory for reading; redb's repairs stay in memory.
    ///
    /// # Errors
    /// It does not exist, is in use, from a newer program, or too damaged to be opened.
    pub fn open(directory: &Path) -> Result<Self, StoreError> {
        let path = directory.join(REGISTRY_FILE);
        if !path.exists() {
            return Err(StoreError::Absent { path: directory.to_owned() });
        }
        let lock = create::lock(directory)?;
        let medium = FileMedium::new(path.clone());
        // Before anything is upgraded in memory: a written page gets another checksum.
        let whole = Handle::open(&medium, &path, Access::Read)?.pages_are_whole(&path)?;
        let (handle, _) = Handle::ready(&medium, &path, Access::Read)?;
        Ok(Self { path, handle, whole, _lock: lock })
    }

    /// Whether every page in use has the checksum that it was written with. Free pages have none, and do not matter.
    #[must_use]
    pub const fn pages_are_whole(&self) -> bool {
        self.whole
    }

    /// Runs an inspection; a panic on a page is reported as damage.
    ///
    /// # Errors
    /// The inspection fails, or the database cannot be read.
    pub fn look<T>(&self, work: impl FnOnce(&ReadTxn) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let txn = guarded(|| ReadTxn::begin(self.handle.database()?));
        let txn = txn.unwrap_or_else(|panic| Err(damaged_database(&self.path, &panic)))?;
        guarded(|| work(&txn)).unwrap_or_else(|panic| Err(damaged_database(&self.path, &panic)))
    }
}
