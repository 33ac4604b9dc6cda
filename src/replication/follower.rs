//! A replica at work: carries out what the [engine](super::engine) says, and tells how fresh it is.
//!
//! Data, note, position and contact are written in one transaction; what resolves never waits for
//! any of this.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::bundle::Bundle;
use super::engine::{Action, Engine, Event, Failure, Memory, Now, Rejection, Settings, Source, Step};
use super::transport::{Data, Upstream};
use super::watermark;
use crate::api::status::{Freshness, ReplicaReport, Trouble};
use crate::clock::Clock;
use crate::metrics::Metrics;
use crate::model::position::Position;
use crate::model::time::Timestamp;
use crate::registry::seal::{MIN_READER, VIEW_ALL};
use crate::resolve::Resolver;
use crate::resolve::freshness::{Freshly, FreshnessCell};
use crate::store::delta::{self, Counts, Scope, Target};
use crate::store::read::{Head, ReadTxn, view_state};
use crate::store::{Store, StoreError};
use crate::trust::accept::{Accepted, Expectation, Refusal, TrustedTime, accept};
use crate::trust::checkpoint::{Checkpoint, all_view_definition};
use crate::trust::epoch::VerifiedEpoch;
use crate::trust::root::RootKeyId;
use crate::trust::root_chain::RootChain;

/// What the framing of a compressed delta may add to the signed size of its entries, per entry, in bytes.
const SPOOL_OVERHEAD_BYTES: u64 = 64;
/// What a spool may hold besides, in bytes.
const SPOOL_EXTRA_BYTES: u64 = 64 * 1_024;
/// How often a replica tells its upstream how it is.
const REPORT_EVERY: Duration = Duration::from_secs(30);
/// How often a replica looks at the clock for its own freshness.
const TICK: Duration = Duration::from_secs(1);
/// How long a poll may take before the upstream counts as out of contact, in milliseconds.
const CONTACT_MS_MAX: u64 = 40_000;
/// Contents that a boot checks against their names, found by chance.
const SAMPLES: u8 = 64;
/// Bundles that may wait to be looked at.
const OFFERS_MAX: usize = 16;

/// What a replica follows, and how.
#[derive(Clone, Debug)]
pub struct Following {
    /// Address of the upstream; none for a replica that is fed by bundles alone.
    pub upstream: Option<String>,
    /// Access token for the upstream.
    pub token: Option<String>,
    /// Certificates to trust besides the usual ones, as PEM.
    pub extra_ca: Option<Vec<u8>>,
    /// The root to trust, and the rest that the engine is told.
    pub settings: Settings,
    /// What this replica calls itself in reports.
    pub replica: String,
}

/// Why a replica could not be opened.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each message says what its variant means")]
pub enum OpenError {
    #[error(
        "this directory belongs to a primary; start it with `bookholder serve`, or give the replica another --data"
    )]
    IsPrimary,
    #[error("this directory follows the root key {held}, not {given}; give it the right --root-key, or another --data")]
    OtherRoot { held: String, given: RootKeyId },
    #[error(
        "what is stored does not prove itself: {0}; run `bookholder verify`, or start again with an empty directory"
    )]
    Trust(String),
    #[error(
        "the stored state is not the one that its checkpoint signs; run `bookholder verify`, or start again with an empty directory"
    )]
    State,
    #[error("the upstream's address or certificates cannot be used: {0}")]
    Upstream(String),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What a data directory of a replica holds, proved as far as its signatures go.
#[derive(Debug, Default)]
pub struct Recollection {
    /// For the engine.
    pub memory: Memory,
    /// When a verified note last came, in milliseconds since 1970.
    pub contact_ms: Option<i64>,
}

