//! Commits that change no prompt: a replica takes the note, and nothing else.

use std::sync::atomic::Ordering;

use bookholder::api::govern::TokenRequest;
use bookholder::api::status::Freshness;
use bookholder::model::position::Position;

use crate::support::primary::Primary;
use crate::support::replica::Replica;
use crate::support::upstream::Reply;
use crate::support::wire::{frame, unframe};

async fn make_token(primary: &Primary, name: &str) {
    let request = serde_json::json!({"name": name, "role": "replica"});
    let request: TokenRequest = serde_json::from_value(request).expect("a request");
    primary.registry.create_token(&primary.admin, request).await.expect("a token");
}

/// The note alone, as a primary answers a poll that waited in vain.
async fn note(primary: &Primary) -> Reply {
    Reply::Bytes(frame(&unframe(&primary.answer(Position::default()).await).0, &[]))
}

#[tokio::test]
async fn creating_a_token_costs_a_replica_one_note() {
    let primary = Primary::found();
    for number in 0..200_u64 {
        let words: Vec<String> =
            (0..5_u64).map(|n| blake3::hash(&(number * 5 + n).to_le_bytes()).to_string()).collect();
        primary.publish(&format!("team/p{number}"), &words.join(" ")).await;
    }
    let mut replica = Replica::synced(&primary).await;
    let (sent, changed) = (replica.upstream.sent_bytes.load(Ordering::Relaxed), replica.asks_after());
    assert!(sent > 10_000, "the whole state has {sent} bytes");
    for time in 1_u64..=3 {
        make_token(&primary, &format!("t{time}")).await;
        primary.wait(25_000);
        replica.clock.advance(25_000);
        let before = replica.upstream.sent_bytes.load(Ordering::Relaxed);
        assert_eq!(replica.offer(note(&primary).await).await, None);
        let received = replica.upstream.sent_bytes.load(Ordering::Relaxed) - before;
        assert!(received < 1_000, "{received} bytes");
        assert_eq!(replica.state(), primary.state(), "position and state");
        assert_eq!(replica.asks_after(), changed, "all current replicas ask the same");
        let view = replica.health.view(&replica.clock);
        assert_eq!((view.freshness, view.age_s), (Freshness::Fresh, 0));
        let watermark = std::fs::read_to_string(replica.directory.path().join("watermark")).expect("a watermark");
        assert_eq!(watermark, format!("1 {}\n", primary.state().0));
    }
    // The state survives a restart, and the next change arrives as a delta.
    let clock = replica.clock.clone();
    let mut replica = Replica::reopen(&primary, replica.stop().await, clock).await;
    assert_eq!(replica.asks_after(), changed);
    primary.publish("team/p0", "news").await;
    let answer = primary.answer(replica.asks_after()).await;
    assert!(answer.len() < 2_000, "{} bytes", answer.len());
    assert_eq!(replica.offer(Reply::Bytes(answer)).await, None);
    assert_eq!(replica.text("team/p0@2").expect("the news"), "news");
    assert_eq!(crate::support::primary::verify_store(&replica.store).differences, Vec::<String>::new());
}

#[tokio::test]
async fn new_epoch_without_changes_costs_a_replica_one_note() {
    let primary = Primary::found();
    primary.publish("a", "one").await;
    let mut replica = Replica::synced(&primary).await;
    assert_eq!(primary.begin_epoch(), 2);
    let primary = primary.restart().await;
    crate::support::replica::share_trust(&primary, &replica.upstream);
    assert_eq!(replica.offer(note(&primary).await).await, None);
    assert_eq!(replica.state(), primary.state());
    assert_eq!(replica.asks_after(), Position { epoch: 2, seq: 2 });
}

#[tokio::test]
async fn whole_state_is_requested_only_while_data_is_at_fault() {
    let primary = Primary::found();
    primary.publish("a", "one").await;
    let mut replica = Replica::synced(&primary).await;
    primary.publish("a", "two").await;
    let (held, (note, data)) = (replica.asks_after(), unframe(&primary.answer(replica.asks_after()).await));
    replica.refuses(Reply::Bytes(frame(&note, &data[..data.len() / 2])), "parse").await;
    assert_eq!(replica.asks_after(), Position::default());
    let (note, whole) = unframe(&primary.answer(Position::default()).await);
    replica.refuses(Reply::Cut(frame(&note, &whole[..whole.len() / 2])), "unreachable").await;
    assert_eq!(replica.asks_after(), held, "a line that breaks would break for everything, too");
    replica.sync(&primary).await;
}
