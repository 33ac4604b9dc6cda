//! Lies of an upstream that answers polls: bodies without end, broken caches, roots of others.

use bookholder::api::status::Freshness;
use bookholder::clock::Clock;
use bookholder::model::position::Position;

use crate::support::primary::Primary;
use crate::support::replica::{Replica, open_follower};
use crate::support::upstream::{Reply, Upstream};
use crate::support::wire::{frame, unframe};

async fn pair() -> (Primary, Replica) {
    let primary = Primary::found();
    primary.publish("a", "honest").await;
    primary.deploy("a", 1, "production").await;
    let replica = Replica::synced(&primary).await;
    (primary, replica)
}

#[tokio::test]
async fn endless_data() {
    let (primary, mut replica) = pair().await;
    primary.publish("a", "newer").await;
    let (note, data) = unframe(&primary.answer(replica.asks_after()).await);
    let trouble = replica.refuses(Reply::Endless(frame(&note, &data)), "malformed").await;
    assert!(trouble.detail.contains("bytes that the checkpoint allows"), "{}", trouble.detail);
    replica.sync(&primary).await;
}

#[tokio::test]
async fn endless_note_is_refused() {
    let (_primary, mut replica) = pair().await;
    let trouble = replica.refuses(Reply::Endless(u32::MAX.to_be_bytes().to_vec()), "malformed").await;
    assert_eq!(trouble.detail, "the note is over the limit of 16384 bytes");
}

#[tokio::test]
async fn truncated_body_is_refused() {
    let (primary, mut replica) = pair().await;
    primary.publish("a", "newer").await;
    let (note, data) = unframe(&primary.answer(replica.asks_after()).await);
    replica.refuses(Reply::Cut(frame(&note, &data[..data.len() / 2])), "unreachable").await;
    assert_ne!(replica.asks_after(), Position::default(), "a broken connection says nothing against the data");
    replica.refuses(Reply::Bytes(frame(&note, &data[..data.len() / 2])), "parse").await;
    assert_eq!(replica.asks_after(), Position::default(), "a delta that does not fit: ask for everything");
    replica.refuses(Reply::Bytes(vec![0, 0]), "malformed").await;
    replica.refuses(Reply::Bytes(Vec::new()), "malformed").await;
    replica.sync(&primary).await;
    assert_eq!(replica.text("a@2").expect("the news"), "newer");
}

#[tokio::test]
async fn cached_error() {
    let (primary, mut replica) = pair().await;
    let trouble = replica.refuses(Reply::Status(500), "malformed").await;
    assert_eq!(
        trouble.detail,
        format!("the upstream answered 500 Internal Server Error to view/all/next/{}", replica.asks_after())
    );
    let redirect = replica.refuses(Reply::Status(302), "malformed").await;
    assert!(redirect.detail.contains("302"), "redirects are not followed: {}", redirect.detail);
    primary.publish("a", "newer").await;
    replica.sync(&primary).await;
}

#[tokio::test]
async fn stale_cache() {
    let (primary, mut replica) = pair().await;
    let (note, _) = unframe(&primary.answer(Position::default()).await);
    for time in 1..=3 {
        assert!(!replica.asks().contains('?'), "{}", replica.asks());
        let trouble = replica.offer(Reply::Bytes(frame(&note, &[]))).await;
        assert_eq!(trouble.map(|trouble| trouble.reason), (time == 3).then(|| "stale_answer".to_owned()));
    }
    assert!(replica.asks().contains("?b="), "the same page at once, three times: ask for it in another way");
    assert_eq!(replica.health.view(&replica.clock).freshness, Freshness::Stale);
    primary.wait(1_000).publish("a", "newer").await;
    replica.clock.advance(1_000);
    replica.offer(Reply::Bytes(primary.answer(replica.asks_after()).await)).await;
    assert_eq!(replica.state(), primary.state());
    assert!(!replica.asks().contains('?'), "{}", replica.asks());
    let view = replica.health.view(&replica.clock);
    assert_eq!((view.freshness, view.trouble), (Freshness::Fresh, None));
}

#[tokio::test]
async fn checkpoint_without_its_data_requests_the_whole_state() {
    let (primary, mut replica) = pair().await;
    primary.publish("a", "newer").await;
    let (note, _) = unframe(&primary.answer(replica.asks_after()).await);
    assert_eq!(replica.offer(Reply::Bytes(frame(&note, &[]))).await, None);
    assert_eq!(replica.asks_after(), Position::default());
    replica.refuses(Reply::Bytes(frame(&note, &[])), "no_delta").await;
    replica.sync(&primary).await;
}

#[tokio::test]
async fn unpinned_root_is_refused() {
    let (primary, other) = (Primary::found(), Primary::found());
    other.publish("a", "evil").await;
    let mut upstream = Upstream::start().await;
    upstream.document("root/1", other.root(1));
    upstream.document("epoch/1", other.epoch(1));
    let directory = tempfile::tempdir().expect("a temporary directory");
    let store = crate::support::primary::open_store(directory.path());
    let url = format!("http://{}", upstream.address);
    let (follower, resolver, freshness) =
        open_follower(&store, &primary.clock, Some(url), primary.root_key).expect("a replica");
    let (health, stop) = (follower.health(), tokio_util::sync::CancellationToken::new());
    let running = tokio::spawn(follower.run(stop.clone()));
    // The root is asked for first, refused, and asked for again: there is never a poll.
    let refused = async {
        while health.view(&primary.clock).trouble.is_none() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(crate::support::upstream::PATIENCE, refused).await.expect("a refusal in time");
    let trouble = health.view(&primary.clock).trouble.expect("it was refused");
    assert_eq!(trouble.reason, "root");
    assert!(trouble.detail.contains("check --root-key with the registry's operator"), "{}", trouble.detail);
    assert_eq!(
        resolver.resolve("a@1", &bookholder::resolve::Query::default()).expect_err("nothing").to_string(),
        "this replica has no verified state yet"
    );
    assert_eq!(freshness.now().freshness, Freshness::Empty);
    stop.cancel();
    running.await.expect("no panic");
    assert!(tokio::time::timeout(std::time::Duration::ZERO, upstream.poll()).await.is_err());
}

#[tokio::test]
async fn replica_status_follows_verified_state() {
    let (primary, mut replica) = pair().await;
    assert_eq!(replica.health.view(&replica.clock).freshness, Freshness::Fresh);
    assert_eq!(replica.freshness.now().position, replica.state().0, "what every answer says");
    replica.clock.advance(41_000);
    let view = replica.health.view(&replica.clock);
    assert_eq!((view.freshness, view.age_s), (Freshness::Stale, 41));
    assert_eq!(view.since.ms(), primary.clock.now_ms(), "stale since the last contact");
    replica.clock.advance(3_600_000);
    let view = replica.health.view(&replica.clock);
    assert_eq!(view.freshness, Freshness::Expired);
    assert_eq!(view.since.ms(), primary.clock.now_ms() + 3_600_000);
    assert_eq!(replica.text("a").expect("answers go on"), "honest");
    primary.wait(3_641_000).publish("a", "newer").await;
    replica.sync(&primary).await;
    assert_eq!(replica.health.view(&replica.clock).freshness, Freshness::Fresh);
}