/// Reads back what a replica holds, and checks its signatures against the pinned root.
///
/// # Errors
/// The directory is a primary's or follows another root, or what it holds does not prove itself.
pub fn recollect(txn: &ReadTxn, directory: &Path, root_key: &RootKeyId) -> Result<Recollection, OpenError> {
    match txn.meta("pin")? {
        Some(pin) if pin != root_key.to_string().as_bytes() => {
            let held = String::from_utf8_lossy(&pin).into_owned();
            return Err(OpenError::OtherRoot { held, given: *root_key });
        }
        None if txn.meta("registry")?.is_some() => return Err(OpenError::IsPrimary),
        _ => {}
    }
    let trust = |error: &dyn std::fmt::Display| OpenError::Trust(error.to_string());
    let (roots, epoch_notes) = txn.trust()?;
    let mut chain: Option<RootChain> = None;
    for root in &roots {
        match &mut chain {
            None => chain = Some(RootChain::begin(root_key, root).map_err(|error| trust(&error))?),
            Some(chain) => {
                chain.extend(root).map_err(|error| trust(&error))?;
            }
        }
    }
    let mut epochs = Vec::new();
    for note in &epoch_notes {
        let chain = chain.as_ref().ok_or_else(|| trust(&"an epoch without a root"))?;
        epochs.push(VerifiedEpoch::verify(note, chain).map_err(|error| trust(&error))?);
    }
    let note = txn.meta("note")?;
    let held = match (&chain, note) {
        (Some(chain), Some(note)) => Some(check_note(&note, chain, &epochs).map_err(|error| trust(&error))?),
        _ => None,
    };
    if let Some(held) = &held {
        let namespaces = txn.namespaces()?;
        let state = view_state(namespaces.iter().map(|(name, state)| (name.as_str(), state)));
        let signed = (held.checkpoint.position(), held.checkpoint.state, held.checkpoint.entries);
        if (txn.head()?.position, state.hash, state.entries) != signed {
            return Err(OpenError::State);
        }
    }
    let chance: Vec<[u8; 32]> = (0..SAMPLES).map(|number| *blake3::hash(&[number, random_byte()]).as_bytes()).collect();
    if let Some(wrong) = crate::store::verify::sample(txn, &chance)? {
        return Err(OpenError::Trust(wrong));
    }
    let number = |key: &str| -> Result<Option<i64>, StoreError> {
        Ok(txn.meta(key)?.and_then(|bytes| bytes.try_into().ok()).map(i64::from_le_bytes))
    };
    let watermark = watermark::read(directory);
    if let (Some(mark), rank) = (watermark, held.as_ref().map(|held| held.held().rank))
        && rank.is_none_or(|rank| rank < mark)
    {
        tracing::warn!(watermark = %mark.position, "this directory holds less than it once did; it catches up before it believes anything older");
    }
    let memory = Memory { chain, epochs, held, watermark, time_floor_s: number("time_floor")?.unwrap_or(0) };
    Ok(Recollection { memory, contact_ms: number("contact")? })
}

fn random_byte() -> u8 {
    getrandom::u32().unwrap_or_default().to_le_bytes()[0]
}

/// Verifies a note by its signatures alone, whatever the time is.
///
/// # Errors
/// It is not signed by the key of its epoch, or not of this registry.
pub fn check_note(note: &[u8], chain: &RootChain, epochs: &[VerifiedEpoch]) -> Result<Accepted, Refusal> {
    let expectation = Expectation {
        registry: &chain.current().registry,
        view: VIEW_ALL,
        definition: all_view_definition(),
        chain,
        epochs,
        held: None,
        watermark: None,
        reader_version: MIN_READER,
        now: TrustedTime { now_s: i64::MIN, clock_trusted: false, floor_s: 0 },
    };
    accept(note, &expectation)
}

/// How a replica is, for status and for every answer.
#[derive(Clone)]
pub struct Health(Arc<Mutex<HealthInner>>);

#[derive(Clone, Debug)]
struct HealthInner {
    freshness: Freshness,
    since_ms: i64,
    /// When a verified note last came.
    contact_ms: Option<i64>,
    contact_monotonic_ms: u64,
    in_contact: bool,
    trouble: Option<Trouble>,
    checkpoint: Option<Checkpoint>,
    clock_untrusted: bool,
    held: bool,
    lost_commits: u64,
}

/// What [`Health`] says at one moment.
#[derive(Clone, Debug)]
pub struct HealthView {
    /// How fresh the state is.
    pub freshness: Freshness,
    /// Since when it is so.
    pub since: Timestamp,
    /// Seconds since the last verified contact.
    pub age_s: u64,
    /// The checkpoint of the state.
    pub checkpoint: Option<Checkpoint>,
    /// Whether the local clock is believed.
    pub clock_untrusted: bool,
    /// Whether the operator froze the replica.
    pub held: bool,
    /// Commits that this replica had and the registry gave up, since it was started.
    pub lost_commits: u64,
    /// What keeps it from following.
    pub trouble: Option<Trouble>,
}

