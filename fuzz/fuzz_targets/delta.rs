//! Deltas: whatever arrives is applied or refused, and a refused one changes nothing.
//!
//! With a first byte of 0 the rest is what arrives; otherwise it is packed first, so that mutations reach the records.
#![no_main]

use std::sync::LazyLock;

use bookholder::model::position::Position;
use bookholder::model::time::Timestamp;
use bookholder::store::delta::{DeltaTarget, Scope, apply};
use bookholder::store::query::Queries;
use bookholder::store::read::{Entries, Head};
use bookholder::store::{Options, Store, StoreError};
use libfuzzer_sys::fuzz_target;

static STORE: LazyLock<Store> = LazyLock::new(|| {
    let directory = tempfile::tempdir().expect("a folder").keep();
    Store::open(&Options { directory, create: true }).expect("a store")
});

fn target() -> DeltaTarget {
    DeltaTarget {
        scope: Scope { registry: "test".to_owned(), view: "all".to_owned(), view_generation: 1 },
        head: Head { position: Position { epoch: 1, seq: 9 }, changed: 9, floor: 0, tombstones: 4 },
        entries: 64,
        bytes: 64 * 1024,
        tombstones: 4,
        state: [0; 32],
        now: Timestamp::from_ms(1_800_000_000_000),
    }
}

fuzz_target!(|bytes: &[u8]| {
    let Some((first, rest)) = bytes.split_first() else { return };
    let packed = if *first == 0 { rest.to_vec() } else { zstd::encode_all(rest, 1).expect("packed") };
    let refused = STORE.write_blocking(move |txn| -> Result<(), StoreError> {
        let applied = apply(txn, packed.as_slice(), &target(), None);
        // The written data exists until the transaction ends, whatever the bytes are.
        let mut names = std::collections::BTreeSet::new();
        txn.visit(&[], &[0xff; 4], false, &mut |key, _, _| {
            if let Some(name) = bookholder::store::entry::Parts::of(key).and_then(|parts| parts.name()?.parse().ok()) {
                names.insert(name);
            }
            Ok(std::ops::ControlFlow::Continue(()))
        })?;
        for name in &names {
            let _ = (txn.prompt(name), txn.labels(name), txn.deployments(name));
        }
        applied.map(|_| ()).and(Err(StoreError::Aborted))
    });
    assert!(refused.is_err());
    assert_eq!(STORE.read().expect("a reader").head().expect("a head").position, Position::default());
});
