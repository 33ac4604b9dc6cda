//! Lies in the data: the note is honest, and what comes with it is not.

use bookholder::crypto::lattice::{Lattice, Leaf};
use bookholder::model::position::Position;
use bookholder::store::delta::{self, DeltaError, DeltaTarget};
use bookholder::store::{Store, StoreError};

use crate::support::primary::{Primary, open_store, state_of};
use crate::support::wire::{
    compress, delete, drop_namespace, header, pack, plain, put, read_note, read_put, records, target, unframe,
};

/// A primary with newer state for a store with an older one.
struct Scene {
    primary: Primary,
    store: Store,
    target: DeltaTarget,
    delta: Vec<u8>,
    from: Position,
    _directory: tempfile::TempDir,
}

impl Scene {
    async fn set() -> Self {
        let primary = Primary::found();
        for prompt in ["a", "b", "team/x"] {
            primary.publish(prompt, "old").await;
            primary.deploy(prompt, 1, "production").await;
            primary.deploy(prompt, 1, "staging").await;
        }
        let directory = tempfile::tempdir().expect("a temporary directory");
        let store = open_store(directory.path());
        let (note, whole) = unframe(&primary.answer(Position::default()).await);
        let old = read_note(&note);
        apply(&store, whole, target(&old)).await.expect("the whole state");
        let from = Position { epoch: old.epoch, seq: old.changed };
        primary.publish("a", "new").await;
        primary.deploy("a", 2, "production").await;
        primary.unlabel("b", "staging").await.expect("a label");
        primary.publish("team/y", "new").await;
        let (note, delta) = unframe(&primary.answer(from).await);
        Self { target: target(&read_note(&note)), primary, store, delta, from, _directory: directory }
    }

    fn to(&self) -> Position {
        self.target.head.position
    }

    /// Offers data for the honest target; the store is as it was, whatever came.
    async fn offer(&self, data: Vec<u8>) -> Result<(), DeltaError> {
        let before = state_of(&self.store);
        let target = self.target.clone();
        let outcome = self
            .store
            .write(move |txn| -> Result<(), StoreError> {
                delta::apply(txn, data.as_slice(), &target, None)?;
                // Found good: taken back, so that the next offer meets the same state.
                Err(StoreError::Busy)
            })
            .await;
        assert_eq!(state_of(&self.store), before);
        match outcome {
            Err(StoreError::Busy) => Ok(()),
            Err(StoreError::Delta(error)) => Err(error),
            other => panic!("neither good nor refused: {other:?}"),
        }
    }

    async fn refuses(&self, records: &[Vec<u8>], reason: &str, part: &str) {
        let error = self.offer(pack(records)).await.expect_err(part);
        assert_eq!(error.reason(), reason, "{error}");
        assert!(error.to_string().contains(part), "{part}: {error}");
    }
}

async fn apply(store: &Store, data: Vec<u8>, target: DeltaTarget) -> Result<(), StoreError> {
    store.write(move |txn| delta::apply(txn, data.as_slice(), &target, None).map(|_| ())).await
}

#[tokio::test]
async fn valid_delta_is_accepted_in_any_compression() {
    let scene = Scene::set().await;
    let records = records(&scene.delta);
    for level in [1, 3, 19] {
        assert_eq!(scene.offer(compress(&plain(&records), level)).await, Ok(()));
    }
    let built = header("example", "all", 1, scene.from, scene.to());
    assert_eq!(built, records[0], "what this file builds is what the program writes");
    apply(&scene.store, scene.delta.clone(), scene.target.clone()).await.expect("good");
    assert_eq!(state_of(&scene.store), scene.primary.state());
}

/// What the state depends on: not where the delta begins, nor when an entry was deleted.
fn meaning(delta: &[u8]) -> Vec<Vec<u8>> {
    let mut records = records(delta);
    records.remove(0);
    for record in records.iter_mut().filter(|record| record.starts_with(&[33, 1, 1])) {
        record.pop();
    }
    records
}

#[tokio::test]
async fn delta_with_any_bit_flip_is_rejected_without_changes() {
    let scene = Scene::set().await;
    let original = meaning(&scene.delta);
    for at in 0..scene.delta.len() {
        let mut flipped = scene.delta.clone();
        flipped[at] ^= 1 << (at % 8);
        if scene.offer(flipped.clone()).await.is_ok() {
            assert!(meaning(&flipped) == original, "byte {at}: only what says the same may pass");
        }
    }
}

