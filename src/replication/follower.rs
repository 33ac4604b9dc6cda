//! Runs a replica: executes the actions of the [engine](super::engine).
//!
//! Anything that may be slow because of others (an answer, a download) runs in a separate task, so that bundles are
//! accepted in the meantime. Freshness does not depend on this task at all: see [`Health`]. [`applying`](super::applying)
//! processes what arrived.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::engine::{Action, Engine, Event, FetchFailure, Now, Rejection, Settings, Trusted};
use super::fetching::{Fetched, Request};
use super::forwarding::Forwarding;
use super::health::Health;
use super::inbox::{BundleRead, Inbox, Listing, MediumReader};
use super::reasons::{self, Cause};
use super::replica_state::{OpenError, load_replica_state};
use super::reporting::Reports;
use super::sign_off::SignOff;
use super::transport::{Data, Upstream};
use super::witness;
use crate::clock::Clock;
use crate::metrics::Metrics;
use crate::model::position::Position;
use crate::resolve::Resolver;
use crate::resolve::usage::Usage;
use crate::store::meta;
use crate::store::write::WriteTxn;
use crate::store::{Store, StoreError};
use crate::telemetry::store::TelemetryStore;

/// Waiting scans of the inbox: one more finds everything that arrived in the meantime.
const LOOKS_MAX: usize = 1;

/// The settings of a follower.
#[derive(Clone)]
pub struct FollowerOptions {
    /// URL of the upstream; absent for a replica that only takes bundles.
    pub upstream: Option<String>,
    /// Access token for the upstream.
    pub token: Option<String>,
    /// Certificates to trust besides the usual ones, as PEM.
    pub extra_ca: Option<Vec<u8>>,
    /// The trusted root, and the other settings of the engine.
    pub settings: Settings,
    /// The inbox for bundles, if any.
    pub inbox: Option<PathBuf>,
    /// The ID of this replica in polls and reports.
    pub replica: String,
    /// Where uses of versions are noted, for reports.
    pub usage: Usage,
    /// What applications reported, for the upstream; none where it cannot be kept.
    pub telemetry: Option<TelemetryStore>,
}

/// A running replica.
pub struct Follower {
    pub(super) store: Store,
    pub(super) resolver: Resolver,
    pub(super) metrics: Metrics,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) following: FollowerOptions,
    pub(super) engine: Engine,
    upstream: Option<Arc<Upstream>>,
    pub(super) health: Health,
    looks: mpsc::Receiver<PathBuf>,
    looking: mpsc::Sender<PathBuf>,
    pub(super) medium: MediumReader,
    pub(super) inbox: Inbox,
    /// Remaining bundles of the last scan of the inbox.
    pub(super) listing: Listing,
    pub(super) scratch: PathBuf,
    damage: mpsc::Receiver<()>,
    healing: mpsc::Sender<()>,
    /// Whether the database is damaged: the next state is written to a new one.
    pub(super) damaged: bool,
}

impl Follower {
    /// Opens a replica over a store: verifies its state, and stores the trusted root.
    ///
    /// # Errors
    /// As [`recollect`]; or the upstream's URL is invalid.
    pub fn open(
        store: Store,
        resolver: Resolver,
        metrics: Metrics,
        clock: Arc<dyn Clock>,
        following: FollowerOptions,
    ) -> Result<Self, OpenError> {
        let directory = store.directory().to_owned();
        let txn = store.read()?;
        let recollection = load_replica_state(&txn, &directory, &following.settings.root_key)?;
        let root_key = following.settings.root_key;
        if txn.meta(&meta::TRUSTED_ROOT)? != Some(root_key) {
            store.write_blocking(move |txn| txn.follow(&root_key))?;
        }
        drop(txn);
        let upstream = following
            .upstream
            .as_ref()
            .map(|base| {
                let FollowerOptions { token, extra_ca, replica, .. } = &following;
                Upstream::new(base, token.clone(), extra_ca.as_deref(), replica)
            })
            .transpose()
            .map_err(|error| OpenError::Upstream(error.to_string()))?
            .map(Arc::new);
        let held = recollection.memory.held.clone();
        resolver.set_ready(held.is_some());
        let checkpoint = held.map(|held| held.checkpoint);
        let held_at = following.settings.hold_at.is_some();
        let health = Health::at_start(checkpoint, recollection.contact_ms, held_at, Arc::clone(&clock));
        let (looking, looks) = mpsc::channel(LOOKS_MAX);
        let (healing, damage) = mpsc::channel(1);
        let engine = Engine::new(following.settings.clone(), recollection.memory);
        health.set_time_floor(engine.time_floor_s());
        Ok(Self {
            store,
            resolver,
            metrics,
            clock,
            following,
            engine,
            upstream,
            health,
            looks,
            looking,
            medium: MediumReader::default(),
            inbox: Inbox::default(),
            listing: Listing::default(),
            scratch: directory,
            damage,
            healing,
            damaged: false,
        })
    }

