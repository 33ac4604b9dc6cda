//! Sums of the database file's blocks, so that a changed byte is noticed wherever it lies.
//!
//! The signed state proves every entry, but a database file also holds free pages and the slack of
//! full ones, which no state covers. So each block that is written is summed, in a file beside the
//! database: first the sum is appended, then the block is written. A process that is killed between
//! the two leaves blocks of that last write with the sum before; both are right, and the next start takes the sums
//! back that were not followed by a write. After a power loss the file may hold older blocks than its sums say, so
//! then they are made anew and the signed state alone decides.
//!
//! The file: a header of 64 bytes, then records of 16 bytes, `block (u32, little-endian) | first 12
//! bytes of BLAKE3(block)`. A record of block `u32::MAX` says that the file was cut to as many
//! blocks as its first 8 sum bytes say.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::ops::{Bound, Range};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Mutex;

use redb::backends::FileBackend;
use redb::{BackendError, DatabaseError, StorageBackend};

/// The file of sums, beside the database.
const SUMS_FILE: &str = "registry.sums";
/// First bytes of the file of sums.
const MAGIC: &[u8; 24] = b"bookholder sums v1\n\0\0\0\0\0";
/// Length of the header, and where in it stand whether the node closed it, and the boot it is from.
const HEADER_BYTES: usize = 64;
const CLEAN_AT: usize = 24;
const BOOT_AT: usize = 25;
/// Size of a block, and of a record.
const BLOCK_BYTES: usize = 4_096;
const RECORD_BYTES: usize = 16;
/// Records beyond four a block, from which on the file of sums is written anew.
const RECORDS_SPARE: u64 = 4_096;
/// The block of a record that says that the file was cut.
const CUT: u32 = u32::MAX;
/// Blocks of the largest database file that is summed: 16 GiB.
const BLOCKS_MAX: usize = 1 << 22;

type Sum = [u8; 12];

/// What a look at every block found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// Every block is as it was written.
    Whole,
    /// These blocks are not, counted from 0.
    Changed(Vec<u64>),
    /// There are no sums to compare with, or a power loss came between.
    Unknown,
}

/// Compares every block of a database file with its sum. No node may be running on it.
///
/// # Errors
/// A file cannot be read.
pub fn check(directory: &Path) -> std::io::Result<Finding> {
    let path = directory.join(super::writer::REGISTRY_FILE);
    let sums = match File::open(directory.join(SUMS_FILE)) {
        Ok(mut file) => Sums::read(&mut file)?.filter(Sums::usable),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    let Some(sums) = sums else { return Ok(Finding::Unknown) };
    let mut changed = Vec::new();
    let mut blocks = 0;
    each_block(&File::open(path)?, |block, sum| {
        blocks = block + 1;
        if !sums.fits(block, &sum) {
            changed.push(block);
        }
    })?;
    let missing = (blocks..).zip(sums.of.iter().skip(index(blocks))).filter(|(_, (_, latest))| *latest != zero_sum());
    changed.extend(missing.map(|(block, _)| block));
    Ok(if changed.is_empty() { Finding::Whole } else { Finding::Changed(changed) })
}

/// A database file whose blocks are summed as they are written.
#[derive(Debug)]
pub(super) struct SummedFile {
    file: FileBackend,
    sums: Mutex<File>,
}

impl SummedFile {
    /// Opens or makes the database file with its sums. Whoever holds the lock on the sums may write them.
    pub(super) fn open(path: &Path) -> Result<Self, DatabaseError> {
        let open =
            |path: &Path| OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path);
        let mut sums = open(&path.with_file_name(SUMS_FILE))?;
        match sums.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(DatabaseError::DatabaseAlreadyOpen),
            Err(TryLockError::Error(error)) => return Err(error.into()),
        }
        let database = open(path)?;
        match Sums::read(&mut sums)?.filter(Sums::usable) {
            Some(held) if held.clean && held.records <= 4 * held.of.len() as u64 + RECORDS_SPARE => {
                sums.set_len(HEADER_BYTES as u64 + held.records * RECORD_BYTES as u64)?;
                sums.write_all_at(&header(false), 0)?;
            }
            Some(mut held) => {
                held.settle(&database)?;
                held.write(&mut sums)?;
            }
            None => Sums::made_of(&database)?.write(&mut sums)?,
        }
        sums.seek(SeekFrom::End(0))?;
        Ok(Self { file: FileBackend::new(database)?, sums: Mutex::new(sums) })
    }

    fn append(&self, records: &[u8]) -> std::io::Result<()> {
        self.sums.lock().unwrap_or_else(std::sync::PoisonError::into_inner).write_all(records)
    }

    /// The sums of the blocks that a write touches, as they will be after it.
    fn records(&self, offset: u64, data: &[u8]) -> std::io::Result<Vec<u8>> {
        let block_bytes = BLOCK_BYTES as u64;
        let (first, length) = (offset / block_bytes, self.file.len()?);
        let end = offset + data.len() as u64;
        let mut records = Vec::with_capacity((data.len() / BLOCK_BYTES + 2) * RECORD_BYTES);
        for block in first..end.div_ceil(block_bytes) {
            let start = block * block_bytes;
            let (from, to) = (start.max(offset), (start + block_bytes).min(end));
            let piece = data.get(index(from - offset)..index(to - offset)).unwrap_or_default();
            let sum = if piece.len() == BLOCK_BYTES {
                sum_of(piece)
            } else {
                let mut whole = [0; BLOCK_BYTES];
                let held = index(length.saturating_sub(start).min(block_bytes));
                if let Some(held) = whole.get_mut(..held).filter(|held| !held.is_empty()) {
                    self.file.read(start, held)?;
                }
                if let Some(place) = whole.get_mut(index(from - start)..index(to - start)) {
                    place.copy_from_slice(piece);
                }
                sum_of(&whole)
            };
            push(&mut records, block, &sum)?;
        }
        Ok(records)
    }
}

