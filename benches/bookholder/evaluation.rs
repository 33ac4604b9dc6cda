//! What running evaluations costs: the time of a case beside that of its model, the memory of many results, the pages of a
//! run, and whether applications that resolve notice.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::Bench;
use crate::library::reference;
use crate::load::Load;
use crate::machine::memory_mib;
use crate::memory::BYTES;
use crate::models::Models;
use crate::node::{Node, resolve_path, versions_path};
use crate::pages::measure;
use crate::report::{Figure, Progress, Target, count};
use crate::wire::get;

/// Prompts of the registry.
const PROMPTS: usize = 10_000;
/// The prompt that is evaluated.
const PROMPT: &str = "support/returns";
/// Cases of a run whose time is taken.
const CASES: usize = 2_000;
/// Cases of the largest suite, and how often each is run for the memory of many results.
const CASES_MAX: usize = 10_000;
const REPEATS: usize = 10;
/// Runs whose time is taken.
const ROUNDS: usize = 3;
/// How long a slow model takes.
const MODEL: Duration = Duration::from_millis(20);
/// Cases that a node runs at the same time.
const CASES_AT_ONCE: f64 = 8.0;
/// How often memory is looked at while a run goes on.
const LOOK: Duration = Duration::from_millis(50);
/// How long a load of resolves takes.
const LOADED: Duration = Duration::from_secs(4);
/// Until memory that large work has freed is given back.
const SETTLE: Duration = Duration::from_secs(3);
/// Resident memory of a primary while it makes 100,000 results, in MiB. It is that of a library of 10,000 prompts in use
/// (64) and half of it again: results are stored and not held, so only the suite and sums by case may grow.
const MEMORY_MIB: f64 = 96.0;
/// Longest time for a page of a run, in milliseconds.
const PAGE_MS: f64 = 100.0;
/// Most of a model's time that a case may take, with the same number of calls at once.
const RATIO: f64 = 1.25;

/// Measures and reports.
pub fn run(bench: &mut Bench) {
    time(bench);
    let (at_once, slow) = (Models::start(Duration::ZERO), Models::start(MODEL));
    let directory = bench.shelf.library(PROMPTS, BYTES).copy();
    let node = start(directory.path(), &at_once);
    pages(bench, &node);
    memory(bench, &node, &at_once);
    drop(node);
    let node = start(directory.path(), &slow);
    beside_resolving(bench, &node);
}

/// A primary whose provider is this server, with a prompt to evaluate.
fn start(directory: &std::path::Path, models: &Models) -> Node {
    std::fs::write(directory.join("bench.toml"), models.settings()).expect("a file");
    let node = Node::configured(directory, &directory.join("bench.toml"));
    let content = json!({
        "syntax": "mustache", "model": {"name": "made-up"},
        "messages": [
            {"role": "system", "content": "You answer questions of customers, briefly and politely."},
            {"role": "user", "content": "{{question}}"},
        ],
    });
    let version = json!({"content": content, "message": "why"});
    let published = node.wire().post(&versions_path(PROMPT), &version).expect("a running node");
    assert!(published.status < 300, "{}", published.text());
    node
}

/// Pushes a suite with so many cases, each with three scorers.
fn push(node: &Node, name: &str, cases: usize) {
    let case = |number: usize| {
        let question = format!("How long can I return what I ordered as number {number}?");
        json!({"name": format!("question {number:05}"), "variables": {"question": question}})
    };
    let scorers = json!([
        {"type": "icontains", "value": "30 days", "metric": "accuracy"},
        {"type": "not-contains", "value": "As an AI", "metric": "safety"},
        {"type": "regex", "value": "\\bdays?\\b", "metric": "format"},
    ]);
    let suite = json!({"scorers": scorers, "cases": (0..cases).map(case).collect::<Vec<_>>()});
    let request = json!({"suite": suite, "message": "why"});
    node.wire().put(&format!("/v1/suites/{name}"), &request).expect("a running node").expect(201);
}