    /// The health of this replica; updated while it runs.
    pub fn health(&self) -> Health {
        self.health.clone()
    }

    /// A channel to request a scan of an inbox.
    pub fn looking(&self) -> mpsc::Sender<PathBuf> {
        self.looking.clone()
    }

    /// A channel to report that the database is damaged: the whole state is then downloaded again, into a new one.
    pub fn healing(&self) -> mpsc::Sender<()> {
        self.healing.clone()
    }

    /// What is left to do when this replica stops and has recorded everything; nothing without telemetry or an upstream.
    pub fn sign_off(&self) -> Option<SignOff> {
        let (reports, store) = (self.reports()?, self.following.telemetry.clone()?);
        Some(SignOff { forwarding: Forwarding { upstream: Arc::clone(&reports.upstream), store }, reports })
    }

    fn reports(&self) -> Option<Reports> {
        Some(Reports {
            upstream: self.upstream.clone()?,
            health: self.health.clone(),
            replica: self.following.replica.clone(),
            usage: self.following.usage.clone(),
            telemetry: self.following.telemetry.clone(),
            clock: Arc::clone(&self.clock),
        })
    }

    /// Runs until told to stop.
    pub async fn run(mut self, stop: CancellationToken) {
        let (upstream, reports) = (self.upstream.clone(), self.reports());
        let reporting = async {
            if let Some(reports) = reports {
                reports.run(&stop).await;
            }
        };
        let forwarding = upstream.clone().zip(self.following.telemetry.clone());
        let forwarding = async {
            if let Some((upstream, store)) = forwarding {
                Forwarding { upstream, store }.run(&stop).await;
            }
        };
        tokio::join!(reporting, forwarding, self.follow(upstream, &stop));
    }

    /// Handles events from the upstream and from bundles; fetching runs in a separate task.
    async fn follow(&mut self, upstream: Option<Arc<Upstream>>, stop: &CancellationToken) {
        let mut wait = upstream.is_some().then(tokio::time::Instant::now);
        // At most one; it is aborted when this ends.
        let mut fetching: JoinSet<Fetched> = JoinSet::new();
        let mut reading: JoinSet<BundleRead> = JoinSet::new();
        loop {
            let due = async {
                match wait {
                    Some(instant) => tokio::time::sleep_until(instant).await,
                    None => std::future::pending().await,
                }
            };
            let arrived = tokio::select! {
                () = stop.cancelled() => return,
                Some(inbox) = self.looks.recv(), if reading.is_empty() => {
                    self.look(inbox, &mut reading);
                    continue;
                }
                Some(Ok(read)) = reading.join_next() => FollowerInput::Read(read),
                Some(()) = self.damage.recv() => FollowerInput::Damage,
                () = due => FollowerInput::Fetched(Fetched::Event(Event::Due, None)),
                Some(fetched) = fetching.join_next() => FollowerInput::Fetched(fetched.unwrap_or_else(|error| {
                    Fetched::Event(Event::Failed(FetchFailure::Malformed, error.to_string()), None)
                })),
            };
            // Disk writes may be slow, and a stop must not wait for them; each write is completed.
            let taken = tokio::select! {
                () = stop.cancelled() => return,
                taken = self.take(arrived, &mut reading) => taken,
            };
            if taken.moved {
                // The pending fetch was for an old position.
                fetching.abort_all();
                fetching = JoinSet::new();
                wait = upstream.is_some().then(tokio::time::Instant::now);
            }
            match taken.next {
                Some(NextStep::Wait(ms)) => wait = Some(tokio::time::Instant::now() + Duration::from_millis(ms)),
                Some(NextStep::Fetch(request)) => {
                    if let Some(upstream) = upstream.clone() {
                        wait = None;
                        fetching.spawn(async move { request.fetch(&upstream).await });
                    }
                }
                None => {}
            }
        }
    }

    async fn take(&mut self, arrived: FollowerInput, reading: &mut JoinSet<BundleRead>) -> Taken {
        match arrived {
            FollowerInput::Read(read) => {
                let before = self.position();
                self.read(read, reading).await;
                Taken { next: None, moved: self.position() != before }
            }
            FollowerInput::Damage => {
                self.damaged = true;
                // A bundle that was applied or skipped before may be the one that heals it.
                self.inbox = Inbox::default();
                if let Some(inbox) = &self.following.inbox {
                    // Full: a scan is about to begin.
                    let _looks = self.looking.try_send(inbox.clone());
                }
                Taken { next: self.step(Event::Damaged, None).await, moved: true }
            }
            FollowerInput::Fetched(Fetched::Event(event, data)) => {
                Taken { next: self.step(event, data).await, moved: false }
            }
            FollowerInput::Fetched(Fetched::Data(step, spool)) => {
                let result = match spool {
                    Ok(spool) => self.apply_spool(&step, spool).await,
                    Err(rejection) => Err(rejection),
                };
                Taken { next: self.step(Event::Applied(step, result), None).await, moved: false }
            }
        }
    }