impl StorageBackend for SummedFile {
    fn len(&self) -> std::io::Result<u64> {
        self.file.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> std::io::Result<()> {
        self.file.read(offset, out)
    }

    fn set_len(&self, len: u64) -> std::io::Result<()> {
        if len < self.file.len()? {
            let mut record = CUT.to_le_bytes().to_vec();
            record.extend_from_slice(&len.div_ceil(BLOCK_BYTES as u64).to_le_bytes());
            record.extend_from_slice(&[0; 4]);
            self.append(&record)?;
        }
        self.file.set_len(len)
    }

    fn sync_data(&self) -> std::io::Result<()> {
        self.file.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> std::io::Result<()> {
        self.append(&self.records(offset, data)?)?;
        self.file.write(offset, data)
    }

    fn close(&self) -> std::io::Result<()> {
        let sums = self.sums.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        sums.sync_data()?;
        sums.write_all_at(&header(true), 0)?;
        sums.sync_data()?;
        self.file.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.file.try_lock_range(start, end)
    }

    fn try_lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.file.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.file.lock_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.file.lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.file.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.file.query_lock_range(start, end)
    }
}

/// The sum of each block, and the one before it.
#[derive(Debug, Default)]
struct Sums {
    clean: bool,
    boot: Vec<u8>,
    records: u64,
    /// By block; one without a record was never written, and holds zeros.
    of: Vec<(Sum, Sum)>,
    /// Whether a record cannot be right.
    damaged: bool,
    /// The blocks of the last write: those that a killed process may have summed and not written.
    last: Range<u64>,
}

impl Sums {
    /// Reads a file of sums; none when it is something else.
    fn read(file: &mut File) -> std::io::Result<Option<Self>> {
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        let Some((head, rest)) = bytes.split_at_checked(HEADER_BYTES) else { return Ok(None) };
        if !head.starts_with(MAGIC) {
            return Ok(None);
        }
        let mut sums = Self {
            clean: head.get(CLEAN_AT) == Some(&1),
            boot: head.get(BOOT_AT..).unwrap_or_default().to_vec(),
            ..Self::default()
        };
        // A record that was cut short belongs to a block that was never written.
        for record in rest.chunks_exact(RECORD_BYTES) {
            let Some((block, sum)) = record.split_first_chunk::<4>() else { continue };
            let Ok(sum) = Sum::try_from(sum) else { continue };
            sums.records += 1;
            sums.take(u32::from_le_bytes(*block), sum);
        }
        Ok(Some(sums))
    }

