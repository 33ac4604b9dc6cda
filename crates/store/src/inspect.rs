//! Inspects a whole database, however damaged, without changing a byte of its file.

use std::path::{Path, PathBuf};

use super::create::{self, DirectoryLock};
use super::disk::{Access, FileMedium};
use super::error::StoreError;
use super::guard::guarded;
use super::opening::{Handle, damaged_database};
use super::read::ReadTxn;
use super::writer::REGISTRY_FILE;

/// A database that is looked through. No node may be running on it.
pub struct Inspection {
    path: PathBuf,
    handle: Handle,
    whole: bool,
    _lock: DirectoryLock,
}

impl Inspection {
    /// Opens the database of a data directory for reading alone; what redb repairs stays in memory.
    ///
    /// # Errors
    /// It is absent, in use, from a newer program, or so damaged that it cannot be opened.
    pub fn open(directory: &Path) -> Result<Self, StoreError> {
        let path = directory.join(REGISTRY_FILE);
        if !path.exists() {
            return Err(StoreError::Absent { path: directory.to_owned() });
        }
        let lock = create::lock(directory)?;
        let medium = FileMedium::new(path.clone());
        // Before anything is brought up to date, in memory: a page that is written gets another checksum.
        let whole = Handle::open(&medium, &path, Access::Read)?.pages_are_whole(&path)?;
        let (handle, _) = Handle::ready(&medium, &path, Access::Read)?;
        Ok(Self { path, handle, whole, _lock: lock })
    }

    /// Whether every page that is in use has the checksum that it was written with. Free pages have none, and mean
    /// nothing.
    #[must_use]
    pub const fn pages_are_whole(&self) -> bool {
        self.whole
    }

    /// Looks at what is there; a page on which that panics is damage.
    ///
    /// # Errors
    /// The look's own, or the database cannot be read.
    pub fn look<T>(&self, work: impl FnOnce(&ReadTxn) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let txn = guarded(|| ReadTxn::begin(self.handle.database()?));
        let txn = txn.unwrap_or_else(|panic| Err(damaged_database(&self.path, &panic)))?;
        guarded(|| work(&txn)).unwrap_or_else(|panic| Err(damaged_database(&self.path, &panic)))
    }
}
