//! What taking in telemetry costs: how much a node takes, what a million responses need, how fast they are read back, and
//! whether applications that resolve notice.

use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bookholder::clock::{Clock as _, SystemClock};
use bookholder::model::content_id::ContentId;
use bookholder::telemetry::event::{
    Attributed, AttributedBy, Attribution, Cost, CostSource, Event, Response, SpanContext, Tokens,
};
use bookholder::telemetry::otlp::export;
use bookholder::telemetry::store::{Level, Recorded, Role, TELEMETRY_FILE, TelemetryStore, Which};
use serde_json::{Value, json};

use crate::Bench;
use crate::library::{reference, scratch};
use crate::load::Load;
use crate::machine::memory_mib;
use crate::memory::{BYTES, LARGE};
use crate::node::{LOOK, Node, resolve_path};
use crate::pages::measure;
use crate::report::{Figure, Progress, Target, count};
use crate::wire::{Wire, get};

/// Responses of one request, as exporters of OpenTelemetry send them.
const BATCH: usize = 512;
/// Responses that are recorded in this process.
const RESPONSES: usize = 1_000_000;
/// Requests that wait at once.
const IN_FLIGHT: usize = 8;
/// When the first response was.
const BEGIN_MS: i64 = 1_790_000_000_000;
const ROUNDS: usize = 3;
const LOADED: Duration = Duration::from_secs(4);
/// Responses a second while resolving is measured.
const STEADY: f64 = 5_000.0;
const MIB: f64 = 1_024.0 * 1_024.0;
/// Calls of a few prompts, at a fixed time.
const SMALL: Calls = Calls { prompts: 40, versions: 3, begin_ms: BEGIN_MS };
/// Prompts and versions of a large library in use.
const MANY_PROMPTS: usize = 2_000;
const MANY_VERSIONS: u64 = 20;
/// Between two calls: a million in a week.
const STEP_MS: i64 = 604;
/// Longest time span of a page, in milliseconds.
const PAGE_MS: f64 = 50.0;

/// Most resident memory of a primary that keeps them, in MiB.
const MEMORY_MIB: f64 = 96.0;

/// Which prompts calls are of, and when the first one was.
#[derive(Clone, Copy)]
struct Calls {
    prompts: usize,
    versions: u64,
    begin_ms: i64,
}

/// Measures and reports.
pub fn run(bench: &mut Bench) {
    let progress = Progress::begin(format!("recording {} responses", count(RESPONSES)));
    let directory = tempfile::tempdir().expect("a directory");
    let store = TelemetryStore::open(directory.path(), Role::Keep).expect("a store");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let began = Instant::now();
    runtime.block_on(record(&store, SMALL, &progress));
    let per_second = RESPONSES as f64 / began.elapsed().as_secs_f64();
    let bytes = std::fs::metadata(directory.path().join(TELEMETRY_FILE)).expect("a file").len() as f64;
    let held = store.holdings().expect("holdings");
    progress.show("reading them back");
    let response_us = times(200, |number| {
        let id = format!("resp-{}", number * 4_999 % RESPONSES);
        assert!(store.response(&id).expect("a read").is_some(), "{id}");
    });
    let (from, to) = (BEGIN_MS - 86_400_000, BEGIN_MS + 8 * 86_400_000);
    let prompt_us = times(100, |number| {
        let name = format!("support/prompt-{}", number % SMALL.prompts);
        assert!(!store.counts(Which::Prompt(&name), Level::Hour, from, to).expect("a read").is_empty());
    });
    drop((progress, store));

    let progress = Progress::begin("reporting to a primary that is asked");
    let library = bench.shelf.library(LARGE, BYTES);
    let data = library.copy();
    let primary = Node::primary(data.path(), None);
    let over_http: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let sent = Reporting::begin(&primary, None, json_request);
            std::thread::sleep(LOADED);
            sent.end() / LOADED.as_secs_f64()
        })
        .collect();
    let over_otlp: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let sent = Reporting::begin(&primary, None, otlp_request);
            std::thread::sleep(LOADED);
            sent.end() / LOADED.as_secs_f64()
        })
        .collect();
    let path = resolve_path(&reference(0));
    let answer = primary.wire().get(&path).expect("a running node").expect(200);
    let full = Load::full(primary.address, &get(&path), &answer.body, LOADED);
    let load = Load { rate: Some(full.run().per_second / 4.0), ..full };
    let (mut idle, mut busy) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        idle.push(load.run().us(0.99));
        let sent = Reporting::begin(&primary, Some(STEADY), otlp_request);
        busy.push(load.run().us(0.99));
        sent.end();
    }
    drop(progress);

    bench.report.section("telemetry", &format!("responses in batches of {BATCH}"));
    bench.report.row(
        "recorded, in process",
        &Figure::one(per_second, "/s"),
        "each batch durable",
        Some(Target::AtLeast(30_000.0)),
    );
    let beside = format!("{:.0} MiB of it events", held.bytes as f64 / MIB);
    bench.report.row("file of a million", &Figure::one(bytes / MIB, "MiB"), &beside, None);
    bench.report.row(
        "one response by id",
        &Figure::of(&response_us, "µs"),
        "of a million",
        Some(Target::AtMost(50_000.0)),
    );
    bench.report.row(
        "counts of a prompt",
        &Figure::of(&prompt_us, "µs"),
        "9 days by hour",
        Some(Target::AtMost(50_000.0)),
    );
    bench.report.row(
        "recorded over HTTP, JSON",
        &Figure::of(&over_http, "/s"),
        "one connection, load generator included",
        None,
    );
    bench.report.row(
        "recorded over HTTP, OTLP protobuf",
        &Figure::of(&over_otlp, "/s"),
        "one connection, load generator included",
        Some(Target::AtLeast(30_000.0)),
    );
    bench.report.row("resolve p99, a quarter of full load", &Figure::of(&idle, "µs"), "nothing is reported", None);
    bench.report.row("resolve p99 at 5,000 responses/s", &Figure::of(&busy, "µs"), "", None);
    let ratios: Vec<f64> = idle.iter().zip(&busy).map(|(idle, busy)| busy / idle).collect();
    bench.report.row("ratio reporting ÷ idle", &Figure::of(&ratios, "×"), "", Some(Target::AtMost(2.0)));
    overviews(bench, &runtime);
}