    fn take(&mut self, block: u32, sum: Sum) {
        if block == CUT {
            let blocks = sum.first_chunk::<8>().map_or(u64::MAX, |blocks| u64::from_le_bytes(*blocks));
            for (before, latest) in self.of.iter_mut().skip(index(blocks)) {
                *before = std::mem::replace(latest, zero_sum());
            }
            self.last = blocks..u64::from(CUT);
        } else {
            let number = u64::from(block);
            // Records of one write follow each other; that two writes may look like one does no harm.
            let first = if self.last.end == number { self.last.start } else { number };
            self.last = first..number + 1;
            let place = index(number);
            if place >= BLOCKS_MAX {
                // No database is that large: the record itself was changed.
                self.damaged = true;
            } else if self.of.len() <= place {
                self.of.resize(place + 1, (zero_sum(), zero_sum()));
            }
            if let Some((before, latest)) = self.of.get_mut(place) {
                *before = std::mem::replace(latest, sum);
            }
        }
    }

    /// Takes back the sums of a write that a killed process announced and did not do.
    fn settle(&mut self, database: &File) -> std::io::Result<()> {
        let last = self.last.clone();
        let blocks = (0_u64..).zip(&mut self.of).filter(|(block, _)| last.contains(block));
        for (block, (before, latest)) in blocks {
            let mut bytes = [0; BLOCK_BYTES];
            let mut held = 0;
            while let Some(rest) = bytes.get_mut(held..).filter(|rest| !rest.is_empty()) {
                match database.read_at(rest, block * BLOCK_BYTES as u64 + held as u64)? {
                    0 => break,
                    read => held += read,
                }
            }
            if *before == sum_of(&bytes) {
                *latest = sum_of(&bytes);
            }
        }
        Ok(())
    }

    /// Sums a database file as it stands.
    fn made_of(file: &File) -> std::io::Result<Self> {
        let mut sums = Self::default();
        each_block(file, |_, sum| sums.of.push((sum, sum)))?;
        Ok(sums)
    }

    /// Whether the sums are of what the file holds: since then, nothing but this program wrote it.
    fn usable(&self) -> bool {
        self.clean || self.boot == header(false).get(BOOT_AT..).unwrap_or_default()
    }

    fn fits(&self, block: u64, sum: &Sum) -> bool {
        if self.damaged {
            return false;
        }
        let may_be_older = !self.clean && self.last.contains(&block);
        match self.of.get(index(block)) {
            Some((before, latest)) => latest == sum || (may_be_older && before == sum),
            None => *sum == zero_sum(),
        }
    }

    /// Writes the file of sums anew; one that is cut short has no header, and is none.
    fn write(&self, file: &mut File) -> std::io::Result<()> {
        let mut records = Vec::with_capacity(self.of.len() * RECORD_BYTES);
        // The first comes once more at the end, so that the last write was of that block alone.
        for (block, (_, latest)) in (0_u64..).zip(&self.of).chain((0_u64..).zip(self.of.iter().take(1))) {
            push(&mut records, block, latest)?;
        }
        file.set_len(0)?;
        file.write_all_at(&records, HEADER_BYTES as u64)?;
        file.write_all_at(&header(false), 0)
    }
}

fn push(records: &mut Vec<u8>, block: u64, sum: &Sum) -> std::io::Result<()> {
    let block = u32::try_from(block).ok().filter(|block| (*block as usize) < BLOCKS_MAX);
    let block = block.ok_or_else(|| std::io::Error::other("the database would grow over its limit of 16 GiB"))?;
    records.extend_from_slice(&block.to_le_bytes());
    records.extend_from_slice(sum);
    Ok(())
}

fn sum_of(block: &[u8]) -> Sum {
    blake3::hash(block).as_bytes().first_chunk().copied().unwrap_or_default()
}

fn zero_sum() -> Sum {
    static ZERO: std::sync::OnceLock<Sum> = std::sync::OnceLock::new();
    *ZERO.get_or_init(|| sum_of(&[0; BLOCK_BYTES]))
}

/// Shows the sum of each block of a file; the last one counts as filled up with zeros.
fn each_block(file: &File, mut show: impl FnMut(u64, Sum)) -> std::io::Result<()> {
    let mut reader = std::io::BufReader::with_capacity(256 * BLOCK_BYTES, file);
    reader.rewind()?;
    for block in 0.. {
        let mut bytes = [0; BLOCK_BYTES];
        let mut held = 0;
        while let Some(rest) = bytes.get_mut(held..).filter(|rest| !rest.is_empty()) {
            match reader.read(rest)? {
                0 => break,
                read => held += read,
            }
        }
        if held == 0 {
            break;
        }
        show(block, sum_of(&bytes));
    }
    Ok(())
}

fn header(clean: bool) -> [u8; HEADER_BYTES] {
    let mut header = [0; HEADER_BYTES];
    let boot = std::fs::read("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let parts = MAGIC.iter().copied().chain([u8::from(clean)]).chain(boot.trim_ascii().iter().copied());
    for (place, byte) in header.iter_mut().zip(parts) {
        *place = byte;
    }
    header
}

fn index(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Options, Store, StoreError};

    fn registry() -> tempfile::TempDir {
        let directory = tempfile::tempdir().expect("a directory");
        let store = Store::open(&Options { directory: directory.path().to_owned(), create: true }).expect("opens");
        for number in 0..20_u8 {
            let write = store.write_blocking(move |txn| txn.put_meta(&format!("key-{number}"), &[number; 3_000]));
            write.map_err(|error: StoreError| error).expect("written");
        }
        close(&store);
        directory
    }

    fn close(store: &Store) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(store.close());
    }

