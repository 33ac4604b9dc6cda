//! Telemetry of replicas: a file that was carried, and a batch that was posted. Both are read or refused, and a primary
//! that merges a batch counts each event of it once, within its limits.
//!
//! The first byte says what the rest is: a whole file, or the bytes of a batch before they were compressed.
#![no_main]

use std::cell::RefCell;
use std::ops::ControlFlow;

use bookholder::replication::telemetry_file::{TelemetryFile, is_signed};
use bookholder::telemetry::event::{EXPLANATION_BYTES_MAX, Event, ID_BYTES_MAX, NAME_BYTES_MAX, Response, Score};
use bookholder::telemetry::otlp::export;
use bookholder::telemetry::parquet::{write_responses, write_scores};
use bookholder::telemetry::rollup::{Rollup, Total};
use bookholder::telemetry::stats::counts;
use bookholder::telemetry::store::{Batch, Level, Role, SentBatch, SpoolId, Stretch, TelemetryStore, Which};
use libfuzzer_sys::fuzz_target;
use tokio::runtime::Runtime;

const NOW_MS: i64 = 1_800_000_000_000;
const EVER: Stretch = Stretch { level: Level::Day, from_ms: i64::MIN, to_ms: i64::MAX };

thread_local! {
    static PRIMARY: RefCell<Option<Primary>> = const { RefCell::new(None) };
}

fuzz_target!(|bytes: &[u8]| {
    let Some((first, body)) = bytes.split_first() else { return };
    if first & 1 == 0 {
        read_file(body);
        return;
    }
    let Ok(packed) = zstd::bulk::compress(body, 1) else { return };
    PRIMARY.with_borrow_mut(|primary| {
        let primary = primary.get_or_insert_with(Primary::new);
        primary.merge(&packed);
        // A file that stays small.
        if primary.merged >= 64 {
            primary.renew();
        }
    });
});

/// Reads a file to its end: each batch is signed, in its place, and there are no more than the file says.
fn read_file(bytes: &[u8]) {
    let Ok(mut file) = TelemetryFile::open(bytes) else { return };
    let Ok(key) = file.header.key.parse() else { panic!("a key that is none: {:?}", file.header) };
    let mut read = 0;
    while let Ok(Some(batch)) = file.next_batch() {
        read += 1;
        assert!(is_signed(&key, &file.header.replica, &batch));
        assert!(file.header.node.eq_ignore_ascii_case(&format!("{:032x}", u128::from_be_bytes(batch.spool.node))));
        let _ = SentBatch::decode(1, batch.number, &batch.batch);
    }
    assert!(read <= file.header.batches);
}

/// A primary that takes what replicas send.
struct Primary {
    runtime: Runtime,
    directory: tempfile::TempDir,
    store: TelemetryStore,
    merged: u64,
}

impl Primary {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("a folder");
        let store = TelemetryStore::open(directory.path(), Role::Keep).expect("a store");
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        Self { runtime, directory, store, merged: 0 }
    }

    fn renew(&mut self) {
        self.directory = tempfile::tempdir().expect("a folder");
        self.store = TelemetryStore::open(self.directory.path(), Role::Keep).expect("a store");
        self.merged = 0;
    }

    fn merge(&mut self, packed: &[u8]) {
        let spool = SpoolId { node: [7; 16], epoch: self.merged };
        let Ok(sent) = SentBatch::decode(1, 1, packed) else { return };
        let again = Batch::decode(&sent.batch.encode().expect("bytes")).expect("what was encoded");
        assert_eq!(again, sent.batch);
        let events: Vec<Event> = sent.batch.events.iter().map(|recorded| recorded.event.clone()).collect();
        events.iter().for_each(is_limited);
        leaves(&events);

        let before = self.calls();
        let merge = |sent| self.runtime.block_on(self.store.merge(spool, sent, NOW_MS)).expect("merged");
        assert_eq!(merge(sent.clone()), 1);
        let counted = self.calls();
        assert!(counted - before <= events.len() as u64);
        assert_eq!(merge(sent), 1);
        assert_eq!(self.calls(), counted, "it counts once");
        self.merged += 1;
        for event in &events {
            let Event::Response(response) = event else { continue };
            let Response { id: Some(id), span: None, .. } = &**response else { continue };
            assert!(self.store.response(id).expect("a read").is_some());
        }
        let mut total = Rollup::default();
        for series in self.store.counts(Which::All, EVER.level, EVER.from_ms, EVER.to_ms).expect("counts") {
            series.buckets.iter().for_each(|bucket| total.merge(&bucket.rollup));
        }
        assert_eq!(total.calls, counted);
        let _ = serde_json::to_string(&counts(&total)).expect("statistics");
    }

    /// Calls in the total of everything.
    fn calls(&self) -> u64 {
        let mut calls = 0;
        let visited = self.store.visit_spend(
            &[EVER],
            |total| *total == Total::All,
            |_, _, spend| {
                calls += spend.calls;
                ControlFlow::Continue(())
            },
        );
        assert!(visited.expect("totals").is_continue());
        calls
    }
}

/// Texts are not longer than those that applications report to the primary itself.
fn is_limited(event: &Event) {
    let within = |text: &Option<String>, bytes: usize| assert!(text.as_ref().is_none_or(|text| text.len() <= bytes));
    match event {
        Event::Response(response) => {
            let Response { id, provider, model_requested, model_used, error, session, user, environment, .. } =
                &**response;
            [id, session, user].into_iter().for_each(|text| within(text, ID_BYTES_MAX));
            let names = [provider, model_requested, model_used, error, environment];
            names.into_iter().for_each(|text| within(text, NAME_BYTES_MAX));
        }
        Event::Score(Score { name, evaluator, explanation, .. }) => {
            assert!(name.len() <= NAME_BYTES_MAX);
            within(evaluator, ID_BYTES_MAX);
            within(explanation, EXPLANATION_BYTES_MAX);
        }
    }
}

/// What is recorded can leave again: to a collector, and in files.
fn leaves(events: &[Event]) {
    let _ = export(0, events);
    let (mut responses, mut scores) = (Vec::new(), Vec::new());
    for event in events {
        match event {
            Event::Response(response) => responses.push((**response).clone()),
            Event::Score(score) => scores.push(score.clone()),
        }
    }
    write_responses(&responses, std::io::sink()).expect("columns");
    write_scores(&scores, std::io::sink()).expect("columns");
}
