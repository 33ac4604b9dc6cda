//! Another history under the same keys: a copy, a reset machine, a recreated registry. Its numbers may be higher; a
//! replica keeps its state, reports the fork, and shows the primary its checkpoint.

use std::sync::Arc;

use bookholder::clock::ManualClock;
use bookholder::model::position::Position;
use bookholder::registry::RegistryError;
use bookholder::replication::engine::Settings;
use bookholder::replication::publish_error::PublishError;
use bookholder::replication::witness::pack;
use bookholder::store::StoreError;
use bookholder::store::meta;

use crate::support::primary::{BEGIN_MS, Primary, open_store};
use crate::support::replica::{Replica, open_follower, share_trust};
use crate::support::upstream::Reply;
use crate::support::wire::{frame, unframe};

/// A primary, a copy of it that goes its own way, and a replica of the first. The copy has the higher number.
async fn parted() -> (Primary, Primary, Replica) {
    let primary = Primary::found();
    primary.publish("a", "common").await;
    let copy = primary.crashed_copy();
    primary.publish("a", "one story").await;
    primary.deploy("a", 2, "production").await;
    let replica = Replica::synced(&primary).await;
    for text in ["another story", "and on", "and on and on"] {
        copy.publish("a", text).await;
    }
    (primary, copy, replica)
}

fn whole_error(copy: &Primary, replica: &Replica) -> String {
    let (held, to) = (replica.state().0, copy.state().0);
    format!(
        "a different history is signed for {to}: it differs from the one held here from commit 3 on; find out which \
            primary was copied or reset; to discard what this replica holds, start it with --accept-fork {held}"
    )
}

/// Offers what the copy answers until the replica knows that it is another history.
async fn find_out(replica: &mut Replica, copy: &Primary) {
    replica.refuses(Reply::Bytes(copy.answer(replica.asks_after()).await), "state").await;
    assert_eq!(replica.asks_after(), Position::default(), "the whole tells more");
    let trouble = replica.refuses(Reply::Bytes(copy.answer(Position::default()).await), "fork").await;
    assert_eq!(trouble.detail, whole_error(copy, replica));
}

#[tokio::test]
async fn other_history_with_a_higher_number_is_rejected_as_a_fork() {
    let (primary, copy, mut replica) = parted().await;
    let held = replica.store.read().expect("a state").meta(&meta::NOTE).expect("a table");
    find_out(&mut replica, &copy).await;
    let txn = replica.store.read().expect("a state");
    assert_eq!(
        txn.meta(&meta::FORK).expect("a table"),
        Some(unframe(&copy.answer(Position::default()).await).0),
        "the other note"
    );
    assert_eq!(txn.meta(&meta::FORK_HELD).expect("a table"), held, "and its own");
    let proof = pack(&held.expect("a note"), &primary.epoch(1), []);
    assert_eq!(replica.upstream.shown().await, proof, "the upstream is shown what it should know");
    // The whole is not fetched again and again, and the alarm stays.
    for _ in 0..3 {
        let trouble = replica.refuses(Reply::Bytes(copy.answer(replica.asks_after()).await), "fork").await;
        assert_eq!(trouble.detail, whole_error(&copy, &replica));
        assert_ne!(replica.asks_after(), Position::default());
    }
    assert!(replica.upstream.was_shown_nothing(), "once a minute is enough");
    assert_eq!(replica.text("a").expect("what it had"), "one story");
    // The right one comes back.
    primary.publish("a", "the story goes on").await;
    replica.offer(Reply::Bytes(primary.answer(replica.asks_after()).await)).await;
    assert_eq!(replica.state(), primary.state());
    assert_eq!(replica.health.view(&replica.clock).lost_commits, 0);
}

#[tokio::test]
async fn other_history_with_an_older_change_is_a_fork_by_its_note() {
    let (_primary, copy, mut replica) = parted().await;
    let mut note = crate::support::wire::read_note(&unframe(&copy.answer(Position::default()).await).0);
    (note.seq, note.changed) = (99, 3);
    let note = copy.signer.sign(&note).expect("signed");
    let trouble = replica.refuses(Reply::Bytes(frame(&note, &[])), "fork").await;
    assert!(trouble.detail.starts_with(
        "the checkpoint at 1.99 belongs to a different history than the one held at \
        1.4;"
    ));
    assert_ne!(replica.asks_after(), Position::default());
}

