//! A replica at work: carries out what the [engine](super::engine) says, and tells how fresh it is.
//!
//! Data, note, position and contact are written in one transaction; what resolves never waits for
//! any of this.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::bundle::Bundle;
use super::engine::{Action, Engine, Event, Failure, Now, Rejection, Settings, Settled, Source, Step};
use super::fetching::{Fetched, Request};
use super::health::Health;
use super::recollection::{OpenError, recollect};
use super::transport::{Data, Upstream};
use super::watermark;
use crate::api::status::{Freshness, ReplicaReport, Trouble};
use crate::clock::Clock;
use crate::metrics::Metrics;
use crate::model::time::Timestamp;
use crate::resolve::Resolver;
use crate::resolve::freshness::{Freshly, FreshnessCell};
use crate::resolve::usage::Usage;
use crate::store::delta::{self, Before, Counts, Scope, Target};
use crate::store::read::Head;
use crate::store::write::WriteTxn;
use crate::store::{Store, StoreError};
use crate::trust::accept::Rank;
use crate::trust::checkpoint::Checkpoint;

/// What the framing of a compressed delta may add to the signed size of its entries, per entry, in bytes.
const SPOOL_OVERHEAD_BYTES: u64 = 64;
/// What a spool may hold besides, in bytes.
const SPOOL_EXTRA_BYTES: u64 = 64 * 1_024;
/// How often a replica tells its upstream how it is.
const REPORT_EVERY: Duration = Duration::from_secs(30);
/// How often a replica looks at the clock for its own freshness.
const TICK: Duration = Duration::from_secs(1);
/// Bundles that may wait to be looked at.
const OFFERS_MAX: usize = 16;

/// What a replica follows, and how.
#[derive(Clone)]
pub struct Following {
    /// Address of the upstream; none for a replica that is fed by bundles alone.
    pub upstream: Option<String>,
    /// Access token for the upstream.
    pub token: Option<String>,
    /// Certificates to trust besides the usual ones, as PEM.
    pub extra_ca: Option<Vec<u8>>,
    /// The root to trust, and the rest that the engine is told.
    pub settings: Settings,
    /// What this replica calls itself in polls and reports.
    pub replica: String,
    /// Where uses of versions are noted, for the reports.
    pub usage: Usage,
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
    upstream: Option<Arc<Upstream>>,
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
            .map(|base| {
                let Following { token, extra_ca, replica, .. } = &following;
                Upstream::new(base, token.clone(), extra_ca.as_deref(), replica)
            })
            .transpose()
            .map_err(|error| OpenError::Upstream(error.to_string()))?
            .map(Arc::new);
        let held = recollection.memory.held.clone();
        resolver.set_ready(held.is_some());
        let checkpoint = held.map(|held| held.checkpoint);
        let held_at = following.settings.hold_at.is_some();
        let health = Health::at_start(checkpoint, recollection.contact_ms, held_at, &*clock);
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
        // The upstream hears at once that a replica has caught up, and then now and then.
        let mut reported = Freshness::Empty;
        let mut tick = tokio::time::interval(TICK);
        let mut report = tokio::time::interval(REPORT_EVERY);
        let mut fetching: Option<tokio::task::JoinHandle<Fetched>> = None;
        let upstream = self.upstream.clone();
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
                    let now = self.freshness.load().freshness;
                    let before = std::mem::replace(&mut reported, now);
                    if now == Freshness::Fresh && before != now {
                        self.send_report(upstream.as_ref());
                    }
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
            Action::KeepEvidence(note) => {
                tracing::error!("another history than the one held here is signed; both checkpoints are kept");
                let keep = move |txn: &mut WriteTxn<'_>| {
                    let held = txn.meta("note")?.unwrap_or_default();
                    txn.put_meta("fork", &note)?;
                    txn.put_meta("fork_held", &held)
                };
                self.store.write(keep).await
            }
            Action::KeepNote(step) => self.keep_note(*step).await,
            Action::ShowHeld => self.show_held(),
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

    /// Keeps a note whose state is held already, and the position that it names, in one small transaction.
    async fn keep_note(&self, step: Step) -> Result<(), StoreError> {
        let rank = step.accepted.held().rank;
        let moves = self.store.committed().borrow().head.position != rank.position;
        let (note, contact_ms) = (step.note, step.contact.then(|| self.clock.now_ms()));
        let keep = move |txn: &mut WriteTxn<'_>| {
            if moves {
                txn.set_position(rank.position);
            }
            txn.put_meta("note", &note)?;
            contact_ms.map_or(Ok(()), |now_ms| txn.put_meta("contact", &now_ms.to_le_bytes()))
        };
        self.health.applied(&step.accepted, 0);
        self.store.write(keep).await?;
        if moves {
            self.mark(rank);
        }
        Ok(())
    }

    /// Raises the watermark; the note in the database says the same.
    fn mark(&self, rank: Rank) {
        if let Err(error) = watermark::write(&self.scratch, rank) {
            tracing::warn!(error = &error as &dyn std::error::Error, "the watermark could not be written");
        }
    }

    /// Shows the upstream what is held, so that a primary that was set back learns of it.
    fn show_held(&self) -> Result<(), StoreError> {
        let note = self.store.read()?.meta("note")?;
        if let (Some(upstream), Some(note)) = (self.upstream.clone(), note) {
            tokio::spawn(async move { upstream.show(note).await });
        }
        Ok(())
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
        let (note, contact, registry) = (step.note, step.contact, checkpoint.registry.clone());
        let failed = |error: StoreError| Rejection { reason: "store", detail: error.to_string() };
        let before = match step.settled {
            Some(Settled { seq, given_up }) => {
                Some(Before { state: self.store.read().map_err(failed)?, seq, given_up })
            }
            None => None,
        };
        let result = self
            .store
            .write(move |txn| -> Result<Counts, StoreError> {
                let counts = delta::apply(txn, data, &target, before.as_ref())?;
                txn.put_meta("note", &note)?;
                txn.put_meta("registry", registry.as_bytes())?;
                if contact {
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
            Err(error) => return Err(failed(error)),
        };
        self.resolver.set_ready(true);
        self.mark(step.accepted.held().rank);
        self.health.applied(&step.accepted, counts.given_up);
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
        let lost_commits = step.accepted.lost_commits.saturating_add(counts.given_up);
        if lost_commits > 0 {
            tracing::error!(lost_commits, "the registry went back before commits that this replica had; they are gone");
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
        self.health.set_clock_untrusted(self.engine.clock_untrusted(self.now().wall_s));
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
            uses: self.following.usage.take(),
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