/// Where a delta begins, and when an entry was deleted, is all that the state does not depend on.
#[tokio::test]
async fn bit_flip_anywhere_in_an_operation_is_refused() {
    let scene = Scene::set().await;
    let records = records(&scene.delta);
    let mut unsigned: Vec<usize> = (0..records[0].len() + 4).collect();
    let mut at = 0;
    for record in &records {
        at += 4 + record.len();
        if record.starts_with(&[33, 1, 1]) {
            unsigned.push(at - 1);
        }
    }
    let original = plain(&records);
    for at in 0..original.len() {
        let mut flipped = original.clone();
        flipped[at] ^= 1 << (at % 8);
        let outcome = scene.offer(compress(&flipped, 1)).await;
        assert!(outcome.is_err() || unsigned.contains(&at), "byte {at} of {}", original.len());
    }
}

#[tokio::test]
async fn truncated_or_extended_delta_is_rejected() {
    let scene = Scene::set().await;
    for length in 0..scene.delta.len() {
        assert_eq!(scene.offer(scene.delta[..length].to_vec()).await.expect_err("cut").reason(), "parse", "{length}");
    }
    for suffix in [&b"x"[..], &scene.delta] {
        assert_eq!(scene.offer([&scene.delta, suffix].concat()).await, Err(DeltaError::Trailing));
    }
    let behind_the_end = [plain(&records(&scene.delta)), vec![0]].concat();
    assert_eq!(scene.offer(compress(&behind_the_end, 3)).await, Err(DeltaError::Trailing));
}

#[tokio::test]
async fn duplicate_and_unsorted_keys() {
    let scene = Scene::set().await;
    let honest = records(&scene.delta);
    let mut duplicate = honest.clone();
    duplicate.insert(2, honest[1].clone());
    scene.refuses(&duplicate, "order", "its keys are duplicated or out of order").await;
    let mut unsorted = honest.clone();
    unsorted.swap(1, 2);
    scene.refuses(&unsorted, "order", "its keys are duplicated or out of order").await;
    let mut twice = honest.clone();
    twice.insert(1, honest[0].clone());
    scene.refuses(&twice, "parse", "a record of a different kind").await;
}

#[tokio::test]
async fn missing_operations_and_added_ones() {
    let scene = Scene::set().await;
    let honest = records(&scene.delta);
    for missing in 1..honest.len() {
        let mut records = honest.clone();
        records.remove(missing);
        assert_eq!(scene.offer(pack(&records)).await.expect_err("one is missing").reason(), "state", "{missing}");
    }
    let to = scene.to().seq;
    let last = |operation: Vec<u8>| {
        let mut records = honest.clone();
        records.push(operation);
        records
    };
    scene.refuses(&last(put("zzz", 9, b"k", to, b"v")), "state", "it results in").await;
    let mut dropped = honest.clone();
    dropped.insert(dropped.len() - 1, drop_namespace("team"));
    assert_eq!(scene.offer(pack(&dropped)).await.expect_err("a namespace is gone").reason(), "order");
}

#[tokio::test]
async fn entries_that_changed_outside_of_from_and_to() {
    let scene = Scene::set().await;
    let honest = records(&scene.delta);
    for seq in [0, scene.from.seq, scene.to().seq + 1, u64::MAX] {
        for lie in [put("zzz", 1, b"z", seq, b"v"), delete("zzz", 1, b"z", seq)] {
            let mut records = honest.clone();
            records.push(lie);
            scene.refuses(&records, "sequence", &format!("an entry has changed at {seq}, outside the range")).await;
        }
    }
}

#[tokio::test]
async fn wrong_view_registry_and_positions_in_the_header() {
    let scene = Scene::set().await;
    let (from, to) = (scene.from, scene.to());
    let beyond = |position: Position, by: u64| Position { seq: position.seq + by, ..position };
    for (lie, part) in [
        (header("another", "all", 1, from, to), "it is of another, view all (1), not of example, view all (1)"),
        (header("example", "some", 1, from, to), "view some (1)"),
        (header("example", "all", 2, from, to), "view all (2)"),
        (header("example", "all", 1, from, beyond(to, 1)), "it goes from"),
        (header("example", "all", 1, beyond(from, 1), to), "it goes from"),
        (header("example", "all", 1, from, Position { epoch: 2, ..to }), "it goes from"),
    ] {
        let mut records = records(&scene.delta);
        records[0] = lie;
        scene.refuses(&records, "scope", part).await;
    }
    scene.refuses(&[], "parse", "no header").await;
    let mut whole_but_not = records(&scene.delta);
    whole_but_not[0] = header("example", "all", 1, Position::default(), to);
    scene.refuses(&whole_but_not, "state", "entries, but the checkpoint signs").await;
}