#[tokio::test]
async fn same_state_with_another_audit_log_is_a_fork() {
    let primary = Primary::found();
    primary.publish("a", "common").await;
    let copy = primary.crashed_copy();
    for (one, text) in [(&primary, "x"), (&copy, "y")] {
        let denied = bookholder::registry::Actor { name: text.to_owned(), ..primary.admin.clone() };
        one.registry.publish(&denied, "a".parse().expect("a name"), crate::support::primary::request(text)).await.ok();
    }
    let mut replica = Replica::synced(&primary).await;
    assert_eq!(copy.state(), primary.state(), "refusals change no prompt");
    let (note, _) = unframe(&copy.answer(Position::default()).await);
    let trouble = replica.refuses(Reply::Bytes(frame(&note, &[])), "fork").await;
    assert!(trouble.detail.starts_with("two different audit logs are signed for position 1."), "{}", trouble.detail);
}

#[tokio::test]
async fn recreated_registry_with_the_same_keys_is_a_fork() {
    let (primary, _, mut replica) = parted().await;
    let directory = Arc::new(tempfile::tempdir().expect("a temporary directory"));
    let keys = directory.path().join("keys");
    std::fs::create_dir(&keys).expect("a folder");
    for name in ["root.key", "checkpoint.key"] {
        std::fs::copy(primary.path().join("keys").join(name), keys.join(name)).expect("a copy");
    }
    // As a first start that was cut short leaves them: else nothing begins beside keys that were used.
    std::fs::create_dir(directory.path().join(".first-start")).expect("a folder");
    let again = Primary::open(directory, ManualClock::at(BEGIN_MS), "example");
    for number in 0..10 {
        again.publish(&format!("other/p{number}"), "new").await;
    }
    assert!(again.state().0 > replica.state().0);
    // A new root document of the same key, too, so that only the history differs.
    let answer = again.answer(Position::default()).await;
    let trouble = replica.refuses(Reply::Bytes(answer), "fork").await;
    assert!(trouble.detail.contains("from commit 2 on"), "{}", trouble.detail);
    assert_eq!(replica.text("a").expect("no prompt is forgotten"), "one story");
}

#[tokio::test]
async fn bundle_of_another_history_is_a_fork() {
    let (primary, copy, replica) = parted().await;
    let bundle = copy.bundle().await;
    let (clock, directory) = (replica.clock.clone(), replica.stop().await);
    let store = open_store(directory.path());
    let (mut follower, ..) = open_follower(&store, &clock, None, primary.root_key).expect("a replica");
    let refused = follower.import(bundle.path()).await.expect_err("another history");
    assert_eq!(refused.reason, "fork", "{}", refused.detail);
    assert_eq!(crate::support::primary::state_of(&store), primary.state());
}

#[tokio::test]
async fn operator_accepts_exactly_one_other_history() {
    let (primary, copy, replica) = parted().await;
    let (held, clock, directory) = (replica.state().0, replica.clock.clone(), replica.stop().await);
    let settings = |accept_fork| Settings { accept_fork, ..Settings::of(primary.root_key) };
    let other = Some(Position { seq: held.seq - 1, ..held });
    let mut replica = Replica::reopen_as(&primary, directory, clock.clone(), settings(other)).await;
    find_out(&mut replica, &copy).await;
    let directory = replica.stop().await;
    let mut replica = Replica::reopen_as(&primary, directory, clock.clone(), settings(Some(held))).await;
    replica.offer(Reply::Bytes(copy.answer(replica.asks_after()).await)).await;
    replica.offer(Reply::Bytes(copy.answer(replica.asks_after()).await)).await;
    assert_eq!(replica.state(), copy.state());
    assert_eq!(replica.health.view(&replica.clock).lost_commits, 2, "commits 3 and 4");
    assert!(replica.text("a").is_err(), "its label is gone, as the copy never had one");
    // The setting names the position to give up, and does not apply to the next fork.
    for text in ["x", "y", "z"] {
        primary.publish("a", text).await;
    }
    let answer = primary.answer(Position::default()).await;
    replica.refuses(Reply::Bytes(answer), "fork").await;
}

