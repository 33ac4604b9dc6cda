//! Two primaries where there should be one: copies, thieves, forks, and how an operator ends them.

use std::sync::Arc;

use bookholder::crypto::key::SigningKey;
use bookholder::model::position::Position;
use bookholder::replication::engine::{Action, Engine, Event, Memory, Now, Settings};
use bookholder::signing::primary_clock::PrimaryClock;
use bookholder::signing::signer::Signer;
use bookholder::store::StoreError;
use bookholder::store::meta;
use bookholder::trust::epoch::{EpochBase, EpochRecord};
use bookholder::trust::root::{RootDocument, sign_root};
use bookholder::trust::root_chain::RootChain;

use crate::support::primary::Primary;
use crate::support::replica::{Replica, share_trust};
use crate::support::upstream::Reply;
use crate::support::wire::{frame, unframe};

async fn pair() -> (Primary, Replica) {
    let primary = Primary::found();
    primary.publish("a", "honest").await;
    primary.deploy("a", 1, "production").await;
    let replica = Replica::synced(&primary).await;
    (primary, replica)
}

#[tokio::test]
async fn equivocation_keeps_evidence_and_the_current_state() {
    let (primary, mut replica) = pair().await;
    let copy = primary.crashed_copy();
    primary.publish("a", "one story").await;
    copy.publish("a", "another story").await;
    replica.sync(&primary).await;
    let (note, data) = unframe(&copy.answer(Position::default()).await);
    let trouble = replica.refuses(Reply::Bytes(frame(&note, &data)), "fork").await;
    assert!(trouble.detail.starts_with("two different states are signed for position 1."), "{}", trouble.detail);
    assert_eq!(replica.store.read().expect("a state").meta(&meta::FORK).expect("a table"), Some(note));
    assert_eq!(replica.text("a@2").expect("what it had"), "one story");
}

#[tokio::test]
async fn restored_primary_without_a_new_epoch_is_a_fork() {
    let (primary, mut replica) = pair().await;
    let restored = primary.crashed_copy();
    primary.publish("a", "two").await;
    primary.publish("a", "three").await;
    replica.sync(&primary).await;
    restored.publish("a", "forgotten").await;
    replica.refuses(Reply::Bytes(restored.answer(Position::default()).await), "rollback").await;
    let behind = replica.refuses(Reply::Bytes(restored.answer(replica.asks_after()).await), "rollback").await;
    assert!(behind.detail.contains("behind 1/1."), "{}", behind.detail);
    assert_eq!(replica.text("a@3").expect("what it had"), "three");
}

#[tokio::test]
async fn restored_primary_with_a_new_epoch_rewinds_replicas() {
    let (primary, mut replica) = pair().await;
    let restored = primary.crashed_copy();
    primary.publish("a", "lost").await;
    primary.publish("a", "lost, too").await;
    primary.deploy("a", 3, "production").await;
    replica.sync(&primary).await;
    assert_eq!(restored.begin_epoch(), 2);
    restored.publish("a", "found").await;
    replica.sync(&restored).await;
    assert_eq!(replica.text("a").expect("what the backup knew"), "honest");
    assert_eq!(replica.text("a@2").expect("what it learned since"), "found");
    assert!(replica.text("a@3").is_err());
    assert_eq!(replica.health.view(&replica.clock).lost_commits, 3);
    restored.verify();
    assert!(restored.view().verify_audit().expect("a log").whole);

    // The old primary comes back, further on than the new one.
    for text in ["ghost", "ghost of a ghost", "and on"] {
        primary.publish("a", text).await;
    }
    replica.refuses(Reply::Bytes(primary.answer(Position::default()).await), "fenced").await;
}

#[tokio::test]
async fn replica_follows_a_new_epoch_without_a_snapshot() {
    let (primary, mut replica) = pair().await;
    let restored = primary.crashed_copy();
    restored.begin_epoch();
    share_trust(&restored, &replica.upstream);
    let after = replica.asks_after();
    restored.publish("a", "two").await;
    let answer = restored.answer(after).await;
    let records = crate::support::wire::records(&unframe(&answer).1);
    assert!(records.len() <= 4, "content, version and prompt: {}", records.len());
    assert_eq!(replica.offer(Reply::Bytes(answer)).await, None);
    assert_eq!(replica.state(), restored.state());
    assert_eq!(replica.health.view(&replica.clock).lost_commits, 0);
}