/// A replica at work.
pub struct Follower {
    store: Store,
    resolver: Resolver,
    freshness: FreshnessCell,
    metrics: Metrics,
    clock: Arc<dyn Clock>,
    following: Following,
    engine: Engine,
    upstream: Option<Upstream>,
    health: Health,
    offers: mpsc::Receiver<PathBuf>,
    offering: mpsc::Sender<PathBuf>,
    scratch: PathBuf,
}

impl Follower {
    /// Opens a replica over a store: proves what it holds, and remembers the root it follows.
    ///
    /// # Errors
    /// As [`recollect`]; or the upstream's address cannot be used.
    pub fn open(
        store: Store,
        resolver: Resolver,
        freshness: FreshnessCell,
        metrics: Metrics,
        clock: Arc<dyn Clock>,
        following: Following,
    ) -> Result<Self, OpenError> {
        let directory = store.directory().to_owned();
        let txn = store.read()?;
        let recollection = recollect(&txn, &directory, &following.settings.root_key)?;
        if txn.meta("pin")?.is_none() {
            let pin = following.settings.root_key.to_string();
            store.write_blocking(move |txn| txn.put_meta("pin", pin.as_bytes()))?;
        }
        drop(txn);
        let upstream = following
            .upstream
            .as_ref()
            .map(|base| Upstream::new(base, following.token.clone(), following.extra_ca.as_deref()))
            .transpose()
            .map_err(|error| OpenError::Upstream(error.to_string()))?;
        let (now_ms, monotonic_ms) = (clock.now_ms(), clock.monotonic_ms());
        let held = recollection.memory.held.clone();
        resolver.set_ready(held.is_some());
        let health = Health(Arc::new(Mutex::new(HealthInner {
            freshness: if held.is_some() { Freshness::Stale } else { Freshness::Empty },
            since_ms: recollection.contact_ms.unwrap_or(now_ms),
            contact_ms: recollection.contact_ms,
            contact_monotonic_ms: monotonic_ms,
            in_contact: false,
            trouble: None,
            checkpoint: held.map(|held| held.checkpoint),
            clock_untrusted: false,
            held: following.settings.hold_at.is_some(),
            lost_commits: 0,
        })));
        let (offering, offers) = mpsc::channel(OFFERS_MAX);
        let engine = Engine::new(following.settings.clone(), recollection.memory);
        let follower = Self {
            store,
            resolver,
            freshness,
            metrics,
            clock,
            following,
            engine,
            upstream,
            health,
            offers,
            offering,
            scratch: directory,
        };
        follower.publish_freshness();
        Ok(follower)
    }

    /// How this replica is; stays up to date while it runs.
    #[must_use]
    pub fn health(&self) -> Health {
        self.health.clone()
    }

    /// Where directories with bundles can be offered.
    #[must_use]
    pub fn offering(&self) -> mpsc::Sender<PathBuf> {
        self.offering.clone()
    }

