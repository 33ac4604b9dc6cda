//! Bodies of OpenTelemetry: whatever arrives is read or refused, and what was read settles to a bounded number of events.
//!
//! The first byte says how the rest is to be read.
#![no_main]

use bookholder::telemetry::event::{Event, ScoreValue};
use bookholder::telemetry::otlp::{
    Encoding, MemoryLimits, Options, Signal, TraceMemory, answer, read_logs, read_metrics, read_traces,
};
use libfuzzer_sys::fuzz_target;

const NOW_MS: i64 = 1_800_000_000_000;

fuzz_target!(|bytes: &[u8]| {
    let Some((first, body)) = bytes.split_first() else { return };
    let encoding = if first & 1 == 0 { Encoding::Protobuf } else { Encoding::Json };
    let options = Options { now_ms: NOW_MS, record_content: first & 2 == 0 };
    let (signal, batch) = match first >> 2 & 3 {
        0 | 1 => (Signal::Traces, read_traces(body, encoding, &options)),
        2 => (Signal::Logs, read_logs(body, encoding, &options)),
        _ => (Signal::Metrics, read_metrics(body, encoding)),
    };
    let Ok(batch) = batch else { return };
    assert!(batch.rejected_items() <= batch.items());
    assert_eq!(answer(signal, Encoding::Protobuf, &batch).is_empty(), batch.message().is_none());
    let items = batch.items();

    let mut memory = TraceMemory::new(MemoryLimits { spans: 8, parked: 4, ..MemoryLimits::default() });
    let mut events = memory.settle(batch, NOW_MS).into_events();
    assert!(memory.parked() <= 4);
    events.extend(memory.due(NOW_MS + 60_000));
    assert_eq!((memory.parked(), memory.drain().len()), (0, 0));
    let mut responses = 0;
    for event in events {
        match event {
            Event::Response(response) => {
                responses += 1;
                assert!((0..=NOW_MS + 300_000).contains(&response.ended_ms));
                assert_eq!(response.body.is_some() && !options.record_content, false);
            }
            Event::Score(score) => {
                let ScoreValue::Number(number) = score.value else { continue };
                assert!(number.number().abs() <= 1e9);
            }
        }
    }
    assert!(responses <= items);
});
