//! Large deltas for replicas: built once for all that request the same, at the speed of the disk, and sent at the speed
//! of each receiver.
//!
//! A slow receiver costs a slot and a chunk in memory. It holds no read transaction, which would make the database
//! grow, and no thread.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tempfile::SpooledData;
use tokio::sync::{OnceCell, mpsc};
use tokio::time::Instant;

use super::publish_error::PublishError;
use crate::model::position::Position;

/// Deltas up to this size stay in memory, in bytes; larger ones go to an unlinked file in the data directory.
const MEMORY_BYTES: usize = 1_024 * 1_024;
/// How long a delta in a file is reused after newer states exist. Its receiver then polls for what followed, as after
/// any answer.
const GOOD: Duration = Duration::from_secs(30);
/// The same while no more files can be created.
const GOOD_IN_NEED: Duration = Duration::from_secs(10 * 60);
/// Most files at once, including those that are still being sent.
const FILES_MAX: usize = 8;
/// Number of deltas that are kept for reuse.
const SLOTS_MAX: usize = 32;
/// Most deltas that are sent at once, and per access token.
const TAKERS_MAX: usize = 256;
const TAKERS_SHARE: usize = 64;
/// Chunk size of a delta, in bytes.
const PIECE_BYTES: usize = 64 * 1_024;

/// The chunks of a delta.
pub(super) type DeltaChunks = mpsc::Receiver<std::io::Result<Bytes>>;

/// Large deltas, by start position.
pub(super) struct Spools {
    /// How long a delta in a file is reused.
    good: Duration,
    /// The same while no more files can be created.
    good_in_need: Duration,
    slots: Mutex<BTreeMap<Position, Arc<Slot>>>,
    files: Arc<AtomicUsize>,
    takers: Arc<TransferCounts>,
}

#[derive(Default)]
struct Slot {
    made: OnceCell<Arc<Spool>>,
}

/// A delta with the note that signs its result.
pub(super) struct Spool {
    pub(super) note: Bytes,
    /// Its end position.
    to: Position,
    data: Data,
    at: Instant,
}

