//! Resolving in process: what one call costs, from memory and from the database, in small and large registries.

use std::collections::HashMap;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use bookholder::resolve::answer::SharedAnswer;
use bookholder::resolve::{Query, Resolver};

use crate::Bench;
use crate::library::{close, open, reference};
use crate::report::{Figure, Progress, Target, count};

const SIZES: [usize; 3] = [100, 10_000, 100_000];
/// Bytes of one prompt.
const BYTES: usize = 2_048;
const ROUNDS: usize = 7;
const HOT_CALLS: usize = 200_000;
const COLD_CALLS: usize = 4_000;
/// A cache for all answers, and one for hardly any.
const HOT_CACHE_BYTES: u64 = 1 << 30;
const COLD_CACHE_BYTES: u64 = 1 << 20;
/// Prompts that fit even into the small cache, so that there is nothing to measure.
const FITS_COLD_CACHE: usize = 100;
const TARGET_NS: f64 = 1_000.0;

/// Measures and reports.
pub fn run(bench: &mut Bench) {
    bench.report.section("resolve", "resolve in process, 2 KiB, random names");
    let mut flat = Vec::new();
    for size in SIZES {
        let store = open(bench.shelf.library(size, BYTES).path());
        let references: Vec<String> = (0..size).map(reference).collect();
        let progress = Progress::begin(format!("resolving {} prompts", count(size)));
        let resolver = Resolver::new(store.clone(), HOT_CACHE_BYTES);
        for (number, reference) in references.iter().enumerate() {
            let answer = resolver.resolve(reference, &Query::default()).expect(reference);
            assert_eq!((answer.version, answer.name.as_str()), (1, crate::library::name(number).as_str()));
        }
        let hot = time(&resolver, &references, HOT_CALLS);
        let small = Resolver::new(store.clone(), COLD_CACHE_BYTES);
        let cold = (size > FITS_COLD_CACHE).then(|| time(&small, &references, COLD_CALLS));
        let map = time_map(&resolver, &references);
        drop(progress);
        let hit = references.iter().filter(|reference| resolver.cached(reference).is_some()).count();
        assert_eq!(hit, size, "all answers are in memory");
        bench.report.row(
            &format!("{} prompts, from memory", count(size)),
            &hot,
            &format!("std HashMap of the same answers: {map:.0} ns"),
            Some(Target::AtMost(TARGET_NS)),
        );
        if let Some(cold) = cold {
            let beside = format!("{:.0} × from memory", cold.median / hot.median);
            bench.report.row(&format!("{} prompts, from the database", count(size)), &cold, &beside, None);
        }
        flat.push(hot.median);
        close(&store);
    }
    if let (Some(small), Some(large)) = (flat.first(), flat.last()) {
        bench.report.row(
            "100,000 prompts ÷ 100 prompts",
            &Figure::one(large / small, "×"),
            "1 is flat; the rest is the processor's caches",
            None,
        );
    }
}

/// Nanoseconds a call, over references in random order.
fn time(resolver: &Resolver, references: &[String], calls: usize) -> Figure {
    let query = Query::default();
    time_calls(references, calls, |reference| {
        black_box(resolver.resolve(reference, &query).expect("an answer"));
    })
}

/// The same for the standard library's map from reference to shared answer: what the memory itself costs.
fn time_map(resolver: &Resolver, references: &[String]) -> f64 {
    let answer = |reference: &String| Some((reference.clone(), resolver.cached(reference)?));
    let map: HashMap<String, SharedAnswer> = references.iter().filter_map(answer).collect();
    let figure = time_calls(references, HOT_CALLS, |reference| {
        black_box(map.get(reference).map(Arc::clone).expect("an answer"));
    });
    figure.median
}

fn time_calls(references: &[String], calls: usize, call: impl Fn(&String)) -> Figure {
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        references.get((random % references.len() as u64) as usize)
    };
    let round = |_| {
        let order: Vec<&String> = (0..calls).filter_map(|_| next()).collect();
        let began = Instant::now();
        for reference in order {
            call(reference);
        }
        began.elapsed().as_nanos() as f64 / calls as f64
    };
    Figure::of(&(0..ROUNDS).map(round).collect::<Vec<_>>(), "ns")
}
