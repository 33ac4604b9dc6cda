//! The bytes of the database, as redb sees them.
//!
//! [`StorageMedium`] is where they are stored. [`WatchedBackend`] is between it and redb: it records the first error,
//! after which redb refuses everything; it can be cut off, so that a discarded database never touches the file again;
//! and it can hold redb's writes in memory, so that a read-only file can still be read, including redb's own repair.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use super::error::{CutOff, is_full};
use super::priority::give_way;
use redb::StorageBackend;

/// Attempts to read bytes before the disk counts as failed: redb stops working after one error.
const READ_TRIES: u32 = 8;
/// Time limit of these attempts, so that a slow failing disk is not read eight times.
const READ_TRIES_TIME: Duration = Duration::from_millis(200);

/// The access mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Reading and writing.
    Write,
    /// Reading only; nothing in the file changes.
    Read,
}

/// Where the bytes of a database are stored. Tests replace the file with one that fails.
pub trait StorageMedium: Send + Sync + 'static {
    /// Opens the existing bytes.
    ///
    /// # Errors
    /// They do not exist, or the disk fails.
    fn open(&self, access: Access) -> io::Result<Box<dyn StorageBackend>>;

    /// Creates empty storage beside them, for a new database; leftovers are replaced.
    ///
    /// # Errors
    /// The disk fails.
    fn create(&self) -> io::Result<Box<dyn StorageBackend>>;

    /// Replaces the bytes with what [`StorageMedium::create`] created, durably; keeps the old ones if `keep` is set.
    ///
    /// # Errors
    /// The disk fails; then nothing has changed.
    fn install(&self, keep: bool) -> io::Result<()>;

    /// Removes what [`StorageMedium::create`] created, and frees its space.
    fn discard(&self) {}
}

/// A file of the data directory.
#[derive(Clone, Debug)]
pub struct FileMedium {
    path: PathBuf,
}

impl FileMedium {
    /// The database at this path.
    #[must_use]
    pub const fn new(path: PathBuf) -> Self {
        Self { path }
    }

    fn sibling(&self, suffix: &str) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(suffix);
        name.into()
    }
}

/// The path for a damaged database, beside its own.
pub(super) fn set_aside_path(path: &Path) -> PathBuf {
    FileMedium::new(path.to_owned()).sibling(".damaged")
}

impl StorageMedium for FileMedium {
    fn open(&self, access: Access) -> io::Result<Box<dyn StorageBackend>> {
        let file = OpenOptions::new().read(true).write(access == Access::Write).open(&self.path)?;
        Ok(Box::new(FileBytes(file)))
    }

    fn create(&self) -> io::Result<Box<dyn StorageBackend>> {
        let path = self.sibling(".new");
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).mode(0o600).open(path)?;
        Ok(Box::new(FileBytes(file)))
    }

    fn install(&self, keep: bool) -> io::Result<()> {
        if keep && self.path.exists() {
            let aside = set_aside_path(&self.path);
            match std::fs::remove_file(&aside) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                // Some file systems have no hard links; there the database has no name for a moment.
                _ => std::fs::hard_link(&self.path, &aside).or_else(|_| std::fs::rename(&self.path, &aside))?,
            }
        }
        std::fs::rename(self.sibling(".new"), &self.path)?;
        let directory = self.path.parent().unwrap_or(Path::new("/"));
        File::open(directory)?.sync_all()
    }

    fn discard(&self) {
        let _there_may_be_none = std::fs::remove_file(self.sibling(".new"));
    }
}

/// A file without redb's own locks: the data directory as a whole is locked, see `opening`.
#[derive(Debug)]
struct FileBytes(File);

impl StorageBackend for FileBytes {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read_exact_at(out, offset)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.write_all_at(data, offset)
    }
}

/// The state of an opened database, shared by its users and its file.
#[derive(Debug, Default)]
pub(super) struct DatabaseHealth {
    given_up: AtomicBool,
    failure: OnceLock<DiskFailure>,
}

/// The first error of the disk.
#[derive(Debug)]
struct DiskFailure {
    what: String,
    full: bool,
}