    /// Follows until it is told to stop.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut wait = Some(tokio::time::Instant::now());
        let mut tick = tokio::time::interval(TICK);
        let mut report = tokio::time::interval(REPORT_EVERY);
        let mut fetching: Option<tokio::task::JoinHandle<Fetched>> = None;
        let upstream = self.upstream.take().map(Arc::new);
        if upstream.is_none() {
            wait = None;
        }
        loop {
            let due = async {
                match wait {
                    Some(instant) => tokio::time::sleep_until(instant).await,
                    None => std::future::pending().await,
                }
            };
            let fetched = async {
                match &mut fetching {
                    Some(task) => task.await,
                    None => std::future::pending().await,
                }
            };
            let (event, data) = tokio::select! {
                () = stop.cancelled() => break,
                _ = tick.tick() => {
                    self.publish_freshness();
                    continue;
                }
                _ = report.tick(), if upstream.is_some() => {
                    self.send_report(upstream.as_ref());
                    continue;
                }
                Some(directory) = self.offers.recv() => {
                    if Bundle::find(&directory).is_some() {
                        self.import(&directory).await;
                    }
                    continue;
                }
                () = due => {
                    wait = None;
                    (Event::Due, None)
                }
                done = fetched => {
                    fetching = None;
                    match done {
                        Ok(fetched) => fetched.into_event(),
                        Err(error) => (Event::Failed(Failure::Malformed, error.to_string()), None),
                    }
                }
            };
            // A download may take an hour, and a stop must not wait for it; what is written is written whole.
            let (requests, next_wait) = tokio::select! {
                () = stop.cancelled() => break,
                done = self.step(event, data) => done,
            };
            if let Some(ms) = next_wait {
                wait = Some(tokio::time::Instant::now() + Duration::from_millis(ms));
            }
            if let (Some(request), Some(upstream)) = (requests, &upstream) {
                let upstream = Arc::clone(upstream);
                fetching = Some(tokio::spawn(async move { request.fetch(&upstream).await }));
            }
        }
        if let Some(task) = fetching {
            task.abort();
        }
    }

    /// Imports a bundle as a live answer is applied; what is wrong with it is reported.
    ///
    /// Returns whether the replica now holds what the bundle holds, or newer.
    pub async fn import(&mut self, directory: &Path) -> bool {
        let offered = Bundle::find(directory)
            .ok_or_else(|| Rejection { reason: "missing", detail: format!("{} holds no bundle", directory.display()) })
            .and_then(|bundle| {
                let event = bundle.offer();
                event
                    .map(|event| (bundle, event))
                    .map_err(|error| Rejection { reason: error.reason(), detail: error.to_string() })
            });
        let (bundle, event) = match offered {
            Ok(offered) => offered,
            Err(rejection) => {
                self.trouble(rejection.reason, &rejection.detail);
                return false;
            }
        };
        let mut good = true;
        let mut actions: std::collections::VecDeque<Action> = self.engine.handle(self.now(), event).into();
        while let Some(action) = actions.pop_front() {
            match action {
                Action::Apply(step) => {
                    let file = bundle.snapshot(&step.accepted.checkpoint);
                    let result = match file {
                        Ok(file) => self.apply(*step, Box::new(std::io::BufReader::new(file))).await,
                        Err(error) => Err(Rejection { reason: error.reason(), detail: error.to_string() }),
                    };
                    good &= result.is_ok();
                    actions.extend(self.engine.handle(self.now(), Event::Applied(result)));
                }
                Action::Trouble { reason, detail } => {
                    good = false;
                    self.trouble(reason, &detail);
                }
                other => self.keep(other).await,
            }
        }
        self.publish_freshness();
        good
    }

    /// What is wrong, if anything is.
    #[must_use]
    pub fn last_trouble(&self) -> Option<Trouble> {
        self.health.view(&*self.clock).trouble
    }

    /// Feeds an event to the engine and carries out what it says, up to the next fetch or wait.
    async fn step(&mut self, event: Event, mut data: Option<Data>) -> (Option<Request>, Option<u64>) {
        let mut request = None;
        let mut wait = None;
        let mut actions: std::collections::VecDeque<Action> = self.engine.handle(self.now(), event).into();
        while let Some(action) = actions.pop_front() {
            match action {
                Action::FetchRoot(number) => request = Some(Request::Root(number, data.take())),
                Action::FetchEpoch(number) => request = Some(Request::Epoch(number, data.take())),
                Action::FetchNext { after, bust } => request = Some(Request::Next(after, bust)),
                Action::Wait(ms) => wait = Some(ms),
                Action::Apply(step) => {
                    let result = match data.take() {
                        Some(data) => self.fetch_and_apply(*step, data).await,
                        None => Err(Rejection { reason: "no_delta", detail: "the data is gone".to_owned() }),
                    };
                    actions.extend(self.engine.handle(self.now(), Event::Applied(result)));
                }
                other => self.keep(other).await,
            }
        }
        self.publish_freshness();
        (request, wait)
    }

    /// Carries out what needs no fetch.
    async fn keep(&self, action: Action) {
        let kept = match action {
            Action::KeepRoot(number, note) => self.store.write(move |txn| txn.put_root(number, &note)).await,
            Action::KeepEpoch(number, note) => self.store.write(move |txn| txn.put_epoch(number, &note)).await,
            Action::KeepEvidence(note) => self.store.write(move |txn| txn.put_meta("fork", &note)).await,
            Action::KeepNote(note) => {
                let contact = self.clock.now_ms();
                self.health.refresh(&note);
                self.store
                    .write(move |txn| {
                        txn.put_meta("note", &note)?;
                        txn.put_meta("contact", &contact.to_le_bytes())
                    })
                    .await
            }
            Action::Contact => {
                self.health.contact(&*self.clock);
                Ok::<(), StoreError>(())
            }
            Action::Trouble { reason, detail } => {
                self.trouble(reason, &detail);
                Ok(())
            }
            // The rest is for whoever drives the engine.
            Action::Wait(_)
            | Action::Apply(_)
            | Action::FetchRoot(_)
            | Action::FetchEpoch(_)
            | Action::FetchNext { .. } => Ok(()),
        };
        if let Err(error) = kept {
            self.trouble("store", &error.to_string());
        }
    }

    async fn fetch_and_apply(&self, step: Step, data: Data) -> Result<(), Rejection> {
        let checkpoint = &step.accepted.checkpoint;
        let operations = checkpoint.entries.saturating_add(checkpoint.tombstones);
        let bound = checkpoint
            .bytes
            .saturating_add(operations.saturating_mul(SPOOL_OVERHEAD_BYTES))
            .saturating_add(SPOOL_EXTRA_BYTES);
        let reject = |(failure, detail): (Failure, String)| Rejection { reason: failure.reason(), detail };
        let spool = data.spool(bound, &self.scratch).await.map_err(reject)?;
        self.metrics.received("delta", spool.len());
        let io = |error: std::io::Error| Rejection { reason: "store", detail: error.to_string() };
        self.apply(step, spool.into_reader().map_err(io)?).await
    }

    /// Applies data to the store, with its note, in one transaction.
    async fn apply(&self, step: Step, data: Box<dyn Read + Send>) -> Result<(), Rejection> {
        let checkpoint = step.accepted.checkpoint.clone();
        let (now_ms, began_ms) = (self.clock.now_ms(), self.clock.monotonic_ms());
        let target = target_of(&checkpoint, now_ms);
        let live = step.source == Source::Live;
        let (note, floor, registry) = (step.note, step.time_floor_s, checkpoint.registry.clone());
        let result = self
            .store
            .write(move |txn| -> Result<Counts, StoreError> {
                let counts = delta::apply(txn, data, &target)?;
                txn.put_meta("note", &note)?;
                txn.put_meta("time_floor", &floor.to_le_bytes())?;
                txn.put_meta("registry", registry.as_bytes())?;
                if live {
                    txn.put_meta("contact", &now_ms.to_le_bytes())?;
                }
                Ok(counts)
            })
            .await;
        let counts = match result {
            Ok(counts) => counts,
            Err(StoreError::Delta(error)) => {
                return Err(Rejection { reason: error.reason(), detail: error.to_string() });
            }
            Err(error) => return Err(Rejection { reason: "store", detail: error.to_string() }),
        };
        let rank = step.accepted.held().rank;
        if let Err(error) = watermark::write(&self.scratch, rank) {
            tracing::warn!(error = &error as &dyn std::error::Error, "the watermark could not be written");
        }
        self.resolver.set_ready(true);
        self.health.applied(&step.accepted);
        let seconds = |ms: u64| Duration::from_millis(ms).as_secs_f64();
        self.metrics.caught_up(match (live, counts.whole) {
            (false, _) => "bundle",
            (true, true) => "snapshot",
            (true, false) => "delta",
        });
        self.metrics.apply_seconds.observe(seconds(self.clock.monotonic_ms().saturating_sub(began_ms)));
        self.metrics
            .apply_operations
            .observe(f64::from(u32::try_from(counts.puts + counts.deletes).unwrap_or(u32::MAX)));
        let age_ms = u64::try_from(self.clock.now_ms() - checkpoint.issued * 1_000).unwrap_or(0);
        if live {
            self.metrics.propagation_seconds.observe(seconds(age_ms));
        }
        if step.accepted.lost_commits > 0 {
            tracing::error!(
                lost_commits = step.accepted.lost_commits,
                "the registry went back before commits that this replica had; they are gone"
            );
        }
        tracing::debug!(position = %checkpoint.position(), puts = counts.puts, deletes = counts.deletes, "applied a delta");
        Ok(())
    }

    fn trouble(&self, reason: &'static str, detail: &str) {
        self.metrics.verify_failed(reason);
        match reason {
            "fork" => self.metrics.forks.inc(),
            "fenced" => self.metrics.fenced.inc(),
            _ => 0,
        };
        if self.health.trouble(&*self.clock, reason, detail) {
            tracing::warn!(reason, detail, "this replica cannot follow; it goes on with what it has");
        }
    }

    fn now(&self) -> Now {
        Now {
            wall_s: self.clock.now_ms().div_euclid(1_000),
            monotonic_ms: self.clock.monotonic_ms(),
            random: getrandom::u64().unwrap_or_default(),
        }
    }

    fn publish_freshness(&self) {
        self.health.set_clock_untrusted(self.engine.clock_untrusted());
        let view = self.health.view(&*self.clock);
        let position = self.engine.position().unwrap_or_default();
        self.freshness.store(Freshly { position, age_s: view.age_s, freshness: view.freshness });
        let gauge = |gauge: &prometheus_client::metrics::gauge::Gauge, value: u64| {
            gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        };
        gauge(&self.metrics.position_epoch, position.epoch);
        gauge(&self.metrics.position_seq, position.seq);
        gauge(&self.metrics.stale, u64::from(view.freshness != Freshness::Fresh));
        gauge(&self.metrics.expired, u64::from(view.freshness == Freshness::Expired));
        gauge(&self.metrics.clock_untrusted, u64::from(view.clock_untrusted));
        gauge(&self.metrics.held, u64::from(view.held));
        self.metrics.last_verified_contact_seconds.set(Duration::from_secs(view.age_s).as_secs_f64());
        if let Some(checkpoint) = &view.checkpoint {
            let age_ms = u64::try_from(self.clock.now_ms() - checkpoint.issued * 1_000).unwrap_or(0);
            self.metrics.checkpoint_age_seconds.set(Duration::from_millis(age_ms).as_secs_f64());
        }
    }

    fn send_report(&self, upstream: Option<&Arc<Upstream>>) {
        let Some(upstream) = upstream.map(Arc::clone) else { return };
        let view = self.health.view(&*self.clock);
        let report = ReplicaReport {
            replica: self.following.replica.clone(),
            position: self.engine.position().unwrap_or_default(),
            freshness: view.freshness,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            at: None,
        };
        tokio::spawn(async move { upstream.report(&report).await });
    }
}