enum Data {
    Memory(Bytes),
    File(File, u64, #[allow(dead_code, reason = "it counts the file for as long as it is there")] FileCount),
}

/// Counts a file while it exists.
struct FileCount(Arc<AtomicUsize>);

impl Drop for FileCount {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Default for Spools {
    fn default() -> Self {
        Self {
            good: GOOD,
            good_in_need: GOOD_IN_NEED,
            slots: Mutex::default(),
            files: Arc::default(),
            takers: Arc::default(),
        }
    }
}

impl Spools {
    /// The delta between these positions; or a recent one in a file with an earlier end.
    ///
    /// # Errors
    /// Too many files exist already, or building it fails.
    pub(super) async fn get(
        self: &Arc<Self>,
        (from, to): (Position, Position),
        directory: &Path,
        make: impl FnOnce(&mut dyn Write) -> Result<Bytes, PublishError> + Send + 'static,
        busy: impl Fn() -> PublishError,
    ) -> Result<Arc<Spool>, PublishError> {
        let slot = {
            let mut slots = self.lock();
            let good = self.lifetime();
            // One that is still being built is as new as possible.
            let of_use = |spool: &Arc<Spool>| spool.to == to || (spool.is_file() && spool.at.elapsed() < good);
            if slots.get(&from).and_then(|slot| slot.made.get()).is_some_and(|spool| !of_use(spool)) {
                slots.remove(&from);
            }
            match slots.get(&from) {
                Some(slot) => Arc::clone(slot),
                None if self.files.load(Ordering::Relaxed) >= FILES_MAX => return Err(busy()),
                None => {
                    while slots.len() >= SLOTS_MAX {
                        let at = |slot: &Slot| slot.made.get().map(|spool| spool.at);
                        let oldest = slots.iter().filter_map(|(from, slot)| Some((at(slot)?, *from))).min();
                        let Some((_, oldest)) = oldest else { return Err(busy()) };
                        slots.remove(&oldest);
                    }
                    Arc::clone(slots.entry(from).or_default())
                }
            }
        };
        let (spools, directory) = (Arc::clone(self), directory.to_owned());
        // In a separate task: the client may disconnect before it is ready, and the next one can use it.
        let making = tokio::spawn(async move {
            let made = slot.made.get_or_try_init(|| async {
                let counted = FileCount(Arc::clone(&spools.files));
                let write = move || write(to, &directory, make, counted);
                tokio::task::spawn_blocking(write).await.unwrap_or(Err(PublishError::Stopped)).map(Arc::new)
            });
            let made = made.await.cloned();
            match &made {
                Ok(_) => spools.forget_later(from, &slot),
                Err(_) => spools.forget(from, &slot),
            }
            made
        });
        making.await.unwrap_or(Err(PublishError::Stopped))
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Position, Arc<Slot>>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn forget(&self, from: Position, slot: &Arc<Slot>) {
        let mut slots = self.lock();
        if slots.get(&from).is_some_and(|known| Arc::ptr_eq(known, slot)) {
            slots.remove(&from);
        }
    }

    /// How long a delta in a file is reused now.
    fn lifetime(&self) -> Duration {
        if self.files.load(Ordering::Relaxed) < FILES_MAX { self.good } else { self.good_in_need }
    }

    /// Drops a delta that is no longer reused.
    fn forget_later(self: &Arc<Self>, from: Position, slot: &Arc<Slot>) {
        let (spools, slot, pause) = (Arc::downgrade(self), Arc::downgrade(slot), self.good);
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(pause).await;
                let (Some(spools), Some(slot)) = (spools.upgrade(), slot.upgrade()) else { return };
                let of_use = |spool: &Arc<Spool>| spool.is_file() && spool.at.elapsed() < spools.lifetime();
                if !slot.made.get().is_some_and(of_use) {
                    return spools.forget(from, &slot);
                }
            }
        });
    }

    /// A slot for another receiver, if there is one.
    pub(super) fn place(&self, taker: &str) -> Option<TransferPermit> {
        TransferCounts::place(&self.takers, taker)
    }
}

/// Builds a delta: in memory while it is small.
fn write(
    to: Position,
    directory: &Path,
    make: impl FnOnce(&mut dyn Write) -> Result<Bytes, PublishError>,
    counted: FileCount,
) -> Result<Spool, PublishError> {
    counted.0.fetch_add(1, Ordering::Relaxed);
    let mut out = std::io::BufWriter::new(tempfile::spooled_tempfile_in(MEMORY_BYTES, directory));
    let note = make(&mut out)?;
    let data = match out.into_inner().map_err(std::io::IntoInnerError::into_error)?.into_inner() {
        SpooledData::InMemory(bytes) => Data::Memory(bytes.into_inner().into()),
        SpooledData::OnDisk(file) => {
            let length = file.metadata()?.len();
            Data::File(file, length, counted)
        }
    };
    Ok(Spool { note, to, data, at: Instant::now() })
}

impl Spool {
    /// Sends it, as fast as it is received.
    pub(super) fn send(self: Arc<Self>, place: TransferPermit) -> DeltaChunks {
        let (sender, receiver) = mpsc::channel(1);
        tokio::spawn(async move {
            let _until_sent = place;
            let mut offset = 0;
            while let Some(piece) = Arc::clone(&self).chunk_at(offset).await.transpose() {
                offset += piece.as_ref().map_or(0, |piece| piece.len() as u64);
                let failed = piece.is_err();
                if sender.send(piece).await.is_err() || failed {
                    return;
                }
            }
        });
        receiver
    }

