//! What a primary provides to replicas (signed records, checkpoints, deltas) and to operators (backups, bundles).
//!
//! A poll waits until something changed. All polls that wait for the same change share one delta; large ones go through
//! [`spools`](super::spools).

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use tokio::sync::{OnceCell, watch};
use tokio_util::sync::CancellationToken;

use super::bundle;
use super::connected_replicas::{ConnectedReplica, ConnectedReplicas, Propagation, ReplicaIdentity};
use super::publish_error::PublishError;
use super::spools::{DeltaChunks, Spools, TransferPermit};
use super::witness::{self, UnknownCommit};
use crate::api::status::ReplicaReport;
use crate::clock::Clock;
use crate::metrics::Metrics;
use crate::model::position::Position;
use crate::model::time::Timestamp;
use crate::signing::signer::Signer;
use crate::signing::trust_files;
use crate::store::delta::{self, Scope};
use crate::store::outdated::Outdated;
use crate::store::read::{Head, ReadTxn};
use crate::store::{Committed, Store, StoreError};
use crate::trust::checkpoint::all_view_definition;
use crate::trust::checkpoint::{LIVE_LIFETIME_S, VIEW_ALL};
use crate::trust::epoch::EpochRecord;

/// How long a poll waits for a change: below the idle timeouts of proxies.
const WAIT: Duration = Duration::from_secs(25);
/// Most polls that wait at once.
const WAITERS_MAX: usize = 12_000;
/// Number of changes up to which a delta is built in memory and shared.
const SHARED_CHANGES_MAX: usize = 1_000;
/// Number of shared deltas that are kept.
const SHARED_DELTAS_MAX: usize = 16;
/// Age from which a note is signed again before it is sent, in milliseconds.
const NOTE_AGE_MS_MAX: i64 = 5_000;
/// The delay that a busy primary asks for, in seconds.
const RETRY_AFTER_S: u64 = 2;

/// An answer to a poll: the first bytes, and a stream with the rest, if any.
pub struct Answer {
    /// The note after its length, and a small delta.
    pub head: Bytes,
    /// A large delta.
    pub rest: Option<DeltaChunks>,
    /// How long the replica waits before it reconnects, in milliseconds, if this server is shutting down.
    pub reconnect_ms: Option<u64>,
}

/// Serves the state of a primary; clones share it.
#[derive(Clone)]
pub struct Publisher(Arc<Inner>);

struct Inner {
    store: Store,
    signer: Arc<Signer>,
    clock: Arc<dyn Clock>,
    committed: watch::Receiver<Arc<Committed>>,
    note: ArcSwapOption<FreshNote>,
    #[allow(clippy::type_complexity, reason = "deltas by where they begin and end")]
    shared: Mutex<BTreeMap<(Position, u64), Arc<OnceCell<Bytes>>>>,
    spools: Arc<Spools>,
    waiters: AtomicUsize,
    followers: ConnectedReplicas,
    /// Evidence that newer state was published than the store contains.
    outdated: ArcSwapOption<Outdated>,
    metrics: Metrics,
}

struct FreshNote {
    position: Position,
    issued_ms: i64,
    note: Bytes,
}

impl Publisher {
    /// Serves the contents of a store, signed by its signer.
    #[must_use]
    pub fn new(store: Store, signer: Arc<Signer>, clock: Arc<dyn Clock>, metrics: Metrics) -> Self {
        let committed = store.committed();
        let outdated = store.read().and_then(|txn| txn.outdated()).unwrap_or_default();
        metrics.outdated.set(i64::from(outdated.is_some()));
        Self(Arc::new(Inner {
            store,
            signer,
            clock,
            committed,
            note: ArcSwapOption::empty(),
            shared: Mutex::new(BTreeMap::new()),
            spools: Arc::default(),
            waiters: AtomicUsize::new(0),
            followers: ConnectedReplicas::default(),
            outdated: ArcSwapOption::from(outdated.map(Arc::new)),
            metrics,
        }))
    }

    /// The signer of this node.
    pub fn signer(&self) -> &Arc<Signer> {
        &self.0.signer
    }

    /// The data directory, which has space for temporary files.
    pub fn directory(&self) -> &Path {
        self.0.store.directory()
    }

    /// A signed root document.
    pub fn root(&self, number: u64) -> Result<Option<Vec<u8>>, StoreError> {
        self.0.store.read()?.root(number)
    }

    /// A signed epoch record.
    pub fn epoch(&self, number: u64) -> Result<Option<Vec<u8>>, StoreError> {
        self.0.store.read()?.epoch(number)
    }