    /// Passes an event to the engine and executes its actions, up to the next fetch or wait.
    async fn step(&mut self, event: Event, mut data: Option<Data>) -> Option<NextStep> {
        let mut next = None;
        let mut actions = VecDeque::from(self.decide(event));
        while let Some(action) = actions.pop_front() {
            match action {
                Action::FetchRoot(number) => next = Some(NextStep::Fetch(Request::Root(number, data.take()))),
                Action::FetchEpoch(number) => next = Some(NextStep::Fetch(Request::Epoch(number, data.take()))),
                Action::FetchNext { after, bust } => next = Some(NextStep::Fetch(Request::Next(after, bust))),
                Action::Wait(ms) => next = Some(NextStep::Wait(ms)),
                Action::Apply(step) => {
                    if let Some(data) = data.take() {
                        next = Some(NextStep::Fetch(Request::Data(step, data, self.scratch.clone())));
                    } else {
                        let gone = Rejection { reason: "no_delta", detail: "the data is missing".to_owned() };
                        actions.extend(self.decide(Event::Applied(step, Err(gone))));
                    }
                }
                other => self.keep(other).await,
            }
        }
        next
    }

    /// The current position, if there is a state.
    pub(super) fn position(&self) -> Option<Position> {
        self.engine.position()
    }

    /// The engine's actions for an event.
    pub(super) fn decide(&mut self, event: Event) -> Vec<Action> {
        let actions = self.engine.handle(self.now(), event);
        self.health.set_time_floor(self.engine.time_floor_s());
        actions
    }

    /// Executes actions that need no fetch.
    pub(super) async fn keep(&self, action: Action) {
        let kept = match action {
            Action::KeepRoot(number, note) => self.store.write(move |txn| txn.put_root(number, &note)).await,
            Action::KeepEpoch(number, note) => self.store.write(move |txn| txn.put_epoch(number, &note)).await,
            Action::KeepEvidence(note) => {
                tracing::error!(
                    "the upstream signed a different history than the one held here; both checkpoints \
                    are kept"
                );
                let keep = move |txn: &mut WriteTxn<'_>| {
                    let held = txn.meta(&meta::NOTE)?.unwrap_or_default();
                    txn.put_meta(&meta::FORK, &note)?;
                    txn.put_meta(&meta::FORK_HELD, &held)
                };
                self.store.write(keep).await
            }
            Action::KeepNote(step) => self.keep_note(*step).await,
            Action::ShowHeld => {
                self.show_held();
                Ok(())
            }
            Action::Contact => {
                self.health.contact(&*self.clock);
                Ok::<(), StoreError>(())
            }
            Action::Trouble { reason, detail } => {
                self.trouble(reason, &detail);
                Ok(())
            }
            // The caller handles the rest.
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

    /// Shows the upstream the current checkpoint and the records that verify it, so that a primary that was set back
    /// learns of it.
    fn show_held(&self) {
        let (store, Trusted { roots, epochs }) = (self.store.clone(), self.engine.trusted());
        let epoch = self.position().and_then(|held| epochs.into_iter().find(|(number, _)| *number == held.epoch));
        let (Some(upstream), Some((_, epoch))) = (self.upstream.clone(), epoch) else { return };
        tokio::spawn(async move {
            let read = tokio::task::spawn_blocking(move || store.read()?.meta(&meta::NOTE));
            if let Ok(Ok(Some(note))) = read.await {
                let later_roots = roots.iter().skip(1).map(|(_, root)| root.as_slice());
                upstream.show(witness::pack(&note, &epoch, later_roots)).await;
            }
        });
    }

    /// Counts a problem.
    pub(super) fn count(&self, reason: &'static str) {
        match reasons::cause(reason) {
            Cause::Data => self.metrics.verify_failed(reason),
            Cause::Upstream => self.metrics.upstream_failed(reason),
            Cause::Local => self.metrics.local_failed(reason),
        }
        match reason {
            "fork" => self.metrics.forks.inc(),
            "fenced" => self.metrics.fenced.inc(),
            _ => 0,
        };
    }

    fn trouble(&self, reason: &'static str, detail: &str) {
        self.count(reason);
        if self.health.trouble(&*self.clock, reason, detail) {
            tracing::warn!(reason, detail, "cannot follow the upstream; still serving the last verified state");
        }
    }

    fn now(&self) -> Now {
        Now {
            wall_s: self.clock.now_ms().div_euclid(1_000),
            monotonic_ms: self.clock.monotonic_ms(),
            random: getrandom::u64().unwrap_or_default(),
        }
    }
}

/// The events of a follower.
enum FollowerInput {
    Read(BundleRead),
    /// Stored data is not what was signed.
    Damage,
    Fetched(Fetched),
}

/// What to do next.
enum NextStep {
    /// Wait this many milliseconds.
    Wait(u64),
    Fetch(Request),
}

struct Taken {
    next: Option<NextStep>,
    /// Whether a bundle changed the position, so that a pending poll is useless.
    moved: bool,
}
