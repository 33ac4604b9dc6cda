//! Wrong clocks: none keeps a replica on an older state, and old states are reported as expired.

use std::sync::Arc;

use bookholder::api::status::Freshness;
use bookholder::clock::{Clock, ManualClock};
use bookholder::model::position::Position;
use bookholder::replication::engine::Settings;

use crate::support::primary::{BEGIN_MS, Primary};
use crate::support::replica::{Replica, open_follower};
use crate::support::upstream::Reply;
use crate::support::wire::{frame, unframe};

const HOUR_MS: i64 = 3_600_000;
const YEAR_MS: i64 = 365 * 24 * HOUR_MS;

/// Primary and replica, whose clocks were both wrong for one commit and are right again.
async fn both_ahead(ahead_ms: i64) -> (Primary, Replica) {
    let primary = Primary::found();
    primary.publish("a", "one").await;
    let mut replica = Replica::synced(&primary).await;
    let wrong_ms = ahead_ms.cast_unsigned();
    primary.wait(wrong_ms).publish("a", "two").await;
    replica.clock.advance(wrong_ms);
    replica.sync(&primary).await;
    assert_eq!(replica.text("a@2").expect("the commit of the wrong time"), "two");
    primary.clock.set(BEGIN_MS + 60_000);
    replica.clock.set(BEGIN_MS + 60_000);
    (primary, replica)
}

/// The replica takes what came after the clocks were right, and is fresh with it.
fn follows(replica: &Replica, primary: &Primary) {
    assert_eq!(replica.state(), primary.state());
    let view = replica.health.view(&replica.clock);
    assert_eq!((view.freshness, view.trouble), (Freshness::Fresh, None));
}

#[tokio::test]
async fn both_clocks_ahead_for_one_commit_and_right_again() {
    for ahead_ms in [3 * HOUR_MS, YEAR_MS] {
        let (primary, mut replica) = both_ahead(ahead_ms).await;
        primary.deploy("a", 1, "production").await;
        replica.sync(&primary).await;
        follows(&replica, &primary);
        assert_eq!(replica.text("a").expect("a rollback arrives"), "one");
        // The floor of time is the newest position's, so that what is from the future is refused again.
        let (note, data) = unframe(&primary.answer(Position::default()).await);
        let mut far = crate::support::wire::read_note(&note);
        (far.seq, far.issued, far.expires) = (far.seq + 1, far.issued + 86_400, far.expires + 86_400);
        let far = primary.signer.sign(&far).expect("a thief signs anything");
        replica.refuses(Reply::Bytes(frame(&far, &data)), "future").await;
    }
}

#[tokio::test]
async fn both_clocks_ahead_for_one_commit_then_right_and_the_replica_restarted() {
    let (primary, replica) = both_ahead(YEAR_MS).await;
    let clock = replica.clock.clone();
    let mut replica = Replica::reopen(&primary, replica.stop().await, clock).await;
    primary.publish("a", "three").await;
    replica.sync(&primary).await;
    follows(&replica, &primary);
    let clock = replica.clock.clone();
    let mut replica = Replica::reopen(&primary, replica.stop().await, clock).await;
    primary.wait(10_000).publish("a", "four").await;
    replica.sync(&primary).await;
    follows(&replica, &primary);
}

#[tokio::test]
async fn bundle_is_accepted_after_both_clocks_were_ahead() {
    let (primary, replica) = both_ahead(YEAR_MS).await;
    primary.publish("a", "three").await;
    let bundle = primary.bundle().await;
    let (clock, directory) = (replica.clock.clone(), replica.stop().await);
    let store = crate::support::primary::open_store(directory.path());
    let (mut follower, resolver, _) = open_follower(&store, &clock, None, primary.root_key).expect("a replica");
    follower.import(bundle.path()).await.expect("it is newer");
    let query = bookholder::resolve::resolver::Query::default();
    assert_eq!(crate::support::primary::text_of(&resolver, "a@3", &query).expect("the news"), "three");
}

#[tokio::test]
async fn newer_expired_bundle_is_accepted_and_reported_expired() {
    let primary = Primary::found();
    primary.publish("a", "one").await;
    let replica = Replica::synced(&primary).await;
    primary.publish("a", "two").await;
    let bundle = primary.bundle().await;
    let (clock, directory) = (replica.clock.clone(), replica.stop().await);
    clock.advance(8 * 86_400_000);
    let store = crate::support::primary::open_store(directory.path());
    let (mut follower, _, freshness) = open_follower(&store, &clock, None, primary.root_key).expect("a replica");
    follower.import(bundle.path()).await.expect("it is newer");
    assert_eq!(freshness.now().freshness, Freshness::Expired);
    assert_eq!(freshness.now().position, primary.state().0);
}