#[tokio::test]
async fn new_epoch_ends_a_fork() {
    let (_primary, copy, mut replica) = parted().await;
    find_out(&mut replica, &copy).await;
    assert_eq!(copy.begin_epoch(), 2);
    let copy = copy.restart().await;
    share_trust(&copy, &replica.upstream);
    replica.offer(Reply::Bytes(copy.answer(replica.asks_after()).await)).await;
    replica.offer(Reply::Bytes(copy.answer(replica.asks_after()).await)).await;
    assert_eq!(replica.state(), copy.state());
    assert_eq!(replica.text("a@4").expect("its history"), "and on and on");
}

/// All changes that a registry makes, seen as whole states: none of them is another history.
#[tokio::test]
async fn later_commits_of_one_registry_are_not_a_fork() {
    let primary = Primary::found();
    for text in ["one", "two", "three"] {
        primary.publish("team/a", text).await;
        primary.publish("team/b", text).await;
    }
    primary.deploy("team/a", 1, "production").await;
    primary.deploy("team/b", 1, "production").await;
    primary.deploy("team/b", 2, "staging").await;
    let mut replica = Replica::synced(&primary).await;
    let retire = crate::support::primary::why();
    primary.registry.retire(&primary.admin, "team/a".parse().expect("a name"), 2, retire).await.expect("retired");
    primary.deploy("team/a", 3, "production").await;
    primary.rollback("team/a", "production", None).await.expect("rolled back");
    primary.unlabel("team/b", "staging").await.expect("unlabelled");
    primary.remove("team/b").await.expect("removed");
    primary.publish("team/b", "back again").await;
    // A delta that does not fit leads to the whole state.
    let (note, data) = unframe(&primary.answer(replica.asks_after()).await);
    replica.refuses(Reply::Bytes(frame(&note, &data[..data.len() / 2])), "parse").await;
    assert_eq!(replica.asks_after(), Position::default());
    assert_eq!(replica.offer(Reply::Bytes(primary.answer(Position::default()).await)).await.map(|it| it.reason), None);
    assert_eq!(replica.state(), primary.state());
}