/// What a verified checkpoint says that a delta leads to.
fn target_of(checkpoint: &Checkpoint, now_ms: i64) -> Target {
    Target {
        scope: Scope {
            registry: checkpoint.registry.clone(),
            view: checkpoint.view.clone(),
            view_generation: checkpoint.view_definition.0,
        },
        head: Head {
            position: checkpoint.position(),
            changed: checkpoint.changed,
            floor: checkpoint.floor,
            tombstones: checkpoint.tombstones,
        },
        entries: checkpoint.entries,
        bytes: checkpoint.bytes,
        tombstones: checkpoint.tombstones,
        state: checkpoint.state,
        now: Timestamp::from_ms(now_ms),
    }
}

/// What to fetch; a note that waits for trust keeps its data.
enum Request {
    Root(u64, Option<Data>),
    Epoch(u64, Option<Data>),
    Next(Position, Option<u64>),
}

enum Fetched {
    Root(u64, Result<Vec<u8>, (Failure, String)>, Option<Data>),
    Epoch(u64, Result<Vec<u8>, (Failure, String)>, Option<Data>),
    Next(Result<super::transport::Polled, (Failure, String)>),
}

impl Request {
    async fn fetch(self, upstream: &Upstream) -> Fetched {
        match self {
            Self::Root(number, data) => Fetched::Root(number, upstream.root(number).await, data),
            Self::Epoch(number, data) => Fetched::Epoch(number, upstream.epoch(number).await, data),
            Self::Next(after, bust) => Fetched::Next(upstream.next(after, bust).await),
        }
    }
}

