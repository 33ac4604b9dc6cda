//! A replica in this process that follows a scripted upstream.

use std::sync::Arc;

use bookholder::api::status::Trouble;
use bookholder::clock::{Clock, ManualClock};
use bookholder::metrics::Metrics;
use bookholder::model::position::Position;
use bookholder::replication::engine::Settings;
use bookholder::replication::follower::{Follower, FollowerOptions};
use bookholder::replication::health::Health;
use bookholder::replication::replica_state::OpenError;
use bookholder::resolve::ResolveError;
use bookholder::resolve::freshness::FreshnessCell;
use bookholder::resolve::resolver::{Query, Resolver};
use bookholder::resolve::usage::Usage;
use bookholder::store::Store;
use bookholder::store::read::ViewState;
use bookholder::trust::root::RootKeyId;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::primary::{CACHE_BYTES, Primary, open_store, outside, state_of, text_of};
use super::upstream::{PATIENCE, Poll, Reply, Upstream};

/// A replica, its upstream, and the poll that waits for an answer.
pub struct Replica {
    pub clock: ManualClock,
    pub store: Store,
    pub resolver: Resolver,
    pub freshness: FreshnessCell,
    pub health: Health,
    pub upstream: Upstream,
    pub directory: Arc<TempDir>,
    pending: Option<Poll>,
    stop: CancellationToken,
    task: Option<JoinHandle<()>>,
}

/// Opens a replica over a directory, without starting it.
pub fn open_follower(
    store: &Store,
    clock: &ManualClock,
    upstream: Option<String>,
    root_key: RootKeyId,
) -> Result<(Follower, Resolver, FreshnessCell), OpenError> {
    open_follower_as(store, clock, upstream, Settings::of(root_key))
}

/// The same, set up in another way.
pub fn open_follower_as(
    store: &Store,
    clock: &ManualClock,
    upstream: Option<String>,
    settings: Settings,
) -> Result<(Follower, Resolver, FreshnessCell), OpenError> {
    // Another test may have set it first.
    let _installed = rustls::crypto::ring::default_provider().install_default();
    let resolver = Resolver::new(store.clone(), CACHE_BYTES);
    let clock: Arc<dyn Clock> = Arc::new(clock.clone());
    let usage = Usage::new(Arc::clone(&clock));
    let replica = "plant-7".to_owned();
    let following = FollowerOptions {
        upstream,
        token: None,
        extra_ca: None,
        settings,
        inbox: None,
        replica,
        usage,
        telemetry: None,
    };
    let (store, resolver_) = (store.clone(), resolver.clone());
    let follower = outside(move || {
        Follower::open(store, resolver_, Metrics::new(bookholder::metrics::Role::Replica), clock, following)
    })?;
    let freshness = follower.health().freshness();
    Ok((follower, resolver, freshness))
}

impl Replica {
    /// An empty replica of a primary, polling for the first time.
    pub async fn of(primary: &Primary) -> Self {
        let directory = Arc::new(tempfile::tempdir().expect("a temporary directory"));
        Self::reopen(primary, directory, ManualClock::at(primary.clock.now_ms())).await
    }

    /// A replica of a primary over a directory, polling.
    pub async fn reopen(primary: &Primary, directory: Arc<TempDir>, clock: ManualClock) -> Self {
        Self::reopen_as(primary, directory, clock, Settings::of(primary.root_key)).await
    }

    /// The same, set up in another way.
    pub async fn reopen_as(primary: &Primary, directory: Arc<TempDir>, clock: ManualClock, settings: Settings) -> Self {
        let mut upstream = Upstream::start().await;
        share_trust(primary, &upstream);
        let store = open_store(directory.path());
        let url = format!("http://{}", upstream.address);
        let (follower, resolver, freshness) = open_follower_as(&store, &clock, Some(url), settings).expect("a replica");
        let (health, stop) = (follower.health(), CancellationToken::new());
        let task = Some(tokio::spawn(follower.run(stop.clone())));
        let pending = Some(upstream.poll().await);
        Self { clock, store, resolver, freshness, health, upstream, directory, pending, stop, task }
    }

    /// A replica with the primary's state.
    pub async fn synced(primary: &Primary) -> Self {
        let mut replica = Self::of(primary).await;
        replica.sync(primary).await;
        replica
    }

    /// What the waiting poll asks after.
    pub fn asks_after(&self) -> Position {
        let poll = self.pending.as_ref().expect("a waiting poll");
        poll.after.split('?').next().unwrap_or_default().parse().expect("a position")
    }

    /// Lets the primary answer until the replica has its state.
    pub async fn sync(&mut self, primary: &Primary) {
        share_trust(primary, &self.upstream);
        for _ in 0..4 {
            let answer = primary.answer(self.asks_after()).await;
            let trouble = self.offer(Reply::Bytes(answer)).await;
            assert_eq!(trouble, None);
            if self.state() == primary.state() {
                return;
            }
        }
        panic!("the replica is at {:?}, the primary at {:?}", self.state(), primary.state());
    }

    /// Answers the waiting poll, waits for the next one, and returns the reported problem.
    pub async fn offer(&mut self, reply: Reply) -> Option<Trouble> {
        self.pending.take().expect("a waiting poll").answer(reply);
        self.pending = Some(self.upstream.poll().await);
        self.health.view(&self.clock).trouble
    }

    /// Answers the waiting poll with something that must be rejected for this reason, without any change.
    pub async fn refuses(&mut self, reply: Reply, reason: &str) -> Trouble {
        let before = self.state();
        let trouble = self.offer(reply).await.unwrap_or_else(|| panic!("this must be refused as {reason}"));
        assert_eq!(trouble.reason, reason, "{}", trouble.detail);
        assert_eq!(self.state(), before);
        trouble
    }

    /// What the waiting poll asks for, with everything that makes it unlike others.
    pub fn asks(&self) -> &str {
        &self.pending.as_ref().expect("a waiting poll").after
    }

    /// The text that a reference answers with.
    pub fn text(&self, reference: &str) -> Result<String, ResolveError> {
        text_of(&self.resolver, reference, &Query::default())
    }

    /// Position and state.
    pub fn state(&self) -> (Position, ViewState) {
        state_of(&self.store)
    }

    /// Stops it, and closes its store.
    pub async fn stop(mut self) -> Arc<TempDir> {
        self.stop.cancel();
        let task = self.task.take().expect("a running replica");
        tokio::time::timeout(PATIENCE, task).await.expect("a stop in time").expect("no panic");
        self.store.close().await;
        Arc::clone(&self.directory)
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Puts the primary's root documents and epochs where replicas look for them.
pub fn share_trust(primary: &Primary, upstream: &Upstream) {
    for number in 1.. {
        let root = primary.publisher.root(number).expect("a store");
        let epoch = primary.publisher.epoch(number).expect("a store");
        if root.is_none() && epoch.is_none() {
            break;
        }
        for (path, note) in [("root", root), ("epoch", epoch)] {
            if let Some(note) = note {
                upstream.document(&format!("{path}/{number}"), note);
            }
        }
    }
}