/// The error of a set-back primary on a write.
async fn refusal(primary: &Primary) -> String {
    match primary.try_publish("a", "more").await.expect_err("it refuses") {
        RegistryError::Store(error @ StoreError::Outdated { .. }) => error.to_string(),
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn set_back_primary_stops_when_shown_its_checkpoint() {
    let primary = Primary::found();
    primary.publish("a", "common").await;
    let copy = primary.crashed_copy();
    primary.publish("a", "two").await;
    primary.publish("a", "three").await;
    let mut replica = Replica::synced(&primary).await;
    replica.refuses(Reply::Bytes(copy.answer(Position::default()).await), "rollback").await;
    let proof = replica.upstream.shown().await;

    primary.publisher.shown(proof.clone()).await.expect("it knows that note");
    assert!(primary.publisher.outdated().is_none());
    copy.publisher.shown(proof).await.expect("it knows its own signature");
    let said = refusal(&copy).await;
    let expected =
        "this data directory is older than the published state: it is at 1.2, but the registry has already signed 1.4";
    assert!(said.starts_with(expected) && said.contains("bookholder restore"), "{said}");
    let never = tokio_util::sync::CancellationToken::new();
    let polled = copy.publisher.next("all", Position::default(), "replica", &never).await;
    assert!(matches!(polled, Err(PublishError::Store(StoreError::Outdated { .. }))), "nothing is signed");
    assert!(copy.publisher.bundle(7, Vec::new()).await.is_err());
    assert_eq!(copy.text("a@1").expect("reading goes on"), "common");

    let copy = copy.restart().await;
    assert!(copy.publisher.outdated().is_some(), "it remembers");
    refusal(&copy).await;
    assert_eq!(copy.begin_epoch(), 2);
    let copy = copy.restart().await;
    assert!(copy.publisher.outdated().is_none());
    copy.publish("a", "under a new epoch").await;
    replica.sync(&copy).await;
    assert_eq!(replica.text("a@2").expect("it goes back"), "under a new epoch");
}

#[tokio::test]
async fn reverted_primary_stops_even_at_a_higher_position() {
    let (primary, copy, replica) = parted().await;
    let held = replica.store.read().expect("a state").meta(&meta::NOTE).expect("a table").expect("a note");
    assert!(copy.state().0 > primary.state().0);
    copy.publisher.shown(pack(&held, &primary.epoch(1), [])).await.expect("its own signature");
    let said = refusal(&copy).await;
    assert!(said.contains("it is at 1.5, but the registry has already signed 1.4"), "{said}");
}

#[tokio::test]
async fn replaced_primary_stops_when_shown_the_new_epoch() {
    let primary = Primary::found();
    primary.publish("a", "common").await;
    let restored = primary.crashed_copy();
    restored.begin_epoch();
    let restored = restored.restart().await;
    for text in ["ghost", "ghost of a ghost"] {
        primary.publish("a", text).await;
    }
    let mut replica = Replica::synced(&restored).await;
    replica.refuses(Reply::Bytes(primary.answer(Position::default()).await), "fenced").await;
    primary.publisher.shown(replica.upstream.shown().await).await.expect("the key is the same");
    refusal(&primary).await;
}

#[tokio::test]
async fn only_its_own_signature_on_an_unknown_state_stops_a_primary() {
    let (primary, copy, _) = parted().await;
    let (note, _) = unframe(&primary.answer(Position::default()).await);
    let stranger = Primary::found();
    let (strange, _) = unframe(&stranger.answer(Position::default()).await);
    let mut checkpoint = crate::support::wire::read_note(&note);
    checkpoint.seq = 1_000;
    let key = bookholder::crypto::key::SigningKey::from_seed([9; 32]);
    let forged = checkpoint.sign(&copy.signer.key_name, &key).expect("signed");
    checkpoint.registry = "another".to_owned();
    let elsewhere = copy.signer.sign(&checkpoint).expect("signed");
    let mut flipped = note.clone();
    flipped[40] ^= 1;
    let long = [note.clone(), vec![b'x'; 20_000]].concat();
    let (epoch, root) = (copy.epoch(1), copy.root(1));
    let whole = pack(&note, &epoch, []);
    for (proof, part) in [
        (pack(&forged, &epoch, []), "is not signed by the key of epoch 1"),
        (pack(&strange, &epoch, []), "is not signed by the key of epoch 1"),
        (pack(&strange, &stranger.epoch(1), []), "must be a signed checkpoint"),
        (pack(&note, &epoch, [stranger.root(1).as_slice()]), "are not signed by the root keys"),
        (pack(&note, &epoch, [root.as_slice()]), "are not signed by the root keys"),
        (pack(&elsewhere, &epoch, []), "is for view all of registry another"),
        (pack(&flipped, &epoch, []), "must be a signed checkpoint"),
        (pack(&long, &epoch, []), "must be a signed checkpoint"),
        (pack(&note[..note.len() - 9], &epoch, []), "must be a signed checkpoint"),
        (note.clone(), "must be a signed checkpoint"),
        (whole[..whole.len() - 1].to_vec(), "must be a signed checkpoint"),
        (pack(&note, &epoch, [])[..4 + note.len()].to_vec(), "must be a signed checkpoint"),
        (Vec::new(), "must be a signed checkpoint"),
    ] {
        let said = copy.publisher.shown(proof).await.expect_err(part).to_string();
        assert!(said.contains(part), "{said}");
    }
    assert!(copy.publisher.outdated().is_none());
    // What it signed before its last commit, and before an epoch, it knows.
    let newest = unframe(&copy.answer(Position::default()).await).0;
    copy.publisher.shown(pack(&newest, &epoch, [])).await.expect("its latest");
    copy.begin_epoch();
    let copy = copy.restart().await;
    copy.publisher.shown(whole).await.expect("an epoch that is over");
    assert!(copy.publisher.outdated().is_none());
    copy.publish("a", "more").await;
}