/// What is read of everything, where there are many prompts and versions.
fn overviews(bench: &mut Bench, runtime: &tokio::runtime::Runtime) {
    let directory = scratch();
    let path = directory.path().join(TELEMETRY_FILE);
    let progress = Progress::begin(format!("recording calls of {} prompts", count(MANY_PROMPTS)));
    let store = TelemetryStore::open(directory.path(), Role::Keep).expect("a store");
    let now = SystemClock::new().now_ms();
    let calls = Calls { prompts: MANY_PROMPTS, versions: MANY_VERSIONS, begin_ms: now - RESPONSES as i64 * STEP_MS };
    let began = Instant::now();
    runtime.block_on(record(&store, calls, &progress));
    let per_second = RESPONSES as f64 / began.elapsed().as_secs_f64();
    drop(store);
    // Its thread writes the rest.
    let file = File::open(&path).expect("a file");
    while file.try_lock().is_err() {
        std::thread::sleep(LOOK);
    }
    drop((file, progress));
    let node = Node::primary(directory.path(), None);
    let what = format!("a million calls of {} prompts × {MANY_VERSIONS} versions, in a week", count(MANY_PROMPTS));
    bench.report.section("telemetry", &what);
    bench.report.row("recorded, in process", &Figure::one(per_second, "/s"), "each batch durable", None);
    for (what, path, shows) in [
        ("usage, a week and the one before", "/ui/usage", "<svg"),
        ("usage, a day", "/ui/usage?since=24h", "<svg"),
        ("usage, 30 days", "/ui/usage?since=30d", "<svg"),
        ("statistics of everything, 100 prompts", "/v1/stats", "more_prompts"),
        ("costs: statistics of everything, 1,000 prompts", "/v1/stats?limit=1000", "more_prompts"),
    ] {
        measure(bench, &node, what, path, shows, PAGE_MS);
    }
    bench.report.row(
        "memory after all of this",
        &Figure::one(memory_mib(node.pid()).0, "MiB"),
        "resident, of the primary",
        Some(Target::AtMost(MEMORY_MIB)),
    );
}

async fn record(store: &TelemetryStore, calls: Calls, progress: &Progress) {
    let mut waiting = tokio::task::JoinSet::new();
    for batch in 0..RESPONSES.div_ceil(BATCH) {
        let first = batch * BATCH;
        let events = (first..(first + BATCH).min(RESPONSES)).map(|number| response(number, calls)).collect();
        let store = store.clone();
        waiting.spawn(async move { store.record(events, calls.begin_ms).await.expect("recorded") });
        while waiting.len() >= IN_FLIGHT {
            waiting.join_next().await;
        }
        if batch % 100 == 0 {
            progress.show(&format!("{} of {}", count(first), count(RESPONSES)));
        }
    }
    while waiting.join_next().await.is_some() {}
}

