//! Opening the database, for writing or for reading only; and its problems, in terms for an operator.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bookholder_database::guarded;
use redb::{Builder, Database, DatabaseError, StorageBackend};

use super::committed::Committed;
use super::disk::{Access, DatabaseHealth, StorageMedium, WatchedBackend};
use super::error::{StoreError, damaged, refusal};
use super::meta;
use super::read::ReadTxn;
use super::tables;
use super::touched::Touched;
use super::write::WriteTxn;

/// Memory that redb may use for pages, in bytes.
const CACHE_BYTES: usize = 4 * 1024 * 1024;
/// File size from which compacting is considered, and unused space from which it is done, in bytes.
const COMPACT_BYTES_MIN: u64 = 64 * 1024 * 1024;
/// The message for a database on which redb panics.
const TORN: &str = "its structure is inconsistent";

/// An opened database, and its state.
pub(super) struct Handle {
    database: Option<Database>,
    fate: Arc<DatabaseHealth>,
    access: Access,
}

impl Handle {
    /// Opens an existing database.
    pub(super) fn open(medium: &dyn StorageMedium, path: &Path, access: Access) -> Result<Self, StoreError> {
        let bytes = medium.open(access).map_err(|error| refusal(path, error))?;
        if bytes.len().map_err(|error| refusal(path, error))? == 0 {
            return Err(damaged(path, "it is empty"));
        }
        Self::over(bytes, path, access)
    }

    /// Creates a new database, beside an existing one.
    pub(super) fn create(medium: &dyn StorageMedium, path: &Path) -> Result<Self, StoreError> {
        let handle = Self::over(medium.create().map_err(|error| refusal(path, error))?, path, Access::Write)?;
        prepare(&handle, path)?;
        Ok(handle)
    }

    fn over(bytes: Box<dyn StorageBackend>, path: &Path, access: Access) -> Result<Self, StoreError> {
        let fate = Arc::new(DatabaseHealth::default());
        let bytes = WatchedBackend::new(bytes, access, Arc::clone(&fate)).map_err(|error| refusal(path, error))?;
        let opened = guarded(|| Builder::new().set_cache_size(CACHE_BYTES).create_with_backend(bytes));
        let database = match opened.map_err(|panic| damaged_database(path, &panic))? {
            Ok(database) => database,
            Err(DatabaseError::DatabaseAlreadyOpen) => return Err(StoreError::InUse { path: path.to_owned() }),
            Err(DatabaseError::UpgradeRequired(version)) => {
                return Err(damaged(path, &format!("its file format {version} is too old")));
            }
            Err(DatabaseError::Storage(redb::StorageError::Corrupted(reason))) => return Err(damaged(path, &reason)),
            Err(DatabaseError::Storage(redb::StorageError::Io(error))) => return Err(refusal(path, error)),
            Err(error) => return Err(error.into()),
        };
        Ok(Self { database: Some(database), fate, access })
    }

    /// Opens a database and makes it ready: its tables exist and its newest state can be read.
    pub(super) fn ready(
        medium: &dyn StorageMedium,
        path: &Path,
        access: Access,
    ) -> Result<(Self, Committed), StoreError> {
        let handle = Self::open(medium, path, access)?;
        let first = handle.guarded(path, || {
            prepare(&handle, path)?;
            first(&handle)
        })?;
        Ok((handle, first))
    }

    /// Runs work on the database; a panic on a torn page becomes an error.
    pub(super) fn guarded<T>(
        &self,
        path: &Path,
        work: impl FnOnce() -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        match guarded(work) {
            Ok(Err(StoreError::Database(error))) if matches!(*error, redb::Error::Corrupted(_)) => {
                Err(damaged(path, &error.to_string()))
            }
            Ok(Err(StoreError::Record { kind, reason })) => {
                Err(damaged(path, &format!("cannot read a record of kind {kind}: {reason}")))
            }
            Ok(done) => done,
            Err(panic) => {
                // A regular close would walk the torn pages again.
                self.fate.give_up();
                Err(damaged_database(path, &panic))
            }
        }
    }

    pub(super) fn database(&self) -> Result<&Database, StoreError> {
        self.database.as_ref().ok_or(StoreError::Interrupted)
    }

    /// Its state.
    pub(super) const fn health(&self) -> &Arc<DatabaseHealth> {
        &self.fate
    }

    pub(super) fn is_writable(&self) -> bool {
        self.access == Access::Write
    }

