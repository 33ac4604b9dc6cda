//! Lies in the signed note: each is refused for its own reason, before any data is looked at.

use bookholder::crypto::key::SigningKey;
use bookholder::model::position::Position;
use bookholder::replication::engine::{Action, Engine, Event, Now, Settings};
use bookholder::replication::replica_state::load_replica_state;
use bookholder::trust::checkpoint::Checkpoint;

use crate::support::primary::Primary;
use crate::support::replica::Replica;
use crate::support::upstream::Reply;
use crate::support::wire::{frame, read_note, unframe};

async fn pair() -> (Primary, Replica) {
    let primary = Primary::found();
    primary.publish("a", "honest").await;
    primary.deploy("a", 1, "production").await;
    let replica = Replica::synced(&primary).await;
    (primary, replica)
}

/// A later state of the primary, for attackers to change.
async fn news(primary: &Primary, replica: &Replica) -> (Checkpoint, Vec<u8>) {
    primary.wait(1_000).publish("a", "newer").await;
    replica.clock.advance(1_000);
    let (note, data) = unframe(&primary.answer(replica.asks_after()).await);
    (read_note(&note), data)
}

/// One lie, signed by the right key: as if the key were stolen.
async fn refused(reason: &str, lie: impl FnOnce(&mut Checkpoint)) {
    let (primary, mut replica) = pair().await;
    let (mut checkpoint, data) = news(&primary, &replica).await;
    lie(&mut checkpoint);
    let note = primary.signer.sign(&checkpoint).expect("a thief signs anything");
    replica.refuses(Reply::Bytes(frame(&note, &data)), reason).await;
    assert_eq!(replica.text("a").expect("what it had"), "honest");
    replica.sync(&primary).await;
    assert_eq!(replica.text("a@2").expect("the honest news"), "newer");
}

#[tokio::test]
async fn wrong_view() {
    refused("wrong_view", |checkpoint| checkpoint.view = "support".to_owned()).await;
}

#[tokio::test]
async fn mix_and_match_of_view_definitions() {
    refused("wrong_definition", |checkpoint| checkpoint.view_definition.1 = [7; 32]).await;
}

#[tokio::test]
async fn rollback_to_an_older_checkpoint() {
    refused("rollback", |checkpoint| (checkpoint.seq, checkpoint.changed) = (2, 2)).await;
}

#[tokio::test]
async fn pre_signed_future_checkpoint() {
    refused("future", |checkpoint| {
        (checkpoint.issued, checkpoint.expires) = (checkpoint.issued + 86_400, checkpoint.issued + 86_500);
    })
    .await;
}

#[tokio::test]
async fn checkpoint_with_too_long_a_lifetime_is_refused() {
    refused("lifetime", |checkpoint| checkpoint.expires = checkpoint.issued + 91 * 86_400).await;
}

#[tokio::test]
async fn arbitrary_update_of_the_signed_state() {
    refused("state", |checkpoint| checkpoint.state = [7; 32]).await;
}

#[tokio::test]
async fn signed_count_that_differs_from_the_map_is_refused() {
    refused("state", |checkpoint| checkpoint.entries += 1).await;
}

#[tokio::test]
async fn bounds_that_are_too_tight_for_the_data() {
    refused("size", |checkpoint| (checkpoint.entries, checkpoint.bytes) = (1, 0)).await;
}

#[tokio::test]
async fn replay_across_registries() {
    let (primary, mut replica) = pair().await;
    let other = Primary::found_as("another");
    other.publish("a", "evil").await;
    other.publish("a", "worse").await;
    other.publish("a", "worst").await;
    let answer = other.answer(Position::default()).await;
    let trouble = replica.refuses(Reply::Bytes(answer), "wrong_registry").await;
    assert_eq!(
        trouble.detail,
        "the checkpoint is for the registry `another`, not `example`; check the upstream's address"
    );
    primary.publish("a", "newer").await;
    replica.sync(&primary).await;
}

#[tokio::test]
async fn registry_with_the_same_name_and_other_keys_is_rejected() {
    let (_primary, mut replica) = pair().await;
    let other = Primary::found();
    for text in ["x", "y", "z"] {
        other.publish("a", text).await;
    }
    let answer = other.answer(Position::default()).await;
    replica.refuses(Reply::Bytes(answer), "wrong_key").await;
    assert_eq!(replica.text("a").expect("what it had"), "honest");
}

#[tokio::test]
async fn wrong_key_under_the_right_name() {
    let (primary, mut replica) = pair().await;
    let (checkpoint, data) = news(&primary, &replica).await;
    let note = checkpoint.sign(&primary.signer.key_name, &SigningKey::from_seed([9; 32])).expect("signed");
    replica.refuses(Reply::Bytes(frame(&note, &data)), "wrong_key").await;
}

/// All acceptable results of a bit flip.
#[tokio::test]
async fn bit_flip_anywhere_in_a_note_is_refused() {
    let (primary, replica) = pair().await;
    primary.wait(1_000).publish("a", "newer").await;
    let (note, _) = unframe(&primary.answer(replica.asks_after()).await);
    let now = Now { wall_s: primary.now().seconds(), monotonic_ms: 0, random: 0 };
    let fresh = || {
        let txn = replica.store.read().expect("a state");
        let recollection = load_replica_state(&txn, replica.directory.path(), &primary.root_key).expect("a proof");
        Engine::new(Settings::of(primary.root_key), recollection.memory)
    };
    let believes = |note: Vec<u8>| {
        let answer = Event::Answer { note, delta: true, reconnect_ms: None };
        let actions = fresh().handle(now, answer);
        actions.iter().any(|action| matches!(action, Action::Apply(_) | Action::KeepNote(_) | Action::Contact))
    };
    assert!(believes(note.clone()), "the note itself is good");
    for at in 0..note.len() {
        let mut flipped = note.clone();
        flipped[at] ^= 1 << (at % 8);
        assert!(!believes(flipped), "byte {at} of {}", note.len());
        assert!(!believes(note[..at].to_vec()), "cut at {at}");
    }
    for suffix in [&b"\n"[..], b"x", b"\0"] {
        assert!(!believes([&note, suffix].concat()), "{suffix:?}");
    }
}