/// One response of many that differ as those of a busy application do.
fn response(number: usize, calls: Calls) -> Recorded {
    let mut eight = [0; 8];
    blake3::Hasher::new().update(&number.to_le_bytes()).finalize_xof().fill(&mut eight);
    let random = u64::from_le_bytes(eight);
    let trace = ((7 << 100) | (number as u128 / 3)).to_be_bytes();
    let input = 200 + random % 4_000;
    Recorded {
        event: Event::Response(Box::new(Response {
            id: Some(format!("resp-{number}")),
            span: Some(SpanContext { trace, span: (random | 1).to_le_bytes() }),
            ended_ms: calls.begin_ms + number as i64 * STEP_MS,
            provider: Some("openai".to_owned()),
            model_requested: Some("gpt-5-mini".to_owned()),
            model_used: Some(if random.is_multiple_of(10) { "gpt-5" } else { "gpt-5-mini" }.to_owned()),
            tokens: Tokens { input: Some(input), output: Some(random >> 20 & 511), ..Tokens::default() },
            latency_us: Some(300_000 + (random >> 8) % 3_000_000),
            first_token_us: Some(90_000 + (random >> 16) % 300_000),
            cost: Some(Cost { pico_usd: input * 250_000, source: CostSource::Table([1; 8]) }),
            error: (random.is_multiple_of(97)).then(|| "rate_limited".to_owned()),
            session: Some(format!("chat-{}", number / 6)),
            user: Some(format!("user-{}", random % 5_000)),
            environment: Some("production".to_owned()),
            attribution: Attribution::Version(Attributed {
                prompt: format!("support/prompt-{}", random as usize % calls.prompts).parse().expect("a name"),
                version: 1 + (random >> 32) % calls.versions,
                content_id: ContentId::of(b"x"),
                label: Some("production".parse().expect("a label")),
                arm: None,
                by: AttributedBy::Stamp,
            }),
            ..Response::default()
        })),
        repeat: None,
    }
}

/// How long each of some reads took, in microseconds.
fn times(rounds: usize, mut read: impl FnMut(usize)) -> Vec<f64> {
    let time = |number| {
        let began = Instant::now();
        read(number);
        began.elapsed().as_secs_f64() * 1e6
    };
    (0..rounds).map(time).collect()
}

/// An application that reports, on a thread of its own.
struct Reporting {
    stop: Arc<AtomicBool>,
    sent: Arc<AtomicU64>,
    thread: std::thread::JoinHandle<()>,
}

impl Reporting {
    fn begin(node: &Node, rate: Option<f64>, request: fn(&str) -> Vec<u8>) -> Self {
        let (stop, sent) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (address, until, counted) = (node.address, Arc::clone(&stop), Arc::clone(&sent));
        let thread = std::thread::spawn(move || {
            let (mut wire, began, mut batch) = (Wire::to(address), Instant::now(), 0_u64);
            let run = began.elapsed().subsec_nanos();
            while !until.load(Ordering::Relaxed) {
                let request = request(&format!("{run}-{batch}-{}", std::process::id()));
                wire.send(&request).expect("a running node").expect(200);
                batch += 1;
                counted.fetch_add(BATCH as u64, Ordering::Relaxed);
                if let Some(rate) = rate {
                    let due = began + Duration::from_secs_f64(batch as f64 * BATCH as f64 / rate);
                    std::thread::sleep(due.saturating_duration_since(Instant::now()));
                }
            }
        });
        Self { stop, sent, thread }
    }

    /// Ends it; how many responses were recorded.
    fn end(self) -> f64 {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("a reporter");
        self.sent.load(Ordering::Relaxed) as f64
    }
}

/// A request with a batch in our own JSON.
fn json_request(batch: &str) -> Vec<u8> {
    request("/v1/responses", "application/json", reports(batch).to_string().as_bytes())
}

/// A request with a batch as exporters of OpenTelemetry send it.
fn otlp_request(batch: &str) -> Vec<u8> {
    let event = |number: usize| {
        let mut event = response(number, SMALL).event;
        if let Event::Response(response) = &mut event {
            let id = format!("{batch}-{number}");
            let (mut trace, mut span) = ([0; 16], [0; 8]);
            let mut random = blake3::Hasher::new().update(id.as_bytes()).finalize_xof();
            random.fill(&mut trace);
            random.fill(&mut span);
            response.id = Some(id);
            response.span = Some(SpanContext { trace, span });
            response.cost = None;
            response.claim.prompt = Some(reference(number % SMALL.prompts));
            response.attribution = Attribution::Pending;
        }
        event
    };
    let events: Vec<Event> = (0..BATCH).map(event).collect();
    request("/v1/traces", "application/x-protobuf", &export(0, &events).traces)
}

fn request(path: &str, kind: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head =
        format!("POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n\r\n");
    [head.as_bytes(), body].concat()
}

fn reports(batch: &str) -> Value {
    let reports = (0..BATCH).map(|number| {
        json!({
            "id": format!("{batch}-{number}"), "prompt": reference(number % SMALL.prompts), "model": "gpt-5-mini",
            "input_tokens": 812, "output_tokens": 95, "latency_ms": 1240.5, "session": format!("chat-{batch}"),
        })
    });
    json!({"responses": reports.collect::<Vec<_>>()})
}