/// Root document 2 takes the stolen key away; epoch 2 goes on where the registry was honest.
async fn rotate(primary: &Primary) {
    let root_key = primary.root_signing_key();
    let first = primary.root(1);
    let chain = RootChain::begin(&primary.root_key, &first).expect("the pinned root");
    let key = SigningKey::from_seed([42; 32]);
    let issued = primary.now().seconds();
    let (base, state) = primary.state();
    let document = RootDocument {
        version: 2,
        checkpoint_keys: vec![("checkpoint-2".to_owned(), key.verifying_key())],
        reset: Some(base),
        issued,
        ..chain.current().clone()
    };
    let root = sign_root(&document, &[&root_key]).expect("a root");
    let record = EpochRecord {
        registry: document.registry.clone(),
        epoch: 2,
        base: Some(EpochBase { position: base, state: state.hash }),
        checkpoint_key: "checkpoint-2".to_owned(),
        root: 2,
        issued,
    };
    let epoch = record.sign_by_roots(&[&root_key]).expect("an epoch");
    let clock = Arc::new(PrimaryClock::new(Arc::new(primary.clock.clone()), false));
    let signer = Signer {
        registry: document.registry,
        key_name: "checkpoint-2".to_owned(),
        key,
        root: 2,
        max_lifetime_s: document.max_lifetime_s,
        clock,
    };
    primary.store.set_seal(Arc::new(signer).seal());
    let keep = move |txn: &mut bookholder::store::write::WriteTxn<'_>| -> Result<(), StoreError> {
        txn.put_root(2, &root)?;
        txn.put_epoch(2, &epoch)?;
        txn.set_epoch(2);
        Ok(())
    };
    primary.store.write(keep).await.expect("kept");
}

#[tokio::test]
async fn stolen_checkpoint_key_then_rotation() {
    let (primary, mut replica) = pair().await;
    let thief = primary.crashed_copy();
    for text in ["evil", "eviler", "evilest"] {
        thief.publish("a", text).await;
    }
    replica.sync(&thief).await;
    assert_eq!(replica.text("a@4").expect("a stolen key is believed"), "evilest");
    rotate(&primary).await;
    let directory = primary.directory();
    let (clock, key) = (primary.clock.clone(), SigningKey::from_seed([42; 32]));
    primary.store.close().await;
    drop(primary);
    bookholder::store::files::replace(
        &directory.path().join("keys/checkpoint.key"),
        format!("{}\n", key.to_key_file()).as_bytes(),
        0o600,
    )
    .expect("the new key");
    let primary = Primary::open(directory, clock, "example");
    primary.publish("a", "honest again").await;
    replica.sync(&primary).await;
    assert_eq!(replica.text("a@2").expect("the rightful story"), "honest again");
    assert!(replica.text("a@4").is_err());
    assert_eq!(replica.health.view(&replica.clock).lost_commits, 3);
    thief.publish("a", "still evil").await;
    replica.refuses(Reply::Bytes(thief.answer(Position::default()).await), "wrong_key").await;
}

#[tokio::test]
async fn fast_forward_and_reset() {
    let (primary, mut replica) = pair().await;
    let thief = primary.crashed_copy();
    thief.publish("a", "evil").await;
    let (note, whole) = unframe(&thief.answer(Position::default()).await);
    let mut far = crate::support::wire::read_note(&note);
    far.seq = 1 << 63;
    let mut records = crate::support::wire::records(&whole);
    records[0] = crate::support::wire::header("example", "all", 1, Position::default(), far.position());
    let far_note = thief.signer.sign(&far).expect("a thief signs anything");
    let answer = frame(&far_note, &crate::support::wire::pack(&records));
    assert_eq!(replica.offer(Reply::Bytes(answer)).await, None, "a stolen key is believed");
    assert_eq!(replica.state().0.seq, 1 << 63);
    primary.publish("a", "honest news").await;
    replica.refuses(Reply::Bytes(primary.answer(Position::default()).await), "fork").await;
    primary.begin_epoch();
    primary.publish("a", "honest again").await;
    share_trust(&primary, &replica.upstream);
    // A change by the thief at the same number blocks a delta, but not the whole state.
    replica.refuses(Reply::Bytes(primary.answer(replica.asks_after()).await), "state").await;
    replica.sync(&primary).await;
    assert_eq!(replica.text("a@3").expect("the rightful story"), "honest again");
}

/// An upstream that answers every question for an epoch with a record that is known must not be asked without end.
#[tokio::test]
async fn unexpected_epoch_record_causes_a_pause() {
    let (primary, replica) = pair().await;
    let restored = primary.crashed_copy();
    restored.begin_epoch();
    let (note, _) = unframe(&restored.answer(Position::default()).await);
    let mut engine = Engine::new(Settings::of(primary.root_key), Memory::default());
    let now = Now { wall_s: primary.now().seconds(), monotonic_ms: 0, random: 7 };
    engine.handle(now, Event::Root(1, primary.root(1)));
    let asked = engine.handle(now, Event::Answer { note, delta: true, reconnect_ms: None });
    assert!(matches!(asked[..], [Action::FetchEpoch(2)]), "{asked:?}");
    let told = engine.handle(now, Event::Epoch(2, primary.epoch(1)));
    assert!(told.iter().any(|action| matches!(action, Action::Wait(_))), "{told:?}");
    assert!(!told.iter().any(|action| matches!(action, Action::KeepEpoch(..) | Action::FetchEpoch(_))), "{told:?}");
    drop(replica);
}