    /// The chunk at an offset; `None` at the end.
    async fn chunk_at(self: Arc<Self>, offset: u64) -> std::io::Result<Option<Bytes>> {
        let rest = self.length().saturating_sub(offset);
        let length = usize::try_from(rest).unwrap_or(usize::MAX).min(PIECE_BYTES);
        if length == 0 {
            return Ok(None);
        }
        let start = usize::try_from(offset).map_err(std::io::Error::other)?;
        if let Data::Memory(bytes) = &self.data {
            return Ok(Some(bytes.slice(start..start + length)));
        }
        let read = move || {
            let mut piece = vec![0; length];
            if let Data::File(file, ..) = &self.data {
                file.read_exact_at(&mut piece, offset)?;
            }
            Ok(Some(Bytes::from(piece)))
        };
        tokio::task::spawn_blocking(read).await.map_err(std::io::Error::other)?
    }

    const fn is_file(&self) -> bool {
        matches!(self.data, Data::File(..))
    }

    fn length(&self) -> u64 {
        match &self.data {
            Data::Memory(bytes) => bytes.len() as u64,
            Data::File(_, length, _) => *length,
        }
    }
}

/// Number of deltas being sent to each receiver.
#[derive(Default)]
struct TransferCounts(Mutex<BTreeMap<String, usize>>);

/// A slot for sending a delta.
pub(super) struct TransferPermit {
    takers: Arc<TransferCounts>,
    taker: String,
}

impl TransferCounts {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn place(this: &Arc<Self>, taker: &str) -> Option<TransferPermit> {
        let mut takers = this.lock();
        let taken: usize = takers.values().sum();
        let own = takers.get(taker).copied().unwrap_or(0);
        if taken >= TAKERS_MAX || own >= TAKERS_SHARE {
            return None;
        }
        takers.insert(taker.to_owned(), own + 1);
        Some(TransferPermit { takers: Arc::clone(this), taker: taker.to_owned() })
    }
}

impl Drop for TransferPermit {
    fn drop(&mut self) {
        let mut takers = self.takers.lock();
        if let Some(own) = takers.get_mut(&self.taker) {
            *own -= 1;
            if *own == 0 {
                takers.remove(&self.taker);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const END: Position = Position { epoch: 1, seq: 9 };
    const BUSY: fn() -> PublishError = || PublishError::Busy { retry_after_s: 1 };

    fn make(
        bytes: usize,
        made: &Arc<AtomicUsize>,
    ) -> impl FnOnce(&mut dyn Write) -> Result<Bytes, PublishError> + use<> {
        let made = Arc::clone(made);
        move |out: &mut dyn Write| {
            made.fetch_add(1, Ordering::Relaxed);
            let data: Vec<u8> = (0..bytes).map(|at| u8::try_from(at % 251).expect("small")).collect();
            out.write_all(&data)?;
            Ok(Bytes::from_static(b"note"))
        }
    }

    async fn taken(mut pieces: DeltaChunks) -> Vec<u8> {
        let mut whole = Vec::new();
        while let Some(piece) = pieces.recv().await {
            whole.extend_from_slice(&piece.expect("a piece"));
        }
        whole
    }

    #[tokio::test]
    async fn forty_slow_takers_share_one_file_and_a_newcomer_gets_all_of_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let (spools, made) = (Arc::new(Spools::default()), Arc::new(AtomicUsize::new(0)));
        let bytes = MEMORY_BYTES * 2 + 17;
        let mut slow = Vec::new();
        for number in 0..40 {
            let spool =
                spools.get((Position::default(), END), folder.path(), make(bytes, &made), BUSY).await.expect("a delta");
            let mut pieces = spool.send(spools.place(&format!("slow-{}", number % 3)).expect("a place"));
            assert_eq!(pieces.recv().await.expect("a piece").expect("read").len(), PIECE_BYTES);
            slow.push(pieces);
        }
        let spool =
            spools.get((Position::default(), END), folder.path(), make(bytes, &made), BUSY).await.expect("a delta");
        let whole = taken(spool.send(spools.place("newcomer").expect("a place"))).await;
        assert_eq!(whole.len(), bytes);
        assert!(whole.iter().enumerate().all(|(at, byte)| usize::from(*byte) == at % 251));
        assert_eq!((made.load(Ordering::Relaxed), spools.files.load(Ordering::Relaxed)), (1, 1));
        assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 0, "no file has a name");
        drop(slow);
    }

    #[tokio::test]
    async fn old_delta_is_rebuilt_and_its_file_is_removed_after_the_last_download() {
        let folder = tempfile::tempdir().expect("a folder");
        let spools = Arc::new(Spools { good: Duration::ZERO, ..Spools::default() });
        let made = Arc::new(AtomicUsize::new(0));
        let get = |seq| {
            let to = Position { epoch: 1, seq };
            spools.get((Position::default(), to), folder.path(), make(MEMORY_BYTES * 2, &made), BUSY)
        };
        let first = get(1).await.expect("a delta").send(spools.place("slow").expect("a place"));
        let _second = get(2).await.expect("a delta");
        assert_eq!((made.load(Ordering::Relaxed), spools.files.load(Ordering::Relaxed)), (2, 2));
        drop(first);
        let gone = async {
            while spools.files.load(Ordering::Relaxed) > 1 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), gone).await.expect("the first file is gone");
    }