impl Fetched {
    fn into_event(self) -> (Event, Option<Data>) {
        match self {
            Self::Root(number, Ok(note), data) => (Event::Root(number, note), data),
            Self::Epoch(number, Ok(note), data) => (Event::Epoch(number, note), data),
            Self::Next(Ok(polled)) => {
                let delta = polled.data.is_some();
                (Event::Answer { note: polled.note, delta, reconnect_ms: polled.reconnect_ms }, polled.data)
            }
            Self::Root(_, Err((failure, detail)), _)
            | Self::Epoch(_, Err((failure, detail)), _)
            | Self::Next(Err((failure, detail))) => (Event::Failed(failure, detail), None),
        }
    }
}

impl Health {
    fn lock(&self) -> std::sync::MutexGuard<'_, HealthInner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn contact(&self, clock: &dyn Clock) {
        let mut inner = self.lock();
        inner.contact_ms = Some(clock.now_ms());
        inner.contact_monotonic_ms = clock.monotonic_ms();
        inner.in_contact = true;
        inner.trouble = None;
    }

    fn refresh(&self, note: &[u8]) {
        let parsed = crate::crypto::note::Note::parse(note, crate::crypto::note::NOTE_BYTES_MAX);
        let checkpoint = parsed.ok().and_then(|note| Checkpoint::parse(note.text()).ok());
        if let Some(checkpoint) = checkpoint {
            self.lock().checkpoint = Some(checkpoint);
        }
    }

    fn applied(&self, accepted: &Accepted) {
        let mut inner = self.lock();
        inner.checkpoint = Some(accepted.checkpoint.clone());
        inner.lost_commits = inner.lost_commits.saturating_add(accepted.lost_commits);
    }

    fn set_clock_untrusted(&self, untrusted: bool) {
        self.lock().clock_untrusted = untrusted;
    }

    /// Notes what is wrong; whether it is something else than before.
    fn trouble(&self, clock: &dyn Clock, reason: &str, detail: &str) -> bool {
        let mut inner = self.lock();
        inner.in_contact = false;
        if let Some(trouble) = inner.trouble.as_mut().filter(|trouble| trouble.reason == reason) {
            trouble.times += 1;
            detail.clone_into(&mut trouble.detail);
            return false;
        }
        let since = Timestamp::from_ms(clock.now_ms());
        inner.trouble = Some(Trouble { reason: reason.to_owned(), detail: detail.to_owned(), since, times: 1 });
        true
    }

    /// How the replica is now.
    #[must_use]
    pub fn view(&self, clock: &dyn Clock) -> HealthView {
        let (now_ms, monotonic_ms) = (clock.now_ms(), clock.monotonic_ms());
        let mut inner = self.lock();
        let silent_ms = monotonic_ms.saturating_sub(inner.contact_monotonic_ms);
        let fresh = inner.in_contact && silent_ms < CONTACT_MS_MAX;
        let expired = inner.checkpoint.as_ref().is_some_and(|checkpoint| checkpoint.expires * 1_000 < now_ms);
        let freshness = match (&inner.checkpoint, fresh, expired) {
            (None, ..) => Freshness::Empty,
            (Some(_), true, false) => Freshness::Fresh,
            (Some(_), _, true) => Freshness::Expired,
            (Some(_), false, false) => Freshness::Stale,
        };
        if freshness != inner.freshness {
            inner.freshness = freshness;
            inner.since_ms = match (freshness, inner.contact_ms, &inner.checkpoint) {
                (Freshness::Stale, Some(contact_ms), _) => contact_ms,
                (Freshness::Expired, _, Some(checkpoint)) => checkpoint.expires * 1_000,
                _ => now_ms,
            };
        }
        // While this process runs its own clock is better than the wall's; before, there is only the wall's.
        let age_ms = if inner.in_contact || inner.contact_ms.is_none() {
            silent_ms
        } else {
            u64::try_from(now_ms - inner.contact_ms.unwrap_or(now_ms)).unwrap_or(0).max(silent_ms)
        };
        HealthView {
            freshness,
            since: Timestamp::from_ms(inner.since_ms),
            age_s: age_ms / 1_000,
            checkpoint: inner.checkpoint.clone(),
            clock_untrusted: inner.clock_untrusted,
            held: inner.held,
            lost_commits: inner.lost_commits,
            trouble: inner.trouble.clone(),
        }
    }
}