    /// The signed note of the newest state; absent for an unknown view.
    ///
    /// # Errors
    /// The store or signing fails.
    pub fn checkpoint(&self, view: &str) -> Result<Option<Bytes>, PublishError> {
        if view == VIEW_ALL { Ok(Some(self.0.note(&self.0.store.read()?)?)) } else { Ok(None) }
    }

    /// Accepts the proof of a replica's checkpoint ([`witness::pack`]). If this registry signed it and this primary
    /// does not have it, the primary stops signing permanently, until a new epoch begins. The signed records in the
    /// proof are stored, because the new epoch has to follow them.
    ///
    /// # Errors
    /// It is not signed by a key of this registry, or the store fails.
    pub async fn shown(&self, proof: Vec<u8>) -> Result<(), PublishError> {
        let inner = Arc::clone(&self.0);
        let unknown =
            blocking(move || Ok(witness::unknown(&proof, &inner.signer.registry, &inner.store.read()?)?)).await?;
        let Some(unknown) = unknown.filter(|_| self.outdated().is_none()) else { return Ok(()) };
        let UnknownCommit { published, note, roots, epochs } = unknown;
        let outdated = Outdated { published, since: self.now() };
        self.0.outdated.store(Some(Arc::new(outdated)));
        self.0.metrics.outdated.set(1);
        let kept = self.0.store.write(move |txn| txn.set_outdated(outdated, &note)).await;
        let error = self.0.refusal(&outdated);
        tracing::error!(error = &error as &dyn std::error::Error, "this primary has stopped writing and signing");
        let inner = Arc::clone(&self.0);
        blocking(move || Ok(trust_files::publish(inner.store.directory(), &roots, &epochs)?)).await?;
        Ok(kept?)
    }

    /// Evidence from a replica that newer state was published than this node has.
    pub fn outdated(&self) -> Option<(Outdated, StoreError)> {
        let outdated = *self.0.outdated.load_full()?;
        Some((outdated, self.0.refusal(&outdated)))
    }

    /// Number of waiting polls.
    pub fn waiters(&self) -> usize {
        self.0.waiters.load(Ordering::Relaxed)
    }

    /// Waits for what follows a position; absent for an unknown view. `taker` has a share of the downloads.
    ///
    /// # Errors
    /// Too many polls are waiting, or the store or signing fails.
    pub async fn next(
        &self,
        view: &str,
        after: Position,
        taker: &str,
        stop: &CancellationToken,
    ) -> Result<Option<Answer>, PublishError> {
        if view != VIEW_ALL {
            return Ok(None);
        }
        let _waiting = PollGuard::begin(&self.0)?;
        let mut committed = self.0.committed.clone();
        let up_to_date = |head: Head| after.epoch == head.position.epoch && after.seq >= head.changed;
        let mut reconnect_ms = None;
        let head = committed.borrow_and_update().head;
        if up_to_date(head) && after.seq <= head.position.seq {
            tokio::select! {
                () = stop.cancelled() => reconnect_ms = Some(self.spread()),
                _ = committed.wait_for(|committed| !up_to_date(committed.head)) => {}
                () = tokio::time::sleep(WAIT) => {}
            }
        }
        // Boxed: waiting polls, of which there are thousands, do not reserve the space for building an answer.
        Box::pin(self.answer(after, taker, reconnect_ms)).await.map(Some)
    }

    /// What a replica at `after` needs now.
    async fn answer(&self, after: Position, taker: &str, reconnect_ms: Option<u64>) -> Result<Answer, PublishError> {
        let woken = Instant::now();
        let inner = Arc::clone(&self.0);
        let Some(made) = blocking(move || inner.begin_answer(after)).await? else {
            let inner = Arc::clone(&self.0);
            let note = blocking(move || inner.note(&inner.store.read()?)).await?;
            return Ok(Answer { head: framed(&note, &[]), rest: None, reconnect_ms });
        };
        let answer = if made.small {
            let delta = self.shared(made.txn, (made.from, made.to.seq)).await?;
            Answer { head: framed(&made.note, &delta), rest: None, reconnect_ms }
        } else {
            let busy = PublishError::Busy { retry_after_s: RETRY_AFTER_S };
            let place = self.0.spools.place(taker).ok_or(busy)?;
            let (note, pieces) = self.spooled(made, place).await?;
            Answer { head: framed(&note, &[]), rest: Some(pieces), reconnect_ms }
        };
        self.0.metrics.wake_seconds.observe(woken.elapsed().as_secs_f64());
        Ok(answer)
    }