impl DatabaseHealth {
    /// The first error of the disk, if any: redb refuses everything since then.
    pub(super) fn failure(&self) -> Option<&str> {
        self.failure.get().map(|failed| failed.what.as_str())
    }

    /// Whether the disk was full.
    pub(super) fn ran_full(&self) -> bool {
        self.failure.get().is_some_and(|failed| failed.full)
    }

    /// Cuts the database off from its bytes.
    pub(super) fn give_up(&self) {
        self.given_up.store(true, Ordering::Release);
    }

    /// Whether the database can no longer be used.
    pub(super) fn is_over(&self) -> bool {
        self.failure.get().is_some() || self.given_up.load(Ordering::Acquire)
    }
}

/// The storage of a database, with error tracking.
#[derive(Debug)]
pub(super) struct WatchedBackend {
    inner: Box<dyn StorageBackend>,
    fate: Arc<DatabaseHealth>,
    memory: Option<Mutex<Memory>>,
}

impl WatchedBackend {
    /// Wraps storage; writes to storage opened for reading stay in memory.
    pub(super) fn new(inner: Box<dyn StorageBackend>, access: Access, fate: Arc<DatabaseHealth>) -> io::Result<Self> {
        let memory = match access {
            Access::Write => None,
            Access::Read => Some(Mutex::new(Memory::over(inner.len()?))),
        };
        Ok(Self { inner, fate, memory })
    }

    fn watch<T>(&self, doing: &str, work: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        if self.fate.given_up.load(Ordering::Acquire) {
            return Err(io::Error::other(CutOff));
        }
        give_way();
        let done = work();
        if let Err(error) = &done {
            let failed = DiskFailure { what: format!("{doing} failed: {error}"), full: is_full(error) };
            let _first_error_stays = self.fate.failure.set(failed);
        }
        done
    }
}

impl StorageBackend for WatchedBackend {
    fn len(&self) -> io::Result<u64> {
        self.watch("reading the file's size", || match &self.memory {
            Some(memory) => Ok(lock(memory).len),
            None => self.inner.len(),
        })
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.watch("reading", || match &self.memory {
            Some(memory) => lock(memory).read(&*self.inner, offset, out),
            None => read_again(&*self.inner, offset, out),
        })
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.watch("changing the file's length", || match &self.memory {
            Some(memory) => {
                lock(memory).set_len(len);
                Ok(())
            }
            None => self.inner.set_len(len),
        })
    }

    fn sync_data(&self) -> io::Result<()> {
        self.watch("flushing", || if self.memory.is_some() { Ok(()) } else { self.inner.sync_data() })
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.watch("writing", || match &self.memory {
            Some(memory) => lock(memory).write(&*self.inner, offset, data),
            None => self.inner.write(offset, data),
        })
    }

    fn close(&self) -> io::Result<()> {
        self.inner.close()
    }
}

fn lock(memory: &Mutex<Memory>) -> std::sync::MutexGuard<'_, Memory> {
    memory.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Reads bytes, and retries at once after an error of the operating system.
fn read_again(bytes: &dyn StorageBackend, offset: u64, out: &mut [u8]) -> io::Result<()> {
    let began = Instant::now();
    for _ in 1..READ_TRIES {
        match bytes.read(offset, out) {
            Err(error) if error.raw_os_error().is_some() && began.elapsed() < READ_TRIES_TIME => {}
            done => return done,
        }
    }
    bytes.read(offset, out)
}

const BLOCK_BYTES: u64 = 4_096;
type Block = [u8; 4_096];

/// Pages written over read-only bytes.
#[derive(Debug)]
struct Memory {
    len: u64,
    /// Length of the underlying bytes that are still valid; beyond that, they were truncated and are zero.
    visible: u64,
    blocks: BTreeMap<u64, Box<Block>>,
}

impl Memory {
    const fn over(len: u64) -> Self {
        Self { len, visible: len, blocks: BTreeMap::new() }
    }