    #[tokio::test]
    async fn delta_is_reused_longer_at_the_file_limit() {
        let folder = tempfile::tempdir().expect("a folder");
        let (good, good_in_need) = (Duration::from_millis(5), Duration::from_secs(3));
        let spools = Arc::new(Spools { good, good_in_need, ..Spools::default() });
        let made = Arc::new(AtomicUsize::new(0));
        let get = |from, to| {
            let range = (Position { epoch: 1, seq: from }, Position { epoch: 1, seq: to });
            spools.get(range, folder.path(), make(MEMORY_BYTES * 2, &made), BUSY)
        };
        let until_forgotten = async || {
            let forgotten = async {
                while !spools.lock().is_empty() {
                    tokio::time::sleep(good).await;
                }
            };
            tokio::time::timeout(Duration::from_secs(20), forgotten).await.expect("all deltas are forgotten");
        };
        let _only = get(0, 100).await.expect("a delta");
        until_forgotten().await;
        let mut held = Vec::new();
        for from in 0..7 {
            held.push(get(from, 100).await.expect("a delta"));
        }
        // Including the first, which is still being sent, the limit of files is reached.
        let began = Instant::now();
        assert_eq!(spools.files.load(Ordering::Relaxed), FILES_MAX);
        let last = spools.lock().keys().next_back().copied().expect("a delta");
        assert!(matches!(get(9, 200).await, Err(PublishError::Busy { .. })), "there is no room for another file");
        until_forgotten().await;
        assert!(began.elapsed() > good_in_need / 2, "{last} was forgotten after {:?}", began.elapsed());
    }

    #[tokio::test]
    async fn small_delta_is_rebuilt_for_each_new_state() {
        let folder = tempfile::tempdir().expect("a folder");
        let (spools, made) = (Arc::new(Spools::default()), Arc::new(AtomicUsize::new(0)));
        for seq in [1, 1, 2, 2, 3] {
            let to = Position { epoch: 1, seq };
            let spool = spools.get((Position::default(), to), folder.path(), make(100, &made), BUSY).await;
            assert_eq!(spool.expect("a delta").to, to);
        }
        assert_eq!((made.load(Ordering::Relaxed), spools.files.load(Ordering::Relaxed)), (3, 0));
    }

    #[test]
    fn one_taker_has_a_quarter_of_the_places() {
        let spools = Spools::default();
        let mut places: Vec<TransferPermit> =
            (0..TAKERS_SHARE).map(|_| spools.place("greedy").expect("a place")).collect();
        assert!(spools.place("greedy").is_none());
        for number in 0..TAKERS_MAX - TAKERS_SHARE {
            places.push(spools.place(&format!("other-{number}")).expect("a place"));
        }
        assert!(spools.place("late").is_none(), "all are taken");
        places.truncate(TAKERS_SHARE - 1);
        assert!(spools.place("greedy").is_some() && spools.place("late").is_some());
    }
}