    /// One small delta for all polls from the same position.
    async fn shared(&self, txn: ReadTxn, (from, to): (Position, u64)) -> Result<Bytes, PublishError> {
        let cell = {
            let mut shared = self.0.shared.lock().unwrap_or_else(PoisonError::into_inner);
            while shared.len() >= SHARED_DELTAS_MAX && !shared.contains_key(&(from, to)) {
                // The one with the earliest end is requested least.
                let Some(oldest) = shared.keys().min_by_key(|(_, to)| *to).copied() else { break };
                shared.remove(&oldest);
            }
            Arc::clone(shared.entry((from, to)).or_default())
        };
        let (hits, misses) = (&self.0.metrics.delta_cache_hits, &self.0.metrics.delta_cache_misses);
        if cell.initialized() {
            hits.inc()
        } else {
            misses.inc()
        };
        let scope = self.0.scope();
        let make = || async {
            blocking(move || {
                let mut bytes = Vec::new();
                delta::write(&txn, &scope, from, &mut bytes)?;
                Ok(Bytes::from(bytes))
            })
            .await
        };
        cell.get_or_try_init(make).await.cloned()
    }

    /// A large delta, built once for all polls from the same position.
    async fn spooled(
        &self,
        started: StartedAnswer,
        place: TransferPermit,
    ) -> Result<(Bytes, DeltaChunks), PublishError> {
        let StartedAnswer { txn, note, from, to, .. } = started;
        let scope = self.0.scope();
        let make = move |out: &mut dyn Write| -> Result<Bytes, PublishError> {
            delta::write(&txn, &scope, from, out)?;
            Ok(note)
        };
        let busy = || PublishError::Busy { retry_after_s: RETRY_AFTER_S };
        let spool = self.0.spools.get((from, to), self.0.store.directory(), make, busy).await?;
        Ok((spool.note.clone(), spool.send(place)))
    }

    /// Records a report of a replica.
    pub fn report(&self, report: ReplicaReport, follows_as: Option<ReplicaIdentity>) {
        self.0.followers.report(report, follows_as, self.now());
    }

    /// Records the position of a replica that identifies itself; an invalid ID is ignored.
    pub fn record_replica(&self, replica: &str, holds: Position, follows_as: Option<ReplicaIdentity>) {
        self.0.followers.poll(replica, holds, follows_as, self.now());
    }

    /// Recent reports of replicas, by id.
    pub fn reports(&self) -> Vec<ReplicaReport> {
        self.followers().1.into_iter().filter_map(|follower| follower.report).collect()
    }

    /// The position of this node, and all recently seen replicas, by id.
    pub fn followers(&self) -> (Head, Vec<ConnectedReplica>) {
        let head = self.0.committed.borrow().head;
        (head, self.0.followers.all(self.now()))
    }

    /// How many of the recently seen replicas have reached a position, and which have not.
    pub fn arrival(&self, position: Position) -> Propagation {
        let head = self.0.committed.borrow().head;
        self.0.followers.arrival(position, head, self.now())
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_ms(self.0.clock.now_ms())
    }

    /// Builds a bundle of everything, as a temporary tar file that is removed with its handle, even if this process is
    /// killed. `merged` is what replicas no longer have to keep of their telemetry.
    ///
    /// # Errors
    /// The lifetime exceeds what the root allows, or the store, signing or the disk fails.
    pub async fn bundle(&self, lifetime_days: u32, merged: Vec<bundle::Merged>) -> Result<File, PublishError> {
        let max = self.0.signer.max_lifetime_s / 86_400;
        if lifetime_days == 0 || u64::from(lifetime_days) > max {
            return Err(PublishError::BadLifetime { days: lifetime_days, max });
        }
        let inner = Arc::clone(&self.0);
        blocking(move || {
            inner.check_newest()?;
            let file = tempfile::tempfile_in(inner.store.directory())?;
            let lifetime_s = i64::from(lifetime_days) * 86_400;
            let (txn, scope) = (inner.store.read()?, inner.scope());
            let contents =
                bundle::Contents { txn: &txn, signer: &inner.signer, scope: &scope, lifetime_s, merged: &merged };
            bundle::export(&contents, &file, inner.store.directory())?;
            Ok(file)
        })
        .await
    }

    /// Copies the database to a temporary file that is removed with its handle, even if this process is killed.
    ///
    /// # Errors
    /// The store or the disk fails.
    pub async fn backup(&self) -> Result<File, PublishError> {
        let inner = Arc::clone(&self.0);
        blocking(move || {
            let file = tempfile::tempfile_in(inner.store.directory())?;
            crate::store::backup::copy_into(&inner.store.read()?, file.try_clone()?)?;
            Ok(file)
        })
        .await
    }