    fn read(&self, beneath: &dyn StorageBackend, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let end = offset.saturating_add(out.len() as u64);
        if end > self.len {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        out.fill(0);
        let held = size(self.visible.min(end).saturating_sub(offset));
        if let Some(held) = out.get_mut(..held).filter(|held| !held.is_empty()) {
            read_again(beneath, offset, held)?;
        }
        for (number, block) in self.blocks.range(offset / BLOCK_BYTES..end.div_ceil(BLOCK_BYTES)) {
            let start = number * BLOCK_BYTES;
            let (from, to) = (start.max(offset), (start + BLOCK_BYTES).min(end));
            let place = out.get_mut(size(from - offset)..size(to - offset));
            if let (Some(place), Some(bytes)) = (place, block.get(size(from - start)..size(to - start))) {
                place.copy_from_slice(bytes);
            }
        }
        Ok(())
    }

    fn write(&mut self, beneath: &dyn StorageBackend, offset: u64, data: &[u8]) -> io::Result<()> {
        let end = offset.saturating_add(data.len() as u64);
        if end > self.len {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        for number in offset / BLOCK_BYTES..end.div_ceil(BLOCK_BYTES) {
            let start = number * BLOCK_BYTES;
            let mut block = Box::new([0; 4_096]);
            let within = size((self.len - start).min(BLOCK_BYTES));
            if let Some(held) = block.get_mut(..within) {
                self.read(beneath, start, held)?;
            }
            let (from, to) = (start.max(offset), (start + BLOCK_BYTES).min(end));
            let place = block.get_mut(size(from - start)..size(to - start));
            if let (Some(place), Some(bytes)) = (place, data.get(size(from - offset)..size(to - offset))) {
                place.copy_from_slice(bytes);
            }
            self.blocks.insert(number, block);
        }
        Ok(())
    }

    fn set_len(&mut self, len: u64) {
        self.len = len;
        self.visible = self.visible.min(len);
        let _cut_off = self.blocks.split_off(&len.div_ceil(BLOCK_BYTES));
        if let Some(last) = self.blocks.get_mut(&(len / BLOCK_BYTES)).and_then(|b| b.get_mut(size(len % BLOCK_BYTES)..))
        {
            last.fill(0);
        }
    }
}

fn size(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_to_a_read_only_file_stay_in_memory() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let original: Vec<u8> = (0..=255_u8).cycle().take(10_000).collect();
        std::fs::write(file.path(), &original).expect("written");
        let medium = FileMedium::new(file.path().to_owned());
        let inner = medium.open(Access::Read).expect("opened");
        let bytes = WatchedBackend::new(inner, Access::Read, Arc::default()).expect("watched");
        let mut model = original.clone();
        let mut step = 1_usize;
        for round in 0..300_usize {
            step = (step * 7_919 + round) % 10_007;
            let (at, length) = (step % model.len(), 1 + step % 6_000);
            let length = length.min(model.len() - at);
            match round % 5 {
                0 => {
                    let len = 3_000 + step;
                    bytes.set_len(len as u64).expect("set");
                    model.resize(len, 0);
                }
                1 | 2 => {
                    let data = vec![u8::try_from(round % 256).expect("small"); length];
                    bytes.write(at as u64, &data).expect("written");
                    model.splice(at..at + length, data);
                }
                _ => {
                    let mut out = vec![9; length];
                    bytes.read(at as u64, &mut out).expect("read");
                    assert_eq!(out, model.get(at..at + length).expect("within"), "round {round}");
                }
            }
        }
        assert_eq!(bytes.len().expect("a length"), model.len() as u64);
        assert!(bytes.read(model.len() as u64, &mut [0]).is_err());
        assert_eq!(std::fs::read(file.path()).expect("the file"), original);
    }

    #[test]
    fn first_disk_error_is_kept_and_a_cut_off_database_touches_nothing() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), [1; 100]).expect("written");
        let fate = Arc::new(DatabaseHealth::default());
        let inner = FileMedium::new(file.path().to_owned()).open(Access::Write).expect("opened");
        let bytes = WatchedBackend::new(inner, Access::Write, Arc::clone(&fate)).expect("watched");
        assert!(!fate.is_over());
        bytes.read(90, &mut [0; 20]).expect_err("it is shorter");
        assert!(fate.failure().expect("a failure").starts_with("reading failed: "), "{:?}", fate.failure());
        fate.give_up();
        bytes.write(0, &[2]).expect_err("given up");
        assert_eq!(std::fs::read(file.path()).expect("the file"), [1; 100]);
    }
}