#[tokio::test]
async fn primary_with_a_clock_hours_behind_is_followed_and_reported_expired() {
    let primary = Primary::found();
    primary.publish("a", "one").await;
    let mut replica = Replica::synced(&primary).await;
    primary.clock.set(BEGIN_MS - 2 * HOUR_MS);
    primary.deploy("a", 1, "production").await;
    let trouble = replica.offer(Reply::Bytes(primary.answer(replica.asks_after()).await)).await.expect("a warning");
    assert_eq!(trouble.reason, "expired", "{}", trouble.detail);
    assert_eq!(replica.state(), primary.state());
    assert_eq!(replica.health.view(&replica.clock).freshness, Freshness::Expired);
    // A note without news is reported repeatedly, and is not contact.
    primary.wait(25_000);
    replica.clock.advance(25_000);
    let (note, _) = unframe(&primary.answer(Position::default()).await);
    let trouble = replica.offer(Reply::Bytes(frame(&note, &[]))).await.expect("a warning");
    assert_eq!((trouble.reason.as_str(), trouble.times), ("expired", 2));
    let view = replica.health.view(&replica.clock);
    assert_eq!((view.freshness, view.age_s), (Freshness::Expired, 25));
    primary.clock.set(replica.clock.now_ms());
    primary.publish("a", "two").await;
    replica.offer(Reply::Bytes(primary.answer(replica.asks_after()).await)).await;
    follows(&replica, &primary);
}

#[tokio::test]
async fn idle_primary_whose_clock_was_set_back_is_in_contact_and_a_replay_is_not() {
    // By up to ten minutes its signatures go on; further back, it makes one commit.
    for (back_ms, replica_too, commits) in
        [(300_000, false, 0), (600_000, true, 0), (1_800_000, false, 1), (3 * HOUR_MS, true, 1)]
    {
        let primary = Primary::found();
        primary.publish("a", "one").await;
        let mut replica = Replica::synced(&primary).await;
        let replayed = primary.answer(Position::default()).await;
        replica.offer(Reply::Bytes(frame(&unframe(&replayed).0, &[]))).await;
        let before = primary.state();
        primary.clock.set(BEGIN_MS - back_ms);
        if replica_too {
            replica.clock.set(BEGIN_MS - back_ms);
        }
        for poll in 1..=8 {
            primary.wait(25_000).registry.record_set_back_clock().await.expect("recorded");
            replica.clock.advance(25_000);
            let note = primary.publisher.checkpoint("all").expect("signed").expect("the view `all`");
            let trouble = replica.offer(Reply::Bytes(frame(&note, &[]))).await;
            assert_eq!(trouble, None, "{back_ms} ms back, poll {poll}");
            let view = replica.health.view(&replica.clock);
            assert_eq!((view.freshness, view.age_s), (Freshness::Fresh, 0), "{back_ms} ms back, poll {poll}");
        }
        assert_eq!(replica.state(), primary.state());
        assert_eq!(primary.state().0.seq, before.0.seq + commits, "{back_ms}");
        assert!(!replica.health.view(&replica.clock).clock_untrusted, "{back_ms}");
        // The note from before is refused or known: neither is contact.
        primary.wait(25_000);
        replica.clock.advance(25_000);
        replica.offer(Reply::Bytes(frame(&unframe(&replayed).0, &[]))).await;
        assert_eq!(replica.health.view(&replica.clock).age_s, 25, "{back_ms}");
    }
}

#[tokio::test]
async fn expired_first_state_needs_a_setting() {
    let primary = Primary::found();
    primary.publish("a", "one").await;
    let late = ManualClock::at(BEGIN_MS + YEAR_MS);
    for (accept_expired, reason) in [(false, Some("expired")), (true, None)] {
        let directory = Arc::new(tempfile::tempdir().expect("a temporary directory"));
        let settings = Settings { accept_expired, ..Settings::of(primary.root_key) };
        let mut replica = Replica::reopen_as(&primary, directory, late.clone(), settings).await;
        let answer = primary.answer(Position::default()).await;
        let trouble = replica.offer(Reply::Bytes(answer)).await.expect("a warning either way");
        assert_eq!(trouble.reason, "expired");
        assert_eq!(replica.text("a@1").is_err(), reason.is_some());
    }
}

#[tokio::test]
async fn notes_a_little_ahead_do_not_raise_the_floor_step_by_step() {
    let primary = Primary::found();
    primary.publish("a", "one").await;
    let mut replica = Replica::synced(&primary).await;
    let (note, _) = unframe(&primary.answer(Position::default()).await);
    let checkpoint = crate::support::wire::read_note(&note);
    for (ahead_s, reason) in [(600, None), (601, Some("future")), (1_200, Some("future"))] {
        let mut ahead = checkpoint.clone();
        (ahead.issued, ahead.expires) = (ahead.issued + ahead_s, ahead.expires + ahead_s);
        let note = primary.signer.sign(&ahead).expect("signed");
        let trouble = replica.offer(Reply::Bytes(frame(&note, &[]))).await;
        assert_eq!(trouble.map(|trouble| trouble.reason), reason.map(str::to_owned), "{ahead_s}");
        assert!(!replica.health.view(&replica.clock).clock_untrusted, "{ahead_s}");
    }
}