    /// Leaves a record as the last thing that a killed process wrote.
    fn killed_after(directory: &tempfile::TempDir, record: &[u8]) {
        let path = directory.path().join(SUMS_FILE);
        let sums = OpenOptions::new().write(true).open(path).expect("writable");
        sums.write_all_at(&[0], CLEAN_AT as u64).expect("written");
        sums.write_all_at(record, sums.metadata().expect("readable").len()).expect("written");
    }

    #[test]
    fn every_flipped_byte_is_noticed_also_where_no_page_is_used() {
        let directory = registry();
        let path = directory.path().join("registry.redb");
        assert_eq!(check(directory.path()).expect("readable"), Finding::Whole);
        let bytes = std::fs::read(&path).expect("readable");
        for step in 0..200 {
            let at = step * (bytes.len() / 200) + step % 4_096;
            let mut flipped = bytes.clone();
            let Some(byte) = flipped.get_mut(at) else { break };
            *byte ^= 1 << (step % 8);
            std::fs::write(&path, &flipped).expect("writable");
            let block = (at / BLOCK_BYTES) as u64;
            assert_eq!(check(directory.path()).expect("readable"), Finding::Changed(vec![block]), "byte {at}");
        }
        std::fs::write(&path, bytes.get(..bytes.len() / 2).unwrap_or_default()).expect("writable");
        assert!(matches!(check(directory.path()).expect("readable"), Finding::Changed(_)), "cut in half");
    }

    #[test]
    fn a_write_that_was_killed_between_sum_and_block_is_whole_either_way() {
        let directory = registry();
        let mut record = 7_u32.to_le_bytes().to_vec();
        record.extend_from_slice(&[9; 12]);
        killed_after(&directory, &record);
        assert_eq!(check(directory.path()).expect("readable"), Finding::Whole);
        killed_after(&directory, &record[..5]);
        assert_eq!(check(directory.path()).expect("readable"), Finding::Whole);
        let store = Store::open(&Options { directory: directory.path().to_owned(), create: false }).expect("opens");
        store.write_blocking(|txn| txn.put_meta("after", b"x")).map_err(|error: StoreError| error).expect("written");
        close(&store);
        assert_eq!(check(directory.path()).expect("readable"), Finding::Whole);
    }

    #[test]
    fn the_first_write_of_a_block_is_whole_also_when_it_was_killed() {
        let directory = registry();
        let database = OpenOptions::new().write(true).open(directory.path().join("registry.redb")).expect("writable");
        let length = database.metadata().expect("readable").len();
        database.set_len(length + BLOCK_BYTES as u64).expect("grown");
        assert_eq!(check(directory.path()).expect("readable"), Finding::Whole);
        let mut record = u32::try_from(length / BLOCK_BYTES as u64).expect("small").to_le_bytes().to_vec();
        record.extend_from_slice(&[9; 12]);
        killed_after(&directory, &record);
        assert_eq!(check(directory.path()).expect("readable"), Finding::Whole);
    }

    #[test]
    fn without_sums_nothing_is_claimed_and_the_next_start_makes_them() {
        let directory = registry();
        std::fs::remove_file(directory.path().join(SUMS_FILE)).expect("removed");
        assert_eq!(check(directory.path()).expect("readable"), Finding::Unknown);
        close(&Store::open(&Options { directory: directory.path().to_owned(), create: false }).expect("opens"));
        assert_eq!(check(directory.path()).expect("readable"), Finding::Whole);
    }
}
