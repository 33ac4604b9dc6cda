//! The file beneath the database, which is opened again after its disk failed.
//!
//! redb refuses everything after an error of the disk, also once the disk works. So the database is opened again, on the
//! same file. Invariant: of the databases on a file, the newest alone reads and writes it; all share one lock, which is
//! held for as long as one of them lives.

use std::fs::{File, TryLockError};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use redb::StorageBackend;

/// A file, and how often a database was opened on it.
#[derive(Debug)]
pub(super) struct Disk {
    file: Arc<File>,
    newest: Arc<AtomicU64>,
}

impl Disk {
    /// Opens or creates a file, and locks it.
    ///
    /// # Errors
    /// Another process has it open, or the disk fails.
    pub(super) fn open(path: &Path) -> Result<Self, redb::Error> {
        let file = File::options().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { file: Arc::new(file), newest: Arc::default() }),
            Err(TryLockError::WouldBlock) => Err(redb::Error::DatabaseAlreadyOpen),
            Err(TryLockError::Error(error)) => Err(error.into()),
        }
    }

    /// The file for a database; earlier ones lose it.
    pub(super) fn connect(&self) -> impl StorageBackend + use<> {
        let own = self.newest.fetch_add(1, Ordering::SeqCst).saturating_add(1);
        Connection { file: Arc::clone(&self.file), own, newest: Arc::clone(&self.newest) }
    }
}

/// The file, as long as no newer database has it.
#[derive(Debug)]
struct Connection {
    file: Arc<File>,
    own: u64,
    newest: Arc<AtomicU64>,
}

impl Connection {
    fn file(&self) -> io::Result<&File> {
        if self.newest.load(Ordering::SeqCst) == self.own {
            Ok(&self.file)
        } else {
            Err(io::Error::other("the file was opened again"))
        }
    }
}

impl StorageBackend for Connection {
    fn len(&self) -> io::Result<u64> {
        Ok(self.file()?.metadata()?.len())
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file()?.read_exact_at(out, offset)
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.file()?.set_len(length)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file()?.sync_data()
    }

    fn write(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.file()?.write_all_at(bytes, offset)
    }
}