/// Starts a run that asks the model about every case anew; its path.
fn begin(node: &Node, suite: &str, repeats: usize) -> String {
    let request = json!({"prompt": PROMPT, "suite": suite, "repeats": repeats, "no_cache": true});
    let run = node.wire().post("/v1/runs", &request).expect("a running node").expect(201).json();
    format!("/v1/runs/{}", run.get("id").and_then(Value::as_u64).expect("a number"))
}

/// Looks at a run until it is over; it must have passed with all results.
fn finish(node: &Node, path: &str, results: usize, progress: &Progress, mut look: impl FnMut()) {
    let mut wire = node.wire();
    loop {
        let run = wire.get(path).expect("a running node").expect(200).json();
        look();
        let passed = run.pointer("/summary/passed").and_then(Value::as_u64).unwrap_or_default();
        if run.get("ended").is_some_and(Value::is_string) {
            let state = run.get("state").and_then(Value::as_str);
            assert_eq!((state, passed), (Some("finished"), results as u64), "{run}");
            return;
        }
        progress.show(&format!("{} of {}", count(passed as usize), count(results)));
        std::thread::sleep(LOOK);
    }
}

/// The time of a case beside that of the model.
fn time(bench: &mut Bench) {
    bench.report.section("evaluation", &format!("runs of {} cases with 3 scorers", count(CASES)));
    for (takes, what) in [(Duration::ZERO, "a model that answers at once"), (MODEL, "a model that takes 20 ms")] {
        let progress = Progress::begin(format!("asking {what}"));
        let models = Models::start(takes);
        let directory = bench.shelf.library(PROMPTS, BYTES).copy();
        let node = start(directory.path(), &models);
        push(&node, "time", CASES);
        let mut each_ms = Vec::new();
        for _ in 0..ROUNDS {
            let began = Instant::now();
            let path = begin(&node, "time", 1);
            finish(&node, &path, CASES, &progress, || ());
            each_ms.push(began.elapsed().as_secs_f64() * 1_000.0 / CASES as f64);
        }
        assert_eq!(models.asked(), (ROUNDS * CASES) as u64, "each case is asked once");
        drop(progress);
        let beside = format!("{CASES_AT_ONCE} at once, each answer and result durable");
        bench.report.row(&format!("a case of {what}"), &Figure::of(&each_ms, "ms"), &beside, None);
        if !takes.is_zero() {
            let own_ms = takes.as_secs_f64() * 1_000.0 / CASES_AT_ONCE;
            let ratios: Vec<f64> = each_ms.iter().map(|ms| ms / own_ms).collect();
            let beside = format!("its own time is {own_ms} ms a case");
            bench.report.row(
                "ratio to the model's own time",
                &Figure::of(&ratios, "×"),
                &beside,
                Some(Target::AtMost(RATIO)),
            );
        }
    }
}

/// The pages of a run with as many results as the largest suite has cases.
fn pages(bench: &mut Bench, node: &Node) {
    let progress = Progress::begin(format!("running {} cases", count(CASES_MAX)));
    push(node, "large", CASES_MAX);
    let path = begin(node, "large", 1);
    finish(node, &path, CASES_MAX, &progress, || ());
    drop(progress);
    bench.report.section("evaluation", &format!("pages of a run with {} results", count(CASES_MAX)));
    let page = path.replace("/v1/runs/", "/ui/evaluations/");
    // Places are counted by two, for the candidate and the baseline.
    let middle = CASES_MAX;
    for (what, path, shows) in [
        ("page of the run", page.clone(), "question 00099"),
        ("page of its middle", format!("{page}?verdict=all&from={middle}"), "question 05099"),
        ("page of what failed: nothing", format!("{page}?verdict=failed"), "None."),
        ("1,000 results as JSON", format!("{path}/results?limit=1000"), "question 00999"),
        ("failed results as JSON: none", format!("{path}/results?limit=1000&verdict=failed"), "\"items\":[]"),
        ("page of the suite", "/ui/suites/large".to_owned(), "question 00001"),
        ("list of runs", "/ui/evaluations".to_owned(), "/ui/suites/large"),
    ] {
        measure(bench, node, what, &path, shows, PAGE_MS);
    }
}