#[tokio::test]
async fn keys_and_values_that_are_none() {
    let scene = Scene::set().await;
    let honest = records(&scene.delta);
    let to = scene.to().seq;
    for (lie, part) in [
        (put("", 1, b"k", to, b"v"), "its key is invalid"),
        (put("z\0z", 1, b"k", to, b"v"), "its key is invalid"),
        (put("zzz", 1, &[b'k'; 1_024], to, b"v"), "its key is invalid"),
        (put("zzz", 3, b"not a hash", to, b"v"), "its key is not a hash"),
        (put("zzz", 2, b"n", to, b"v"), "truncated"),
        (put("zzz", 2, b"name\0\0\0\0\0\0\0\0\x01", to, b"value"), "it is a record of a different kind"),
        (put("zzz", 2, b"name\0\0\0\0\0\0\0\0\x01", to, &[2, 9]), "has version 9, which this program does not know"),
        (vec![33, 1, 7], "cannot read a record"),
        (vec![33], "truncated"),
        (vec![33, 9, 0], "version 9"),
        ([put("zzz", 1, b"k", to, b"v"), vec![0]].concat(), "trailing bytes"),
        (vec![33, 1, 0, 253, 255, 255, 255, 255, 255, 255, 255, 127], "cannot read a record"),
    ] {
        let mut records = honest.clone();
        records.push(lie);
        scene.refuses(&records, "parse", part).await;
    }
}

/// A header, and no end yet.
fn headed(header: &Vec<u8>) -> Vec<u8> {
    let mut plain = plain(std::slice::from_ref(header));
    plain.truncate(plain.len() - 4);
    plain
}

#[tokio::test]
async fn decompression_bomb() {
    let scene = Scene::set().await;
    let honest = records(&scene.delta);
    // A gigabyte that travels in some kilobytes: refused by its length, before it is inflated.
    let mut bomb = headed(&honest[0]);
    bomb.extend_from_slice(&(2_u32 << 20).to_le_bytes());
    bomb.resize(bomb.len() + (64 << 20), 0);
    let bomb = compress(&bomb, 3);
    assert!(bomb.len() < 64 * 1_024);
    assert_eq!(scene.offer(bomb).await, Err(DeltaError::TooLarge));
    let mut long = headed(&honest[0]);
    long.extend_from_slice(&u32::MAX.to_le_bytes());
    assert_eq!(scene.offer(compress(&long, 3)).await, Err(DeltaError::TooLarge));
    // A frame that asks its reader for a window of 128 MiB.
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 3).expect("an encoder");
    encoder.window_log(27).expect("a parameter");
    std::io::Write::write_all(&mut encoder, &vec![1; 1 << 20]).expect("memory");
    assert_eq!(scene.offer(encoder.finish().expect("memory")).await.expect_err("too wide").reason(), "parse");
}

#[tokio::test]
async fn more_operations_than_the_checkpoint_allows() {
    let scene = Scene::set().await;
    let to = scene.to().seq;
    let mut records = vec![header("example", "all", 1, scene.from, scene.to())];
    records.extend((0..=scene.target.tombstones).map(|number| delete("zzz", 9, &number.to_be_bytes(), to)));
    scene.refuses(&records, "size", "more operations than the checkpoint allows").await;
}

/// A verifier that believes what messages claim: it adds what is put and knows nothing of a map.
fn wire_sum(mut sum: Lattice, operations: &[Vec<u8>]) -> Lattice {
    let mut leaf = (Vec::new(), Leaf::new(0, b"", b"", 0, b""));
    for operation in operations {
        if leaf.0 != *operation {
            let (namespace, kind, key, seq, value) = read_put(operation).expect("a put");
            leaf = (operation.clone(), Leaf::new(kind, namespace.as_bytes(), &key, seq, &value));
        }
        sum.add(&leaf.1);
    }
    sum
}

/// Lanes are 16 bits wide: what is added 65,536 times is not there for a sum, and is there for a map.
#[tokio::test]
async fn forged_multiplicities() {
    let scene = Scene::set().await;
    let evil = put("default", 4, b"a\0production", scene.to().seq, b"whatever a thief wants production to serve");
    let forged = vec![evil; 1 << 16];
    let honest = Lattice::default();
    assert_eq!(wire_sum(honest.clone(), &forged), honest, "a verifier that sums messages sees nothing");
    assert_ne!(wire_sum(honest.clone(), &forged[1..]), honest);
    let mut stream = vec![header("example", "all", 1, scene.from, scene.to())];
    stream.extend(forged);
    scene.refuses(&stream, "order", "its keys are duplicated").await;
}