    /// A delay that spreads the reconnections of replicas over some seconds when a server stops.
    fn spread(&self) -> u64 {
        let window_ms = (self.waiters() as u64 * 2).clamp(1_000, 30_000);
        getrandom::u64().unwrap_or_default() % window_ms
    }
}

/// A snapshot for an answer, and the start of the answer.
struct StartedAnswer {
    txn: ReadTxn,
    note: Bytes,
    from: Position,
    to: Position,
    small: bool,
}

impl Inner {
    fn scope(&self) -> Scope {
        Scope {
            registry: self.signer.registry.clone(),
            view: VIEW_ALL.to_owned(),
            view_generation: all_view_definition().0,
        }
    }

    /// Decides what a replica at `after` needs; `None` if only a note.
    fn begin_answer(&self, after: Position) -> Result<Option<StartedAnswer>, PublishError> {
        let txn = self.store.read()?;
        let head = txn.head()?;
        let same_epoch = after.epoch == head.position.epoch;
        if same_epoch && (after.seq >= head.changed || after.seq > head.position.seq) {
            return Ok(None);
        }
        let from = if same_epoch || Self::leads_here(&txn, head, after)? { after } else { Position::default() };
        let small = from.seq >= head.floor
            && from.seq > 0
            && txn.changes_after(from.seq, SHARED_CHANGES_MAX + 1)?.len() <= SHARED_CHANGES_MAX;
        let note = self.note(&txn)?;
        Ok(Some(StartedAnswer { txn, note, from, to: head.position, small }))
    }

    /// Whether this epoch continued from a position of the previous one.
    fn leads_here(txn: &ReadTxn, head: Head, after: Position) -> Result<bool, PublishError> {
        let Some(note) = txn.epoch(head.position.epoch)? else { return Ok(false) };
        let note = crate::crypto::note::Note::parse(&note, crate::crypto::note::NOTE_BYTES_MAX);
        let record = note.ok().and_then(|note| EpochRecord::parse(note.text()).ok());
        let base = record.and_then(|record| record.base);
        Ok(base.is_some_and(|base| base.position.epoch == after.epoch && after.seq <= base.position.seq))
    }

    fn refusal(&self, outdated: &Outdated) -> StoreError {
        StoreError::Outdated { published: outdated.published, held: self.committed.borrow().head.position }
    }

    /// Refuses to sign if newer state was published than the store contains.
    fn check_newest(&self) -> Result<(), StoreError> {
        self.outdated.load().as_ref().map_or(Ok(()), |outdated| Err(self.refusal(outdated)))
    }

    /// A recently signed note of a snapshot.
    fn note(&self, txn: &ReadTxn) -> Result<Bytes, PublishError> {
        self.check_newest()?;
        let position = txn.head()?.position;
        let now_ms = self.clock.now_ms();
        if let Some(fresh) = self.note.load_full()
            && fresh.position == position
            && (0..NOTE_AGE_MS_MAX).contains(&(now_ms - fresh.issued_ms))
        {
            return Ok(fresh.note.clone());
        }
        let began = Instant::now();
        let note = Bytes::from(self.signer.sign_again(txn, LIVE_LIFETIME_S, |_| {})?);
        self.metrics.sign_seconds.observe(began.elapsed().as_secs_f64());
        self.note.store(Some(Arc::new(FreshNote { position, issued_ms: now_ms, note: note.clone() })));
        Ok(note)
    }
}

/// Counts a poll while it waits.
struct PollGuard<'a>(&'a Inner);

impl<'a> PollGuard<'a> {
    fn begin(inner: &'a Inner) -> Result<Self, PublishError> {
        if inner.waiters.fetch_add(1, Ordering::Relaxed) >= WAITERS_MAX {
            inner.waiters.fetch_sub(1, Ordering::Relaxed);
            return Err(PublishError::Busy { retry_after_s: RETRY_AFTER_S });
        }
        inner.metrics.waiters.inc();
        Ok(Self(inner))
    }
}

impl Drop for PollGuard<'_> {
    fn drop(&mut self) {
        self.0.waiters.fetch_sub(1, Ordering::Relaxed);
        self.0.metrics.waiters.dec();
    }
}

/// The note behind its length (`u32`, big-endian), then the data.
fn framed(note: &[u8], data: &[u8]) -> Bytes {
    let length = u32::try_from(note.len()).unwrap_or(u32::MAX);
    let mut head = Vec::with_capacity(4 + note.len() + data.len());
    head.extend_from_slice(&length.to_be_bytes());
    head.extend_from_slice(note);
    head.extend_from_slice(data);
    head.into()
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, PublishError> + Send + 'static,
) -> Result<T, PublishError> {
    tokio::task::spawn_blocking(work).await.unwrap_or(Err(PublishError::Stopped))
}