/// Memory of a node with many results.
fn memory(bench: &mut Bench, node: &Node, models: &Models) {
    let results = CASES_MAX * REPEATS;
    let progress = Progress::begin(format!("making {} results", count(results)));
    std::thread::sleep(SETTLE);
    let (before, own_before, _) = memory_mib(node.pid());
    let (mut most, mut own_most) = (0.0_f64, 0.0_f64);
    let asked = models.asked();
    let path = begin(node, "large", REPEATS);
    let began = Instant::now();
    finish(node, &path, results, &progress, || {
        let (resident, own, _) = memory_mib(node.pid());
        (most, own_most) = (most.max(resident), own_most.max(own));
    });
    let per_second = results as f64 / began.elapsed().as_secs_f64();
    assert_eq!(models.asked() - asked, results as u64);
    std::thread::sleep(SETTLE);
    let (after, own, _) = memory_mib(node.pid());
    drop(progress);
    bench.report.section("evaluation", &format!("a run with {} results", count(results)));
    let beside = format!("before it {before:.1} MiB, {own_before:.1} MiB its own");
    let target = Some(Target::AtMost(MEMORY_MIB));
    bench.report.row("resident memory at most, while it runs", &Figure::one(most, "MiB"), &beside, target);
    bench.report.row("of it its own", &Figure::one(own_most, "MiB"), "not backed by files", None);
    let beside = format!("{own:.1} MiB its own");
    bench.report.row("resident memory when it is over", &Figure::one(after, "MiB"), &beside, None);
    bench.report.row("results", &Figure::one(per_second, "/s"), "a model that answers at once", None);
}

/// Whether applications that resolve notice a run.
fn beside_resolving(bench: &mut Bench, node: &Node) {
    let progress = Progress::begin("resolving while a run goes on");
    let path = resolve_path(&reference(0));
    let answer = node.wire().get(&path).expect("a running node").expect(200);
    let full = Load::full(node.address, &get(&path), &answer.body, LOADED);
    let load = Load { rate: Some(full.run().per_second / 4.0), ..full };
    let (mut idle, mut busy) = ((Vec::new(), Vec::new()), (Vec::new(), Vec::new()));
    for _ in 0..ROUNDS {
        let outcome = load.run();
        idle.0.push(outcome.us(0.5));
        idle.1.push(outcome.us(0.99));
        let run = begin(node, "large", REPEATS);
        let outcome = load.run();
        busy.0.push(outcome.us(0.5));
        busy.1.push(outcome.us(0.99));
        let run_now = node.wire().get(&run).expect("a running node").expect(200).json();
        assert_eq!(run_now.get("state").and_then(Value::as_str), Some("running"), "it goes on: {run_now}");
        node.wire().post(&format!("{run}/cancellation"), &Value::Null).expect("a running node").expect(200);
        node.until(&run, |reply| reply.json().get("ended").is_some_and(Value::is_string));
    }
    drop(progress);
    bench.report.section("evaluation", "resolve at a quarter of full load, 16 connections");
    for (p, idle, busy) in [("p50", &idle.0, &busy.0), ("p99", &idle.1, &busy.1)] {
        bench.report.row(&format!("{p}, nothing runs"), &Figure::of(idle, "µs"), "", None);
        bench.report.row(&format!("{p}, a run asks a model of 20 ms"), &Figure::of(busy, "µs"), "", None);
        let ratios: Vec<f64> = idle.iter().zip(busy).map(|(idle, busy)| busy / idle).collect();
        let target = Some(Target::AtMost(2.0));
        bench.report.row(&format!("{p}, ratio running ÷ idle"), &Figure::of(&ratios, "×"), "", target);
    }
}