    /// Commits an empty transaction durably: whether the disk accepts writes.
    pub(super) fn probe(&self) -> Result<(), StoreError> {
        let mut txn = self.database()?.begin_write()?;
        txn.set_quick_repair(true);
        Ok(txn.commit()?)
    }

    /// Returns unused space to the disk; the number of bytes.
    pub(super) fn compact(&mut self, medium: &dyn StorageMedium, path: &Path) -> Result<u64, StoreError> {
        let length = |medium: &dyn StorageMedium| medium.open(Access::Read).and_then(|bytes| bytes.len());
        let before = length(medium)?;
        let fate = Arc::clone(&self.fate);
        let database = self.database.as_mut().ok_or(StoreError::Interrupted)?;
        let compacted = guarded(|| database.compact());
        match compacted {
            Ok(Ok(_)) => Ok(before.saturating_sub(length(medium)?)),
            Ok(Err(redb::CompactionError::Storage(error))) => Err(error.into()),
            Ok(Err(error)) => Err(StoreError::Io(io::Error::other(error))),
            Err(panic) => {
                fate.give_up();
                Err(damaged_database(path, &panic))
            }
        }
    }

    /// Whether compacting is worthwhile: more than half of a large file is unused. Reads every page of a large file.
    pub(super) fn compacting_pays(&self, medium: &dyn StorageMedium) -> Result<bool, StoreError> {
        let length = medium.open(Access::Read)?.len()?;
        if length <= COMPACT_BYTES_MIN {
            return Ok(false);
        }
        let txn = self.database()?.begin_write()?;
        let stats = txn.stats()?;
        txn.abort()?;
        let used = stats.allocated_pages().saturating_mul(stats.page_size() as u64);
        let unused = length.saturating_sub(used);
        Ok(unused > COMPACT_BYTES_MIN && unused > length / 2)
    }

    /// Whether every page in use has the checksum that it was written with. Repairs nothing in a file opened for
    /// reading.
    pub(super) fn pages_are_whole(&mut self, path: &Path) -> Result<bool, StoreError> {
        let fate = Arc::clone(&self.fate);
        let database = self.database.as_mut().ok_or(StoreError::Interrupted)?;
        match guarded(|| database.check_integrity()) {
            Ok(Ok(whole)) => Ok(whole),
            Ok(Err(DatabaseError::Storage(redb::StorageError::Io(error)))) => Err(refusal(path, error)),
            Ok(Err(_)) => Ok(false),
            Err(_) => {
                fate.give_up();
                Ok(false)
            }
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // Closing commits once more, which may panic on torn pages.
        let database = self.database.take();
        let _closed = guarded(|| drop(database));
    }
}

/// The message for a database on which redb panics.
pub(super) fn damaged_database(path: &Path, panic: &str) -> StoreError {
    tracing::debug!(panic, "the database panicked");
    damaged(path, TORN)
}

/// Creates the tables of a new database, and rejects one of a newer program.
fn prepare(handle: &Handle, path: &Path) -> Result<(), StoreError> {
    let database = handle.database()?;
    let found = {
        let txn = redb::ReadableDatabase::begin_read(database)?;
        match txn.open_table(tables::META) {
            Ok(meta) => match meta.get(meta::SCHEMA.name())? {
                Some(value) => Some(value.value().to_vec()),
                // It is written together with the table.
                None => return Err(damaged(path, "it has no schema number")),
            },
            Err(redb::TableError::TableDoesNotExist(_)) => None,
            Err(redb::TableError::TableTypeMismatch { .. }) => return Err(damaged(path, "it is not a registry")),
            Err(error) => return Err(error.into()),
        }
    };
    let found = found.map(|bytes| <[u8; 8]>::try_from(bytes.as_slice()).map_or(u64::MAX, u64::from_le_bytes));
    match found {
        Some(tables::SCHEMA) => return Ok(()),
        // The place to upgrade an older schema, in the same transaction.
        None => {}
        Some(found) => return Err(StoreError::Newer { path: path.to_owned(), found, known: tables::SCHEMA }),
    }
    let mut txn = database.begin_write()?;
    txn.set_quick_repair(true);
    {
        let mut writer = WriteTxn::begin(&txn, None)?;
        writer.put_meta(&meta::SCHEMA, &tables::SCHEMA)?;
        writer.finish()?;
    }
    Ok(txn.commit()?)
}

/// The contents of a database.
pub(super) fn first(handle: &Handle) -> Result<Committed, StoreError> {
    let txn = ReadTxn::begin(handle.database()?)?;
    let state = txn.view_state()?;
    Ok(Committed { head: txn.head()?, state, touched: Touched::Everything, took: Duration::ZERO })
}
